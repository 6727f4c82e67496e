"""The program `libp2p-lab`: what can be done without writing Python.

libp2p-lab tour           two peers connect and talk; each layer shows what it sent
libp2p-lab crawl          a whole DHT, peer by peer: who is there, what they run

For who gives a course:

libp2p-lab release        the students' notebooks, without solutions
libp2p-lab grade          a folder of hand-ins → a grade book, by learning objective
libp2p-lab check-health   the exercises themselves: checks, known wrong answers, hints
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import libp2p_lab
from libp2p_lab import tour
from libp2p_lab.coursework import forms, grading, health
from libp2p_lab.coursework import release as releasing
from libp2p_lab.crawling import command as crawling
from libp2p_lab.errors import LabError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; `arguments` are those of the command line unless given."""
    given = _parser().parse_args(arguments)
    try:
        match given.command:
            case "tour":
                tour.main()
            case "crawl":
                crawling.run(given)
            case "release":
                release(given)
            case "grade":
                grade(given)
            case "check-health":
                check_health(given)
    except (LabError, OSError) as problem:
        sys.exit(f"libp2p-lab {given.command}: {problem}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="libp2p-lab", description="libp2p, layer by layer")
    parser.add_argument("--version", action="version", version=libp2p_lab.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("tour", help="two peers connect and talk; each layer shows what it sent")
    crawling.add_arguments(
        commands.add_parser("crawl", help="visit a whole DHT: who is there, what they run")
    )
    chapters = argparse.ArgumentParser(add_help=False)
    chapters.add_argument(
        "--chapters",
        default="",
        metavar="00,01",
        help="numbers of chapters, with commas between; all that are written if left out",
    )

    command = commands.add_parser(
        "release", parents=[chapters], help="write the students' notebooks, without solutions"
    )
    command.add_argument("folder", type=Path, help="where to; a new or empty folder")
    command.add_argument(
        "--source", type=Path, help="the folder curriculum/; left out: this checkout's"
    )
    command.add_argument(
        "--form",
        choices=["plain", "nbgrader", "otter"],
        default="plain",
        help="as they are, or for one of these graders (see the README that is written with them)",
    )
    command.add_argument(
        "--secret-file",
        type=Path,
        help="the course's secret; only the form for nbgrader needs it",
    )

    command = commands.add_parser(
        "grade", parents=[chapters], help="run a folder of hand-ins again and write a grade book"
    )
    command.add_argument("folder", type=Path, help="a folder or a notebook for each student")
    command.add_argument("--out", type=Path, required=True, help="the grade book, a CSV file")
    command.add_argument(
        "--reports", type=Path, help="a folder for JSON reports; left out: beside the grade book"
    )
    command.add_argument(
        "--secret-file",
        type=Path,
        help="what hidden seeds are made from; made if it is not there, so keep it. "
        "Left out: course.secret beside the grade book",
    )
    command.add_argument("--jobs", type=int, default=1, help="hand-ins at a time")
    command.add_argument(
        "--cell-limit", type=float, default=grading.CELL_LIMIT, help="seconds for one cell"
    )
    command.add_argument(
        "--whole-limit", type=float, default=grading.WHOLE_LIMIT, help="seconds for one notebook"
    )
    command.add_argument(
        "--patience",
        type=float,
        default=grading.PATIENCE,
        help="how many times longer than in a notebook an answer may take",
    )

    command = commands.add_parser(
        "check-health", parents=[chapters], help="list checks, known wrong answers, hints"
    )
    command.add_argument("--reports", type=Path, help="JSON reports that `grade` wrote")
    return parser


def _numbers(given: argparse.Namespace) -> list[str]:
    return [number for number in given.chapters.split(",") if number.strip()]


def release(given: argparse.Namespace) -> None:
    """`libp2p-lab release`."""
    curriculum = given.source or releasing.find_curriculum()
    chapters = releasing.chosen_chapters(curriculum, _numbers(given))
    if given.form == "plain":
        written = releasing.release(given.folder, curriculum, chapters)
    elif given.form == "nbgrader":
        if given.secret_file is None:
            raise libp2p_lab.LocalError("the form for nbgrader needs --secret-file")
        secret = grading.read_secret(given.secret_file)
        written = forms.write_nbgrader(given.folder, curriculum, chapters, secret)
    else:
        written = forms.write_otter(given.folder, curriculum, chapters)
    for path in written:
        print(path)


def grade(given: argparse.Namespace) -> None:
    """`libp2p-lab grade`."""
    checks = grading.checks_of(_numbers(given))
    hand_ins = grading.find_hand_ins(given.folder)
    out: Path = given.out
    secret_file = given.secret_file or out.parent / "course.secret"
    terms = grading.Terms(
        checks,
        grading.read_secret(secret_file),
        given.cell_limit,
        given.whole_limit,
        given.patience,
    )

    def told(graded: grading.Grade) -> None:
        points = f"{grading.total(graded.results):g} of {sum(c.points for c in checks)} points"
        print(f"{graded.student}: {points}, {graded.status}", file=sys.stderr, flush=True)

    grades = asyncio.run(grading.grade_all(hand_ins, terms, jobs=given.jobs, told=told))
    reports = given.reports or out.parent / f"{out.stem}-reports"
    grading.write_reports(grades, reports)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(grading.grade_book(grades, checks), "utf-8")
    print(f"{len(grades)} hand-ins: {out}, reports in {reports}")


def check_health(given: argparse.Namespace) -> None:
    """`libp2p-lab check-health`."""
    repository = Path(__file__).resolve().parent.parent
    found = health.look(_numbers(given), repository, given.reports)
    print(health.as_text(found))


if __name__ == "__main__":
    main()
