"""Answers to E6.1, each made from the truth: how many of each kind were sent, and received."""

from __future__ import annotations

from tests.mutants import Mutant


def another(right):
    """Right too: with more kinds than were asked for."""
    return {**right["sent"], "FIND_NODE": 99}, "multihash"


def without_one(right):
    return {k: v for k, v in right["sent"].items() if k != "PUT_VALUE"}, "multihash"


def one_more(right):
    return {**right["sent"], "ADD_PROVIDER": right["sent"]["ADD_PROVIDER"] + 1}, "multihash"


ANOTHER = another
MUTANTS = (
    Mutant(without_one, "missing", "PUT_VALUE"),
    Mutant(lambda right: (right["both"], "multihash"), "both-ways"),
    Mutant(one_more, "count"),
    Mutant(lambda right: (right["sent"], "cid"), "key"),
    Mutant(lambda right: (right["sent"], "CIDv1"), "no-word"),
    Mutant(lambda right: right["sent"], "wrong-type"),
)
