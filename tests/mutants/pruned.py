"""Answers to E7.1, each made from the truth: peer ids and reasons, and a peer that was sent no PRUNE."""

from __future__ import annotations

from libp2p_lab.identity import PeerId
from tests.mutants import Mutant


def another(right):
    """Right too: peer ids instead of texts."""
    return {PeerId.from_text(peer): reason for peer, reason in right["reasons"].items()}


def without_last(right):
    return dict([*right["reasons"].items()][:-1])


def renamed(wrong, by):
    """The same answer, with one reason taken for another."""

    def answer(right):
        return {peer: by if why == wrong else why for peer, why in right["reasons"].items()}

    return answer


ANOTHER = another
MUTANTS = (
    Mutant(lambda right: {**right["reasons"], "12D3KooW": "score"}, "unknown-peer", "12D3KooW"),
    Mutant(
        lambda right: {**right["reasons"], right["left"]: "score"}, "not-ours", "left the topic"
    ),
    Mutant(renamed("score", "silent"), "no-reason", "silent"),
    Mutant(without_last, "missing", "1 more peer"),
    Mutant(renamed("too many", "score"), "crowd"),
    Mutant(renamed("score", "too many"), "bad-score"),
    Mutant(renamed("backoff", "too many"), "too-early"),
    Mutant(lambda right: list(right["reasons"]), "wrong-type"),
)
