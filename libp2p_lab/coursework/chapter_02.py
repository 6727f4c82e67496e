"""The checks of chapter 02: what is negotiation and what is payload, lines as bytes, a negotiator, a transport, a dial.

Objectives: 1.11 transports, 1.14 multiaddrs, 1.23 the steps of opening a connection; X.3 multistream-select, X.4 the
race between addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from libp2p_lab.coursework.chapter_02_dialing import DIAL_POLICY
from libp2p_lab.coursework.chapter_02_memory import MEMORY
from libp2p_lab.coursework.chapter_02_negotiator import MULTISTREAM, NEGOTIATOR
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.trace import Entry
from libp2p_lab.wire import varint

# -- E2.1: which bytes are negotiation? ---------------------------------------------------------------------------

CAPTURED = 96  # bytes of each direction that are asked for
DIRECTIONS = ("sent", "received")
LABELS = ("negotiation", "payload")

#: What is compared in one direction: the bytes of the wire, and where each line of the negotiation begins and ends.
Capture = tuple[bytes, list[tuple[int, int]]]


def _captured(record: Iterable[Entry]) -> dict[str, Capture]:
    """The first bytes of the last connection in a record that begins with a negotiation, by direction."""
    wire: dict[tuple[str, str], bytes] = {}
    said: dict[tuple[str, str], list[Line]] = {}
    for entry in record:
        where = entry.link, entry.direction
        if entry.layer == "transport" and isinstance(entry.what, bytes):
            wire[where] = wire.get(where, b"") + entry.what
        elif entry.layer == "negotiation" and isinstance(entry.what, Line):
            said.setdefault(where, []).append(entry.what)
    for link in reversed([link for link, direction in said if direction == "sent"]):
        found = {
            direction: _split(wire.get((link, direction), b""), said.get((link, direction), []))
            for direction in DIRECTIONS
        }
        if all(lines for _, lines in found.values()):
            return found
    return {}


def _split(data: bytes, said: Sequence[Line]) -> Capture:
    """The lines that stand in the clear at the beginning; later ones are inside the secure channel."""
    places: list[tuple[int, int]] = []
    at = 0
    for line in said:
        encoded = line.encode()
        if not data.startswith(encoded, at):
            break
        places.append((at, at + len(encoded)))
        at += len(encoded)
    return data[:CAPTURED], places


def _labels(exam: Exam, slices: object, direction: str, size: int) -> list[str]:
    """The label of each byte of one direction."""
    if not isinstance(slices, list | tuple):
        exam.reject(
            "wrong-type", f"{direction!r} is a list of (start, end, label)", got=shown(slices)
        )
    given = [""] * size
    for piece in slices:
        if (
            not isinstance(piece, list | tuple)
            or len(piece) != 3
            or not all(type(number) is int for number in piece[:2])
        ):
            exam.reject("wrong-type", "a slice is (start, end, label)", got=shown(piece))
        start, end, label = piece
        exam.require(label in LABELS, "no-label", f"no label is called {label!r}", got=shown(piece))
        for place in range(max(start, 0), min(end, size)):
            exam.require(
                given[place] in ("", label),
                "overlap",
                f"byte {place} of what was {direction} has two labels",
                got=shown(slices),
            )
            given[place] = label
    return given


def _right(capture: Capture) -> list[str]:
    data, places = capture
    end = places[-1][1]
    return ["negotiation" if place < end else "payload" for place in range(len(data))]


def _marked(data: bytes, place: int) -> str:
    """The bytes around a place, with an arrow under it."""
    start = max(place - 8, 0)
    around = data[start : place + 8]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in around)
    return f"{around.hex(' ')}   {text}\n{' ' * 3 * (place - start)}^^ byte {place}"


def _compare(exam: Exam, direction: str, capture: Capture, given: Sequence[str]) -> None:
    data, places = capture
    for place, (mine, right) in enumerate(zip(given, _right(capture), strict=True)):
        if mine == right:
            continue
        if not mine:
            rule = "gap"
        elif right == "payload":
            rule = "too-far"
        elif place in {start for start, _ in places}:
            rule = "length-byte"
        elif place in {end - 1 for _, end in places}:
            rule = "newline"
        else:
            rule = "too-short"
        exam.reject(
            rule,
            f"byte {place} of what was {direction} has {'the label ' + mine if mine else 'no label'}",
            got=mine or "nothing",
            expected=right,
            departure=_marked(data, place),
        )


async def examine_capture(exam: Exam, answer: Any) -> None:
    """E2.1: each byte's label, compared with the lines that the negotiation itself told."""
    exam.require(
        isinstance(exam.run, Iterable), "no-record", "there is no record of a run to compare with"
    )
    captures = _captured(exam.run)  # type: ignore[arg-type]  # an Iterable, as was just made sure
    exam.require(captures, "no-record", "in this record no connection begins with a negotiation")
    if not isinstance(answer, Mapping) or set(answer) != set(DIRECTIONS):
        exam.reject("wrong-type", "the answer is {'sent': […], 'received': […]}", got=shown(answer))
    exam.sent = f"the first {CAPTURED} bytes of each direction"
    sizes = {direction: len(captures[direction][0]) for direction in DIRECTIONS}
    given = {d: _labels(exam, answer[d], d, sizes[d]) for d in DIRECTIONS}
    right = {direction: _right(captures[direction]) for direction in DIRECTIONS}
    turned = {d: [label for label in given[d] if label == "negotiation"] for d in DIRECTIONS}
    counts = {d: right[d].count("negotiation") for d in DIRECTIONS}
    exam.require(
        counts["sent"] == counts["received"]
        or (len(turned["sent"]), len(turned["received"])) != (counts["received"], counts["sent"]),
        "direction",
        "the two directions are exchanged",
        got=f"{len(turned['sent'])} bytes of negotiation sent",
        expected=f"{counts['sent']} sent, {counts['received']} received",
    )
    for direction in DIRECTIONS:
        _compare(exam, direction, captures[direction], given[direction])
    exam.count("bytes compared", sum(sizes.values()))


CAPTURE = Check(
    id="02.capture",
    exercise="E2.1",
    title="Which bytes are negotiation, which are payload?",
    level="L1",
    points=1,
    objectives=("1.23", "X.3"),
    starter="""\
# `log` is the record of one dial. Label the first 96 bytes of each direction, in slices (start, end, label).
answer = {
    "sent": [(0, 0, "negotiation"), (0, 96, "payload")],
    "received": [(0, 0, "negotiation"), (0, 96, "payload")],
}
await lab.check("02.capture", answer, run=log)
""",
    hints=(
        "The letters can be read: where do they stop? What stands before each text, and behind it?",
        "A line is its length, its text and a newline; length and newline belong to it "
        "(connections/README.md, multistream-select). Count from line to line: the first byte says how far the next "
        "one is.",
        "Begin at 0. While the byte there, and as many bytes behind it as it says, end in 0a: that is one line more. "
        "All that follows is payload, up to 96.",
    ),
    rules=(
        Rule("no-label", 'The labels are "negotiation" and "payload".'),
        Rule(
            "overlap", "Each byte has one label: a slice ends before the byte that its end names."
        ),
        Rule("gap", "Each of the first 96 bytes has a label."),
        Rule("direction", "sent is what our peer sent, received what it heard."),
        Rule(
            "length-byte",
            "The byte before the text is the line's length. It belongs to the negotiation.",
            MULTISTREAM,
        ),
        Rule("newline", "The newline, 0a, ends the line and belongs to it.", MULTISTREAM),
        Rule(
            "too-short",
            "The negotiation goes on: as long as a length is followed by that many bytes, the last of them 0a.",
            MULTISTREAM,
        ),
        Rule(
            "too-far",
            "This is the next protocol already, the one that was agreed on. It stands right behind the last newline, "
            "without anything in between.",
            "noise/README.md#wire-format",
        ),
    ),
    examine=examine_capture,
    seeds=(1,),
    place="kernel",
)

# -- E2.2: lines as bytes -----------------------------------------------------------------------------------------

LONGEST = 1024  # bytes of a line that is believed, newline included

Frame = Callable[[str], Any]
Deframe = Callable[[Iterable[bytes]], Iterable[str]]


def _pair(exam: Exam, answer: Any) -> tuple[Frame, Deframe]:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        exam.reject(
            "wrong-type", "the answer is two functions: (frame, deframe)", got=shown(answer)
        )
    frame = exam.callable_answer(answer[0], "a function frame(text)")
    return frame, exam.callable_answer(answer[1], "a function deframe(chunks)")


