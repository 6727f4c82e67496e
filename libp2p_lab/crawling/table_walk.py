"""What one peer's routing table holds, asked bucket by bucket.

FIND_NODE answers with the peers closest to a key. So the key decides which bucket is opened: one that shares exactly n
leading bits with the peer's own position makes it name the peers that it knows at that distance, its bucket n.

    peer     0 1 1 0 …
    key 0    1 . . .        the half of the key space that the peer is not in
    key 1    0 0 . .        the other quarter of its own half
    key 2    0 1 0 .        … and so on: each key opens a bucket half as wide

Nobody can choose a hash, so keys with given first bits are found by trying numbers: two tries for the first bit, 65,536
on average for sixteen. What was tried for one peer serves for all others; each number costs one hash, ever.

When is the table laid open? An answer is sorted by distance from the key: first bucket n, then everything nearer to
the peer, and only then what is farther. Is somebody from farther away in it, then nothing nearer was left out.

No time, chance or network in here. Spec: kad-dht/README.md#rpc-messages
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, common_prefix_length, position
from libp2p_lab.routing.kad_messages import Peer
from libp2p_lab.routing.routing_table import K

DEPTH = 16  # buckets that keys are found for; go-libp2p-kad-dht's crawler asks for as many


class BucketKeys:
    """Keys by the first sixteen bits of their positions, found as they are needed.

    A key has the form of a peer id (12 20 and 32 bytes), for some peers take nothing else.
    """

    def __init__(self) -> None:
        self._numbers = array("L", bytes(array("L").itemsize << DEPTH))  # by prefix; 0: not found
        self._tried = 0

    def key(self, to: int, bucket: int) -> bytes:
        """A key that shares exactly `bucket` leading bits with the position `to`, 0 to 15."""
        free = DEPTH - 1 - bucket  # bits of the prefix that may be anything
        first = (to >> (BITS - 1 - bucket) ^ 1) << free
        last = first + (1 << free)
        for number in self._numbers[first:last]:
            if number:
                return _key(number)
        while not first <= (prefix := self._try_next()) < last:
            pass
        return _key(self._numbers[prefix])

    def _try_next(self) -> int:
        self._tried += 1
        prefix = position(_key(self._tried)) >> (BITS - DEPTH)
        self._numbers[prefix] = self._tried
        return prefix


def _key(number: int) -> bytes:
    return b"\x12\x20" + number.to_bytes(32, "big")


class TableWalk:
    """The questions to one peer. Step it by hand, or let a driver do so.

    Args:
        peer: who is asked.
        keys: those of the whole crawl.
        most: questions at most, up to 16.
        listened: peers of one answer that are listened to: an honest one holds no more than k.
    """

    def __init__(
        self, peer: PeerId, keys: BucketKeys, *, most: int = DEPTH, listened: int = K
    ) -> None:
        self.peer = peer
        self.named: dict[PeerId, None] = {}
        self.questions = 0
        self.is_finished = False
        self._position = position(peer.multihash)
        self._keys = keys
        self._most = min(most, DEPTH)
        self._listened = listened

    def next_key(self) -> bytes | None:
        """What FIND_NODE is to ask for now; None if the table is laid open."""
        if self.is_finished or self.questions >= self._most:
            return None
        self.questions += 1
        return self._keys.key(self._position, self.questions - 1)

    def answered(self, peers: Sequence[Peer]) -> list[Peer]:
        """The peer named these. Returns those that it had not named before, itself left out."""
        bucket = self.questions - 1
        new: list[Peer] = []
        for named in peers[: self._listened]:
            who = named.peer_id
            if who == self.peer:
                continue
            if who not in self.named:
                self.named[who] = None
                new.append(named)
            if common_prefix_length(position(who.multihash), self._position) < bucket:
                self.is_finished = True
        if not new:  # a table without a bucket n, or somebody who says the same whatever is asked
            self.is_finished = True
        return new
