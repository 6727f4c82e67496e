"""What every byte of a traced message means: an entry of the trace in, a tree of named fields out.

`annotate` is a pure function of one entry. It never raises, whatever stands in the entry, and its
fields cover each byte of the message exactly once. What needs more than one entry to be known (to
which protocol a stream belongs, where a frame that spans two Noise messages goes on) is added by
`wire_log.py`.
"""

from __future__ import annotations

from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass

from libp2p_lab.multiplexing.mplex_frames import MplexFrame
from libp2p_lab.multiplexing.yamux_frames import DataFrame, GoAway, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.tls_records import TlsRecord
from libp2p_lab.trace import Encodable, Entry
from libp2p_lab.widgets.fields import Field, Message, count_of, hex_of, opaque, text_or_hex
from libp2p_lab.widgets.mplex_fields import mplex_frame
from libp2p_lab.widgets.multistream_fields import line
from libp2p_lab.widgets.noise_fields import handshake, noise_message
from libp2p_lab.widgets.protobuf_fields import FETCH_REQUEST, FETCH_RESPONSE, IDENTIFY, dissect
from libp2p_lab.widgets.stream_fields import protocol_fields, stream_fields
from libp2p_lab.widgets.tls_fields import exchange, tls_record
from libp2p_lab.widgets.yamux_fields import frame

#: Fields of an event that stand in its title.
_TELLING = (
    "protocol",
    "direction",
    "addr",
    "remote_addr",
    "how",
    "reason",
    "cause",
    "error",
    "agent",
)
_LAYER_SCHEMAS = {"identify": IDENTIFY}
_CLASS_SCHEMAS = {"FetchRequest": FETCH_REQUEST, "FetchResponse": FETCH_RESPONSE}


def annotate(entry: Entry) -> Message:
    """Take one entry apart.

    Returns: its title, its bytes on the wire (with the length prefix that a Noise message has
        there), and fields
        that cover them exactly once. An event has no bytes: its fields hold values only.
    """
    match entry.what:
        case Line():
            return line(entry.what)
        case HandshakeMessage():
            return handshake(entry.what, entry.number)
        case NoiseMessage():
            return noise_message(entry.what, entry.number)
        case TlsRecord():
            return tls_record(entry.what, entry.number)
        case Exchange():
            return exchange(entry.what)
        case DataFrame() | WindowUpdate() | Ping() | GoAway():
            return frame(entry.what)
        case MplexFrame():
            return mplex_frame(entry.what)
        case bytes() | bytearray() | memoryview() as data:
            return raw(bytes(data), entry.layer)
        case Encodable() as what:
            return protocol_message(what, entry.layer)
        case what:
            return event(what, entry.layer)


def raw(data: bytes, layer: str) -> Message:
    """Bytes that nobody has named yet."""
    size = count_of(len(data), "byte")
    if layer == "transport":
        meaning = "As they went over the wire."
        whole = (opaque(data, 0, len(data), "bytes", meaning, layer=layer),) if data else ()
        return Message(f"{size} on the wire", layer, data, whole)
    found = stream_fields(data) if layer == "stream" else protocol_fields(data)
    return Message(f"{size}: {text_or_hex(data, 12)}" if data else size, layer, data, found)


def protocol_message(what: Encodable, layer: str) -> Message:
    """A decoded message of a protocol on a stream."""
    data = what.encode()
    name = type(what).__name__
    schema = _CLASS_SCHEMAS.get(name) or _LAYER_SCHEMAS.get(layer)
    found = dissect(data, schema) if schema else protocol_fields(data)
    return Message(f"{layer} {name}, {count_of(len(data), 'byte')}", layer, data, found)


def event(what: object, layer: str) -> Message:
    """Something that happened inside a host: values without bytes."""
    name = _spaced(type(what).__name__)
    if not is_dataclass(what) or isinstance(what, type):
        return Message(str(what)[:200], layer, b"", ())
    values = [(item.name, getattr(what, item.name)) for item in dataclass_fields(what)]
    found = tuple(Field(key.replace("_", " "), 0, 0, _shown(value)) for key, value in values)
    told = {key: str(value) for key, value in values if key in _TELLING and value}
    title = ": ".join([name, *filter(None, [", ".join(told.values())[:160]])])
    return Message(title, layer, b"", found)


def _shown(value: object) -> str:
    match value:
        case bytes() | bytearray() | memoryview():
            return hex_of(bytes(value))
        case tuple() | list():
            return ", ".join(str(item) for item in value[:50])
        case _:
            return str(value)[:400]


def _spaced(name: str) -> str:
    """`ConnectionOpened` as words."""
    words = "".join(" " + c.lower() if c.isupper() else c for c in name).strip()
    return words[:1].upper() + words[1:]
