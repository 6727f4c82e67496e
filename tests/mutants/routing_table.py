"""E5.3: another right answer, and wrong ones."""

from libp2p_lab.routing import common_prefix_length, position
from tests.mutants import Mutant


def place(peer):
    return position(peer.multihash)


class Another:
    """One ordered history of all peers; who is in use follows from it."""

    def __init__(self, me, k):
        self.me, self.k = me, k
        self.history = {}  # in the order of coming

    def add(self, peer):
        if peer != self.me:
            self.history.setdefault(peer, common_prefix_length(place(self.me), place(peer)))

    def remove(self, peer):
        self.history.pop(peer, None)

    def peers(self):
        room, found = {}, []
        for peer, bucket in self.history.items():
            room[bucket] = room.get(bucket, 0) + 1
            if room[bucket] <= self.k:
                found.append(peer)
        return found

    def closest(self, to, count):
        return sorted(self.peers(), key=lambda peer: place(peer) ^ to)[:count]


class Oneself(Another):
    def add(self, peer):
        bucket = common_prefix_length(place(self.me), place(peer))
        self.history.setdefault(peer, bucket)


class Twice(Another):
    def peers(self):
        found = super().peers()
        return found + found[:1]


class Everybody(Another):
    def peers(self):
        return list(self.history)


class RawIds(Another):
    """Buckets by the ids themselves."""

    def add(self, peer):
        if peer != self.me:
            raw = [int.from_bytes(p.multihash[2:], "big") for p in (self.me, peer)]
            self.history.setdefault(peer, common_prefix_length(*raw))


class FewBuckets(Another):
    """Everything nearer than eight bits in one bucket."""

    def add(self, peer):
        if peer != self.me:
            self.history.setdefault(peer, min(4, common_prefix_length(place(self.me), place(peer))))


class NewestFirst(Another):
    """The latest push out who was there."""

    def peers(self):
        room, found = {}, []
        for peer, bucket in reversed(self.history.items()):
            room[bucket] = room.get(bucket, 0) + 1
            if room[bucket] <= self.k:
                found.append(peer)
        return found


class KeepsStale(Another):
    def remove(self, peer):
        pass


class NobodyWaits(Another):
    def __init__(self, me, k):
        super().__init__(me, k)
        self.counts = {}

    def add(self, peer):
        bucket = common_prefix_length(place(self.me), place(peer))
        if peer == self.me or peer in self.history or self.counts.get(bucket, 0) >= self.k:
            return
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.history[peer] = bucket

    def remove(self, peer):
        if self.history.pop(peer, None) is not None:
            self.counts[common_prefix_length(place(self.me), place(peer))] -= 1


class OneBucketOnly(Another):
    """Looks only into the bucket of the target."""

    def closest(self, to, count):
        bucket = common_prefix_length(place(self.me), to)
        inside = [peer for peer in self.peers() if self.history[peer] == bucket]
        return sorted(inside, key=lambda peer: place(peer) ^ to)[:count]


class Unsorted(Another):
    def closest(self, to, count):
        return super().closest(to, count)[::-1]


class AtRandom(Another):
    """Evicts by lot: keeps the early ones, but fills free places by chance."""

    def remove(self, peer):
        import random

        if self.history.pop(peer, None) is not None:
            used = set(self.peers())
            waiting = [p for p in self.history if p not in used]
            random.shuffle(waiting)
            order = [p for p in self.history if p in used] + waiting
            self.history = {p: self.history[p] for p in order}


class SmallIsEmpty(Another):
    """Waits until it knows many: in a small network for ever."""

    def closest(self, to, count):
        return super().closest(to, count) if len(self.history) > 20 else []


class Half:
    def __init__(self, me, k):
        pass

    def add(self, peer):
        pass


ANOTHER = Another
MUTANTS = [
    Mutant(Oneself, "oneself"),
    Mutant(Twice, "twice"),
    Mutant(Everybody, "too-many"),
    Mutant(RawIds, "too-many"),
    Mutant(FewBuckets, "too-few"),
    Mutant(NewestFirst, "evicted"),
    Mutant(KeepsStale, "stale"),
    Mutant(NobodyWaits, "no-replacement"),
    Mutant(OneBucketOnly, "not-closest"),
    Mutant(Unsorted, "order"),
    Mutant(AtRandom, "by-chance"),
    Mutant(SmallIsEmpty, "live"),
    Mutant(Half, "wrong-type"),
]
