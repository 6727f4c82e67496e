"""S53: whatever scope an attacker fills, it refuses him there, others go on, and it returns to zero afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from libp2p_lab import Echo, Host, Identify
from libp2p_lab.errors import LabError, LimitExceeded
from libp2p_lab.host.resources import StreamClaim, Usage
from libp2p_lab.identity import KeyPair
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing import MuxedStream
from libp2p_lab.multiplexing.yamux_frames import DataFrame, FrameType
from libp2p_lab.transports import TCP
from tests.hostile.scene import HELLO, PATIENCE, Stage, header, line, scene

ECHO = "/echo/1.0.0"
SYN = 1


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


async def back_to_the_honest_one(stage: Stage) -> None:
    """The attacker leaves; nothing of what he used is counted any more."""
    await stage.hang_up()
    await stage.alone()
    resources = stage.host.resources
    await until(lambda: resources.usage().streams == 1)  # the honest echo
    await until(lambda: resources.usage("transient") == Usage())
    assert resources.usage() == Usage(1, 1, 0, 1, 1, 0)
    assert resources.usage("peer", str(stage.peer)) == Usage()
    kinds = sorted(kind for kind, _, _ in resources.scopes())
    assert kinds == ["peer", "protocol", "protocol peer", "system", "transient"]


@asynccontextmanager
async def attacker(stage: Stage, key: KeyPair | None = None) -> AsyncIterator[Host]:
    """A host that wants too much."""
    async with Host(key=key or stage.key, transports=[TCP()], services=[]) as host:
        await host.connect(stage.host.addrs[0])
        yield host


async def echo_works(host: Host, stage: Stage) -> MuxedStream | None:
    """A stream that echoes, or None if it was refused."""
    try:
        async with asyncio.timeout(PATIENCE):
            stream = await host.open_stream(stage.host.peer_id, ECHO)
            await stream.write(b"x")
            assert await stream.read(1) == b"x"
    except LabError:
        return None
    return stream


async def test_s53_the_system_refuses_connections_past_its_limit() -> None:
    async with scene(Limits(max_connections=4), services=[Echo()]) as stage:
        for _ in range(3):
            await stage.muxed()
        await until(lambda: len(stage.host.connections) == 4)
        for _ in range(10):
            with contextlib.suppress(LabError, OSError):
                await stage.muxed()
        await stage.refused("LimitExceeded", "max_connections", "scope system")
        assert stage.host.resources.usage().connections <= 4
        await stage.bystander.goes_on()
        await back_to_the_honest_one(stage)


async def test_s53_a_crowd_at_the_door_leaves_room_to_dial() -> None:
    limits = Limits(max_connections=6, max_connections_inbound=3)
    async with (
        scene(limits, services=[Echo()]) as stage,
        Host(listen=["/ip4/127.0.0.1/tcp/0"], services=[Echo()]) as friend,
    ):
        for _ in range(10):
            with contextlib.suppress(LabError, OSError):
                await stage.muxed()
        await stage.refused("LimitExceeded", "max_connections_inbound", "scope system")
        await stage.host.connect(friend.addrs[0])
        await stage.host.disconnect(friend.peer_id)
        await back_to_the_honest_one(stage)


async def test_s53_what_is_not_proven_yet_is_bounded() -> None:
    limits = Limits(max_pending_inbound=5, max_pending_inbound_per_ip=100, handshake_timeout=1.0)
    async with scene(limits, services=[Echo()]) as stage:
        for _ in range(20):
            await stage.raw()
        await stage.refused("LimitExceeded", "max_pending_inbound", "scope transient")
        assert stage.host.resources.usage("transient").connections == 5
        await stage.bystander.goes_on()
        await back_to_the_honest_one(stage)


async def test_s53_a_peer_has_so_many_connections() -> None:
    async with scene(Limits(max_connections_per_peer=2), services=[Echo()]) as stage:
        for _ in range(6):
            with contextlib.suppress(LabError, OSError):
                await stage.muxed()
        await stage.refused("LimitExceeded", "max_connections_per_peer", f"peer {stage.peer}")
        usage = stage.host.resources.usage("peer", str(stage.peer))
        assert usage == Usage(2, 2, 0)
        await stage.bystander.goes_on()
        await back_to_the_honest_one(stage)


SCOPES = {
    "max_streams": (Limits(max_streams=8), "scope system"),
    "max_streams_inbound": (Limits(max_streams_inbound=8), "scope system"),
    "max_streams_per_peer": (Limits(max_streams_per_peer=8), "scope peer"),
    "max_streams_per_peer_inbound": (Limits(max_streams_per_peer_inbound=8), "scope peer"),
    "max_streams_per_connection": (Limits(max_streams_per_connection=8), "scope connection"),
    "max_streams_per_protocol": (Limits(max_streams_per_protocol=8), "scope protocol /echo/1.0.0"),
    "max_streams_per_protocol_inbound": (
        Limits(max_streams_per_protocol_inbound=8),
        "scope protocol /echo/1.0.0",
    ),
    "max_streams_per_protocol_and_peer": (
        Limits(max_streams_per_protocol_and_peer=8),
        "scope protocol peer /echo/1.0.0",
    ),
}


@pytest.mark.parametrize("limit", SCOPES)
async def test_s53_a_peer_opens_streams_until_a_scope_is_full(limit: str) -> None:
    limits, scope = SCOPES[limit]
    async with scene(limits, services=[Echo()]) as stage, attacker(stage) as greedy:
        held = [await echo_works(greedy, stage) for _ in range(20)]
        working = [stream for stream in held if stream is not None]
        alone = limit in ("max_streams", "max_streams_inbound") or "protocol" in limit
        shared = alone and "and_peer" not in limit
        assert len(working) == (7 if shared else 8), "the honest echo has the eighth"
        await stage.refused("LimitExceeded", f"limit {limit} of", scope)
        await stage.bystander.goes_on()
        await working[0].close()  # there is room again, for one
        await until(lambda: stage.host.resources.usage().streams <= len(working))
        assert await echo_works(greedy, stage) is not None
        assert await echo_works(greedy, stage) is None
        await greedy.close()
        await back_to_the_honest_one(stage)


async def test_s53_streams_without_a_protocol_leave_room_to_others() -> None:
    """Opened, and nothing said: the attacker fills what one peer may have; others open streams as before."""
    limits = Limits(max_pending_streams_per_peer=10, max_pending_streams_inbound=20)
    async with scene(limits, services=[Echo()]) as stage:
        silent = await stage.muxed()
        await silent.send(*(header(FrameType.WINDOW_UPDATE, SYN, 2 * n + 1, 0) for n in range(50)))
        await stage.refused("LimitExceeded", "max_pending_streams_per_peer", "transient peer")
        assert stage.host.resources.usage("transient").streams == 10
        async with attacker(stage, KeyPair.generate()) as honest:
            for _ in range(5):
                assert await echo_works(honest, stage) is not None
        await back_to_the_honest_one(stage)


async def test_s53_many_peers_that_open_and_say_nothing_fill_the_transient_scope() -> None:
    limits = Limits(max_pending_streams_per_peer=10, max_pending_streams_inbound=25)
    async with scene(limits, services=[Echo()]) as stage:
        for _ in range(4):
            stage.key = KeyPair.generate()
            silent = await stage.muxed()
            opened = (header(FrameType.WINDOW_UPDATE, SYN, 2 * n + 1, 0) for n in range(10))
            await silent.send(*opened)
        await stage.refused("LimitExceeded", "max_pending_streams_inbound", "scope transient")
        assert stage.host.resources.usage("transient").streams == 25
        await stage.bystander.goes_on()  # what has its protocol waits in no such scope
        await back_to_the_honest_one(stage)


async def test_s53_a_stream_reserves_so_much_memory() -> None:
    limits = Limits(max_memory_per_stream=1000, max_memory_per_connection=1500)
    async with scene(limits, services=[Echo()]) as stage, attacker(stage) as greedy:
        assert await echo_works(greedy, stage) is not None
        [held] = stage.host.connections_to(stage.peer)
        claim = stage.host._swarm._claims[held.id]
        streams: list[StreamClaim] = [claim.open_stream("inbound") for _ in range(2)]
        streams[0].reserve_memory(1000)
        with pytest.raises(LimitExceeded, match="max_memory_per_stream of the scope stream"):
            streams[0].reserve_memory(1)
        with pytest.raises(LimitExceeded, match="max_memory_per_connection of the scope conn"):
            streams[1].reserve_memory(501)
        assert stage.host.resources.usage().memory == 1000
        for stream in streams:
            stream.close()
        assert stage.host.resources.usage().memory == 0
        await greedy.close()
        await back_to_the_honest_one(stage)


async def test_s53_reset_at_once_is_counted_while_the_handler_runs() -> None:
    """Rapid reset: the stream is gone, its handler is not; so many run at once and no more."""
    running = most = 0
    limits = Limits(max_streams_per_protocol_and_peer=16)

    async def slow(stream: MuxedStream) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.3)
        running -= 1

    async with scene(limits, services=[Echo(), Identify()]) as stage:
        stage.host.set_handler("/slow", slow)
        rapid = await stage.muxed()
        opening = HELLO + line("/slow")
        for n in range(100):
            await rapid.send(DataFrame(2 * n + 1, SYN, opening).encode())
            await asyncio.sleep(0.002)
            await rapid.send(header(FrameType.WINDOW_UPDATE, 8, 2 * n + 1, 0))
        await stage.refused("LimitExceeded", "/slow")
        assert 1 <= most <= 16
        await stage.hang_up()
        await until(lambda: not running)
        await stage.alone()
        await until(lambda: stage.host.resources.usage("protocol", "/slow") == Usage())
