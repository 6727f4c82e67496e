from __future__ import annotations

from libp2p_lab.coursework.lab_net import CASES, FATES
from tests.mutants import Mutant

STANDS, LOST, GONE = FATES


def fates(*said):
    return dict(zip((name for name, _, _ in CASES), said, strict=True))


ANOTHER = dict(reversed(fates(STANDS, STANDS, GONE, GONE).items()))
MUTANTS = (
    Mutant(fates(GONE, GONE, GONE, GONE), "short-cut", "20 s, nobody speaks"),
    Mutant(fates(STANDS, LOST, GONE, GONE), "short-cut", "20 s, somebody speaks"),
    Mutant(fates(STANDS, STANDS, STANDS, STANDS), "long-cut", "10 min, nobody speaks"),
    Mutant(fates(STANDS, STANDS, GONE, LOST), "long-cut", "10 min, somebody speaks"),
    Mutant(fates("?", "?", "?", "?"), "unknown-fate"),
    Mutant(list(fates(STANDS, STANDS, GONE, GONE)), "wrong-type"),
)
