"""Other numbers while it runs, hearts that stand still, and what a router lets others look at."""

from __future__ import annotations

import asyncio
import dataclasses

import libp2p_lab as lab
from libp2p_lab.pubsub import GossipSubParameters, Message
from libp2p_lab.pubsub.events import FanoutChosen, PeerJoined, PeerLeft
from libp2p_lab.pubsub.floodsub import FloodSubRouter
from libp2p_lab.pubsub.gossip import MessageCache
from libp2p_lab.pubsub.pubsub_messages import RPC, SubOpts
from libp2p_lab.trace import Entry, Probe, Trace
from tests.pubsub.network import CoreNetwork, accept_all, gossip_router, peer_id


def test_a_cache_that_shrinks_forgets_its_oldest_windows() -> None:
    cache = MessageCache(length=4, gossip=3)
    for name in (b"a", b"b", b"c"):
        cache.put(name, Message("t", name))
        cache.shift()
    assert cache.windows == [[], [(b"c", "t")], [(b"b", "t")], [(b"a", "t")]]
    cache.resize(2, 1)
    assert cache.windows == [[], [(b"c", "t")]]
    assert len(cache) == 1
    assert cache.get_for(peer_id(1), b"a") == (None, 0)
    assert cache.ids("t") == []
    cache.resize(3, 3)
    cache.shift()
    assert cache.windows == [[], [], [(b"c", "t")]]
    cache.shift()
    assert len(cache) == 0


def test_meshes_follow_other_numbers_at_the_next_heartbeat() -> None:
    net = CoreNetwork(12, gossip_router)
    for a in range(12):
        for b in range(a):
            net.connect(a, b)
    net.join_all("t")
    net.beat(3)
    few = GossipSubParameters(D=2, D_low=2, D_high=2, D_score=1, D_out=0)
    assert max(len(router.mesh("t")) for router in net.routers) > 2
    for router in net.routers:
        router.use(few)  # type: ignore[attr-defined]
        assert router.parameters == few  # type: ignore[attr-defined]
    net.beat()
    assert max(len(router.mesh("t")) for router in net.routers) <= 2
    waiting = net.routers[0].backoffs("t")  # type: ignore[attr-defined]
    assert waiting
    assert all(end > net.now for end in waiting.values())
    waiting.clear()
    assert net.routers[0].backoffs("t"), "what is looked at is a copy"  # type: ignore[attr-defined]
    net.publish(0, b"hello")
    assert net.routers[1].seen == 1  # type: ignore[attr-defined]
    assert len(net.routers[1].windows[0]) == 1  # type: ignore[attr-defined]


def test_a_fanout_is_told_when_it_begins_and_ends() -> None:
    told: list[object] = []
    trace = Trace("a")
    trace.listen(lambda entry: told.append(entry.what))
    numbers = GossipSubParameters(flood_publish=False, fanout_ttl=2)
    router = gossip_router(0, parameters=numbers, trace=trace)
    router.add_peer(peer_id(1), "/meshsub/1.2.0", outbound=True, ips=[], now=0.0)
    router.receive(peer_id(1), RPC(subscriptions=(SubOpts(True, "t"),)), 0.0)
    router.publish(b"1", Message("t", b"x"), 0.0)
    router.heartbeat(1.0)
    router.heartbeat(3.0)
    fanouts = [what for what in told if isinstance(what, FanoutChosen)]
    assert fanouts == [FanoutChosen("t", (str(peer_id(1)),)), FanoutChosen("t", ())]


def test_a_fanout_ends_when_its_topic_is_joined() -> None:
    told: list[object] = []
    trace = Trace("a")
    trace.listen(lambda entry: told.append(entry.what))
    router = gossip_router(0, parameters=GossipSubParameters(flood_publish=False), trace=trace)
    router.add_peer(peer_id(1), "/meshsub/1.2.0", outbound=True, ips=[], now=0.0)
    router.receive(peer_id(1), RPC(subscriptions=(SubOpts(True, "t"),)), 0.0)
    router.publish(b"1", Message("t", b"x"), 0.0)
    router.join("t", 1.0)
    assert FanoutChosen("t", ()) in told
    assert router.fanout("t") == []
    assert router.mesh("t") == [peer_id(1)]


def test_floodsub_tells_who_wants_what() -> None:
    told: list[Entry] = []
    trace = Trace("a")
    trace.listen(told.append)
    router = FloodSubRouter(screen=accept_all, probe=Probe(trace, "pubsub"))
    router.add_peer(peer_id(1), "/floodsub/1.0.0", outbound=True, ips=[], now=0.0)
    for wanted in (True, True, False):
        router.receive(peer_id(1), RPC(subscriptions=(SubOpts(wanted, "t"),)), 0.0)
    name = str(peer_id(1))
    assert [entry.what for entry in told] == [PeerJoined(name, "t"), PeerLeft(name, "t")]


async def test_a_heart_that_is_paused_beats_on_request_only() -> None:
    numbers = GossipSubParameters(heartbeat_interval=0.02)
    beats: list[int] = []

    def count(entry: Entry) -> None:
        number = getattr(entry.what, "number", None)
        if entry.layer == "pubsub" and number is not None:
            beats.append(number)

    gossip = lab.GossipSub(numbers)
    async with lab.Host(listen=[], services=[lab.Identify(), gossip]) as host:
        host.trace.listen(count)
        await gossip.subscribe("t")
        async with asyncio.timeout(60):
            while len(beats) < 2:
                await asyncio.sleep(0.01)
        gossip.is_paused = True
        before = len(beats)
        await asyncio.sleep(0.1)
        assert len(beats) == before
        gossip.beat()
        assert len(beats) == before + 1
        slower = dataclasses.replace(numbers, heartbeat_interval=30.0)
        gossip.use(slower)
        assert gossip.parameters == slower
