"""E6.4: another right answer, and wrong ones."""

from tests.mutants import Mutant

DAY = 24 * 3600


class Another:
    """One flat list of records."""

    KEPT, ADDRS, EACH, MOST = 2 * DAY, 1800, 100, 32

    def __init__(self):
        self.records = []

    def young(self, now):
        return [r for r in self.records if now - r["at"] < self.KEPT]

    def add(self, key, sender, provider, addrs, now):
        if not self.may(sender, provider):
            raise ValueError("speak for yourself")
        self.records = [r for r in self.young(now) if (r["key"], r["peer"]) != (key, provider)]
        if sum(r["peer"] == provider for r in self.records) >= self.EACH:
            raise ValueError("enough")
        self.records.append({"key": key, "peer": provider, "addrs": addrs[: self.MOST], "at": now})

    def may(self, sender, provider):
        return sender == provider

    def get(self, key, now):
        found = [r for r in self.young(now) if r["key"] == key]
        return [(r["peer"], r["addrs"] if now - r["at"] < self.ADDRS else []) for r in found]


class AnyKey(Another):
    def get(self, key, now):
        return [(r["peer"], r["addrs"]) for r in self.young(now)]


class Twice(Another):
    def get(self, key, now):
        found = super().get(key, now)
        return found + found[:1]


class LastOnly(Another):
    def get(self, key, now):
        return super().get(key, now)[-1:]


class NoAddrs(Another):
    ADDRS = 0


class Trusting(Another):
    def may(self, sender, provider):
        return True


class TrustingLive(Another):
    """Believes everything about multihashes, which is what live peers ask for."""

    def add(self, key, sender, provider, addrs, now):
        super().add(key, provider if key[:2] == b"\x12\x20" else sender, provider, addrs, now)


class OldAddrs(Another):
    ADDRS = 2 * DAY


class FirstCounts(Another):
    """The first announcement's time stays."""

    def add(self, key, sender, provider, addrs, now):
        before = [r for r in self.records if (r["key"], r["peer"]) == (key, provider)]
        if before and now - before[0]["at"] < self.KEPT and sender == provider:
            before[0]["addrs"] = addrs[: self.MOST]
            return
        super().add(key, sender, provider, addrs, now)


class ForEver(Another):
    KEPT = 10**9


class HalfHour(Another):
    """Forgets the record with its addresses."""

    KEPT = 1800


class Flooded(Another):
    EACH = 10**9


class OldestOut(Another):
    """A hundred in all, and the oldest goes."""

    EACH = 10**9

    def add(self, key, sender, provider, addrs, now):
        super().add(key, sender, provider, addrs, now)
        self.records = self.records[-100:]


class ManyAddrs(Another):
    MOST = 10**9


class CountsTheDead(Another):
    def __init__(self):
        super().__init__()
        self.count = {}

    def add(self, key, sender, provider, addrs, now):
        if sender == provider and not any(r["key"] == key for r in self.records):
            self.count[provider] = self.count.get(provider, 0) + 1
            if self.count[provider] > self.EACH:
                return
        super().add(key, sender, provider, addrs, now)


class Forgetful(Another):
    """Says that it has what it was told, and gives it only for long keys: of live multihashes it knows nothing."""

    def get(self, key, now):
        return super().get(key, now) if key[:2] != b"\x12\x20" else []


class Half:
    def add(self, key, sender, provider, addrs, now):
        pass


ANOTHER = Another
MUTANTS = [
    Mutant(AnyKey, "unasked"),
    Mutant(Twice, "twice"),
    Mutant(LastOnly, "lost"),
    Mutant(NoAddrs, "addrs"),
    Mutant(Trusting, "for-others"),
    Mutant(TrustingLive, "for-others", "live peers"),
    Mutant(OldAddrs, "old-addrs"),
    Mutant(FirstCounts, "renewed"),
    Mutant(ForEver, "expired"),
    Mutant(HalfHour, "lost"),
    Mutant(Flooded, "flooded"),
    Mutant(OldestOut, "pushed-out"),
    Mutant(ManyAddrs, "many-addrs"),
    Mutant(CountsTheDead, "still-counted"),
    Mutant(Forgetful, "live"),
    Mutant(Half, "wrong-type"),
]
