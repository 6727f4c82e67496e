"""Provider records: who says that it has what. Kept for others, bounded, and forgotten after a while.

    key (a multihash) -> peer -> when it said so, and from where

The record is the provider's own word and nobody else's. It ages in two steps: first its addresses are no longer
given, for peers move; then the record is gone, unless the provider has said it again.

Misconception: deleting a file deletes its records. They stay until they expire; that is why they expire.

Spec: kad-dht/README.md#content-provider-advertisement-and-discovery
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from libp2p_lab.errors import LimitExceeded
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

MAX_ADDRS = 8  # of one record


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """One peer's word that it has something.

    Attributes:
        peer_id: the provider.
        addrs: where it was when it said so; () once they are too old to be given.
        received_at: seconds, on the store's clock.
    """

    peer_id: PeerId
    addrs: tuple[Multiaddr, ...]
    received_at: float


class ProviderStore(Protocol):
    """Where provider records are kept. A student's store that fits is one too."""

    def add(self, key: bytes, sender: PeerId, provider: PeerId, addrs: Sequence[Multiaddr]) -> bool:
        """Take a record down, if it is the sender's own. Returns whether it was.

        Raises: `LimitExceeded` if there is no room for more.
        """
        ...

    def get(self, key: bytes) -> list[ProviderRecord]:
        """The records under `key` that have not expired, the latest first."""
        ...


class MemoryProviderStore:
    """Provider records in memory: a `ProviderStore`.

    Args:
        clock: the time, in seconds.
        limits: how much is kept, and for how long.
    """

    def __init__(self, clock: Callable[[], float], limits: Limits = DEFAULT_LIMITS) -> None:
        self._clock = clock
        self._limits = limits
        self._records: dict[bytes, dict[PeerId, ProviderRecord]] = {}
        self._of_peer: Counter[PeerId] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes, sender: PeerId, provider: PeerId, addrs: Sequence[Multiaddr]) -> bool:
        """As `ProviderStore.add`."""
        if provider != sender:
            return False
        limits = self._limits
        if not 0 < len(key) <= limits.dht_provider_key:
            raise LimitExceeded("dht_provider_key", len(key), limits.dht_provider_key)
        held = self._records.get(key, {})
        if provider not in held:
            self._check_room(key, provider, len(held))
            self._count += 1
            self._of_peer[provider] += 1
        record = ProviderRecord(provider, tuple(addrs)[:MAX_ADDRS], self._clock())
        held = self._records.setdefault(key, {})
        held.pop(provider, None)
        held[provider] = record
        return True

    def _check_room(self, key: bytes, provider: PeerId, held: int) -> None:
        limits = self._limits
        for name, value, allowed in (
            ("dht_provider_records", self._count, limits.dht_provider_records),
            (
                "dht_provider_records_per_peer",
                self._of_peer[provider],
                limits.dht_provider_records_per_peer,
            ),
            ("dht_providers_per_key", held, limits.dht_providers_per_key),
        ):
            if value >= allowed:
                raise LimitExceeded(name, value + 1, allowed)

    def get(self, key: bytes) -> list[ProviderRecord]:
        """As `ProviderStore.get`."""
        self._expire(key)
        now, limits = self._clock(), self._limits
        found = []
        for record in reversed(self._records.get(key, {}).values()):
            if now - record.received_at >= limits.dht_provider_addrs_ttl:
                record = ProviderRecord(record.peer_id, (), record.received_at)
            found.append(record)
        return found

    def expire_all(self) -> None:
        """Forget every record that is too old. To be called now and then."""
        for key in [*self._records]:
            self._expire(key)

    def _expire(self, key: bytes) -> None:
        held = self._records.get(key)
        if held is None:
            return
        now = self._clock()
        for peer, record in [*held.items()]:
            if now - record.received_at >= self._limits.dht_provider_ttl:
                del held[peer]
                self._count -= 1
                self._of_peer[peer] -= 1
                if not self._of_peer[peer]:
                    del self._of_peer[peer]
        if not held:
            del self._records[key]
