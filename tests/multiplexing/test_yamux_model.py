"""Two yamux sessions against a model of what streams are, in any order of calls, over wires cut anywhere.

The model knows nothing of frames or windows: for each stream and direction it keeps the bytes that were written and
whether they have an end, and for each stream whether somebody dropped it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libp2p_lab.errors import ConnectionLost, LimitExceeded, StreamClosed, StreamReset
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing import YamuxSession
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    GoAwayReceived,
    PongReceived,
    ResetReceived,
    SessionFailed,
    StreamOpened,
    WriteClosed,
)

BACKLOG = 4
LIMITS = Limits(yamux_accept_backlog=BACKLOG, yamux_max_streams=6, yamux_max_queued_replies=100_000)
SIDES = st.integers(0, 1)
SIZES = st.sampled_from([1, 10, 1000, 70_000, 300_000])


@dataclass
class Half:
    """One direction of a stream: what its writer said, and what its reader was told."""

    written: int = 0
    ended: bool = False
    arrived: int = 0
    taken: int = 0
    told_the_end: bool = False
    reader_is_done: bool = False


@dataclass
class Stream:
    halves: tuple[Half, Half] = field(default_factory=lambda: (Half(), Half()))  # by writer
    dropped: bool = False  # by either side, or refused
    known: set[int] = field(default_factory=set)  # the sides that have it


def content(stream_id: int, writer: int, start: int, n: int) -> bytes:
    """The bytes of a half are its own: anything astray is seen."""
    pattern = bytes((stream_id * 7 + writer * 3 + k) % 251 for k in range(251))
    offset = start % 251
    return (pattern * (n // 251 + 2))[offset : offset + n]


class TwoSessions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sides = (
            YamuxSession(is_dialer=True, limits=LIMITS),
            YamuxSession(is_dialer=False, limits=LIMITS),
        )
        self.wires = (bytearray(), bytearray())  # by sender
        self.streams: dict[int, Stream] = {}
        self.pings = [0, 0]
        self.pongs = [0, 0]
        self.left = [False, False]
        self.now = 0.0

    # -- what may happen ---------------------------------------------------------------------------

    @rule(side=SIDES)
    def open(self, side: int) -> None:
        try:
            stream_id = self.sides[side].open_stream()
        except LimitExceeded:
            return
        except ConnectionLost:
            assert any(self.left)
            return
        assert stream_id not in self.streams
        assert stream_id % 2 == 1 - side
        self.streams[stream_id] = Stream(known={side})

    def pick(self, data: st.DataObject) -> tuple[int, int, Stream]:
        stream_id = data.draw(st.sampled_from(sorted(self.streams)), label="stream")
        stream = self.streams[stream_id]
        side = data.draw(st.sampled_from(sorted(stream.known)), label="side")
        return stream_id, side, stream

    @precondition(lambda self: self.streams)
    @rule(data=st.data(), size=SIZES)
    def send(self, data: st.DataObject, size: int) -> None:
        stream_id, side, stream = self.pick(data)
        half = stream.halves[side]
        piece = content(stream_id, side, half.written, size)
        try:
            self.sides[side].send(stream_id, piece)
        except StreamClosed:
            assert half.ended
        except StreamReset:
            assert stream.dropped or half.ended
        else:
            assert not half.ended
            half.written += size

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def close_write(self, data: st.DataObject) -> None:
        stream_id, side, stream = self.pick(data)
        self.sides[side].close_write(stream_id)
        stream.halves[side].ended = True

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        stream_id, side, stream = self.pick(data)
        self.sides[side].reset(stream_id)
        stream.dropped = True

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        stream_id, side, _ = self.pick(data)
        self.sides[side].accept(stream_id)

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def consume(self, data: st.DataObject) -> None:
        stream_id, side, stream = self.pick(data)
        half = stream.halves[1 - side]
        there = half.arrived - half.taken
        if there:
            self.take(side, stream_id, half, data.draw(st.integers(1, there), label="bytes"))

    def take(self, side: int, stream_id: int, half: Half, n: int) -> None:
        self.sides[side].consumed(stream_id, n, self.now)
        half.taken += n

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def stop_reading(self, data: st.DataObject) -> None:
        stream_id, side, stream = self.pick(data)
        self.sides[side].stop_reading(stream_id)
        stream.halves[1 - side].reader_is_done = True

    @rule(side=SIDES)
    def ping(self, side: int) -> None:
        self.sides[side].ping(self.now)
        self.pings[side] += 1

    @rule(side=SIDES, data=st.data())
    def write_to_the_wire(self, side: int, data: st.DataObject) -> None:
        limit = data.draw(st.sampled_from([1, 1000, 65507]), label="about")
        self.wires[side].extend(self.sides[side].data_to_send(limit))

    @precondition(lambda self: any(self.wires))
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        sender = data.draw(st.sampled_from([s for s in (0, 1) if self.wires[s]]), label="from")
        n = data.draw(st.sampled_from([1, 11, 12, 13, 1000, 1 << 20]), label="bytes")
        self.hand_over(sender, n)

    @rule(milliseconds=st.sampled_from([1, 50, 5000]))
    def time_passes(self, milliseconds: int) -> None:
        self.now += milliseconds / 1000

    @rule(side=SIDES, chance=st.integers(0, 19))
    def go_away(self, side: int, chance: int) -> None:
        if chance == 0:
            self.sides[side].go_away()
            self.left[side] = True

    # -- what must hold ----------------------------------------------------------------------------

    def hand_over(self, sender: int, n: int) -> None:
        wire = self.wires[sender]
        part = bytes(wire[:n])
        del wire[:n]
        for event in self.sides[1 - sender].receive_data(part, self.now):
            self.check(sender, event)

    def check(self, sender: int, event: object) -> None:
        receiver = 1 - sender
        match event:
            case SessionFailed(error):
                raise AssertionError(f"two correct sides quarrel: {error}")
            case StreamOpened(stream_id):
                assert receiver not in self.streams[stream_id].known
                self.streams[stream_id].known.add(receiver)
            case DataReceived(stream_id, data):
                half = self.streams[stream_id].halves[sender]
                assert not half.told_the_end
                assert not half.reader_is_done
                assert data == content(stream_id, sender, half.arrived, len(data))
                half.arrived += len(data)
                assert half.arrived <= half.written
                assert half.arrived - half.taken <= LIMITS.yamux_max_window
            case WriteClosed(stream_id):
                half = self.streams[stream_id].halves[sender]
                assert half.ended
                assert not half.told_the_end
                half.told_the_end = True
                assert half.reader_is_done or half.arrived == half.written
            case ResetReceived(stream_id):
                stream = self.streams[stream_id]
                done = any(half.reader_is_done for half in stream.halves)
                refused = receiver in stream.known and sender not in stream.known
                assert stream.dropped or done or refused
                stream.dropped = True
            case PongReceived(rtt):
                assert rtt >= 0
                self.pongs[receiver] += 1
            case GoAwayReceived(code):
                assert code == 0
                assert self.left[sender]
            case _:
                pass

    @invariant()
    def what_is_queued_and_what_arrived_is_what_was_written(self) -> None:
        for stream_id, stream in self.streams.items():
            if stream.dropped:
                continue
            for side in stream.known:
                half = stream.halves[side]
                unsent = self.sides[side].unsent(stream_id)
                assert unsent + half.arrived <= half.written

    @invariant()
    def inbound_streams_are_bounded(self) -> None:
        for side, session in enumerate(self.sides):
            inbound = [one for one in session._streams if one % 2 == side]
            assert len(inbound) == session._inbound <= LIMITS.yamux_max_streams
            assert 0 <= session._not_accepted <= BACKLOG
            assert 0 <= session._unacked <= BACKLOG
            assert session._extra_window >= 0

    def teardown(self) -> None:
        """Everybody reads everything: then all that was written has arrived, and every end with it."""
        for _ in range(10_000):
            moved = False
            for side in (0, 1):
                while out := self.sides[side].data_to_send():
                    self.wires[side].extend(out)
                if self.wires[side]:
                    self.hand_over(side, 1 << 30)
                    moved = True
                for stream_id, stream in self.streams.items():
                    half = stream.halves[1 - side]
                    if half.arrived > half.taken:
                        self.take(side, stream_id, half, half.arrived - half.taken)
                        moved = True
            if not moved:
                break
        else:
            raise AssertionError("the two sides never stop talking")
        for stream_id, stream in self.streams.items():
            if stream.dropped:
                continue
            for side in (0, 1):
                half = stream.halves[side]
                if not half.reader_is_done and len(stream.known) == 2:
                    assert half.arrived == half.written, stream_id
                    assert half.told_the_end == half.ended, stream_id
        for side, session in enumerate(self.sides):
            assert (self.pongs[side] > 0) >= (self.pings[side] > 0)
            gone = [one for one, stream in self.streams.items() if stream.dropped]
            assert not [one for one in gone if one in session._streams]


TestTwoSessions = TwoSessions.TestCase
TestTwoSessions.settings = settings(stateful_step_count=40)
TestTwoSessions = pytest.mark.hypothesis(TestTwoSessions)
