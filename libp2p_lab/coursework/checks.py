"""What a check is, and what it answers: plain data, no code that runs by itself.

A check is one exercise seen from the examiner's side. Its `examine` function is given an `Exam` (exam.py) and the
student's answer, and stops at the first departure from the reference. What it says then is a `Finding`: never only
"failed", but what was sent, what came back, where the two part, which rule that breaks, and the seed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from libp2p_lab.coursework import render

if TYPE_CHECKING:
    from libp2p_lab.coursework.exam import Exam

Level = Literal["L1", "L2", "L3", "L4", "L5"]

#: What each level asks for, in words for a table.
LEVELS: dict[Level, str] = {
    "L1": "read a value off a live run",
    "L2": "compute or decode with a pure function",
    "L3": "write a component",
    "L4": "put your component into a running peer",
    "L5": "experiment, attack or design",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that an answer can get wrong, and what to say then.

    Attributes:
        name: a short name, unique within the check.
        hint: what helps somebody who broke this rule, in a sentence or two.
        spec: where the rule is written down: `peer-ids/peer-ids.md#keys`, or a full address.
    """

    name: str
    hint: str
    spec: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One exercise, from the examiner's side.

    Attributes:
        id: chapter or lab, and name: "01.peer_id", "net.cut".
        exercise: its number in the chapter: "E1.3".
        title: one line.
        level: L1 to L5, see `LEVELS`.
        points: what a right answer earns.
        objectives: ids of the learning objectives that it shows.
        starter: what the student begins with.
        hints: three steps: where to look, which rule, almost the code.
        rules: what can go wrong, each with the hint meant for it.
        examine: judges an answer; called once for each seed.
        time_limit: seconds that the answer may take, all seeds together, start of the worker excluded.
        seeds: the public ones; a course adds hidden ones when it grades.
        place: "process" if the answer is code, which runs in a worker process; "kernel" if it is a value that is
            compared with the record of a run that lives in the kernel.
        needs_prediction: `lab.predict(id, value)` must have been called before.
    """

    id: str
    exercise: str
    title: str
    level: Level
    points: int
    objectives: tuple[str, ...]
    starter: str
    hints: tuple[str, str, str]
    rules: tuple[Rule, ...]
    examine: Callable[[Exam, Any], Awaitable[None]]
    time_limit: float = 20.0
    seeds: tuple[int, ...] = (1, 2, 3)
    place: Literal["process", "kernel"] = "process"
    needs_prediction: bool = False

    @property
    def chapter(self) -> str:
        """The chapter's two digits, or the code of a lab."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """The first departure from the reference.

    Attributes:
        rule: the name of the rule that was broken; the rules of every check, such as "never-ends", stand in misuse.py.
        problem: what happened, in one sentence.
        hint: what helps.
        sent: what the answer was given.
        got: what came back.
        expected: what the reference gives.
        departure: the place where the two part, drawn: a hex dump with a mark, or an event.
        spec: where the rule is written down.
        seed: `lab.check(id, answer, seed=…)` reproduces it.
        traceback: the student's own lines, if an exception was raised.
    """

    rule: str
    problem: str
    hint: str = ""
    sent: str = ""
    got: str = ""
    expected: str = ""
    departure: str = ""
    spec: str = ""
    seed: int | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check answers. Prints as text, shows as HTML in a notebook, `to_dict()` is plain JSON.

    Attributes:
        check: the check's id.
        passed: whether the answer is right.
        points: earned, at most `max_points`; a right answer that is not the best one may earn fewer.
        finding: the first departure from the reference; None if there is none.
        tried: what was tried, and how often.
        notes: what is worth knowing beside that.
        seeds: those that ran, the last one included.
        printed: the beginning of what the answer printed.
        seconds: how long it ran.
    """

    check: str
    exercise: str
    title: str
    level: str
    objectives: tuple[str, ...]
    passed: bool
    points: float
    max_points: int
    finding: Finding | None = None
    tried: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    printed: str = ""
    seconds: float = 0.0

    @property
    def feedback(self) -> str:
        """The whole report as text."""
        return render.result_as_text(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: dicts, lists, strings, numbers."""
        plain = asdict(self)
        plain["objectives"] = list(self.objectives)
        plain["notes"] = list(self.notes)
        plain["seeds"] = list(self.seeds)
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> CheckResult:
        """The result that `to_dict` wrote."""
        finding = plain["finding"]
        return cls(
            **{
                **plain,
                "objectives": tuple(plain["objectives"]),
                "notes": tuple(plain["notes"]),
                "seeds": tuple(plain["seeds"]),
                "finding": Finding(**finding) if finding else None,
            }
        )

    def __str__(self) -> str:
        return self.feedback

    def __repr__(self) -> str:
        return self.feedback

    def _repr_html_(self) -> str:
        return render.result_as_html(self)
