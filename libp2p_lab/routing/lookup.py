"""The lookup: ask those you know for those they know, ever closer, until nobody knows anybody closer.

    seeds ──▶ shortlist, sorted by distance to the target
                 next()         up to α peers of it that have not been asked
                 answered()     the closer peers it named join the list
                 failed()       it is struck off
              until the k closest on the list have all answered

The asker does all the asking (the lookup is *iterative*): nobody forwards anything for anybody. With N peers each round
halves the distance at least, so there are about log2(N) of them at most, and far fewer when buckets hold 20.

Disjoint paths (S/Kademlia): the seeds are dealt out to d lookups that share no peer. A liar spoils the path it is on,
and no other.

No time, chance or network in here. Spec: kad-dht/README.md#peer-routing
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import position

ALPHA = 10  # requests in flight


class State(Enum):
    """What a lookup knows of one peer."""

    HEARD = "heard"  # somebody named it
    WAITING = "waiting"  # asked, no answer yet
    ANSWERED = "answered"
    FAILED = "failed"  # no answer, or a useless one


@dataclass(slots=True)
class Candidate:
    """One peer on the shortlist.

    Attributes:
        peer: who.
        distance: from the target.
        state: what became of it.
        round: 1 for the seeds' answers, one more for each peer in the chain that named it: hops.
        named_by: who named it; None for a seed.
    """

    peer: PeerId
    distance: int
    state: State = State.HEARD
    round: int = 1
    named_by: PeerId | None = None


class Lookup:
    """One search for the k peers closest to a target. Step it by hand, or let a driver do so.

    Args:
        target: the position that is searched.
        seeds: whom to ask first.
        k: how many peers are wanted.
        alpha: requests in flight.
        max_closer: peers of one answer that are listened to; the closest to the target are taken.
        without: peers that are not asked, whoever names them: ourselves, to begin with.
    """

    def __init__(
        self,
        target: int,
        seeds: Iterable[PeerId],
        *,
        k: int = 20,
        alpha: int = ALPHA,
        max_closer: int = 20,
        without: Iterable[PeerId] = (),
    ) -> None:
        self.target = target
        self.k = k
        self.alpha = alpha
        self.requests = 0
        self._max_closer = max_closer
        self._without = set(without)
        self._candidates: dict[PeerId, Candidate] = {}
        self._sorted: list[Candidate] | None = None
        self._in_flight = 0
        self._stopped = False
        for peer in seeds:
            self._hear(peer, 1, None)

    # -- the shortlist ----------------------------------------------------------------------------------------

    @property
    def candidates(self) -> list[Candidate]:
        """Everybody heard of, the closest first."""
        if self._sorted is None:
            self._sorted = sorted(self._candidates.values(), key=lambda c: c.distance)
        return self._sorted

    def _hear(self, peer: PeerId, hops: int, named_by: PeerId | None) -> None:
        if peer not in self._candidates and peer not in self._without:
            distance = position(peer.multihash) ^ self.target
            self._candidates[peer] = Candidate(peer, distance, State.HEARD, hops, named_by)
            self._sorted = None

    def _shortlist(self) -> list[Candidate]:
        """The k closest that have not failed."""
        alive = (c for c in self.candidates if c.state is not State.FAILED)
        return [c for c, _ in zip(alive, range(self.k), strict=False)]

    # -- the steps --------------------------------------------------------------------------------------------

    def next(self) -> list[PeerId]:
        """Whom to ask now; each must be reported by `answered` or `failed`."""
        chosen: list[PeerId] = []
        if self.is_finished:
            return chosen
        for candidate in self._shortlist():
            if self._in_flight >= self.alpha:
                break
            if candidate.state is State.HEARD:
                candidate.state = State.WAITING
                self._in_flight += 1
                self.requests += 1
                chosen.append(candidate.peer)
        return chosen

    def answered(self, peer: PeerId, closer: Sequence[PeerId]) -> list[PeerId]:
        """`peer` answered with these peers. Returns those that are new.

        At most `max_closer` of them are listened to, so that one answer cannot flood the list.
        """
        candidate = self._take(peer)
        candidate.state = State.ANSWERED
        new = [
            p for p in dict.fromkeys(closer) if p not in self._candidates and p not in self._without
        ]
        new.sort(key=lambda p: position(p.multihash) ^ self.target)
        for other in new[: self._max_closer]:
            self._hear(other, candidate.round + 1, peer)
        return new[: self._max_closer]

    def failed(self, peer: PeerId) -> None:
        """`peer` did not answer in time, or with nonsense."""
        self._take(peer).state = State.FAILED

    def _take(self, peer: PeerId) -> Candidate:
        candidate = self._candidates[peer]
        if candidate.state is State.WAITING:
            self._in_flight -= 1
        return candidate

    def stop(self) -> None:
        """Enough is known: nobody else is asked."""
        self._stopped = True

    # -- the outcome ------------------------------------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Whether the k closest of those heard of have all answered, or nobody is left to ask.

        Spec: kad-dht/README.md#peer-routing
        """
        return self._stopped or all(c.state is State.ANSWERED for c in self._shortlist())

    @property
    def result(self) -> list[PeerId]:
        """The k closest that answered, the closest first."""
        answered = [c.peer for c in self.candidates if c.state is State.ANSWERED]
        return answered[: self.k]

    @property
    def hops(self) -> int:
        """The longest chain of namings that ended in an answer."""
        rounds = (c.round for c in self._candidates.values() if c.state is State.ANSWERED)
        return max(rounds, default=0)


def disjoint_lookups(
    target: int,
    seeds: Sequence[PeerId],
    paths: int,
    *,
    k: int = 20,
    alpha: int = ALPHA,
    without: Iterable[PeerId] = (),
) -> list[Lookup]:
    """Several lookups that share no seed. Their driver sees to it that they share no other peer (`DisjointPeers`).

    Args:
        target, k, without: as for `Lookup`.
        seeds: dealt out like cards.
        paths: how many lookups.
        alpha: requests in flight, of all of them together.
    """
    share = max(1, alpha // paths)
    return [
        Lookup(target, seeds[path::paths], k=k, alpha=share, without=without)
        for path in range(paths)
    ]


class DisjointPeers:
    """Who belongs to which path: the first that asks a peer keeps it."""

    def __init__(self) -> None:
        self._owner: dict[PeerId, int] = {}

    def claim(self, peer: PeerId, path: int) -> bool:
        """Whether `path` may ask `peer`."""
        return self._owner.setdefault(peer, path) == path
