"""A network of up to ten thousand peers in which lookups are stepped: the lab's own `RoutingTable` and `Lookup`, and a
clock in place of a network.

Peers stand in the regions of the world that libp2p's interop tests use. What a question costs is the same as in
`sim.lookups`: three round trips, or the time-out if the peer is gone and still in others' tables. That module counts
whole lookups of a network; here each step is kept, sybils and clients can be added, and single peers changed.

    asker ── Lookup.next() ──▶ a peer       its RoutingTable is made when it is first asked: up to k peers of each
          ◀─ Lookup.answered ── k closest   bucket, by lot, and kept

Making ten thousand tables of two hundred entries would take minutes. A lookup asks some dozens, so it takes none.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, position
from libp2p_lab.routing.lookup import ALPHA, Candidate, Lookup, State
from libp2p_lab.routing.routing_table import K, RoutingTable
from libp2p_lab.sim.lookups import DIAL_TIMEOUT, ROUND_TRIPS
from libp2p_lab.sim.regions import WORLD
from libp2p_lab.widgets.xor_model import Step, Trail, lanes

MIN_PEERS, MAX_PEERS = 10, 10_000
MAX_K, MAX_ALPHA = 40, 40
MAX_GRINDING = 400_000  # hashes tried for sybils


@dataclass(frozen=True, slots=True)
class Scene:
    """What a lookup is up against.

    Attributes:
        peers: how many there are, 10 to 10,000.
        k: places in a bucket, and how many are wanted.
        alpha: requests in flight.
        gone: the share of peers that have left, without a word.
        clients: the share of peers that only ask, and are in nobody's table.
        clients_in_tables: take them in nevertheless. They are behind NATs and cannot be reached.
        sybils: peers whose ids somebody made until they were closest to the key.
        numeric: measure distance by subtraction instead of XOR.
        seed: of all chance.

    Raises: `LocalError` for values out of range.
    """

    peers: int = 200
    k: int = 8
    alpha: int = 3
    gone: float = 0.0
    clients: float = 0.0
    clients_in_tables: bool = False
    sybils: int = 0
    numeric: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("peers", MIN_PEERS, MAX_PEERS),
            ("k", 1, MAX_K),
            ("alpha", 1, MAX_ALPHA),
            ("gone", 0.0, 0.9),
            ("clients", 0.0, 0.9),
            ("sybils", 0, 100),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise LocalError(f"{name} goes from {low} to {high}, not {value}")


#: What the spec and today's networks use.
SPEC = {"k": K, "alpha": ALPHA}


class NumericLookup(Lookup):
    """A lookup that measures with a ruler: the difference of two positions. It is an error to be looked at."""

    def _hear(self, peer: PeerId, hops: int, named_by: PeerId | None) -> None:
        if peer not in self._candidates and peer not in self._without:
            away = abs(position(peer.multihash) - self.target)
            self._candidates[peer] = Candidate(peer, away, State.HEARD, hops, named_by)
            self._sorted = None


class Crowd:
    """Peers in the order of their positions. They stay the same whoever of them is gone.

    Args:
        count: how many.
        seed: of their ids and of where they live.
    """

    def __init__(self, count: int, seed: int) -> None:
        salt = b"peer %d " % seed
        ids = [
            PeerId(b"\x12\x20" + hashlib.sha256(salt + b"%d" % n).digest()) for n in range(count)
        ]
        placed = sorted((position(peer.multihash), peer) for peer in ids)
        self.positions = [at for at, _ in placed]
        self.peers = [peer for _, peer in placed]
        names = [*WORLD.regions]
        weights = [WORLD.regions[name].weight for name in names]
        self.regions = random.Random(seed).choices(names, weights, k=count)

    def __len__(self) -> int:
        return len(self.peers)


@lru_cache(maxsize=4)
def crowd(count: int, seed: int) -> Crowd:
    """The same crowd for the same arguments: sliders ask for it again and again."""
    return Crowd(count, seed)


class Net:
    """The peers of one scene, and what each knows.

    Args:
        scene: what they are up against.
        target: the key's position, around which sybils would settle.
        changed: what a person did to single peers: "gone", "client" or "server", by peer id.
    """

    def __init__(self, scene: Scene, target: int, changed: dict[PeerId, str] | None = None) -> None:
        self.scene = scene
        self.target = target
        honest = crowd(scene.peers, scene.seed)
        nearest = min(at ^ target for at in honest.positions)
        made = _ground(target, nearest, scene.sybils) if scene.sybils else ()
        self.sybils = frozenset(made)
        rows = sorted(
            [
                *zip(honest.positions, honest.peers, honest.regions, strict=True),
                *((position(p.multihash), p, honest.regions[0]) for p in self.sybils),
            ]
        )
        self.positions = [row[0] for row in rows]
        self.peers = [row[1] for row in rows]
        self._region = {row[1]: row[2] for row in rows}
        self._tables: dict[PeerId, RoutingTable] = {}
        rng = random.Random(scene.seed + 1)
        lots = {peer: (rng.random(), rng.random()) for peer in honest.peers}
        done = changed or {}
        self.gone = frozenset(
            p for p, lot in lots.items() if done.get(p) == "gone" or lot[0] < scene.gone
        )
        self.clients = frozenset(
            p
            for p, lot in lots.items()
            if done.get(p) == "client" or (lot[1] < scene.clients and done.get(p) != "server")
        )

    @property
    def servers(self) -> list[PeerId]:
        """Honest peers that are up and answer: what a lookup can find at best."""
        without = self.gone | self.clients | self.sybils
        return [p for p in self.peers if p not in without]

    def distance(self, peer: PeerId, to: int) -> int:
        """How far, as this scene measures it."""
        at = position(peer.multihash)
        return abs(at - to) if self.scene.numeric else at ^ to

    def closest(self, asker: PeerId) -> list[PeerId]:
        """The k honest ones that really are closest to the key: what `asker` would find if it knew everybody."""
        ordered = sorted(self.servers, key=lambda peer: self.distance(peer, self.target))
        return [peer for peer in ordered if peer != asker][: self.scene.k]

    # -- what a peer knows ------------------------------------------------------------------------

    def table(self, peer: PeerId) -> RoutingTable:
        """A peer's routing table: of each bucket up to k servers, by lot; sybils come last and find it full or not."""
        found = self._tables.get(peer)
        if found is None:
            found = self._tables[peer] = RoutingTable(peer, self.scene.k)
            rng = random.Random(int.from_bytes(peer.multihash[-8:], "big") ^ self.scene.seed)
            own = position(peer.multihash)
            for bucket in range(BITS):
                low, high = self.span(own, bucket)
                for other in self._chosen(low, high, rng):
                    found.add(other)
                if high == low and self._is_alone(own, bucket + 1):
                    break
        return found

    def span(self, own: int, bucket: int) -> tuple[int, int]:
        """The sub-tree of a bucket: from which to which place in `peers` it reaches."""
        free = BITS - bucket - 1  # bits below the one that differs
        start = ((own >> free) ^ 1) << free
        return (
            bisect_left(self.positions, start),
            bisect_left(self.positions, start + (1 << free)),
        )

    def _is_alone(self, own: int, bits: int) -> bool:
        """Whether nobody else shares so many bits."""
        free = BITS - bits
        start = (own >> free) << free
        low, high = (
            bisect_left(self.positions, start),
            bisect_left(self.positions, start + (1 << free)),
        )
        return high - low <= 1

    def _chosen(self, low: int, high: int, rng: random.Random) -> list[PeerId]:
        """Up to k peers of a part of the tree that a table would hold."""
        count = min(high - low, 4 * self.scene.k)
        places = rng.sample(range(low, high), count)
        known = [p for p in (self.peers[n] for n in places) if self._belongs(p)]
        if len(known) < self.scene.k and count < high - low:  # nearly all are clients
            known = [p for p in self.peers[low:high] if self._belongs(p)]
            rng.shuffle(known)
        known.sort(key=lambda p: p in self.sybils)  # who came first stays
        return known[: self.scene.k]

    def _belongs(self, peer: PeerId) -> bool:
        return peer not in self.clients or self.scene.clients_in_tables

    def answer(self, peer: PeerId) -> list[PeerId] | None:
        """Whom a peer names when it is asked for the key; None if it does not answer."""
        if peer in self.gone or peer in self.clients:
            return None
        if peer in self.sybils:
            others = sorted(self.sybils - {peer}, key=lambda p: self.distance(p, self.target))
            return others[: self.scene.k]  # nobody else exists, they say
        table = self.table(peer)
        if not self.scene.numeric:
            return table.closest(self.target)
        return sorted(table.peers, key=lambda p: self.distance(p, self.target))[: self.scene.k]

    # -- a lookup ---------------------------------------------------------------------------------

    def lookup(self, asker: PeerId) -> Trail:
        """Let `asker` search for the key."""
        scene = self.scene
        table = self.table(asker)
        seeds = sorted(table.peers, key=lambda p: self.distance(p, self.target))[: scene.k]
        make = NumericLookup if scene.numeric else Lookup
        core = make(
            self.target, seeds, k=scene.k, alpha=scene.alpha, max_closer=scene.k, without={asker}
        )
        rounds = dict.fromkeys(seeds, 1)
        steps: list[Step] = []
        waiting: list[tuple[float, int, PeerId]] = []
        order = itertools.count()
        now = 0.0
        while True:
            for peer in core.next():
                steps.append(Step(now, "asked", peer, rounds[peer]))
                heapq.heappush(waiting, (now + self._takes(asker, peer), next(order), peer))
            if not waiting or core.is_finished:
                break
            now, _, peer = heapq.heappop(waiting)
            answer = self.answer(peer)
            if answer is None:
                core.failed(peer)
                steps.append(Step(now, "failed", peer, rounds[peer], why="no answer"))
                continue
            new = core.answered(peer, answer)
            rounds.update((other, rounds[peer] + 1) for other in new)
            steps.append(Step(now, "answered", peer, rounds[peer], named=tuple(new)))
        enough = len(core.result) >= scene.k
        why = "the closest have answered" if enough else "nobody is left to ask"
        return Trail(
            asker,
            self.target,
            scene.k,
            scene.alpha,
            tuple(seeds),
            lanes(steps),
            tuple(core.result),
            core.hops,
            why,
            now,
        )

    def _takes(self, asker: PeerId, peer: PeerId) -> float:
        """Seconds from the question to the answer, or to the end of patience."""
        if peer in self.gone or peer in self.clients:
            return DIAL_TIMEOUT
        here, there = self._region[asker], self._region[peer]
        return ROUND_TRIPS * (WORLD.delay(here, there) + WORLD.delay(there, here))


@lru_cache(maxsize=8)
def _ground(target: int, nearest: int, count: int) -> tuple[PeerId, ...]:
    """Ids made by trial until they are closer to `target` than `nearest`, as far as patience goes.

    It is this cheap: each try is one hash, and among N peers about N tries give one id.
    """
    found: list[tuple[int, bytes]] = []
    rest: list[tuple[int, bytes]] = []
    for number in range(MAX_GRINDING):
        name = b"\x12\x20" + hashlib.sha256(b"sybil %d" % number).digest()
        away = int.from_bytes(hashlib.sha256(name).digest(), "big") ^ target
        if away < nearest:
            found.append((away, name))
            if len(found) == count:
                break
        elif number < 20_000:
            rest.append((away, name))
    return tuple(PeerId(name) for _, name in [*sorted(found), *sorted(rest)][:count])
