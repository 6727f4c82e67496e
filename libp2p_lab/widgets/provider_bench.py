"""Some days in the life of a key: providers announce it, the k peers closest to it keep the records, peers come and go.

    provider ── ADD_PROVIDER every `republish` hours ──▶ the k closest that are up then
    holder      keeps the record `expiry` hours, or until it leaves: then its records are gone with it
    finder  ── GET_PROVIDERS ──▶ the k closest that are up now, until enough providers are known

Each peer has the lab's own `MemoryProviderStore`, on this bench's clock. A peer that leaves is followed by another with
another id, so that there are always as many.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from bisect import insort
from dataclasses import dataclass, field

from libp2p_lab.content.providers import MemoryProviderStore
from libp2p_lab.errors import LimitExceeded, LocalError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.routing.distance import position

HOUR = 3600.0
MAX_HOURS = 24.0 * 7  # at once
MAX_SAMPLES = 24 * 60  # one an hour
ROUND = 10  # requests of a lookup, beside the k that are told
ADDRESS = Multiaddr("/ip4/11.0.0.1/udp/4001/quic-v1")


@dataclass(frozen=True, slots=True)
class Plan:
    """How records are kept alive.

    Attributes:
        peers: how many there are.
        k: how many keep a record.
        providers: how many have the content.
        republish: hours between two announcements of a provider.
        expiry: hours that a record is kept.
        session: hours that a peer stays, on average; 0 for ever.
        quorum: how many providers a finder wants.
        seed: of all chance.

    Raises: `LocalError` for values out of range.
    """

    peers: int = 500
    k: int = 20
    providers: int = 3
    republish: float = 22.0
    expiry: float = 48.0
    session: float = 8.0
    quorum: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("peers", 10, 2000),
            ("k", 1, 40),
            ("providers", 1, 10),
            ("republish", 1.0, 168.0),
            ("expiry", 1.0, 168.0),
            ("session", 0.0, 1000.0),
            ("quorum", 1, 20),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise LocalError(f"{name} goes from {low} to {high}, not {value}")


@dataclass(slots=True)
class Provider:
    """Somebody who says that it has the content.

    Attributes:
        peer: who.
        is_up: whether it can be reached.
        is_liar: it has nothing.
        due: when it announces itself next, in seconds; None if never again.
    """

    peer: PeerId
    is_up: bool = True
    is_liar: bool = False
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a finder got.

    Attributes:
        asked: how many holders were asked, the closest to the key first.
        live, stale, false: providers that it can fetch from; that have left; that have nothing.
    """

    asked: int = 0
    live: int = 0
    stale: int = 0
    false: int = 0


@dataclass(slots=True)
class Totals:
    """What it all cost, and what came of it.

    Attributes:
        announcements: how often somebody announced itself.
        messages: requests of those announcements.
        refused: records that holders did not take.
        samples: one an hour: (hour, records held, live providers found).
        found: of how many samples at least one live provider was found.
    """

    announcements: int = 0
    messages: int = 0
    refused: int = 0
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    found: int = 0


