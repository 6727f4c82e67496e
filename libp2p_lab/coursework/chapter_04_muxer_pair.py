"""What E4.4 is stepped on: a student's session, the library's, and the wire between them, moved by hand."""

from __future__ import annotations

from typing import Any, TypeVar

from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    MuxerEvent,
    MuxerSession,
    SessionFailed,
)
from libp2p_lab.multiplexing.yamux import YamuxSession
from libp2p_lab.multiplexing.yamux_frames import (
    HEADER_LENGTH,
    DataFrame,
    Flags,
    Frame,
    FrameType,
    decode,
    decode_header,
)
from libp2p_lab.trace import Probe

METHODS = (
    "can_open_stream",
    "open_stream",
    "send",
    "unsent",
    "close_write",
    "reset",
    "accept",
    "stop_reading",
    "consumed",
    "receive_data",
    "data_to_send",
    "has_data_to_send",
    "ping",
    "go_away",
)
WINDOW = DEFAULT_LIMITS.yamux_initial_window
E = TypeVar("E", bound=MuxerEvent)

#: What the library says of a broken rule, and which of ours that is.
BROKEN = (("allowed by the window", "overruns"), ("never opened", "syn"))


#: Windows stay as they are at first, so that bytes can be counted.
LIMITS = Limits(yamux_max_window=WINDOW)


def frames(exam: Exam, wire: bytes) -> list[Frame]:
    """The frames of what the student's session sent; whole ones only."""
    found: list[Frame] = []
    position = 0
    while position < len(wire):
        if len(wire) - position < HEADER_LENGTH or wire[position] or wire[position + 1] > 3:
            exam.reject(
                "garbage", "this is no yamux frame", got=shown(wire[position:]), expected="a header"
            )
        kind, _, _, length = decode_header(wire, position)
        end = position + HEADER_LENGTH + (length if kind is FrameType.DATA else 0)
        exam.require(end <= len(wire), "garbage", "a data frame is shorter than it says")
        found.append(decode(wire[position:end]))
        position = end
    return found


class Pair:
    """The student's session, the library's, and the wire between them, moved by hand.

    Attributes:
        mine: the student's session; `theirs`: the library's.
        told: all events of the student's so far.
        heard: all events of the library's.
        sent: every frame that the student's session sent.
        arrived: what the student's session delivered, by stream.
    """

    def __init__(self, exam: Exam, muxer: Any, is_dialer: bool, limits: Limits = LIMITS):
        self.exam = exam
        made = muxer.session(is_dialer=is_dialer, limits=limits, probe=Probe(layer="muxer"))
        missing = [name for name in METHODS if not callable(getattr(made, name, None))]
        exam.require(
            not missing, "wrong-type", f"the session lacks {', '.join(missing)}", got=shown(made)
        )
        self.mine: MuxerSession = made
        self.theirs = YamuxSession(is_dialer=not is_dialer, limits=limits)
        self.first_id = 1 if is_dialer else 2
        self.told: list[MuxerEvent] = []
        self.heard: list[MuxerEvent] = []
        self.sent: list[Frame] = []
        self.arrived: dict[int, bytes] = {}
        self.got: dict[int, bytes] = {}  # what the library's session delivered
        self.now = 0.0
        exam.sent = f"two sessions by hand; yours is the {'dialer' if is_dialer else 'listener'}"

    def out(self) -> bool:
        """What the student's session has to send goes over; whether there was anything."""
        times = 0
        while wire := self.mine.data_to_send():
            if not isinstance(wire, bytes | bytearray):
                self.exam.reject("wrong-type", "data_to_send gives bytes", got=shown(wire))
            times += 1
            self.exam.require(
                times < 10_000, "never-quiet", "data_to_send gives more and more, and says nothing"
            )
            self.sent += frames(self.exam, bytes(wire))
            self.now += 0.001
            self.hear(self.theirs.receive_data(wire, self.now))
        return times > 0

    def hear(self, events: list[MuxerEvent]) -> None:
        self.heard += events
        for event in events:
            match event:
                case DataReceived(stream_id, data):
                    self.got[stream_id] = self.got.get(stream_id, b"") + data
                case SessionFailed(error):
                    self.exam.reject(
                        next((rule for text, rule in BROKEN if text in str(error)), "broke-rule"),
                        "the library's session refuses what yours sent",
                        got=str(error),
                        departure="\n".join(map(described, self.sent[-4:])),
                    )
                case _:
                    pass

    def back(self, piece: int = 1 << 30) -> bool:
        """What the library's session has to send comes over in pieces."""
        moved = False
        while wire := self.theirs.data_to_send():
            moved = True
            self.feed(wire, piece)
        return moved

    def feed(self, wire: bytes, piece: int = 1 << 30) -> None:
        """These bytes arrive at the student's session."""
        for start in range(0, len(wire), piece):
            self.now += 0.001
            events = self.mine.receive_data(wire[start : start + piece], self.now)
            if not isinstance(events, list):
                self.exam.reject(
                    "wrong-type", "receive_data gives a list of events", got=shown(events)
                )
            self.told += events
            for event in events:
                if isinstance(event, DataReceived):
                    before = self.arrived.get(event.stream_id, b"")
                    self.arrived[event.stream_id] = before + event.data

    def settle(self, piece: int = 1 << 30) -> None:
        """Until nobody has anything to say."""
        for _ in range(1000):
            if not self.out() | self.back(piece):
                return
        self.exam.reject("never-quiet", "the two sides never stop talking")

    def over(self, stream_id: int) -> bytes:
        """What the library's session delivered of a stream."""
        return self.got.get(stream_id, b"")

    def came(self, stream_id: int) -> bytes:
        """What the student's session delivered of a stream."""
        return self.arrived.get(stream_id, b"")

    def of_kind(self, kind: type[E]) -> list[E]:
        """The student's events of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def open(self, by_me: bool) -> int:
        """A stream that both sides know."""
        one, other = (self.mine, self.theirs) if by_me else (self.theirs, self.mine)
        stream_id = one.open_stream()
        self.settle()
        other.accept(stream_id)
        return stream_id

    def expect(self, events: list[MuxerEvent], rule: str, problem: str) -> None:
        """End the exam unless each of these was told, exactly once."""
        for event in events:
            times = self.told.count(event)
            self.exam.require(
                times == 1,
                rule,
                f"{problem}: {event} was told {times or 'no'} times",
                got=shown(self.told[-6:]),
                expected=repr(event),
            )


def described(frame: Frame) -> str:
    """A frame in a line."""
    match frame:
        case DataFrame(stream_id, flags, data):
            return f"data, stream {stream_id}, {Flags(flags)!r}, {len(data)} bytes"
        case _:
            return repr(frame)
