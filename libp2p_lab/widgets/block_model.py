"""A CID taken apart: nothing but bytes and hashes.

CID     version  codec  hash function  length  digest
"""

from __future__ import annotations

from dataclasses import dataclass

from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.errors import LabError
from libp2p_lab.routing.distance import BITS, position
from libp2p_lab.wire import multibase, multihash, varint

BASES = ("base32", "base36", "base58btc", "base64", "base16")


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a CID.

    Attributes:
        name: what they are called.
        data: the bytes.
        value: what they say.
        meaning: why they are there.
    """

    name: str
    data: bytes
    value: str
    meaning: str


def anatomy(cid: CID) -> list[Part]:
    """The bytes of a CID in their order."""
    hashed = multihash.decode(cid.multihash)
    function, start = varint.decode(cid.multihash)
    length, end = varint.decode(cid.multihash, start)
    parts = [
        Part(
            "hash function",
            cid.multihash[:start],
            hashed.name,
            f"function {function:#x} in the multicodec table: how to check",
        ),
        Part("length", cid.multihash[start:end], f"{length} bytes", "of the digest that follows"),
        Part("digest", hashed.digest, hashed.digest.hex(), "the hash of the block: what to check"),
    ]
    if cid.version == 0:
        return parts
    codec = Codec(cid.codec).name.lower().replace("_", "-") if cid.codec in [*Codec] else "unknown"
    return [
        Part("version", b"\x01", "1", "the next number is a codec; version 0 has neither"),
        Part("codec", varint.encode(cid.codec), codec, "how to read the block, once it is here"),
        *parts,
    ]


def forms(cid: CID) -> list[tuple[str, str]]:
    """The same name in other writings."""
    first = [("version 0", CID(0, Codec.DAG_PB, cid.multihash).to_text())] if _has_v0(cid) else []
    one = cid.to_v1()
    found = [
        *first,
        *((f"version 1, {base}", multibase.encode(one.encode(), base)) for base in BASES),
    ]
    return [*found, ("multihash: the DHT's key", cid.multihash.hex())]


def _has_v0(cid: CID) -> bool:
    plain = len(cid.multihash) == 34 and cid.multihash[:2] == b"\x12\x20"
    return cid.codec == Codec.DAG_PB and plain


def place(cid: CID) -> str:
    """Where its provider records are kept: the first digits of the position in the key space."""
    return f"{position(cid.multihash) >> (BITS - 20):05x}"


def parse(text: str) -> CID | None:
    """The CID that this text is; None if it is none."""
    try:
        return CID.from_text(text)
    except LabError:
        return None
