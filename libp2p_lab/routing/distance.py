"""Distance in Kademlia: exclusive or, of hashes.

    position = sha256(the bytes of a peer id, or of a key)          256 bits, spread evenly whatever the input
    distance = position XOR position, read as a number

Two positions whose first n bits agree are closer than 2^(256-n). That n, the common prefix length, says which part of
the routing table a peer belongs into.

XOR is a metric: zero only from oneself, the same both ways, and no detour is shorter. And it has what no ruler has:
from one point there is exactly one other at each distance.

Misconceptions: near has nothing to do with geography. And a peer id is not its own position: it is hashed (again, if it
is a hash), so that names nobody can choose freely stand beside content evenly.

Spec: kad-dht/README.md#distance
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from libp2p_lab.identity.peer_id import PeerId

BITS = 256


def position(key: bytes) -> int:
    """Where a key (or the bytes of a peer id) stands in the key space, 0 to 2^256 - 1."""
    return int.from_bytes(hashlib.sha256(key).digest(), "big")


def distance(a: int, b: int) -> int:
    """How far two positions are from each other."""
    return a ^ b


def common_prefix_length(a: int, b: int) -> int:
    """How many leading bits two positions share, 0 to 256."""
    return BITS - (a ^ b).bit_length()


def closest(peers: Iterable[PeerId], to: int, count: int) -> list[PeerId]:
    """The `count` peers that are closest to a position, the closest first."""
    return sorted(peers, key=lambda peer: position(peer.multihash) ^ to)[:count]
