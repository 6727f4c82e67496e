"""Every notebook runs top to bottom without a front end, and once more in the same kernel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from tools.build_notebooks import NOTEBOOKS

FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
CELL_TIMEOUT = 240  # seconds; machines are loaded
# What asyncio and the interpreter print when something went wrong and nobody awaited it.
BAD_STDERR = ("Traceback", "was never retrieved", "was never awaited", "Task was destroyed")

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # Jupyter's own deprecations are not ours to fix
]


def test_there_are_notebooks() -> None:
    assert FILES


@pytest.fixture
def kernel_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and Jupyter settings of the test's own."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    home = tmp_path / "notebooks"
    home.mkdir()
    return home


def run_once(client: NotebookClient, when: str) -> None:
    """Run all cells in the client's kernel, and look at what they printed."""
    for index, cell in enumerate(client.nb.cells):
        client.execute_cell(cell, index)  # raises on an error output
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            if output.output_type == "stream" and output.name == "stderr":
                found = [sign for sign in BAD_STDERR if sign in output.text]
                assert not found, f"{when}, cell {index} wrote to stderr:\n{output.text}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_runs_twice(path: Path, kernel_home: Path) -> None:
    copy = Path(shutil.copy(path, kernel_home))
    client = NotebookClient(
        nbformat.read(copy, as_version=4),
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(kernel_home)}},
    )
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with client.setup_kernel(env={**os.environ, "PYTHONUNBUFFERED": "1"}):
        run_once(client, "first run")
        run_once(client, "second run")
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    _, alive = psutil.wait_procs(left, timeout=20)
    assert not alive, f"processes left by the notebook: {[c.cmdline() for c in alive]}"
