"""Ten thousand peers of a DHT in one process: their routing tables, and the library's own `Lookup` stepped over them.

Hosts on an `Internet` are whole: sockets, handshakes, streams. Where only lookups are asked about, their core is
enough: it says whom to ask, and is told who answered. So a peer here is a position, a region and a table.

    net = LookupNetwork(10_000, seed=1, dead=0.3)
    outcome = net.lookup(asker=5, target=position(b"a key"))
    outcome.hops, outcome.requests, outcome.failed, outcome.seconds, outcome.share

A table holds k peers of each bucket, or all if there are fewer: what refreshing strives for. Dead peers are still in
tables, and answer nobody: what a table finds out by and by is left out.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, position
from libp2p_lab.routing.lookup import ALPHA, Lookup
from libp2p_lab.routing.routing_table import K
from libp2p_lab.sim.regions import WORLD

ROUND_TRIPS = 3  # from a dial to an answer over TCP: connect, Noise, request
DIAL_TIMEOUT = 5.0  # seconds until a peer that is gone is given up; go-libp2p's dialTimeoutLocal
MEMBERS = 20  # the most that the answer to a request names


class SteppedLookup(Protocol):
    """What a lookup must be able to do to be stepped here: `Lookup` can, and so can a student's."""

    def next(self) -> Sequence[PeerId]:
        """Whom to ask now."""
        ...

    def answered(self, peer: PeerId, closer: Sequence[PeerId]) -> Any:
        """A peer answered."""
        ...

    def failed(self, peer: PeerId) -> Any:
        """A peer did not answer."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether it is over."""
        ...

    @property
    def result(self) -> Sequence[PeerId]:
        """Whom it found."""
        ...


