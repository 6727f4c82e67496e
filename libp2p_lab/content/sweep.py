"""Announcing many keys: region by region instead of key by key, without I/O.

    one by one     for each key: a search, then its k peers are told
    a sweep        for each region: a few searches, then each of its peers is told all its keys together

A search for the k peers closest to a target teaches more than it was made for. All peers nearer than the farthest of
them are among them: so every peer below some *prefix* of the target is known. Where all peers below a prefix are
known, and there are at least k, the k closest to *any* key below it are known too, for whoever is outside is farther.

    coverage = Coverage(k=20)
    while (gap := coverage.gap(place, next_place)) is not None:      not enough is known yet
        coverage.add(target below gap, whom a search for it found)
    coverage.closest(place)

Spec: kad-dht/README.md#content-provider-advertisement
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, common_prefix_length, position


@dataclass(frozen=True, slots=True)
class Prefix:
    """A part of the key space: all positions that begin alike.

    Attributes:
        bits: how many bits that is; with none it is the whole space.
        value: these bits, as a number.
    """

    bits: int
    value: int

    @classmethod
    def of(cls, place: int, bits: int) -> Prefix:
        """The first bits of a position."""
        return cls(bits, place >> (BITS - bits))

    @property
    def start(self) -> int:
        """The first position in it."""
        return self.value << (BITS - self.bits)

    @property
    def end(self) -> int:
        """The first position behind it."""
        return (self.value + 1) << (BITS - self.bits)

    @property
    def parent(self) -> Prefix:
        """With one bit less: twice the size."""
        return Prefix(self.bits - 1, self.value >> 1)

    @property
    def sibling(self) -> Prefix:
        """The other half of the parent."""
        return Prefix(self.bits, self.value ^ 1)

    @property
    def halves(self) -> tuple[Prefix, Prefix]:
        """With one bit more."""
        return Prefix(self.bits + 1, self.value << 1), Prefix(self.bits + 1, self.value << 1 | 1)

    def __contains__(self, place: int) -> bool:
        return place >> (BITS - self.bits) == self.value

    def __str__(self) -> str:
        return f"{self.value:0{self.bits}b}…" if self.bits else "…"


WHOLE = Prefix(0, 0)


class Coverage:
    """Where all peers are known, as far as searches have told.

    Args:
        k: how many peers keep a record.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._covered: dict[Prefix, None] = {}  # all peers below these are known
        self._peers: list[tuple[int, PeerId]] = []  # by position
        self._known: dict[PeerId, None] = {}
        self._searched: dict[int, list[PeerId]] = {}  # what was found by searching just there

    def add(self, target: int, found: Iterable[PeerId]) -> None:
        """A search for the k peers closest to `target` found these."""
        new = list(dict.fromkeys(found))
        self._searched[target] = new[: self._k]
        shared = [common_prefix_length(target, position(peer.multihash)) for peer in new]
        for peer in new:
            if peer not in self._known:
                self._known[peer] = None
                insort(self._peers, (position(peer.multihash), peer))
        # Fewer than k: there are no more. Else those that share one bit more than the farthest are complete.
        prefix = Prefix.of(target, min(min(shared) + 1, BITS)) if len(new) >= self._k else WHOLE
        while prefix.bits and self._is_covered(prefix.sibling):
            prefix = prefix.parent
        inside = [one for one in self._covered if one.bits > prefix.bits and one.start in prefix]
        for one in inside:
            del self._covered[one]
        self._covered[prefix] = None

    def gap(self, place: int, following: int | None = None) -> Prefix | None:
        """Below which prefix to search next, to know the k closest to every position around `place`.

        Args:
            place: of a key.
            following: of the next key that is to be announced; None if there is none.

        Returns: None if they are known; or if those of `place` alone are, and a larger region would hold no other key.
        """
        prefix = self._around(place)
        if prefix is None:
            return Prefix.of(place, BITS)
        if not prefix.bits or len(self.below(prefix)) >= self._k:
            return None
        prefix = prefix.parent
        if place in self._searched and (following is None or following not in prefix):
            return None
        while True:
            hole = next(half for half in prefix.halves if not self._is_covered(half))
            if not any(hole.start in one or one.start in hole for one in self._covered):
                return hole
            prefix = hole

    def region(self, place: int) -> Prefix:
        """Around `place`, where the k closest to every position are known; only itself if there is no such region."""
        return self._around(place) or Prefix.of(place, BITS)

    def closest(self, place: int) -> list[PeerId]:
        """The k known peers closest to `place`, the closest first."""
        near = self.below(self.region(place))
        if len(near) < self._k:
            if place in self._searched:
                return self._searched[place]
            near = [peer for _, peer in self._peers]
        return sorted(near, key=lambda peer: position(peer.multihash) ^ place)[: self._k]

    def below(self, prefix: Prefix) -> list[PeerId]:
        """The known peers below a prefix."""
        first = bisect_left(self._peers, prefix.start, key=lambda one: one[0])
        last = bisect_left(self._peers, prefix.end, key=lambda one: one[0])
        return [peer for _, peer in self._peers[first:last]]

    def _around(self, place: int) -> Prefix | None:
        """The smallest covered prefix with k peers below it; else the largest covered one; None if there is none."""
        around = sorted((one for one in self._covered if place in one), key=lambda one: -one.bits)
        for one in around:
            if len(self.below(one)) >= self._k:
                return one
        return around[-1] if around else None

    def _is_covered(self, prefix: Prefix) -> bool:
        return any(one.bits <= prefix.bits and prefix.start in one for one in self._covered)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did.

    Attributes:
        told: by key, who was told.
        regions: how many parts of the key space it went through.
        lookups: how many searches that took.
    """

    told: Mapping[bytes, tuple[PeerId, ...]]
    regions: int
    lookups: int


def in_region(keys: Sequence[bytes], region: Prefix) -> int:
    """How many of these keys, which are sorted by position, lie in the region; the first of them does."""
    return sum(1 for _ in itertools.takewhile(lambda key: position(key) in region, keys))
