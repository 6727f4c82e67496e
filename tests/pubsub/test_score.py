"""The seven parts of the score, each by itself, and what time does to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError
from libp2p_lab.pubsub import (
    GossipSubParameters,
    PeerScore,
    ScoreParameters,
    ScoreThresholds,
    TopicScoreParameters,
    Verdict,
)
from libp2p_lab.pubsub.parameters import decay_after
from tests.pubsub.network import peer_id

A, B, C = peer_id(1), peer_id(2), peer_id(3)
QUIET = {
    "time_in_mesh_weight": 0.0,
    "first_message_deliveries_weight": 0.0,
    "invalid_message_deliveries_weight": 0.0,
}


def scorer(topic: dict[str, float] | None = None, **options: object) -> PeerScore:
    topics = {} if topic is None else {"t": TopicScoreParameters(**{**QUIET, **topic})}
    made = PeerScore(ScoreParameters(topics=topics, **options))
    for number, peer in enumerate((A, B, C)):
        made.add_peer(peer, [f"10.0.0.{number}"])
    made.refresh(0.0)
    return made


def test_p1_grows_in_the_mesh_up_to_its_cap() -> None:
    score = scorer(
        {"time_in_mesh_weight": 0.5, "time_in_mesh_quantum": 2.0, "time_in_mesh_cap": 10.0}
    )
    score.graft(A, "t", 0.0)
    score.refresh(9.0)
    assert score.score(A) == 0.5 * 4
    score.refresh(100.0)
    assert score.score(A) == 0.5 * 10
    score.prune(A, "t")
    assert score.score(A) == 0


def test_p2_counts_first_deliveries_and_fades() -> None:
    score = scorer(
        {
            "first_message_deliveries_weight": 2.0,
            "first_message_deliveries_decay": 0.5,
            "first_message_deliveries_cap": 3.0,
        }
    )
    for number in range(5):
        score.arrived(b"%d" % number, 0.0)
        score.decided(A, b"%d" % number, "t", Verdict.ACCEPT, 0.0)
        score.duplicate(B, b"%d" % number, "t", 0.0)
    assert score.score(A) == 2.0 * 3
    assert score.score(B) == 0
    score.refresh(1.0)
    assert score.score(A) == 2.0 * 1.5


P3 = {
    "mesh_message_deliveries_weight": -1.0,
    "mesh_message_deliveries_threshold": 4.0,
    "mesh_message_deliveries_cap": 10.0,
    "mesh_message_deliveries_decay": 0.999999,
    "mesh_message_deliveries_activation": 3.0,
    "mesh_message_deliveries_window": 0.1,
    "mesh_failure_penalty_weight": -1.0,
    "mesh_failure_penalty_decay": 0.999999,
}


def test_p3_is_the_deficit_squared_once_active() -> None:
    score = scorer(P3)
    score.graft(A, "t", 0.0)
    score.refresh(2.0)
    assert score.score(A) == 0, "not long enough in the mesh"
    score.refresh(4.0)
    assert score.score(A) == -16
    score.arrived(b"m", 4.0)
    score.decided(B, b"m", "t", Verdict.ACCEPT, 4.0)
    score.duplicate(A, b"m", "t", 4.05)
    assert score.score(A) == -9, "nearly first counts"
    score.duplicate(A, b"m", "t", 4.06)
    assert score.score(A) == -9, "the same message counts once"


def test_p3_ignores_what_comes_late_and_counts_what_came_during_validation() -> None:
    score = scorer(P3)
    for peer in (A, C):
        score.graft(peer, "t", 0.0)
    score.refresh(4.0)
    score.arrived(b"m", 4.0)
    score.duplicate(C, b"m", "t", 5.0)  # B's copy is still being validated
    score.decided(B, b"m", "t", Verdict.ACCEPT, 6.0)
    score.duplicate(A, b"m", "t", 6.2)
    assert score.score(A) == -16
    assert score.score(C) == -9


def test_p3b_sticks_when_a_poor_member_is_pruned() -> None:
    score = scorer(P3)
    score.graft(A, "t", 0.0)
    score.refresh(4.0)
    score.prune(A, "t")
    assert score.score(A) == pytest.approx(-16)
    score.prune(A, "t")
    assert score.score(A) == pytest.approx(-16), "it left the mesh once"


def test_p4_is_squared_and_hits_everybody_who_sent_it() -> None:
    score = scorer({"invalid_message_deliveries_weight": -1.0})
    for number in (b"1", b"2", b"3"):
        score.arrived(number, 0.0)
        score.duplicate(B, number, "t", 0.0)
        score.decided(A, number, "t", Verdict.REJECT, 0.0)
    score.duplicate(C, b"3", "t", 1.0)
    assert (score.score(A), score.score(B), score.score(C)) == (-9, -9, -1)


def test_ignored_messages_are_held_against_nobody() -> None:
    score = scorer(
        {"invalid_message_deliveries_weight": -1.0, "first_message_deliveries_weight": 1.0}
    )
    score.arrived(b"m", 0.0)
    score.decided(A, b"m", "t", Verdict.IGNORE, 0.0)
    score.duplicate(B, b"m", "t", 0.0)
    assert score.score(A) == score.score(B) == 0


def test_p5_is_the_applications() -> None:
    score = scorer(
        app_specific_score=lambda peer: 7.0 if peer == A else -1.0, app_specific_weight=2.0
    )
    assert (score.score(A), score.score(B)) == (14.0, -2.0)


def test_p6_is_squared_above_the_threshold_and_ends_with_the_crowd() -> None:
    score = scorer(ip_colocation_weight=-1.0, ip_colocation_threshold=3)
    crowd = [peer_id(number) for number in range(100, 106)]
    for peer in crowd:
        score.add_peer(peer, ["10.1.1.1", "127.0.0.1"])
    assert score.score(crowd[0]) == -9
    assert score.score(A) == 0
    score.remove_peer(crowd[5], 0.0)
    assert score.score(crowd[0]) == -9, "a bad peer that leaves still takes its place"
    score.refresh(10_000.0)
    assert score.score(crowd[0]) == -4


def test_p7_forgives_a_few_and_squares_the_rest() -> None:
    score = scorer(
        behaviour_penalty_weight=-1.0, behaviour_penalty_threshold=2.0, behaviour_penalty_decay=0.5
    )
    score.penalize(A, 2)
    assert score.score(A) == 0
    score.penalize(A, 3)
    assert score.score(A) == -9
    score.refresh(1.0)
    assert score.score(A) == pytest.approx(-0.25)
    score.penalize(peer_id(99))  # unknown: nothing happens


def test_the_cap_is_on_the_sum_of_topics() -> None:
    score = scorer({"first_message_deliveries_weight": 10.0}, topic_score_cap=5.0)
    score.decided(A, b"m", "t", Verdict.ACCEPT, 0.0)
    assert score.score(A) == 5.0


def test_a_bad_score_outlives_the_connection_and_a_good_one_does_not() -> None:
    topic = {"invalid_message_deliveries_weight": -1.0, "first_message_deliveries_weight": 1.0}
    score = scorer(topic, retain_score=60.0)
    score.invalid(A, "t")
    score.decided(B, b"m", "t", Verdict.ACCEPT, 0.0)
    for peer in (A, B):
        score.remove_peer(peer, 0.0)
        score.add_peer(peer, [])
    assert (score.score(A), score.score(B)) == (-1, 0)
    score.remove_peer(A, 1.0)
    score.refresh(50.0)
    assert score.score(A) == -1, "it does not fade while the peer is away"
    score.refresh(62.0)
    assert score.score(A) == 0


def test_remembered_peers_are_bounded() -> None:
    score = scorer(max_retained=10, behaviour_penalty_threshold=0.0)
    for number in range(1000, 1100):
        score.add_peer(peer_id(number), ["10.9.9.9"])
        score.penalize(peer_id(number))
        score.remove_peer(peer_id(number), float(number))
    assert sum(score.score(peer_id(number)) < 0 for number in range(1000, 1100)) == 10


@given(
    st.lists(st.tuples(st.sampled_from("gpdrixa-"), st.sampled_from([A, B, C]), st.floats(0, 5)))
)
def test_any_history_gives_finite_scores_and_parts_that_add_up(
    history: list[tuple[str, object, float]],
) -> None:
    score = scorer(
        {"invalid_message_deliveries_weight": -1.0, "first_message_deliveries_weight": 1.0, **P3}
    )
    now = 0.0
    for step, (what, peer, wait) in enumerate(history):
        now += wait
        match what:
            case "g":
                score.graft(peer, "t", now)
            case "p":
                score.prune(peer, "t")
            case "d":
                score.decided(peer, b"%d" % (step % 3), "t", Verdict.ACCEPT, now)
            case "r":
                score.decided(peer, b"%d" % (step % 3), "t", Verdict.REJECT, now)
            case "i":
                score.duplicate(peer, b"%d" % (step % 3), "t", now)
            case "x":
                score.remove_peer(peer, now)
            case "a":
                score.add_peer(peer, ["10.0.0.1"])
            case _:
                score.refresh(now)
        for one in (A, B, C):
            parts = score.parts(one)
            parts_sum = (
                parts.p1
                + parts.p2
                + parts.p3
                + parts.p3b
                + parts.p4
                + parts.p5
                + parts.p6
                + parts.p7
            )
            assert parts.total == pytest.approx(parts_sum)
            assert parts.p1 >= 0 <= parts.p2
            assert max(parts.p3, parts.p3b, parts.p4, parts.p6, parts.p7) <= 0


def test_decay_after_reaches_its_goal() -> None:
    factor = decay_after(10.0)
    assert factor**10 == pytest.approx(0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: GossipSubParameters(D=3),
        lambda: GossipSubParameters(D=13),
        lambda: GossipSubParameters(D_out=4),
        lambda: GossipSubParameters(D_score=7),
        lambda: GossipSubParameters(gossip_factor=2.0),
        lambda: GossipSubParameters(history_gossip=6),
        lambda: GossipSubParameters(heartbeat_interval=0.0),
        lambda: GossipSubParameters(prune_backoff=-1.0),
        lambda: TopicScoreParameters(mesh_message_deliveries_weight=1.0),
        lambda: TopicScoreParameters(first_message_deliveries_decay=1.0),
        lambda: TopicScoreParameters(mesh_message_deliveries_cap=1.0),
        lambda: TopicScoreParameters(time_in_mesh_quantum=0.0),
        lambda: ScoreParameters(behaviour_penalty_weight=1.0),
        lambda: ScoreParameters(ip_colocation_threshold=0),
        lambda: ScoreThresholds(gossip=1.0),
        lambda: ScoreThresholds(gossip=-60.0),
        lambda: ScoreThresholds(graylist=-1.0),
        lambda: ScoreThresholds(accept_px=-1.0),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(wrong: object) -> None:
    with pytest.raises(LocalError):
        wrong()  # type: ignore[operator]
