"""The slot `record_store`: a student's store of provider records inside the library's DHT."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from libp2p_lab.content.dht import KadDHT
from libp2p_lab.content.providers import ProviderRecord
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId

if TYPE_CHECKING:
    from libp2p_lab.host.service import Service


class StudentStore:
    """A student's store as `KadDHT` uses one. A `ProviderStore`.

    Args:
        store: the student's, with add(key, sender, provider, addrs, now) and get(key, now).
        clock: the time, in seconds.
    """

    def __init__(self, store: Any, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def add(self, key: bytes, sender: PeerId, provider: PeerId, addrs: Sequence[Multiaddr]) -> bool:
        """As `ProviderStore.add`."""
        self._store.add(key, sender, provider, [str(addr) for addr in addrs], self._clock())
        return any(peer == provider for peer, _ in self._store.get(key, self._clock()))

    def get(self, key: bytes) -> list[ProviderRecord]:
        """As `ProviderStore.get`."""
        now = self._clock()
        found = self._store.get(key, now)
        return [ProviderRecord(peer, tuple(map(Multiaddr, addrs)), now) for peer, addrs in found]


def with_store(make: Callable[[], Any]) -> list[Service]:
    """The services of a host that keeps provider records in a student's store."""
    return [Identify(), Ping(), KadDHT(providers=StudentStore(make()))]
