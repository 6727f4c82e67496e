"""What a hostile peer may try with identify, push and ping: S18, S20 to S23; and all of it again and again: S60."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libp2p_lab import Host
from libp2p_lab.errors import LabError, NegotiationError, StreamReset
from libp2p_lab.host.events import HandlerFailed, Identified
from libp2p_lab.host.identify import PROTOCOL_ID, PUSH_PROTOCOL_ID, IdentifyMessage
from libp2p_lab.host.resources import Usage
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId, PeerRecord
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing import MuxedStream
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, FrameType
from libp2p_lab.security import Noise
from libp2p_lab.transports import TCP
from libp2p_lab.wire import varint
from tests.hostile.scene import (
    HELLO,
    MIB,
    PATIENCE,
    Stage,
    bounded_memory,
    header,
    line,
    scene,
)
from tests.hostile.test_handshake_attacks import Liar, payload, say, until_hung_up

ADDR = Multiaddr("/ip4/192.0.2.1/tcp/4001")


def message(part: bytes) -> bytes:
    return varint.encode(len(part)) + part


def record_of(key: KeyPair, seq: int = 1, addrs: tuple[Multiaddr, ...] = (ADDR,)) -> bytes:
    return PeerRecord(PeerId.from_public_key(key.public), seq, addrs).seal(key).encode()


@asynccontextmanager
async def identified_as(
    stage: Stage, said: bytes, then: str = "close"
) -> AsyncIterator[tuple[Host, int]]:
    """A peer that answers identify with these bytes; gives it, and how many of them were taken."""
    taken = 0

    async def answer(stream: MuxedStream) -> None:
        nonlocal taken
        with contextlib.suppress(LabError):
            for start in range(0, len(said), 4096):
                await stream.write(said[start : start + 4096])
                taken += 4096
        if then == "wait":
            await asyncio.sleep(PATIENCE)

    async with Host(key=stage.key, transports=[TCP()], services=[]) as peer:
        peer.set_handler(PROTOCOL_ID, answer)
        await peer.connect(stage.host.addrs[0])
        yield peer, taken


async def is_identified(stage: Stage) -> bool:
    """Wait until identify is done with the attacker; whether it believed anything."""
    async with asyncio.timeout(PATIENCE):
        while not stage.host.connections_to(stage.peer):
            await asyncio.sleep(0.001)
        try:
            await stage.host.identify_result(stage.peer)
        except NegotiationError:
            return False
        return True


# -- S18: records of others ------------------------------------------------------------------------


async def test_s18_a_record_of_another_peer_is_dropped() -> None:
    victim = KeyPair.generate()
    said = message(IdentifyMessage(signed_peer_record=record_of(victim)).encode())
    async with scene() as stage, identified_as(stage, said):
        assert not await is_identified(stage)
        assert PeerId.from_public_key(victim.public) not in stage.host.peerstore
        assert stage.host.peerstore.record(stage.peer) is None
        assert ADDR not in stage.host.peerstore.addrs(stage.peer)


async def test_s18_the_key_of_another_peer_is_not_believed() -> None:
    other = KeyPair.generate()
    said = message(IdentifyMessage(other.public.to_protobuf(), protocols=("/x",)).encode())
    async with scene() as stage, identified_as(stage, said):
        assert not await is_identified(stage)
        assert stage.host.peerstore.protocols(stage.peer) == ()


async def test_s18_many_records_of_random_peers_do_not_fill_the_address_book() -> None:
    limits = Limits(identify_push_interval=1e-9)
    async with scene(limits) as stage:
        known = set(stage.host.peerstore.peers) | {stage.peer}
        async with Host(key=stage.key, transports=[TCP()], services=[]) as peer:
            await peer.connect(stage.host.addrs[0])
            with bounded_memory():
                for _ in range(500):
                    said = IdentifyMessage(signed_peer_record=record_of(KeyPair.generate()))
                    await push(peer, stage, message(said.encode()))
            assert set(stage.host.peerstore.peers) <= known
        failures = [event for event in stage.events if isinstance(event, HandlerFailed)]
        assert len(failures) == 500
        assert all("RecordInvalid" in failure.error for failure in failures)


async def push(peer: Host, stage: Stage, said: bytes) -> None:
    """Push, and wait until the victim is done with it."""
    with contextlib.suppress(StreamReset):
        stream = await peer.open_stream(stage.host.peer_id, PUSH_PROTOCOL_ID)
        await stream.write(said)
        await stream.close_write()
        await stream.read()


# -- S20: identify without measure ------------------------------------------------------------------

FULL = b"\x1a\x06/abcde" * (8192 // 8)  # a part of protocols, as long as a part may be
MEASURELESS = {
    "a part of 1 MiB": varint.encode(MIB) + bytes(MIB),
    "a part of 2^62": varint.encode(1 << 62),
    "a byte too long": varint.encode(8193) + bytes(8193),
    "eleven parts": message(b"") * 11,
    "eleven long parts": message(FULL) * 11,
    "a million empty parts": b"\x00" * 1_000_000,
    "an endless varint": b"\x80" * 1_000_000,
    "a padded varint": b"\x81\x00",
    "cut off": b"\x20abc",
    "no protobuf": message(b"\xff\xff\xff\xff"),
    "an agent that is no text": message(b"\x32\x02\xff\xfe"),
    "a protocol that is no text": message(b"\x1a\x02\xff\xfe"),
}


@pytest.mark.parametrize("said", MEASURELESS.values(), ids=MEASURELESS.keys())
async def test_s20_an_identify_message_without_measure_is_not_read(said) -> None:
    async with scene() as stage:
        with bounded_memory():
            async with identified_as(stage, said):
                assert not await is_identified(stage)
        assert stage.host.peerstore.protocols(stage.peer) == ()
        assert not stage.reasons() or not any("bug" in reason for reason in stage.reasons())


async def test_s20_of_thousands_of_protocols_128_are_kept() -> None:
    said = message(FULL) * 10
    async with scene() as stage, identified_as(stage, said):
        assert await is_identified(stage)
        kept = stage.host.peerstore.protocols(stage.peer)
        assert len(kept) == DEFAULT_LIMITS.identify_protocols
        told = [e for e in stage.events if isinstance(e, Identified) and e.protocols]
        assert all(len(event.protocols) <= DEFAULT_LIMITS.identify_protocols for event in told)


async def test_s20_of_thousands_of_addresses_500_are_kept_and_20_afterwards() -> None:
    addrs = [bytes(Multiaddr(f"/ip4/10.0.{n >> 8}.{n & 255}/tcp/1")) for n in range(7000)]
    parts = [
        IdentifyMessage(listen_addrs=tuple(addrs[n : n + 700])).encode()
        for n in range(0, 7000, 700)
    ]
    said = b"".join(map(message, parts))
    async with scene() as stage:
        async with identified_as(stage, said):
            assert await is_identified(stage)
            assert len(stage.host.peerstore.addrs(stage.peer)) <= DEFAULT_LIMITS.identify_addresses
        await stage.alone()
        assert (
            len(stage.host.peerstore.addrs(stage.peer)) <= DEFAULT_LIMITS.identify_addresses_after
        )


async def test_s20_a_signed_record_with_many_addresses_is_kept_within_the_same_limits() -> None:
    addrs = tuple(Multiaddr(f"/ip4/10.0.{n >> 8}.{n & 255}/tcp/1") for n in range(600))
    async with scene() as stage:
        record = record_of(stage.key, 1, addrs)
        encoded = IdentifyMessage(signed_peer_record=record).encode()
        said = b"".join(message(encoded[n : n + 8000]) for n in range(0, len(encoded), 8000))
        async with identified_as(stage, said):
            assert await is_identified(stage)
            assert len(stage.host.peerstore.addrs(stage.peer)) <= DEFAULT_LIMITS.identify_addresses


async def test_s20_an_answer_that_never_ends_is_given_up() -> None:
    async with (
        scene(Limits(identify_timeout=0.3)) as stage,
        identified_as(stage, b"\x20abc", then="wait"),
    ):
        assert not await is_identified(stage)


# -- S21: pushes -----------------------------------------------------------------------------------


async def test_s21_a_storm_of_pushes_is_mostly_refused() -> None:
    """A few are worked on, at most one a second; the storm's own streams are what suffers."""
    async with scene() as stage:
        async with Host(key=stage.key, transports=[TCP()], services=[]) as peer:
            await peer.connect(stage.host.addrs[0])
            said = message(IdentifyMessage(agent_version="storm").encode())
            with bounded_memory():
                for _ in range(20):
                    await asyncio.gather(*(push(peer, stage, said) for _ in range(50)))
            believed = [event for event in stage.events if isinstance(event, Identified)]
            assert 1 <= len([e for e in believed if e.agent == "storm"]) < 50
        refused = [e for e in stage.events if isinstance(e, HandlerFailed)]
        assert len(refused) > 900
        assert all("LimitExceeded" in event.error for event in refused)


