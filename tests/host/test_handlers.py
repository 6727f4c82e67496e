"""What the one who opens a stream sees of a handler that fails."""

from __future__ import annotations

import asyncio

import pytest

from libp2p_lab import Host, Identify, NegotiationError, Ping, StreamReset
from libp2p_lab.host.events import HandlerFailed, StreamEnded, StreamStarted
from libp2p_lab.trace import Entry

PROTOCOL = "/fails/1.0.0"


async def fails(stream) -> None:
    raise ValueError("a bug")


async def resets(stream) -> None:
    await stream.write(b"some of it")
    raise StreamReset("given up")


@pytest.mark.parametrize(
    "listen", ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/memory/0"]
)
@pytest.mark.parametrize("knows", [False, True], ids=["asks", "knows that it is spoken"])
@pytest.mark.parametrize("handler", [fails, resets])
async def test_a_handler_that_fails_at_once_shows_at_the_first_read(listen, knows, handler) -> None:
    services = (lambda: [Identify(), Ping()]) if knows else (lambda: [Ping()])
    async with (
        Host(listen=[listen], services=services()) as bob,
        Host(services=services()) as alice,
    ):
        bob.set_handler(PROTOCOL, handler)
        entries: list[Entry] = []
        alice.trace.listen(entries.append)
        bob.trace.listen(entries.append)
        await alice.connect(bob.addrs[0])
        if knows:
            await alice.identify_result(bob.peer_id)
        for _ in range(20):
            stream = await alice.open_stream(bob.peer_id, PROTOCOL)
            assert stream.protocol == PROTOCOL
            with pytest.raises(StreamReset):
                await stream.read()
        failures = [e.what for e in entries if isinstance(e.what, HandlerFailed)]
        assert [f.protocol for f in failures] == [PROTOCOL] * 20
        ours = [e for e in entries if e.node == str(alice.peer_id)]
        started = {e.link for e in ours if isinstance(e.what, StreamStarted)}
        assert started <= {e.link for e in ours if isinstance(e.what, StreamEnded)}
        assert await alice.ping(bob.peer_id) > 0


async def test_many_failures_on_a_busy_connection() -> None:
    """Consent goes before the reset even while others send."""

    async def swallow(stream) -> None:
        async for _ in stream:
            pass

    async with (
        Host(listen=["/memory/0"], services=[Ping()]) as bob,
        Host(services=[Ping()]) as alice,
    ):
        bob.set_handler(PROTOCOL, fails)
        bob.set_handler("/swallow/1.0.0", swallow)
        await alice.connect(bob.addrs[0])
        busy = await alice.open_stream(bob.peer_id, "/swallow/1.0.0")

        async def push() -> None:
            for _ in range(200):
                await busy.write(bytes(64 * 1024))
            await busy.close()

        async def fail() -> None:
            stream = await alice.open_stream(bob.peer_id, PROTOCOL)
            with pytest.raises(StreamReset):
                await stream.read()

        await asyncio.gather(push(), *(fail() for _ in range(50)))


async def test_a_protocol_that_is_not_spoken_is_still_refused() -> None:
    async with Host(listen=["/memory/0"]) as bob, Host() as alice:
        with pytest.raises(NegotiationError):
            await alice.open_stream(bob.addrs[0], PROTOCOL)
