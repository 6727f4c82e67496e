"""TLS records as fields, from outside: TLS shows no more of itself. And the plaintext exchange, which shows all."""

from __future__ import annotations

from collections.abc import Callable

from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.tls_records import CONTENT_TYPES, RECORD_HEADER, TlsRecord
from libp2p_lab.widgets.fields import Field, Message, Opened, count_of, hex_of, text_or_hex
from libp2p_lab.widgets.noise_fields import plain_fields
from libp2p_lab.widgets.protobuf_fields import PLAINTEXT_EXCHANGE, dissect
from libp2p_lab.wire import varint

RECORD = "https://www.rfc-editor.org/rfc/rfc8446#section-5"

#: Takes decrypted bytes apart.
Dissector = Callable[[bytes], tuple[Field, ...]]

_MEANINGS = {
    20: "Means nothing in TLS 1.3: it is there for boxes on the way that expect the older TLS.",
    21: "The end, or what went wrong.",
    22: "A message of the handshake in the clear: nothing is agreed on yet.",
    23: "Encrypted. It may hold the application's bytes, or the rest of the handshake.",
}


def tls_record(what: TlsRecord, number: int, inside: Dissector | None = None) -> Message:
    """One record, with the application's bytes that are inside."""
    data = what.record
    kind = data[0] if data else -1
    name = CONTENT_TYPES.get(kind, "unknown")
    meaning = _MEANINGS.get(kind, "No record of TLS has this type.")
    version = (
        "Always 3.3, or 3.1 in the first: it means nothing any more, and nobody may look at it."
    )
    length = int.from_bytes(data[3:5], "big")
    marks = (
        (0, 1, "type", f"{kind} ({name})", meaning),
        (1, 3, "version", ".".join(map(str, data[1:3])), version),
        (3, 5, "length", f"{length:,}", "Bytes of body behind this header."),
    )
    end = len(data)
    found = [
        Field(label, min(a, end), min(b, end), value, text, RECORD)
        for a, b, label, value, text in marks
        if a < end
    ]
    body = data[RECORD_HEADER:]
    if body:
        found.append(_body(what, body, meaning, inside or plain_fields))
    shown = count_of(len(what.plaintext), "byte") + " inside" if what.plaintext else name
    return Message(f"TLS record {number}: {shown}", "security", data, tuple(found))


def _body(what: TlsRecord, body: bytes, meaning: str, inside: Dissector) -> Field:
    end = RECORD_HEADER + len(body)
    if not what.plaintext:
        return Field("body", RECORD_HEADER, end, hex_of(body), meaning, RECORD)
    fields = inside(what.plaintext)
    opened = Opened("decrypted", fields[0].layer if fields else "", what.plaintext, fields)
    text = "The bytes, one byte that says what they are, and a tag: encrypted together."
    size = count_of(len(what.plaintext), "byte")
    return Field("message", RECORD_HEADER, end, f"{size} inside", text, RECORD, "", (), opened)


def exchange(what: Exchange) -> Message:
    """What one side of a plaintext connection says of itself."""
    data = what.encode()
    _, start = varint.decode(data)
    spec = "plaintext/README.md#messages"
    length = Field("length", 0, start, str(len(data) - start), "Bytes that follow.", spec)
    fields = tuple(item.moved(start) for item in dissect(data[start:], PLAINTEXT_EXCHANGE))
    title = f"plaintext exchange: {text_or_hex(what.id, 12)}"
    note = "A claim: nothing proves that the sender holds this key."
    return Message(title, "security", data, (length, *fields), note)
