"""A file as a tree of blocks: cut, linked, and fetched again block by block.

    leaf    raw bytes                                       codec 55
    node    PBNode { links: (CID, name, size of all below) …, data: UnixFS { type: file, size, sizes of the parts } }

    cid = add_file(store, data)                256 KiB leaves, up to 174 under each node, all at the same depth
    data = await fetch_file(host, cid)         from whoever has the blocks; each is checked against its name

A node's links come before its data in dag-pb, although their number is the higher one.

Misconception: only the root's hash protects the file. The root's bytes are the names of its children, and theirs the
names of their own: whoever changed one leaf would have to change every name up to the root.

A tree may still be a bomb: a few small blocks that name each other's names a billion times. Each node tells how long
its parts are; who believes none of it, and compares, is never given more than the root announced.

Spec: https://ipld.io/specs/codecs/dag-pb/spec/, https://specs.ipfs.tech/unixfs/
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.content.blocks import BlockStore
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.errors import LabError, LimitExceeded, LocalError, MalformedMessage
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.wire import varint
from libp2p_lab.wire.protobuf import BYTES, read_fields

if TYPE_CHECKING:
    from libp2p_lab.content.bitswap import Bitswap
    from libp2p_lab.content.exchange import Session
    from libp2p_lab.host.host import Host

CHUNK_SIZE = 256 * 1024  # bytes of a leaf; kubo
WIDTH = 174  # children of a node; kubo
MAX_BLOCKS = 2000  # that `walk` shows
MAX_DEPTH = 32
MAX_FIELDS = 16  # of UnixFS data besides the sizes of the parts
RAW, FILE = 0, 2  # UnixFS: bytes of a file, and a file


@dataclass(frozen=True, slots=True)
class Node:
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


# -- cutting ----------------------------------------------------------------------------------------------------


def cut(
    data: bytes, chunk_size: int = CHUNK_SIZE, width: int = WIDTH
) -> tuple[CID, dict[CID, bytes]]:
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


def add_file(
    store: BlockStore, data: bytes, chunk_size: int = CHUNK_SIZE, width: int = WIDTH
) -> CID:
    """Cut a file and keep its blocks.

    Who cuts otherwise gets another name for the same file. Ours is what kubo long took; since 2025 it and Helia take
    leaves of 1 MiB, up to 1024 under each node.

    Returns: the name of the file: its root's.

    Raises: `LimitExceeded` if the store is full; blocks that went in before stay.
    """
    root, blocks = cut(data, chunk_size, width)
    for cid, block in blocks.items():
        store.put(cid, block, is_named=True)
    return root


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
    return varint.encode(number << 3 | BYTES) + varint.encode(len(data)) + data


# -- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file that is in another block.

    Attributes:
        cid: its name.
        size: how many bytes of the file it must give.
    """

    cid: CID
    size: int


def links_of(block: bytes, most: int = DEFAULT_LIMITS.dag_links) -> list[CID]:
    """The names in a dag-pb node.

    Raises: `MalformedMessage`; `LimitExceeded` if there are more than `most`.
    """
    return _node(block, most)[0]


def _node(block: bytes, most: int) -> tuple[list[CID], list[bytes]]:
    """The links of a dag-pb node and its data, which should be there once."""
    links: list[CID] = []
    data: list[bytes] = []
    for number, kind, value in read_fields(block):
        if kind != BYTES or not isinstance(value, bytes) or number not in (1, 2):
            raise MalformedMessage(f"dag-pb has no field {number} of wire type {kind}")
        if number == 1:
            data.append(value)
            continue
        if len(links) >= most:
            raise LimitExceeded("dag_links", len(links) + 1, most)
        names = [v for n, _, v in read_fields(value) if n == 1 and isinstance(v, bytes)]
        if not names:
            raise MalformedMessage("a link without a name")
        links.append(CID.decode(names[0]))
    return links, data


def parts_of(cid: CID, block: bytes, most: int = DEFAULT_LIMITS.dag_links) -> list[bytes | Part]:
    """What a block of a file consists of, in the file's order: bytes, and parts that are elsewhere.

    Raises: `MalformedMessage` for what is no part of a file, or contradicts itself; `LimitExceeded` if it has more than
        `most` parts.
    """
    if cid.codec == Codec.RAW:
        return [block]
    if cid.codec != Codec.DAG_PB:
        raise MalformedMessage(f"a file's blocks are raw or dag-pb, not of codec {cid.codec:#x}")
    links, inner = _node(block, most)
    if len(inner) != 1:
        raise MalformedMessage(f"a UnixFS node has its data once, not {len(inner)} times")
    kind, data, size, sizes = -1, b"", None, []
    for count, (number, _, value) in enumerate(read_fields(inner[0])):
        if count > len(links) + MAX_FIELDS:
            raise MalformedMessage(f"{len(links)} links, and UnixFS fields without end")
        match number, value:
            case 1, int():
                kind = value
            case 2, bytes():
                data = value
            case 3, int():
                size = value
            case 4, int():
                sizes.append(value)
            case 4, bytes():
                sizes.extend(_packed(value, len(links)))
            case _:
                pass
    if kind not in (RAW, FILE):
        raise MalformedMessage(f"no file: UnixFS type {kind}")
    if len(sizes) != len(links):
        raise MalformedMessage(f"{len(links)} links with {len(sizes)} sizes")
    parts: list[bytes | Part] = [data] if data else []
    parts += [Part(link, part) for link, part in zip(links, sizes, strict=True)]
    if size is not None and size != size_of(parts):
        raise MalformedMessage(f"a node of {size} bytes whose parts have {size_of(parts)}")
    return parts


