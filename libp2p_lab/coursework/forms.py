"""The release in the forms of two graders that a school may have already: nbgrader and otter.

Both grade by running cells, so both forms ask the same check as `grading.py`, through `regrade`. What gets lost, and is
said in the README that each form is written with:

* nbgrader runs a notebook in one kernel without knowing who the student is: hidden seeds are the course's, the same for
  everybody. They stand between its markers for hidden tests, which it removes when it releases.
* otter's tests are handed out with its notebooks, or lie where they can be read: no hidden seeds at all.
* Neither knows learning objectives or tells a hang from a wrong answer as plainly as `libp2p-lab grade`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from libp2p_lab.coursework import release, seeds
from libp2p_lab.coursework.catalogue import find
from libp2p_lab.coursework.checks import Check, CheckResult
from libp2p_lab.coursework.session import WORKBOOK
from libp2p_lab.curriculum import Chapter, LabNotebook
from libp2p_lab.errors import LocalError

_CHECKED = re.compile(r"\blab\.check\(\s*[\"']([\w.]+)[\"']")

NBGRADER_README = """\
# For nbgrader

`source/<chapter>/` is an assignment as nbgrader's `generate_assignment` takes it. After each exercise stands a locked
cell of tests. Its hidden part runs the check again with seeds made from your course's secret; nbgrader removes that
part from what it releases. Keep this folder to yourself.

Lost on the way, compared with `libp2p-lab grade`: per-student seeds, the columns by objective, and answers of a kernel
that dies later on. Give each cell 120 seconds or more (`ExecutePreprocessor.timeout`).
"""
OTTER_README = """\
# For otter

`<chapter>/` holds the student's notebook, with a `grader.check` after each exercise, and `tests/` as otter reads them
(one file for each exercise). The tests are plain to read, so they use the public seeds only; for grades that count, run
`libp2p-lab grade` on the same notebooks with your course's secret: the extra cells do not disturb it.
"""


async def regrade(check_id: str, secret: str = "") -> CheckResult:
    """Check the answer that this kernel's notebook handed in last, once more.

    Args:
        check_id: which.
        secret: what hidden seeds are made from; "" for the public ones.

    Raises: `LocalError` if nothing was handed in.
    """
    check = find(check_id)
    if check.place == "kernel":
        if check.id not in WORKBOOK.results:
            raise LocalError(f"nothing was handed in for {check.id}")
        return WORKBOOK.results[check.id]
    if check.id not in WORKBOOK.handed_in:
        raise LocalError(f"nothing was handed in for {check.id}")
    hidden = seeds.hidden_seeds(check.id, secret) if secret else ()
    answer = WORKBOOK.handed_in[check.id]
    return await WORKBOOK.examine(check, answer, (*check.seeds, *hidden))


def checks_in(source: str) -> list[Check]:
    """The checks that a cell asks for."""
    return [find(name) for name in dict.fromkeys(_CHECKED.findall(source))]


# -- nbgrader ---------------------------------------------------------------------------------------------------------


def write_nbgrader(
    folder: Path, curriculum: Path, chapters: Sequence[Chapter | LabNotebook], secret: str
) -> list[Path]:
    """Write `source/<chapter>/<notebook>` for nbgrader. Returns: the files written."""
    texts = {
        f"source/{chapter.folder}/{chapter.notebook}": nbgrader_notebook(
            release.read_source(curriculum, chapter), secret
        )
        for chapter in chapters
    }
    return _write(folder, {**texts, "README.md": NBGRADER_README})


def nbgrader_notebook(source: Any, secret: str) -> str:
    """The student's notebook, with nbgrader's marks and a cell of tests behind each exercise."""
    import nbformat

    cells = []
    for cell in release.student_cells(source):
        cells.append(cell)
        checks = checks_in(cell.source) if cell.cell_type == "code" else []
        if checks:
            name = f"answer-{checks[0].id.replace('.', '-')}"
            cell.metadata["nbgrader"] = _nbgrader_mark(name, solution=True)
        for check in checks:
            test = nbformat.v4.new_code_cell(_nbgrader_test(check, secret))
            name = f"test-{check.id.replace('.', '-')}"
            test.metadata["nbgrader"] = _nbgrader_mark(name, points=check.points)
            cells.append(test)
    return release.finished(cells)


def _nbgrader_mark(name: str, *, solution: bool = False, points: int | None = None) -> Any:
    """A cell's metadata, in version 3 of nbgrader's schema."""
    mark: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": name,
        "grade": points is not None,
        "solution": solution,
        "locked": points is not None,
        "task": False,
        "cell_type": "code",
    }
    return mark if points is None else {**mark, "points": points}


def _nbgrader_test(check: Check, secret: str) -> str:
    """The last value is the points, which nbgrader takes as partial credit; an exception is none."""
    return (
        "from libp2p_lab.coursework.forms import regrade\n\n"
        f'result = await regrade("{check.id}")\n'
        "### BEGIN HIDDEN TESTS\n"
        f'result = await regrade("{check.id}", secret="{secret}")\n'
        "### END HIDDEN TESTS\n"
        "assert result.passed, result.feedback\n"
        "result.points"
    )


# -- otter ------------------------------------------------------------------------------------------------------------


def write_otter(
    folder: Path, curriculum: Path, chapters: Sequence[Chapter | LabNotebook]
) -> list[Path]:
    """Write `<chapter>/<notebook>` and `<chapter>/tests/*.py` for otter. Returns: the files written."""
    texts: dict[str, str] = {"README.md": OTTER_README}
    for chapter in chapters:
        notebook, tests = otter_notebook(release.read_source(curriculum, chapter), chapter)
        texts[f"{chapter.folder}/{chapter.notebook}"] = notebook
        for name, text in tests.items():
            texts[f"{chapter.folder}/tests/{name}.py"] = text
    return _write(folder, texts)


def otter_notebook(source: Any, chapter: Chapter | LabNotebook) -> tuple[str, dict[str, str]]:
    """The student's notebook with otter's cells, and its tests by name."""
    import nbformat

    first = f'import otter\n\ngrader = otter.Notebook("{chapter.notebook}")'
    cells = [nbformat.v4.new_code_cell(first)]
    tests: dict[str, str] = {}
    for cell in release.student_cells(source):
        cells.append(cell)
        for check in checks_in(cell.source) if cell.cell_type == "code" else []:
            name = f"q{check.id.replace('.', '_')}"
            tests[name] = _otter_test(check, name)
            cells.append(nbformat.v4.new_code_cell(f'grader.check("{name}")'))
    return release.finished(cells), tests


def _otter_test(check: Check, name: str) -> str:
    """A test in the form that otter took over from OK: a doctest, synchronous, so `lab.run` stands for `await`."""
    code = (
        ">>> import libp2p_lab as lab\n"
        ">>> from libp2p_lab.coursework.forms import regrade\n"
        f'>>> result = lab.run(regrade("{check.id}"))\n'
        ">>> assert result.passed, result.feedback\n"
    )
    case = {"code": code, "hidden": False, "locked": False, "points": check.points}
    suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    test = {"name": name, "points": check.points, "suites": [suite]}
    # JSON's false and true are not Python's.
    text = json.dumps(test, indent=4).replace(": false", ": False").replace(": true", ": True")
    return f"OK_FORMAT = True\n\ntest = {text}\n"


def _write(folder: Path, texts: dict[str, str]) -> list[Path]:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LocalError(f"{folder} is not an empty folder: name a new one")
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]
