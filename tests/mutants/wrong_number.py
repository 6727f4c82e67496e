from __future__ import annotations

from tests.mutants import Mutant

ANOTHER = [110.4, 120 * 0.97]
MUTANTS = (
    Mutant((0.97, 0.9), "not-there"),
    Mutant((110.4, 111.0), "sum"),
    Mutant((116.4, 110.4), "swapped"),
    Mutant("116.4", "wrong-type"),
)
