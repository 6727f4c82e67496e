"""Bytes of a stream as fields: its negotiation, then its protocol's messages."""

from __future__ import annotations

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.widgets.fields import Field, count_of, hex_of, opaque
from libp2p_lab.widgets.multistream_fields import lines_in
from libp2p_lab.widgets.protobuf_fields import IDENTIFY, Schema, dissect
from libp2p_lab.wire import varint

PING = "ping/ping.md#protocol"

_SCHEMAS = {"/ipfs/id/1.0.0": IDENTIFY, "/ipfs/id/push/1.0.0": IDENTIFY}


def stream_fields(data: bytes, protocol: str = "") -> tuple[Field, ...]:
    """The first bytes of a stream's direction: multistream lines, then the protocol's bytes."""
    found, position = lines_in(data)
    rest = protocol_fields(data[position:], protocol, is_start=True)
    return (*found, *(item.moved(position) for item in rest))


def protocol_fields(
    data: bytes, protocol: str = "", *, is_start: bool = False
) -> tuple[Field, ...]:
    """A protocol's own bytes.

    Args:
        data: what was sent on the stream.
        protocol: the stream's protocol id; "" if it is not known.
        is_start: whether these are the first bytes of their direction.
    """
    if not data:
        return ()
    if protocol == "/ipfs/ping/1.0.0":
        return tuple(
            Field(
                "ping",
                start,
                min(start + 32, len(data)),
                hex_of(data[start : start + 32], 32),
                "32 random bytes; the other side sends the same ones back.",
                PING,
                "stream",
            )
            for start in range(0, len(data), 32)
        )
    schema = _SCHEMAS.get(protocol)
    if schema is not None and is_start:
        return _prefixed_message(data, schema)
    meaning = f"Bytes of {protocol}." if protocol else "Bytes of the stream's protocol."
    return (opaque(data, 0, len(data), "application bytes", meaning, layer="stream"),)


def _prefixed_message(data: bytes, schema: Schema) -> tuple[Field, ...]:
    try:
        length, start = varint.decode(data)
    except MalformedMessage as error:
        return (opaque(data, 0, len(data), "application bytes", str(error), layer="stream"),)
    meaning = "Bytes of the message that follows."
    prefix = Field("message length", 0, start, f"{length:,}", meaning, schema.spec, "stream")
    end = min(start + length, len(data))
    found = [prefix]
    if end > start:
        value = f"{schema.name}, {count_of(end - start, 'byte')}"
        parts = tuple(item.moved(start) for item in dissect(data[start:end], schema))
        meaning = "A protobuf message."
        found.append(Field(schema.name, start, end, value, meaning, schema.spec, "stream", parts))
    if end < len(data):
        found.append(
            opaque(data, end, len(data), "more bytes", "The next message.", layer="stream")
        )
    return tuple(found)
