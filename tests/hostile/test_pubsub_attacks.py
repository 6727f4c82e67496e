"""S33 to S44: what a hostile peer may try with publish/subscribe, and what becomes of it.

Most attacks are played against the router itself: a peer is whatever calls `receive`. Those that need a stream use one.
"""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import LabError, LimitExceeded
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub import (
    GossipSubParameters,
    GossipSubRouter,
    Message,
    ScoreParameters,
    Verdict,
)
from libp2p_lab.pubsub.gossipsub import V11, V12
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
from libp2p_lab.pubsub.router import Dial, Send
from libp2p_lab.pubsub.signing import SignaturePolicy, check, sign
from libp2p_lab.wire import protobuf, varint
from tests.pubsub.network import gossip_router, peer_id

P = GossipSubParameters()
ATTACKER, VICTIM, OTHER = peer_id(666), peer_id(1), peer_id(2)


def attacked(topic: str | None = "t", version: str = V12, **options: Any) -> GossipSubRouter:
    """A router with an attacker and an honest peer, both in its mesh."""
    router = gossip_router(0, **options)
    for peer in (ATTACKER, OTHER):
        router.add_peer(peer, version, outbound=True, ips=["10.6.6.6"], now=0.0)
        router.receive(peer, RPC((SubOpts(True, "t"),)), 0.0)
    if topic is not None:
        router.join(topic, 0.0)
    router.take_actions()
    return router


def replies(router: GossipSubRouter, peer: PeerId = ATTACKER) -> list[RPC]:
    return [a.rpc for a in router.take_actions() if isinstance(a, Send) and peer in a.peers]


def ids(count: int, start: int = 0) -> tuple[bytes, ...]:
    return tuple(n.to_bytes(8, "big") for n in range(start, start + count))


def test_s33_a_million_subscriptions_are_capped_and_freed() -> None:
    router = gossip_router(0)
    router.add_peer(ATTACKER, V12, outbound=False, ips=[], now=0.0)
    for start in range(0, 1_000_000, 10_000):
        subs = tuple(SubOpts(True, f"topic {n}") for n in range(start, start + 10_000))
        router.receive(ATTACKER, RPC(subs), 0.0)
    assert len(router._topics._peers) == P.max_topics_per_peer
    assert sum(bool(router.peers(f"topic {n}")) for n in range(1000)) == P.max_topics_per_peer
    router.remove_peer(ATTACKER, 0.0)
    assert not router._topics._peers


def test_s34_an_ihave_flood_is_cut_and_broken_promises_cost() -> None:
    router = attacked()
    asked = 0
    for number in range(100):
        ihave = ControlIHave("t", ids(1000, 1000 * number))
        router.receive(ATTACKER, RPC(ihave=(ihave,)), 0.0)
        asked += sum(len(w.message_ids) for rpc in replies(router) for w in rpc.iwant)
    assert asked == P.max_ihave_length
    for beat in range(1, 30):
        router.receive(ATTACKER, RPC(ihave=(ControlIHave("t", ids(100, 10**6 * beat)),)), beat)
        router.heartbeat(float(beat))
    assert router.score.score(ATTACKER) < 0
    assert router.score.score(OTHER) == 0


def test_s34_an_ihave_of_ten_messages_a_heartbeat_is_read_and_no_more() -> None:
    router = attacked()
    one_each = tuple(ControlIHave("t", ids(1, n)) for n in range(25))
    router.receive(ATTACKER, RPC(ihave=one_each), 0.0)
    (rpc,) = replies(router)
    assert len(rpc.iwant[0].message_ids) == P.max_ihave_messages


def test_s35_an_iwant_flood_gets_a_message_three_times() -> None:
    router = attacked()
    router.publish(b"name", Message("t", bytes(10_000), b"me", b"1"), 0.0)
    router.take_actions()
    for _ in range(1000):
        router.receive(ATTACKER, RPC(iwant=(ControlIWant((b"name",) * 100),)), 0.0)
    assert sum(len(rpc.publish) for rpc in replies(router)) == P.gossip_retransmission


