"""Answers to E4.1. Each is made from the right one and what the record holds: sent, granted, others, frames."""

from __future__ import annotations

from tests.mutants import Mutant

WINDOW = 256 * 1024


def another(right, seen):
    """Right too: written otherwise, with more in it than asked for."""
    return {"left": WINDOW - seen["sent"] + seen["granted"], "opener": " Listener", "why": "even"}


ANOTHER = another
MUTANTS = (
    Mutant(lambda right, seen: {**right, "opener": "dialer"}, "opener"),
    Mutant(lambda right, seen: {**right, "left": WINDOW - seen["others"]}, "direction"),
    Mutant(lambda right, seen: {**right, "left": WINDOW - seen["sent"]}, "updates"),
    Mutant(lambda right, seen: {**right, "left": seen["last"]}, "absolute"),
    Mutant(
        lambda right, seen: {**right, "left": right["left"] - 12 * seen["frames"]},
        "headers",
    ),
    Mutant(lambda right, seen: {**right, "left": right["left"] + 1}, "sum", "1 off"),
    Mutant(lambda right, seen: {"opener": "listener"}, "wrong-type"),
)
