"""What a hostile peer may try with yamux: S1 to S6 and S59 of the list of security statements."""

from __future__ import annotations

import asyncio

import pytest

from libp2p_lab.errors import LimitExceeded, ProtocolViolation
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing import YamuxSession
from libp2p_lab.multiplexing.muxer import SessionFailed
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, FrameType, WindowUpdate
from tests.hostile.scene import (
    HELLO,
    MIB,
    Attacker,
    Stage,
    bounded_memory,
    header,
    line,
    scene,
)

WINDOW = DEFAULT_LIMITS.yamux_initial_window
DATA, UPDATE, PING = FrameType.DATA, FrameType.WINDOW_UPDATE, FrameType.PING
SYN, ACK, FIN, RST = Flags.SYN, Flags.ACK, Flags.FIN, Flags.RST


def attackers_streams(stage: Stage) -> int:
    """How many streams the attacker has open at the victim."""
    return sum(
        stream.direction == "inbound"
        for connection in stage.host.connections_to(stage.peer)
        for stream in connection.streams.values()
    )


# -- S1: streams without end -----------------------------------------------------------------------


async def test_s1_streams_without_end_are_refused_beyond_the_backlog() -> None:
    """The attacker reads the answers, so the session lives: 256 streams wait, the others are reset."""
    async with scene() as stage:
        attacker = await stage.muxed()
        with bounded_memory():
            for start in range(0, 10_000, 100):
                await attacker.send(
                    *(header(UPDATE, SYN, 2 * n + 1, 0) for n in range(start, start + 100))
                )
                assert await attacker.receive()
                assert attackers_streams(stage) <= DEFAULT_LIMITS.yamux_accept_backlog
            expected = 10_000 - DEFAULT_LIMITS.yamux_accept_backlog
            while sum(1 for _, flags, _, _ in attacker.frames if flags & RST) < expected:
                assert await attacker.receive()
        assert attackers_streams(stage) == DEFAULT_LIMITS.yamux_accept_backlog


async def test_s1_streams_without_end_at_once_end_the_session() -> None:
    async with scene() as stage:
        attacker = await stage.muxed()
        flood = [header(UPDATE, SYN, 2 * n + 1, 0) for n in range(10_000)]
        with bounded_memory():
            await attacker.send(*flood)
            assert await attacker.go_away() == 1
        await stage.refused("LimitExceeded", "yamux_max_queued_replies")
        await stage.alone()


async def test_s1_streams_that_negotiate_and_stay_are_bounded_too() -> None:
    """With a handler in charge they leave the backlog; then each protocol has its own number."""
    limits = Limits(max_streams_per_protocol_and_peer=16)
    async with scene(limits) as stage:
        attacker = await stage.muxed()
        hello = HELLO + line("/echo/1.0.0")
        with bounded_memory():
            for n in range(400):
                await attacker.send(DataFrame(2 * n + 1, SYN, hello).encode())
            resets: set[int] = set()
            while len(resets) < 400 - 16:
                assert await attacker.receive()
                resets = {which for _, flags, which, _ in attacker.frames if flags & RST}
        await stage.refused("LimitExceeded", "/echo/1.0.0")
        assert attackers_streams(stage) <= 16


async def test_s1_opened_and_reset_without_end() -> None:
    """Rapid reset: what is gone costs nothing."""
    async with scene() as stage:
        attacker = await stage.muxed()
        with bounded_memory():
            for start in range(0, 4000, 200):
                ids = [2 * n + 1 for n in range(start, start + 200)]
                await attacker.send(
                    *(header(UPDATE, SYN, n, 0) + header(UPDATE, RST, n, 0) for n in ids)
                )
                await asyncio.sleep(0)
                assert attackers_streams(stage) <= DEFAULT_LIMITS.yamux_accept_backlog
        await attacker.send(header(PING, SYN, 0, 7))
        while (PING, ACK, 0, 7) not in attacker.frames:
            assert await attacker.receive()


# -- S2: answers that nobody takes -----------------------------------------------------------------


