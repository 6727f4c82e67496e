"""One handed-in notebook, run again from top to bottom in a kernel of its own.

    python -m libp2p_lab.coursework.rerun NOTEBOOK STUDENT FOLDER CELL_LIMIT WHOLE_LIMIT

This is a process of its own, so that whatever a notebook does (print without end, eat memory, take its kernel down)
costs this notebook and no other. After each cell that checks, predicts or answers, what was handed in so far is saved
in FOLDER (`handed_in.py`); if a later cell hangs or crashes, the earlier answers count. How it went is written there
too, as `ended.json`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY = 6 << 30  # bytes of address space: this process's, and the kernel's
ENDED = "ended.json"
START_LIMIT = 120  # seconds for the kernel's start on a loaded machine
_TELLING = re.compile(r"\b(check|predict|answer|hint)\(")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run went.

    Attributes:
        status: "ran", "time limit", "kernel died" or "unreadable".
        stopped: numbers of the code cells that were stopped, because they ran too long.
        failed: how many cells raised an exception; unsolved exercises do.
    """

    status: str
    stopped: tuple[int, ...] = ()
    failed: int = 0
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "status": self.status,
            "stopped": list(self.stopped),
            "failed": self.failed,
            "detail": self.detail,
        }


async def rerun(
    notebook: Path, student: str, folder: Path, cell_limit: float, whole_limit: float
) -> Ended:
    """Run a notebook in its own folder, and save what it hands in.

    Args:
        folder: where answers and notes are saved.
        cell_limit, whole_limit: seconds for one cell, and for all.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError

    try:
        read = nbformat.read(notebook, as_version=4)
        nbformat.validate(read)
    except (OSError, ValueError, KeyError, AttributeError, nbformat.ValidationError) as problem:
        return Ended("unreadable", detail=f"{type(problem).__name__}: {problem}"[:500])
    client = NotebookClient(
        read,
        timeout=cell_limit,
        startup_timeout=START_LIMIT,
        kernel_name="python3",
        allow_errors=True,
        record_timing=False,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    save = (
        "import libp2p_lab.coursework.handed_in as _h, libp2p_lab.coursework.session as _s\n"
        f"_h.save(_s.WORKBOOK, {str(folder)!r})"
    )
    begin = f"import libp2p_lab as _lab\n_lab.enrol({student!r})"
    stopped: list[int] = []
    failed = 0

    async def own(source: str) -> None:
        await client.async_execute_cell(nbformat.v4.new_code_cell(source), 0)

    async def run_all() -> None:
        nonlocal failed
        cells = list(read.cells)  # nbclient writes into its own list
        await own(begin)
        number = 0
        for index, cell in enumerate(cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            number += 1
            try:
                await client.async_execute_cell(cell, index)
                failed += any(output.output_type == "error" for output in cell.outputs)
            except CellTimeoutError:
                stopped.append(number)
                await client.km.interrupt_kernel()
            cell.outputs = []  # only what is handed in matters, and memory is bounded
            if _TELLING.search(cell.source):
                await own(save)
        await own(save)

    status, detail = "ran", ""
    limit = asyncio.timeout(whole_limit)
    try:
        async with limit, client.async_setup_kernel():
            await run_all()
    except (
        TimeoutError
    ) as problem:  # all of it, or a kernel that not even an interrupt gets through to
        status, detail = "time limit", str(problem)[:200]
    except RuntimeError as problem:  # nbclient says so too when it is cancelled
        status = "time limit" if limit.expired() else "kernel died"
        detail = str(problem)[:200]
    return Ended(status, tuple(stopped), failed, detail)


def _limit_memory() -> None:
    """On Linux: an allocation beyond the limit fails with MemoryError, here and in the kernel."""
    if sys.platform.startswith("linux"):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard < 0 else min(MEMORY, hard), hard))


def main(arguments: list[str]) -> None:
    """Run one notebook; the arguments are those of the command line."""
    notebook, student, folder, cell_limit, whole_limit = arguments
    _limit_memory()
    ended = asyncio.run(
        rerun(Path(notebook), student, Path(folder), float(cell_limit), float(whole_limit))
    )
    (Path(folder) / ENDED).write_text(json.dumps(ended.to_dict()), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