def test_s36_a_graft_for_an_unknown_topic_is_not_answered() -> None:
    router = attacked()
    for number in range(1000):
        router.receive(ATTACKER, RPC(graft=(ControlGraft(f"no topic {number}"),)), 0.0)
    assert replies(router) == []


def test_s36_a_graft_in_back_off_is_pruned_and_punished_and_twice_if_at_once() -> None:
    strict = ScoreParameters(behaviour_penalty_threshold=0.0, behaviour_penalty_weight=-1.0)
    penalties = []
    for wait in (1.0, 30.0):
        router = attacked(score=strict)
        router.receive(ATTACKER, RPC(prune=(ControlPrune("t", (), 60),)), 0.0)
        router.receive(ATTACKER, RPC(graft=(ControlGraft("t"),)), wait)
        (rpc,) = replies(router)
        assert [prune.topic for prune in rpc.prune] == ["t"]
        assert rpc.prune[0].peers == ()
        assert ATTACKER not in router.mesh("t")
        penalties.append(router.score.score(ATTACKER))
    assert penalties == [-4.0, -1.0], "two penalties, squared, and one"


def test_s36_a_graft_flood_ends_on_the_graylist() -> None:
    router = attacked()
    router.receive(ATTACKER, RPC(prune=(ControlPrune("t", (), 60),)), 0.0)
    answered = 0
    for _ in range(10_000):
        router.receive(ATTACKER, RPC(graft=(ControlGraft("t"),)), 0.0)
        answered += len(replies(router))
    assert answered < 20
    assert len(router._mesh._backoff["t"]) <= 2


@pytest.mark.parametrize("backoff", [2**64 - 1, 2**63 - 1, 2**63 - 10_000, 10**12])
def test_s37_a_prune_for_ever_is_clamped(backoff: int) -> None:
    router = attacked()
    router.receive(ATTACKER, RPC(prune=(ControlPrune("t", (), backoff),)), 5.0)
    router.heartbeat(6.0)
    assert router._mesh._backoff["t"][ATTACKER] == 5.0 + P.max_backoff
    router.heartbeat(5.0 + P.max_backoff + 10)
    assert ATTACKER in router.mesh("t"), "and it is over some day"


def test_s37_back_offs_of_many_identities_are_bounded() -> None:
    router = attacked(parameters=GossipSubParameters(max_backoffs=100))
    for number in range(1000, 3000):
        router.add_peer(peer_id(number), V12, outbound=False, ips=[], now=0.0)
        router.receive(peer_id(number), RPC(prune=(ControlPrune("t", (), 3600),)), 0.0)
        router.remove_peer(peer_id(number), 0.0)
    assert len(router._mesh._backoff["t"]) <= 100


def test_s38_ten_thousand_peers_in_a_prune() -> None:
    offered = tuple(PXPeer(peer_id(n).multihash) for n in range(10_000))
    prune = RPC(prune=(ControlPrune("t", offered, 60),))
    router = attacked()
    router.receive(ATTACKER, prune, 0.0)
    assert not any(isinstance(a, Dial) for a in router.take_actions()), "a stranger's offer"
    liked = ScoreParameters(app_specific_score=lambda peer: 100.0)
    router = attacked(score=liked)
    router.receive(ATTACKER, prune, 0.0)
    (dial,) = [a for a in router.take_actions() if isinstance(a, Dial)]
    assert len(dial.peers) == P.prune_peers


def test_s39_an_idontwant_flood_is_bounded_and_forgotten() -> None:
    router = attacked()
    for number in range(1000):
        router.receive(ATTACKER, RPC(idontwant=(ControlIDontWant(ids(1000, 1000 * number)),)), 0.0)
    unwanted = router._gossip._peers[ATTACKER].unwanted
    assert len(unwanted) == P.max_idontwant_messages
    assert ids(11)[9] in unwanted, "the first ten of a message are read"
    assert ids(11)[10] not in unwanted, "and no more"
    for beat in range(P.idontwant_message_ttl):
        assert router._gossip._peers[ATTACKER].unwanted
        router.heartbeat(float(beat))
    assert not router._gossip._peers[ATTACKER].unwanted


