"""Hand-ins are run again, each on its own: what hangs, crashes or floods costs one hand-in only."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import nbformat
import pytest

from libp2p_lab.coursework import grading, health, seeds
from libp2p_lab.coursework.catalogue import find
from libp2p_lab.coursework.grading import Grade, HandIn, Terms
from libp2p_lab.coursework.handed_in import NOTES, load
from libp2p_lab.errors import LocalError

SURVIVORS, NODES = find("00.survivors"), find("00.nine_nodes")
RING = [(node, (node + 1) % 9) for node in range(9)]
LINKS = f"links = {[*RING, (0, 4), (1, 5), (2, 6), (3, 7), (8, 4)]}"
BEGIN = "import libp2p_lab as lab"
SOLVED = f'{LINKS}\nawait lab.check("00.nine_nodes", links)'

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # Jupyter's own deprecations are not ours to fix
]


def notebook(path: Path, *cells: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(book, path)
    return path


def grade(path: Path, student: str = "alice", **terms: float) -> Grade:
    given = {"cell_limit": 60.0, "whole_limit": 240.0, **terms}
    asked = Terms((NODES,), "a secret", **given)
    (graded,) = run(grading.grade_all([HandIn(student, (path,))], asked))
    return graded


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_an_answer_is_examined_with_seeds_that_nobody_could_know(tmp_path: Path) -> None:
    answer = (
        "import helper\n"
        'lab.hint("00.nine_nodes")\n'
        'lab.answer("00.q1", "a")\n'
        'await lab.check("00.nine_nodes", helper.links)'
    )
    path = notebook(tmp_path / "alice" / "00_intro.ipynb", BEGIN, answer)
    (path.parent / "helper.py").write_text(LINKS, "utf-8")
    graded = grade(path)
    assert graded.status == "ok"
    (result,) = graded.results
    assert result.passed, result.feedback
    own = seeds.own_seed(NODES.id, "alice")
    assert result.seeds == (*NODES.seeds, own, *seeds.hidden_seeds(NODES.id, "a secret", "alice"))
    assert graded.hints == {NODES.id: 1}
    assert graded.tries == {NODES.id: 1}
    assert list(graded.questions) == ["00.q1"]


def test_a_hang_costs_its_cell_and_what_is_handed_in_before_and_after_counts(
    tmp_path: Path,
) -> None:
    path = notebook(tmp_path / "a.ipynb", BEGIN, "while True: pass", SOLVED)
    graded = grade(path, cell_limit=20.0)
    assert graded.status == "a.ipynb: cell 2 stopped"
    assert grading.total(graded.results) == NODES.points


def test_a_kernel_that_cannot_be_interrupted_is_ended(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    )
    path = notebook(tmp_path / "a.ipynb", BEGIN, SOLVED, stubborn, "1")
    graded = grade(path, cell_limit=20.0)
    assert "cell 3 stopped" in graded.status
    assert "time limit" in graded.status or "cell 4 stopped" in graded.status
    assert grading.total(graded.results) == NODES.points


def test_a_crash_keeps_what_was_handed_in_before(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", BEGIN, SOLVED, "import os; os._exit(1)", "1")
    graded = grade(path)
    assert graded.status == "a.ipynb: kernel died"
    assert grading.total(graded.results) == NODES.points


def test_the_whole_has_a_limit(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", BEGIN, "import time; time.sleep(600)")
    graded = grade(path, whole_limit=25.0, cell_limit=500.0)
    assert graded.status == "a.ipynb: time limit"
    assert grading.total(graded.results) == 0


def test_a_hand_in_is_run_on_a_copy(tmp_path: Path) -> None:
    path = notebook(tmp_path / "alice" / "a.ipynb", "import pathlib\npathlib.Path('new').touch()")
    before = path.read_bytes()
    assert grade(path).status == "ok"
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == ["a.ipynb"]


def test_one_bad_hand_in_leaves_the_others_alone(tmp_path: Path) -> None:
    notebook(tmp_path / "anna.ipynb", BEGIN, "import os; os.abort()")
    notebook(tmp_path / "bert" / "00.ipynb", BEGIN, SOLVED)
    (tmp_path / "carl.ipynb").write_text("this is no notebook", "utf-8")
    (tmp_path / "dora").mkdir()
    (tmp_path / ".hidden").mkdir()
    hand_ins = grading.find_hand_ins(tmp_path)
    terms = Terms((NODES, SURVIVORS), "secret")
    grades = run(grading.grade_all(hand_ins, terms, jobs=2))
    found = {graded.student: (graded.status, grading.total(graded.results)) for graded in grades}
    assert found == {
        "anna": ("anna.ipynb: kernel died", 0),
        "bert": ("ok", 4),
        "carl": ("carl.ipynb: unreadable", 0),
        "dora": ("no notebook", 0),
    }
    book = grading.grade_book(grades, terms.checks)
    rows = list(csv.reader(book.splitlines()))
    assert rows[0][:4] == ["student", "status", "1.01 (of 6)", "1.02 (of 6)"]
    assert rows[2][:5] == ["bert", "ok", "4", "4", "4"]
    assert book == grading.grade_book(grades[::-1], terms.checks)

    grading.write_reports(grades, tmp_path / "reports")
    reports = sorted((tmp_path / "reports").iterdir())
    assert [path.name for path in reports] == ["anna.json", "bert.json", "carl.json", "dora.json"]
    told = json.loads(reports[1].read_text("utf-8"))
    assert told["points"] == 4
    assert told["results"][0]["seconds"] == 0
    seen = {one.check.id: one for one in health.look(["00"], None, tmp_path / "reports")}
    assert (seen[NODES.id].handed_in, seen[NODES.id].solved, seen[NODES.id].tries) == (1, 1, 1)
    assert (seen[SURVIVORS.id].handed_in, seen[SURVIVORS.id].solved) == (0, 0)


def test_a_forged_result_of_a_live_run_stays_within_its_points() -> None:
    check = find("00.trace")
    for told in (
        {"passed": True, "points": 100},
        {"passed": True, "points": "1"},
        {"passed": True, "points": -1},
        {"passed": True, "points": float("nan")},
        {"passed": "yes", "points": 1},
        {"finding": ["no", "dict"]},
        {},
    ):
        assert grading._as_told(check, told).points == 0
    assert grading._as_told(check, {"passed": True, "points": 1.0}).points == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, '{"answers": {"a": "../../x", "b": 3}, "tries": {"a": "x"}}'],
)
def test_strange_notes_are_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTES).write_text(text, "utf-8")
    left = load(tmp_path)
    assert left.answers == {}
    assert left.tries == {}


def test_nothing_to_grade(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no hand-ins"):
        grading.find_hand_ins(tmp_path)
    with pytest.raises(LocalError, match="not a folder"):
        grading.find_hand_ins(tmp_path / "missing")
    with pytest.raises(LocalError, match="no exercises in chapter 77"):
        grading.checks_of(["77"])
    notebook(tmp_path / "eve.ipynb", "1")
    notebook(tmp_path / "eve" / "a.ipynb", "1")
    with pytest.raises(LocalError, match="both"):
        grading.find_hand_ins(tmp_path)


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "course.secret"
    secret = grading.read_secret(path)
    assert len(secret) == 64
    assert path.stat().st_mode & 0o077 == 0
    assert grading.read_secret(path) == secret
    path.write_text("\n", "utf-8")
    with pytest.raises(LocalError, match="empty"):
        grading.read_secret(path)
