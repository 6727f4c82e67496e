"""The checks of chapter 04: whose stream is it, what do twelve bytes say, what may be sent, and who goes first?

Objectives: 1.13 and 1.24 multiplexing, 1.23 the steps of a connection; X.7 back pressure, X.8 identify.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from libp2p_lab.coursework.chapter_04_gater import FLOOD_GATER
from libp2p_lab.coursework.chapter_04_identify import IDENTIFY_HANDLER
from libp2p_lab.coursework.chapter_04_muxer import MUXER
from libp2p_lab.coursework.chapter_04_turns import TURNS
from libp2p_lab.coursework.chapter_04_window import WINDOW
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.host.events import ConnectionOpened
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.multiplexing.yamux_frames import DataFrame, WindowUpdate
from libp2p_lab.trace import Entry

FRAMING = "yamux/README.md#framing"
STREAM_ID = "yamux/README.md#streamid-field"
FLOW_CONTROL = "yamux/README.md#flow-control"
WINDOW_SIZE = DEFAULT_LIMITS.yamux_initial_window

# -- E4.1: whose stream, and how much of its window is left? ------------------------------------------------------

STREAM = 6


class _StreamSix:
    """What a record says of stream 6.

    Attributes:
        dialed: whether the recorded peer dialed the connection.
        sent: bodies of the data frames that the opener sent, in bytes.
        frames: how many those were.
        granted: what the other side's window updates added.
        others: bytes that the other side sent.
        last: the last update that was not zero.
    """

    def __init__(self, dialed: bool, frames: Iterable[Entry]) -> None:
        self.dialed = dialed
        self.sent = self.frames = self.granted = self.others = self.last = 0
        by_opener = "received" if dialed else "sent"  # 6 is even, so the listener opened it
        for entry in frames:
            match entry.what:
                case DataFrame(data=data) if entry.direction == by_opener:
                    self.sent += len(data)
                    self.frames += 1
                case DataFrame(data=data):
                    self.others += len(data)
                case WindowUpdate(delta=delta) if entry.direction != by_opener and delta:
                    self.granted += delta
                    self.last = delta

    @property
    def opener(self) -> str:
        """Who opened it."""
        return "listener"

    @property
    def left(self) -> int:
        """What the opener may still send."""
        return WINDOW_SIZE + self.granted - self.sent


def _stream_six(exam: Exam) -> _StreamSix:
    """Stream 6 of the one connection in the record that has one."""
    exam.require(
        isinstance(exam.run, Iterable), "no-record", "there is no record of a run to compare with"
    )
    record: list[Entry] = list(exam.run)  # type: ignore[call-overload]  # as was just made sure
    opened = {e.link: e.what for e in record if isinstance(e.what, ConnectionOpened)}
    frames: dict[str, list[Entry]] = {}
    for entry in record:
        if isinstance(entry.what, DataFrame | WindowUpdate) and entry.what.stream_id == STREAM:
            frames.setdefault(entry.link, []).append(entry)
    links = [link for link in frames if link in opened]
    exam.require(
        len(links) == 1,
        "no-record",
        f"in this record {len(links)} connections have a beginning and a stream 6; one is needed",
    )
    return _StreamSix(opened[links[0]].direction == "outbound", frames[links[0]])


async def examine_stream_six(exam: Exam, answer: Any) -> None:
    """E4.1: the opener and the rest of the window, compared with the frames of the record."""
    stream = _stream_six(exam)
    if not isinstance(answer, Mapping) or not {"opener", "left"} <= answer.keys():
        exam.reject(
            "wrong-type", "the answer is a dict with 'opener' and 'left'", got=shown(answer)
        )
    exam.sent = "the frames of stream 6"
    opener = str(answer["opener"]).strip().lower()
    exam.require(
        opener == stream.opener,
        "opener",
        "somebody else opened stream 6",
        got=shown(answer["opener"]),
    )
    left = answer["left"]
    if isinstance(left, bool) or not isinstance(left, int):
        exam.reject("wrong-type", "'left' is a whole number of bytes", got=shown(left))
    if left != stream.left:
        exam.reject(
            _left_mistake(stream, left),
            f"another number of bytes is left: you are {abs(left - stream.left)} off",
            got=str(left),
            departure=f"the opener sent {stream.frames} data frames; updates came that are not 0: "
            f"{'yes' if stream.granted else 'no'}",
        )
    exam.count("data frames added up", stream.frames)


def _left_mistake(stream: _StreamSix, left: int) -> str:
    """Which mistake gives this number."""
    mistakes = {
        "direction": WINDOW_SIZE - stream.others,
        "updates": WINDOW_SIZE - stream.sent,
        "absolute": stream.last,
        "headers": stream.left - 12 * stream.frames,
        "sum": stream.sent,
    }
    return next((rule for rule, number in mistakes.items() if number == left), "sum")


STREAM_SIX = Check(
    id="04.stream_six",
    exercise="E4.1",
    title="Whose is stream 6, and how much may still be sent on it?",
    level="L1",
    points=1,
    objectives=("1.13", "X.7"),
    starter="""\
