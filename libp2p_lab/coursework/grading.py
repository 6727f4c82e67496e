"""A folder of hand-ins in, a grade book out.

    hand-ins/alice/00_intro.ipynb   alice's notebooks (and modules of her own beside them)
    hand-ins/bob.ipynb              one notebook is enough

Each notebook is run again in a kernel of its own, in a copy of its folder (`rerun.py`). The answers that it handed in
then go, as bytes, to the same workers that check them in a notebook, with seeds that the student could not know.
Students' own code runs in those two kinds of processes and never in this one.

The same hand-ins, secret and version of the lab give the same grade book, byte for byte, as long as no answer is so
close to its time limit that the machine decides; `patience` stretches the limits.

What this does not do, honestly: it protects from accidents, not from malice. A hand-in runs as the user who grades, so
grade in a container or as a user of its own. What a student is asked to *read off a live run* (level 1) is compared
with the run in the hand-in's own kernel, and counts as that kernel tells it.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from libp2p_lab.coursework import misuse, process, seeds
from libp2p_lab.coursework.catalogue import CHECKS, QUESTIONS
from libp2p_lab.coursework.checks import Check, CheckResult, Finding
from libp2p_lab.coursework.handed_in import HandedIn, load
from libp2p_lab.coursework.questions import LETTERS
from libp2p_lab.coursework.rerun import ENDED, START_LIMIT
from libp2p_lab.errors import LabError, LocalError

CELL_LIMIT = 120.0  # seconds for one cell of a hand-in
WHOLE_LIMIT = 900.0  # seconds for one notebook
PATIENCE = 3.0  # how much longer than in a notebook an answer may take: graders' machines are busy
MAX_NOTEBOOK = 32 << 20  # bytes
NOT_HANDED_IN = "not-handed-in"


@dataclass(frozen=True, slots=True)
class HandIn:
    """What one student handed in."""

    student: str
    notebooks: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Grade:
    """What one hand-in earned.

    Attributes:
        student: who.
        status: "ok", or what went wrong with which notebook.
        results: one for each check that was asked, in the catalogue's order.
        questions: right or wrong, of those that were answered.
        tries, hints: by check id.
    """

    student: str
    status: str
    results: tuple[CheckResult, ...]
    questions: dict[str, bool] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, the same on every run: how long things took is left out."""
        return {
            "student": self.student,
            "status": self.status,
            "points": total(self.results),
            "of": sum(result.max_points for result in self.results),
            "results": [replace(result, seconds=0.0).to_dict() for result in self.results],
            "questions": self.questions,
            "tries": self.tries,
            "hints": self.hints,
        }


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a course is graded.

    Attributes:
        checks: what was asked.
        secret: what the hidden seeds are made from; "" for none.
        cell_limit, whole_limit: seconds for one cell, and for one notebook.
        patience: the checks' own time limits are multiplied by this.
    """

    checks: tuple[Check, ...]
    secret: str = ""
    cell_limit: float = CELL_LIMIT
    whole_limit: float = WHOLE_LIMIT
    patience: float = PATIENCE


def checks_of(chapters: Iterable[str]) -> tuple[Check, ...]:
    """The checks of these chapters ("00", …); of all if there are none.

    Raises: `LocalError` for a chapter without checks.
    """
    wanted = {chapter.strip().zfill(2) for chapter in chapters}
    if missing := wanted - {check.chapter for check in CHECKS}:
        raise LocalError(f"no exercises in chapter {', '.join(sorted(missing))}")
    return tuple(check for check in CHECKS if not wanted or check.chapter in wanted)


def find_hand_ins(folder: Path) -> list[HandIn]:
    """The hand-ins of a folder, in the order of their names.

    Raises: `LocalError` if there are none, or a student has handed in twice.
    """
    if not folder.is_dir():
        raise LocalError(f"{folder} is not a folder")
    found: dict[str, HandIn] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            books = sorted(p for p in path.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
        else:
            books = [path] if path.suffix == ".ipynb" else []
        student = path.name.removesuffix(".ipynb")
        if student in found and (books or path.is_dir()):
            raise LocalError(f"{student} has handed in both a folder and a notebook")
        if books or path.is_dir():
            found[student] = HandIn(student, tuple(books))
    if not found:
        raise LocalError(f"no hand-ins in {folder}: a folder or a notebook for each student")
    return list(found.values())


def read_secret(path: Path) -> str:
    """The course's secret; made, readable for its owner only, if there is no such file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    secret = path.read_text("utf-8").strip()
    if not secret:
        raise LocalError(f"{path} is empty: it should hold the course's secret")
    return secret


