"""Build notebooks/*.ipynb from the MyST text in curriculum/, without outputs and without solutions.

    python -m tools.build_notebooks              write what differs
    python -m tools.build_notebooks --check      say what differs, exit 1
    python -m tools.build_notebooks --solved DIR    the source notebooks, solutions included

The committed notebooks are what a student gets; libp2p_lab/coursework/release.py says how a solution is marked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from libp2p_lab.coursework import release
from libp2p_lab.coursework.release import METADATA
from libp2p_lab.curriculum import Chapter, LabNotebook

REPOSITORY = Path(__file__).resolve().parent.parent
CURRICULUM = REPOSITORY / "curriculum"
NOTEBOOKS = REPOSITORY / "notebooks"

__all__ = ["CURRICULUM", "METADATA", "NOTEBOOKS", "build", "written_chapters", "written_sources"]


def written_chapters() -> list[Chapter]:
    """The chapters that have a source notebook."""
    return release.written_chapters(CURRICULUM)


def written_sources() -> list[Chapter | LabNotebook]:
    """The chapters and the labs beside them that have a source notebook."""
    return [*written_chapters(), *release.written_labs(CURRICULUM)]


def build(chapter: Chapter | LabNotebook, *, solved: bool = False) -> str:
    """The text of the chapter's notebook: the student's, or with solutions (markers kept)."""
    return release.build(CURRICULUM, chapter, solved=solved)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 on differences")
    parser.add_argument("--solved", type=Path, metavar="DIR", help="write with solutions to DIR")
    arguments = parser.parse_args()
    output: Path = arguments.solved or NOTEBOOKS
    wanted = {c.notebook: build(c, solved=bool(arguments.solved)) for c in written_sources()}
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
