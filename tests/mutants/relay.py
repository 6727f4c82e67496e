"""E8.4a: another right answer, and wrong ones."""

from tests.mutants import Mutant


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class Another:
    """Lists instead of dicts; a circuit is a number."""

    DOMAIN = "libp2p-relay-rsvp"
    FACTOR = 1

    def __init__(self, own, ttl, places, seconds, data):
        self.own, self.ttl, self.most = own, ttl, places
        self.seconds, self.data = seconds or 10**12, data or 10**15
        self.places = []
        self.began, self.passed = [], []

    def valid(self, now):
        return [place for place in self.places if now < place[1]]

    def holds(self, peer, now):
        return any(held == peer for held, _ in self.valid(now))

    def is_relayed(self, addr):
        return "p2p-circuit" in addr.split("/")

    def expiry(self, now):
        return int(now) + int(self.ttl)

    def reserve(self, peer, addr, now):
        if self.is_relayed(addr):
            return ("PERMISSION_DENIED", None)
        others = [place for place in self.valid(now) if place[0] != peer]
        if len(others) + 1 > self.most:
            return ("RESERVATION_REFUSED", None)
        self.places = [*others, (peer, self.expiry(now))]
        return ("OK", self.places[-1][1])

    def voucher(self, peer, expire, seal):
        names = [self.own.multihash, peer.multihash]
        parts = [bytes([10 + 8 * n, len(name)]) + name for n, name in enumerate(names)]
        return seal(self.DOMAIN, b"\x03\x02", b"".join(parts) + b"\x18" + varint(expire))

    def connect(self, source, addr, target, now):
        if self.is_relayed(addr) or self.is_odd(source, target):
            return ("PERMISSION_DENIED", None)
        if not self.holds(target, now):
            return ("NO_RESERVATION", None)
        self.began.append(now)
        self.passed.append({"there": 0, "back": 0})
        return ("OK", len(self.began) - 1)

    def is_odd(self, source, target):
        return source == target or target == self.own

    def take(self, circuit, way, n, now):
        if now >= self.began[circuit] + self.seconds:
            return 0
        allowed = min(n, self.data - self.passed[circuit][way])
        self.passed[circuit][way] += allowed
        return allowed

    def end(self, circuit):
        self.passed[circuit] = None

    def leave(self, peer):
        self.places = [place for place in self.places if place[0] != peer]


class OnlyOnce(Another):
    """Who asks a second time is refused, and so is the second of all."""

    def reserve(self, peer, addr, now):
        if self.places and not self.is_relayed(addr):
            return ("RESERVATION_REFUSED", None)
        return super().reserve(peer, addr, now)


class Milliseconds(Another):
    def expiry(self, now):
        return 1000 * super().expiry(now)


class Stacks(Another):
    def is_relayed(self, addr):
        return False


class CallsStack(Another):
    """Looks at the address for a place only."""

    def connect(self, source, addr, target, now):
        return super().connect(source, "/ip4/192.0.2.1/tcp/1", target, now)


class Endless(Another):
    def reserve(self, peer, addr, now):
        self.most = 10**6
        return super().reserve(peer, addr, now)


class CountsItself(Another):
    """Whoever renews needs another free place."""

    def reserve(self, peer, addr, now):
        if not self.is_relayed(addr) and len(self.valid(now)) >= self.most:
            return ("RESERVATION_REFUSED", None)
        return super().reserve(peer, addr, now)


class ForEver(Another):
    def valid(self, now):
        return self.places


class CallsTheDead(Another):
    """Old places are thrown out when somebody reserves, and only then."""

    def holds(self, peer, now):
        return any(held == peer for held, _ in self.places)

    def reserve(self, peer, addr, now):
        old = list(self.places)
        got = super().reserve(peer, addr, now)
        self.places += [place for place in old if not self.holds(place[0], now)]
        return got


class Stays(Another):
    def leave(self, peer):
        pass


class CallsAnybody(Another):
    def holds(self, peer, now):
        return True


class Itself(Another):
    def is_odd(self, source, target):
        return False


class BothNeedOne(Another):
    def connect(self, source, addr, target, now):
        if not self.is_relayed(addr) and self.holds(target, now) and not self.holds(source, now):
            return ("NO_RESERVATION", None)
        return super().connect(source, addr, target, now)


class EachChunk(Another):
    """The limit is held against each chunk alone."""

    def take(self, circuit, way, n, now):
        return 0 if now >= self.began[circuit] + self.seconds else min(n, self.data)


class OneSum(Another):
    def take(self, circuit, way, n, now):
        return super().take(circuit, "there", n, now)


class OnePurse(Another):
    """All circuits share what one may have."""

    def take(self, circuit, way, n, now):
        total = sum(passed[way] for passed in self.passed if passed)
        return super().take(circuit, way, min(n, self.data - total), now)


class Timeless(Another):
    def take(self, circuit, way, n, now):
        return super().take(circuit, way, n, self.began[circuit])


class NothingForNothing(Another):
    def __init__(self, own, ttl, places, seconds, data):
        super().__init__(own, ttl, places, seconds, data)
        self.data = data


class OtherDomain(Another):
    DOMAIN = "libp2p-peer-record"


class Unsigned(Another):
    def voucher(self, peer, expire, seal):
        return b"trust me"


class Swapped(Another):
    def voucher(self, peer, expire, seal):
        self.own, own = peer, self.own
        got = super().voucher(own, expire, seal)
        self.own = own
        return got


class FewPlaces(Another):
    """Never more than four, whatever it was given."""

    def __init__(self, own, ttl, places, seconds, data):
        super().__init__(own, ttl, min(places, 4), seconds, data)


class SameObject(Another):
    """A name is known again only if it is the very same object."""

    def holds(self, peer, now):
        return any(held is peer for held, _ in self.valid(now))


class Half:
    def __init__(self, own, ttl, places, seconds, data):
        pass


ANOTHER = Another
MUTANTS = [
    Mutant(OnlyOnce, "reserves"),
    Mutant(Milliseconds, "expire"),
    Mutant(Stacks, "relayed"),
    Mutant(CallsStack, "relayed"),
    Mutant(Endless, "full"),
    Mutant(CountsItself, "renews"),
    Mutant(ForEver, "expired"),
    Mutant(CallsTheDead, "expired"),
    Mutant(Stays, "left"),
    Mutant(CallsAnybody, "unreserved"),
    Mutant(Itself, "itself"),
    Mutant(BothNeedOne, "switches"),
    Mutant(EachChunk, "data"),
    Mutant(OneSum, "each-way"),
    Mutant(OnePurse, "each-circuit"),
    Mutant(Timeless, "time"),
    Mutant(NothingForNothing, "unlimited"),
    Mutant(OtherDomain, "domain"),
    Mutant(Unsigned, "wrong-type"),
    Mutant(Swapped, "voucher"),
    Mutant(FewPlaces, "history"),
    Mutant(SameObject, "live"),
    Mutant(Half, "wrong-type"),
]
