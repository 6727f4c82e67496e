"""Environments are brought up to date when pyproject.toml changes, and not only when it changes in time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools import environment


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an environment that seems to be there."""
    (tmp_path / "pyproject.toml").write_text("[project]\n", "utf-8")
    python = environment.inside(tmp_path / ".venv")
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setattr(environment, "REPOSITORY", tmp_path)
    monkeypatch.setattr(environment, "minor_version", lambda _: sys.version_info.minor)
    return tmp_path


def test_what_is_edited_while_pip_runs_is_installed_the_next_time(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installs: list[str] = []

    def install(command: list[str], **_: Any) -> None:
        installs.append((project / "pyproject.toml").read_text("utf-8"))
        if len(installs) == 1:
            (project / "pyproject.toml").write_text("[project] # edited\n", "utf-8")

    monkeypatch.setattr(subprocess, "run", install)
    environment.ensure("lab")
    assert not environment.is_installed("lab")
    environment.ensure("lab")
    assert environment.is_installed("lab")
    environment.ensure("lab")
    assert installs == ["[project]\n", "[project] # edited\n"]