def _texts(exam: Exam) -> list[str]:
    """Texts of all lengths around a border, and some with characters of several bytes."""
    rng = exam.rng
    fixed = [
        "na",
        "/noise",
        "/yamux/1.0.0",
        PROTOCOL_ID,
        "",
        "/größe/1.0.0",
        "/\u4f60\u597d",
        "a\nb",
    ]
    sizes = (125, 126, 127, 128, 200, 300, 1000, *(rng.randint(2, 900) for _ in range(8)))
    return [*fixed, *("/" + "".join(rng.choices("abcxyz/.019", k=size - 1)) for size in sizes)]


def _frame_mistake(text: str, got: bytes) -> str:
    """Which mistake gives these bytes."""
    body = text.encode() + b"\n"
    right = Line(text).encode()
    if got in (varint.encode(len(body)) + body[:-1], varint.encode(len(body) - 1) + body[:-1]):
        return "no-newline"
    if got == varint.encode(len(body) - 1) + body:
        return "uncounted"
    if len(text) < len(body) - 1 and got.endswith(body) and len(got) == len(right):
        return "characters"
    if len(body) > 127 and got.endswith(body):
        return "one-byte-length"
    return "frame"


def _check_frame(exam: Exam, frame: Frame) -> None:
    for text in _texts(exam):
        exam.explain = {ValueError: "one-byte-length", OverflowError: "one-byte-length"}
        got = exam.call(frame, text)
        exam.explain = {}
        rule = _frame_mistake(text, got) if isinstance(got, bytes) else "frame"
        exam.equal(got, Line(text).encode(), rule, "this line is written otherwise")
        exam.count("lines written")


