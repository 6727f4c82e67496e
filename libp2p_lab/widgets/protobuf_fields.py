"""Protobuf messages as fields, byte by byte, with the names that the specs give them.

A protobuf message is a row of records, each a tag (field number and wire type in one varint) and a
value:

    | tag: number << 3 | wire type | 0: varint | 1: 8 bytes | 2: length, bytes | 5: 4 bytes |

The bytes do not carry names. A `Schema` supplies them; a record that it does not know keeps its
number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from libp2p_lab.errors import LabError, MalformedMessage
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.widgets.fields import Field, hex_of, text_or_hex
from libp2p_lab.wire import varint

WIRE_TYPES = {0: "varint", 1: "8 bytes", 2: "length and bytes", 5: "4 bytes"}
PROTOBUF = "https://protobuf.dev/programming-guides/encoding/"
MAX_RECORDS = 2000  # of one message that are taken apart; the rest is one field


@dataclass(frozen=True, slots=True)
class Item:
    """One field of a schema.

    Attributes:
        name: as in the spec's .proto.
        meaning: one sentence.
        show: its value as text: from an int for a varint, from bytes for the rest.
        schema: the message that stands in it, if it holds one.
    """

    name: str
    meaning: str
    show: Callable[[int | bytes], str] | None = None
    schema: Schema | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """A message's fields by number.

    Attributes:
        name: the message's name.
        spec: where it is written.
        items: number → field.
    """

    name: str
    spec: str
    items: Mapping[int, Item] = field(default_factory=dict)


def dissect(data: bytes, schema: Schema) -> tuple[Field, ...]:
    """The records of a message, which cover its bytes. Never raises.

    What does not parse becomes one last field that says why.
    """
    records: list[Field] = []
    position = 0
    while position < len(data):
        try:
            if len(records) == MAX_RECORDS:
                raise MalformedMessage(f"only the first {MAX_RECORDS} records are taken apart")
            record = _record(data, position, schema)
        except MalformedMessage as error:
            rest = hex_of(data[position:])
            records.append(Field("does not parse", position, len(data), rest, str(error), PROTOBUF))
            break
        records.append(record)
        position = record.end
    return tuple(records)


def _record(data: bytes, start: int, schema: Schema) -> Field:
    tag, body = varint.decode(data, start)
    number, wire_type = tag >> 3, tag & 7
    item = schema.items.get(number) or Item(f"field {number}", "The schema does not know it.")
    if number == 0 or wire_type not in WIRE_TYPES:
        raise MalformedMessage(f"tag {tag:#x}: field {number} with wire type {wire_type}")
    parts = [
        Field(
            "tag",
            start,
            body,
            f"{number} << 3 | {wire_type}",
            f"Field number {number}; then comes: {WIRE_TYPES[wire_type]}.",
            PROTOBUF,
        )
    ]
    inner: tuple[Field, ...] = ()
    if wire_type == 0:
        number_value, end = varint.decode(data, body)
        shown = item.show(number_value) if item.show else str(number_value)
    else:
        if wire_type == 2:
            length, value_start = varint.decode(data, body)
            meaning = "How many bytes follow."
            parts.append(Field("length", body, value_start, str(length), meaning, PROTOBUF))
            body = value_start
        else:
            length = 8 if wire_type == 1 else 4
        end = body + length
        if end > len(data):
            there = len(data) - body
            raise MalformedMessage(f"{item.name}: {length:,} bytes announced, {there:,} there")
        raw = data[body:end]
        shown = item.show(raw) if item.show else text_or_hex(raw)
        if item.schema is not None:
            shown = item.schema.name
            inner = tuple(part.moved(body) for part in dissect(raw, item.schema))
    if end > body:
        parts.append(Field("value", body, end, shown, item.meaning, schema.spec, parts=inner))
    return Field(item.name, start, end, shown, item.meaning, schema.spec, parts=tuple(parts))


# -- values as text --------------------------------------------------------------------------------


def _as_bytes(value: int | bytes) -> bytes:
    return (
        value
        if isinstance(value, bytes)
        else value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    )


def show_key_type(value: int | bytes) -> str:
    """A key type's number with its name."""
    names = {0: "RSA", 1: "Ed25519", 2: "Secp256k1", 3: "ECDSA"}
    number = value if isinstance(value, int) else -1
    return f"{number} ({names.get(number, 'no such key type')})"


def show_multiaddr(value: int | bytes) -> str:
    """A multiaddr's text, or why there is none."""
    try:
        return str(Multiaddr(_as_bytes(value)))
    except LabError as error:
        return f"{hex_of(_as_bytes(value))} (no multiaddr: {error})"


def show_peer_id(value: int | bytes) -> str:
    """A peer id's text, or why there is none."""
    try:
        return str(PeerId(_as_bytes(value)))
    except LabError as error:
        return f"{hex_of(_as_bytes(value))} (no peer id: {error})"


def _hex(value: int | bytes) -> str:
    return hex_of(_as_bytes(value))


# -- the messages ----------------------------------------------------------------------------------

PUBLIC_KEY = Schema(
    "PublicKey",
    "peer-ids/peer-ids.md#keys",
    {
        1: Item("Type", "Which kind of key follows.", show_key_type),
        2: Item("Data", "The key itself, in the form of its kind.", _hex),
    },
)

NOISE_EXTENSIONS = Schema(
    "NoiseExtensions",
    "noise/README.md#the-libp2p-handshake-payload",
    {
        1: Item(
            "webtransport_certhashes",
            "Hash of a certificate that a WebTransport server uses.",
            _hex,
        ),
        2: Item(
            "stream_muxers",
            "A muxer that the sender speaks, the preferred one first: saves a round trip later.",
        ),
    },
)

NOISE_PAYLOAD = Schema(
    "NoiseHandshakePayload",
    "noise/README.md#the-libp2p-handshake-payload",
    {
        1: Item(
            "identity_key",
            "The sender's public key: its peer id follows from these bytes.",
            None,
            PUBLIC_KEY,
        ),
        2: Item(
            "identity_sig", "Signed with the identity key: this Noise static key is mine.", _hex
        ),
        4: Item(
            "extensions",
            "What both sides may know once the channel is secret.",
            None,
            NOISE_EXTENSIONS,
        ),
    },
)

PLAINTEXT_EXCHANGE = Schema(
    "Exchange",
    "plaintext/README.md#messages",
    {
        1: Item("id", "The sender's peer id, which must be that of the key.", _hex),
        2: Item("pubkey", "The sender's public key. It is claimed, not proven.", None, PUBLIC_KEY),
    },
)

ADDRESS_INFO = Schema(
    "AddressInfo",
    "RFC/0003-routing-records.md#address-record-format",
    {1: Item("multiaddr", "One address.", show_multiaddr)},
)

PEER_RECORD = Schema(
    "PeerRecord",
    "RFC/0003-routing-records.md#address-record-format",
    {
        1: Item("peer_id", "Whose addresses these are.", show_peer_id),
        2: Item("seq", "Grows with each new record: the highest one counts."),
        3: Item("addresses", "Where the peer can be reached.", None, ADDRESS_INFO),
    },
)

ENVELOPE = Schema(
    "Envelope",
    "RFC/0002-signed-envelopes.md#wire-format",
    {
        1: Item("public_key", "Who signed.", None, PUBLIC_KEY),
        2: Item("payload_type", "What kind of thing the payload is: 03 01 is a peer record.", _hex),
        3: Item("payload", "The bytes that were signed; here a peer record.", None, PEER_RECORD),
        5: Item(
            "signature", "Over a fixed text (the domain), the payload type and the payload.", _hex
        ),
    },
)

IDENTIFY = Schema(
    "Identify",
    "identify/README.md#the-identify-message",
    {
        1: Item(
            "publicKey",
            "The sender's key once more; Noise has proven it already.",
            None,
            PUBLIC_KEY,
        ),
        2: Item("listenAddrs", "Where the sender can be dialed.", show_multiaddr),
        3: Item("protocols", "A protocol that the sender serves."),
        4: Item(
            "observedAddr",
            "The address from which you came, as the sender sees it.",
            show_multiaddr,
        ),
        5: Item("protocolVersion", "A family of protocols; for people, nothing depends on it."),
        6: Item("agentVersion", "The sender's program and its version."),
        8: Item("signedPeerRecord", "The listen addresses again, signed.", None, ENVELOPE),
    },
)

FETCH_REQUEST = Schema(
    "FetchRequest",
    "fetch/README.md#message-format",
    {1: Item("identifier", "The key whose value is wanted.")},
)

FETCH_RESPONSE = Schema(
    "FetchResponse",
    "fetch/README.md#message-format",
    {
        1: Item("status", "0 found, 1 not found, 2 error."),
        2: Item("data", "The value."),
    },
)
