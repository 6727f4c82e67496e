"""Answers to E5.1, each made from the truth: rounds by peer, why it ended, and a peer that was only named."""

from __future__ import annotations

from libp2p_lab.identity import PeerId
from tests.mutants import Mutant


def another(right):
    """Right too: peer ids instead of texts."""
    return {PeerId.from_text(peer): n for peer, n in right["rounds"].items()}, right["why"]


def from_zero(right):
    return {peer: n - 1 for peer, n in right["rounds"].items()}, right["why"]


def without_last(right):
    return dict([*right["rounds"].items()][:-1]), right["why"]


ANOTHER = another
MUTANTS = (
    Mutant(lambda right: ({**right["rounds"], "12D3KooW": 1}, right["why"]), "unknown-peer"),
    Mutant(
        lambda right: ({**right["rounds"], right["named"]: 2}, right["why"]),
        "only-named",
        "never asked",
    ),
    Mutant(from_zero, "wrong-round"),
    Mutant(without_last, "missing", "1 more peer"),
    Mutant(lambda right: (right["rounds"], "nobody"), "wrong-end"),
    Mutant(lambda right: right["rounds"], "wrong-type"),
)
