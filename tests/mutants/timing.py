"""E8.6: another right answer, and wrong ones."""

from tests.mutants import Mutant


def by_parts(rtt, attempt):
    """A half, a quarter, three quarters."""
    return rtt * (0.5, 0.25, 0.75)[(attempt - 1) % 3]


def half(rtt, attempt):
    return rtt / 2


def always_late(rtt, attempt):
    return rtt / 2 + 0.1


def one_sided(rtt, attempt):
    return rtt / 2 + 0.08 * (attempt - 1)


def minus(rtt, attempt):
    return rtt / 2 - 0.1 * (attempt - 1)


def nothing(rtt, attempt):
    return None


ANOTHER = (0.125, by_parts)
MUTANTS = [
    Mutant((0.02, by_parts), "number"),
    Mutant((130, by_parts), "number"),
    Mutant((0.13, half), "no-better"),
    Mutant((0.13, one_sided), "no-better"),
    Mutant((0.13, always_late), "spoils"),
    Mutant((0.13, minus), "wrong-type"),
    Mutant((0.13, nothing), "wrong-type"),
    Mutant((None, by_parts), "wrong-type"),
]
