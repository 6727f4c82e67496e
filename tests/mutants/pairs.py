"""E8.2c: another right answer, and wrong ones."""

from tests.mutants import Mutant

RANK = {"endpoint-independent": 0, "address-dependent": 1, "address-and-port-dependent": 2}


def punches(a, b):
    """As a table of what each box is like for the other."""

    def lets_in(own, other):
        mapping, filtering = RANK[own[0]], RANK[own[1]]
        if filtering == 0:
            return True
        return mapping == 0 and (filtering == 1 or RANK[other[0]] == 0)

    return lets_in(a, b) or lets_in(b, a)


def always(a, b):
    return True


def never_symmetric(a, b):
    return RANK[a[0]] == 0 and RANK[b[0]] == 0


def one_way(a, b):
    return RANK[b[1]] == 0


def by_filter_only(a, b):
    return RANK[a[1]] < 2 or RANK[b[1]] < 2 or RANK[a[0]] == RANK[b[0]] == 0


def a_word(a, b):
    return "yes" if punches(a, b) else "no"


ANOTHER = punches
MUTANTS = [
    Mutant(always, "hopeful"),
    Mutant(by_filter_only, "hopeful"),
    Mutant(never_symmetric, "gloomy"),
    Mutant(one_way, "gloomy"),
    Mutant(a_word, "wrong-type"),
]
