"""What a connection's streams hold that nobody has read yet, counted before it is kept.

Two things cost memory: bytes that wait for their reader, and windows that the remote was allowed to fill beyond the
first one. The first are here already; the second may come. The larger of the two is reserved, in steps, from whoever
counts for the host (host/resources.py): its scopes know what one connection, one peer and all together may take.

    a window shall grow        not enough left: it stays as it is, and nobody notices but the clock
    bytes arrive unread        not enough left: their stream is reset, and its reader is told which limit it was

The first `memory_floor` bytes of a connection are never refused. So whoever takes all that there is cannot stop the
others: slowly, one window at a time, they go on.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from libp2p_lab.errors import LimitExceeded
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

STEP = 64 * 1024  # bytes; to ask for each message would take longer than to read it
SPARE = 4 * STEP  # kept when readers catch up, for what comes next


class MemoryAccount(Protocol):
    """Who counts: a claim of the host's resource manager."""

    def reserve_memory(self, n: int) -> None:
        """`n` more bytes.

        Raises: `LimitExceeded`, and nothing is counted.
        """
        ...

    def release_memory(self, n: int) -> None:
        """`n` of them are free again."""
        ...


class ReceiveMemory:
    """The memory of one connection's streams.

    Args:
        limits: what is never refused.

    Attributes:
        held: bytes that arrived and wait for their readers.
        promised: bytes that windows allow beyond the first ones.
        reserved: bytes that the account counts.
    """

    __slots__ = ("_account", "_floor", "held", "promised", "reserved")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.held = self.promised = self.reserved = 0
        self._floor = limits.memory_floor
        self._account: MemoryAccount | None = None

    def open(self, account: MemoryAccount) -> None:
        """From now on `account` counts. Before that, nothing is refused."""
        self._account = account

    def close(self) -> None:
        """The connection is gone, and all that it held. The account's owner gives back what was reserved."""
        self._account = None
        self.reserved = 0

    def hold(self, n: int) -> LimitExceeded | None:
        """`n` bytes arrived. None: keep them; otherwise the limit that says no."""
        self.held += n
        if self.held <= self.reserved + self._floor:
            return None
        refusal = self._reserve(self.held)
        if refusal is not None:
            self.held -= n
        return refusal

    def free(self, n: int) -> None:
        """`n` of those bytes were read, or thrown away."""
        self.held -= n
        if self.reserved:
            self._release()

    def promise(self, n: int) -> bool:
        """May windows become larger by `n` bytes in all?"""
        if self._reserve(self.promised + n) is not None:
            return False
        self.promised += n
        return True

    def unpromise(self, n: int) -> None:
        """Windows are gone that were larger than the first ones by `n` bytes in all."""
        self.promised -= n
        if self.reserved:
            self._release()

    def _reserve(self, needed: int) -> LimitExceeded | None:
        missing = needed - self._floor - self.reserved
        if missing <= 0 or self._account is None:
            return None
        missing = -(-missing // STEP) * STEP
        try:
            self._account.reserve_memory(missing)
        except LimitExceeded as refusal:
            return refusal
        self.reserved += missing
        return None

    def _release(self) -> None:
        needed = max(0, max(self.held, self.promised) - self._floor)
        spare = SPARE if self.held else 0
        surplus = (self.reserved - needed - spare) // STEP * STEP
        if surplus > 0 and self._account is not None:
            self._account.release_memory(surplus)
            self.reserved -= surplus


@runtime_checkable
class GrowsWindows(Protocol):
    """A muxer's session that asks before it lets the remote send more at once."""

    memory: ReceiveMemory