def _packed(data: bytes, most: int) -> list[int]:
    numbers: list[int] = []
    offset = 0
    while offset < len(data) and len(numbers) <= most:
        number, offset = varint.decode(data, offset)
        numbers.append(number)
    return numbers


def size_of(parts: list[bytes | Part]) -> int:
    """How many bytes of a file these are."""
    return sum(part.size if isinstance(part, Part) else len(part) for part in parts)


def walk(root: CID, blocks: Mapping[CID, bytes]) -> list[Node]:
    """The DAG from its root, depth first: as far as the blocks are here.

    Raises: `MalformedMessage` for a node that cannot be read, `LocalError` for a DAG of too many blocks.
    """
    found: list[Node] = []

    def visit(cid: CID, depth: int, offset: int) -> int:
        if len(found) >= MAX_BLOCKS or depth > MAX_DEPTH:
            raise LocalError(f"more than {MAX_BLOCKS} blocks, or deeper than {MAX_DEPTH}")
        data = blocks.get(cid)
        links = links_of(data) if data is not None and cid.codec == Codec.DAG_PB else []
        at = len(found)
        found.append(Node(cid, len(data or b""), tuple(links), depth, offset, 0))
        covers = 0
        for link in links:
            covers += visit(link, depth + 1, offset + covers)
        covers = covers or (0 if links else len(data or b""))
        found[at] = Node(cid, len(data or b""), tuple(links), depth, offset, covers)
        return covers

    visit(root, 0, 0)
    return found


# -- fetching ---------------------------------------------------------------------------------------------------


class Assembly:
    """A file that is being put together: no I/O, one level of the tree after the other.

    assembly = Assembly(root)
    while assembly.missing:
        for cid in [*assembly.missing]:
            assembly.add(cid, its block)
    assembly.result

    Args:
        root: the file's name.
        limits: depth, number of blocks, sizes.

    Attributes:
        missing: the blocks that this level lacks, and how many bytes of the file each must give (None for the root);
            once there are none, those of the next level.
    """

    def __init__(self, root: CID, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._parts: list[bytes | Part] = [Part(root, 0)]  # the file, as far as it is known
        self._known: dict[CID, list[bytes | Part]] = {}  # of this level
        self._depth = 0
        self._blocks = 0  # that the tree has above this level
        self._links = 0  # in the blocks of this level
        self._nodes = 0  # bytes of blocks beyond those of the file
        self.missing: dict[CID, int | None] = {root: None}

    @property
    def result(self) -> bytes:
        """The file, once nothing is missing."""
        if self.missing:
            raise LocalError(f"{len(self.missing)} blocks are missing")
        return b"".join(part for part in self._parts if isinstance(part, bytes))

    def add(self, cid: CID, block: bytes) -> None:
        """Put in a block that is missing; after the last of this level, `missing` is the next.

        Raises: `MalformedMessage` for a tree that contradicts itself; `LimitExceeded` for a bomb.
        """
        if cid not in self.missing:
            raise LocalError(f"{cid} is not missing")
        parts = parts_of(cid, block, self._limits.dag_links)
        size, said = size_of(parts), self.missing[cid]
        if said is None:
            self._check("dag_file", size, self._limits.dag_file)
        elif size != said:
            raise MalformedMessage(f"a part of {size} bytes, which was said to have {said}")
        self._nodes += len(block) - sum(len(part) for part in parts if isinstance(part, bytes))
        self._check("dag_nodes", self._nodes, self._limits.dag_nodes)
        self._links += sum(isinstance(part, Part) for part in parts)
        self._check("dag_blocks", self._blocks + self._links, self._limits.dag_blocks)
        self._known[cid] = parts
        del self.missing[cid]
        if not self.missing:
            self._descend()

    def _descend(self) -> None:
        """The level is whole: put its blocks in the place of their names."""
        parts: list[bytes | Part] = []
        for part in self._parts:
            if isinstance(part, bytes):
                parts.append(part)
            else:
                parts += self._known[part.cid]
                self._blocks += 1
            self._check("dag_blocks", self._blocks + len(parts), self._limits.dag_blocks)
        self._parts = parts
        self._known.clear()
        self._links = 0
        for part in parts:
            if isinstance(part, Part) and self.missing.setdefault(part.cid, part.size) != part.size:
                raise MalformedMessage(f"{part.cid} is said to have two different sizes")
        self._depth += 1
        if self.missing:
            self._check("dag_depth", self._depth, self._limits.dag_depth)

    @staticmethod
    def _check(name: str, value: int, allowed: int) -> None:
        if value > allowed:
            raise LimitExceeded(name, value, allowed)


async def fetch_file(host: Host, cid: CID) -> bytes:
    """A file, from whoever has its blocks. What is in our own store is not asked for.

    Raises: `BlockNotFound` if nobody has a block; `MalformedMessage` if it is no file; `LimitExceeded`;
        `TimeoutError`.
    """
    bitswap: Bitswap = host.bitswap
    session = bitswap.session()
    assembly = Assembly(cid, host.limits)
    while assembly.missing:
        await _fetch_level(bitswap, session, assembly)
    return assembly.result


async def _fetch_level(bitswap: Bitswap, session: Session, assembly: Assembly) -> None:
    """All blocks of this level, several at once."""
    wanted = iter([*assembly.missing])

    async def fetch() -> None:
        for cid in wanted:
            assembly.add(cid, await bitswap.get(cid, session))

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(session.limits.dag_in_flight, len(assembly.missing))):
                tasks.create_task(fetch())
    except* (LabError, TimeoutError) as failures:
        raise failures.exceptions[0] from None
