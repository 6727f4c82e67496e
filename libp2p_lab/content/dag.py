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
        store.put(cid, block)
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


def links_of(block: bytes) -> list[CID]:
    """The names in a dag-pb node.

    Raises: `MalformedMessage`.
    """
    found = []
    for number, kind, link in read_fields(block):
        if kind != BYTES or not isinstance(link, bytes):
            raise MalformedMessage(f"dag-pb has no fields of wire type {kind}")
        if number == 2:
            names = [v for n, _, v in read_fields(link) if n == 1 and isinstance(v, bytes)]
            if not names:
                raise MalformedMessage("a link without a name")
            found.append(CID.decode(names[0]))
    return found


def parts_of(cid: CID, block: bytes) -> list[bytes | Part]:
    """What a block of a file consists of, in the file's order: bytes, and parts that are elsewhere.

    Raises: `MalformedMessage` for what is no part of a file, or contradicts itself.
    """
    if cid.codec == Codec.RAW:
        return [block]
    if cid.codec != Codec.DAG_PB:
        raise MalformedMessage(f"a file's blocks are raw or dag-pb, not of codec {cid.codec:#x}")
    links = links_of(block)
    inner = [v for n, _, v in read_fields(block) if n == 1 and isinstance(v, bytes)]
    if len(inner) != 1:
        raise MalformedMessage(f"a UnixFS node has its data once, not {len(inner)} times")
    kind, data, size, sizes = -1, b"", None, []
    for number, _, value in read_fields(inner[0]):
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
                sizes.extend(_packed(value))
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


def _packed(data: bytes) -> list[int]:
    numbers, offset = [], 0
    while offset < len(data):
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
        assembly.add({cid: its block, for each cid that is missing})
    assembly.result

    Args:
        root: the file's name.
        limits: depth, number of blocks, size.
    """

    def __init__(self, root: CID, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._parts: list[bytes | Part] = []
        self._depth = 0
        self._blocks = 1
        self.missing: dict[CID, None] = {root: None}

    @property
    def result(self) -> bytes:
        """The file, once nothing is missing."""
        if self.missing:
            raise LocalError(f"{len(self.missing)} blocks are missing")
        return b"".join(part for part in self._parts if isinstance(part, bytes))

    def add(self, blocks: Mapping[CID, bytes]) -> None:
        """Put in all that was missing; then the next level is.

        Raises: `MalformedMessage` for a tree that contradicts itself; `LimitExceeded` for a bomb.
        """
        if self._depth == 0:
            self._parts = [part for cid in self.missing for part in parts_of(cid, blocks[cid])]
            self._check("dag_file", size_of(self._parts), self._limits.dag_file)
        else:
            known = {cid: parts_of(cid, blocks[cid]) for cid in self.missing}
            parts: list[bytes | Part] = []
            for part in self._parts:
                if isinstance(part, bytes):
                    parts.append(part)
                    continue
                inner = known[part.cid]
                if size_of(inner) != part.size:
                    raise MalformedMessage(
                        f"a part of {size_of(inner)} bytes, which was said to have {part.size}"
                    )
                parts += inner
                self._check("dag_blocks", self._blocks + len(parts), self._limits.dag_blocks)
            self._parts = parts
        open_parts = [part for part in self._parts if isinstance(part, Part)]
        self._blocks += len(open_parts)
        self._check("dag_blocks", self._blocks, self._limits.dag_blocks)
        self.missing = {part.cid: None for part in open_parts}
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
        assembly.add(await _fetch_all(bitswap, session, [*assembly.missing]))
    return assembly.result


async def _fetch_all(bitswap: Bitswap, session: Session, cids: list[CID]) -> dict[CID, bytes]:
    """These blocks, several at once."""
    blocks: dict[CID, bytes] = {}
    wanted = iter(cids)

    async def fetch() -> None:
        for cid in wanted:
            blocks[cid] = await bitswap.get(cid, session)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(session.limits.dag_in_flight, len(cids))):
                tasks.create_task(fetch())
    except* (LabError, TimeoutError) as failures:
        raise failures.exceptions[0] from None
    return blocks
