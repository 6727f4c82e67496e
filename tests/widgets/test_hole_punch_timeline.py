"""A hole being punched, drawn from traces: arrows that pass the relay, the round trip, the crossing; and the page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.nat.dcutr_messages import Connect, Sync
from libp2p_lab.nat.events import (
    PunchDialEnded,
    PunchDialStarted,
    PunchEnded,
    PunchStarted,
    RoundTripMeasured,
)
from libp2p_lab.sim import PORT_RESTRICTED
from libp2p_lab.sim.punching import Street
from libp2p_lab.trace import Entry
from libp2p_lab.widgets import HolePunchTimeline
from libp2p_lab.widgets.punch_bench import ROUTERS, Scene, run
from libp2p_lab.widgets.punch_model import RELAY, A, B, Story, last_story
from tests.widgets.conftest import Open


@pytest.fixture(scope="module")
def usual() -> Story:
    return run(Scene())


def test_the_story_of_an_ordinary_punch(usual: Story) -> None:
    assert (usual.outcome, usual.attempts) == ("punched", 1)
    assert [mark.lanes for mark in usual.of("CONNECT")] == [(B, A), (A, B)]
    assert [mark.lanes for mark in usual.of("SYNC")] == [(B, A)]
    for mark in (*usual.of("CONNECT"), *usual.of("SYNC")):
        left, passed, arrived = mark.times
        assert left < passed < arrived, "it goes through the relay's hands"
    [trip], [half] = usual.of("round trip"), usual.of("half")
    assert usual.rtt == pytest.approx(0.28, abs=0.01)
    assert half.times[1] - half.times[0] == pytest.approx(usual.rtt / 2)
    assert trip.lanes == half.lanes == (B,)
    assert {mark.lanes[0] for mark in usual.of("dial")} == {A, B}
    assert {mark.lanes[0] for mark in usual.of("direct")} == {A, B}
    assert {mark.lanes[0] for mark in usual.of("closed")} == {A, B}
    assert min(m.times[0] for m in usual.of("closed")) > max(m.times[0] for m in usual.of("direct"))
    assert not any(RELAY in mark.lanes for mark in usual.marks), "it dials nobody"


def test_the_two_syns_cross_in_the_middle_if_the_ways_are_even(usual: Story) -> None:
    [crossing] = usual.of("crossing")
    when, share = crossing.times
    assert share == pytest.approx(0.5, abs=0.02)
    first = [next(m for m in usual.of("packet") if m.lanes[0] == lane) for lane in (A, B)]
    assert all(mark.times[0] < when < mark.times[1] for mark in first)
    assert not crossing.is_bad
    assert not crossing.is_guess


def test_too_early_the_first_packets_do_not_cross_and_are_refused() -> None:
    rude = "home router that refuses"
    story = run(Scene(a=rude, b=rude, wait=0.0))
    crossing = story.of("crossing", 1)[0]
    assert crossing.is_bad
    assert "do not cross" in crossing.text
    assert any("refused" in mark.text and mark.is_bad for mark in story.of("dial", 1))


def test_three_tries_in_vain() -> None:
    story = run(Scene(a="symmetric"))
    assert (story.outcome, story.attempts) == ("failed", 3)
    assert [len(story.of("round trip", attempt)) for attempt in (1, 2, 3)] == [1, 1, 1]
    assert all(mark.is_bad for mark in story.of("packet"))
    assert "filtered" in story.of("packet")[0].text
    assert {mark.lanes[0] for mark in story.of("given up")} == {A, B}
    assert story.summary().startswith("Not punched: 3 exchanges")
    assert len(story.scale(2)) < len(story.scale())


def test_over_quic_b_sends_datagrams() -> None:
    story = run(Scene(kind="quic", jitter=0.02))
    assert story.outcome == "punched"
    [dial] = [mark for mark in story.of("dial") if mark.lanes == (B,)]
    assert "sends datagrams" in dial.text


def test_the_scale_keeps_order_and_cuts_long_waits(usual: Story) -> None:
    scale = usual.scale()
    assert scale[0][1] == 0.0
    assert scale[-1][1] == 1.0
    assert scale == sorted(scale)
    places = dict(scale)
    direct = max(m.times[0] for m in usual.of("direct"))
    assert places[direct] > direct / scale[-1][0], "two idle seconds do not take their share"


def test_the_same_scene_the_same_story() -> None:
    assert run(Scene(jitter=0.03, seed=5)).marks == run(Scene(jitter=0.03, seed=5)).marks


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "carrier pigeon"},
        {"a": "open door"},
        {"direct": 9.0},
        {"jitter": -1.0},
        {"wait": 0.3},
    ],
)
def test_what_is_no_scene(wrong) -> None:
    with pytest.raises(lab.LocalError):
        Scene(**wrong)


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_record_of_the_two_alone_is_drawn_with_a_guess() -> None:
    street = Street(PORT_RESTRICTED, PORT_RESTRICTED)
    with street.net as net, lab.record(street.alice, street.bob) as log:
        net.run(street.meet())
        names = {str(street.alice.peer_id): "alice", str(street.bob.peer_id): "bob"}
        shown = HolePunchTimeline(log, names=names)
    story = shown.story
    assert story.names == ("bob", "relay", "alice")
    assert len(story.of("packet")) == 2
    assert all(mark.is_guess for mark in story.of("packet"))
    assert all(len(mark.times) == 2 for mark in story.of("SYNC")), "nobody saw it at the relay"
    with pytest.raises(lab.LocalError, match="homes of its own"):
        shown.meet(kind="quic")


def test_one_side_alone_is_enough_for_half_a_picture() -> None:
    street = Street(PORT_RESTRICTED, PORT_RESTRICTED)
    with street.net as net, lab.record(street.alice) as log:
        net.run(street.meet())
    story = last_story(log)
    assert story.outcome == "punched"
    assert all(mark.is_guess for mark in story.of("SYNC"))


ADDR = "/ip4/192.0.2.1/tcp/1"
facts = st.one_of(
    st.just(Connect((Multiaddr(ADDR),))),
    st.just(Sync()),
    st.builds(RoundTripMeasured, st.sampled_from("ab"), st.integers(1, 3), st.just(0.1)),
    st.builds(
        PunchStarted,
        st.sampled_from("ab"),
        st.integers(1, 3),
        st.sampled_from(("initiator", "receiver")),
        st.just((ADDR,)),
    ),
    st.builds(PunchDialStarted, st.just("b"), st.integers(1, 3), st.just(ADDR), st.just("client")),
    st.builds(PunchDialEnded, st.just("b"), st.integers(1, 3), st.just(ADDR)),
    st.builds(PunchEnded, st.just("b"), st.sampled_from(("punched", "failed")), st.integers(0, 3)),
    st.just(ConnectionOpened("b", "inbound", ADDR, ADDR, "tcp", "noise", "yamux")),
    st.just(ConnectionClosed("b", "closed")),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abr"),
            st.sampled_from(("1", "2", "1/4")),
            st.sampled_from(("sent", "received", "event")),
            facts,
        ),
        max_size=25,
    )
)
@settings(max_examples=80)
def test_any_record_is_a_story(found) -> None:
    entries = [
        Entry(float(at), node, "dcutr", link, direction, 0, what)
        for at, (node, link, direction, what) in enumerate(found)
    ]
    story = last_story(entries)
    assert story.summary()
    for mark in story.marks:
        assert mark.text
        assert mark.moments == tuple(sorted(mark.moments))
        assert set(mark.lanes) <= {A, RELAY, B}
    for attempt in range(story.attempts + 1):
        assert all(0 <= place <= 1 for _, place in story.scale(attempt))


def test_nothing_and_nonsense() -> None:
    assert last_story(()).summary() == "Nobody has tried to punch a hole yet."
    for wrong in ("alice", 7, [], ["alice"]):
        with pytest.raises(lab.LocalError):
            HolePunchTimeline(wrong)  # type: ignore[arg-type]


async def test_live_hosts_are_listened_to_while_somebody_looks(open_page: Open) -> None:
    async with lab.Host(listen=["/memory/0"]) as alice, lab.Host() as bob:
        timeline = HolePunchTimeline([alice, bob])
        page = open_page(timeline)
        assert page.of("story")[-1]["marks"] == []
        assert page.of("story")[-1]["scene"] is None
        page.tell("again")  # nothing here can be changed
        page.tell("close")
        assert alice.trace.listeners == bob.trace.listeners == ()


# -- the page ---------------------------------------------------------------------------------------------------------


async def test_the_page_changes_the_scene(open_page: Open) -> None:
    timeline = HolePunchTimeline()
    page = open_page(timeline)
    first = page.of("story")[-1]
    assert first["outcome"] == "punched"
    assert first["scene"]["routers"] == list(ROUTERS)

    async def tell(kind: str, **content: object):
        before = len(page.of("story"))
        page.tell(kind, **content)
        return await page.wait_for("story", before + 1)

    assert (await tell("a_relay", value=100))["scene"]["a_relay"] == 100
    assert (await tell("b_relay", value=9999))["scene"]["b_relay"] == 400
    assert (await tell("direct", value=0))["scene"]["direct"] == 1
    assert (await tell("jitter", value=20))["scene"]["jitter"] == 20
    assert (await tell("wait", value=2))["scene"]["wait"] == 2
    assert (await tell("kind", value="quic"))["scene"]["kind"] == "quic"
    told = await tell("router", side="b", value="symmetric")
    assert (told["outcome"], told["attempts"], len(told["scales"])) == ("failed", 3, 4)
    await tell("again")
    assert timeline.scene.seed == 2
    assert (await tell("reset"))["scene"] == first["scene"]


async def test_what_the_page_may_not_say(open_page: Open) -> None:
    timeline = HolePunchTimeline()
    page = open_page(timeline)
    for kind, content in (
        ("kind", {"value": "sctp"}),
        ("router", {"side": "c", "value": "symmetric"}),
        ("router", {"side": "a", "value": "open door"}),
        ("wait", {"value": 7}),
        ("direct", {"value": "far"}),
        ("dance", {}),
    ):
        page.tell(kind, **content)
    assert timeline.scene == Scene()


def test_from_python_and_the_static_form() -> None:
    timeline = HolePunchTimeline(scene=Scene(direct=0.03))
    assert timeline.meet(kind="quic").outcome == "punched"
    bundle = timeline._repr_mimebundle_()
    assert "Punched after 1 exchange" in bundle["text/plain"]
    assert "SYNC from B to A" in bundle["text/plain"]
    assert 'role="img"' in bundle["text/html"]
    assert "<polyline" in bundle["text/html"]
    timeline.close()