async def test_s2_pings_whose_answers_are_not_taken_end_the_session() -> None:
    async with scene() as stage:
        attacker = await stage.muxed()
        flood = header(PING, SYN, 0, 1) * 1000
        with bounded_memory():
            for _ in range(100):
                await attacker.send(flood)
            await stage.refused("LimitExceeded", "yamux_max_queued_replies")
        await stage.alone()


@pytest.mark.parametrize(
    "frame",
    [
        header(DATA, 0, 1, 0),
        header(UPDATE, 0, 1, 0),
        header(UPDATE, 0, 1, 1),
        header(PING, ACK, 0, 5),
        header(DATA, FIN, 1, 0),
    ],
    ids=["no data", "no window", "a byte of window", "pongs", "ends"],
)
async def test_s2_tiny_frames_without_end_pile_up_nowhere(frame) -> None:
    async with scene() as stage:
        attacker = await stage.muxed()
        await attacker.send(header(UPDATE, SYN, 1, 0))
        flood = frame * 1000
        with bounded_memory():
            for _ in range(100):
                await attacker.send(flood)
        await stage.bystander.goes_on()


async def test_s2_a_window_of_single_bytes_takes_little_more_than_the_bytes() -> None:
    """Each frame brings one byte, and nobody reads: kept apart, they would take forty times as much."""
    asleep = asyncio.Event()

    async with scene() as stage:

        @stage.host.handle("/sleep")
        async def sleep(stream) -> None:
            await asleep.wait()

        attacker = await stage.muxed()
        await attacker.send(DataFrame(1, SYN, HELLO + line("/sleep")).encode())
        flood = DataFrame(1, 0, b"x").encode() * 1024
        assert WINDOW > 64 * 1024
        with bounded_memory(MIB):
            for _ in range(64):
                await attacker.send(flood)
            await attacker.send(header(PING, SYN, 0, 7))
            while (PING, ACK, 0, 7) not in attacker.frames:
                assert await attacker.receive()
        asleep.set()


# -- S3 to S6: windows -----------------------------------------------------------------------------


async def ends_with_protocol_error(*frames: bytes, reason: str) -> None:
    async with scene() as stage:
        attacker = await stage.muxed()
        with bounded_memory():
            await attacker.send(*frames)
            assert await attacker.go_away() == 1
        await stage.refused("ProtocolViolation", reason)
        await stage.alone()


@pytest.mark.parametrize("length", [WINDOW + 1, 16 * MIB, (1 << 32) - 1])
async def test_s3_the_first_frame_longer_than_the_window(length) -> None:
    await ends_with_protocol_error(header(DATA, SYN, 1, length), reason="allowed by the window")


async def test_s3_its_body_is_not_read() -> None:
    session = YamuxSession(is_dialer=False)
    events = session.receive_data(header(DATA, SYN, 1, WINDOW + 1) + bytes(1000))
    [failure] = [event for event in events if isinstance(event, SessionFailed)]
    assert isinstance(failure.error, ProtocolViolation)
    assert session.receive_data(bytes(1000)) == []


@pytest.mark.parametrize("stream_id", [1, 3])
async def test_s4_a_header_that_claims_4_gib(stream_id) -> None:
    """On a stream that is open, and on one that was."""
    opened = header(UPDATE, SYN, 1, 0) + header(UPDATE, SYN, 3, 0) + header(UPDATE, RST, 3, 0)
    await ends_with_protocol_error(
        opened, header(DATA, 0, stream_id, (1 << 32) - 1), reason="4294967295 bytes announced"
    )


async def test_s5_one_byte_past_the_window() -> None:
    """The application reads nothing: no window update can have been sent."""
    session = YamuxSession(is_dialer=False)
    assert session.receive_data(DataFrame(1, SYN, bytes(WINDOW)).encode())
    [failure] = session.receive_data(DataFrame(1, 0, b"x").encode())
    assert isinstance(failure, SessionFailed)
    assert isinstance(failure.error, ProtocolViolation)
    await ends_with_protocol_error(
        DataFrame(1, SYN, bytes(1000)).encode(), header(DATA, 0, 1, WINDOW), reason="allowed"
    )


