"""What happens when blocks are fetched, as facts for the trace (layer "bitswap")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockAsked:
    """A peer is asked for a block."""

    peer: str
    cid: str


@dataclass(frozen=True, slots=True)
class BlockArrived:
    """A block came, and hashes to a name that is wanted.

    Attributes:
        size: its bytes.
    """

    peer: str
    cid: str
    size: int


@dataclass(frozen=True, slots=True)
class BlocksRefused:
    """A peer sent what it was not asked for, and is asked no more.

    Attributes:
        size: bytes of its message.
        why: what was wrong.
    """

    peer: str
    size: int
    why: str
