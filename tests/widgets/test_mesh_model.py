"""What a mesh's picture knows, told by hand: links and their styles, waves, decisions, bounds."""

from __future__ import annotations

from typing import Any

import pytest

from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened
from libp2p_lab.pubsub import RPC, Message
from libp2p_lab.pubsub.events import FanoutChosen, Grafted, GraftRefused, Heartbeat, Pruned
from libp2p_lab.pubsub.pubsub_messages import ControlIHave, SubOpts
from libp2p_lab.trace import Direction, Entry
from libp2p_lab.widgets.mesh_model import MAX_PULSES, MAX_WAVES, PULSES, STYLES, MeshModel
from libp2p_lab.widgets.mesh_records import MAX_DECISIONS, Wave


class Story:
    """Tells a model what happens, in order."""

    def __init__(self) -> None:
        self.model = MeshModel()
        self.time = 0.0

    def tell(
        self,
        node: str,
        what: object,
        layer: str = "pubsub",
        link: str = "",
        to: Direction = "event",
    ) -> None:
        self.time += 0.001
        self.model.take(Entry(self.time, node, layer, link, to, 0, what))

    def connect(self, a: str, b: str) -> None:
        for one, other, direction in ((a, b, "outbound"), (b, a, "inbound")):
            opened: Any = ConnectionOpened(other, direction, "", "", "tcp", "noise", "yamux")
            self.tell(one, opened, "host", f"to {other}")

    def say(self, a: str, b: str, rpc: RPC) -> None:
        self.tell(a, rpc, link=f"to {b}/1", to="sent")
        self.tell(b, rpc, link=f"to {a}/2", to="received")

    def style(self, a: str, b: str, topic: str = "t") -> str:
        ends = {self.model.member(a).index, self.model.member(b).index}
        return next(STYLES[row[2]] for row in self.model.styles(topic) if {*row[:2]} == ends)


@pytest.fixture
def story() -> Story:
    """Four peers: a–b, b–c, c–a, c–d; all but d want the topic."""
    made = Story()
    for a, b in (("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")):
        made.connect(a, b)
    hello = RPC(subscriptions=(SubOpts(True, "t"),))
    for a, b in (("a", "b"), ("b", "c"), ("c", "a")):
        made.say(a, b, hello)
    return made


def message(seqno: int, author: bytes = b"a", topic: str = "t", data: bytes = b"hello") -> RPC:
    return RPC(publish=(Message(topic, data, author, seqno.to_bytes(8, "big")),))


def test_each_link_has_one_style(story: Story) -> None:
    assert {story.style(*pair) for pair in ("ab", "bc", "ac")} == {"gossip"}
    assert story.style("c", "d") == "other"
    story.tell("a", Grafted("b", "t", "2 members"))
    assert story.style("a", "b") == story.style("b", "a") == "mesh"
    assert story.style("a", "b", "u") == "other", "a mesh is a topic's"
    story.tell("d", FanoutChosen("t", ("c",)))
    assert story.style("c", "d") == "fanout"
    story.tell("d", FanoutChosen("t", ()))
    story.tell("a", Pruned("b", "t", "too many"))
    assert story.style("a", "b") == "gossip"
    assert story.style("c", "d") == "other"
    assert story.model.summary("t") == "4 peers, 0 mesh links, 3 for gossip only"


def test_floods_are_links_of_a_mesh(story: Story) -> None:
    for name in "abcd":
        story.model.member(name, kind="flood")
    assert {story.style(*pair) for pair in ("ab", "bc", "ac")} == {"mesh"}
    assert story.style("c", "d") == "other"
    assert "3 links that flood" in story.model.summary("t")


def test_a_closed_connection_ends_membership(story: Story) -> None:
    story.tell("a", Grafted("b", "t", ""))
    story.tell("a", ConnectionClosed("b", ""), "host", "to b")
    assert story.style("a", "b") == "mesh", "one end has not noticed"
    story.tell("b", ConnectionClosed("a", ""), "host", "to a")
    assert len(story.model.links) == 3
    assert not story.model.mesh["t"][story.model.member("a").index]


def test_who_is_gone_has_no_links(story: Story) -> None:
    story.tell("a", Grafted("c", "t", ""))
    story.model.gone("c")
    assert list(story.model.links) == [(0, 1)]
    assert story.model.summary("t").endswith("1 gone")
    assert not story.model.mesh["t"][0]
    story.model.back("c")
    story.connect("a", "c")
    assert len(story.model.links) == 2