@pytest.mark.parametrize("deltas", [(1 << 32) - 1, 1 << 31])
async def test_s6_window_updates_that_overflow(deltas) -> None:
    count = (1 << 32) // deltas + 1
    await ends_with_protocol_error(
        header(UPDATE, SYN, 1, 0),
        *(header(UPDATE, 0, 1, deltas) for _ in range(count)),
        reason="add up to more than 2^32-1",
    )


# -- frames that are no frames, and streams that are not theirs -------------------------------------

BROKEN = {
    "another version": (b"\x01" + bytes(11), "MalformedMessage"),
    "an unknown type": (b"\x00\x04" + bytes(10), "MalformedMessage"),
    "data on the session": (DataFrame(0, 0, b"x").encode(), "ProtocolViolation"),
    "a stream never opened": (DataFrame(5, 0, b"x").encode(), "ProtocolViolation"),
    "a stream of ours": (WindowUpdate(200, 0, 1).encode(), "ProtocolViolation"),
    "a stream with our parity": (WindowUpdate(200, SYN, 1).encode(), "ProtocolViolation"),
    "the session opened": (WindowUpdate(0, SYN, 1).encode(), "ProtocolViolation"),
    "opened twice": (WindowUpdate(1, SYN, 0).encode() * 2, "ProtocolViolation"),
    "a ping on a stream": (header(PING, SYN, 1, 1), "ProtocolViolation"),
    "data behind the end": (
        DataFrame(1, SYN | FIN, b"x").encode() + DataFrame(1, 0, b"y").encode(),
        "ProtocolViolation",
    ),
    "garbage": (b"GET / HTTP/1.1\r\n\r\n", "MalformedMessage"),
}


PIECES = [(name, piece) for name in BROKEN for piece in (1 << 30, 1)]
# Byte by byte, our side ends this stream too before the data comes; what comes for a stream that is gone is dropped.
PIECES.remove(("data behind the end", 1))


@pytest.mark.parametrize(("name", "piece"), PIECES)
async def test_a_broken_rule_ends_the_session_with_its_code(name, piece) -> None:
    frames, error = BROKEN[name]
    async with scene() as stage:
        attacker = await stage.muxed()
        for start in range(0, len(frames), piece):
            if stage.reasons():
                break  # it has hung up: a write would cost us what it said last
            await attacker.send(frames[start : start + piece])
            await asyncio.sleep(0.001)
        assert await attacker.go_away() == 1
        await stage.refused(error)
        await stage.alone()


async def test_the_remote_says_goodbye_with_an_error() -> None:
    async with scene() as stage:
        attacker = await stage.muxed()
        await attacker.send(header(FrameType.GO_AWAY, 0, 0, 2))
        await attacker.until_closed()
        await stage.refused("ProtocolViolation", "code 2")


def test_a_session_that_never_drains_holds_a_bounded_queue() -> None:
    session = YamuxSession(is_dialer=False)
    events = [
        event
        for _ in range(10_000)
        for event in session.receive_data(header(PING, SYN, 0, 1))
        if isinstance(event, SessionFailed)
    ]
    assert [type(event.error) for event in events] == [LimitExceeded]
    most = (DEFAULT_LIMITS.yamux_max_queued_replies + 2) * 12
    assert len(session.data_to_send()) <= most


# -- S59: a reader that does not read ---------------------------------------------------------------


@pytest.mark.parametrize("grant", [0, (1 << 32) - 1 - WINDOW], ids=["no window", "all the window"])
async def test_s59_a_reader_that_does_not_read_makes_our_writes_wait(grant) -> None:
    """With a window of 4 GiB it is the socket that fills; without, the window. Our queue is bounded either way."""
    written = 0

    async with scene() as stage:

        @stage.host.handle("/flood")
        async def flood(stream) -> None:
            nonlocal written
            for _ in range(2000):
                await stream.write(bytes(64 * 1024))
                written += 1

        attacker: Attacker = await stage.muxed()
        with bounded_memory():
            await attacker.send(DataFrame(1, SYN, HELLO + line("/flood")).encode())
            if grant:
                await attacker.send(header(UPDATE, 0, 1, grant))
            before, still = -1, 0
            while still < 20:
                still = still + 1 if written == before else 0
                before = written
                await asyncio.sleep(0.01)
            assert written < 2000, "all was taken though nobody reads"
            await stage.bystander.goes_on()