def test_s39_idontwant_from_outside_the_mesh_is_not_read() -> None:
    router = attacked()
    router.receive(ATTACKER, RPC(prune=(ControlPrune("t", (), 60),)), 0.0)
    router.receive(ATTACKER, RPC(idontwant=(ControlIDontWant(ids(5)),)), 0.0)
    assert not router._gossip._peers[ATTACKER].unwanted


@pytest.mark.parametrize("what", ["too long", "too many parts"])
async def test_s40_an_rpc_that_is_or_would_become_huge_costs_its_stream(what: str) -> None:
    services = [lab.Identify(), lab.Ping(), lab.GossipSub()]
    async with lab.Host(listen=["/memory/0"], services=services) as alice, lab.Host() as mallory:

        @mallory.handle("/meshsub/1.2.0")
        async def swallow(stream: Any) -> None:
            async for _ in stream:
                pass

        await mallory.connect(alice.addrs[0])
        stream = await mallory.open_stream(alice.peer_id, "/meshsub/1.2.0")
        tracemalloc.start()
        try:
            if what == "too long":
                await stream.write(varint.encode(alice.limits.pubsub_rpc + 1))
            else:
                bomb = protobuf.bytes_field(3, protobuf.bytes_field(1, b"") * 100_000)
                await stream.write(varint.encode(len(bomb)) + bomb)
            with pytest.raises(LabError):
                async with asyncio.timeout(60):
                    while await stream.read(1000):
                        pass
                    await stream.write(b"x")
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()
        await mallory.ping(alice.peer_id)


def test_s40_refused_from_its_bytes() -> None:
    bomb = protobuf.bytes_field(3, protobuf.bytes_field(3, b"") * 100_000)
    with pytest.raises(LimitExceeded):
        RPC.decode(bomb)


