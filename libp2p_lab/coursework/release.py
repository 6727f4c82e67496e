"""From the source of a course to what its students get: notebooks without solutions.

A source notebook is MyST text, `curriculum/<chapter>/notebook.md`. In it a solution stands between two marker lines, in
code as comments and in text as HTML comments; what the student gets instead follows `STARTER`, commented out (without
it, code raises NotImplementedError and text is left empty):

    def survivors(adjacency, dead):
        ### BEGIN SOLUTION
        return share_of_pairs(adjacency, dead)
        ### STARTER
        # raise NotImplementedError("your turn")
        ### END SOLUTION

A cell tagged `solution` is left out whole. Building twice gives the same bytes: a cell's id is made from its contents,
so that it changes only where the cell does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from libp2p_lab.coursework.catalogue import CHECKS
from libp2p_lab.curriculum import CHAPTERS, LABS, Chapter, LabNotebook
from libp2p_lab.errors import LocalError

SOURCE_NAME = "notebook.md"
MARKER = re.compile(r"^(?P<indent>\s*)(?:#+|<!--) (?P<word>BEGIN SOLUTION|STARTER|END SOLUTION)\b")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MIN_TELLING = 16  # characters; a shorter line of a solution may well stand elsewhere too

README = """\
# {title}

Open the notebooks in JupyterLab, from `00` on, and run them top to bottom:

    pip install 'libp2p-lab[lab]'
    jupyter lab

Each exercise ends in a cell with `lab.check`: it says what your answer does and where it departs. Nothing is sent
anywhere. To hand in, save the notebooks, with your answers and with the cells that answer the quiz
(`lab.answer("00.q1", "a")`), and give the files to your instructor as they are, under their own names.
"""


class BadSource(LocalError):
    """The markers of a source notebook do not match."""


def find_curriculum() -> Path:
    """The sources beside this package, where it runs from a checkout of the repository.

    Raises: `LocalError` if the package was installed without them.
    """
    folder = Path(__file__).resolve().parents[2] / "curriculum"
    if not folder.is_dir():
        raise LocalError(
            "the installed package holds no sources, so that solutions reach nobody by accident: "
            "work in a checkout of the repository, or name its curriculum folder with --source"
        )
    return folder


def written_chapters(curriculum: Path) -> list[Chapter]:
    """The chapters that have a source notebook."""
    return [c for c in CHAPTERS if (curriculum / c.folder / SOURCE_NAME).is_file()]


def written_labs(curriculum: Path) -> list[LabNotebook]:
    """The notebooks beside the chapters that have a source."""
    return [lab for lab in LABS if (curriculum / lab.folder / SOURCE_NAME).is_file()]


def chosen_chapters(curriculum: Path, numbers: Iterable[str]) -> list[Chapter | LabNotebook]:
    """The chapters with these numbers ("00", "1") and the labs with these codes ("net"); all that are written if
    there are none.

    Raises: `LocalError` for one that does not exist, or is not written yet.
    """
    written: list[Chapter | LabNotebook] = [*written_chapters(curriculum)]
    written += written_labs(curriculum)
    wanted = [number.strip().zfill(2) for number in numbers]
    known = {chapter.code: chapter for chapter in written}
    if missing := [number for number in wanted if number not in known]:
        raise LocalError(
            f"no source for chapter {', '.join(missing)}; there are {', '.join(known)}"
        )
    return [known[number] for number in dict.fromkeys(wanted)] or written


# -- cells ----------------------------------------------------------------------------------------------------------


def split_solutions(source: str, *, is_code: bool) -> tuple[str, list[str]]:
    """The text of a cell as a student gets it, and the solutions that were taken out.

    Raises: `BadSource` if the markers do not match.
    """
    kept: list[str] = []
    solutions: list[str] = []
    starter: list[str] = []
    inside = ""  # the last marker seen: "", "BEGIN SOLUTION" or "STARTER"
    for line in source.split("\n"):
        marker = MARKER.match(line)
        if marker is None:
            (solutions if inside == "BEGIN SOLUTION" else starter if inside else kept).append(line)
            continue
        word, indent = marker["word"], marker["indent"]
        expected = {"BEGIN SOLUTION": ("",), "STARTER": ("BEGIN SOLUTION",)}
        if inside not in expected.get(word, ("BEGIN SOLUTION", "STARTER")):
            raise BadSource(f"{word!r} after {inside or 'nothing'!r} in:\n{source}")
        if word == "END SOLUTION":
            kept += (
                _uncommented(starter, indent, is_code)
                if inside == "STARTER"
                else ([f"{indent}raise NotImplementedError  # your turn"] if is_code else [])
            )
            starter = []
        inside = "" if word == "END SOLUTION" else word
    if inside:
        raise BadSource(f"no END SOLUTION in:\n{source}")
    return "\n".join(kept).strip("\n"), solutions


def _uncommented(lines: list[str], indent: str, is_code: bool) -> list[str]:
    """The starter's lines without the `# ` before them. In text they stand as they are."""
    if not is_code:
        return lines
    return [(indent + re.sub(r"^\s*# ?", "", line)).rstrip() for line in lines]


