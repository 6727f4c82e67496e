from __future__ import annotations

from tests.mutants import Mutant

PREDICTION = 105


class Turns:
    """Round robin in frames of 4 KiB, with a token bucket."""

    size = 4096
    share = 0.86
    burst = 0.004

    def __init__(self, rate, round_trip):
        self.rate = self.share * rate
        self.tokens = 0.0
        self.at = 0.0
        self.last = None

    def pick(self, waiting):
        others = [stream for stream in waiting if stream != self.last]
        return others[0] if others else self.last

    def next(self, waiting, now):
        self.tokens = min(self.burst * self.rate, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 0:
            return 0.0001 - self.tokens / self.rate
        self.last = self.pick(waiting)
        size = min(self.size, waiting[self.last])
        self.tokens -= size
        return self.last, size


class Whole(Turns):
    """Long frames."""

    size = 65507


class ByArrival(Turns):
    """Who waits longest comes first, and is served until it has nothing more."""

    size = 4096

    def pick(self, waiting):
        if self.last not in waiting:
            self.last = next(iter(waiting))
        return self.last


class Hasty(Turns):
    """As fast as the system takes it."""

    def next(self, waiting, now):
        stream = self.pick(waiting)
        self.last = stream
        return stream, min(self.size, waiting[stream])


class Timid(Turns):
    share = 0.5


class Crumbs(Turns):
    size = 160
    share = 0.5


class TooMuch(Turns):
    def next(self, waiting, now):
        return next(iter(waiting)), 100_000


class OnlyWaits(Turns):
    def next(self, waiting, now):
        return 1.0


class NoTurns:
    def __init__(self, rate, round_trip):
        pass


class Unready(Turns):
    def next(self, waiting, now):
        return self.choose(waiting)


ANOTHER = Turns
MUTANTS = (
    Mutant(Whole, "frame", "65507"),
    Mutant(ByArrival, "order"),
    Mutant(Hasty, "queue"),
    Mutant(Timid, "throughput"),
    Mutant(Crumbs, "throughput"),
    Mutant(TooMuch, "choice", "100000"),
    Mutant(OnlyWaits, "starved"),
    Mutant(NoTurns, "wrong-type", "next"),
    Mutant(Unready, "raised", "choose"),
    Mutant(Turns, "prediction", "13 ms", prediction=13),
)