AUTHOR = KeyPair.generate()
OUR_KEY = KeyPair.generate()
NAME = PeerId.from_public_key(AUTHOR.public).multihash
SIGNED = sign(Message("t", b"x", NAME, bytes(8)), AUTHOR)
FORGERIES = {
    "unsigned": Message("t", b"x", NAME, bytes(8)),
    "forged": Message("t", b"y", NAME, bytes(8), SIGNED.signature),
    "another author": Message("t", b"x", peer_id(5).multihash, bytes(8), SIGNED.signature),
    "no author": Message("t", b"x", None, bytes(8), SIGNED.signature),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_s41_forged_messages_go_nowhere_and_cost(name: str) -> None:
    judging = lab.ScoreParameters(topics={"t": lab.TopicScoreParameters()})
    router = attacked(
        score=judging, screen=lambda message: check(message, SignaturePolicy.STRICT_SIGN)
    )
    assert router.receive(ATTACKER, RPC(publish=(FORGERIES[name],)), 0.0) == []
    assert replies(router, OTHER) == []
    assert router.score.score(ATTACKER) < 0


def test_s41_replayed_messages_are_taken_once() -> None:
    router = attacked(screen=lambda message: check(message, SignaturePolicy.STRICT_SIGN))
    (arrival,) = router.receive(ATTACKER, RPC(publish=(SIGNED,) * 50), 0.0)
    router.decide(arrival, Verdict.ACCEPT, 0.0)
    assert router.receive(OTHER, RPC(publish=(SIGNED,)), 1.0) == []
    assert sum(len(rpc.publish) for rpc in replies(router, OTHER)) == 1


def test_s41_signed_messages_under_strict_no_sign() -> None:
    router = attacked(
        screen=lambda message: check(message, SignaturePolicy.STRICT_NO_SIGN),
        message_id=lambda message: message.data,
    )
    assert router.receive(ATTACKER, RPC(publish=(SIGNED,)), 0.0) == []
    (arrival,) = router.receive(OTHER, RPC(publish=(Message("t", b"x"),)), 0.0)
    assert arrival.message == Message("t", b"x")


async def test_s41_a_message_in_our_own_name_is_not_taken() -> None:
    host = lab.Host(key=OUR_KEY, services=[lab.GossipSub()])
    ours = sign(Message("t", b"x", host.peer_id.multihash, bytes(8)), OUR_KEY)
    host.pubsub.screen(SIGNED)
    with pytest.raises(LabError, match="our own name"):
        host.pubsub.screen(ours)


def test_s42_a_crowd_on_one_address_ends_on_the_graylist() -> None:
    router = attacked()
    crowd = [peer_id(number) for number in range(100, 130)]
    for peer in crowd:
        router.add_peer(peer, V11, outbound=False, ips=["10.7.7.7"], now=0.0)
    assert router.score.score(crowd[0]) < lab.ScoreThresholds().graylist
    router.receive(crowd[0], RPC((SubOpts(True, "t"),), (Message("t", b"x", b"a", b"1"),)), 0.0)
    assert crowd[0] not in router.peers("t"), "nothing it says is read"
    assert router.score.score(OTHER) == 0


def test_s43_an_inbound_crowd_cannot_take_the_whole_mesh() -> None:
    router = gossip_router(0)
    ours = [peer_id(number) for number in range(1, 4)]
    for peer in ours:
        router.add_peer(peer, V11, outbound=True, ips=[], now=0.0)
        router.receive(peer, RPC((SubOpts(True, "t"),)), 0.0)
    router.join("t", 0.0)
    for number in range(100, 200):
        router.add_peer(peer_id(number), V11, outbound=False, ips=[], now=0.0)
        router.receive(peer_id(number), RPC((SubOpts(True, "t"),), graft=(ControlGraft("t"),)), 0.0)
    for beat in range(1, 50):
        router.heartbeat(float(beat))
        for number in range(100, 200):
            router.receive(peer_id(number), RPC(graft=(ControlGraft("t"),)), float(beat))
        assert sum(peer in ours for peer in router.mesh("t")) >= P.D_out
        assert len(router.mesh("t")) <= P.D_high


def test_s44_a_message_is_not_taken_again_while_its_name_is_known() -> None:
    router = attacked()
    message = Message("t", b"x", b"author", b"12345678")
    (arrival,) = router.receive(ATTACKER, RPC(publish=(message,)), 0.0)
    router.decide(arrival, Verdict.ACCEPT, 0.0)
    for beat in range(1, int(P.seen_ttl)):
        router.heartbeat(float(beat))
        assert router.receive(ATTACKER, RPC(publish=(message,)), float(beat)) == []
    assert len(router._gossip.cache) == 0, "its history is over long before"


def test_s44_the_names_that_are_known_are_bounded() -> None:
    router = attacked(parameters=GossipSubParameters(seen_size=1000))
    for number in range(5000):
        message = Message("t", b"", b"author", number.to_bytes(8, "big"))
        for arrival in router.receive(ATTACKER, RPC(publish=(message,)), 0.0):
            router.decide(arrival, Verdict.IGNORE, 0.0)
    assert len(router._seen) == 1000


def test_empty_and_senseless_rpcs_change_nothing() -> None:
    router = attacked()
    before = router.mesh("t")
    for rpc in (
        RPC(),
        RPC(publish=(Message("", b""),)),
        RPC(ihave=(ControlIHave("", ()),), iwant=(ControlIWant(()),)),
        RPC(prune=(ControlPrune("nothing"),), idontwant=(ControlIDontWant(()),)),
    ):
        assert router.receive(ATTACKER, rpc, 0.0) == []
    assert router.receive(peer_id(12345), RPC(graft=(ControlGraft("t"),)), 0.0) == []
    assert router.mesh("t") == before
    assert replies(router) == []
