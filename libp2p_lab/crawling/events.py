"""What happens in a crawl, as facts for the trace (layer "crawl")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CrawlStarted:
    """A crawl begins, or goes on.

    Attributes:
        seeds: whom it begins with.
        visited: peers that were visited before it was interrupted.
    """

    seeds: tuple[str, ...]
    visited: int


@dataclass(frozen=True, slots=True)
class PeerVisited:
    """A visit is over.

    Attributes:
        peer: who.
        reach: "answered", "connected" or "unreached".
        agent: its program, as it says.
        named: how many peers it named, and `new` of them were new.
        why: what went wrong; "" for nothing.
    """

    peer: str
    reach: str
    agent: str
    named: int
    new: int
    why: str


@dataclass(frozen=True, slots=True)
class CrawlEnded:
    """Nobody is left to visit, or enough were."""

    heard: int
    visited: int
    there: int
    questions: int
