"""Mplex frames as fields: two varints, and the data."""

from __future__ import annotations

from libp2p_lab.multiplexing.mplex_frames import Flag, MplexFrame
from libp2p_lab.widgets.fields import Field, Message, Opened, count_of, text_or_hex
from libp2p_lab.widgets.stream_fields import stream_fields
from libp2p_lab.wire import varint

FORMAT = "mplex/README.md#message-format"
FLAGS = "mplex/README.md#flag-values"

_MEANINGS = {
    Flag.NEW_STREAM: "Opens a stream; the data is its name, at which nobody looks.",
    Flag.MESSAGE_RECEIVER: "Bytes, from the side that did not open the stream.",
    Flag.MESSAGE_INITIATOR: "Bytes, from the side that opened the stream.",
    Flag.CLOSE_RECEIVER: "No more data from the side that did not open the stream.",
    Flag.CLOSE_INITIATOR: "No more data from the side that opened the stream.",
    Flag.RESET_RECEIVER: "Dropped by the side that did not open the stream.",
    Flag.RESET_INITIATOR: "Dropped by the side that opened the stream.",
}


def mplex_frame(what: MplexFrame) -> Message:
    """One mplex frame."""
    data = what.encode()
    _, header_end = varint.decode(data)
    _, length_end = varint.decode(data, header_end)
    flag = Flag(what.flag)
    name = flag.name.lower().replace("_", " ")
    header = f"stream {what.stream_id}, flag {int(flag)} ({name})"
    meaning = f"Stream id << 3 | flag. {_MEANINGS[flag]}"
    found = [
        Field("header", 0, header_end, header, meaning, FLAGS, "muxer"),
        Field(
            "length",
            header_end,
            length_end,
            f"{len(what.data):,}",
            "1 MiB at most.",
            FORMAT,
            "muxer",
        ),
    ]
    if what.data:
        found.append(_body(what, length_end, len(data)))
    size = f", {count_of(len(what.data), 'byte')}" if what.data else ""
    return Message(f"mplex {name} stream {what.stream_id}{size}", "muxer", data, tuple(found))


def _body(what: MplexFrame, start: int, end: int) -> Field:
    value = text_or_hex(what.data)
    if what.flag is Flag.NEW_STREAM:
        return Field("name", start, end, value, "For people only.", FORMAT, "muxer")
    inside = stream_fields(what.data)
    opened = Opened(f"stream {what.stream_id}", inside[0].layer, what.data, inside)
    meaning = "Bytes of the stream. No window counts them: the receiver has to take them all."
    return Field("body", start, end, value, meaning, FORMAT, "muxer", (), opened)