async def test_s21_pushes_that_never_end_are_worked_on_32_at_once() -> None:
    """The others wait their turn without anything being read for them, and all are cut off at the limit."""
    limits = Limits(identify_push_interval=1e-9, identify_timeout=0.5)
    async with scene(limits) as stage:
        async with Host(key=stage.key, transports=[TCP()], services=[]) as peer:
            await peer.connect(stage.host.addrs[0])
            streams = []
            for _ in range(60):
                stream = await peer.open_stream(stage.host.peer_id, PUSH_PROTOCOL_ID)
                await stream.write(b"\x20abc")
                streams.append(stream)
            for stream in streams:
                with pytest.raises(StreamReset):
                    async with asyncio.timeout(PATIENCE):
                        await stream.read()
        await stage.refused("TimeoutError")


# -- S22: one bad part -----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"\xff\xff", b"\x04\x7f", b"\x00", b"", b"\x06\x10" * 1000])
async def test_s22_one_bad_address_does_not_spoil_the_others(bad) -> None:
    other = Multiaddr("/ip4/192.0.2.2/tcp/1")
    said = IdentifyMessage(
        listen_addrs=(bytes(ADDR), bad, bytes(other)), observed_addr=bad, agent_version="x"
    )
    async with scene() as stage, identified_as(stage, message(said.encode())):
        assert await is_identified(stage)
        info = await stage.host.identify_result(stage.peer)
        assert info.listen_addrs == (ADDR, other)
        assert info.observed_addr is None
        assert {ADDR, other} <= set(stage.host.peerstore.addrs(stage.peer))


