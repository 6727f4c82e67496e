"""E8.3: another right answer, and wrong ones."""

import ipaddress

from tests.mutants import Mutant


class Another:
    """Lists of what was said, newest last."""

    NEEDED, MOST, PIECE = 4, 100_000, 4096

    def __init__(self, addrs, rng):
        self.addrs, self.rng = list(addrs), rng
        self.questions = []
        self.words = []

    def nonce(self):
        return int.from_bytes(self.rng.randbytes(8), "big")

    def ask(self, server):
        self.questions.append({"server": server, "nonce": self.nonce(), "came": False})
        return self.questions[-1]["nonce"]

    def pay(self, index, size):
        if not (0 <= index < len(self.addrs) and 1 <= size <= self.MOST):
            raise ValueError("no")
        pieces = []
        while size > 0:
            pieces.append(min(size, self.PIECE))
            size -= pieces[-1]
        return pieces

    def dial_back(self, nonce):
        for question in self.questions:
            if question["nonce"] == nonce:
                question["came"] = True
                return True
        return False

    def answer(self, server, index, reached):
        question = next(q for q in reversed(self.questions) if q["server"] == server)
        self.questions.remove(question)
        if not 0 <= index < len(self.addrs):
            raise ValueError("which one?")
        if reached and not self.is_true(question):
            raise ValueError("liar")
        self.words.append((self.addrs[index], server, reached))

    def is_true(self, question):
        return question["came"]

    def voices(self, addr):
        return list({server: yes for a, server, yes in self.words if a == addr}.values())

    def verdict(self, addr):
        voices = self.voices(addr)
        yes = sum(voices)
        no = len(voices) - yes
        if yes >= self.NEEDED and yes > no:
            return "public"
        return "private" if no >= self.NEEDED and no > yes else "unknown"


def fit(addr, speaks):
    parts = addr.split("/")[1:]
    if parts[0] not in ("ip4", "ip6") or "p2p-circuit" in parts:
        return False
    if not ipaddress.ip_address(parts[1]).is_global:
        return False
    return (parts[2] == "tcp" and "tcp" in speaks) or ("quic-v1" in parts and "quic-v1" in speaks)


def serve(addrs, seen_ip, speaks, rng):
    fits = [n for n, addr in enumerate(addrs) if fit(addr, speaks)]
    if not fits:
        return None
    there = addrs[fits[0]].split("/")[2]
    return (fits[0], 0) if there == seen_ip else (fits[0], 30_000 + rng.randrange(70_001))


def gives_up(addrs, seen_ip, speaks, rng):
    return serve(addrs[:1], seen_ip, speaks, rng)


def the_last(addrs, seen_ip, speaks, rng):
    fits = [n for n, addr in enumerate(addrs) if fit(addr, speaks)]
    return (fits[-1], serve([addrs[fits[-1]]], seen_ip, speaks, rng)[1]) if fits else None


def dials_homes(addrs, seen_ip, speaks, rng):
    for n, addr in enumerate(addrs):
        if addr.startswith("/ip4/192.168.") and len(addrs) == 1:
            return n, 50_000
    return serve(addrs, seen_ip, speaks, rng)


def always_paid(addrs, seen_ip, speaks, rng):
    got = serve(addrs, seen_ip, speaks, rng)
    return got and (got[0], got[1] or 40_000)


def free_for_all(addrs, seen_ip, speaks, rng):
    got = serve(addrs, seen_ip, speaks, rng)
    return got and (got[0], 0)


def fixed_price(addrs, seen_ip, speaks, rng):
    got = serve(addrs, seen_ip, speaks, rng)
    return got and (got[0], 30_000 if got[1] else 0)


class Counts(Another):
    last = 2**60

    def nonce(self):
        self.last += 1
        return self.last


class AnyNonce(Another):
    def dial_back(self, nonce):
        super().dial_back(nonce)
        return True


class Believes(Another):
    def is_true(self, question):
        return True


class AnyCame(Another):
    """Some nonce has come, so it will be true."""

    any_came = False

    def dial_back(self, nonce):
        got = super().dial_back(nonce)
        self.any_came = self.any_came or got
        return got

    def is_true(self, question):
        return self.any_came


class AnyIndex(Another):
    def answer(self, server, index, reached):
        super().answer(server, min(index, 1), reached)


class OnePiece(Another):
    PIECE = 10**9


class Generous(Another):
    MOST = 10**12


class Three(Another):
    NEEDED = 3


class OneForAll(Another):
    """One verdict for all addresses."""

    def voices(self, addr):
        return list({server: yes for _, server, yes in self.words}.values())


class Shouting(Another):
    def voices(self, addr):
        return [yes for a, _, yes in self.words if a == addr]


class FirstWord(Another):
    """Who has spoken once is not heard again."""

    def voices(self, addr):
        heard = {}
        for a, server, yes in self.words:
            if a == addr:
                heard.setdefault(server, yes)
        return list(heard.values())


ANOTHER = (serve, Another)
MUTANTS = [
    Mutant((gives_up, Another), "refuses"),
    Mutant((the_last, Another), "one"),
    Mutant((dials_homes, Another), "private"),
    Mutant((always_paid, Another), "free"),
    Mutant((free_for_all, Another), "price"),
    Mutant((fixed_price, Another), "price"),
    Mutant((serve, Counts), "guessable"),
    Mutant((serve, AnyNonce), "nonce"),
    Mutant((serve, Believes), "cheats"),
    Mutant((serve, AnyCame), "cheats"),
    Mutant((serve, AnyIndex), "index"),
    Mutant((serve, OnePiece), "pieces"),
    Mutant((serve, Generous), "dear"),
    Mutant((serve, Three), "four"),
    Mutant((serve, OneForAll), "per-address"),
    Mutant((serve, Shouting), "voices"),
    Mutant((serve, FirstWord), "votes"),
    Mutant(serve, "wrong-type"),
]
