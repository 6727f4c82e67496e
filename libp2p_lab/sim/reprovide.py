"""What it costs to announce many keys: one by one, and region by region.

    one, sweep = compare(peers=1000, keys=1000)
    one.requests, sweep.requests          questions of all searches together
    one.streams, sweep.streams            streams on which somebody was told something

Both tell the same peers the same: `Cost.exact` says how many of the keys got to exactly the k closest.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from libp2p_lab.content.sweep import Coverage, in_region
from libp2p_lab.errors import LocalError
from libp2p_lab.routing.distance import position
from libp2p_lab.sim.lookups import LookupNetwork

ASKER = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way of announcing costs.

    Attributes:
        keys: how many were announced.
        lookups: searches.
        requests: questions in them.
        announcements: ADD_PROVIDER messages.
        streams: on which these were sent.
        exact: the part of the keys whose k closest peers were told, all of them and nobody else.
    """

    keys: int
    lookups: int
    requests: int
    announcements: int
    streams: int
    exact: float

    @property
    def per_key(self) -> float:
        """Streams opened for each key, whether to ask or to tell: each is a dial if there is no connection."""
        return (self.requests + self.streams) / self.keys


def compare(*, peers: int = 1000, keys: int = 1000, seed: int = 1) -> tuple[Cost, Cost]:
    """Announce the same keys in the same network, one by one and as a sweep.

    Args:
        peers: in the network.
        keys: to be announced.
        seed: of all chance.

    Raises: `LocalError` if there is nothing to announce.
    """
    if keys < 1:
        raise LocalError("there is at least one key to announce")
    net = LookupNetwork(peers, seed=seed)
    names = [hashlib.sha256(f"{seed}/key {n}".encode()).digest() for n in range(keys)]
    return one_by_one(net, names), swept(net, names, seed=seed)


def one_by_one(net: LookupNetwork, keys: list[bytes]) -> Cost:
    """A search for each key."""
    requests = told = right = 0
    for key in keys:
        outcome = net.lookup(ASKER, position(key))
        requests += outcome.requests
        told += len(outcome.found)
        right += outcome.is_exact
    return Cost(len(keys), len(keys), requests, told, told, right / len(keys))


def swept(net: LookupNetwork, keys: list[bytes], *, seed: int = 1) -> Cost:
    """As `KadDHT.provide_many` does it."""
    rng = random.Random(f"{seed}/reprovide")
    coverage = Coverage(net.k)
    waiting = sorted(keys, key=position)
    lookups = requests = told = streams = right = 0
    while waiting:
        place = position(waiting[0])
        following = position(waiting[1]) if len(waiting) > 1 else None
        while (gap := coverage.gap(place, following)) is not None:
            inside = next((position(key) for key in waiting if position(key) in gap), None)
            target = inside if inside is not None else rng.randrange(gap.start, gap.end)
            outcome = net.lookup(ASKER, target)
            lookups += 1
            requests += outcome.requests
            coverage.add(target, outcome.found)
        count = in_region(waiting, coverage.region(place))
        letters = {}
        for key in waiting[:count]:
            found = coverage.closest(position(key))
            others = [p for p in net.closest(position(key), net.k + 1) if p != net.ids[ASKER]]
            right += found == others[: net.k]
            told += len(found)
            letters.update(dict.fromkeys(found))
        streams += len(letters)
        waiting = waiting[count:]
    return Cost(len(keys), lookups, requests, told, streams, right / len(keys))