#: Makes a lookup: `make(target, seeds, k=…, alpha=…)`.
MakeLookup = Callable[..., SteppedLookup]
#: What a peer says to a request for a position; None if it says nothing.
Answer = Callable[[PeerId, int], Sequence[PeerId] | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one lookup went.

    Attributes:
        found: its result, the closest first.
        hops: the longest chain of namings that ended in an answer; a peer of the asker's own table is the first hop.
        requests: how many peers were asked.
        failed: how many of them did not answer.
        seconds: how long it took, in virtual time.
        first_seconds: how long until the first of the k closest had answered, where a record would be; infinite if
            none did.
        share: how many of the k closest peers that live it found, from 0 to 1.
        most_in_flight: the most requests that were under way at once.
    """

    found: tuple[PeerId, ...]
    hops: int
    requests: int
    failed: int
    seconds: float
    first_seconds: float
    share: float
    most_in_flight: int

    @property
    def is_exact(self) -> bool:
        """Whether it found every one of them."""
        return self.share == 1.0


class LookupNetwork:
    """Peers, their tables and their distances; nothing happens but lookups.

    Args:
        count: how many peers.
        k: size of buckets and results.
        seed: of all chance: ids, tables, regions, who is dead.
        dead: the part of the peers that are in tables and do not answer.
        round_trips: from a dial to an answer; 1 where connections are there already.

    Attributes:
        ids: of all peers.
        alive: the numbers of those that answer.
    """

    def __init__(
        self,
        count: int,
        *,
        k: int = K,
        seed: int = 0,
        dead: float = 0.0,
        round_trips: int = ROUND_TRIPS,
    ) -> None:
        if count < 2 or not 0.0 <= dead < 1.0:
            raise LocalError("a network has at least two peers, and some of them live")
        self.k = k
        self._round_trips = round_trips
        self._rng = random.Random(f"{seed}/lookups")
        digests = (hashlib.sha256(f"{seed}/{n}".encode()).digest() for n in range(count))
        self.ids = [PeerId(b"\x12\x20" + digest) for digest in digests]
        self._number = {peer: n for n, peer in enumerate(self.ids)}
        self._position = [position(peer.multihash) for peer in self.ids]
        self._order = sorted(range(count), key=self._position.__getitem__)
        self._sorted = [self._position[n] for n in self._order]
        places = list(WORLD.regions.values())
        self._region = [
            place.name for place in self._rng.choices(places, [p.weight for p in places], k=count)
        ]
        gone = set(self._rng.sample(range(count), int(dead * count)))
        self.alive = [n for n in range(count) if n not in gone]
        self._is_alive = [n not in gone for n in range(count)]
        self._tables: dict[int, list[int]] = {}

    def region_of(self, number: int) -> str:
        """The name of the region that one peer lives in."""
        return self._region[number]

    # -- who knows whom -------------------------------------------------------------------------------------------

    def table_of(self, number: int) -> list[int]:
        """The numbers of those in one peer's table, the farthest bucket first."""
        if number not in self._tables:
            self._tables[number] = self._make_table(number)
        return self._tables[number]

    def _make_table(self, number: int) -> list[int]:
        """k of each bucket, by lot. A bucket is an interval of positions: those that share a prefix."""
        own, found = self._position[number], []
        for bucket in range(BITS):
            width = BITS - bucket - 1  # bits below the first that differs
            start = ((own >> width) ^ 1) << width
            first = bisect_left(self._sorted, start)
            last = bisect_left(self._sorted, start + (1 << width))
            inside = self._order[first:last]
            found += inside if len(inside) <= self.k else self._rng.sample(inside, self.k)
            nearer = (own >> width) << width
            if (
                bisect_left(self._sorted, nearer + (1 << width)) - bisect_left(self._sorted, nearer)
                <= 1
            ):
                break  # nobody shares more with us
        return found

    def closest(self, target: int, count: int | None = None) -> list[PeerId]:
        """The peers closest to a position that live: what a lookup should find."""
        wanted = self.k if count is None else count
        best = heapq.nsmallest(wanted, self.alive, key=lambda n: self._position[n] ^ target)
        return [self.ids[n] for n in best]

    def seeds(self, asker: int, target: int) -> list[PeerId]:
        """The k peers of one table that are closest to a position."""
        table = self.table_of(asker)
        best = heapq.nsmallest(self.k, table, key=lambda n: self._position[n] ^ target)
        return [self.ids[n] for n in best]

    def answer(self, peer: PeerId, target: int) -> Sequence[PeerId] | None:
        """What a peer says to FIND_NODE; None if it is dead."""
        number = self._number[peer]
        return self.seeds(number, target)[:MEMBERS] if self._is_alive[number] else None

    # -- looking up -------------------------------------------------------------------------------------------------

    def lookup(
        self,
        asker: int,
        target: int,
        *,
        alpha: int = ALPHA,
        make: MakeLookup = Lookup,
        answer: Answer | None = None,
    ) -> Outcome:
        """One lookup in virtual time.

        Args:
            asker: the number of who searches.
            target: the position that is searched.
            alpha: requests in flight.
            make: makes the lookup; the library's own if not given.
            answer: what peers say; what they know if not given.

        Raises: what the lookup raises.
        """
        answer = answer or self.answer
        seeds = self.seeds(asker, target)
        me = self.ids[asker]
        lookup = make(target, seeds, k=self.k, alpha=alpha)
        rounds = dict.fromkeys(seeds, 1)
        due: list[tuple[float, int, PeerId, Sequence[PeerId] | None]] = []
        right = [peer for peer in self.closest(target, self.k + 1) if peer != me][: self.k]
        now, first, requests, failed, hops, most = 0.0, math.inf, 0, 0, 0, 0
        while True:
            for peer in lookup.next():
                requests += 1
                said = answer(peer, target)
                wait = DIAL_TIMEOUT if said is None else self._request_time(asker, peer)
                heapq.heappush(due, (now + wait, requests, peer, said))
            most = max(most, len(due))
            if not due or lookup.is_finished:
                break
            now, _, peer, said = heapq.heappop(due)
            if said is None:
                failed += 1
                lookup.failed(peer)
                continue
            named = [other for other in said if other != me]
            for other in named:
                rounds.setdefault(other, rounds[peer] + 1)
            hops = max(hops, rounds[peer])
            first = min(first, now) if peer in right else first
            lookup.answered(peer, named)
        found = tuple(lookup.result)
        share = len(set(found) & set(right)) / len(right)
        return Outcome(found, hops, requests, failed, now, first, share, most)

    def _request_time(self, asker: int, peer: PeerId) -> float:
        """Seconds from a dial to the answer; a peer that was made up is next door."""
        number = self._number.get(peer)
        there = self._region[number] if number is not None else self._region[asker]
        delay = WORLD.delay(self._region[asker], there)
        return self._round_trips * 2 * delay * (1 + WORLD.jitter * self._rng.random())
