"""From a public key to a peer id, every byte named; and what the decoder says when one is changed.

    key  →  protobuf 08 01 12 20 …  →  multihash 00 24 …  →  base58 12D3KooW…  and  base32 CID bafz…

`Pokes` says in which ways the protobuf is spoilt on the way. The id is then computed regardless, to
show what a decoder that is less strict would do: give one key two names.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.peer_id import MAX_INLINE_KEY
from libp2p_lab.widgets.fields import Field, as_json, hex_of
from libp2p_lab.widgets.protobuf_fields import PROTOBUF, show_key_type
from libp2p_lab.wire import multibase, varint

KEYS = "peer-ids/peer-ids.md#keys"
PEER_IDS = "peer-ids/peer-ids.md#peer-ids"
TEXT_FORMS = "peer-ids/peer-ids.md#string-representation"
CID_PREFIX = b"\x01\x72"
SHORTEST, TYPE_PADDED, LENGTH_PADDED = "shortest", "type", "length"
#: Lengths at which the slider stops have names: the encoded keys of these kinds.
KEY_LENGTHS = {36: "Ed25519", 37: "Secp256k1", 95: "ECDSA"}


@dataclass(frozen=True, slots=True)
class Pokes:
    """What is done to the encoded key.

    Attributes:
        flipped: positions of bytes whose lowest bit is turned over.
        varint: which varint is written one byte too long: `SHORTEST` (none), `TYPE_PADDED`,
        `LENGTH_PADDED`. is_swapped: whether Data stands before Type.
    """

    flipped: frozenset[int] = frozenset()
    varint: str = SHORTEST
    is_swapped: bool = False

    def flip(self, position: int) -> Pokes:
        """Turn one byte over, or back."""
        return replace(self, flipped=self.flipped ^ {position})


@dataclass(frozen=True, slots=True)
class Stage:
    """Some bytes and their fields, which cover them.

    Attributes:
        data: the bytes.
        fields: their meaning.
        key_start: where the encoded key stands in them; -1 where it does not.
    """

    data: bytes
    fields: tuple[Field, ...]
    key_start: int = -1


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The way of one key, stage by stage.

    Attributes:
        encoded: the key's protobuf.
        multihash: what names the peer.
        cid: the same, as the newer text form has it.
        base58: the id as text.
        cid_text: the id in the newer text form.
        is_accepted: whether the decoder takes the protobuf.
        verdict: what it says.
        original: the id of the key without any poke.
        fixed: the bytes with which every id of this kind of key begins, in hex.
        lowest: the first id, in the order of bytes, that any key of this kind can have.
        highest: the last.
        prefix: what they share, and so all between them.
    """

    encoded: Stage
    multihash: Stage
    cid: Stage
    base58: str
    cid_text: str
    is_accepted: bool
    verdict: str
    original: str
    fixed: str
    lowest: str
    highest: str
    prefix: str


def anatomy(key: PublicKey, pokes: Pokes = Pokes()) -> Anatomy:
    """Take a key's way to its id apart."""
    encoded = encode(key, pokes)
    multihash = multihash_of(encoded.data, encoded.fields)
    cid = _cid(multihash)
    is_accepted, verdict = _verdict(key, encoded.data, pokes)
    unpoked = multihash_of(key.to_protobuf(), ()).data
    lowest, highest = id_range(unpoked)
    return Anatomy(
        encoded,
        multihash,
        cid,
        multibase.base58_encode(multihash.data),
        multibase.encode(cid.data),
        is_accepted,
        verdict,
        multibase.base58_encode(unpoked),
        _fixed(unpoked).hex(" "),
        lowest,
        highest,
        _shared(lowest, highest),
    )


def encode(key: PublicKey, pokes: Pokes) -> Stage:
    """The key's protobuf, spoilt as asked. The fields say what each byte was meant to be."""
    type_value = varint.encode(key.type.value)
    length = varint.encode(len(key.raw))
    if pokes.varint == TYPE_PADDED:
        type_value = _padded(type_value)
    if pokes.varint == LENGTH_PADDED:
        length = _padded(length)
    tag = "The field's number, shifted by three bits, and its wire type."
    type_parts = (
        ("tag", b"\x08", "1 << 3 | 0", tag + " 0: a varint follows.", PROTOBUF),
        ("Type", type_value, show_key_type(key.type.value), "Which kind of key.", KEYS),
    )
    data_parts = (
        ("tag", b"\x12", "2 << 3 | 2", tag + " 2: a length and bytes follow.", PROTOBUF),
        ("length", length, str(len(key.raw)), "Bytes of the key.", PROTOBUF),
        ("Data", key.raw, hex_of(key.raw), "The key itself.", KEYS),
    )
    parts = (*data_parts, *type_parts) if pokes.is_swapped else (*type_parts, *data_parts)
    found: list[Field] = []
    data = bytearray()
    for name, piece, value, meaning, spec in parts:
        end = len(data) + len(piece)
        found.append(Field(name, len(data), end, value, meaning, spec, "identity"))
        data += piece
    for position in pokes.flipped:
        if 0 <= position < len(data):
            data[position] ^= 1
    return Stage(bytes(data), tuple(found), 0)


