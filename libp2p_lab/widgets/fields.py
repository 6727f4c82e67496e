"""A message as a tree of named fields: what every widget draws, and what its tests check.

A `Field` covers some bytes and says what they are called, what they hold and what that means. Its
parts cover the same bytes again, more finely. Where bytes hold something that has to be opened
first (decrypted, or put together), `inside` holds the opened bytes with fields of their own.

    Noise message  ┬ length
                   └ ciphertext ┄ inside (decrypted) ┬ yamux header ┬ version
                                                     │              ├ type …
                                                     └ body

Two rules hold for any input, garbage included: the fields of one level cover each byte exactly once
and in order, and nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

SHOWN_BYTES = 24  # of a value; the rest is counted


@dataclass(frozen=True, slots=True)
class Field:
    """Some bytes of a message, and what they mean.

    Attributes:
        name: what the spec calls them.
        start: the first byte, counted within the message (or within what was opened).
        end: the byte behind the last one.
        value: what they hold, as text.
        meaning: one sentence for the reader.
        spec: where it is written: a path in libp2p/specs with its heading, or a web address.
        layer: whose bytes they are; it gives the colour. "" is the layer of what is around.
        parts: the same bytes, more finely.
        inside: what these bytes hold once they are opened.
    """

    name: str
    start: int
    end: int
    value: str = ""
    meaning: str = ""
    spec: str = ""
    layer: str = ""
    parts: tuple[Field, ...] = ()
    inside: Opened | None = None

    @property
    def summary(self) -> str:
        """Name and value in one line."""
        return f"{self.name} {self.value}".strip()

    def moved(self, by: int) -> Field:
        """The same field `by` bytes further on; what is inside keeps its own count."""
        return replace(
            self,
            start=self.start + by,
            end=self.end + by,
            parts=tuple(part.moved(by) for part in self.parts),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes that were hidden in others.

    Attributes:
        how: what was done to get at them: "decrypted", "stream 5 of the muxer".
        layer: the layer that speaks in them.
        data: the bytes.
        fields: cover `data` exactly once.
    """

    how: str
    layer: str
    data: bytes
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a trace, taken apart.

    Attributes:
        title: one line for a list.
        layer: the entry's layer.
        data: its bytes on the wire; empty for an event.
        fields: cover `data` exactly once. An event's fields cover no bytes.
        note: a sentence about the whole, where there is something to say.
    """

    title: str
    layer: str
    data: bytes
    fields: tuple[Field, ...]
    note: str = ""


def covers(fields: Sequence[Field], start: int, end: int) -> bool:
    """Whether `fields` cover `start` to `end` exactly once and in order, and so do their parts."""
    position = start
    for item in fields:
        if item.start != position or item.end < item.start:
            return False
        if item.parts and not covers(item.parts, item.start, item.end):
            return False
        if item.inside and not covers(item.inside.fields, 0, len(item.inside.data)):
            return False
        position = item.end
    return position == end


def hex_of(data: bytes | memoryview, limit: int = SHOWN_BYTES) -> str:
    """`data` as pairs of hex digits; what is beyond `limit` bytes is counted."""
    shown = bytes(data[:limit]).hex(" ")
    return shown if len(data) <= limit else f"{shown} … {len(data) - limit:,} more"


def text_or_hex(data: bytes | memoryview, limit: int = SHOWN_BYTES) -> str:
    """`data` as quoted text if it is plain text, else as hex."""
    head = bytes(data[: 4 * limit])
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3 or len(data) <= len(head):
            return hex_of(data, limit)
        text = head[: error.start].decode()  # a character cut in two by our own limit
    if not text or not all(c.isprintable() or c in "\n\r\t" for c in text):
        return hex_of(data, limit)
    quoted = '"' + text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") + '"'
    return quoted if len(data) <= len(head) else f"{quoted} … {len(data) - len(head):,} more bytes"


def count_of(n: int, noun: str) -> str:
    """`1 byte`, `2 bytes`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def opaque(data: bytes, start: int, end: int, name: str, meaning: str, **more: Any) -> Field:
    """A field that is not taken apart further."""
    return Field(name, start, end, text_or_hex(data[start:end]), meaning, **more)


def as_json(fields: Iterable[Field]) -> list[dict[str, Any]]:
    """The tree for the front end: short, and without what is empty."""
    return [_field_as_json(item) for item in fields]


SENT_BYTES = 4096  # of one level that go to the front end; more would fill its page, not its reader


def opened_as_json(opened: Opened) -> dict[str, Any]:
    """What is inside a field, for the front end."""
    return {
        "how": opened.how,
        "layer": opened.layer,
        "size": len(opened.data),
        "hex": opened.data[:SENT_BYTES].hex(),
        "fields": as_json(opened.fields),
    }


def message_as_json(message: Message) -> dict[str, Any]:
    """A whole message for the front end."""
    return {
        "title": message.title,
        "layer": message.layer,
        "size": len(message.data),
        "hex": message.data[:SENT_BYTES].hex(),
        "fields": as_json(message.fields),
        "note": message.note,
    }


def _field_as_json(item: Field) -> dict[str, Any]:
    record: dict[str, Any] = {"name": item.name, "start": item.start, "end": item.end}
    for key in ("value", "meaning", "spec", "layer"):
        if text := getattr(item, key):
            record[key] = text
    if item.parts:
        record["parts"] = as_json(item.parts)
    if item.inside:
        record["inside"] = opened_as_json(item.inside)
    return record
