"""E6.1 is about a live record: answers are made from one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from libp2p_lab.coursework.workbook import Workbook
from libp2p_lab.routing.kad_messages import KadMessage, MessageType
from libp2p_lab.trace import Entry
from tests.mutants import Mutant, capture_dht


@pytest.fixture
def run() -> tuple[list[Entry], dict[str, Any]]:
    """A record with questions and answers of three kinds, and the truth about it."""
    said = [
        ("sent", MessageType.FIND_NODE),
        ("received", MessageType.FIND_NODE),
        ("sent", MessageType.ADD_PROVIDER),
        ("sent", MessageType.ADD_PROVIDER),
        ("sent", MessageType.GET_PROVIDERS),
        ("received", MessageType.GET_PROVIDERS),
        ("sent", MessageType.PUT_VALUE),
        ("received", MessageType.PUT_VALUE),
    ]
    log = [
        Entry(float(n), "alice", "kad", "", direction, n, KadMessage(kind, b"\x12\x20key"))
        for n, (direction, kind) in enumerate(said)
    ]
    kinds = ("ADD_PROVIDER", "GET_PROVIDERS", "PUT_VALUE")
    sent = Counter(kind.name for direction, kind in said if direction == "sent")
    both = Counter(kind.name for _, kind in said)
    return log, {"sent": {k: sent[k] for k in kinds}, "both": {k: both[k] for k in kinds}}


async def test_two_right_answers_pass(run: tuple[list[Entry], dict[str, Any]]) -> None:
    log, right = run
    for answer in ((right["sent"], "multihash"), capture_dht.ANOTHER(right)):
        result = await Workbook().check("06.capture_dht", answer, run=log)
        assert result.passed, result.feedback


@pytest.mark.parametrize("mutant", capture_dht.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_is_rejected(
    run: tuple[list[Entry], dict[str, Any]], mutant: Mutant
) -> None:
    log, right = run
    result = await Workbook().check("06.capture_dht", mutant.answer(right), run=log)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback


@pytest.mark.parametrize("log", [None, []])
async def test_without_a_record_nothing_is_compared(log: Any) -> None:
    result = await Workbook().check("06.capture_dht", ({}, ""), run=log)
    assert result.finding is not None
    assert result.finding.rule == "no-record"
