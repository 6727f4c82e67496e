"""Build notebooks/*.ipynb from the MyST text in curriculum/, without outputs and without solutions.

    python -m tools.build_notebooks              write what differs
    python -m tools.build_notebooks --check      say what differs, exit 1
    python -m tools.build_notebooks --solved DIR    the source notebooks, solutions included

The committed notebooks are what a student gets. In the source a solution stands between two marker
lines, in code as comments and in text as HTML comments; what the student gets instead follows
`STARTER`, commented out (without it, code raises NotImplementedError and text is left empty):

    def survivors(adjacency, dead):
        ### BEGIN SOLUTION
        return share_of_pairs(adjacency, dead)
        ### STARTER
        # raise NotImplementedError("your turn")
        ### END SOLUTION

A cell tagged `solution` is left out whole. Building twice gives the same bytes: a cell's id is made
from its contents, so that it changes only where the cell does.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from libp2p_lab.curriculum import CHAPTERS, Chapter

REPOSITORY = Path(__file__).resolve().parent.parent
CURRICULUM = REPOSITORY / "curriculum"
NOTEBOOKS = REPOSITORY / "notebooks"
SOURCE_NAME = "notebook.md"
MARKER = re.compile(r"^(?P<indent>\s*)(?:#+|<!--) (?P<word>BEGIN SOLUTION|STARTER|END SOLUTION)\b")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class BadSource(Exception):
    """The markers of a source notebook do not match."""


def split_solutions(source: str, *, is_code: bool) -> tuple[str, list[str]]:
    """The text of a cell as a student gets it, and the solutions that were taken out."""
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
                uncommented(starter, indent, is_code)
                if inside == "STARTER"
                else ([f"{indent}raise NotImplementedError  # your turn"] if is_code else [])
            )
            starter = []
        inside = "" if word == "END SOLUTION" else word
    if inside:
        raise BadSource(f"no END SOLUTION in:\n{source}")
    return "\n".join(kept).strip("\n"), solutions


def uncommented(lines: list[str], indent: str, is_code: bool) -> list[str]:
    """The starter's lines without the `# ` before them. In text they stand as they are."""
    if not is_code:
        return lines
    return [(indent + re.sub(r"^\s*# ?", "", line)).rstrip() for line in lines]


def read_source(chapter: Chapter) -> NotebookNode:
    """The source notebook of one chapter, solutions included."""
    text = (CURRICULUM / chapter.folder / SOURCE_NAME).read_text("utf-8")
    return jupytext.reads(text, fmt="md:myst")


def student_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells without solutions."""
    cells = []
    for cell in notebook.cells:
        if "solution" in cell.metadata.get("tags", ()):
            continue
        source, _ = split_solutions(cell.source, is_code=cell.cell_type == "code")
        if source.strip():
            cells.append(nbformat.from_dict({**cell, "source": source}))
    return cells


def finished(cells: list[NotebookNode]) -> str:
    """The .ipynb text of these cells: no outputs, ids from the contents."""
    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook = nbformat.from_dict(
        {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    )
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def written_chapters() -> list[Chapter]:
    """The chapters that have a source notebook."""
    return [c for c in CHAPTERS if (CURRICULUM / c.folder / SOURCE_NAME).is_file()]


def build(chapter: Chapter, *, solved: bool = False) -> str:
    """The text of the chapter's notebook: the student's, or with solutions (markers kept)."""
    notebook = read_source(chapter)
    return finished(notebook.cells if solved else student_cells(notebook))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 on differences")
    parser.add_argument("--solved", type=Path, metavar="DIR", help="write with solutions to DIR")
    arguments = parser.parse_args()
    output: Path = arguments.solved or NOTEBOOKS
    wanted = {c.notebook: build(c, solved=bool(arguments.solved)) for c in written_chapters()}
    present = {path.name: path.read_text("utf-8") for path in output.glob("*.ipynb")}
    stale = sorted(n for n in wanted.keys() | present.keys() if wanted.get(n) != present.get(n))
    if arguments.check:
        if stale:
            sys.exit(f"not what curriculum/ says, run `make notebooks`: {', '.join(stale)}")
        return
    output.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in wanted:
            (output / name).write_text(wanted[name], "utf-8")
            print(f"wrote {name}")
        elif not arguments.solved:
            (output / name).unlink()
            print(f"removed {name}: no source in curriculum/")


if __name__ == "__main__":
    main()
