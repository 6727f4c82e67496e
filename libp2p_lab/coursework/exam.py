"""What a check's `examine` works with: seeds, calls into the answer, comparisons that explain themselves.

    async def examine(exam, answer):
        got = exam.call(answer, 300)
        exam.equal(got, b"\\xac\\x02", "little-endian-groups", "300 is two bytes")

An exam ends at the first departure by raising `Rejected`. It catches no exception of the student's: one place does
that for all checks (worker.py, or session.py for checks that run in the kernel), and asks the exam what was being
tried.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from libp2p_lab.coursework import misuse
from libp2p_lab.coursework.checks import Check, Finding, Rule
from libp2p_lab.coursework.render import difference, shown
from libp2p_lab.errors import ConnectionLost, LabError, StreamReset

_COPIED = (list, dict, set, bytearray)  # arguments that an answer could change
REFUSALS = (ValueError, LabError)  # how an answer may say no


class Rejected(Exception):
    """The answer is wrong; `.finding` says how."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.problem)
        self.finding = finding


class Exam:
    """One run of one check on one answer.

    Args:
        check: the check.
        seed: what everything generated here depends on.
        prediction: what the student predicted, if the check asks for it.
        run: the record of a live run, if the check is about one.

    Attributes:
        rng: chance for generated cases, made from the seed.
        share: how much of the points a right answer earns, 1.0 unless the check says less.
        tried: how often what was tried.
        notes: what the report should say beside the verdict.
    """

    def __init__(
        self, check: Check, seed: int, *, prediction: object = None, run: object = None
    ) -> None:
        self.check = check
        self.seed = seed
        self.rng = random.Random(f"{check.id}:{seed}")
        self.prediction = prediction
        self.run = run
        self.share = 1.0
        self.tried: dict[str, int] = {}
        self.notes: list[str] = []
        self.sent = ""  # what the answer is busy with, for reports of exceptions and hangs
        self.must_refuse: Rule | None = None  # it was to say no: another exception breaks this rule
        self.raised: list[
            BaseException
        ] = []  # in the student's coroutines, where nobody awaits them
        self.is_decided = (
            False  # what the answer raises while everything is torn down is not its fault
        )
        self.explain: dict[
            type[BaseException], str
        ] = {}  # which rule an exception of the student's breaks
        self._rules = {rule.name: rule for rule in (*check.rules, *misuse.RULES)}

    def count(self, what: str, times: int = 1) -> None:
        """Remember for the report that something was tried."""
        self.tried[what] = self.tried.get(what, 0) + times

    def note(self, text: str) -> None:
        """Add a sentence to the report, once."""
        if text not in self.notes:
            self.notes.append(text)

    def reject(self, rule: str, problem: str, **details: str) -> NoReturn:
        """End the exam.

        Args:
            rule: the name of the rule that was broken.
            problem: what happened, in one sentence.
            details: `sent`, `got`, `expected`, `departure`, `traceback`.

        Raises: `Rejected`, always.
        """
        self.is_decided = True
        broken = self._rules[rule]
        details.setdefault("sent", self.sent)
        raise Rejected(
            Finding(
                rule=rule,
                problem=problem,
                hint=broken.hint,
                spec=broken.spec,
                seed=self.seed,
                **details,
            )
        )

    def require(self, condition: object, rule: str, problem: str, **details: str) -> None:
        """End the exam unless `condition` holds."""
        if not condition:
            self.reject(rule, problem, **details)

    def equal(self, got: object, expected: object, rule: str, problem: str, **details: str) -> None:
        """End the exam unless both are equal and of the same type; say where they part.

        A bool is not a number here, and a bytearray is not bytes.
        """
        if type(got) is not type(expected):
            self.reject(
                "wrong-type",
                f"a {type(expected).__name__} was expected, a {type(got).__name__} came back",
                got=shown(got),
                expected=shown(expected),
            )
        if got != expected:
            details.setdefault("departure", difference(got, expected))
            self.reject(rule, problem, got=shown(got), expected=shown(expected), **details)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a plain function of the student's and see that it leaves its arguments alone."""
        self.sent = self._call_text(function, args)
        given = [copy.deepcopy(arg) if isinstance(arg, _COPIED) else arg for arg in args]
        result = function(*given)
        if inspect.iscoroutine(result):
            result.close()
            self.reject("is-async", f"{_name(function)} returned a coroutine, not a value")
        for before, after in zip(args, given, strict=True):
            if before != after:
                self.reject(
                    "mutated-input",
                    f"{_name(function)} changed its argument",
                    got=shown(after),
                    expected=shown(before),
                    departure=difference(after, before),
                )
        return result

    def refuses(self, function: Callable[..., Any], *args: Any, rule: str, problem: str) -> None:
        """End the exam unless the student's function says no to these arguments, by `ValueError` or a `LabError`."""
        self.must_refuse = self._rules[rule]
        try:
            got = self.call(function, *args)
        except REFUSALS:
            self.must_refuse = None
            return
        self.must_refuse = None
        self.reject(rule, problem, got=shown(got), expected="ValueError")

    def rule_for(self, problem: BaseException) -> Rule | None:
        """The rule that an exception breaks, if this exam knows one."""
        for kind, rule in self.explain.items():
            if isinstance(problem, kind):
                return self._rules[rule]
        return self.must_refuse

    def callable_answer(self, answer: object, what: str) -> Callable[..., Any]:
        """The answer, which must be something to call."""
        if not callable(answer):
            self.reject(
                "wrong-type",
                f"{what} is asked for, but this is a {type(answer).__name__}",
                got=shown(answer),
            )
        return answer

    def methods(self, answer: object, names: Sequence[str]) -> Any:
        """The answer, which must have these methods; a class is made into an object first."""
        made = answer() if inspect.isclass(answer) else answer
        missing = [name for name in names if not callable(getattr(made, name, None))]
        if missing:
            self.reject(
                "wrong-type",
                f"the methods {', '.join(names)} are asked for; missing: {', '.join(missing)}",
                got=shown(answer),
            )
        return made

    @asynccontextmanager
    async def step(
        self, seconds: float, rule: str, problem: str, sent: str = "", expected: str = ""
    ) -> AsyncIterator[None]:
        """A step in which the answer must do its part in time."""
        self.sent = sent or self.sent
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            self.reject(
                rule,
                problem,
                got=f"nothing within {seconds:g} s",
                **({"expected": expected} if expected else {}),
            )

    def watched(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The student's coroutine function; what it raises is remembered on its way to whoever called it.

        An exception that says no more than that the other side is gone is not remembered.
        """

        async def watched(*args: Any, **more: Any) -> Any:
            try:
                started = function(*args, **more)
                if not inspect.isawaitable(started):
                    self.reject("not-async", f"{_name(function)} is a plain function")
                return await started
            except (StreamReset, ConnectionLost):
                raise  # the other side's doing
            except Exception as problem:
                if not self.is_decided or isinstance(problem, Rejected):
                    self.raised.append(problem)
                raise

        return watched

    def _call_text(self, function: Callable[..., Any], args: Sequence[object]) -> str:
        return f"{_name(function)}({', '.join(shown(arg, 300) for arg in args)})"


def _name(function: object) -> str:
    return getattr(function, "__name__", type(function).__name__)