def test_a_wave_is_followed_hop_by_hop(story: Story) -> None:
    one = message(1)
    for a, b in (("a", "b"), ("a", "c"), ("b", "c"), ("c", "b"), ("c", "d")):
        story.say(a, b, one)
    (wave,) = story.model.waves.values()
    assert (wave.topic, wave.origin, wave.copies, wave.duplicates) == ("t", 0, 5, 2)
    assert (wave.reached, wave.depth) == (3, 2)
    assert [row[:4] for row in wave.rows] == [
        (0, 1, 1, 1),
        (0, 2, 1, 1),
        (1, 2, 0, 2),
        (2, 1, 0, 2),
        (2, 3, 1, 2),
    ]
    assert wave.size == len(one.encode())
    totals = story.model.totals
    assert (totals["copies"], totals["duplicates"]) == (5, 2)
    assert totals["messages"] == 5 * wave.size
    assert story.model.member("b").duplicates == 1
    assert story.model.topics == ["t"]


def test_only_new_rows_are_told(story: Story) -> None:
    story.say("a", "b", message(1))
    (wave,) = story.model.waves.values()
    first = wave.record()
    assert (first["at"], len(first["rows"])) == (0, 5)
    story.say("b", "c", message(1))
    second = wave.record()
    assert (second["at"], len(second["rows"])) == (1, 5)
    assert wave.record()["rows"] == []


def test_messages_without_author_or_number_are_told_apart(story: Story) -> None:
    for data in (b"x", b"y"):
        story.say("a", "b", RPC(publish=(Message("t", data),)))
    story.say("b", "c", RPC(publish=(Message("t", b"x"),)))
    assert [wave.copies for wave in story.model.waves.values()] == [2, 1]


def test_decisions_belong_to_heartbeats(story: Story) -> None:
    story.tell("a", Heartbeat(1, (("t", 0),)))
    story.tell("a", Grafted("b", "t", "0 members, D_low is 5"))
    story.tell("a", GraftRefused("c", "t", "it is in back-off"))
    story.tell("a", Heartbeat(2, (("t", 1),)))
    member = story.model.member("a")
    assert [str(one) for one in member.latest] == [
        "grafted b in t: 0 members, D_low is 5",
        "refused the graft of c in t: it is in back-off",
    ]
    assert {one.beat for one in member.latest} == {2}
    assert member.sizes == {"t": 1}
    story.tell("a", Pruned("b", "t", "it pruned us"))
    assert str(member.latest[-1]) == "pruned b in t: it pruned us"
    story.tell("a", Heartbeat(3, (("t", 0),)))
    assert [one.kind for one in member.latest] == ["prune"]
    assert [one.beat for one in member.decisions] == [2, 2, 3]
    assert member.told("t")["mesh"] == 0


def test_control_messages_are_shown_once(story: Story) -> None:
    story.say("a", "b", RPC(ihave=(ControlIHave("t", (b"x",)),)))
    assert story.model.take_pulses() == [(0, 1, PULSES.index("ihave"))]
    assert story.model.take_pulses() == []
    assert story.model.totals["ihave"] == 1
    assert story.model.totals["control"] > 0


def test_everything_is_bounded(story: Story) -> None:
    for number in range(MAX_WAVES + 5):
        story.say("a", "b", message(number))
    assert len(story.model.waves) == MAX_WAVES
    for _ in range(MAX_PULSES + 5):
        story.say("a", "b", RPC(ihave=(ControlIHave("t", (b"x",)),)))
    assert len(story.model.take_pulses()) == MAX_PULSES
    for _ in range(MAX_DECISIONS + 5):
        story.tell("a", Grafted("b", "t", ""))
    assert len(story.model.member("a").decisions) == MAX_DECISIONS


def test_rows_are_bounded_and_copies_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libp2p_lab.widgets.mesh_records.MAX_ROWS", 3)
    wave = Wave("k", "t", 0, 0.0, 10)
    for receiver in range(1, 6):
        assert wave.copy(0, receiver, 0.1)
    assert (len(wave.rows), wave.copies, wave.reached) == (3, 5, 5)


def test_what_comes_over_an_unknown_connection_is_left_out() -> None:
    story = Story()
    story.say("a", "b", message(1))
    assert not story.model.waves
    story.tell("a", b"bytes", link="1", to="sent")
    story.tell("a", "a stranger's event")
    assert story.model.totals.total() == 0