def read_source(curriculum: Path, chapter: Chapter | LabNotebook) -> Any:
    """The source notebook of one chapter or lab, solutions included: a `NotebookNode`."""
    try:
        import jupytext
    except ImportError:
        raise LocalError(
            "this needs the package jupytext: pip install 'libp2p-lab[teach]'"
        ) from None
    text = (curriculum / chapter.folder / SOURCE_NAME).read_text("utf-8")
    return jupytext.reads(text, fmt="md:myst")


def student_cells(notebook: Any) -> list[Any]:
    """The cells without solutions."""
    import nbformat

    cells = []
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", ()):
            continue
        source, _ = split_solutions(cell.source, is_code=cell.cell_type == "code")
        if source.strip():
            cells.append(nbformat.from_dict({**cell, "source": source}))
    return cells


def solution_lines(notebook: Any) -> list[str]:
    """The lines of the solutions in a source notebook that are long enough to tell something."""
    lines: list[str] = []
    for cell in notebook.cells:
        _, solutions = split_solutions(cell.source, is_code=cell.cell_type == "code")
        if "solution" in cell.metadata.get("tags", ()):
            solutions = cell.source.split("\n")
        lines += [line.strip() for line in solutions if len(line.strip()) >= MIN_TELLING]
    return lines


def finished(cells: Sequence[Any], metadata: dict[str, Any] | None = None) -> str:
    """The .ipynb text of these cells: no outputs, ids from the contents."""
    import nbformat

    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook = nbformat.from_dict(
        {"cells": cells, "metadata": metadata or METADATA, "nbformat": 4, "nbformat_minor": 5}
    )
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook, version=nbformat.NO_CONVERT)).rstrip("\n") + "\n"


def build(curriculum: Path, chapter: Chapter | LabNotebook, *, solved: bool = False) -> str:
    """The text of the chapter's notebook: the student's, or with solutions (markers kept)."""
    notebook = read_source(curriculum, chapter)
    return finished(notebook.cells if solved else student_cells(notebook))


# -- the release ----------------------------------------------------------------------------------------------------


def release(
    folder: Path, curriculum: Path, chapters: Sequence[Chapter | LabNotebook]
) -> list[Path]:
    """Write what students get: notebooks, a page that says how to begin, and a list of what is asked.

    Args:
        folder: made if need be; it must be empty, so that nothing old is given out with it.
        curriculum: the sources.
        chapters: which.

    Returns: the files written.

    Raises: `LocalError` if the folder holds something, or a line of a solution would be given away.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LocalError(f"{folder} is not an empty folder: name a new one")
    texts = {chapter.notebook: build(curriculum, chapter) for chapter in chapters}
    for chapter in chapters:
        if told := leaks(texts[chapter.notebook], solution_lines(read_source(curriculum, chapter))):
            raise LocalError(
                f"{chapter.notebook} would give a line of a solution away: {told[0]!r}"
            )
    texts["README.md"] = README.format(title="libp2p, layer by layer")
    texts["exercises.json"] = json.dumps(exercises(chapters), indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]


def leaks(released: str, telling: Iterable[str]) -> list[str]:
    """The lines of solutions that stand in the text of a released notebook."""
    return [line for line in telling if json.dumps(line, ensure_ascii=False)[1:-1] in released]


def exercises(chapters: Iterable[Chapter | LabNotebook]) -> list[dict[str, Any]]:
    """What is asked in these chapters, as plain JSON."""
    codes = {chapter.code for chapter in chapters}
    return [
        {
            "check": check.id,
            "exercise": check.exercise,
            "title": check.title,
            "level": check.level,
            "points": check.points,
            "objectives": list(check.objectives),
        }
        for check in CHECKS
        if check.chapter in codes
    ]