class _Feed:
    """Hands out chunks one at a time, and knows how many were taken."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


def _cut(exam: Exam, data: bytes, most: int) -> list[bytes]:
    """The data in pieces of random sizes, some of them empty."""
    pieces = []
    while data:
        size = exam.rng.randint(0 if exam.rng.random() < 0.1 else 1, most)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def _read(exam: Exam, deframe: Deframe, texts: Sequence[str], chunks: Sequence[bytes]) -> None:
    """Each line comes out, as soon as its last byte is there."""
    feed = _Feed(chunks)
    exam.sent = f"deframe of {shown(list(chunks), 400)}"
    ready: list[int] = []  # after how many chunks each line is complete
    total, arrived = 0, [0]
    for chunk in chunks:
        arrived.append(arrived[-1] + len(chunk))
    for text in texts:
        total += len(Line(text).encode())
        ready.append(next(n for n, size in enumerate(arrived) if size >= total))
    got: list[str] = []
    for text in _iterate(exam, deframe, feed):
        late = len(got) < len(ready) and feed.taken > ready[len(got)]
        exam.require(
            not late,
            "waits-for-more",
            f"line {len(got) + 1} was complete after {ready[min(len(got), len(ready) - 1)]} chunk(s) and given "
            f"after {feed.taken}",
            got=shown(text),
        )
        got.append(text)
    rule = (
        "splits-at-newline"
        if any("\n" in t for t in texts) and "\n" not in "".join(got)
        else "lines"
    )
    exam.equal(got, list(texts), rule, "other lines came out")
    exam.count("lines read", len(texts))


def _iterate(exam: Exam, deframe: Deframe, feed: Iterable[bytes]) -> Iterator[str]:
    result: Any = deframe(feed)
    if not isinstance(result, Iterable) or isinstance(result, str | bytes):
        exam.reject("wrong-type", "deframe yields one text after the other", got=shown(result))
    for text in result:
        if type(text) is not str:
            exam.reject("wrong-type", "deframe yields text", got=shown(text))
        yield text


def _check_refusals(exam: Exam, deframe: Deframe) -> None:
    class Endless:
        """A chunk, and then the question whether more was asked for."""

        def __init__(self, head: bytes) -> None:
            self.head = head

        def __iter__(self) -> Iterator[bytes]:
            yield self.head
            exam.reject(
                "unbounded", f"more is asked for behind {self.head.hex(' ')}", expected="ValueError"
            )

        def __repr__(self) -> str:
            return f"[{self.head!r}, …]"

    def all_lines(chunks: Iterable[bytes]) -> list[str]:
        return list(_iterate(exam, deframe, chunks))

    all_lines.__name__ = "deframe"
    whole = Line("/noise").encode()
    exam.explain = {IndexError: "cut-off"}
    for cut in range(1, len(whole)):
        problem = f"the chunks end after {cut} of {len(whole)} bytes of a line"
        exam.refuses(all_lines, [whole, whole[:cut]], rule="cut-off", problem=problem)
    for broken in (b"\x03nax", b"\x06/noise\x03na\n", b"\x00\x03na\n"):
        problem = "a line does not end in a newline"
        exam.refuses(all_lines, [broken], rule="no-end", problem=problem)
    exam.explain = {}
    for head in (varint.encode(LONGEST + 1), varint.encode(1 << 40), b"\xff" * 12):
        exam.refuses(all_lines, Endless(head), rule="unbounded", problem="this length was believed")
    exam.count("refusals", len(whole) + 5)


async def examine_frame(exam: Exam, answer: Any) -> None:
    """E2.2: lines of all lengths, cut anywhere; each as soon as it is there; what is no line is refused."""
    frame, deframe = _pair(exam, answer)
    _check_frame(exam, frame)
    _read(exam, deframe, ["na"], [b"\x03na\n"])
    two = [PROTOCOL_ID, "/noise"]
    joined = b"".join(Line(text).encode() for text in two)
    _read(exam, deframe, two, [joined])
    _read(exam, deframe, two, [bytes([byte]) for byte in joined])
    for most in (3, 50, 500):
        texts = _texts(exam)
        exam.rng.shuffle(texts)
        data = b"".join(Line(text).encode() for text in texts)
        _read(exam, deframe, texts, _cut(exam, data, most))
    _check_refusals(exam, deframe)


FRAME = Check(
    id="02.frame",
    exercise="E2.2",
    title="Lines in, bytes out, and back",
    level="L2",
    points=2,
    objectives=("X.3",),
    starter='''\
def frame(text):
    """One line as bytes: its length as a varint, the text, a newline. frame("na") is 03 6e 61 0a."""
    raise NotImplementedError("your turn")


def deframe(chunks):
    """Yield the text of each line, as soon as it is complete.

    chunks: bytes as they arrive, cut anywhere. ValueError for a line longer than 1024 bytes (before it has arrived),
    for one that does not end in a newline, and if the chunks end in the middle of one.
    """
    raise NotImplementedError("your turn")


await lab.check("02.frame", (frame, deframe))
''',
    hints=(
        "Keep what has arrived in a bytearray. After every chunk ask: is there a whole line at its beginning? There "
        "may be none, one, or several.",
        "The length counts the newline, in bytes, not in characters; it is a varint as in E1.2, and takes two bytes "
        "from 128 on (connections/README.md, multistream-select).",
        "for chunk in chunks: buffer += chunk; while buffer: try to read a varint at its beginning (none yet: break); "
        "above 1024: ValueError; fewer bytes than that behind it: break; take the line out, check the newline, yield "
        "the text. Behind the loop: if anything is left in the buffer, ValueError.",
    ),
    rules=(
        Rule("no-newline", "Every line ends in a newline: one byte, 0a.", MULTISTREAM),
        Rule("uncounted", "The length counts the newline too.", MULTISTREAM),
        Rule("characters", "The length counts bytes: encode the text first.", MULTISTREAM),
        Rule(
            "one-byte-length",
            "A length above 127 does not fit into one byte: write it as a varint.",
            "https://github.com/multiformats/unsigned-varint",
        ),
        Rule(
            "frame", "A line is the length as a varint, the text as UTF-8, a newline.", MULTISTREAM
        ),
        Rule(
            "waits-for-more",
            "Yield a line at the moment when its last byte is there. The other side may be waiting for your answer to "
            "it, and then no further chunk ever comes.",
        ),
        Rule(
            "splits-at-newline",
            "The length says where a line ends. A newline may also stand within: the answer to `ls` has many.",
            MULTISTREAM,
        ),
        Rule(
            "lines",
            "A stream of bytes has no joints: a chunk may end anywhere, in a length, in a character, and may hold "
            "several lines.",
        ),
        Rule("cut-off", "If the chunks end in the middle of a line, it is broken: ValueError."),
        Rule(
            "no-end",
            "The last byte that the length counts is a newline, or it is no line.",
            MULTISTREAM,
        ),
        Rule(
            "unbounded",
            "The length comes first, from a stranger. Refuse more than 1024 at once, and a varint that goes on and on, "
            "before you wait for the rest.",
        ),
    ),
    examine=examine_frame,
)

CHECKS: tuple[Check, ...] = (CAPTURE, FRAME, NEGOTIATOR, MEMORY, DIAL_POLICY)
