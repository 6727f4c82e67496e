"""The committed notebooks are what curriculum/ says, without outputs and without solutions."""

from __future__ import annotations

import json

import jupytext
import pytest

from libp2p_lab.coursework.release import (
    BadSource,
    finished,
    leaks,
    read_source,
    solution_lines,
    split_solutions,
    student_cells,
)
from libp2p_lab.curriculum import CHAPTERS, LABS, Chapter, LabNotebook
from tests.support import REPOSITORY
from tools.build_notebooks import CURRICULUM, NOTEBOOKS, build, written_sources

WRITTEN = written_sources()
each_notebook = pytest.mark.parametrize("chapter", WRITTEN, ids=lambda chapter: chapter.folder)

SOLVED = """\
def survivors(adjacency, dead):
    ### BEGIN SOLUTION
    return 0.75
    ### STARTER
    # here = "yours"
    #
    # raise NotImplementedError(here)
    ### END SOLUTION
"""


def test_there_are_notebooks() -> None:
    assert WRITTEN, "no curriculum/*/notebook.md"
    assert {path.name for path in NOTEBOOKS.glob("*.ipynb")} == {c.notebook for c in WRITTEN}


def test_each_folder_of_the_curriculum_is_a_chapter_or_a_lab() -> None:
    folders = {path.name for path in (REPOSITORY / "curriculum").iterdir() if path.is_dir()}
    assert folders <= {one.folder for one in (*CHAPTERS, *LABS)}


@each_notebook
def test_the_committed_notebook_is_current(chapter: Chapter | LabNotebook) -> None:
    committed = (NOTEBOOKS / chapter.notebook).read_text("utf-8")
    assert committed == build(chapter), "run `make notebooks`"
    assert build(chapter) == build(chapter)


@each_notebook
def test_the_committed_notebook_is_clean(chapter: Chapter | LabNotebook) -> None:
    notebook = json.loads((NOTEBOOKS / chapter.notebook).read_text("utf-8"))
    assert "widgets" not in notebook["metadata"], "saved widget state"
    for cell in notebook["cells"]:
        assert not cell.get("outputs"), "saved outputs"
        assert cell.get("execution_count") is None


@each_notebook
def test_no_solution_reaches_the_student(chapter: Chapter | LabNotebook) -> None:
    released = (NOTEBOOKS / chapter.notebook).read_text("utf-8")
    assert "SOLUTION" not in released
    telling = solution_lines(read_source(CURRICULUM, chapter))
    assert telling or not [line for line in released.splitlines() if "lab.check(" in line]
    assert leaks(released, telling) == []


def test_a_solution_is_replaced_by_its_starter() -> None:
    released, solutions = split_solutions(SOLVED, is_code=True)
    assert released.split("\n") == [
        "def survivors(adjacency, dead):",
        '    here = "yours"',
        "",
        "    raise NotImplementedError(here)",
    ]
    assert solutions == ["    return 0.75"]


def test_without_a_starter_code_says_that_it_is_missing() -> None:
    source = "def f():\n    # BEGIN SOLUTION\n    return 1\n    # END SOLUTION"
    released, _ = split_solutions(source, is_code=True)
    assert released == "def f():\n    raise NotImplementedError  # your turn"


def test_text_may_hold_solutions_too() -> None:
    source = "Why?\n<!-- BEGIN SOLUTION -->\nBecause.\n<!-- END SOLUTION -->"
    assert split_solutions(source, is_code=False) == ("Why?", ["Because."])


@pytest.mark.parametrize(
    "source",
    [
        "# BEGIN SOLUTION\n1",
        "# END SOLUTION",
        "# STARTER\n# END SOLUTION",
        "# BEGIN SOLUTION\n# BEGIN SOLUTION\n# END SOLUTION",
        "# BEGIN SOLUTION\n# STARTER\n# STARTER\n# END SOLUTION",
    ],
)
def test_markers_must_match(source: str) -> None:
    with pytest.raises(BadSource):
        split_solutions(source, is_code=True)


def test_ids_stay_where_the_cell_stays() -> None:
    text = "# One\n\n```{code-cell}\na = 1\n```\n\n```{code-cell}\na = 1\n```\n"
    longer = text + "\nmore\n"
    cells, more = (
        json.loads(finished(student_cells(jupytext.reads(source, fmt="md:myst"))))["cells"]
        for source in (text, longer)
    )
    assert [cell["id"] for cell in cells] == [cell["id"] for cell in more[:3]]
    assert len({cell["id"] for cell in more}) == 4


def test_a_cell_tagged_solution_is_left_out() -> None:
    text = (
        "```{code-cell}\n:tags: [solution]\n\nsecret = 1\n```\n\n```{code-cell}\nshown = 2\n```\n"
    )
    cells = student_cells(jupytext.reads(text, fmt="md:myst"))
    assert [cell.source for cell in cells] == ["shown = 2"]