# -- S23: ping -------------------------------------------------------------------------------------


async def test_s23_a_third_ping_stream_is_refused() -> None:
    async with scene() as stage, Host(key=stage.key, transports=[TCP()], services=[]) as peer:
        await peer.connect(stage.host.addrs[0])
        streams = []
        for _ in range(2):
            streams.append(await peer.open_stream(stage.host.peer_id, "/ipfs/ping/1.0.0"))
            await streams[-1].write(bytes(32))
        with pytest.raises(StreamReset):
            third = await peer.open_stream(stage.host.peer_id, "/ipfs/ping/1.0.0")
            await third.read(1)
        await stage.refused("LimitExceeded", "/ipfs/ping/1.0.0")
        for stream in streams:
            assert await stream.read_exactly(32) == bytes(32)
            await stream.close()


async def test_s23_no_echo_before_32_bytes_and_a_time_limit() -> None:
    async with scene(Limits(ping_idle_timeout=0.5)) as stage:
        attacker = await stage.muxed()
        opening = HELLO + line("/ipfs/ping/1.0.0")
        await attacker.send(DataFrame(1, Flags.SYN, opening + bytes(31)).encode())
        while not any(which == 1 and f & Flags.RST for _, f, which, _ in attacker.frames):
            assert await attacker.receive()
        assert attacker.bodies[1] == opening, "something was echoed"
        await stage.refused("TimeoutError")


async def test_s23_pings_without_pause_are_answered_one_by_one() -> None:
    """An attacker that writes and never reads fills its own window and stops."""
    async with scene() as stage:
        attacker = await stage.muxed()
        opening = HELLO + line("/ipfs/ping/1.0.0")
        with bounded_memory():
            await attacker.send(DataFrame(1, Flags.SYN, opening).encode())
            for _ in range(7):
                await attacker.send(DataFrame(1, 0, bytes(32_000)).encode())
        await stage.bystander.goes_on()


# -- S60: again and again --------------------------------------------------------------------------


async def broken_frame(stage: Stage) -> None:
    attacker = await stage.muxed()
    await attacker.send(b"\xff" * 12)
    await attacker.until_closed()


async def bad_handshake(stage: Stage) -> None:
    channel = await stage.secured(Liar(lambda key, static: payload(key, b"")))
    await until_hung_up(channel._raw)


async def bad_line(stage: Stage) -> None:
    raw = await stage.raw()
    await say(raw, b"\xff" * 20)
    await until_hung_up(raw)


async def streams_left_open(stage: Stage) -> None:
    attacker = await stage.muxed()
    await attacker.send(*(header(FrameType.WINDOW_UPDATE, 1, 2 * n + 1, 0) for n in range(50)))
    await attacker.send(DataFrame(101, 1, HELLO + line("/echo/1.0.0") + b"x" * 100).encode())
    await attacker.receive()
    await stage.hang_up()


async def gone_at_once(stage: Stage) -> None:
    await stage.raw()
    await stage.hang_up()


async def bad_frame_of_noise(stage: Stage) -> None:
    channel = await stage.secured(Noise())
    await say(channel._raw, b"\x00\x20" + bytes(32))
    await until_hung_up(channel._raw)


ATTACKS = (
    broken_frame,
    bad_handshake,
    bad_line,
    streams_left_open,
    gone_at_once,
    bad_frame_of_noise,
)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_s60_after_many_attacks_everything_is_as_before(
    attack: Callable[[Stage], Awaitable[None]],
) -> None:
    """Tasks, files and the heap are where they were after the first few; the peer's memory is one entry."""

    async def rounds(count: int) -> None:
        for _ in range(count):
            async with asyncio.timeout(PATIENCE):
                await attack(stage)
            await stage.hang_up()
        await stage.alone()
        async with asyncio.timeout(PATIENCE):
            while (
                stage.host.resources.usage("transient") != Usage()
                or len(asyncio.all_tasks()) > tasks
            ):
                await asyncio.sleep(0.005)
        stage.events.clear()
        gc.collect()

    async with scene() as stage:
        tasks = 1 << 30
        await rounds(10)
        for _ in range(100):
            await asyncio.sleep(0.001)
        tasks, files = len(asyncio.all_tasks()), open_files()
        tracemalloc.start()
        try:
            await rounds(20)
            before, _ = tracemalloc.get_traced_memory()
            await rounds(100)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        async with asyncio.timeout(PATIENCE):
            while open_files() > files:
                await asyncio.sleep(0.01)
        assert after - before < 100_000, f"{after - before} bytes kept after 100 attacks"
