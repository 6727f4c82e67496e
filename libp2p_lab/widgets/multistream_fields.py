"""Lines of multistream-select as fields: `| length | text | \\n |`."""

from __future__ import annotations

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.widgets.fields import Field, Message
from libp2p_lab.wire import varint

MULTISTREAM = "connections/README.md#multistream-select"


def line(what: Line) -> Message:
    """One line of a negotiation: `| varint | text | \\n |`."""
    data = what.encode()
    _, text_start = varint.decode(data)
    return Message(what.text, "negotiation", data, _line_fields(data, text_start, len(data)))


def _line_fields(data: bytes, text_start: int, end: int) -> tuple[Field, ...]:
    text = data[text_start : end - 1].decode("utf-8", "replace")
    length = str(end - text_start)
    return (
        Field("length", 0, text_start, length, "Bytes that follow, newline included.", MULTISTREAM),
        Field("text", text_start, end - 1, text, _line_meaning(text), MULTISTREAM),
        Field("newline", end - 1, end, "\\n", "Ends every line; its length counts.", MULTISTREAM),
    )


def _line_meaning(text: str) -> str:
    match text:
        case "/multistream/1.0.0":
            return "The header: both sides say it first, without waiting for each other."
        case "na":
            return "Not available: the responder does not speak what was proposed."
        case "ls":
            return "The initiator asks for a list of protocols."
        case _:
            return "A protocol id: from the initiator a proposal, from the responder its agreement."


def lines_in(data: bytes) -> tuple[tuple[Field, ...], int]:
    """The multistream lines at the start of `data`, and where they end."""
    found: list[Field] = []
    position = 0
    while position < len(data):
        try:
            length, text_start = varint.decode(data, position)
        except MalformedMessage:
            break
        end = text_start + length
        body = data[text_start:end]
        if end > len(data) or not _looks_like_line(body):
            break
        whole = data[position:end]
        parts = _line_fields(whole, text_start - position, len(whole))
        title = body[:-1].decode("utf-8", "replace")
        found.append(
            Field(
                "line",
                position,
                end,
                title,
                _line_meaning(title),
                MULTISTREAM,
                "negotiation",
                parts=tuple(part.moved(position) for part in parts),
            )
        )
        position = end
    return tuple(found), position


def _looks_like_line(body: bytes) -> bool:
    return body.endswith(b"\n") and (body.startswith(b"/") or body in (b"na\n", b"ls\n"))
