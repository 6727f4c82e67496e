"""The slots `routing_table` and `lookup`: a student's part inside the library's DHT.

A student's part does what the exercise asks for and no more; what the driver wants to know beside that is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from libp2p_lab.content.dht import KadDHT
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import common_prefix_length, position
from libp2p_lab.routing.lookup import Candidate
from libp2p_lab.routing.routing_table import K

if TYPE_CHECKING:
    from libp2p_lab.host.service import Service


class StudentTable:
    """A student's routing table as `KadDHT` uses one.

    Args:
        me: whose it is.
        table: the student's, with add(peer), remove(peer), closest(position, count), peers().
    """

    def __init__(self, me: PeerId, table: Any) -> None:
        self._position = position(me.multihash)
        self._table = table

    def __len__(self) -> int:
        return len(self.peers)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self.peers

    @property
    def peers(self) -> list[PeerId]:
        """As `RoutingTable.peers`."""
        return list(self._table.peers())

    @property
    def bucket_sizes(self) -> dict[int, int]:
        """As `RoutingTable.bucket_sizes`."""
        buckets = [self.bucket_of(peer) for peer in self.peers]
        return {bucket: buckets.count(bucket) for bucket in sorted(set(buckets))}

    def bucket_of(self, peer: PeerId) -> int:
        """As `RoutingTable.bucket_of`."""
        return common_prefix_length(self._position, position(peer.multihash))

    def add(self, peer: PeerId, addrs: Iterable[Multiaddr] = ()) -> bool:
        """As `RoutingTable.add`."""
        self._table.add(peer)
        return peer in self

    def remove(self, peer: PeerId) -> PeerId | None:
        """As `RoutingTable.remove`."""
        before = set(self.peers)
        self._table.remove(peer)
        return next((newcomer for newcomer in self.peers if newcomer not in before), None)

    def closest(self, to: int, count: int | None = None) -> list[PeerId]:
        """As `RoutingTable.closest`."""
        return list(self._table.closest(to, K if count is None else count))


class StudentLookup:
    """A student's lookup as `KadDHT` uses one.

    Args:
        part: the student's class, called with target, seeds, k, alpha.
        without: peers that are not asked.

    Attributes:
        hops: the longest chain of namings that ended in an answer.
        requests: how many peers were asked.
    """

    def __init__(
        self,
        part: Callable[[int, list[PeerId], int, int], Any],
        target: int,
        seeds: Iterable[PeerId],
        *,
        k: int,
        alpha: int,
        without: Iterable[PeerId] = (),
    ) -> None:
        self.target = target
        self.k = k
        self._without = set(without)
        first = [peer for peer in seeds if peer not in self._without]
        self._rounds = dict.fromkeys(first, 1)
        self._part = part(target, first, k, alpha)
        self._is_stopped = False
        self.hops = 0
        self.requests = 0

    @property
    def candidates(self) -> list[Candidate]:
        """Everybody heard of."""
        return [
            Candidate(peer, position(peer.multihash) ^ self.target, round=number)
            for peer, number in self._rounds.items()
        ]

    def next(self) -> list[PeerId]:
        """As `Lookup.next`."""
        if self.is_finished:
            return []
        chosen = list(self._part.next())
        self.requests += len(chosen)
        return chosen

    def answered(self, peer: PeerId, closer: Sequence[PeerId]) -> list[PeerId]:
        """As `Lookup.answered`."""
        self.hops = max(self.hops, self._rounds[peer])
        named = [other for other in closer if other not in self._without]
        new = [other for other in dict.fromkeys(named) if other not in self._rounds]
        self._rounds.update(dict.fromkeys(new, self._rounds[peer] + 1))
        self._part.answered(peer, named)
        return new

    def failed(self, peer: PeerId) -> None:
        """As `Lookup.failed`."""
        self._part.failed(peer)

    def stop(self) -> None:
        """As `Lookup.stop`."""
        self._is_stopped = True

    @property
    def is_finished(self) -> bool:
        """As `Lookup.is_finished`."""
        return self._is_stopped or bool(self._part.is_finished)

    @property
    def result(self) -> list[PeerId]:
        """As `Lookup.result`."""
        return list(self._part.result)


def with_table(make: Callable[[PeerId, int], Any], **options: Any) -> list[Service]:
    """The services of a host whose DHT keeps a student's routing table: `make(me, k)`."""
    k = options.get("k", K)
    table = cast(Any, lambda me: StudentTable(me, make(me, k)))
    return [Identify(), Ping(), KadDHT(table=table, **options)]


def with_lookup(part: Callable[..., Any], **options: Any) -> list[Service]:
    """The services of a host whose DHT searches by a student's lookup."""

    def make(target: int, seeds: Iterable[PeerId], **more: Any) -> StudentLookup:
        return StudentLookup(part, target, seeds, **more)

    return [Identify(), Ping(), KadDHT(lookup=cast(Any, make), **options)]
