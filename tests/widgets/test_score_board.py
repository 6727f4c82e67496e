"""ScoreBoard: what is noted at each heartbeat, who is shown, and the form without a page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

import libp2p_lab as lab
from libp2p_lab import LocalError
from libp2p_lab.identity import PeerId
from libp2p_lab.pubsub import (
    GossipSub,
    ScoreParameters,
    ScoreParts,
    TopicScoreParameters,
    Verdict,
)
from libp2p_lab.sim import Internet
from libp2p_lab.widgets import ScoreBoard
from libp2p_lab.widgets.mesh_card import score_parts
from libp2p_lab.widgets.score_model import MAX_PEERS, MAX_SAMPLES, ScoreHistory
from tests.widgets.conftest import Open

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def net() -> Iterator[Internet]:
    """Three peers; alice and bob take nothing that begins with "bad"."""
    made = Internet(seed=3)

    def services() -> list[lab.Identify | GossipSub]:
        score = ScoreParameters(topics={"t": TopicScoreParameters()})
        return [lab.Identify(), GossipSub(score=score, first_seqno=lambda: 1)]

    hosts = [
        made.host(name, services=services, security="plaintext")
        for name in ("alice", "bob", "mallory")
    ]

    async def begin() -> None:
        for number, host in enumerate(hosts):
            await host.run(host.pubsub.subscribe("t"))
            for other in hosts[:number]:
                await host.connect(other.addrs[0])
        for host in hosts[:2]:
            host.pubsub.add_validator("t", lambda message: not message.data.startswith(b"bad"))

    made.run(begin())
    made.run_for(1)
    yield made
    made.close()


def misbehave(net: Internet) -> None:
    mallory = net.hosts_by_name["mallory"]

    async def publish() -> None:
        for number in range(5):
            await mallory.run(mallory.pubsub.publish("t", b"bad %d" % number))

    net.run(publish())


class Stern:
    """A score that is no PeerScore: nobody is good enough."""

    def score(self, peer: PeerId) -> float:
        return -3.0

    def add_peer(self, peer: PeerId, ips: Sequence[str]) -> None: ...
    def remove_peer(self, peer: PeerId, now: float) -> None: ...
    def graft(self, peer: PeerId, topic: str, now: float) -> None: ...
    def prune(self, peer: PeerId, topic: str) -> None: ...
    def arrived(self, message_id: bytes, now: float) -> None: ...
    def duplicate(self, peer: PeerId, message_id: bytes, topic: str, now: float) -> None: ...
    def decided(
        self, peer: PeerId, message_id: bytes, topic: str, verdict: Verdict, now: float
    ) -> None: ...
    def invalid(self, peer: PeerId, topic: str) -> None: ...
    def penalize(self, peer: PeerId, count: int = 1) -> None: ...
    def refresh(self, now: float) -> None: ...


def good(score: float) -> ScoreParts:
    return ScoreParts(score, score, 0, 0, 0, 0, 0, 0, 0)


async def test_a_fall_is_seen_part_by_part(net: Internet, open_page: Open) -> None:
    board = ScoreBoard(net, judge="alice", peer="mallory")
    net.run_for(3)
    misbehave(net)
    net.run_for(3)
    totals = [parts.total for _, parts in board.samples()]
    assert len(totals) == 6
    assert totals[0] >= 0 > min(totals)
    assert min(parts.p4 for _, parts in board.samples()) < -1
    assert totals[-1] > min(totals), "it fades"
    assert "mallory in the eyes of alice" in board.summary()

    page = open_page(board)
    (snapshot,) = page.of("snapshot")
    assert [name for _, name in snapshot["judges"]] == ["alice", "bob", "mallory"]
    assert [sample[2] for sample in snapshot["samples"]] == [round(one, 4) for one in totals]
    assert snapshot["thresholds"]["graylist"] == -80
    assert {name for _, name, _ in snapshot["judged"]} == {"bob", "mallory"}
    net.run_for(2)
    update = await page.wait_for("update")
    assert not update["whole"]
    assert [sample[1] for sample in update["samples"]] == [8, 9]

    # Another pair, as a page asks for it; nonsense changes nothing.
    bob = snapshot["judges"][1][0]
    page.tell("show", judge=bob)
    page.tell("show", judge="nobody", peer="nobody")
    shown = page.of("update")[-1]
    assert (shown["judge"], shown["whole"]) == (bob, True)
    page.tell("show", peer=snapshot["judges"][0][0])
    assert "alice in the eyes of bob" in page.of("update")[-1]["summary"]
    board.close()
    assert not any(host.trace.listeners for host in net.hosts_by_name.values())


async def test_the_worst_is_shown_unless_somebody_is_named(net: Internet, open_page: Open) -> None:
    alice = net.hosts_by_name["alice"]
    board = ScoreBoard(net, judge=alice)
    assert "no heartbeat yet" in board.summary()
    misbehave(net)
    net.run_for(1)
    page = open_page(board)
    assert page.of("snapshot")[0]["summary"].startswith("mallory")
    board.close()


async def test_the_static_form_has_a_curve_and_tables(net: Internet) -> None:
    board = ScoreBoard(net, judge="alice", peer=net.hosts_by_name["mallory"].peer_id)
    empty = board._repr_mimebundle_()
    assert "<polyline" not in empty["text/html"]
    misbehave(net)
    net.run_for(4)
    bundle = board._repr_mimebundle_()
    assert "<polyline" in bundle["text/html"]
    assert "invalid messages" in bundle["text/plain"]
    assert "Everybody, the worst first" in bundle["text/html"]
    assert "-0.00" not in bundle["text/plain"]
    board.close()


async def test_live_hosts_have_opinions_too() -> None:
    parameters = lab.GossipSubParameters(heartbeat_interval=0.05)
    make = lambda: [lab.Identify(), GossipSub(parameters)]  # noqa: E731
    async with (
        lab.Host(listen=["/memory/0"], services=make()) as alice,
        lab.Host(listen=["/memory/0"], services=make()) as bob,
    ):
        await bob.connect(alice.addrs[0])
        board = ScoreBoard(alice, peer=bob)
        async with asyncio.timeout(60):
            while not board.samples():
                await asyncio.sleep(0.01)
        assert board.samples()[0][1].total == 0
        board.close()


async def test_a_strangers_scoring_shows_its_sum() -> None:
    gossip = GossipSub(score=Stern())
    async with (
        lab.Host(listen=["/memory/0"], services=[lab.Identify(), gossip]) as alice,
        lab.Host(listen=["/memory/0"], services=[lab.Identify(), GossipSub()]) as bob,
    ):
        await bob.connect(alice.addrs[0])
        async with asyncio.timeout(60):
            while not alice.peers:
                await asyncio.sleep(0.01)
        assert score_parts(gossip, bob.peer_id) == ScoreParts(-3.0, 0, 0, 0, 0, 0, 0, 0, 0)


def test_who_cannot_judge() -> None:
    with pytest.raises(LocalError, match="have opinions"):
        ScoreBoard([1])  # type: ignore[list-item]
    with pytest.raises(LocalError, match="not 0"):
        ScoreBoard(lab.Host(services=[lab.FloodSub()]))
    with pytest.raises(LocalError, match="the judge is none"):
        ScoreBoard(lab.Host(services=[GossipSub()]), judge="nobody")


def test_a_history_is_bounded() -> None:
    history = ScoreHistory()
    for number in range(MAX_PEERS + 5):
        history.take("judge", 0.0, 1, {f"peer {number}": good(number)})
    for beat in range(MAX_SAMPLES + 5):
        history.take("judge", float(beat), beat, {"peer 0": good(beat)})
    assert len(history.judged("judge")) == MAX_PEERS
    assert len(history.of("judge", "peer 0")) == MAX_SAMPLES
    assert history.of("judge", "peer 0")[-1].beat == MAX_SAMPLES + 4
    assert history.of("nobody", "peer 0") == []
    assert history.judged("judge")[0] == "peer 1"
