"""What happens in routing, as facts for the trace (layers "kad" and "bootstrap")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LookupStarted:
    """A lookup begins.

    Attributes:
        lookup: counted from 1, within the host.
        target: the position that is searched, in 64 hexadecimal digits.
        seeds: whom it begins with.
    """

    lookup: int
    target: str
    seeds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeerAsked:
    """A peer is asked; `round` is 1 for a seed, one more for each naming since."""

    lookup: int
    peer: str
    round: int


@dataclass(frozen=True, slots=True)
class PeerAnswered:
    """A peer answered.

    Attributes:
        closer: the peers that it named and that were new.
    """

    lookup: int
    peer: str
    closer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeerFailed:
    """A peer did not answer, or with nonsense."""

    lookup: int
    peer: str
    why: str


@dataclass(frozen=True, slots=True)
class LookupEnded:
    """A lookup is over.

    Attributes:
        closest: the peers that it found, the closest first.
        hops: the longest chain of namings.
        requests: how many peers were asked.
        why: "the closest have answered", "nobody is left to ask" or "enough is known".
    """

    lookup: int
    closest: tuple[str, ...]
    hops: int
    requests: int
    why: str


@dataclass(frozen=True, slots=True)
class TableChanged:
    """A peer got a place in the routing table, or lost it."""

    peer: str
    bucket: int
    added: bool


@dataclass(frozen=True, slots=True)
class BootstrapRound:
    """There are too few connections: these bootstrap peers are dialed, `missing` being how many are wanted."""

    missing: int
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BootstrapFailed:
    """A bootstrap peer could not be reached, and is left alone for `wait` seconds."""

    peer: str
    why: str
    wait: float


@dataclass(frozen=True, slots=True)
class Joined:
    """The first bootstrap peer was reached, and the DHT, if there is one, was joined through it."""

    peer: str