# -- one hand-in ------------------------------------------------------------------------------------------------------


async def grade(hand_in: HandIn, terms: Terms) -> Grade:
    """Run a student's notebooks again, and examine what they hand in."""
    troubles: list[str] = []
    results: dict[str, CheckResult] = {}
    chosen: dict[str, str] = {}
    tries: dict[str, int] = {}
    hints: dict[str, int] = {}
    if not hand_in.notebooks:
        troubles.append("no notebook")
    for notebook in hand_in.notebooks:
        with tempfile.TemporaryDirectory(prefix="grading-") as scratch:
            copy = _copied(notebook, Path(scratch))
            if copy is None:
                troubles.append(f"{notebook.name}: larger than {MAX_NOTEBOOK >> 20} MiB")
                continue
            left, trouble = await _run(copy, hand_in.student, Path(scratch), terms)
            if trouble:
                troubles.append(f"{notebook.name}: {trouble}")
            for check in terms.checks:
                if check.id in left.answers or check.id in left.results:
                    result = await _examined(check, left, hand_in.student, copy.parent, terms)
                    best = results.get(check.id)
                    if best is None or result.points > best.points:
                        results[check.id] = result
            chosen = {**left.chosen, **chosen}
            tries.update(left.tries)
            hints.update(left.hints)
    asked = {check.id for check in terms.checks}
    return Grade(
        student=hand_in.student,
        status="; ".join(troubles) or "ok",
        results=tuple(results.get(check.id) or _missing(check) for check in terms.checks),
        questions=_judged(chosen, {check.chapter for check in terms.checks}),
        tries={name: count for name, count in sorted(tries.items()) if name in asked},
        hints={name: count for name, count in sorted(hints.items()) if name in asked},
    )


def _copied(notebook: Path, scratch: Path) -> Path | None:
    """A copy of the notebook, with the student's own modules beside it; None if it is too large."""
    if notebook.stat().st_size > MAX_NOTEBOOK:
        return None
    work = scratch / "work"
    work.mkdir()
    for module in notebook.parent.glob("*.py"):
        if module.is_file() and module.stat().st_size <= MAX_NOTEBOOK:
            shutil.copyfile(module, work / module.name)
    return Path(shutil.copyfile(notebook, work / notebook.name))


