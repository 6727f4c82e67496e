"""S1 to S8 and S59 of the list of security statements, against each muxer under each security.

An attack is told once, in what all muxers have: streams, data, ends. `WIRES` says what it looks like in each one's
bytes. What only one of them has (pings and windows in yamux, say) is in its own file; QUIC's streams are in
test_quic_attacks.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from libp2p_lab import TLS, Mplex, Noise, Yamux
from libp2p_lab.errors import LabError
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.multiplexing.mplex_frames import Flag, MplexFrame, encode_header, read_varints
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, FrameType, decode_header
from libp2p_lab.security.secure_channel import SecureChannel
from libp2p_lab.wire import varint
from libp2p_lab.wire.byte_stream import ByteStream
from tests.hostile.scene import HELLO, MIB, PATIENCE, Stage, bounded_memory, header, line, scene

BACKLOG = DEFAULT_LIMITS.yamux_accept_backlog


@dataclass(frozen=True)
class Heard:
    """A frame of the victim: for which stream, whether it drops that stream, and its data."""

    stream: int
    is_reset: bool
    data: bytes = b""


class Wire(Protocol):
    """The same attack in one muxer's bytes. Streams are counted from 0, by who opens them."""

    protocol: str

    def opening(self, n: int) -> bytes: ...
    def message(self, n: int, data: bytes) -> bytes: ...
    def reset(self, n: int) -> bytes: ...
    def nothing(self, n: int) -> bytes: ...
    def announcing(self, n: int, length: int) -> bytes: ...
    def read(self, data: bytes) -> Iterator[tuple[Heard, int]]: ...


