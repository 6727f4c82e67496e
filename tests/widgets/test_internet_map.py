"""The map of an internet: what is told, what the buttons do to it, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections.abc import Iterator

import pytest

from libp2p_lab import Host, LabError, LocalError
from libp2p_lab.sim import SYMMETRIC, Internet
from libp2p_lab.sim.events import HostFailure, MachineAdded, PacketDropped, PacketSent
from libp2p_lab.widgets import InternetMap
from libp2p_lab.widgets.internet_model import MAX_PACKETS, InternetModel
from tests.widgets.conftest import Open, Page

PAIR = {("paris", "tokyo"): 0.24}


@pytest.fixture
def net() -> Iterator[Internet]:
    made = Internet(seed=1, regions=PAIR)
    box = made.nat("home", SYMMETRIC, region="paris")
    made.host("alice", region="tokyo")
    made.host("bob", nat=box)
    yield made
    made.close()


def packets(page: Page) -> list[tuple[float, ...]]:
    """All rows that the page was sent."""
    rows: list[tuple[float, ...]] = []
    for message, buffers in page.sent:
        if message["type"] in ("snapshot", "update"):
            values = array("d", buffers[0])
            rows += [tuple(values[at : at + 6]) for at in range(0, len(values), 6)]
    return rows


def states(page: Page) -> dict[str, str]:
    """The last state of each place that the page knows."""
    told = page.of("snapshot") + page.of("update")
    return {place["name"]: place["state"] for message in told for place in message["places"]}


async def test_what_stands_and_what_moves_is_told(net: Internet, open_page: Open) -> None:
    widget = InternetMap(net)
    assert not net.trace.listeners
    page = open_page(widget)
    (snapshot,) = page.of("snapshot")
    told = {place["name"]: place for place in snapshot["places"]}
    assert told.keys() == {"home", "alice", "bob"}
    assert (told["home"]["kind"], told["bob"]["box"]) == ("box", "home")
    assert [region[0] for region in snapshot["regions"]] == ["paris", "tokyo"]

    alice, bob = net.hosts_by_name["alice"], net.hosts_by_name["bob"]
    await net.arun(bob.ping(alice.addrs[0]))
    update = await page.wait_for("update")
    assert update["now"] <= net.now
    async with asyncio.timeout(30):
        while len(packets(page)) < 10:
            await asyncio.sleep(0.01)
            page.draw()
    by_index = {place["index"]: name for name, place in told.items()}
    ways = {(by_index[int(row[0])], by_index[int(row[1])]) for row in packets(page)}
    # What leaves a box is told from the box on.
    assert ways == {("home", "alice"), ("alice", "home"), ("home", "bob")}
    assert all(row[3] < row[4] for row in packets(page)), "a packet arrives after it left"
    page.tell("close")
    assert not net.trace.listeners


async def test_play_pause_and_step(net: Internet, open_page: Open) -> None:
    alice, bob = net.hosts_by_name["alice"], net.hosts_by_name["bob"]
    net.at(0.5, lambda: bob.ping(alice.addrs[0]))
    page = open_page(InternetMap(net))
    page.tell("step")
    assert (await page.wait_for("result"))["text"] == "stepped to the next packet"
    assert net.speed == 0
    async with asyncio.timeout(30):
        while not packets(page):
            await asyncio.sleep(0.01)
            page.draw()
    assert packets(page)[0][3] == net.now
    before = net.now
    page.tell("play", speed=10)
    assert net.speed == 10
    async with asyncio.timeout(30):
        while not any(message["now"] > before + 1 for message in page.of("update")):
            await asyncio.sleep(0.01)
            page.draw()
    page.tell("play", speed=-1)
    assert net.speed == float("inf")
    page.tell("play", speed="fast")
    page.tell("play", speed=0)
    assert net.speed == 0


async def test_a_host_is_crashed_frozen_and_switched_on_again(
    net: Internet, open_page: Open
) -> None:
    page = open_page(InternetMap(net))
    alice = net.hosts_by_name["alice"]
    for number, (action, state) in enumerate(
        [("freeze", "frozen"), ("thaw", "up"), ("crash", "crashed"), ("restart", "up")], 1
    ):
        page.tell(action, name="alice")
        assert (await page.wait_for("result", number))["ok"]
        assert alice.state == state
        async with asyncio.timeout(30):
            while states(page)["alice"] != state:
                await asyncio.sleep(0.01)
                page.draw()
    page.tell("restart", name="alice")
    assert not (await page.wait_for("result", 5))["ok"]
    page.tell("crash", name="home")
    assert (await page.wait_for("result", 6))["text"] == "home has no peer to crash"
    assert net.now == 0, "no time passed"


async def test_a_cable_is_cut_and_mended(net: Internet, open_page: Open) -> None:
    page = open_page(InternetMap(net))
    page.tell("select", name="bob")
    assert page.of("card")[0]["card"]["ips"] == ("192.168.1.2",)
    page.tell("cut", name="bob", other="alice")
    assert (await page.wait_for("result"))["ok"]
    async with asyncio.timeout(30):
        while not any(message.get("cuts") and message["mine"] for message in page.of("update")):
            await asyncio.sleep(0.01)
            page.draw()
    told = next(m for m in page.of("update") if m.get("cuts") and m["mine"])
    (cut,) = told["cuts"]
    assert (cut["a"], cut["b"]) == (("bob",), ("alice",))
    assert told["mine"] == [cut["number"]]
    page.tell("heal", number=cut["number"])
    assert (await page.wait_for("result", 2))["ok"]
    assert not net.network.cuts
    page.tell("cut", name="home")
    await page.wait_for("result", 3)
    assert net.network.cuts[0].event.b == ()
    page.tell("cut", name="nobody")
    assert "no such machine" in (await page.wait_for("result", 4))["text"]
    page.tell("drop")
    assert (await page.wait_for("result", 5))["ok"]
    assert net.network.drop_next == 1


async def test_the_static_form_and_wrong_arguments(net: Internet) -> None:
    heal = net.partition(net.hosts_by_name["alice"])
    net.machine("<odd>", region="tokyo")
    widget = InternetMap(net)
    assert widget.summary() == "3 machines, 1 box, 1 cut, 0.000 s"
    bundle = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "all others" in bundle["text/plain"]
    assert "&lt;odd&gt;" in bundle["text/html"]
    assert "<odd>" not in bundle["text/html"]
    assert not net.trace.listeners
    heal()
    widget.close()
    async with Host() as host:
        with pytest.raises(LocalError, match="shows an Internet"):
            InternetMap(host)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="above 0"):
        InternetMap(net, speed=0)


def test_what_waits_is_bounded() -> None:
    model = InternetModel()
    for name in ("a", "b"):
        model.take(0.0, MachineAdded(name, ("11.0.0.1",), "here", "", ""))
    for number in range(MAX_PACKETS + 5):
        model.take(number, PacketSent(number, "data", "a", "b", "", "", 100, number + 1.0))
        model.take(number, PacketDropped(number, "b", "queue full"))
        model.take(number, HostFailure("a", "ValueError: no"))
    model.take(0.0, PacketSent(0, "data", "a", "unknown", "", "", 100, 1.0))
    message, rows = model.changes()
    assert len(rows) == MAX_PACKETS * 6 * 8
    assert array("d", rows)[3] == 5.0, "the oldest are forgotten"
    assert message["drops"] == {"queue full": MAX_PACKETS + 5}
    assert len(model.failures) == 20
    assert model.changes() == ({"places": [], "drops": message["drops"], "lost": []}, b"")


def talkative() -> Internet:
    """Two machines, one of which pings the other without end."""
    made = Internet(seed=4, regions=PAIR)
    alice, bob = made.host("alice", region="tokyo"), made.host("bob", region="paris")

    async def talk() -> None:
        while True:
            with contextlib.suppress(LabError):
                await bob.ping(alice.addrs[0])
            await asyncio.sleep(0.5)

    made.at(1.0, talk)
    return made


async def test_it_goes_back_by_running_again(open_page: Open) -> None:
    """The same moment, with what was done through the map before it, and without what came after."""
    widget = InternetMap(talkative)
    page = open_page(widget)
    assert page.of("snapshot")[0]["can_go_back"]
    first = widget.net
    page.tell("seek", time=3.0)
    await page.wait_for("result")
    assert first.now == 3.0
    page.tell("cut", name="bob", other="alice")
    await page.wait_for("result", 2)
    page.tell("seek", time=6.0)
    await page.wait_for("result", 3)
    digest = first.digest()
    page.tell("seek", time=7.0)
    await page.wait_for("result", 4)
    page.tell("crash", name="alice")
    await page.wait_for("result", 5)
    page.tell("seek", time=6.0)
    assert (await page.wait_for("result", 6))["text"] == "run again, to 6 s"
    await page.wait_for("snapshot", 2)
    assert widget.net is not first
    assert widget.net.now == 6.0
    assert widget.net.digest() == digest, "the same run, the cut included"
    shown = page.of("snapshot")[-1]
    assert {place["name"]: place["state"] for place in shown["places"]} == {
        "alice": "up",
        "bob": "up",
    }
    assert len(shown["mine"]) == 1
    page.tell("seek", time=2.0)
    await page.wait_for("result", 7)
    await page.wait_for("snapshot", 3)
    assert page.of("snapshot")[-1]["cuts"] == []
    widget.net.close()


async def test_without_a_function_it_goes_on_only(net: Internet, open_page: Open) -> None:
    page = open_page(InternetMap(net))
    for odd in (None, "3", float("nan"), True):
        page.tell("seek", time=odd)
    page.tell("seek", time=2.5)
    assert (await page.wait_for("result"))["text"] == "it is 2.5 s"
    assert net.now == 2.5
    page.tell("seek", time=1)
    answer = await page.wait_for("result", 2)
    assert not answer["ok"]
    assert "give it a function" in answer["text"]
