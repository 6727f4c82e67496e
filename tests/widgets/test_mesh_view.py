"""MeshView on live hosts, on simulated ones, on a recording: what is told, and what the pokes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab import GossipSubParameters, Host, LocalError
from libp2p_lab.pubsub import FloodSubRouter, PubSub
from libp2p_lab.widgets import MeshView
from libp2p_lab.widgets.mesh_twins import twins
from libp2p_lab.widgets.mesh_world import SYBILS, World
from tests.widgets.conftest import Open, Page

pytestmark = pytest.mark.timeout(180)
SMALL = GossipSubParameters(D=2, D_low=2, D_high=3, D_score=1, D_out=0, heartbeat_interval=0.05)


@pytest.fixture
async def peers() -> AsyncIterator[dict[str, Host]]:
    """Five live peers, all connected with all; the last wants nothing."""
    async with AsyncExitStack() as stack:
        made = {}
        for name in "abcde":
            services = [lab.Identify(), lab.GossipSub(SMALL)]
            host = lab.Host(listen=["/memory/0"], services=services)
            made[name] = await stack.enter_async_context(host)
        hosts = list(made.values())
        for number, host in enumerate(hosts):
            for other in hosts[number + 1 :]:
                await host.connect(other.addrs[0])
        for host in hosts[:4]:
            await host.pubsub.subscribe("news")
        async with asyncio.timeout(60):
            while not all(len(host.pubsub.mesh("news")) >= 2 for host in hosts[:4]):
                await asyncio.sleep(0.01)
            while len(made["e"].pubsub.peers("news")) < 4:
                await asyncio.sleep(0.01)
        yield made


@pytest.fixture(scope="module")
def nets() -> Iterator[Any]:
    made = twins("news", peers=8, degree=6)
    yield made
    for net, _ in made:
        net.close()


async def until(page: Page, holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)
            page.draw()


def newest(page: Page, key: str, world: int = 0) -> Any:
    """What the page was told last of one thing in a network."""
    told = page.of("snapshot") + page.of("update")
    return next(
        message["worlds"][world][key]
        for message in reversed(told)
        if key in message["worlds"][world]
    )


async def test_live_peers_are_told(peers: dict[str, Host], open_page: Open) -> None:
    view = MeshView(peers)
    assert view.topic == "news"
    page = open_page(view)
    (snapshot,) = page.of("snapshot")
    (world,) = snapshot["worlds"]
    assert [one["name"] for one in world["members"]] == list("abcde")
    assert [one["wants"] for one in world["members"]] == [True] * 4 + [False]
    assert len(world["links"]) == 10
    assert (world["title"], world["simulated"], world["playing"]) == ("GossipSub", False, True)
    assert snapshot["parameters"]["D"] == 2
    assert snapshot["topics"] == ["news"]

    # Who wants nothing publishes through a fan-out, and everybody else gets it.
    await view.publish("e", 50)
    await until(page, lambda: [w for m in page.of("update") for w in m["worlds"][0]["waves"]])
    await until(page, lambda: _reached(page) == 4)
    page.tell("close")
    assert not any(host.trace.listeners for host in peers.values())


def _reached(page: Page) -> int:
    waves = [wave for one in page.of("update") for wave in one["worlds"][0]["waves"]]
    return max((wave["reached"] for wave in waves), default=0)


async def test_fanout_links_have_their_style(peers: dict[str, Host], open_page: Open) -> None:
    peers["e"].pubsub.use(GossipSubParameters(**{**_plain(SMALL), "flood_publish": False}))
    page = open_page(MeshView(peers))
    await peers["e"].pubsub.publish("news", b"hello")
    fanout = page.of("snapshot")[0]["styles"].index("fanout")
    await until(page, lambda: any(row[2] == fanout for row in newest(page, "links")))
    page.tell("select", world=0, name="e")
    await until(page, lambda: page.of("update") and page.of("update")[-1]["card"])
    card = page.of("update")[-1]["card"]
    assert card["fanouts"][0][0] == "news"
    assert len(card["fanouts"][0][1]) == 2


def _plain(parameters: GossipSubParameters) -> dict[str, float]:
    import dataclasses

    return dataclasses.asdict(parameters)


async def test_hearts_stand_still_and_beat_on_request(
    peers: dict[str, Host], open_page: Open
) -> None:
    view = MeshView(peers)
    page = open_page(view)
    page.tell("pause")
    assert all(host.pubsub.is_paused for host in peers.values())
    await asyncio.sleep(0.1)  # a heartbeat that had begun is over
    view._drain()
    before = [member.beat for member in view._worlds[0].model.members.values()]
    page.tell("watch", decisions=True)
    page.tell("beat")
    assert (await page.wait_for("result"))["text"] == "one heartbeat of everybody"
    view._drain()
    after = [member.beat for member in view._worlds[0].model.members.values()]
    assert after == [beat + 1 if beat else after[at] for at, beat in enumerate(before)]
    await until(page, lambda: any("decided" in one["worlds"][0] for one in page.of("update")))
    await until(page, lambda: newest(page, "decided")[0]["beat"] == after[0])
    assert "members" in newest(page, "decided")[0]["verdict"]
    page.tell("play", speed=1)
    assert not any(host.pubsub.is_paused for host in peers.values())
    page.tell("pause")
    page.tell("close")
    assert not any(host.pubsub.is_paused for host in peers.values()), "nobody is left without pulse"


async def test_a_drawer_holds_all_that_a_peer_knows(
    peers: dict[str, Host], open_page: Open
) -> None:
    view = MeshView(peers)
    page = open_page(view)
    await view.publish("a")
    page.tell("select", world=0, name="b")
    await page.wait_for("update")
    await until(page, lambda: page.of("update")[-1]["card"])
    await until(page, lambda: page.of("update")[-1]["card"]["seen"] == 1)
    card = page.of("update")[-1]["card"]
    assert card["name"] == "b"
    assert card["meshes"][0][0] == "news"
    assert set(card["meshes"][0][1]) <= set("acd")
    assert card["window_count"] == 5
    assert [name for name, *_ in card["scores"]]
    assert all(len(parts) == 8 for _, _, parts in card["scores"])
    page.tell("select", world=0, name="nobody")
    await until(page, lambda: page.of("update")[-1]["card"] is None)


async def test_a_silent_peer_takes_and_gives_nothing(
    peers: dict[str, Host], open_page: Open
) -> None:
    page = open_page(MeshView(peers))
    page.tell("silence", name="a")
    assert "gives nothing" in (await page.wait_for("result"))["text"]
    await until(page, lambda: newest(page, "members")[0]["state"] == "silent")
    await peers["a"].pubsub.publish("news", b"its own")  # it may speak for itself
    page.tell("silence", name="a")
    assert "on again" in (await page.wait_for("result", 2))["text"]
    peers["b"].pubsub.add_validator("news", lambda message: True)
    page.tell("silence", name="b")
    assert not (await page.wait_for("result", 3))["ok"]


async def test_a_peer_is_killed(peers: dict[str, Host], open_page: Open) -> None:
    page = open_page(MeshView(peers))
    page.tell("kill", name="b")
    assert (await page.wait_for("result"))["ok"]
    assert not peers["b"].is_running
    await until(page, lambda: newest(page, "members")[1]["state"] == "gone")
    await until(page, lambda: len(newest(page, "links")) == 6)
    page.tell("publish", name="b", size=10)
    assert not (await page.wait_for("result", 2))["ok"]
    page.tell("publish", name="x")
    assert "no peer 'x'" in (await page.wait_for("result", 3))["text"]


async def test_other_parameters_are_taken_or_refused(
    peers: dict[str, Host], open_page: Open
) -> None:
    page = open_page(MeshView(peers))
    page.tell(
        "use", parameters={"D": 1, "D_low": 1, "heartbeat_interval": 0.1, "flood_publish": False}
    )
    assert (await page.wait_for("result"))["ok"]
    now = peers["c"].pubsub.parameters
    assert (now.D, now.D_low, now.D_high, now.heartbeat_interval) == (1, 1, 3, 0.1)
    assert now.flood_publish is False
    page.tell("use", parameters={"D": 9})
    refused = await page.wait_for("result", 2)
    assert not refused["ok"]
    assert "D_low ≤ D ≤ D_high" in refused["text"]
    assert page.of("parameters")[-1]["parameters"]["D"] == 1
    page.tell("use", parameters="nonsense")
    page.tell("use", parameters={"D": "many", "seen_ttl": 1})
    assert (await page.wait_for("result", 3))["ok"], "what it does not know is left alone"
    assert peers["c"].pubsub.parameters == now


async def test_forged_messages_cost_their_sender_the_mesh(
    peers: dict[str, Host], open_page: Open
) -> None:
    view = MeshView(peers)
    page = open_page(view)
    page.tell("spam", name="a")
    assert "forged" in (await page.wait_for("result"))["text"]
    view_of_b = view._worlds[0].model.member(str(peers["b"].peer_id))
    async with asyncio.timeout(60):
        while not any(one.kind == "message" for one in view_of_b.decisions):
            await asyncio.sleep(0.01)
            view._drain()
    assert not await _got(peers["b"], b"forged")


async def _got(host: Host, data: bytes) -> bool:
    sub = await host.pubsub.subscribe("news")
    try:
        async with asyncio.timeout(0.05):
            return bool((await sub.get(1)).data == data)
    except TimeoutError:
        return False
    finally:
        sub.cancel()


async def test_links_of_the_mesh_are_cut(peers: dict[str, Host], open_page: Open) -> None:
    view = MeshView(peers)
    page = open_page(view)
    page.tell("pause")
    page.tell("cut")
    assert "links were cut" in (await page.wait_for("result"))["text"]
    await until(page, lambda: len(newest(page, "links")) < 10)


async def test_two_networks_side_by_side(nets: Any, open_page: Open) -> None:
    (gossip, _), (flood, _) = nets
    view = MeshView(gossip, beside=flood)
    assert view.nets == [gossip, flood]
    page = open_page(view)
    (snapshot,) = page.of("snapshot")
    assert [one["title"] for one in snapshot["worlds"]] == ["GossipSub", "FloodSub"]
    links = len(snapshot["worlds"][1]["links"])
    page.tell("publish", name="peer3", size=1000)
    await page.wait_for("result")
    # What the chapter promises of flooding, to the message: 2E − (N − 1).
    await until(page, lambda: newest(page, "totals", 1).get("copies") == 2 * links - 7)
    waves = [one for world in view._worlds for one in world.model.waves.values()]
    assert [wave.reached for wave in waves] == [7, 7]
    assert newest(page, "totals", 0)["copies"] < 2 * links - 7
    before = gossip.now
    await view.beat()
    assert gossip.now == before + 1
    page.tell("sybils", name="peer1")
    assert "that this view made itself" in (await page.wait_for("result", 2))["text"]
    page.tell("close")
    assert gossip.speed == flood.speed == 0


async def test_time_passes_when_played(open_page: Open) -> None:
    (gossip, _), (flood, _) = twins("news", peers=4, degree=2)
    flood.close()
    page = open_page(MeshView(gossip, speed=20))
    before = gossip.now
    page.tell("play", speed=20)
    assert gossip.speed == 20
    await until(page, lambda: newest(page, "now") > before + 1)
    page.tell("kill", name="peer2")
    assert (await page.wait_for("result"))["ok"]
    page.tell("pause")
    assert gossip.speed == 0
    page.tell("close")
    gossip.close()


async def test_sybils_behind_one_address() -> None:
    (gossip, services), (flood, _) = twins("news", peers=4, degree=2)
    flood.close()
    world = World(gossip, services)
    world.follow(lambda: None)
    try:
        await world.add_sybils("peer1", "news")
        await world.beat()
        assert len(world.hosts) == 4 + SYBILS
        assert sum(member.is_silent for member in world.model.members.values()) == SYBILS
        victim = world.hosts["peer1"].pubsub
        swarm = [one.peer_id for name, one in world.hosts.items() if name.startswith("sybil")]
        assert {victim.score_parts(peer).p6 for peer in swarm} == {-5.0 * (SYBILS - 10) ** 2}
        await world.beat()
        assert not set(swarm) & set(victim.mesh("news")), "P6 has put them out"
    finally:
        world.unfollow()
        gossip.close()


async def test_a_view_closes_the_networks_that_it_made() -> None:
    view = MeshView()
    assert view.summary().count("20 peers") == 2
    view.close()
    for net in view.nets:
        with pytest.raises(LocalError, match="closed"):
            net.run_for(1)


async def test_a_recording_is_shown_too() -> None:
    make = [[lab.Identify(), lab.GossipSub(SMALL)] for _ in range(3)]
    hosts = [lab.Host(listen=["/memory/0"], services=services) for services in make]
    with lab.record(*hosts) as log:
        async with hosts[0], hosts[1], hosts[2]:
            for one, other in ((0, 1), (1, 2)):
                await hosts[one].connect(hosts[other].addrs[0])
            got = [await host.pubsub.subscribe("news") for host in hosts]
            async with asyncio.timeout(60):
                while not all(host.pubsub.mesh("news") for host in hosts):
                    await asyncio.sleep(0.01)
            await hosts[0].pubsub.publish("news", b"hello")
            await got[2].get(30)
            log.stop()
    view = MeshView(log)
    text = view._repr_mimebundle_()["text/plain"]
    assert text.startswith("Peers: 3 peers, 2 mesh links")
    model = view._worlds[0].model
    (wave,) = model.waves.values()
    assert (wave.reached, wave.depth) == (2, 2)
    assert any(one.kind == "graft" for one in model.member(str(hosts[1].peer_id)).decisions)
    view.close()


async def test_the_static_form_tells_the_same(peers: dict[str, Host]) -> None:
    view = MeshView(peers)
    await view.publish("a", 64)
    async with asyncio.timeout(60):
        model = view._worlds[0].model
        while len([one for one in model.members.values() if "news" in one.sizes]) < 4:
            await asyncio.sleep(0.01)
            view._drain()
    bundle = view._repr_mimebundle_()
    assert bundle["text/html"].count("<circle") == 5
    assert "fan-out" in bundle["text/html"]
    assert "5 peers" in bundle["text/plain"]
    assert "duplicates" in bundle["text/plain"]
    assert "D_low = 2" in bundle["text/plain"]
    view.close()
    assert not any(host.trace.listeners for host in peers.values())


def test_what_cannot_be_shown() -> None:
    for source, words in [([], "no peer"), ([1], "nothing else"), ({"x": 3}, "not int")]:
        with pytest.raises(LocalError, match=words):
            MeshView(source)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="no pubsub"):
        MeshView(lab.Host())
    with pytest.raises(LocalError, match="above 0"):
        MeshView(lab.Host(services=[lab.GossipSub()]), speed=0)


def test_simulated_hosts_are_shown_with_their_internet(nets: Any) -> None:
    (gossip, _), _ = nets
    with pytest.raises(LocalError, match="show their Internet"):
        World(list(gossip.hosts_by_name.values()))


@asynccontextmanager
async def pair(make: Callable[[], PubSub]) -> AsyncIterator[list[Host]]:
    """Two live peers that know of each other's topic."""
    async with (
        lab.Host(listen=["/memory/0"], services=[lab.Identify(), make()]) as one,
        lab.Host(listen=["/memory/0"], services=[lab.Identify(), make()]) as other,
    ):
        await one.connect(other.addrs[0])
        for host in (one, other):
            await host.pubsub.subscribe("news")
        async with asyncio.timeout(60):
            while not (one.pubsub.peers("news") and other.pubsub.peers("news")):
                await asyncio.sleep(0.01)
        yield [one, other]


