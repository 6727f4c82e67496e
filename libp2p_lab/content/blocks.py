"""Blocks: bytes under the name that they hash to. A store of them in memory.

    store.put(cid, data)      kept, if `data` is what `cid` names
    store.get(cid)            the bytes, or None

Blocks are found by their multihash: two CIDs that differ only in version or codec name the same bytes.

Misconception: whoever keeps blocks for others must trust them. The hash is checked before a block is kept, so nothing
else can get in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from libp2p_lab.content.cid import CID
from libp2p_lab.errors import LimitExceeded, RecordInvalid
from libp2p_lab.limits import DEFAULT_LIMITS, Limits


class BlockStore(Protocol):
    """Where blocks are kept."""

    def put(self, cid: CID, data: bytes, is_named: bool = False) -> None:
        """Keep a block.

        Args:
            cid: its name.
            data: its bytes.
            is_named: the caller has just computed the name from these very bytes; they need not be hashed once more.

        Raises: `RecordInvalid` if it does not hash to its name; `LimitExceeded`.
        """
        ...

    def get(self, cid: CID) -> bytes | None:
        """The block, if it is here."""
        ...

    def has(self, cid: CID) -> bool:
        """Whether it is here."""
        ...

    def watch(self, callback: Callable[[CID], None]) -> None:
        """Call `callback` with the name of each block that comes new."""
        ...


class MemoryBlockStore:
    """Blocks in memory, until they are deleted or the program ends.

    Args:
        limits: how long a block, how many, how many bytes in all.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._blocks: dict[bytes, bytes] = {}  # by multihash
        self._watchers: list[Callable[[CID], None]] = []
        self.size = 0  # bytes in all

    def put(self, cid: CID, data: bytes, is_named: bool = False) -> None:
        """As `BlockStore.put`."""
        if cid.multihash in self._blocks:
            return
        limits = self._limits
        if len(data) > limits.block:
            raise LimitExceeded("block", len(data), limits.block)
        if not is_named and not cid.matches(data):
            raise RecordInvalid(f"{len(data)} bytes that do not hash to {cid}")
        if len(self._blocks) >= limits.blocks:
            raise LimitExceeded("blocks", len(self._blocks) + 1, limits.blocks)
        if self.size + len(data) > limits.blocks_memory:
            raise LimitExceeded("blocks_memory", self.size + len(data), limits.blocks_memory)
        self._blocks[cid.multihash] = bytes(data)
        self.size += len(data)
        for callback in self._watchers:
            callback(cid)

    def get(self, cid: CID) -> bytes | None:
        """As `BlockStore.get`."""
        return self._blocks.get(cid.multihash)

    def has(self, cid: CID) -> bool:
        """As `BlockStore.has`."""
        return cid.multihash in self._blocks

    def watch(self, callback: Callable[[CID], None]) -> None:
        """As `BlockStore.watch`."""
        self._watchers.append(callback)

    def delete(self, cid: CID) -> None:
        """Keep it no more."""
        self.size -= len(self._blocks.pop(cid.multihash, b""))

    def __len__(self) -> int:
        return len(self._blocks)
