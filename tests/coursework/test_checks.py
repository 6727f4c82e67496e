"""Every check accepts two different right answers and rejects each wrong one, with the hint meant for it."""

from __future__ import annotations

import importlib
import multiprocessing
from typing import Any

import pytest

from libp2p_lab import curriculum
from libp2p_lab.coursework import misuse, process
from libp2p_lab.coursework.catalogue import CHECKS
from libp2p_lab.coursework.checks import Check
from tests.coursework import forked
from tests.coursework.support import cell
from tests.mutants import Mutant
from tests.project.test_spec_links import problems
from tests.support import REPOSITORY

# What lives in the kernel is tested with a live run, in test_live_records.py.
IN_PROCESS = [check for check in CHECKS if check.place == "process"]


@pytest.fixture(autouse=True)
def quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    if "forkserver" in multiprocessing.get_all_start_methods():
        monkeypatch.setattr(process, "_run", forked.run)


def answers(check: Check) -> Any:
    """The module of tests/mutants with this check's answers."""
    return importlib.import_module(f"tests.mutants.{check.id.partition('.')[2]}")


def reference(check: Check) -> Any:
    """The reference answer, made as a notebook makes it."""
    folder = curriculum.find(check.chapter).folder
    path = REPOSITORY / "curriculum" / folder / "solutions" / f"{check.id.partition('.')[2]}.py"
    return cell(path.read_text("utf-8"))["answer"]


MUTANTS = [
    pytest.param(check, mutant, id=f"{check.id}-{number}-{mutant.rule}")
    for check in IN_PROCESS
    for number, mutant in enumerate(answers(check).MUTANTS)
]


def prediction(check: Check, answer: Any) -> Any:
    return getattr(answers(check), "PREDICTION", None) if check.needs_prediction else None


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_there_are_three_mutants_and_each_rule_is_used(check: Check) -> None:
    module = answers(check)
    used = {mutant.rule for mutant in module.MUTANTS}
    assert len(module.MUTANTS) >= 3
    assert {rule.name for rule in check.rules} <= used, "a rule that no mutant breaks"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_data_of_a_check(check: Check) -> None:
    assert len(check.hints) == 3
    assert all(check.hints)
    assert check.objectives
    assert check.id in check.starter
    number = int(check.chapter) if check.chapter.isdigit() else check.chapter[0].upper()
    assert check.exercise.startswith(f"E{number}.")
    names = [rule.name for rule in (*check.rules, *misuse.RULES)]
    assert len(names) == len(set(names))
    assert all(rule.hint for rule in check.rules)
    for rule in check.rules:
        if rule.spec:
            assert problems("Spec" + f": {rule.spec}") == []
    compile(check.starter, check.id, "exec", flags=0x2000)  # top-level await allowed


@pytest.mark.parametrize("check", IN_PROCESS, ids=lambda check: check.id)
async def test_the_reference_passes(check: Check) -> None:
    answer = reference(check)
    result = await process.examine(check, answer, check.seeds, prediction=prediction(check, answer))
    assert result.passed, result.feedback
    assert result.points == check.points, "the reference is not the best answer"
    assert result.tried


@pytest.mark.parametrize("check", IN_PROCESS, ids=lambda check: check.id)
async def test_a_second_right_answer_passes_with_hidden_seeds(check: Check) -> None:
    answer = answers(check).ANOTHER
    seeds = (*check.seeds, 20261124)
    result = await process.examine(check, answer, seeds, prediction=prediction(check, answer))
    assert result.passed, result.feedback
    assert result.points == check.points


@pytest.mark.parametrize(("check", "mutant"), MUTANTS)
async def test_a_mutant_is_rejected_with_the_hint_meant_for_it(
    check: Check, mutant: Mutant
) -> None:
    limit = 2.0 if mutant.rule == "endless-loop" else None
    if mutant.rule == "endless-loop" and check.level in {"L3", "L4"}:
        limit = 8.0
    predicted = mutant.prediction or prediction(check, mutant.answer)
    result = await process.examine(
        check, mutant.answer, check.seeds, prediction=predicted, time_limit=limit
    )
    assert not result.passed, "a wrong answer passed"
    assert result.points == 0
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback, result.feedback
    assert result.finding.hint in result.feedback
    assert result.finding.seed is not None or mutant.rule == "not-sendable"
    assert "file:///" not in result.feedback


@pytest.mark.parametrize("check", IN_PROCESS, ids=lambda check: check.id)
async def test_the_starter_earns_nothing(check: Check) -> None:
    """What is handed out scores zero, and says that it is not written yet."""
    source = check.starter.replace(
        "await lab.check", "handed_in = lambda *args, **more: args\nhanded_in"
    )
    source = source.replace(f'handed_in("{check.id}"', f'handed = handed_in("{check.id}"')
    answer = cell(source)["handed"][1]
    result = await process.examine(check, answer, check.seeds, prediction=prediction(check, answer))
    assert not result.passed
    assert result.points == 0
