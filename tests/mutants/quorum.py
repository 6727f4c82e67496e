"""E6.5: another right answer, and wrong ones."""

from tests.mutants import Mutant


def settle(answers, quorum, best):
    given = {peer: value for peer, value in answers if value is not None}
    if len(given) < max(quorum, 1):
        return None
    chosen = best(list(given.values()))
    return chosen, {peer for peer, _ in answers} - {p for p, v in given.items() if v == chosen}


def at_once(answers, quorum, best):
    return settle(answers, 1, best)


def counts_nothing(answers, quorum, best):
    if len(answers) < quorum or not settle(answers, 1, best):
        return None
    return settle(answers, 1, best)


def waits_for_more(answers, quorum, best):
    return settle(answers, quorum + 1, best)


def first_one(answers, quorum, best):
    found = settle(answers, quorum, best)
    if found is None:
        return None
    value = next(v for _, v in answers if v is not None)
    return value, [p for p, v in answers if v != value]


def tells_all(answers, quorum, best):
    found = settle(answers, quorum, best)
    return found and (found[0], [peer for peer, _ in answers])


def tells_the_outdated(answers, quorum, best):
    found = settle(answers, quorum, best)
    return found and (found[0], [p for p, v in answers if v not in (None, found[0])])


def tells_the_empty(answers, quorum, best):
    found = settle(answers, quorum, best)
    return found and (found[0], [p for p, v in answers if v is None])


def value_only(answers, quorum, best):
    found = settle(answers, quorum, best)
    return found and found[0]


ANOTHER = settle
MUTANTS = [
    Mutant(at_once, "too-few"),
    Mutant(counts_nothing, "empty-counts"),
    Mutant(waits_for_more, "waits"),
    Mutant(first_one, "best"),
    Mutant(tells_all, "knows-already"),
    Mutant(tells_the_outdated, "empty-handed"),
    Mutant(tells_the_empty, "outdated"),
    Mutant(value_only, "wrong-type"),
]
