"""E8.5a: another right answer, and wrong ones."""

from tests.mutants import Mutant


class Another:
    """A list of what is due, taken from the front."""

    def __init__(self, role, addrs):
        self.addrs = addrs
        self.due = ["CONNECT", "SYNC"] if role == "caller" else []
        self.role = role

    def start(self, now):
        self.sent, self.due = now, ["CONNECT"]
        return ("CONNECT", list(self.addrs))

    def receive(self, message, now):
        if not self.due or self.due.pop(0) != message[0]:
            raise ValueError(f"not due: {message[0]}")
        if message[0] == "SYNC":
            return None, (now, self.theirs)
        if not message[1]:
            raise ValueError("no addresses")
        self.theirs = list(message[1])
        if self.role == "caller":
            return self.answer(now)
        return ("SYNC",), (self.when(now), self.theirs)

    def answer(self, now):
        return ("CONNECT", list(self.addrs)), None

    def when(self, now):
        return (3 * now - self.sent) / 2


class WholeTrip(Another):
    def when(self, now):
        return 2 * now - self.sent


class AtOnce(Another):
    def when(self, now):
        return now


class TooSoon(Another):
    def answer(self, now):
        return ("CONNECT", list(self.addrs)), (now, self.theirs)


class OwnAddresses(Another):
    def receive(self, message, now):
        reply, dial = super().receive(message, now)
        return reply, None if dial is None else (dial[0], list(self.addrs))


class CallerWaits(Another):
    def receive(self, message, now):
        reply, dial = super().receive(message, now)
        return reply, (now + 0.1, dial[1]) if message[0] == "SYNC" else dial


class OnlyOne(Another):
    def receive(self, message, now):
        reply, dial = super().receive(message, now)
        return reply, None if message[0] == "SYNC" else dial


class EchoesSync(Another):
    def receive(self, message, now):
        reply, dial = super().receive(message, now)
        return ("SYNC",) if message[0] == "SYNC" else reply, dial


class WithoutAddresses(Another):
    def start(self, now):
        super().start(now)
        return ("CONNECT", [])


class TakesAnything(Another):
    def receive(self, message, now):
        self.due = [message[0]]
        if message == ("SYNC",) and not hasattr(self, "theirs"):
            return None, (now, [])
        if not hasattr(self, "sent"):
            self.sent = now
        return super().receive(message, now)


class Half:
    def __init__(self, role, addrs):
        pass


ANOTHER = Another
MUTANTS = [
    Mutant(WholeTrip, "whole-trip"),
    Mutant(AtOnce, "half-trip"),
    Mutant(TooSoon, "too-soon"),
    Mutant(OwnAddresses, "addresses"),
    Mutant(CallerWaits, "caller-waits"),
    Mutant(OnlyOne, "no-dial"),
    Mutant(EchoesSync, "sync"),
    Mutant(WithoutAddresses, "connect"),
    Mutant(TakesAnything, "out-of-turn"),
    Mutant(Half, "wrong-type"),
]
