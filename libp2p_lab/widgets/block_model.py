"""A CID taken apart, and a file as a tree of blocks: nothing but bytes and hashes.

    CID     version  codec  hash function  length  digest
    leaf    raw bytes                                       codec 55
    node    PBNode { links: (CID, name, size of all below) …, data: UnixFS { type: file, size, sizes of the parts } }

A node's links come before its data in dag-pb, although their number is the higher one.
Spec: https://ipld.io/specs/codecs/dag-pb/spec/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.errors import LabError, LocalError, MalformedMessage
from libp2p_lab.routing.distance import BITS, position
from libp2p_lab.wire import multibase, multihash, varint

BASES = ("base32", "base36", "base58btc", "base64", "base16")
MAX_BLOCKS = 2000
MAX_DEPTH = 32
DELIMITED = 2  # protobuf's wire type of bytes
FILE = 2  # UnixFS: this is a file


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


@dataclass(frozen=True, slots=True)
class Block:
    """One node of a DAG.

    Attributes:
        cid: its name.
        size: bytes of the block itself; 0 if it is not here.
        links: the names of its children.
        depth: 0 for the root.
        offset: where its part of the file begins.
        covers: how many bytes of the file are below it.
    """

    cid: CID
    size: int
    links: tuple[CID, ...]
    depth: int
    offset: int
    covers: int


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


# -- a file as blocks -----------------------------------------------------------------------------


def cut(data: bytes, chunk_size: int, width: int) -> tuple[CID, dict[CID, bytes]]:
    """Cut a file into a balanced tree of blocks.

    Args:
        data: the file.
        chunk_size: bytes of a leaf.
        width: children of a node at most.

    Returns: the root's name, and the blocks.
    """
    if chunk_size < 1 or width < 2:
        raise LocalError("chunk_size is at least 1 and width at least 2")
    blocks: dict[CID, bytes] = {}
    level: list[tuple[CID, int, int]] = []  # name, bytes of the file, bytes of all blocks
    for start in range(0, max(len(data), 1), chunk_size):
        leaf = data[start : start + chunk_size]
        cid = CID.of(leaf, Codec.RAW)
        blocks[cid] = leaf
        level.append((cid, len(leaf), len(leaf)))
    while len(level) > 1:
        groups = [level[start : start + width] for start in range(0, len(level), width)]
        level = []
        for group in groups:
            block = encode_node(group)
            cid = CID.of(block, Codec.DAG_PB)
            blocks[cid] = block
            below = sum(total for _, _, total in group)
            level.append((cid, sum(size for _, size, _ in group), len(block) + below))
    return level[0][0], blocks


def encode_node(children: list[tuple[CID, int, int]]) -> bytes:
    """A dag-pb node with UnixFS data over (name, bytes of the file, bytes of all blocks) of its children."""
    links = b"".join(
        _field(2, _field(1, cid.encode()) + _field(2, b"") + b"\x18" + varint.encode(total))
        for cid, _, total in children
    )
    size = sum(part for _, part, _ in children)
    sizes = b"".join(b"\x20" + varint.encode(part) for _, part, _ in children)
    unixfs = b"\x08" + varint.encode(FILE) + b"\x18" + varint.encode(size) + sizes
    return links + _field(1, unixfs)


def _field(number: int, data: bytes) -> bytes:
    return varint.encode(number << 3 | DELIMITED) + varint.encode(len(data)) + data


def links_of(block: bytes) -> list[CID]:
    """The names in a dag-pb node.

    Raises: `MalformedMessage`.
    """
    return [
        CID.decode(one) for number, link in _fields(block) if number == 2 for one in _hash(link)
    ]


def _hash(link: bytes) -> list[bytes]:
    return [data for number, data in _fields(link) if number == 1][:1]


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a protobuf message that hold bytes."""
    found, offset = [], 0
    while offset < len(data):
        tag, offset = varint.decode(data, offset)
        value, offset = varint.decode(data, offset)
        if tag & 7 == DELIMITED:
            if offset + value > len(data):
                raise MalformedMessage("a field longer than its message")
            found.append((tag >> 3, data[offset : offset + value]))
            offset += value
        elif tag & 7:
            raise MalformedMessage(f"dag-pb has no fields of wire type {tag & 7}")
    return found


def walk(root: CID, blocks: Mapping[CID, bytes]) -> list[Block]:
    """The DAG from its root, depth first: as far as the blocks are here.

    Raises: `MalformedMessage` for a node that cannot be read, `LocalError` for a DAG of too many blocks.
    """
    found: list[Block] = []

    def visit(cid: CID, depth: int, offset: int) -> int:
        if len(found) >= MAX_BLOCKS or depth > MAX_DEPTH:
            raise LocalError(f"more than {MAX_BLOCKS} blocks, or deeper than {MAX_DEPTH}")
        data = blocks.get(cid)
        links = links_of(data) if data is not None and cid.codec == Codec.DAG_PB else []
        at = len(found)
        found.append(Block(cid, len(data or b""), tuple(links), depth, offset, 0))
        covers = 0
        for link in links:
            covers += visit(link, depth + 1, offset + covers)
        covers = covers or (0 if links else len(data or b""))
        found[at] = Block(cid, len(data or b""), tuple(links), depth, offset, covers)
        return covers

    visit(root, 0, 0)
    return found


def parse(text: str) -> CID | None:
    """The CID that this text is; None if it is none."""
    try:
        return CID.from_text(text)
    except LabError:
        return None
