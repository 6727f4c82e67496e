"""Yamux frames as fields: twelve bytes of header, and a body for data."""

from __future__ import annotations

from collections.abc import Callable

from libp2p_lab.multiplexing.yamux_frames import (
    HEADER_LENGTH,
    DataFrame,
    Flags,
    GoAway,
    GoAwayCode,
    Ping,
    WindowUpdate,
)
from libp2p_lab.widgets.fields import Field, Message, Opened, count_of, text_or_hex
from libp2p_lab.widgets.stream_fields import stream_fields

FRAMING = "yamux/README.md#framing"

#: Takes a stream's bytes apart.
Dissector = Callable[[bytes], tuple[Field, ...]]

_FRAME_TYPES = ("data", "window update", "ping", "go away")
_LENGTH_NAMES = (
    ("length", "Bytes of body behind this header."),
    ("delta", "How many bytes more the other side may send on this stream: a difference."),
    ("value", "Any number; the answer repeats it."),
    ("code", "Why the session ends."),
)


def frame(
    what: DataFrame | WindowUpdate | Ping | GoAway, inside: Dissector | None = None
) -> Message:
    """One yamux frame."""
    data = what.encode()
    item = _frame(data, 0, inside or stream_fields)
    return Message(f"yamux {item.summary}", "muxer", data, item.parts)


def frame_at(data: bytes, start: int, inside: Dissector | None = None) -> Field | None:
    """The yamux frame that begins at `start`; its body may be cut off. None if none does."""
    header = data[start : start + HEADER_LENGTH]
    if len(header) < HEADER_LENGTH or header[0] != 0 or header[1] >= len(_FRAME_TYPES):
        return None
    return _frame(data, start, inside or stream_fields)


def _frame(data: bytes, start: int, inside: Dissector) -> Field:
    header = data[start : start + HEADER_LENGTH]
    kind = header[1]
    flags, stream_id = int.from_bytes(header[2:4], "big"), int.from_bytes(header[4:8], "big")
    length = int.from_bytes(header[8:12], "big")
    length_name, length_meaning = _LENGTH_NAMES[kind]
    shown_length = f"{length:,}"
    if kind == 3:
        shown_length = f"{length} ({_go_away(length)})"
    marks = (
        (0, 1, "version", str(header[0]), "Always 0."),
        (1, 2, "type", f"{kind} ({_FRAME_TYPES[kind]})", _type_meaning(kind)),
        (2, 4, "flags", f"{flags} ({_flags(flags)})", _flags_meaning(flags)),
        (4, 8, "stream id", str(stream_id), _stream_meaning(stream_id)),
        (8, 12, length_name, shown_length, length_meaning),
    )
    parts = [
        Field(name, start + a, start + b, value, meaning, FRAMING, "muxer")
        for a, b, name, value, meaning in marks
    ]
    end = start + HEADER_LENGTH
    if kind == 0 and length and end < len(data):
        body = data[end : end + length]
        parts.append(_body(body, end, length, stream_id, inside))
        end += len(body)
    value = _frame_value(kind, flags, stream_id, length)
    meaning = _type_meaning(kind)
    return Field(_FRAME_TYPES[kind], start, end, value, meaning, FRAMING, "muxer", tuple(parts))


def _body(body: bytes, start: int, length: int, stream_id: int, inside: Dissector) -> Field:
    found = inside(body)
    meaning = f"Bytes of stream {stream_id}: they count against its window."
    if len(body) < length:
        meaning += f" {length - len(body):,} more follow in the next message."
    opened = Opened(f"stream {stream_id}", found[0].layer, body, found)
    end = start + len(body)
    return Field("body", start, end, text_or_hex(body), meaning, FRAMING, "muxer", (), opened)


def _frame_value(kind: int, flags: int, stream_id: int, length: int) -> str:
    names = "" if not flags else " " + _flags(flags)
    match kind:
        case 0:
            return f"stream {stream_id}{names}, {count_of(length, 'byte')}"
        case 1:
            return f"stream {stream_id}{names}, +{length:,}"
        case 2:
            return f"{'answer' if flags & Flags.ACK else 'question'} {length}"
        case _:
            return _go_away(length)


def _flags(flags: int) -> str:
    names = [
        str(flag.name) for flag in (Flags.SYN, Flags.ACK, Flags.FIN, Flags.RST) if flags & flag
    ]
    unknown = flags & ~0xF
    if unknown:
        names.append(f"unknown {unknown:#x}")
    return " ".join(names) or "none"


def _flags_meaning(flags: int) -> str:
    meanings = {
        Flags.SYN: "SYN opens the stream (in a ping: a question).",
        Flags.ACK: "ACK accepts the stream (in a ping: an answer).",
        Flags.FIN: "FIN: no more data from this side.",
        Flags.RST: "RST drops the stream.",
    }
    return " ".join(text for flag, text in meanings.items() if flags & flag) or "No flag is set."


def _type_meaning(kind: int) -> str:
    return (
        "Carries bytes of one stream.",
        "The receiver has room again: flow control.",
        "Asks whether the other side is still there, and how far away.",
        "Ends the whole session.",
    )[kind]


def _stream_meaning(stream_id: int) -> str:
    if stream_id == 0:
        return "0: the session itself, not a stream."
    opener = "dialer" if stream_id % 2 else "listener"
    return f"{'Odd' if stream_id % 2 else 'Even'}: opened by the connection's {opener}."


def _go_away(code: int) -> str:
    try:
        return GoAwayCode(code).name.lower().replace("_", " ")
    except ValueError:
        return "unknown code"
