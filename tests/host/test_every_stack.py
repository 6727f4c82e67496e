"""One application, run over every stack that the parts make: what it sees is the same, whatever carries it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libp2p_lab import (
    QUIC,
    TCP,
    TLS,
    Echo,
    Host,
    Identify,
    Memory,
    Mplex,
    Noise,
    Ping,
    Plaintext,
    WebRTCDirect,
    WebTransport,
    Yamux,
)
from libp2p_lab import WebSocket as WS
from libp2p_lab.errors import NegotiationError, StreamReset
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from tests.conformance.byte_stream import pattern

LIMITS = Limits(max_streams_per_protocol_and_peer=200)
PSK = bytes(range(32))

TRANSPORTS = {
    "memory": (Memory, "/memory/0"),
    "tcp": (TCP, "/ip4/127.0.0.1/tcp/0"),
    "ws": (WS, "/ip4/127.0.0.1/tcp/0/ws"),
}
SECURITY = {"noise": Noise, "tls": TLS, "plaintext": Plaintext}
MUXERS = {"yamux": Yamux, "mplex": Mplex}
STACKS = [
    *itertools.product(TRANSPORTS, SECURITY, MUXERS, [None]),
    ("tcp", "noise", "yamux", PSK),
    ("tcp", "tls", "mplex", PSK),
    ("quic", "", "", None),
    ("webrtc-direct", "", "", None),
    ("webtransport", "", "", None),
]
OF_ITS_OWN = {  # what brings its own security and streams
    "quic": (QUIC, "/ip4/127.0.0.1/udp/0/quic-v1"),
    "webrtc-direct": (WebRTCDirect, "/ip4/127.0.0.1/udp/0/webrtc-direct"),
    "webtransport": (WebTransport, "/ip4/127.0.0.1/udp/0/quic-v1/webtransport"),
}


def parts_of(stack) -> tuple[dict[str, object], str]:
    transport, security, muxer, psk = stack
    common = {"limits": LIMITS, "services": [Identify(), Ping(), Echo()]}
    if transport in OF_ITS_OWN:
        kind, addr = OF_ITS_OWN[transport]
        return {"transports": [kind()], **common}, addr
    kind, addr = TRANSPORTS[transport]
    return {
        "transports": [kind()],
        "security": [SECURITY[security]()],
        "muxers": [MUXERS[muxer]()],
        "psk": psk,
        **common,
    }, addr


@asynccontextmanager
async def two_hosts(stack) -> AsyncIterator[tuple[Host, Host]]:
    """The first has dialed the second."""
    parts, addr = parts_of(stack)
    async with Host(listen=[addr], **parts) as bob:
        parts, _ = parts_of(stack)
        async with Host(**parts) as alice:
            await alice.connect(bob.addrs[0])
            yield alice, bob


async def echo(host: Host, other: Host, data: bytes) -> bytes:
    """The other's answer, read while we write."""
    stream = await host.open_stream(other.peer_id, "/echo/1.0.0")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write_all(stream, data))
        return await stream.read()


async def write_all(stream: MuxedStream, data: bytes) -> None:
    for start in range(0, len(data), 50_000):
        await stream.write(data[start : start + 50_000])
    await stream.close_write()


async def both_ways(alice: Host, bob: Host) -> None:
    for one, other in ((alice, bob), (bob, alice)):
        assert await one.ping(other.peer_id) >= 0
        assert "/echo/1.0.0" in (await one.identify_result(other.peer_id)).protocols
        for size in (0, 1, 400_000):
            assert await echo(one, other, pattern(size, size)) == pattern(size, size)


async def many_streams(alice: Host, bob: Host) -> None:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(echo(alice, bob, pattern(3000, n))) for n in range(50)]
        asked += [tasks.create_task(echo(bob, alice, pattern(3000, n))) for n in range(50)]
    assert [task.result() for task in asked] == [pattern(3000, n) for n in range(50)] * 2


async def half_close_and_reset(alice: Host, bob: Host) -> None:
    asked: asyncio.Queue[MuxedStream] = asyncio.Queue()

    @bob.handle("/questions/1.0.0")
    async def answer(stream: MuxedStream) -> None:
        question = await stream.read()
        if question == b"reset me":
            await stream.reset()
            return
        await stream.write(question[::-1])
        await stream.close()
        await asked.put(stream)

    stream = await alice.open_stream(bob.peer_id, "/questions/1.0.0")
    await stream.write(b"live")
    await stream.close_write()
    assert await stream.read() == b"evil"
    assert (await asked.get()).protocol == "/questions/1.0.0"

    stream = await alice.open_stream(bob.peer_id, "/questions/1.0.0")
    await stream.write(b"reset me")
    await stream.close_write()
    with pytest.raises(StreamReset):
        await stream.read()


async def an_unknown_protocol(alice: Host, bob: Host) -> None:
    with pytest.raises(NegotiationError):
        await alice.open_stream(bob.peer_id, ["/nobody/1.0.0", "/speaks/this"])


async def the_end(alice: Host, bob: Host) -> None:
    """Both hear of it."""
    gone = asyncio.Event()
    bob.on_disconnect(lambda _: gone.set())
    await alice.disconnect(bob.peer_id)
    await gone.wait()
    assert alice.connections == bob.connections == []


STEPS = (both_ways, many_streams, half_close_and_reset, an_unknown_protocol, the_end)


def name_of(stack) -> str:
    *names, psk = stack
    return " ".join(filter(None, [*names, "in a private network" if psk else ""]))


@pytest.mark.parametrize("stack", STACKS, ids=name_of)
async def test_the_application(stack) -> None:
    async with two_hosts(stack) as (alice, bob):
        (connection,) = alice.connections
        if stack[0] not in OF_ITS_OWN:
            assert connection.security == SECURITY[stack[1]].protocol
            assert connection.muxer == MUXERS[stack[2]].protocol
        for step in STEPS:
            async with asyncio.timeout(60):
                await step(alice, bob)
