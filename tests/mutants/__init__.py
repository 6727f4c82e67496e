"""Answers to every exercise: a second right one, and wrong ones with the hint that is meant for each.

Each module here has the name of a check, and holds

    ANOTHER    a right answer, written differently from the one in curriculum/*/solutions
    MUTANTS    at least three wrong answers, each with the name of the rule that the check must name
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A wrong answer.

    Attributes:
        answer: what a student might hand in.
        rule: what the check must say is broken.
        seen: text that must stand in the report: the place where it goes wrong.
        prediction: what was predicted, where the check asks for it.
    """

    answer: Any
    rule: str
    seen: str = ""
    prediction: Any = None
