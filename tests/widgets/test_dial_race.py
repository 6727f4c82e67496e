"""A dial drawn from its trace: who starts when, who is broken, who wins; and what is done through the page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.host.events import ConnectionOpened, DialFailed, DialStarted
from libp2p_lab.trace import Entry
from libp2p_lab.widgets import DialRace
from libp2p_lab.widgets.dial_bench import ADDRESSES, AT_HOME, ORDERS, STATES, Scene, run
from libp2p_lab.widgets.dial_model import Race, last_race
from tests.widgets.conftest import Open

QUICS = ("QUIC, IPv6", "QUIC, IPv4")


def lane(race: Race, name: str, scene: Scene | None = None):
    addr = (scene or Scene()).addr(name)
    return next(one for one in race.lanes if one.addr == addr)


def test_all_is_well() -> None:
    race = run(Scene())
    assert race.is_over
    assert race.winner is lane(race, "QUIC, IPv6")
    assert race.seconds == pytest.approx(0.1, abs=0.01)  # one round trip
    assert lane(race, AT_HOME).outcome == "called off"
    assert lane(race, "QUIC, IPv4").outcome == "not needed"
    assert [one.planned for one in race.lanes] == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert race.attempts == 2
    assert "Connected in 10" in race.summary()


def test_without_udp_tcp_wins_after_two_head_starts() -> None:
    race = run(Scene(is_udp_blocked=True))
    winner = lane(race, "TCP, IPv6")
    assert race.winner is winner
    assert winner.start == pytest.approx(0.5)
    assert [name for name, _, _ in winner.stages] == ["reaching", "securing"]
    assert race.seconds == pytest.approx(0.7, abs=0.01)
    assert {lane(race, name).outcome for name in QUICS} == {"called off"}


def test_what_refuses_gives_its_place_at_once_and_what_is_silent_does_not() -> None:
    quiet = tuple((name, "silent") for name in QUICS)
    scene = Scene(broken=(*quiet, ("TCP, IPv6", "refuses")))
    race = run(scene)
    refused = lane(race, "TCP, IPv6", scene)
    assert "ConnectionRefusedError" in refused.cause
    assert race.winner is lane(race, "TCP, IPv4", scene)
    assert lane(race, "TCP, IPv4", scene).start == refused.end  # not at 0.75 s
    scene = Scene(broken=(*quiet, ("TCP, IPv6", "silent")))
    assert lane(run(scene), "TCP, IPv4", scene).start == pytest.approx(0.75)


def test_the_orders() -> None:
    blocked = {order: run(Scene(is_udp_blocked=True, order=order)) for order in ORDERS}
    assert blocked["at once"].seconds < blocked["staggered"].seconds < blocked["one by one"].seconds
    assert blocked["at once"].attempts == 6
    assert blocked["one by one"].seconds > 5  # it had to find out that nobody answers


def test_nobody_is_reached() -> None:
    race = run(Scene(broken=tuple((name, "silent") for name in ADDRESSES if name != AT_HOME)))
    assert race.is_over
    assert race.winner is None
    assert {one.outcome for one in race.lanes} == {"failed"}
    assert race.summary().startswith("Nobody reached in 6.00 s")


def test_the_same_scene_the_same_race() -> None:
    scene = Scene(loss=0.2, seed=7)
    times = [[(one.outcome, one.start) for one in run(scene).lanes] for _ in range(2)]
    assert times[0] == times[1]


def test_what_is_no_scene() -> None:
    for wrong in (
        {"delay": -1.0},
        {"loss": 0.9},
        {"order": "at random"},
        {"broken": (("carrier pigeon", "silent"),)},
        {"broken": ((AT_HOME, "works"),)},
        {"broken": (("TCP, IPv4", "asleep"),)},
    ):
        with pytest.raises(lab.LocalError):
            Scene(**wrong)


# -- the model ------------------------------------------------------------------------------------

ADDRS = ("/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/udp/2/quic-v1")
facts = st.one_of(
    st.builds(DialStarted, st.just("p"), st.sampled_from(ADDRS)),
    st.builds(DialFailed, st.just("p"), st.sampled_from(ADDRS), st.just("no")),
    st.builds(
        ConnectionOpened,
        st.just("p"),
        st.sampled_from(("inbound", "outbound")),
        *[st.just("/ip4/1.1.1.1/tcp/1")] * 2,
        *[st.just("x")] * 3,
    ),
    st.just(b"bytes"),
)
entries = st.lists(
    st.builds(
        lambda node, layer, link, what: (node, layer, link, what),
        st.sampled_from("ab"),
        st.sampled_from(("host", "negotiation", "security", "transport")),
        st.sampled_from(("", "1", "2", "2/1")),
        facts,
    ),
    max_size=30,
)


@given(entries)
@settings(max_examples=50)
def test_any_record_is_a_race(found: list[tuple[str, str, str, object]]) -> None:
    race = last_race(
        Entry(float(at), node, layer, link, "event", 0, what)  # type: ignore[arg-type]
        for at, (node, layer, link, what) in enumerate(found)
    )
    assert race.seconds >= 0
    assert race.summary()
    assert sum(one.outcome == "won" for one in race.lanes) <= 1
    for one in race.lanes:
        assert all(start <= end for _, start, end in one.stages)


async def test_a_real_dial_over_loopback() -> None:
    listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]
    async with lab.Host(listen=listen) as alice, lab.Host() as bob:
        live = DialRace(bob)
        with lab.record(bob) as log:
            dead = "/ip4/127.0.0.1/tcp/1"
            await bob.connect(lab.PeerInfo(alice.peer_id, [*alice.addrs, lab.Multiaddr(dead)]))
        for race in (live.race, DialRace(log).race):
            assert race.winner is not None
            assert race.winner.transport == "QUIC"
            assert race.is_over
        with pytest.raises(lab.LocalError):
            live.dial(delay=0.1)
        live.close()
        assert bob.trace.listeners == ()


async def test_a_live_host_is_listened_to_while_somebody_looks(open_page: Open) -> None:
    async with lab.Host(listen=["/memory/0"]) as alice, lab.Host() as bob:
        page = open_page(DialRace(bob))
        assert page.of("race")[-1]["lanes"] == []
        await bob.connect(alice.addrs[0])
        told = await page.wait_for("race", len(page.of("race")) + 1)
        while told["lanes"][0]["outcome"] == "running":
            told = await page.wait_for("race", len(page.of("race")) + 1)
        assert [one["outcome"] for one in told["lanes"]] == ["won"]
        assert told["scene"] is None
        page.tell("udp", value=True)  # nothing here can be changed
        page.tell("close")
        assert bob.trace.listeners == ()


def test_without_a_dial() -> None:
    assert last_race(()).summary() == "Nobody has been dialed yet."
    with pytest.raises(lab.LocalError):
        DialRace("alice")  # type: ignore[arg-type]


# -- the page -------------------------------------------------------------------------------------


async def test_the_page_breaks_and_mends(open_page: Open) -> None:
    page = open_page(DialRace())
    first = page.of("race")[-1]
    assert first["scene"]["states"] == {name: "works" for name in ADDRESSES if name != AT_HOME}
    assert [one["name"] for one in first["lanes"]][:2] == [AT_HOME, "QUIC, IPv6"]

    async def tell(kind: str, **content: object):
        before = len(page.of("race"))
        page.tell(kind, **content)
        return await page.wait_for("race", before + 1)

    assert (await tell("udp", value=True))["scene"]["udp_blocked"] is True
    assert (await tell("order", value="at once"))["scene"]["order"] == "at once"
    assert (await tell("delay", value=9999))["scene"]["delay"] == 500
    assert (await tell("loss", value=3))["scene"]["loss"] == 3
    told = await tell("lane", name="TCP, IPv6", state="refuses")
    assert told["scene"]["states"]["TCP, IPv6"] == "refuses"
    assert any("ConnectionRefused" in one["cause"] for one in told["lanes"])
    await tell("again")
    assert (await tell("reset"))["scene"] == first["scene"]


async def test_what_the_page_may_not_say(open_page: Open) -> None:
    race = DialRace()
    page = open_page(race)
    for kind, content in (
        ("delay", {"value": "much"}),
        ("order", {"value": "at random"}),
        ("lane", {"name": AT_HOME, "state": "works"}),
        ("lane", {"name": "TCP, IPv4", "state": "asleep"}),
        ("udp", {"value": 1}),
        ("dance", {}),
    ):
        page.tell(kind, **content)
    assert race.scene == Scene()


def test_from_python(open_page: Open) -> None:
    race = DialRace(scene=Scene(delay=0.1))
    assert race.race.seconds == pytest.approx(0.2, abs=0.01)
    assert race.dial(is_udp_blocked=True).winner.transport == "TCP"  # type: ignore[union-attr]
    assert race.scene.is_udp_blocked
    assert set(STATES) == {"works", "refuses", "silent"}


def test_the_static_form() -> None:
    bundle = DialRace()._repr_mimebundle_()
    assert "Connected in" in bundle["text/plain"]
    assert "not needed" in bundle["text/plain"]
    assert "<svg" in bundle["text/html"]
    assert 'role="img"' in bundle["text/html"]
