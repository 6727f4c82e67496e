"""E5.4: another right answer, and wrong ones."""

import bisect

from libp2p_lab.routing import position
from tests.mutants import Mutant


class Another:
    """One sorted list of pairs, and three sets."""

    def __init__(self, target, seeds, k, alpha):
        self.target, self.k, self.alpha = target, k, alpha
        self.line, self.heard = [], set()
        self.asked, self.done, self.lost = set(), set(), set()
        for peer in seeds:
            self.hear(peer)

    def hear(self, peer):
        if peer not in self.heard:
            self.heard.add(peer)
            bisect.insort(self.line, (position(peer.multihash) ^ self.target, peer.multihash, peer))

    def alive(self):
        return [peer for _, _, peer in self.line if peer not in self.lost]

    def next(self):
        room = self.alpha - len(self.asked - self.done - self.lost)
        chosen = [p for p in self.alive()[: self.k] if p not in self.asked][: max(room, 0)]
        self.asked.update(chosen)
        return chosen

    def answered(self, peer, closer):
        self.done.add(peer)
        new = sorted(
            (p for p in set(closer) if p not in self.heard),
            key=lambda p: position(p.multihash) ^ self.target,
        )
        for other in new[:20]:
            self.hear(other)

    def failed(self, peer):
        self.lost.add(peer)

    @property
    def is_finished(self):
        return set(self.alive()[: self.k]) <= self.done

    @property
    def result(self):
        return [peer for peer in self.alive() if peer in self.done][: self.k]


class AsksAgain(Another):
    def next(self):
        room = self.alpha - len(self.asked - self.done - self.lost)
        chosen = [p for p in self.alive()[: self.k] if p not in self.done][: max(room, 0)]
        self.asked.update(chosen)
        return chosen


class NoLimit(Another):
    def next(self):
        chosen = [p for p in self.alive()[: self.k] if p not in self.asked]
        self.asked.update(chosen)
        return chosen


class ForgetsFailures(Another):
    """A failed request is under way for ever, so soon nobody is asked any more."""

    @property
    def is_finished(self):
        return bool(self.heard) and all(p in self.done for p in self.alive()[: self.k] or [None])


class FarthestFirst(Another):
    def next(self):
        room = self.alpha - len(self.asked - self.done - self.lost)
        chosen = [p for p in self.alive()[: self.k] if p not in self.asked][::-1][: max(room, 0)]
        self.asked.update(chosen)
        return chosen


class FirstAnswer(Another):
    """Over as soon as anybody has answered."""

    @property
    def is_finished(self):
        return bool(self.done) or not set(self.alive()) - self.done


class NothingNew(Another):
    """Over when an answer names nobody closer than the closest so far: an old mistake."""

    def __init__(self, target, seeds, k, alpha):
        self.over = False
        super().__init__(target, seeds, k, alpha)

    def answered(self, peer, closer):
        before = self.line[0]
        super().answered(peer, closer)
        if self.line[0] == before and len(self.done) > 3:
            self.over = True

    @property
    def is_finished(self):
        return self.over or super().is_finished


class CountsFailed(Another):
    """Failed peers keep their place among the k closest, and the lookup waits for them."""

    @property
    def is_finished(self):
        return {peer for _, _, peer in self.line[: self.k]} <= self.done


class NamesTheDead(Another):
    @property
    def result(self):
        return [peer for _, _, peer in self.line if peer in self.asked][: self.k]


class NamesAll(Another):
    @property
    def result(self):
        return [peer for peer in self.alive() if peer in self.done]


class Unsorted(Another):
    @property
    def result(self):
        return super().result[::-1]


class Everybody(Another):
    """Asks whomever it hears of, however far away."""

    def next(self):
        room = self.alpha - len(self.asked - self.done - self.lost)
        chosen = [p for p in self.alive() if p not in self.asked][: max(room, 0)]
        self.asked.update(chosen)
        return chosen

    @property
    def is_finished(self):
        return set(self.alive()) <= self.done


class BelievesAll(Another):
    """Listens to every name in an answer."""

    def answered(self, peer, closer):
        self.done.add(peer)
        for other in closer:
            self.hear(other)


class HalfOfThem(Another):
    """Content with half of the k closest."""

    @property
    def is_finished(self):
        return set(self.alive()[: (self.k * 3 + 3) // 4]) <= self.done


class Stranger(Another):
    def next(self):
        chosen = super().next()
        return [type(p)(p.multihash[:-1] + b"\0") for p in chosen]


class LeavesOutTheLast(Another):
    """Right in everything but the last of the result, once the networks are small."""

    @property
    def result(self):
        found = super().result
        return found[:-1] if len(self.heard) <= 7 and not self.lost else found


ANOTHER = Another
MUTANTS = [
    Mutant(AsksAgain, "twice"),
    Mutant(NoLimit, "too-many-at-once"),
    Mutant(FarthestFirst, "nearest-first"),
    Mutant(FirstAnswer, "ends-early"),
    Mutant(NothingNew, "ends-early"),
    Mutant(CountsFailed, "no-end"),
    Mutant(ForgetsFailures, "no-end"),
    Mutant(NamesTheDead, "not-answered"),
    Mutant(NamesAll, "result"),
    Mutant(Unsorted, "result"),
    Mutant(Everybody, "dear"),
    Mutant(BelievesAll, "dear"),
    Mutant(HalfOfThem, "misses"),
    Mutant(Stranger, "unheard-of"),
    Mutant(LeavesOutTheLast, "live"),
    Mutant(object, "wrong-type"),
]