async def _run(notebook: Path, student: str, scratch: Path, terms: Terms) -> tuple[HandedIn, str]:
    """What a run of the notebook leaves, and what went wrong ("" for nothing)."""
    out = scratch / "out"
    out.mkdir()
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(scratch / name.lower()) for name in homes}
    limits = [str(terms.cell_limit), str(terms.whole_limit)]
    command = [sys.executable, "-m", "libp2p_lab.coursework.rerun", str(notebook), student]
    running = subprocess.Popen(  # noqa: ASYNC220 (waiting is done in a thread)
        [*command, str(out), *limits],
        cwd=scratch,
        env={**os.environ, **own, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await asyncio.to_thread(_wait, running, terms.whole_limit + START_LIMIT)
    finally:
        _end(running)
    return load(out), _trouble(out / ENDED)


def _wait(running: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(seconds)


def _end(running: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    import psutil  # comes with ipykernel

    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    running.wait()
    psutil.wait_procs(family, timeout=10)


def _trouble(ended: Path) -> str:
    try:
        told = json.loads(ended.read_text("utf-8"))
        status, stopped = str(told["status"]), [int(number) for number in told["stopped"]]
    except (OSError, ValueError, KeyError, TypeError):
        return "the run was lost"  # stopped from outside, or out of memory
    parts = [f"cell {number} stopped" for number in stopped]
    return ", ".join(parts if status == "ran" else [*parts, status])


async def _examined(
    check: Check, left: HandedIn, student: str, folder: Path, terms: Terms
) -> CheckResult:
    """One answer, with everybody's seeds, the student's own, and the course's hidden ones."""
    if check.place == "kernel":
        return _as_told(check, left.results.get(check.id, {}))
    answer = left.answers.get(check.id)
    if answer is None:
        return _missing(check)
    if isinstance(answer, Finding):
        return process.result(check, {"finding": answer, "seeds": []})
    prediction = left.predictions.get(check.id)
    if check.needs_prediction and prediction is None:
        rule = misuse.PREDICT_FIRST
        finding = Finding(rule.name, f'there is no prediction for "{check.id}"', rule.hint)
        return process.result(check, {"finding": finding, "seeds": []})
    hidden = seeds.hidden_seeds(check.id, terms.secret, student) if terms.secret else ()
    chosen = (*check.seeds, seeds.own_seed(check.id, student), *hidden)
    limit = check.time_limit * terms.patience * len(chosen) / len(check.seeds)
    try:
        return await process.examine_packed(
            check,
            answer,
            chosen,
            left.sources,
            prediction=prediction,
            time_limit=limit,
            folders=[str(folder)],
        )
    except LabError as problem:  # the check broke on this answer: somebody has to look
        finding = Finding("check-broke", f"the check broke on this answer: {problem}"[:2000])
        return process.result(check, {"finding": finding, "seeds": list(chosen)})


def _as_told(check: Check, told: dict[str, Any]) -> CheckResult:
    """The result that the hand-in's kernel gave to a check about its own live run."""
    match told.get("passed"), told.get("points"):
        case (True, int() | float() as points) if 0 <= points <= check.points:
            share = points / check.points
            return process.result(check, {"finding": None, "share": share, "seeds": []})
        case _:
            finding = told.get("finding")
            texts = finding if isinstance(finding, dict) else {}
            rule, problem, hint, got, expected = (
                str(texts.get(name, ""))[:2000]
                for name in ("rule", "problem", "hint", "got", "expected")
            )
            kept = Finding(rule, problem, hint, got=got, expected=expected)
            return process.result(check, {"finding": kept, "seeds": []})


def _missing(check: Check) -> CheckResult:
    finding = Finding(NOT_HANDED_IN, "nothing was handed in for this exercise")
    return process.result(check, {"finding": finding, "seeds": []})


def _judged(chosen: dict[str, str], chapters: set[str]) -> dict[str, bool]:
    """Which of the questions of these chapters were answered, and rightly."""
    judged = {}
    for question in QUESTIONS:
        letter = chosen.get(question.id, "")
        if question.id[:2] in chapters and len(letter) == 1 and letter in LETTERS:
            at = LETTERS.index(letter)
            judged[question.id] = at < len(question.choices) and question.choices[at].is_right
    return judged


# -- all of them ------------------------------------------------------------------------------------------------------


async def grade_all(
    hand_ins: Sequence[HandIn],
    terms: Terms,
    *,
    jobs: int = 1,
    told: Callable[[Grade], None] = lambda _: None,
) -> list[Grade]:
    """Grade hand-ins, `jobs` at a time; `told` hears of each as it is done. In the order of the hand-ins."""
    if jobs < 1:
        raise LocalError(f"jobs is 1 or more, not {jobs}")
    room = asyncio.Semaphore(jobs)

    async def one(hand_in: HandIn) -> Grade:
        async with room:
            graded = await grade(hand_in, terms)
            told(graded)
            return graded

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(hand_in)) for hand_in in hand_ins]
    return [task.result() for task in tasks]


def total(results: Iterable[CheckResult]) -> float:
    """The points of some results."""
    return round(sum(result.points for result in results), 2)


def grade_book(grades: Sequence[Grade], checks: Sequence[Check]) -> str:
    """The grade book as CSV: a row for each student, a column for each objective.

    An exercise that shows two objectives counts in both their columns, and once in `points`.
    """
    named = {objective for check in checks for objective in check.objectives}
    objectives = sorted(named, key=lambda o: (not o[0].isdigit(), o))
    of = {o: sum(c.points for c in checks if o in c.objectives) for o in objectives}
    chapters = {check.chapter for check in checks}
    asked = sum(question.id[:2] in chapters for question in QUESTIONS)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "student",
            "status",
            *(f"{objective} (of {of[objective]})" for objective in objectives),
            f"points (of {sum(check.points for check in checks)})",
            f"questions right (of {asked})",
            "hints used",
        ]
    )
    for graded in sorted(grades, key=lambda g: g.student):
        earned = [
            total(result for result in graded.results if objective in result.objectives)
            for objective in objectives
        ]
        writer.writerow(
            [
                graded.student,
                graded.status,
                *(f"{points:g}" for points in earned),
                f"{total(graded.results):g}",
                sum(graded.questions.values()),
                sum(graded.hints.values()),
            ]
        )
    return out.getvalue()


def write_reports(grades: Iterable[Grade], folder: Path) -> None:
    """One JSON file for each student: every finding, with the seed that repeats it."""
    folder.mkdir(parents=True, exist_ok=True)
    for graded in grades:
        text = json.dumps(graded.to_dict(), indent=2, sort_keys=True) + "\n"
        (folder / f"{graded.student}.json").write_text(text, "utf-8")
