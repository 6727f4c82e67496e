"""Routers among themselves, without a network: what the chapter promises, counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libp2p_lab.errors import ProtocolViolation
from libp2p_lab.pubsub import GossipSubParameters, Message, ScoreParameters, Verdict
from libp2p_lab.pubsub.events import Grafted, Pruned
from libp2p_lab.pubsub.floodsub import PROTOCOL_ID as FLOODSUB
from libp2p_lab.pubsub.gossipsub import PROTOCOL_IDS, V10, V11, V12, V13
from libp2p_lab.pubsub.pubsub_messages import (
    RPC,
    ControlGraft,
    ControlIDontWant,
    ControlIHave,
    ControlIWant,
    ControlPrune,
    PXPeer,
    SubOpts,
)
from libp2p_lab.pubsub.router import Dial, Seen, Send, Topics
from libp2p_lab.trace import Entry, Trace
from tests.pubsub.network import CoreNetwork, flood_router, gossip_router, peer_id

P = GossipSubParameters()


def rpcs_to(router: object, peer: object) -> list[RPC]:
    return [a.rpc for a in router.take_actions() if isinstance(a, Send) and peer in a.peers]


# -- FloodSub ---------------------------------------------------------------------------------------------------


@given(st.integers(2, 40), st.integers(2, 12), st.integers(0, 1000))
def test_flooding_costs_exactly_2e_minus_n_plus_1(count: int, degree: int, seed: int) -> None:
    net = CoreNetwork(count, flood_router, seed)
    net.connect_randomly(degree)
    net.join_all("t")
    message_id = net.publish(0, b"hello")
    assert net.messages_sent == 2 * net.edges - (count - 1)
    assert all(got == [message_id] for got in net.delivered)


def test_flooding_counts_of_two_large_graphs() -> None:
    for degree in (4, 20):
        net = CoreNetwork(200, flood_router, degree)
        net.connect_randomly(degree)
        net.join_all("t")
        net.publish(7, b"x")
        assert net.messages_sent == 2 * net.edges - 199


def test_flooding_passes_on_nothing_that_nobody_wants() -> None:
    net = CoreNetwork(3, flood_router)
    net.connect(0, 1)
    net.connect(1, 2)
    net.routers[0].join("t", 0.0)
    net.routers[2].join("t", 0.0)
    net.settle()
    net.publish(0, b"x")
    assert net.messages_sent == 0, "peer 1 does not want the topic, so it is no bridge"


# -- the mesh -----------------------------------------------------------------------------------------------------


def settled(count: int = 30, degree: int = 16, seed: int = 1, **options: object) -> CoreNetwork:
    net = CoreNetwork(count, lambda n: gossip_router(n, seed, **options), seed)
    net.connect_randomly(degree)
    net.join_all("t")
    net.beat(8)
    return net


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_a_quiet_mesh_keeps_its_invariants(seed: int) -> None:
    net = settled(seed=seed)
    for number, router in enumerate(net.routers):
        mesh = router.mesh("t")
        wanting = router.peers("t")
        assert set(mesh) <= set(wanting)
        waiting = router._mesh._backoff.get("t", {})  # these may not be grafted yet
        free = [peer for peer in wanting if peer in mesh or peer not in waiting]
        assert min(P.D_low, len(free)) <= len(mesh) <= P.D_high
        for peer in mesh:
            other = net.routers[net.number[peer]]
            assert net.ids[number] in other.mesh("t"), "membership is mutual"


@given(
    st.lists(
        st.tuples(st.sampled_from("cdjlpb"), st.integers(0, 11), st.integers(0, 11)), max_size=60
    )
)
def test_any_history_leaves_a_mesh_in_order(history: list[tuple[str, int, int]]) -> None:
    net = CoreNetwork(12, lambda n: gossip_router(n, 3), 3)
    net.connect_randomly(6)
    net.join_all("t")
    for what, a, b in history:
        match what:
            case "c":
                net.connect(a, b)
            case "d" if b in net.links[a] and a != b:
                net.disconnect(a, b)
            case "j":
                net.routers[a].join("t", net.now)
            case "l":
                net.routers[a].leave("t", net.now)
            case "p":
                net.publish(a, b"x")
            case "b":
                net.beat()
        net.settle()
    net.beat(80)  # every back-off is over by then
    for number, router in enumerate(net.routers):
        mesh = router.mesh("t")
        assert set(mesh) <= set(router.peers("t"))
        assert len(mesh) <= P.D_high
        for peer in mesh:
            assert net.ids[number] in net.routers[net.number[peer]].mesh("t")
    for got in net.delivered:
        assert max(Counter(got).values(), default=0) <= 1, "nothing is delivered twice"


def test_gossipsub_delivers_everything_with_few_duplicates() -> None:
    net = settled(100, 24)
    before = net.messages_sent
    published = [net.publish(n % 100, b"x" * 10) for n in range(0, 100, 5)]
    net.beat(3)
    copies = net.messages_sent - before
    assert all(set(published) <= set(got) for got in net.delivered)
    assert copies < 20 * (2 * net.edges - 99) / 2, "less than half of a flood"


def test_gossip_repairs_a_mesh_that_is_cut() -> None:
    quiet = GossipSubParameters(flood_publish=False)
    net = settled(40, 20, parameters=quiet)
    for router in net.routers:  # nobody's mesh carries anything: only gossip is left
        router._mesh.members["t"].clear()
    message_id = net.publish(0, b"x")
    assert net.delivered[1:] == [[]] * 39
    for _ in range(4):
        for router in net.routers:
            router._mesh.members["t"].clear()
            router._emit_gossip("t")
        net.settle()
    reached = sum(message_id in got for got in net.delivered)
    assert reached == 40
    kinds = Counter(bool(rpc.ihave) for _, _, rpc in net.sent if rpc.ihave or rpc.iwant)
    assert kinds[True]
    assert kinds[False]


def test_heartbeats_say_why() -> None:
    entries: list[Entry] = []
    trace = Trace("me")
    trace.listen(entries.append)
    router = gossip_router(0, trace=trace)
    for number in range(1, 20):
        router.add_peer(peer_id(number), V11, outbound=number < 4, ips=[], now=0.0)
        router.receive(peer_id(number), RPC((SubOpts(True, "t"),)), 0.0)
    router.join("t", 0.0)
    for number in range(1, 20):
        router.receive(peer_id(number), RPC(graft=(ControlGraft("t"),)), 0.0)
    assert len(router.mesh("t")) == P.D_high + sum(
        p in router._mesh._outbound for p in router.mesh("t")[P.D_high :]
    )
    router._mesh.members["t"].update({peer_id(n): None for n in range(1, 20)})
    router.heartbeat(1.0)
    assert len(router.mesh("t")) == P.D
    dialed = [peer for peer in router.mesh("t") if peer in [peer_id(n) for n in (1, 2, 3)]]
    assert len(dialed) >= P.D_out
    whys = {type(e.what): e.what.why for e in entries if isinstance(e.what, Grafted | Pruned)}
    assert "it grafted us" in {e.what.why for e in entries if isinstance(e.what, Grafted)}
    assert whys[Pruned] == "19 members, D_high is 12"


def test_fanout_carries_what_a_stranger_publishes_and_ends() -> None:
    quiet = GossipSubParameters(flood_publish=False)
    net = CoreNetwork(10, lambda n: gossip_router(n, parameters=quiet), 5)
    for number in range(1, 10):
        net.connect(0, number)
        net.connect(number, number % 9 + 1)
        net.routers[number].join("t", 0.0)
    net.settle()
    net.beat(2)
    message_id = net.publish(0, b"x")
    assert len(net.routers[0].fanout("t")) == P.D
    assert net.routers[0].mesh("t") == []
    assert all(message_id in got for got in net.delivered)
    net.beat(62)
    assert net.routers[0].fanout("t") == []


def test_a_floodsub_peer_is_served_and_never_grafted() -> None:
    net = CoreNetwork(8, lambda n: flood_router(n) if n == 7 else gossip_router(n), 5)
    net.connect_randomly(8)
    net.connect(0, 7)
    net.join_all("t")
    net.beat(3)
    ids = [net.publish(0, b"x"), net.publish(7, b"y")]
    assert all(set(ids) == set(got) for got in net.delivered)
    assert all(net.ids[7] not in r.mesh("t") for r in net.routers[:7])
    assert not any(rpc.graft or rpc.ihave for _, to, rpc in net.sent if to == 7)


# -- versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V10, V11, V12, V13])
def test_each_version_by_itself(version: str) -> None:
    net = settled(12, 8, protocols=(version,))
    message_id = net.publish(0, bytes(2000))
    net.beat(2)
    assert all(message_id in got for got in net.delivered)
    said_idontwant = any(rpc.idontwant for _, _, rpc in net.sent)
    assert said_idontwant == (version in (V12, V13))
    assert any(rpc.extensions for _, _, rpc in net.sent) == (version == V13)
    assert any(rpc.test_extension for _, _, rpc in net.sent) == (version == V13)


def test_extensions_come_first_and_once() -> None:
    net = settled(6, 4)
    first: dict[tuple[int, int], RPC] = {}
    count: Counter[tuple[int, int]] = Counter()
    for sender, receiver, rpc in net.sent:
        first.setdefault((sender, receiver), rpc)
        count[sender, receiver] += rpc.extensions is not None
    assert all(rpc.extensions is not None for rpc in first.values())
    assert set(count.values()) == {1}


def test_small_messages_are_not_worth_an_idontwant() -> None:
    net = settled(12, 8)
    net.publish(0, bytes(1023))
    assert not any(rpc.idontwant for _, _, rpc in net.sent)


def test_idontwant_spares_a_copy() -> None:
    router = gossip_router(0)
    a, b = peer_id(1), peer_id(2)
    for peer in (a, b):
        router.add_peer(peer, V12, outbound=True, ips=[], now=0.0)
        router.receive(peer, RPC((SubOpts(True, "t"),)), 0.0)
    router.join("t", 0.0)
    router.take_actions()
    message = Message("t", bytes(2000), peer_id(9).multihash, bytes(8))
    name = peer_id(9).multihash + bytes(8)
    router.receive(b, RPC(idontwant=(ControlIDontWant((name,)),)), 0.0)
    (arrival,) = router.receive(a, RPC(publish=(message,)), 0.0)
    router.decide(arrival, Verdict.ACCEPT, 0.0)
    assert not any(rpc.publish for rpc in rpcs_to(router, b))


# -- small parts ------------------------------------------------------------------------------------------------------


def test_a_forgery_does_not_keep_the_real_one_out() -> None:
    def screen(message: Message) -> None:
        if message.data == b"forged":
            raise ProtocolViolation("forged")

    router = gossip_router(0, screen=screen)
    router.add_peer(peer_id(1), V11, outbound=True, ips=[], now=0.0)
    router.join("t", 0.0)
    forged = Message("t", b"forged", b"author", b"1")
    real = Message("t", b"real", b"author", b"1")
    assert router.receive(peer_id(1), RPC(publish=(forged,)), 0.0) == []
    (arrival,) = router.receive(peer_id(1), RPC(publish=(real,)), 0.0)
    assert arrival.message == real


def test_peer_exchange_offers_good_peers_and_is_taken_from_good_ones() -> None:
    liked = ScoreParameters(app_specific_score=lambda peer: 20.0 if peer == peer_id(1) else 0.0)
    router = gossip_router(0, score=liked, offer_peers=True, record_of=lambda peer: b"record")
    for number in range(1, 16):
        router.add_peer(peer_id(number), V11, outbound=False, ips=[], now=0.0)
        router.receive(peer_id(number), RPC((SubOpts(True, "t"),)), 0.0)
    router.join("t", 0.0)
    for number in range(1, 14):
        router.receive(peer_id(number), RPC(graft=(ControlGraft("t"),)), 0.0)
    router.take_actions()
    router.receive(peer_id(15), RPC(graft=(ControlGraft("t"),)), 0.0)
    (prune,) = [p for rpc in rpcs_to(router, peer_id(15)) for p in rpc.prune]
    assert prune.backoff == 60
    assert 0 < len(prune.peers) <= P.prune_peers
    assert all(offered.signed_record == b"record" for offered in prune.peers)
    offered = ControlPrune("t", (PXPeer(peer_id(50).multihash),), 60)
    router.receive(peer_id(2), RPC(prune=(offered,)), 0.0)
    assert not any(isinstance(a, Dial) for a in router.take_actions()), "not trusted enough"
    router.receive(peer_id(1), RPC(prune=(offered,)), 0.0)
    assert any(isinstance(a, Dial) for a in router.take_actions())


def test_explicit_peers_get_everything_and_are_in_no_mesh() -> None:
    friend = peer_id(1)
    router = gossip_router(0, explicit=[friend])
    router.add_peer(friend, V11, outbound=True, ips=[], now=0.0)
    router.receive(friend, RPC((SubOpts(True, "t"),)), 0.0)
    router.join("t", 0.0)
    assert router.mesh("t") == []
    router.take_actions()
    router.receive(friend, RPC(graft=(ControlGraft("t"),)), 0.0)
    assert any(rpc.prune for rpc in rpcs_to(router, friend))
    router.publish(b"id", Message("t", b"x", b"me", b"1"), 0.0)
    assert any(rpc.publish for rpc in rpcs_to(router, friend))


def test_opportunistic_grafting_takes_in_better_peers() -> None:
    scores = {peer_id(n): (0.1 if n <= 6 else 5.0) for n in range(1, 13)}
    liked = ScoreParameters(app_specific_score=lambda peer: scores[peer])
    router = gossip_router(0, score=liked)
    for number in range(1, 7):
        router.add_peer(peer_id(number), V11, outbound=True, ips=[], now=0.0)
        router.receive(peer_id(number), RPC((SubOpts(True, "t"),)), 0.0)
    router.join("t", 0.0)
    assert len(router.mesh("t")) == 6
    for number in range(7, 13):
        router.add_peer(peer_id(number), V11, outbound=True, ips=[], now=0.0)
        router.receive(peer_id(number), RPC((SubOpts(True, "t"),)), 0.0)
    for beat in range(1, P.opportunistic_graft_ticks + 1):
        router.heartbeat(float(beat))
    assert len(router.mesh("t")) == 6 + P.opportunistic_graft_peers


def test_iwant_is_answered_and_the_promise_is_kept() -> None:
    net = CoreNetwork(2, gossip_router)
    net.connect(0, 1)
    net.routers[1].join("t", 0.0)
    net.settle()
    message = Message("t", b"x", b"author", b"12345678")
    name = b"author12345678"
    net.routers[0]._gossip.cache.put(name, message)
    net.routers[1].receive(net.ids[0], RPC(ihave=(ControlIHave("t", (name,)),)), 0.0)
    net.settle()
    assert net.delivered[1] == [name]
    assert [rpc.iwant for _, _, rpc in net.sent if rpc.iwant] == [(ControlIWant((name,)),)]
    net.beat(10)
    assert net.routers[1].score.score(net.ids[0]) == 0


@given(st.lists(st.tuples(st.binary(max_size=2), st.floats(0, 3)), max_size=60), st.integers(1, 8))
def test_seen_knows_what_is_young_and_few(history: list[tuple[bytes, float]], size: int) -> None:
    seen, now = Seen(5.0, size), 0.0
    added: dict[bytes, float] = {}
    for name, wait in history:
        now += wait
        seen.forget_old(now)
        added = {n: t for n, t in added.items() if t + 5.0 > now}
        new = seen.add(name, now)
        assert new == (name not in added)
        if new:
            added[name] = now
            added = dict(list(added.items())[-size:])
        assert len(seen) == len(added) <= size


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 6)), max_size=60))
def test_topics_against_a_model(history: list[tuple[int, bool, int]]) -> None:
    topics = Topics(max_per_peer=4, allow=lambda topic: topic != "6")
    for number in range(4):
        topics.add_peer(peer_id(number))
    model: dict[int, list[str]] = {number: [] for number in range(4)}
    for number, subscribe, topic_number in history:
        topic = str(topic_number)
        topics.update(peer_id(number), [SubOpts(subscribe, topic)])
        wanted = model[number]
        if not subscribe and topic in wanted:
            wanted.remove(topic)
        elif subscribe and topic not in wanted and len(wanted) < 4 and topic != "6":
            wanted.append(topic)
    for topic_number in range(7):
        topic = str(topic_number)
        expected = {peer_id(n) for n, wanted in model.items() if topic in wanted}
        assert set(topics.peers(topic)) == expected
    for number in range(4):
        topics.remove_peer(peer_id(number))
    assert all(not topics.peers(str(n)) for n in range(7))


def test_protocol_ids_are_the_specs() -> None:
    assert PROTOCOL_IDS == (
        "/meshsub/1.3.0",
        "/meshsub/1.2.0",
        "/meshsub/1.1.0",
        "/meshsub/1.0.0",
        FLOODSUB,
    )
