from __future__ import annotations

from tests.mutants import Mutant

ANOTHER = {"share": 0.27, "seed": 2}
MUTANTS = (
    Mutant({"seed": 1, "share": 0.25}, "wrong-seed", "carol hears alice first"),
    Mutant({"seed": 2, "share": 25}, "no-share"),
    Mutant({"seed": 2, "share": 0.9}, "wrong-share", "other runs"),
    Mutant({"seed": "2", "share": 0.25}, "wrong-type"),
    Mutant((2, 0.25), "wrong-type"),
)