# `log` is the record of the run above. Look at the frames of stream 6.
answer = {
    "opener": "",  # "dialer" or "listener"
    "left": 0,  # bytes that the one who opened it may still send
}
await lab.check("04.stream_six", answer, run=log)
""",
    hints=(
        "Entries of layer `muxer` hold frames. Print those whose stream_id is 6, with their direction.",
        "Odd numbers are the dialer's, even ones the listener's. A stream begins with 256 KiB, data frames use it up, "
        "window updates of the other side add to it (yamux/README.md, flow control).",
        "left = 256 * 1024 - the sum of len(entry.what.data) over the opener's DataFrames + the sum of "
        "entry.what.delta over the other side's WindowUpdates.",
    ),
    rules=(
        Rule(
            "opener",
            "The number says who opened a stream: whoever dialed the connection has the odd ones, whoever listened "
            "the even ones.",
            STREAM_ID,
        ),
        Rule(
            "direction",
            "Each direction has a window of its own. Count what the opener of the stream sent, not what it received.",
            FLOW_CONTROL,
        ),
        Rule(
            "updates",
            "The other side has given back some of the window meanwhile: add the deltas of its window updates.",
            FLOW_CONTROL,
        ),
        Rule(
            "absolute",
            "A window update is a difference: so many bytes more. It does not say how large the window is now.",
            "yamux/README.md#length-field",
        ),
        Rule(
            "headers",
            "The window counts the bodies of data frames only. Headers are free, and so are all other frames.",
            FLOW_CONTROL,
        ),
        Rule(
            "sum",
            "Begin with 262144, subtract the bodies of the opener's data frames (those of the negotiation too), add "
            "the other side's updates.",
            FLOW_CONTROL,
        ),
    ),
    examine=examine_stream_six,
    seeds=(1,),
    place="kernel",
)

# -- E4.2: twelve bytes -------------------------------------------------------------------------------------------

Encode = Callable[[int, int, int, int], Any]
Decode = Callable[[bytes], Any]
DATA, UPDATE, PING, GO_AWAY = range(4)
_HEADER = struct.Struct(">BBHII")


def _reference(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    return _HEADER.pack(0, kind, flags, stream_id, length)


def _headers(exam: Exam) -> list[tuple[int, int, int, int]]:
    """One of each kind whose fields cannot be mistaken for each other, then random ones."""
    fixed = [
        (UPDATE, 1, 1, 0),  # the quiz's
        (DATA, 6, 0x01020304, 0x0A0B0C0D),
        (PING, 2, 0, 0xDEADBEEF),
        (GO_AWAY, 0, 0, 1),
        (UPDATE, 8, 2, 0),
        (DATA, 0, (1 << 32) - 1, (1 << 32) - 1),
    ]
    rng = exam.rng
    for _ in range(40):
        kind = rng.choice((DATA, UPDATE, PING, GO_AWAY))
        stream_id = rng.randint(1, (1 << 32) - 1) if kind in (DATA, UPDATE) else 0
        fixed.append((kind, rng.randrange(16), stream_id, rng.getrandbits(32)))
    return fixed


def _encoding_mistake(fields: tuple[int, int, int, int], got: bytes) -> str:
    kind, flags, stream_id, length = fields
    if got == struct.pack("<BBHII", 0, kind, flags, stream_id, length):
        return "endian"
    if got == _HEADER.pack(0, kind, flags, length, stream_id):
        return "order"
    if got[:2] == bytes((kind, 0)) != b"\0\0" or len(got) == 11:
        return "version"
    return "length" if len(got) != _HEADER.size else "fields"


def _check_encode(exam: Exam, encode: Encode) -> None:
    for fields in _headers(exam):
        got = exam.call(encode, *fields)
        rule = _encoding_mistake(fields, got) if isinstance(got, bytes) else "fields"
        exam.equal(got, _reference(*fields), rule, "this header has other bytes")
        exam.count("headers encoded")
    for fields, rule, problem in (
        ((PING, 1, 5, 7), "session", "a ping speaks of the session, not of stream 5"),
        ((GO_AWAY, 0, 2, 0), "session", "a go-away speaks of the session, not of stream 2"),
        ((DATA, 0, 0, 5), "session", "there is no stream 0 for data"),
        ((UPDATE, 1, 0, 0), "session", "there is no stream 0 to open"),
        ((4, 0, 1, 0), "unknown-type", "there is no type 4"),
        ((DATA, 0, 1 << 32, 5), "range", "this stream id does not fit into four bytes"),
        ((DATA, 0, 1, 1 << 32), "range", "this length does not fit into four bytes"),
        ((UPDATE, 0, 1, -1), "range", "a window update cannot take back"),
    ):
        exam.refuses(encode, *fields, rule=rule, problem=problem)
        exam.count("refusals")


def _check_decode(exam: Exam, decode: Decode) -> None:
    for fields in _headers(exam):
        data = _reference(*fields)
        got = exam.call(decode, data)
        if not isinstance(got, tuple) or len(got) != 4:
            exam.reject(
                "wrong-type",
                "the answer is a tuple (type, flags, stream_id, length)",
                got=shown(got),
            )
        got = tuple(int(value) if isinstance(value, int) else value for value in got)
        exam.equal(got, fields, "fields", f"{data.hex(' ')} says something else")
        exam.count("headers decoded")
    stream = _reference(DATA, 0, 1, 5)
    for data, rule, problem in (
        (stream[:11], "length", "eleven bytes are no header"),
        (b"", "length", "nothing is no header"),
        (stream + b"x", "length", "thirteen bytes are more than a header"),
        (b"\x01" + stream[1:], "version", "version 1 does not exist: who knows what follows"),
        (b"\x00\x04" + stream[2:], "unknown-type", "there is no type 4"),
        (b"\x00\xff" + stream[2:], "unknown-type", "there is no type 255"),
        (_HEADER.pack(0, PING, 1, 5, 7), "session", "a ping on stream 5"),
        (_HEADER.pack(0, GO_AWAY, 0, 2, 0), "session", "a go-away on stream 2"),
        (_HEADER.pack(0, DATA, 0, 0, 5), "session", "data on stream 0"),
    ):
        exam.refuses(decode, data, rule=rule, problem=problem)
        exam.count("refusals")


async def examine_yamux_header(exam: Exam, answer: Any) -> None:
    """E4.2: both directions on fixed and random headers; what no yamux peer may send is refused."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        exam.reject(
            "wrong-type", "the answer is two functions: (encode, decode)", got=shown(answer)
        )
    _check_encode(exam, exam.callable_answer(answer[0], "a function encode"))
    _check_decode(exam, exam.callable_answer(answer[1], "a function decode"))


