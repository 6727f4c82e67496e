"""Small things that tests of every chapter share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def repository_files(*patterns: str) -> list[Path]:
    """The repository's own files (tracked, or new and not ignored) that match git pathspecs."""
    command = [
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        *patterns,
    ]
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    paths = (REPOSITORY / name for name in sorted(set(listed.stdout.split("\0"))) if name)
    return [path for path in paths if path.is_file()]  # a deleted file is still listed


def run_python(program: str) -> str:
    """Run a program in a process of its own; what it printed."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout
