"""Where generated cases come from: public seeds for everybody, a student's own, and hidden ones for grading.

All are derived by SHA-256 from words, so that the same words give the same cases on every machine.
"""

from __future__ import annotations

import hashlib

HIDDEN = 3  # hidden seeds of one check in one course


def derive(*words: str) -> int:
    """A seed of 32 bits from some words."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def own_seed(check_id: str, student: str) -> int:
    """The seed of one student's variant of a check."""
    return derive("variant", check_id, student)


def hidden_seeds(check_id: str, secret: str, student: str = "") -> tuple[int, ...]:
    """The seeds with which a course grades; nobody can know them without its secret."""
    return tuple(
        derive("hidden", secret, check_id, student, str(number)) for number in range(HIDDEN)
    )
