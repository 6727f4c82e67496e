"""Answers to E6.8: a second one that is enough, and some that are not."""

from __future__ import annotations

from tests.mutants import Mutant

ORDER = ("provider", "mdns", "value", "rendezvous", "mdns")
RIGHT = dict(
    zip("abcdefghij", (*ORDER, "provider", "value", "rendezvous", "provider", "value"), strict=True)
)


def but(**others: str) -> dict[str, str]:
    return {**RIGHT, **others}


ANOTHER = but(d="provider", i="rendezvous")  # eight are enough
MUTANTS = (
    Mutant(but(b="rendezvous", e="value", c="mdns"), "is-mdns", "b, chess in the train"),
    Mutant(but(c="provider", g="provider", j="provider"), "is-value", "7 of 10"),
    Mutant(but(a="value", f="value", i="value"), "is-provider", "a, the film"),
    Mutant(but(d="mdns", h="mdns", i="mdns"), "is-rendezvous", "d, players"),
    Mutant(dict.fromkeys(RIGHT, "provider"), "is-mdns", "3 of 10"),
    Mutant({**RIGHT, "j": ""}, "missing", "chosen for j"),
    Mutant(but(a="dht"), "no-word", "'dht'"),
    Mutant({**RIGHT, "k": "value"}, "wrong-type"),
    Mutant([*RIGHT.values()], "wrong-type"),
)
