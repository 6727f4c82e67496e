"""Provider records: who says that it has what. Kept for others, bounded, and forgotten after a while.

    key (a multihash) -> peer -> when it said so, and from where

The record is the provider's own word and nobody else's. It ages in two steps: first its addresses are no longer
given, for peers move; then the record is gone, unless the provider has said it again.

Misconception: deleting a file deletes its records. They stay until they expire; that is why they expire.

Spec: kad-dht/README.md#content-provider-advertisement-and-discovery
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from libp2p_lab.errors import LimitExceeded
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

MAX_ADDRS = 8  # of one record
SWEEPS = 48  # looks for what is too old, in the life of one record, where there is no room


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


def check_key(key: bytes, limits: Limits) -> None:
    """Raises `LimitExceeded` for a key of a length that no multihash of use has."""
    if not 0 < len(key) <= limits.dht_provider_key:
        raise LimitExceeded("dht_provider_key", len(key), limits.dht_provider_key)


def pack_addrs(addrs: Sequence[Multiaddr]) -> bytes:
    """The first few addresses as one string of bytes: a fifth of the memory that the objects take."""
    data = [bytes(addr) for addr in addrs[:MAX_ADDRS]]
    return b"".join(len(one).to_bytes(2) + one for one in data)


def unpack_addrs(data: bytes) -> tuple[Multiaddr, ...]:
    """The reverse."""
    addrs, offset = [], 0
    while offset < len(data):
        end = offset + 2 + int.from_bytes(data[offset : offset + 2])
        addrs.append(Multiaddr(data[offset + 2 : end]))
        offset = end
    return tuple(addrs)


@dataclass(slots=True, eq=False)
class _Provider:
    """One peer, however many records it has."""

    peer_id: PeerId
    records: int = 0
    addrs: bytes = b""  # the latest: most of its records have the same


@dataclass(slots=True, eq=False)
class _Held:
    """One record."""

    provider: _Provider
    addrs: bytes
    received_at: float


class MemoryProviderStore:
    """Provider records in memory: a `ProviderStore`.

    Args:
        clock: the time, in seconds.
        limits: how much is kept, and for how long.
    """

    def __init__(self, clock: Callable[[], float], limits: Limits = DEFAULT_LIMITS) -> None:
        self._clock = clock
        self._limits = limits
        self._records: dict[bytes, list[_Held]] = {}  # the latest last
        self._providers: dict[PeerId, _Provider] = {}
        self._count = 0
        self._swept_at = clock()

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes, sender: PeerId, provider: PeerId, addrs: Sequence[Multiaddr]) -> bool:
        """As `ProviderStore.add`."""
        if provider != sender:
            return False
        check_key(key, self._limits)
        if not self._forget(key, provider):
            self._make_room(key, provider)
        known = self._providers.setdefault(provider, _Provider(provider))
        packed = pack_addrs(addrs)
        if packed != known.addrs:
            known.addrs = packed
        known.records += 1
        self._count += 1
        record = _Held(known, known.addrs, self._clock())
        if key in self._records:
            self._records[key].append(record)
        else:
            self._records[key] = [record]  # of one: shorter than an empty list that has grown
        return True

    def _make_room(self, key: bytes, provider: PeerId) -> None:
        """Before a record more. Raises `LimitExceeded`."""
        full = self._what_is_full(key, provider)
        now = self._clock()
        if full is not None and now - self._swept_at >= self._limits.dht_provider_ttl / SWEEPS:
            self._swept_at = now
            self.expire_all()
            full = self._what_is_full(key, provider)
        if full is not None:
            raise full

    def _what_is_full(self, key: bytes, provider: PeerId) -> LimitExceeded | None:
        limits = self._limits
        known = self._providers.get(provider)
        for name, value, allowed in (
            ("dht_provider_records", self._count, limits.dht_provider_records),
            (
                "dht_provider_records_per_peer",
                known.records if known else 0,
                limits.dht_provider_records_per_peer,
            ),
            (
                "dht_providers_per_key",
                len(self._records.get(key, ())),
                limits.dht_providers_per_key,
            ),
        ):
            if value >= allowed:
                return LimitExceeded(name, value + 1, allowed)
        return None

    def get(self, key: bytes) -> list[ProviderRecord]:
        """As `ProviderStore.get`."""
        self._expire(key)
        now, fresh = self._clock(), self._limits.dht_provider_addrs_ttl
        return [
            ProviderRecord(
                one.provider.peer_id,
                unpack_addrs(one.addrs) if now - one.received_at < fresh else (),
                one.received_at,
            )
            for one in reversed(self._records.get(key, ()))
        ]

    def expire_all(self) -> None:
        """Forget every record that is too old."""
        for key in [*self._records]:
            self._expire(key)

    def _expire(self, key: bytes) -> None:
        oldest = self._clock() - self._limits.dht_provider_ttl
        for one in [*self._records.get(key, ())]:
            if one.received_at > oldest:
                break  # those behind it are younger
            self._forget(key, one.provider.peer_id)

    def _forget(self, key: bytes, peer: PeerId) -> bool:
        """Without this record, if it is there. Returns whether it was."""
        held = self._records.get(key, [])
        one = next((one for one in held if one.provider.peer_id == peer), None)
        if one is None:
            return False
        held.remove(one)
        if not held:
            del self._records[key]
        one.provider.records -= 1
        if not one.provider.records:
            del self._providers[peer]
        self._count -= 1
        return True