class ProviderBench:
    """One key, its providers, and those who keep their records.

    Args:
        plan: how records are kept alive.
        key: the multihash.
    """

    def __init__(self, plan: Plan, key: bytes) -> None:
        self.plan = plan
        self.key = key
        self.target = position(key)
        self.now = 0.0
        self.totals = Totals()
        self.answer = Answer()
        self._rng = random.Random(plan.seed)
        self._made = 0
        self._stores: dict[PeerId, MemoryProviderStore] = {}
        self._sorted: list[tuple[int, PeerId]] = []  # by distance from the key
        self._leaving: list[tuple[float, int, PeerId]] = []
        self._next_sample = 0.0
        for _ in range(plan.peers):
            self._arrive()
        self.providers = [
            Provider(self._new_id(), due=n * plan.republish * 3600 / plan.providers)
            for n in range(plan.providers)
        ]
        self.pass_hours(0.0)

    # -- peers ------------------------------------------------------------------------------------

    def _new_id(self) -> PeerId:
        self._made += 1
        salt = b"holder %d %d" % (self.plan.seed, self._made)
        return PeerId(b"\x12\x20" + hashlib.sha256(salt).digest())

    def _arrive(self) -> None:
        peer = self._new_id()
        self._stores[peer] = self._store()
        insort(self._sorted, (position(peer.multihash) ^ self.target, peer))
        if self.plan.session:
            stays = self._rng.expovariate(1 / (self.plan.session * HOUR))
            heapq.heappush(self._leaving, (self.now + stays, self._made, peer))

    def _store(self) -> MemoryProviderStore:
        limits = Limits(dht_provider_ttl=self.plan.expiry * HOUR)
        return MemoryProviderStore(lambda: self.now, limits)

    def leave(self, peer: PeerId, polite: bool = False) -> None:
        """A holder leaves, and somebody else arrives.

        Args:
            peer: who.
            polite: it hands its records to the closest peer that has none of them. No spec asks for that.
        """
        store = self._stores.pop(peer, None)
        if store is None:
            return
        self._sorted.remove((position(peer.multihash) ^ self.target, peer))
        if polite:
            records = store.get(self.key)
            heir = next((p for p in self.closest() if not self._stores[p].get(self.key)), None)
            for record in records if heir is not None else ():
                self._take(heir, record.peer_id, record.peer_id)  # as if they had told it
        self._arrive()

    def closest(self) -> list[PeerId]:
        """The k that are up and closest to the key, the closest first."""
        return [peer for _, peer in self._sorted[: self.plan.k]]

    def near(self, count: int) -> list[PeerId]:
        """Those that hold a record, and the closest others."""
        ordered = enumerate(peer for _, peer in self._sorted)
        return [p for n, p in ordered if n < count or self._stores[p].get(self.key)]

    def ages(self, peer: PeerId) -> list[tuple[PeerId, float]]:
        """The records that a peer holds: whose, and how many hours old."""
        store = self._stores.get(peer)
        if store is None:
            return []
        return [(r.peer_id, (self.now - r.received_at) / HOUR) for r in store.get(self.key)]

    # -- announcing -------------------------------------------------------------------------------

    def _take(self, holder: PeerId | None, sender: PeerId, provider: PeerId) -> None:
        if holder is None:
            return
        try:
            taken = self._stores[holder].add(self.key, sender, provider, [ADDRESS])
        except LimitExceeded:
            taken = False
        self.totals.refused += not taken

    def announce(self, provider: Provider) -> None:
        """A provider tells the k closest."""
        holders = self.closest()
        for holder in holders:
            self._take(holder, provider.peer, provider.peer)
        self.totals.announcements += 1
        self.totals.messages += ROUND + len(holders)
        provider.due = self.now + self.plan.republish * HOUR

    def announce_all(self) -> None:
        """Everybody who is up announces itself now."""
        for provider in self.providers:
            if provider.is_up:
                provider.due = self.now
        self._announce_due()

    def _announce_due(self) -> None:
        for provider in self.providers:
            while provider.is_up and provider.due is not None and provider.due <= self.now:
                self.announce(provider)

    def poison(self) -> None:
        """Somebody who has nothing announces itself, once: a record in its own name is taken."""
        liar = Provider(self._new_id(), is_liar=True)
        self.providers.append(liar)
        self.announce(liar)
        liar.due = None

    def forge(self) -> int:
        """Somebody announces a provider in another's name. Returns how many of the k took it."""
        before = self.totals.refused
        holders = self.closest()
        for holder in holders:
            self._take(holder, self._new_id(), self.providers[0].peer)
        return len(holders) - (self.totals.refused - before)

    # -- finding ----------------------------------------------------------------------------------

    def find(self) -> Answer:
        """Somebody looks for providers: it asks the closest, one after the other, until it knows enough."""
        known: dict[PeerId, None] = {}
        asked = 0
        for holder in self.closest():
            asked += 1
            known.update(dict.fromkeys(r.peer_id for r in self._stores[holder].get(self.key)))
            if len(known) >= self.plan.quorum:
                break
        kinds = {
            p.peer: "false" if p.is_liar else "live" if p.is_up else "stale" for p in self.providers
        }
        got = [kinds.get(peer, "stale") for peer in known]
        self.answer = Answer(asked, got.count("live"), got.count("stale"), got.count("false"))
        return self.answer

    @property
    def liveness(self) -> float:
        """The share of hours in which a finder got a provider that it can fetch from."""
        return self.totals.found / max(1, len(self.totals.samples))

    @property
    def records(self) -> int:
        """Records that are held now, wherever."""
        return sum(len(store.get(self.key)) for store in self._stores.values() if len(store))

    # -- time -------------------------------------------------------------------------------------

    def pass_hours(self, hours: float) -> None:
        """Let time pass.

        Raises: `LocalError` for more than a week at once, or less than nothing.
        """
        if not 0 <= hours <= MAX_HOURS:
            raise LocalError(f"0 to {MAX_HOURS:.0f} hours at once")
        end = self.now + hours * HOUR
        while True:
            dues = [p.due for p in self.providers if p.is_up and p.due is not None]
            leaves = self._leaving[0][0] if self._leaving else end + 1
            soonest = min([*dues, leaves, self._next_sample])
            if soonest > end:
                break
            self.now = max(self.now, soonest)
            if leaves == soonest:
                self.leave(heapq.heappop(self._leaving)[2])
            self._announce_due()
            if self._next_sample <= self.now:
                self._sample()
        self.now = end
        self.find()

    def _sample(self) -> None:
        answer, totals = self.find(), self.totals
        self._next_sample += HOUR
        if len(totals.samples) >= MAX_SAMPLES:
            dropped = totals.samples.pop(0)
            totals.found -= dropped[2] > 0
        totals.samples.append((self.now / HOUR, self.records, answer.live))
        totals.found += answer.live > 0
