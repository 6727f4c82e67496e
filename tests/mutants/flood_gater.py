from __future__ import annotations

import ipaddress

from libp2p_lab.host.gater import BlockList
from tests.mutants import Mutant


class Another(BlockList):
    """One list of (time, network) for all, old ones taken off its beginning."""

    def __init__(self, most, seconds, clock):
        super().__init__()
        self.most, self.seconds, self.clock = most, seconds, clock
        self.recent = []

    def name(self, addr):
        four, six = addr.value_of("ip4"), addr.value_of("ip6")
        return four or str(ipaddress.ip_network(f"{six}/64", strict=False))

    def old(self, now):
        return now - self.seconds

    def allow_accept(self, remote_addr):
        now, name = self.clock(), self.name(remote_addr)
        while self.recent and self.recent[0][0] <= self.old(now):
            del self.recent[0]
        if sum(one == name for _, one in self.recent) >= self.most:
            return False
        self.recent.append((now, name))
        return True


class ByPort(Another):
    def name(self, addr):
        return str(addr)


class ForEverybody(Another):
    def name(self, addr):
        return ""


class OneLess(Another):
    def __init__(self, most, seconds, clock):
        super().__init__(most - 1, seconds, clock)


class ForEver(Another):
    def old(self, now):
        return 0.0


class InBoxes(Another):
    """The count begins anew every so many seconds."""

    def old(self, now):
        return now - now % self.seconds - 1e-9


class CountsAll(Another):
    def allow_accept(self, remote_addr):
        if super().allow_accept(remote_addr):
            return True
        self.recent.append((self.clock(), self.name(remote_addr)))
        return False


class SixByAddress(Another):
    def name(self, addr):
        return addr.value_of("ip4") or addr.value_of("ip6")


class Remembers(Another):
    """Right, but nobody is ever forgotten."""

    def __init__(self, most, seconds, clock):
        super().__init__(most, seconds, clock)
        self.seen = {}

    def allow_accept(self, remote_addr):
        times = self.seen.setdefault(self.name(remote_addr), [])
        recent = [time for time in times if time > self.old(self.clock())]
        if len(recent) >= self.most:
            return False
        times.append(self.clock())
        return True


class RefusesDials(Another):
    def allow_dial_addr(self, peer, addr):
        return self.allow_accept(addr)


class SaysNothing(Another):
    def allow_accept(self, remote_addr):
        return super().allow_accept(remote_addr) or None


ANOTHER = Another
MUTANTS = (
    Mutant(ByPort, "all", "100 were let in"),
    Mutant(OneLess, "amount"),
    Mutant(ForEverybody, "others"),
    Mutant(ForEver, "for-ever"),
    Mutant(InBoxes, "span", "at most 4"),
    Mutant(CountsAll, "counts-refused"),
    Mutant(SixByAddress, "network", "60 were let in"),
    Mutant(Remembers, "hoards"),
    Mutant(RefusesDials, "own-dials"),
    Mutant(SaysNothing, "wrong-type"),
)
