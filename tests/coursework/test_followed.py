"""E5.1 is about a live lookup: answers are made from its record."""

from __future__ import annotations

from typing import Any

import pytest

from libp2p_lab.coursework.workbook import Workbook
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.events import LookupEnded, LookupStarted, PeerAnswered, PeerAsked
from libp2p_lab.trace import Entry
from tests.mutants import Mutant, followed

PEERS = [str(PeerId(b"\x12\x20" + bytes(31) + bytes([n]))) for n in range(6)]


def entry(time: float, what: object) -> Entry:
    return Entry(time, "alice", "kad", "", "event", 0, what)


@pytest.fixture
def run() -> tuple[list[Entry], dict[str, Any]]:
    """The record of two lookups, of which only the second came to its end; and the truth about that one."""
    events = [
        LookupStarted(1, "00" * 32, (PEERS[0],)),
        PeerAsked(1, PEERS[4], 1),
        LookupStarted(2, "00" * 32, (PEERS[0], PEERS[1])),
        PeerAsked(2, PEERS[0], 1),
        PeerAnswered(2, PEERS[0], (PEERS[2], PEERS[5])),
        PeerAsked(2, PEERS[1], 1),
        PeerAsked(2, PEERS[2], 2),
        LookupEnded(2, (PEERS[2], PEERS[0]), 2, 3, "the closest have answered"),
    ]
    rounds = {PEERS[0]: 1, PEERS[1]: 1, PEERS[2]: 2}
    right = {"rounds": rounds, "why": "closest", "named": PEERS[5]}
    return [entry(float(n), event) for n, event in enumerate(events)], right


async def test_two_right_answers_pass(run: tuple[list[Entry], dict[str, Any]]) -> None:
    log, right = run
    for answer in ((right["rounds"], "closest"), followed.ANOTHER(right)):
        result = await Workbook().check("05.followed", answer, run=log)
        assert result.passed, result.feedback


@pytest.mark.parametrize("mutant", followed.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_is_rejected(
    run: tuple[list[Entry], dict[str, Any]], mutant: Mutant
) -> None:
    log, right = run
    result = await Workbook().check("05.followed", mutant.answer(right), run=log)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback


@pytest.mark.parametrize("log", [None, []])
async def test_without_a_record_nothing_is_compared(log: Any) -> None:
    result = await Workbook().check("05.followed", ({}, ""), run=log)
    assert result.finding is not None
    assert result.finding.rule == "no-record"