class YamuxWire:
    protocol = "/yamux/1.0.0"

    def opening(self, n: int) -> bytes:
        return header(FrameType.WINDOW_UPDATE, Flags.SYN, 2 * n + 1, 0)

    def message(self, n: int, data: bytes) -> bytes:
        return DataFrame(2 * n + 1, Flags.NONE, data).encode()

    def reset(self, n: int) -> bytes:
        return header(FrameType.WINDOW_UPDATE, Flags.RST, 2 * n + 1, 0)

    def nothing(self, n: int) -> bytes:
        return header(FrameType.DATA, 0, 2 * n + 1, 0)

    def announcing(self, n: int, length: int) -> bytes:
        return header(FrameType.DATA, 0, 2 * n + 1, min(length, (1 << 32) - 1))

    def read(self, data: bytes) -> Iterator[tuple[Heard, int]]:
        """Whole frames, each with where it ends."""
        at = 0
        while len(data) - at >= 12:
            kind, flags, stream_id, length = decode_header(data, at)
            end = at + 12 + (length if kind is FrameType.DATA else 0)
            if len(data) < end:
                return
            yield Heard((stream_id - 1) // 2, bool(flags & Flags.RST), data[at + 12 : end]), end
            at = end


class MplexWire:
    protocol = "/mplex/6.7.0"

    def opening(self, n: int) -> bytes:
        return MplexFrame(n, Flag.NEW_STREAM).encode()

    def message(self, n: int, data: bytes) -> bytes:
        return MplexFrame(n, Flag.MESSAGE_INITIATOR, data).encode()

    def reset(self, n: int) -> bytes:
        return MplexFrame(n, Flag.RESET_INITIATOR).encode()

    def nothing(self, n: int) -> bytes:
        return self.message(n, b"")

    def announcing(self, n: int, length: int) -> bytes:
        return encode_header(n, Flag.MESSAGE_INITIATOR, length)

    def read(self, data: bytes) -> Iterator[tuple[Heard, int]]:
        at = 0
        while len(fields := read_varints(data[at : at + 20])) == 2:
            begin = at + len(varint.encode(fields[0])) + len(varint.encode(fields[1]))
            end = begin + fields[1]
            if len(data) < end:
                return
            flag = Flag(fields[0] & 7)
            yield Heard(fields[0] >> 3, flag is Flag.RESET_RECEIVER, data[begin:end]), end
            at = end


WIRES: dict[str, type[Wire]] = {"yamux": YamuxWire, "mplex": MplexWire}
SECURITY: dict[str, type[SecureChannel]] = {"noise": Noise, "tls": TLS}
each_stack = pytest.mark.parametrize(
    ("muxer", "security"),
    [(muxer, security) for muxer in WIRES for security in SECURITY],
    ids=lambda name: name,
)


class Mallory:
    """An attacker that speaks up to the muxer properly.

    Attributes:
        wire: how its muxer writes things.
        resets: streams that the victim dropped.
        data: what the victim said on each stream.
    """

    def __init__(self, wire: Wire, channel: ByteStream) -> None:
        self.wire = wire
        self.resets: set[int] = set()
        self.data: dict[int, bytes] = {}
        self._channel = channel
        self._buffer = b""

    async def send(self, *frames: bytes) -> None:
        with contextlib.suppress(LabError, OSError):
            async with asyncio.timeout(PATIENCE):
                await self._channel.write(b"".join(frames))

    async def receive(self) -> bool:
        """Take what comes next; False at the end."""
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._channel.read(1 << 16)
        except (LabError, OSError):
            return False
        self._buffer += data
        end = 0
        for frame, end in self.wire.read(self._buffer):  # noqa: B007 - the last end counts
            if frame.is_reset:
                self.resets.add(frame.stream)
            self.data[frame.stream] = self.data.get(frame.stream, b"") + frame.data
        self._buffer = self._buffer[end:]
        return bool(data)

    async def until_closed(self) -> None:
        while await self.receive():
            pass

    async def echoes(self, n: int) -> None:
        """A stream of its own works: so the connection does."""
        data = b"still here" * 20
        await self.send(
            self.wire.opening(n), self.wire.message(n, HELLO + line("/echo/1.0.0") + data)
        )
        while not self.data.get(n, b"").endswith(data):
            assert n not in self.resets
            assert await self.receive()


async def enter(stage: Stage, muxer: str, security: str) -> Mallory:
    wire = WIRES[muxer]()
    return Mallory(wire, await stage.secured(SECURITY[security](), wire.protocol))


def victim():
    """A host that speaks both muxers."""
    return scene(muxers=[Yamux(), Mplex()])


def streams(stage: Stage) -> int:
    """How many streams the attacker has open at the victim."""
    return sum(
        stream.direction == "inbound"
        for connection in stage.host.connections_to(stage.peer)
        for stream in connection.streams.values()
    )


@each_stack
async def test_s1_streams_without_end_are_refused_beyond_the_backlog(muxer, security) -> None:
    async with victim() as stage:
        mallory = await enter(stage, muxer, security)
        most = 1000
        with bounded_memory():
            for start in range(0, most, 100):
                await mallory.send(*(mallory.wire.opening(n) for n in range(start, start + 100)))
                await asyncio.sleep(0)
                assert streams(stage) <= BACKLOG
                if start >= BACKLOG:
                    assert await mallory.receive()
            while len(mallory.resets) < most - BACKLOG:
                assert await mallory.receive()
        assert streams(stage) == BACKLOG


@each_stack
async def test_s1_streams_without_end_at_once_end_the_session(muxer, security) -> None:
    async with victim() as stage:
        mallory = await enter(stage, muxer, security)
        with bounded_memory():
            await mallory.send(*(mallory.wire.opening(n) for n in range(3000)))
            await mallory.until_closed()
        await stage.refused("LimitExceeded", "yamux_max_queued_replies")
        await stage.alone()


@each_stack
async def test_s1_rapid_reset_costs_nothing(muxer, security) -> None:
    async with victim() as stage:
        mallory = await enter(stage, muxer, security)
        with bounded_memory():
            for start in range(0, 600, 200):
                numbers = range(start, start + 200)
                wire = mallory.wire
                await mallory.send(*(wire.opening(n) + wire.reset(n) for n in numbers))
                await asyncio.sleep(0)
                assert streams(stage) <= BACKLOG
        await mallory.echoes(600)
        assert streams(stage) == 1


@each_stack
async def test_s2_empty_frames_without_end_pile_up_nowhere(muxer, security) -> None:
    async with victim() as stage:
        mallory = await enter(stage, muxer, security)
        await mallory.send(mallory.wire.opening(0))
        flood = mallory.wire.nothing(0) * 1000
        with bounded_memory():
            for _ in range(4):
                await mallory.send(flood)
            await mallory.echoes(1)


@each_stack
@pytest.mark.parametrize("length", [64 * MIB, (1 << 32) - 1, 1 << 40], ids=str)
async def test_s3_s4_s8_huge_lengths_are_refused_from_the_header(muxer, security, length) -> None:
    """Past the window in yamux, past 1 MiB in mplex: nothing is waited for, and nothing allocated."""
    async with victim() as stage:
        mallory = await enter(stage, muxer, security)
        with bounded_memory():
            await mallory.send(mallory.wire.opening(0), mallory.wire.announcing(0, length))
            await mallory.until_closed()
        error = "ProtocolViolation" if muxer == "yamux" else "LimitExceeded: limit mplex_message"
        await stage.refused(error)
        await stage.alone()


@each_stack
async def test_s5_s7_what_nobody_reads_is_bounded(muxer, security) -> None:
    """Yamux: past the window the session ends. Mplex has none: the stream is reset, and the others go on."""
    asleep = asyncio.Event()

    async with victim() as stage:

        @stage.host.handle("/sleep")
        async def sleep(stream) -> None:
            await asleep.wait()

        mallory = await enter(stage, muxer, security)
        await mallory.send(mallory.wire.opening(0), mallory.wire.message(0, HELLO + line("/sleep")))
        while not mallory.data.get(0, b"").endswith(line("/sleep")):
            assert await mallory.receive()
        most = DEFAULT_LIMITS.mplex_stream_buffer
        with bounded_memory():
            for _ in range(most // 50_000 + 2):
                await mallory.send(mallory.wire.message(0, bytes(50_000)))
                await asyncio.sleep(0)
            if muxer == "yamux":
                await mallory.until_closed()
                await stage.refused("ProtocolViolation", "allowed by the window")
                await stage.alone()
            else:
                while 0 not in mallory.resets:
                    assert await mallory.receive()
                await mallory.echoes(1)
        asleep.set()


@each_stack
async def test_s59_a_reader_that_does_not_read_makes_our_writes_wait(muxer, security) -> None:
    written = 0

    async with victim() as stage:

        @stage.host.handle("/flood")
        async def flood(stream) -> None:
            nonlocal written
            for _ in range(2000):
                await stream.write(bytes(64 * 1024))
                written += 1

        mallory = await enter(stage, muxer, security)
        with bounded_memory():
            await mallory.send(
                mallory.wire.opening(0), mallory.wire.message(0, HELLO + line("/flood"))
            )
            before, still = -1, 0
            while still < 20:
                still = still + 1 if written == before and written else 0
                before = written
                await asyncio.sleep(0.01)
            assert written < 2000, "all was taken though nobody reads"
            await stage.bystander.goes_on()
