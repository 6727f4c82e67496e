"""A learner's workbook: what was predicted, answered, checked and asked, in one place that can be shown and saved.

A kernel has one (`session.py`); tests and graders make their own.
"""

from __future__ import annotations

import asyncio
import csv
import difflib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libp2p_lab.coursework import misuse, process, render, seeds
from libp2p_lab.coursework.catalogue import CHECKS, QUESTIONS, find
from libp2p_lab.coursework.checks import Check, CheckResult, Finding
from libp2p_lab.coursework.exam import Exam, Rejected
from libp2p_lab.coursework.questions import LETTERS, Question, Quiz, Reply
from libp2p_lab.errors import LocalError

RECALLED = 2  # questions of older chapters that a quiz repeats


@dataclass(frozen=True, slots=True)
class Hint:
    """One step of a hint ladder."""

    check: str
    step: int
    text: str

    def __str__(self) -> str:
        more = "" if self.step == 3 else "  (ask again for the next)"
        return f"Hint {self.step} of 3 for {self.check}: {self.text}{more}"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was predicted, as it is shown again after the experiment."""

    id: str
    value: object
    outcome: object = None

    def __str__(self) -> str:
        seen = "" if self.outcome is None else f"; the experiment gave {self.outcome!r}"
        guess = "no guess yet" if self.value is None else f"you predicted {self.value!r}"
        return f"{self.id}: {guess}{seen}"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been done, objective by objective.

    Attributes:
        rows: objective, checks passed, checks in all, points, points in all, questions right, questions in all,
            hints used.
    """

    rows: tuple[tuple[str | float, ...], ...]

    HEAD = (
        "objective",
        "checks passed",
        "checks",
        "points",
        "of",
        "questions right",
        "questions",
        "hints used",
    )

    def __str__(self) -> str:
        return render.table_as_text(self.HEAD, self.rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render.table_as_html("Progress by learning objective", self.HEAD, self.rows)

    def to_csv(self, path: str | Path | None = None) -> str:
        """The table as CSV; written to `path` if one is given."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.HEAD, *self.rows])
        if path is not None:
            Path(path).write_text(text.getvalue(), "utf-8")
        return text.getvalue()


@dataclass(slots=True)
class Workbook:
    """One learner's work.

    Attributes:
        student: who; generated cases depend on it. Empty for nobody in particular.
        predictions: by id, the first value given.
        outcomes: what the experiments gave, by the same ids.
        results: the best result of each check.
        tries: how often each check was run.
        hints: how many hints of each check were asked for.
        chosen: letters by question id, the first choice.
        handed_in: the last answer to each check that runs in a process, so that it can be graded again.
    """

    student: str = ""
    predictions: dict[str, object] = field(default_factory=dict)
    outcomes: dict[str, object] = field(default_factory=dict)
    results: dict[str, CheckResult] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    handed_in: dict[str, object] = field(default_factory=dict)
    _listeners: list[Callable[[], None]] = field(default_factory=list, repr=False, compare=False)

    # -- checks -----------------------------------------------------------------------------------------------

    async def check(
        self,
        check_id: str,
        answer: Any,
        *,
        run: object = None,
        seed: int | None = None,
        time_limit: float | None = None,
    ) -> CheckResult:
        """Check an answer.

        Args:
            check_id: "01.peer_id", say.
            answer: what the exercise asks for: a function, a class or a value.
            run: the record of a live run, for exercises about one.
            seed: only this seed, to repeat a finding; None for the public ones and the student's own.
            time_limit: seconds for the answer; None for the check's own limit.

        Raises: `LocalError` for an unknown id, naming ids that look alike.
        """
        check = find(check_id)
        chosen = (seed,) if seed is not None else self.seeds(check)
        result = await self.examine(check, answer, chosen, run=run, time_limit=time_limit)
        self.tries[check.id] = self.tries.get(check.id, 0) + 1
        best = self.results.get(check.id)
        if seed is None and (best is None or result.points >= best.points):
            self.results[check.id] = result
        if check.place == "process":
            self.handed_in[check.id] = answer
        self._changed()
        return result

    def seeds(self, check: Check) -> tuple[int, ...]:
        """The seeds that everybody has, and this student's own."""
        own = (seeds.own_seed(check.id, self.student),) if self.student else ()
        return (*check.seeds, *own)

    async def examine(
        self,
        check: Check,
        answer: Any,
        chosen: Sequence[int],
        *,
        run: object = None,
        time_limit: float | None = None,
    ) -> CheckResult:
        """Check an answer with given seeds, and write nothing down."""
        prediction = self.predictions.get(check.id)
        if check.needs_prediction and prediction is None:
            rule = misuse.PREDICT_FIRST
            missing = Finding(rule.name, f'there is no prediction for "{check.id}" yet', rule.hint)
            return process.result(check, {"finding": missing, "seeds": []})
        if check.place == "kernel":
            return await _examine_here(check, answer, chosen, run)
        return await process.examine(
            check, answer, chosen, prediction=prediction, time_limit=time_limit
        )

    async def regrade(self, secret: str) -> list[CheckResult]:
        """Run every answer that was handed in again, with a course's hidden seeds as well.

        Results of checks about a live run stay as they are: the run is over.
        """
        graded = []
        for check in CHECKS:
            if check.id in self.handed_in:
                hidden = seeds.hidden_seeds(check.id, secret, self.student)
                chosen = (*self.seeds(check), *hidden)
                graded.append(await self.examine(check, self.handed_in[check.id], chosen))
            elif check.id in self.results:
                graded.append(self.results[check.id])
        return graded

    def hint(self, check_id: str) -> Hint:
        """The next step of the check's hint ladder; the last one again when all were given.

        Raises: `LocalError` for an unknown id.
        """
        check = find(check_id)
        step = min(self.hints.get(check.id, 0) + 1, len(check.hints))
        self.hints[check.id] = step
        self._changed()
        return Hint(check.id, step, check.hints[step - 1])

    # -- predictions ------------------------------------------------------------------------------------------

    def predict(self, prediction_id: str, value: object) -> Prediction:
        """Write down what will happen, before it does. The first value stays.

        Args:
            prediction_id: what is predicted: "00.star".
            value: the guess; None is no guess, and a guess can still follow.
        """
        if value is not None:
            self.predictions.setdefault(prediction_id, value)
        return self.prediction(prediction_id)

    def prediction(self, prediction_id: str, outcome: object = None) -> Prediction:
        """What was predicted, shown beside what the experiment gave. Its `value` is None where nobody guessed."""
        if outcome is not None:
            self.outcomes[prediction_id] = outcome
        return Prediction(
            prediction_id, self.predictions.get(prediction_id), self.outcomes.get(prediction_id)
        )

    # -- quizzes ----------------------------------------------------------------------------------------------

    def quiz(self, chapter: str) -> Quiz:
        """The questions of a chapter, and a few of the chapters before it.

        Args:
            chapter: its two digits.

        Raises: `LocalError` for a chapter without a quiz.
        """
        own = tuple(q for q in QUESTIONS if q.id.startswith(f"{chapter}."))
        if not own:
            known = ", ".join(sorted({q.id[:2] for q in QUESTIONS}))
            raise LocalError(f"chapter {chapter!r} has no quiz; there are: {known}")
        older = [q for q in QUESTIONS if q.id[:2] < chapter]
        # Those answered wrongly come back first, then those never answered.
        older.sort(key=lambda q: (self._is_right(q), q.id in self.chosen))
        return Quiz(f"Quiz of chapter {chapter}", (*own, *older[:RECALLED]), dict(self.chosen))

    def answer(self, question_id: str, letter: str) -> Reply:
        """Answer a question; the first answer counts, every answer gets its reply.

        Raises: `LocalError` for an unknown question or letter.
        """
        question = next((q for q in QUESTIONS if q.id == question_id), None)
        if question is None:
            close = difflib.get_close_matches(str(question_id), [q.id for q in QUESTIONS])
            raise LocalError(
                f"no question is called {question_id!r}; did you mean {' or '.join(close) or '01.q1'}?"
            )
        wanted = str(letter).strip().lower()
        letters = LETTERS[: len(question.choices)]
        if len(wanted) != 1 or wanted not in letters:
            raise LocalError(f"the choices of {question.id} are {', '.join(letters)}")
        self.chosen.setdefault(question.id, wanted)
        self._changed()
        choice = question.choices[letters.index(wanted)]
        return Reply(question, wanted, choice.is_right, choice.reply)

    def _is_right(self, question: Question) -> bool:
        letter = self.chosen.get(question.id)
        return letter is not None and question.choices[LETTERS.index(letter)].is_right

    # -- the whole ----------------------------------------------------------------------------------------------

    def progress(self) -> Progress:
        """What has been done so far, objective by objective."""
        named = [check.objectives for check in CHECKS] + [q.objectives for q in QUESTIONS]
        objectives = _in_order(objective for group in named for objective in group)
        return Progress(tuple(self._row(objective) for objective in objectives))

    def overview(self) -> list[dict[str, Any]]:
        """Every check with what was done about it, as plain JSON."""
        shown = []
        for check in CHECKS:
            best = self.results.get(check.id)
            shown.append(
                {
                    "id": check.id,
                    "exercise": check.exercise,
                    "title": check.title,
                    "level": check.level,
                    "objectives": list(check.objectives),
                    "of": check.points,
                    "points": best.points if best else 0,
                    "passed": bool(best and best.passed),
                    "tries": self.tries.get(check.id, 0),
                    "hints": self.hints.get(check.id, 0),
                    "steps": len(check.hints),
                }
            )
        return shown

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed` called after each check, hint and answer. Returns: what ends it."""
        self._listeners.append(changed)

        def stop() -> None:
            if changed in self._listeners:
                self._listeners.remove(changed)

        return stop

    def _changed(self) -> None:
        for changed in tuple(self._listeners):
            changed()

    def _row(self, objective: str) -> tuple[str | float, ...]:
        checks = [check for check in CHECKS if objective in check.objectives]
        questions = [q for q in QUESTIONS if objective in q.objectives]
        done = [self.results[check.id] for check in checks if check.id in self.results]
        return (
            objective,
            sum(result.passed for result in done),
            len(checks),
            sum(result.points for result in done),
            sum(check.points for check in checks),
            sum(self._is_right(question) for question in questions),
            len(questions),
            sum(self.hints.get(check.id, 0) for check in checks),
        )

    def report(self, results: Iterable[CheckResult] | None = None) -> dict[str, Any]:
        """Everything as plain JSON, for a grader.

        Args:
            results: in place of the workbook's own.
        """
        shown = self.results.values() if results is None else results
        return {
            "student": self.student,
            "results": [result.to_dict() for result in shown],
            "tries": dict(self.tries),
            "hints": dict(self.hints),
            "questions": {q.id: self._is_right(q) for q in QUESTIONS if q.id in self.chosen},
        }


def _in_order(objectives: Iterable[str]) -> list[str]:
    """Each once: the Launchpad's numbers first, then our own."""
    return sorted(set(objectives), key=lambda o: (not o[0].isdigit(), o))


async def _examine_here(
    check: Check, answer: object, chosen: Sequence[int], run: object
) -> CheckResult:
    """Compare a value with the record of a run that lives in this process."""
    exam = Exam(check, chosen[0], run=run)
    finding = None
    try:
        async with asyncio.timeout(check.time_limit):
            await check.examine(exam, answer)
    except Rejected as rejected:
        finding = rejected.finding
    reply = {
        "finding": finding,
        "share": exam.share,
        "tried": exam.tried,
        "notes": exam.notes,
        "seeds": list(chosen[:1]),
    }
    return process.result(check, reply)
