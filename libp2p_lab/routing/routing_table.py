"""The routing table: many peers of one's own neighbourhood, some from a little farther, few from far away.

A peer belongs into the bucket of its common prefix length with ourselves. Bucket 0 stands for half of the key space
(other first bit), bucket 1 for a quarter, and so on; each holds at most k peers. So near buckets are mostly *emptier*,
for few peers live there, and yet every one of them is known.

    bucket 0    k of N/2 peers       full
    bucket 1    k of N/4             full
    …
    bucket 9    k of N/1024          all there are

Who came first stays while it answers: a peer that has been up for long is likely to stay up, and nobody can push it
out by arriving in numbers. Newcomers wait in line and take the place of peers that fail. Peers from one network
(the first 16 bits of an IPv4 address, 32 of an IPv6) get few places, for one attacker can have many names cheaply, but
not many networks.

No time, chance or network in here. Spec: kad-dht/README.md#kademlia-routing-table
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import common_prefix_length, position

K = 20  # the replication parameter: a bucket's size, and how many peers hold a record


@dataclass(slots=True)
class _Bucket:
    """The peers of one prefix length.

    Attributes:
        peers: those in use, with their networks.
        waiting: those that would be, the latest last.
    """

    peers: dict[PeerId, tuple[str, ...]] = field(default_factory=dict)
    waiting: dict[PeerId, tuple[str, ...]] = field(default_factory=dict)


class RoutingTable:
    """The peers that we know, sorted by how near they are.

    Args:
        me: whose table this is.
        k: places in a bucket.
        max_per_network: peers from one network in the whole table; 0 for any number.
        max_per_network_in_bucket: the same for one bucket. Peers without a public IP address are not counted.
    """

    def __init__(
        self,
        me: PeerId,
        k: int = K,
        *,
        max_per_network: int = 3,
        max_per_network_in_bucket: int = 2,
    ) -> None:
        self.me = me
        self.k = k
        self._position = position(me.multihash)
        self._max = max_per_network
        self._max_in_bucket = max_per_network_in_bucket
        self._buckets: dict[int, _Bucket] = {}  # by common prefix length
        self._positions: dict[PeerId, int] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._positions

    @property
    def peers(self) -> list[PeerId]:
        """Everybody in use, the farthest bucket first."""
        return [p for _, bucket in sorted(self._buckets.items()) for p in bucket.peers]

    @property
    def bucket_sizes(self) -> dict[int, int]:
        """By common prefix length, how many peers are in use; empty buckets are left out."""
        sizes = {cpl: len(bucket.peers) for cpl, bucket in sorted(self._buckets.items())}
        return {cpl: size for cpl, size in sizes.items() if size}

    def bucket_of(self, peer: PeerId) -> int:
        """The common prefix length of `peer` with ourselves."""
        return common_prefix_length(self._position, position(peer.multihash))

    def add(self, peer: PeerId, addrs: Iterable[Multiaddr] = ()) -> bool:
        """`peer` answered us, and serves. It gets a place, or waits for one.

        Args:
            peer: who.
            addrs: where it is, for the limits on networks.

        Returns: whether it is in use now.
        """
        if peer == self.me or peer in self._positions:
            return peer in self._positions
        bucket = self._buckets.setdefault(self.bucket_of(peer), _Bucket())
        networks = networks_of(addrs)
        if len(bucket.peers) < self.k and self._has_room(bucket, networks):
            bucket.waiting.pop(peer, None)
            bucket.peers[peer] = networks
            self._positions[peer] = position(peer.multihash)
            return True
        bucket.waiting.pop(peer, None)
        bucket.waiting[peer] = networks
        if len(bucket.waiting) > self.k:
            del bucket.waiting[next(iter(bucket.waiting))]
        return False

    def _has_room(self, bucket: _Bucket, networks: Sequence[str]) -> bool:
        """Whether these networks have places left, in the bucket and in all."""
        return all(
            (not self._max_in_bucket or _count(bucket, network) < self._max_in_bucket)
            and (
                not self._max or sum(_count(b, network) for b in self._buckets.values()) < self._max
            )
            for network in networks
        )

    def remove(self, peer: PeerId) -> PeerId | None:
        """`peer` failed, or serves no longer. Returns who took its place, if somebody waited."""
        bucket = self._buckets.get(self.bucket_of(peer))
        if bucket is None:
            return None
        bucket.waiting.pop(peer, None)
        if bucket.peers.pop(peer, None) is None:
            return None
        del self._positions[peer]
        for candidate, networks in reversed(
            [*bucket.waiting.items()]
        ):  # the latest is likeliest up
            if self._has_room(bucket, networks):
                del bucket.waiting[candidate]
                bucket.peers[candidate] = networks
                self._positions[candidate] = position(candidate.multihash)
                return candidate
        return None

    def closest(self, to: int, count: int | None = None) -> list[PeerId]:
        """The peers closest to a position, the closest first; `count` is k if not given."""
        count = self.k if count is None else count
        ordered = sorted(self._positions.items(), key=lambda item: item[1] ^ to)
        return [peer for peer, _ in ordered[:count]]


def networks_of(addrs: Iterable[Multiaddr]) -> tuple[str, ...]:
    """The networks that these addresses are in: /16 of public IPv4, /32 of public IPv6."""
    found: dict[str, None] = {}
    for addr in addrs:
        text = addr.value_of("ip4") or addr.value_of("ip6")
        if text is None:
            continue
        ip = ipaddress.ip_address(text)
        if ip.is_global:
            bits = 16 if ip.version == 4 else 32
            found[str(ipaddress.ip_network((ip, bits), strict=False))] = None
    return tuple(found)


def _count(bucket: _Bucket, network: str) -> int:
    return sum(network in networks for networks in bucket.peers.values())
