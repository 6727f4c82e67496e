"""A lookup as it was told, step by step; and what a routing table ought to hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.events import (
    LookupEnded,
    LookupStarted,
    PeerAnswered,
    PeerAsked,
    PeerFailed,
)
from libp2p_lab.routing.lookup import ALPHA
from libp2p_lab.routing.routing_table import K
from libp2p_lab.trace import Entry

Kind = Literal["asked", "answered", "failed"]
MAX_LOOKUPS = 200  # of a recording; the latest


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened in a lookup.

    Attributes:
        time: seconds since the lookup began.
        kind: "asked", "answered" or "failed".
        peer: whom it happened to.
        round: 1 for a seed, one more for each naming since.
        lane: which of the places for requests in flight it takes, from 0.
        named: the new peers in its answer.
        why: what went wrong.
    """

    time: float
    kind: Kind
    peer: PeerId
    round: int = 1
    lane: int = 0
    named: tuple[PeerId, ...] = ()
    why: str = ""


@dataclass(slots=True)
class Trail:
    """One lookup from its beginning to its end.

    Attributes:
        asker: who searches.
        target: the position that is searched.
        k, alpha: how many are wanted, and how many requests may be in flight.
        seeds: whom the asker knew, the closest first.
        steps: in their order.
        closest: what it found, the closest first.
        hops: the longest chain of namings.
        why: why it ended; "" while it runs.
        seconds: how long it took.
    """

    asker: PeerId
    target: int
    k: int = K
    alpha: int = ALPHA
    seeds: tuple[PeerId, ...] = ()
    steps: list[Step] = field(default_factory=list)
    closest: tuple[PeerId, ...] = ()
    hops: int = 0
    why: str = ""
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many peers were asked."""
        return sum(step.kind == "asked" for step in self.steps)

    @property
    def messages(self) -> int:
        """Requests, and the answers to them."""
        return self.requests + sum(step.kind == "answered" for step in self.steps)

    @property
    def failures(self) -> int:
        """How many did not answer."""
        return sum(step.kind == "failed" for step in self.steps)

    @property
    def mentioned(self) -> list[PeerId]:
        """Everybody that occurs, each once."""
        found = dict.fromkeys((self.asker, *self.seeds))
        for step in self.steps:
            found.update(dict.fromkeys((step.peer, *step.named)))
        return [*found]


def lanes(steps: Iterable[Step]) -> list[Step]:
    """Give each request the first lane that is free when it leaves."""
    taken: dict[PeerId, int] = {}
    placed = []
    for step in steps:
        if step.kind == "asked":
            used = set(taken.values())
            taken[step.peer] = next(n for n in range(len(used) + 1) if n not in used)
            lane = taken[step.peer]
        else:
            lane = taken.pop(step.peer, 0)
        placed.append(replace(step, lane=lane))
    return placed


def trails_of(entries: Iterable[Entry], k: int = K, alpha: int = ALPHA) -> list[Trail]:
    """The lookups that a recording tells of, in the order in which they began.

    Args:
        entries: of any number of hosts, other layers' too.
        k, alpha: what their hosts use: the record does not say.
    """
    trails: dict[tuple[str, int], Trail] = {}
    began: dict[tuple[str, int], float] = {}
    for entry in entries:
        what = entry.what
        if entry.layer != "kad":
            continue
        if isinstance(what, LookupStarted):
            key = entry.node, what.lookup
            trails.pop(key, None)
            trails[key] = Trail(
                PeerId.from_text(entry.node),
                int(what.target, 16),
                k,
                alpha,
                tuple(map(PeerId.from_text, what.seeds)),
            )
            began[key] = entry.time
            if len(trails) > MAX_LOOKUPS:
                del trails[next(iter(trails))]
        elif isinstance(what, PeerAsked | PeerAnswered | PeerFailed | LookupEnded):
            key = entry.node, what.lookup
            if key in trails:
                _take(trails[key], what, entry.time - began[key])
    for trail in trails.values():
        trail.steps = lanes(trail.steps)
    return [*trails.values()]


def _take(
    trail: Trail, what: PeerAsked | PeerAnswered | PeerFailed | LookupEnded, now: float
) -> None:
    trail.seconds = now
    match what:
        case PeerAsked():
            trail.steps.append(Step(now, "asked", PeerId.from_text(what.peer), what.round))
        case PeerAnswered():
            named = tuple(map(PeerId.from_text, what.closer))
            trail.steps.append(Step(now, "answered", PeerId.from_text(what.peer), named=named))
        case PeerFailed():
            step = Step(now, "failed", PeerId.from_text(what.peer), why=what.why)
            trail.steps.append(step)
        case LookupEnded():
            trail.closest = tuple(map(PeerId.from_text, what.closest))
            trail.hops, trail.why = what.hops, what.why


def expected(peers: int, k: int, buckets: int) -> list[float]:
    """How many peers each bucket of a full table holds, if positions are even: at most k of N / 2^(b+1)."""
    return [min(float(k), peers / 2 ** (bucket + 1)) for bucket in range(buckets)]


def occupancy(sizes: dict[int, int]) -> list[int]:
    """The sizes of all buckets up to the last that holds anybody."""
    return [sizes.get(bucket, 0) for bucket in range(max(sizes, default=-1) + 1)]


def summary(trail: Trail, true: Sequence[PeerId] | None = None) -> str:
    """A lookup in words.

    Args:
        trail: the lookup.
        true: who really is closest, if that is known.
    """
    if not trail.why:
        return f"{trail.requests} peers asked so far"
    words = (
        f"{len(trail.closest)} peers found in {trail.hops} {'hop' if trail.hops == 1 else 'hops'}: "
        f"{trail.requests} asked, {trail.messages} messages, {seconds(trail.seconds)}"
    )
    if trail.failures:
        words += f", {trail.failures} did not answer"
    if true is not None:
        right = len(set(true) & set(trail.closest))
        words += f"; {right} of the {len(true)} that are closest are among them"
    return f"{words}. It ended because {trail.why}."


def seconds(value: float) -> str:
    """A time as people write it."""
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"
