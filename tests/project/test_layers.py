"""Imports only point downwards, cores do no I/O, and protobuf stays behind its codec."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from libp2p_lab.curriculum import CHAPTERS
from tests.support import REPOSITORY, repository_files

PACKAGE = REPOSITORY / "libp2p_lab"
CORES = [core for chapter in CHAPTERS for core in chapter.cores]
# What a core may not reach, however many imports away: waiting, sockets, clocks, chance.
IMPURE = ("asyncio", "socket", "ssl", "select", "selectors", "threading", "time", "random")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "libp2p_lab", include_external_packages=True, exclude_type_checking_imports=True
    )


def test_the_order_of_imports_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("core", CORES)
def test_a_core_does_no_io(graph: grimp.ImportGraph, core: str) -> None:
    module = f"libp2p_lab.{core}"
    assert module in graph.modules, f"{module} is listed as a core in curriculum.py: no such file"
    for impure in IMPURE:
        if impure in graph.modules:  # else nothing in the whole library imports it
            chain = graph.find_shortest_chain(importer=module, imported=impure)
            assert chain is None, " imports ".join(chain or ())


def modules_importing_pb() -> dict[str, set[str]]:
    """Generated module -> the files that import it, as paths below the package."""
    users: dict[str, set[str]] = {}
    for path in repository_files("libp2p_lab/*.py"):
        if path.parent.name == "pb":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                parts = name.split(".")
                generated = next((part for part in parts if part.endswith("_pb2")), None)
                if generated:
                    users.setdefault(generated, set()).add(str(path.relative_to(PACKAGE)))
    return users


def test_each_generated_module_has_one_codec() -> None:
    users = modules_importing_pb()
    assert users, "no module imports generated protobuf code: this test looks in the wrong place"
    crowded = {name: sorted(files) for name, files in users.items() if len(files) > 1}
    assert not crowded, "protobuf objects leave their codec file"