def _padded(encoded: bytes) -> bytes:
    """The same number in one byte more, as varints allow and libp2p forbids."""
    return encoded[:-1] + bytes((encoded[-1] | 0x80, 0))


def multihash_of(encoded: bytes, fields: tuple[Field, ...]) -> Stage:
    """The multihash of an encoded key: itself up to 42 bytes, its sha2-256 beyond."""
    if len(encoded) <= MAX_INLINE_KEY:
        code, name, digest = b"\x00", "identity: nothing is hashed", encoded
        meaning, start = "The encoded key itself.", 2
        parts = tuple(item.moved(2) for item in fields)
    else:
        code, name, digest = b"\x12", "sha2-256", hashlib.sha256(encoded).digest()
        meaning, start = "The SHA-256 of the encoded key: the key cannot be read out of it.", -1
        parts = ()
    length = varint.encode(len(digest))
    data = code + length + digest
    at = 1 + len(length)
    return Stage(
        data,
        (
            Field(
                "code", 0, 1, f"{code.hex()} ({name})", "Which hash function.", PEER_IDS, "address"
            ),
            Field("length", 1, at, str(len(digest)), "Bytes that follow.", PEER_IDS, "address"),
            Field("digest", at, len(data), hex_of(digest), meaning, PEER_IDS, "identity", parts),
        ),
        start,
    )


def _cid(multihash: Stage) -> Stage:
    meaning = "Multicodec libp2p-key: what the CID names is a peer."
    head = (
        Field("version", 0, 1, "1", "CIDv1.", TEXT_FORMS, "stream"),
        Field("codec", 1, 2, "72 (libp2p-key)", meaning, TEXT_FORMS, "stream"),
    )
    start = multihash.key_start + 2 if multihash.key_start >= 0 else -1
    fields = (*head, *(item.moved(2) for item in multihash.fields))
    return Stage(CID_PREFIX + multihash.data, fields, start)


def _verdict(key: PublicKey, encoded: bytes, pokes: Pokes) -> tuple[bool, str]:
    try:
        read = PublicKey.from_protobuf(encoded)
    except MalformedMessage as refusal:
        return False, f"Refused: {refusal}."
    if read == key:
        return True, "Accepted: these are the key's canonical bytes."
    return True, (
        "Accepted, as another key: the decoder cannot know that a byte was changed. "
        "It is another peer with another name, and nobody holds its private key."
    )


def id_range(multihash: bytes) -> tuple[str, str]:
    """The lowest and the highest id that have this one's fixed bytes at the start.

    Fixed are the multihash's code and length and, in an identity multihash, the protobuf's tags,
    type and length.
    """
    fixed = _fixed(multihash)
    free = len(multihash) - len(fixed)
    return (
        multibase.base58_encode(fixed + bytes(free)),
        multibase.base58_encode(fixed + b"\xff" * free),
    )


def _fixed(multihash: bytes) -> bytes:
    return multihash[:6] if multihash[0] == 0 else multihash[:2]


def _shared(one: str, other: str) -> str:
    """The characters with which both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((at for at, (a, b) in pairs if a != b), len(one))]


def boundary(length: int) -> dict[str, Any]:
    """What would become of an encoded key of `length` bytes."""
    stage = multihash_of(bytes(length), ())
    is_inline = length <= MAX_INLINE_KEY
    size = len(stage.data)
    if is_inline:
        what = (
            f"{length} ≤ {MAX_INLINE_KEY}: the id holds the key itself, 2 + {length} = {size} bytes"
        )
    else:
        what = (
            f"{length} > {MAX_INLINE_KEY}: the id holds its SHA-256, always 2 + 32 = {size} bytes"
        )
    return {
        "length": length,
        "is_inline": is_inline,
        "kind": KEY_LENGTHS.get(length, ""),
        "head": stage.data[:2].hex(" "),
        "text": what,
    }


def as_record(found: Anatomy, pokes: Pokes, key_type: str, length: int) -> dict[str, Any]:
    """All of it for the front end."""

    def stage(what: Stage) -> dict[str, Any]:
        return {
            "hex": what.data.hex(),
            "size": len(what.data),
            "fields": as_json(what.fields),
            "key_start": what.key_start,
        }

    return {
        "key_type": key_type,
        "encoded": stage(found.encoded),
        "multihash": stage(found.multihash),
        "cid": stage(found.cid),
        "base58": found.base58,
        "cid_text": found.cid_text,
        "is_accepted": found.is_accepted,
        "verdict": found.verdict,
        "original": found.original,
        "fixed": found.fixed,
        "lowest": found.lowest,
        "highest": found.highest,
        "prefix": found.prefix,
        "pokes": {
            "flipped": sorted(pokes.flipped),
            "varint": pokes.varint,
            "is_swapped": pokes.is_swapped,
        },
        "boundary": boundary(length),
        "limit": MAX_INLINE_KEY,
        "key_lengths": KEY_LENGTHS,
    }
