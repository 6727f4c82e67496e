"""The rules of `Muxer` and its sessions, checked on any implementation.

    async def test_my_muxer() -> None:
        await check_muxer(MyMuxer())

The first half steps two sessions by hand, without a stream below; the second half puts them to work on one.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from libp2p_lab.errors import ConnectionLost, LimitExceeded, RemoteError, StreamClosed, StreamReset
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    GoAwayReceived,
    Muxer,
    MuxerEvent,
    MuxerSession,
    PongReceived,
    ResetReceived,
    SessionFailed,
    StreamOpened,
    WriteClosed,
)
from libp2p_lab.trace import Probe
from tests.conformance.byte_stream import BYTE_STREAM_CHECKS, Flood, pattern
from tests.conformance.pairs import MuxedEnd, memory_pair, muxed_connections, muxed_pair


async def check_muxer(muxer: Muxer) -> None:
    """All the rules, those of its streams as byte streams included."""
    for check in MUXER_CHECKS:
        await check(muxer)
    for stream_check in BYTE_STREAM_CHECKS:
        await stream_check(partial(muxed_pair, memory_pair, muxer))


class SessionPair:
    """Two sessions and the wire between them, moved by hand.

    Attributes:
        sides: the dialer's session and the listener's.
        events: all that each was told so far.
        data: for each side, what arrived on each stream.
        piece: the wire hands over so many bytes at a time.
    """

    def __init__(self, muxer: Muxer, limits: Limits = DEFAULT_LIMITS, piece: int = 1 << 30) -> None:
        self.sides: tuple[MuxerSession, MuxerSession] = (
            muxer.session(is_dialer=True, limits=limits, probe=Probe(layer="muxer")),
            muxer.session(is_dialer=False, limits=limits, probe=Probe(layer="muxer")),
        )
        self.events: tuple[list[MuxerEvent], list[MuxerEvent]] = ([], [])
        self.data: tuple[dict[int, bytes], dict[int, bytes]] = ({}, {})
        self.piece = piece
        self.now = 0.0

    def move(self, sender: int) -> bool:
        """Bring what one side has to send to the other; whether there was anything."""
        moved = False
        while wire := self.sides[sender].data_to_send():
            moved = True
            self.now += 0.001
            for start in range(0, len(wire), self.piece):
                part = wire[start : start + self.piece]
                self.note(1 - sender, self.sides[1 - sender].receive_data(part, self.now))
        return moved

    def note(self, side: int, events: list[MuxerEvent]) -> None:
        self.events[side].extend(events)
        for event in events:
            if isinstance(event, DataReceived):
                arrived = self.data[side].setdefault(event.stream_id, b"")
                self.data[side][event.stream_id] = arrived + event.data

    def settle(self) -> None:
        """Move until nobody has anything to send."""
        for _ in range(10_000):
            if not self.move(0) | self.move(1):
                return
        raise AssertionError("the two sides never stop talking")

    def of_kind(self, side: int, kind: type) -> list[MuxerEvent]:
        return [event for event in self.events[side] if isinstance(event, kind)]

    def open(self, side: int = 0) -> int:
        """Open a stream and make it known to the other side."""
        stream_id = self.sides[side].open_stream()
        self.settle()
        self.sides[1 - side].accept(stream_id)
        return stream_id


async def check_data_arrives_on_its_stream(muxer: Muxer) -> None:
    pair = SessionPair(muxer)
    streams = [pair.sides[0].open_stream() for _ in range(5)]
    theirs = [pair.sides[1].open_stream() for _ in range(5)]
    for side, ids in ((0, streams), (1, theirs)):
        for stream_id in ids:
            pair.sides[side].send(stream_id, pattern(100_000, stream_id))
    pair.settle()
    for side, ids in ((1, streams), (0, theirs)):
        assert pair.of_kind(side, StreamOpened) == [StreamOpened(stream_id) for stream_id in ids]
        assert pair.data[side] == {stream_id: pattern(100_000, stream_id) for stream_id in ids}


async def check_ids_are_never_used_twice(muxer: Muxer) -> None:
    """Not between the sides, and not after a stream has gone."""
    pair = SessionPair(muxer)
    seen: set[int] = set()
    for _ in range(20):
        for side in (0, 1):
            stream_id = pair.open(side)
            assert stream_id not in seen
            seen.add(stream_id)
            pair.sides[0].reset(stream_id)
            pair.settle()


async def check_the_cut_of_the_wire_does_not_matter(muxer: Muxer) -> None:
    """Whole, byte by byte or in pieces of seven: the same events, data joined."""
    outcomes = []
    for piece in (1 << 30, 1, 7):
        pair = SessionPair(muxer, piece=piece)
        first, second = pair.open(0), pair.open(1)
        for side, stream_id in ((0, first), (1, second)):
            pair.sides[side].send(stream_id, pattern(3000, side))
            pair.sides[side].close_write(stream_id)
        pair.settle()
        third = pair.open(0)
        pair.sides[0].send(third, b"x")
        pair.settle()
        pair.sides[1].reset(third)
        pair.sides[0].ping(pair.now)
        pair.settle()
        pair.sides[1].go_away()
        pair.settle()
        kinds = [
            [
                (type(event), getattr(event, "stream_id", None))
                for event in events
                if not isinstance(event, DataReceived)
            ]
            for events in pair.events
        ]
        outcomes.append((kinds, pair.data))
    assert outcomes[0] == outcomes[1] == outcomes[2]


async def check_half_close_of_a_session(muxer: Muxer) -> None:
    """The end comes behind the data, once; the other direction stays open."""
    pair = SessionPair(muxer)
    stream_id = pair.open()
    pair.sides[0].send(stream_id, b"question")
    pair.sides[0].close_write(stream_id)
    pair.sides[0].close_write(stream_id)
    with pytest.raises(StreamClosed):
        pair.sides[0].send(stream_id, b"too late")
    pair.settle()
    assert pair.of_kind(1, WriteClosed) == [WriteClosed(stream_id)]
    assert pair.data[1] == {stream_id: b"question"}
    pair.sides[1].send(stream_id, b"answer")
    pair.sides[1].close_write(stream_id)
    pair.settle()
    assert pair.data[0] == {stream_id: b"answer"}
    assert pair.of_kind(0, WriteClosed) == [WriteClosed(stream_id)]


async def check_reset_of_a_session(muxer: Muxer) -> None:
    """Told once; nothing can be sent afterwards, and what crosses it on the way is no error."""
    pair = SessionPair(muxer)
    stream_id, other = pair.open(), pair.open()
    pair.sides[1].send(stream_id, pattern(10_000))
    pair.sides[0].reset(stream_id)
    pair.sides[0].reset(stream_id)
    with pytest.raises((StreamReset, StreamClosed)):
        pair.sides[0].send(stream_id, b"too late")
    pair.move(0)
    assert pair.of_kind(1, ResetReceived) == [ResetReceived(stream_id)]
    with pytest.raises((StreamReset, StreamClosed)):
        pair.sides[1].send(stream_id, b"too late")
    pair.settle()
    pair.sides[1].send(other, b"others go on")
    pair.settle()
    assert pair.data[0][other] == b"others go on"
    assert not pair.of_kind(0, SessionFailed)
    assert not pair.of_kind(1, SessionFailed)


async def check_crossing_data_and_reset(muxer: Muxer) -> None:
    """Data that was on its way when the stream was reset belongs to nobody, and is no fault."""
    pair = SessionPair(muxer)
    stream_id = pair.open()
    pair.sides[0].send(stream_id, pattern(100_000))
    in_flight = pair.sides[0].data_to_send(1 << 20)
    pair.sides[1].reset(stream_id)
    pair.note(1, pair.sides[1].receive_data(in_flight))
    pair.settle()
    assert not pair.of_kind(1, SessionFailed)
    assert pair.of_kind(0, ResetReceived) == [ResetReceived(stream_id)]


async def check_a_reader_that_stops_holds_only_its_own_stream(muxer: Muxer) -> None:
    """Nobody takes the data of one stream: that one stands still, the others move."""
    pair = SessionPair(muxer)
    stalled, moving = pair.open(), pair.open()
    total = 4 << 20
    pair.sides[0].send(stalled, bytes(total))
    pair.sides[0].send(moving, pattern(total))
    received = 0
    for _ in range(1000):
        before = len(pair.data[1].get(moving, b""))
        pair.settle()
        new = len(pair.data[1].get(moving, b"")) - before
        if not new:
            break
        received += new
        pair.sides[1].consumed(moving, new, pair.now)
    assert received == total
    assert hashlib.sha256(pair.data[1][moving]).digest() == hashlib.sha256(pattern(total)).digest()
    assert pair.sides[0].unsent(moving) == 0
    left = pair.sides[0].unsent(stalled)
    assert left > 0, "all was sent though nobody reads: nothing bounds the reader's memory"
    assert left + len(pair.data[1][stalled]) == total
    taken = 0
    while pair.sides[0].unsent(stalled):
        there = len(pair.data[1][stalled])
        pair.sides[1].consumed(stalled, there - taken, pair.now)
        taken = there
        pair.settle()
        assert len(pair.data[1][stalled]) > there, "reading on does not start the stream again"


async def check_streams_take_turns(muxer: Muxer) -> None:
    """A stream with a lot to say does not keep one with a little to say waiting for its end."""
    pair = SessionPair(muxer)
    long, short = pair.open(), pair.open()
    pair.sides[0].send(long, bytes(250_000))
    pair.sides[0].send(short, b"just this")
    while short not in pair.data[1]:
        wire = pair.sides[0].data_to_send(1000)
        assert wire
        pair.note(1, pair.sides[1].receive_data(wire))
    assert pair.sides[0].unsent(long) > 0


async def check_a_reader_that_is_done(muxer: Muxer) -> None:
    """After `stop_reading` no data is told, and a remote with a lot to say is not left waiting for ever."""
    pair = SessionPair(muxer)
    stream_id = pair.open()
    pair.sides[0].close_write(stream_id)
    pair.sides[0].stop_reading(stream_id)
    pair.settle()
    pair.sides[1].send(stream_id, bytes(1 << 20))
    pair.settle()
    assert pair.of_kind(0, DataReceived) == []
    assert pair.of_kind(1, ResetReceived) or not pair.sides[1].unsent(stream_id)


async def check_ping_and_pong(muxer: Muxer) -> None:
    for side in (0, 1):
        pair = SessionPair(muxer)
        pair.sides[side].ping(0.0)
        wire = pair.sides[side].data_to_send()
        pair.note(1 - side, pair.sides[1 - side].receive_data(wire, 1.0))
        wire = pair.sides[1 - side].data_to_send()
        pair.note(side, pair.sides[side].receive_data(wire, 2.5))
        assert pair.of_kind(side, PongReceived) == [PongReceived(2.5)]


async def check_go_away_of_a_session(muxer: Muxer) -> None:
    pair = SessionPair(muxer)
    stream_id = pair.open()
    pair.sides[1].go_away()
    pair.settle()
    assert pair.of_kind(0, GoAwayReceived) == [GoAwayReceived(0)]
    for session in pair.sides:
        with pytest.raises(ConnectionLost):
            session.open_stream()
    pair.sides[0].send(stream_id, b"streams that are open go on")
    pair.settle()
    assert pair.data[1][stream_id] == b"streams that are open go on"


async def check_the_backlog(muxer: Muxer) -> None:
    """So many streams may wait for the remote to take note of them, and no more."""
    limits = Limits(yamux_accept_backlog=8)
    pair = SessionPair(muxer, limits)
    for _ in range(8):
        assert pair.sides[0].can_open_stream()
        pair.sides[0].open_stream()
    assert not pair.sides[0].can_open_stream()
    with pytest.raises(LimitExceeded):
        pair.sides[0].open_stream()
    pair.settle()
    assert pair.sides[0].can_open_stream()


async def check_unknown_streams_are_no_error_for_the_caller(muxer: Muxer) -> None:
    """The driver may be late: the stream it speaks of may be gone."""
    pair = SessionPair(muxer)
    stream_id = pair.open()
    pair.sides[0].reset(stream_id)
    pair.settle()
    for session in pair.sides:
        session.consumed(stream_id, 10)
        session.stop_reading(stream_id)
        session.close_write(stream_id)
        session.reset(stream_id)
        session.accept(stream_id)
        assert session.unsent(stream_id) == 0
    pair.settle()


async def check_garbage_ends_the_session(muxer: Muxer) -> None:
    """With an event and no exception, and then there is silence."""
    for garbage in (b"\xff" * 1000, pattern(1000), b"GET / HTTP/1.1\r\n\r\n" * 50):
        for piece in (1, 1 << 30):
            session = SessionPair(muxer).sides[1]
            events: list[MuxerEvent] = []
            for start in range(0, len(garbage), piece):
                events += session.receive_data(garbage[start : start + piece])
            failures = [event for event in events if isinstance(event, SessionFailed)]
            assert len(failures) == 1
            assert isinstance(failures[0].error, RemoteError | LimitExceeded)
            assert session.receive_data(garbage) == []
            with pytest.raises(ConnectionLost):
                session.open_stream()
            assert session.data_to_send(), "the remote is not told why"


async def check_many_streams_at_once(muxer: Muxer) -> None:
    """Two hundred streams each way, each with its own echo."""
    async with muxed_connections(muxer=muxer) as (one, other):

        async def echo_all(end: MuxedEnd) -> None:
            async with asyncio.TaskGroup() as answers:
                for _ in range(200):
                    answers.create_task(echo(await end.accept()))

        async def echo(stream: MuxedStream) -> None:
            async for chunk in stream:
                await stream.write(chunk)
            await stream.close_write()

        async def ask(end: MuxedEnd, number: int) -> None:
            stream = await end.connection.open_stream()
            data = pattern(500 + number, number)
            await stream.write(data)
            await stream.close_write()
            assert await stream.read() == data

        async with asyncio.TaskGroup() as tasks:
            for end in (one, other):
                tasks.create_task(echo_all(end))
                for number in range(200):
                    tasks.create_task(ask(end, number))
        assert not one.connection.streams
        assert not other.connection.streams


async def check_a_stalled_stream_stops_alone(muxer: Muxer) -> None:
    async with muxed_connections(muxer=muxer) as (one, other):
        stalled, moving = [await one.connection.open_stream() for _ in range(2)]
        flood = Flood(stalled)
        await moving.write(b"hello")
        accepted = {stream.id: stream for stream in [await other.accept(), await other.accept()]}
        await flood.stands_still()
        theirs = accepted[moving.id]
        assert await theirs.read_exactly(5) == b"hello"
        for number in range(20):
            data = pattern(50_000, number)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(theirs.write(data))
                assert await moving.read_exactly(len(data)) == data
        await flood.cancel()
        await stalled.reset()


async def check_everything_ends_with_the_connection(muxer: Muxer) -> None:
    """Readers, writers and openers that wait are told."""
    async with muxed_connections(muxer=muxer) as (one, other):
        stream = await one.connection.open_stream()
        flood = Flood(stream)
        await flood.stands_still()
        reading = asyncio.create_task(stream.read(1))
        await asyncio.sleep(0)
        await other.connection.close()
        for waiting in (flood.task, reading):
            with pytest.raises((ConnectionLost, StreamReset)):
                await waiting
        with pytest.raises(ConnectionLost):
            await one.connection.open_stream()
        assert not one.connection.streams


MUXER_CHECKS: tuple[Callable[[Muxer], Awaitable[None]], ...] = (
    check_data_arrives_on_its_stream,
    check_ids_are_never_used_twice,
    check_the_cut_of_the_wire_does_not_matter,
    check_half_close_of_a_session,
    check_reset_of_a_session,
    check_crossing_data_and_reset,
    check_a_reader_that_stops_holds_only_its_own_stream,
    check_streams_take_turns,
    check_a_reader_that_is_done,
    check_ping_and_pong,
    check_go_away_of_a_session,
    check_the_backlog,
    check_unknown_streams_are_no_error_for_the_caller,
    check_garbage_ends_the_session,
    check_many_streams_at_once,
    check_a_stalled_stream_stops_alone,
    check_everything_ends_with_the_connection,
)
