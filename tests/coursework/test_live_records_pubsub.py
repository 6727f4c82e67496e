"""E7.1, a check about a live run: the answer is compared with what a router told its trace."""

from __future__ import annotations

from typing import Any

import pytest

from libp2p_lab.coursework.workbook import Workbook
from libp2p_lab.pubsub import RPC, GossipSubParameters, ScoreParameters
from libp2p_lab.pubsub.gossipsub import V13
from libp2p_lab.pubsub.pubsub_messages import ControlGraft, ControlPrune, SubOpts
from libp2p_lab.trace import Trace
from tests.mutants import Mutant, pruned
from tests.pubsub.network import gossip_router, peer_id

TOPIC = "harbour"


@pytest.fixture
def pruning() -> tuple[Any, dict[str, Any]]:
    """What one router told its trace while it pruned for each reason, and the truth about it."""
    trace_of_one, entries = Trace("hector", lambda: 0.0), []
    trace_of_one.listen(entries.append)
    parameters = GossipSubParameters(D=2, D_low=2, D_high=3, D_score=2, D_out=0)
    router = gossip_router(
        0, 0, parameters, ScoreParameters(behaviour_penalty_threshold=0.0), trace_of_one
    )
    crowd = [peer_id(number) for number in range(1, 6)]
    bad, leaver, early = (peer_id(number) for number in (10, 11, 12))
    router.join(TOPIC, 0.0)
    for peer in (*crowd, bad, leaver, early):
        router.add_peer(peer, V13, outbound=False, ips=[], now=0.0)
        router.receive(peer, RPC(subscriptions=(SubOpts(True, TOPIC),)), 0.0)
    graft = RPC(graft=(ControlGraft(TOPIC),))
    router.receive(leaver, graft, 0.0)
    router.receive(leaver, RPC(subscriptions=(SubOpts(False, TOPIC),)), 0.0)
    router.receive(bad, graft, 0.0)
    router.score.penalize(bad, 3)
    router.heartbeat(1.0)
    early_prunes = RPC(prune=(ControlPrune(TOPIC, (), 60),))
    router.receive(
        early, early_prunes, 1.0
    )  # whether it was a member or not: it is in back-off now
    router.receive(early, graft, 2.0)
    for peer in crowd:
        router.receive(peer, graft, 2.0)
    reasons = {str(bad): "score", str(early): "backoff"}
    members = {str(peer) for peer in router.mesh(TOPIC)}
    reasons |= {str(peer): "too many" for peer in crowd if str(peer) not in members}
    assert sorted(set(reasons.values())) == ["backoff", "score", "too many"]
    return entries, {"reasons": reasons, "left": str(leaver)}


async def test_two_right_answers_about_prunes_pass(pruning: tuple[Any, dict[str, Any]]) -> None:
    log, right = pruning
    for answer in (right["reasons"], pruned.ANOTHER(right)):
        result = await Workbook().check("07.pruned", answer, run=log)
        assert result.passed, result.feedback


@pytest.mark.parametrize("mutant", pruned.MUTANTS, ids=lambda mutant: mutant.rule)
async def test_a_mutant_about_prunes_is_rejected(
    pruning: tuple[Any, dict[str, Any]], mutant: Mutant
) -> None:
    log, right = pruning
    result = await Workbook().check("07.pruned", mutant.answer(right), run=log)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == mutant.rule, result.feedback
    assert mutant.seen in result.feedback
    assert result.finding.hint in result.feedback


async def test_without_a_record_nothing_is_compared() -> None:
    result = await Workbook().check("07.pruned", {}, run=None)
    assert not result.passed
    assert result.finding is not None
    assert result.finding.rule == "no-record"
