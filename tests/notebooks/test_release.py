"""What a course gives out and takes back: no solution leaves, the sources earn everything, the release earns nothing."""

from __future__ import annotations

import csv
import doctest
import json
import sys
from pathlib import Path

import nbformat
import pytest

import libp2p_lab as lab
from libp2p_lab import cli
from libp2p_lab.coursework import forms, grading, release
from libp2p_lab.coursework.catalogue import CHECKS, find
from libp2p_lab.coursework.session import WORKBOOK
from libp2p_lab.curriculum import CHAPTERS, Chapter, LabNotebook
from tools.build_notebooks import CURRICULUM, build, written_sources

WRITTEN = written_sources()
each_chapter = pytest.mark.parametrize("chapter", WRITTEN, ids=lambda chapter: chapter.folder)
NINE_NODES = [*((n, (n + 1) % 9) for n in range(9)), (0, 4), (1, 5), (2, 6), (3, 7), (8, 4)]

pytestmark = [
    pytest.mark.timeout(2400),
    pytest.mark.filterwarnings("default"),  # Jupyter's own deprecations are not ours to fix
]


def main(*arguments: str | Path) -> None:
    cli.main([str(word) for word in arguments])


def code(path: Path) -> list[nbformat.NotebookNode]:
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_the_release_holds_no_solution(tmp_path: Path) -> None:
    main("release", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {c.notebook for c in WRITTEN} | {"README.md", "exercises.json"}
    whole = "\n".join(path.read_text("utf-8") for path in (tmp_path / "out").iterdir())
    assert "SOLUTION" not in whole
    for chapter in WRITTEN:
        telling = release.solution_lines(release.read_source(CURRICULUM, chapter))
        assert release.leaks(whole, telling) == []
        for file in (CURRICULUM / chapter.folder / "solutions").glob("*.py"):
            own = [line.strip() for line in file.read_text("utf-8").split("\n")]
            public = (CURRICULUM / chapter.folder / "notebook.md").read_text("utf-8")
            kept = release.split_solutions(public, is_code=True)[0]
            long = [line for line in own if len(line) >= release.MIN_TELLING and line not in kept]
            assert release.leaks(whole, long) == []


def test_chosen_chapters_and_what_is_asked(tmp_path: Path) -> None:
    main("release", tmp_path / "out", "--chapters", "00")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"00_intro.ipynb", "README.md", "exercises.json"}
    asked = json.loads((tmp_path / "out" / "exercises.json").read_text("utf-8"))
    assert [item["check"] for item in asked] == [c.id for c in CHECKS if c.chapter == "00"]
    assert (tmp_path / "out" / "00_intro.ipynb").read_text("utf-8") == build(CHAPTERS[0])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("release", "{here}", "--chapters", "00"), "not an empty folder"),
        (("release", "{here}/new", "--chapters", "77"), "no source for chapter 77"),
        (("release", "{here}/new", "--form", "nbgrader"), "--secret-file"),
        (("grade", "{here}/none", "--out", "{here}/g.csv"), "not a folder"),
        (("check-health", "--reports", "{here}/none"), "no reports"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(SystemExit) as end:
        main(*(word.format(here=tmp_path) for word in arguments))
    assert complaint in str(end.value.code)


def test_a_leak_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / CHAPTERS[0].folder
    folder.mkdir()
    secret = "answer = 'the secret of the exercise'"
    text = f"```{{code-cell}}\n### BEGIN SOLUTION\n{secret}\n### END SOLUTION\n```\n"
    (folder / "notebook.md").write_text(f"{text}\nA hint: {secret}\n", "utf-8")
    with pytest.raises(lab.LocalError, match="would give a line of a solution away"):
        release.release(tmp_path / "out", tmp_path, [CHAPTERS[0]])
    assert not (tmp_path / "out").exists()


@each_chapter
def test_sources_earn_full_marks_and_the_release_earns_none(
    chapter: Chapter | LabNotebook, tmp_path: Path
) -> None:
    asked = [check for check in CHECKS if check.chapter == chapter.code]
    if not asked:
        assert "lab.check(" not in build(chapter)
        return
    for student, solved in (("source", True), ("release", False)):
        folder = tmp_path / "hand-ins" / student
        folder.mkdir(parents=True)
        (folder / chapter.notebook).write_text(build(chapter, solved=solved), "utf-8")
    out = tmp_path / "grades.csv"
    limits = ("--cell-limit", "300", "--whole-limit", "1000", "--jobs", "2")
    main("grade", tmp_path / "hand-ins", "--out", out, "--chapters", chapter.code, *limits)
    head, released, source = csv.reader(out.read_text("utf-8").splitlines())
    whole = sum(check.points for check in asked)
    at = head.index(f"points (of {whole})")
    report = (tmp_path / "grades-reports" / "source.json").read_text("utf-8")
    assert source[:2] == ["source", "ok"], report
    assert float(source[at]) == whole, report
    assert [float(value) for value in released[2 : at + 1]] == [0.0] * (at - 1)
    assert (tmp_path / "course.secret").is_file()


# -- forms for other graders ------------------------------------------------------------------------------------------


def test_the_form_for_nbgrader(tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    out = tmp_path / "out"
    main("release", out, "--form", "nbgrader", "--secret-file", secret_file, "--chapters", "00")
    cells = code(out / "source" / "00-intro" / "00_intro.ipynb")
    marks = [cell.metadata["nbgrader"] for cell in cells if "nbgrader" in cell.metadata]
    assert len({mark["grade_id"] for mark in marks}) == len(marks)
    asked = [check for check in CHECKS if check.chapter == "00"]
    assert [mark["points"] for mark in marks if mark["grade"]] == [c.points for c in asked]
    for before, cell in zip(cells, cells[1:], strict=False):
        mark = cell.metadata.get("nbgrader")
        if mark and mark["grade"]:
            assert mark["locked"]
            assert before.metadata["nbgrader"]["solution"]
            shown, hidden = cell.source.split("### BEGIN HIDDEN TESTS")
            secret = grading.read_secret(secret_file)
            assert secret not in shown
            assert secret in hidden.split("### END HIDDEN TESTS")[0]


async def run_cell(source: str) -> None:
    """Run a cell with top-level await, as a kernel does."""
    compiled = compile(source, "cell", "exec", flags=0x2000)  # top-level await allowed
    running = eval(compiled, {"__name__": "__main__"})
    if running is not None:
        await running


async def test_a_test_for_nbgrader_tells_right_from_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WORKBOOK, "handed_in", {})
    test = forms._nbgrader_test(find("00.nine_nodes"), "a secret")
    with pytest.raises(lab.LocalError, match="nothing was handed in"):
        await run_cell(test)
    WORKBOOK.handed_in["00.nine_nodes"] = NINE_NODES
    await run_cell(test)
    WORKBOOK.handed_in["00.nine_nodes"] = NINE_NODES[:-1]
    with pytest.raises(AssertionError, match="Not yet"):
        await run_cell(test)


def test_the_form_for_otter_tells_right_from_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WORKBOOK, "handed_in", {})
    main("release", tmp_path / "out", "--form", "otter", "--chapters", "00")
    folder = tmp_path / "out" / "00-intro"
    sources = [cell.source for cell in code(folder / "00_intro.ipynb")]
    assert sources[0].startswith("import otter")
    names: dict[str, dict[str, object]] = {}
    for path in (folder / "tests").glob("*.py"):
        found: dict[str, dict[str, object]] = {}
        exec(path.read_text("utf-8"), found)
        assert f'grader.check("{path.stem}")' in sources
        assert found["test"]["name"] == path.stem
        names[path.stem] = found["test"]
    assert len(names) == len([check for check in CHECKS if check.chapter == "00"])

    def failures(name: str) -> int:
        text = names[name]["suites"][0]["cases"][0]["code"]  # type: ignore[index]
        test = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
        return doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed

    assert failures("q00_nine_nodes")
    WORKBOOK.handed_in["00.nine_nodes"] = NINE_NODES
    assert failures("q00_nine_nodes") == 0
    WORKBOOK.handed_in["00.nine_nodes"] = NINE_NODES[:-1]
    assert failures("q00_nine_nodes")


# -- the checks themselves --------------------------------------------------------------------------------------------


def test_check_health_lists_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    path = list(sys.path)
    main("check-health")
    assert sys.path == path, "the checkout is on the path already"
    told = capsys.readouterr().out
    for check in CHECKS:
        assert check.id in told
    assert "Nothing to worry about." in told