async def test_two_lists_of_live_peers_publish_together() -> None:
    async with pair(lab.FloodSub) as flooding, pair(lab.GossipSub) as gossiping:
        view = MeshView(gossiping, beside=flooding)
        assert [list(world.hosts) for world in view._worlds] == [["peer1", "peer2"]] * 2
        await view.publish("peer2")
        async with asyncio.timeout(60):
            while [world.model.totals["copies"] for world in view._worlds] != [1, 1]:
                await asyncio.sleep(0.01)
                view._drain()
        with pytest.raises(LocalError, match="no peer"):
            await view.publish("peer3")
        view.close()


async def test_a_router_of_ones_own_is_drawn_without_a_word_from_it() -> None:
    def quiet() -> PubSub:
        driver: PubSub = PubSub(lambda host, probe: FloodSubRouter(screen=lambda message: None))
        return driver

    async with pair(quiet) as hosts:
        view = MeshView(hosts)
        view._drain()
        assert view.summary() == "A router of its own: 2 peers, 1 mesh link, 0 for gossip only"
        await view.publish(next(iter(view._worlds[0].hosts)))
        async with asyncio.timeout(60):
            while not any(wave.reached for wave in view._worlds[0].model.waves.values()):
                await asyncio.sleep(0.01)
                view._drain()
        view.close()


async def test_what_was_missed_is_looked_up(
    peers: dict[str, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libp2p_lab.widgets.mesh_world.MAX_WAITING", 4)
    world = World(peers)
    world.follow(lambda: None)
    world.drain()
    await peers["e"].pubsub.subscribe("news")
    async with asyncio.timeout(60):
        while not world._has_missed or not peers["e"].pubsub.mesh("news"):
            await asyncio.sleep(0.01)
    assert len(world._entries) == 4
    world.drain()
    mesh = {str(peer) for peer in peers["e"].pubsub.mesh("news")}
    index = world.model.member(str(peers["e"].peer_id)).index
    known = {world.model.member(peer).index for peer in mesh}
    assert world.model.mesh["news"][index] == known
    assert "news" in world.model.member(str(peers["e"].peer_id)).topics
    world.unfollow()