YAMUX_HEADER = Check(
    id="04.yamux_header",
    exercise="E4.2",
    title="Twelve bytes",
    level="L2",
    points=2,
    objectives=("1.13",),
    starter='''\
def encode(type, flags, stream_id, length):
    """The twelve bytes of a yamux header.

    ValueError for a type beyond 3, a number that does not fit, or a stream id that this type cannot have.
    """
    raise NotImplementedError


def decode(data):
    """(type, flags, stream_id, length) of twelve bytes; ValueError if no peer may send them."""
    raise NotImplementedError


await lab.check("04.yamux_header", (encode, decode))
''',
    hints=(
        "Open a frame in the lens and count: which field takes one byte, which two, which four?",
        "Version 1, type 1, flags 2, stream id 4, length 4, all big-endian; the version is 0. Ping and go-away are "
        "the session's and have stream id 0; data and window updates never have (yamux/README.md, framing).",
        "import struct; struct.pack('>BBHII', 0, type, flags, stream_id, length). Look first: type in range(4), "
        "0 <= length < 2**32, (stream_id == 0) == (type >= 2). decode: len(data) == 12, struct.unpack, version == 0, "
        "then the same look.",
    ),
    rules=(
        Rule("endian", "The greater byte first: big-endian, as everywhere in yamux.", FRAMING),
        Rule("order", "First the stream id, then the length.", FRAMING),
        Rule(
            "version",
            "The first byte is the version, 0, before the type; nothing else can be read.",
            "yamux/README.md#version-field",
        ),
        Rule("length", "A header has twelve bytes, no more and no less.", FRAMING),
        Rule(
            "fields",
            "Compare field by field: version 1 byte, type 1, flags 2, stream id 4, length 4.",
            FRAMING,
        ),
        Rule(
            "session",
            "Stream id 0 is the session. Ping and go-away are about the session; data and window updates are about a "
            "stream.",
            STREAM_ID,
        ),
        Rule(
            "unknown-type",
            "Types are 0 to 3. What an unknown one means, and whether a body follows, nobody can tell: refuse it.",
            "yamux/README.md#type-field",
        ),
        Rule(
            "range",
            "Numbers are 0 to 2**32 - 1. Say no by ValueError, rather than cut a number off.",
            FRAMING,
        ),
    ),
    examine=examine_yamux_header,
)

CHECKS: tuple[Check, ...] = (
    STREAM_SIX,
    YAMUX_HEADER,
    WINDOW,
    MUXER,
    TURNS,
    IDENTIFY_HANDLER,
    FLOOD_GATER,
)
