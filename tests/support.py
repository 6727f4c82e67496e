"""Small things that tests of every chapter share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def require(condition: object, reason: str) -> None:
    """Skip the test where `condition` does not hold; under CI=true, fail it instead."""
    if condition:
        return
    if IN_CI:
        pytest.fail(f"needed under CI: {reason}")
    pytest.skip(reason)


def load_vectors(name: str) -> Any:
    """The parsed contents of `tests/vectors/<name>`."""
    return json.loads((Path(__file__).parent / "vectors" / name).read_text("utf-8"))
