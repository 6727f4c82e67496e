"""Live hosts: streams, subscriptions, validators, errors, shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import LimitExceeded, LocalError
from libp2p_lab.pubsub import PubSub, Subscription
from libp2p_lab.pubsub.pubsub_messages import RPC, Message, SubOpts
from libp2p_lab.pubsub.signing import sign
from libp2p_lab.wire import varint

FAST = lab.GossipSubParameters(heartbeat_interval=0.05)
KINDS = {"floodsub": lab.FloodSub, "gossipsub": lambda: lab.GossipSub(FAST)}
pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def hosts(count: int, make: Any, **options: Any) -> AsyncIterator[list[lab.Host]]:
    async with AsyncExitStack() as stack:
        made = [
            lab.Host(listen=["/memory/0"], services=[lab.Identify(), lab.Ping(), make()], **options)
            for _ in range(count)
        ]
        yield [await stack.enter_async_context(host) for host in made]


async def until(condition: Any) -> None:
    """Wait until something that has no event of its own holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def ring(peers: list[lab.Host], topic: str = "t") -> list[Subscription]:
    """Connect them in a ring, subscribe all, and wait until everybody knows."""
    for host, following in zip(peers, [*peers[1:], peers[0]], strict=True):
        if following.peer_id not in host.peers:
            await host.connect(following.addrs[0])
    subscriptions = [await host.pubsub.subscribe(topic) for host in peers]
    neighbours = min(2, len(peers) - 1)
    await until(lambda: all(len(host.pubsub.peers(topic)) == neighbours for host in peers))
    await until(lambda: all(host.pubsub.mesh(topic) for host in peers))
    return subscriptions


@pytest.mark.parametrize("kind", KINDS)
async def test_everybody_gets_each_message_once(kind: str) -> None:
    async with hosts(6, KINDS[kind]) as peers:
        subscriptions = await ring(peers)
        ids = [await host.pubsub.publish("t", b"from %d" % n) for n, host in enumerate(peers)]
        for subscription in subscriptions:
            got = [await subscription.get(30) for _ in peers]
            assert {message.id for message in got} == set(ids)
            for message in got:
                author = peers[int(message.data[-1:])]
                assert message.from_peer == author.peer_id
                assert message.topic == "t"
            with pytest.raises(TimeoutError):
                await subscription.get(0.05)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_subscription_that_ends_is_told_and_read_to_its_end(kind: str) -> None:
    async with hosts(2, KINDS[kind]) as (alice, bob):
        _, sub = await ring([alice, bob])
        await alice.pubsub.publish("t", b"last words")
        await until(lambda: len(sub._waiting) == 1)
        sub.cancel()
        sub.cancel()
        assert [message.data async for message in sub] == [b"last words"]
        with pytest.raises(LocalError):
            await sub.get()
        await until(lambda: alice.pubsub.peers("t") == [])
        assert bob.pubsub.topics == []


async def test_a_slow_reader_loses_its_own_messages_and_nobody_elses() -> None:
    async with hosts(2, KINDS["gossipsub"]) as (alice, bob):
        _, fast = await ring([alice, bob])
        slow = await bob.pubsub.subscribe("t", size=3)
        for number in range(10):
            await alice.pubsub.publish("t", b"%d" % number)
        assert [(await fast.get(30)).data for _ in range(10)] == [b"%d" % n for n in range(10)]
        assert slow.dropped == 7
        assert [(await slow.get(1)).data for _ in range(3)] == [b"0", b"1", b"2"]


async def test_publishing_without_subscribing_goes_through_the_fanout() -> None:
    quiet = lab.GossipSubParameters(heartbeat_interval=0.05, flood_publish=False)
    async with hosts(2, lambda: lab.GossipSub(quiet)) as (alice, bob):
        await alice.connect(bob.addrs[0])
        sub = await bob.pubsub.subscribe("t")
        await until(lambda: alice.pubsub.peers("t"))
        await alice.pubsub.publish("t", b"x")
        assert (await sub.get(30)).data == b"x"
        assert alice.pubsub.topics == []


@pytest.mark.parametrize(
    ("said", "passed_on"),
    [
        (lab.Verdict.ACCEPT, True),
        (True, True),
        (lab.Verdict.REJECT, False),
        (False, False),
        (lab.Verdict.IGNORE, False),
    ],
)
async def test_validators_decide(said: Any, passed_on: bool) -> None:
    async with hosts(3, KINDS["gossipsub"]) as (alice, bob, carol):
        await alice.connect(bob.addrs[0])
        await bob.connect(carol.addrs[0])
        subs = [await host.pubsub.subscribe("t") for host in (alice, bob, carol)]
        await until(lambda: len(bob.pubsub.mesh("t")) == 2)

        async def judge(message: Any) -> Any:
            await asyncio.sleep(0)
            return said if message.data == b"judged" else True

        bob.pubsub.add_validator("t", judge)
        await alice.pubsub.publish("t", b"judged")
        await alice.pubsub.publish("t", b"after")
        expected = [b"judged", b"after"] if passed_on else [b"after"]
        for sub in subs[1:]:
            assert sorted([(await sub.get(30)).data for _ in expected]) == sorted(expected)


async def test_validators_that_raise_or_hang_cost_one_message() -> None:
    async with hosts(2, KINDS["gossipsub"]) as (alice, bob):
        _, sub = await ring([alice, bob])

        async def bad(message: Any) -> bool:
            if message.data == b"raise":
                raise RuntimeError("a bug of the application")
            if message.data == b"hang":
                await asyncio.Event().wait()
            return True

        bob.pubsub.add_validator("t", bad, timeout=0.1)
        for data in (b"raise", b"hang", b"fine"):
            await alice.pubsub.publish("t", data)
        assert (await sub.get(30)).data == b"fine"
        await until(lambda: bob.pubsub._validating == 0)
        assert bob.pubsub.router.score.score(alice.peer_id) == 0


async def test_our_own_validator_can_refuse_what_we_publish() -> None:
    async with hosts(1, KINDS["gossipsub"]) as (alice,):
        sub = await alice.pubsub.subscribe("t")
        alice.pubsub.add_validator("t", lambda message: message.data != b"bad")
        with pytest.raises(LocalError):
            await alice.pubsub.publish("t", b"bad")
        await alice.pubsub.publish("t", b"good")
        assert (await sub.get(1)).data == b"good"
        with pytest.raises(LocalError):
            alice.pubsub.add_validator("t", lambda message: True)
        alice.pubsub.remove_validator("t")
        await alice.pubsub.publish("t", b"bad")


async def test_sizes_exactly_at_the_limit_and_one_over() -> None:
    limits = lab.Limits(pubsub_rpc=2000)
    async with hosts(2, KINDS["gossipsub"], limits=limits) as (alice, bob):
        _, sub = await ring([alice, bob])
        fits = 2000 - len(RPC(publish=(signed_by(alice, 1700),)).encode()) + 1700
        await alice.pubsub.publish("t", bytes(fits))
        assert len((await sub.get(30)).data) == fits
        with pytest.raises(LimitExceeded) as refused:
            await alice.pubsub.publish("t", bytes(fits + 1))
        assert refused.value.value == 2001


def signed_by(host: lab.Host, size: int) -> Message:
    return sign(Message("t", bytes(size), host.peer_id.multihash, bytes(8)), host.key)


async def test_without_authors_messages_are_named_by_their_content() -> None:
    def by_content(message: Any) -> bytes:
        return bytes(message.data)

    def make() -> PubSub:
        policy = lab.SignaturePolicy.STRICT_NO_SIGN
        return lab.GossipSub(FAST, policy=policy, message_id=by_content)

    async with hosts(3, make) as peers:
        subs = await ring(peers)
        await peers[0].pubsub.publish("t", b"x")
        for sub in subs:
            message = await sub.get(30)
            assert (message.from_peer, message.seqno, message.id) == (None, None, b"x")
    with pytest.raises(LocalError):
        lab.GossipSub(policy=lab.SignaturePolicy.STRICT_NO_SIGN)


async def test_a_peer_that_leaves_is_forgotten_and_one_that_returns_is_greeted() -> None:
    async with hosts(2, KINDS["gossipsub"]) as (alice, bob):
        await ring([alice, bob])
        await alice.disconnect(bob.peer_id)
        await until(lambda: not alice.pubsub.peers("t") and not bob.pubsub.peers("t"))
        await bob.connect(alice.addrs[0])
        await until(lambda: alice.pubsub.peers("t") and bob.pubsub.peers("t"))


async def test_a_peer_without_pubsub_is_left_alone() -> None:
    async with hosts(1, KINDS["gossipsub"]) as (alice,), lab.Host() as plain:
        await plain.connect(alice.addrs[0])
        await plain.identify_result(alice.peer_id)
        await until(lambda: all(link.task.done() for link in alice.pubsub._links.values()))
        assert alice.pubsub.peers("t") == []
        await plain.ping(alice.peer_id)


async def test_rpcs_in_any_pieces() -> None:
    async with (
        hosts(1, KINDS["gossipsub"]) as (alice,),
        lab.Host(key=lab.KeyPair.generate()) as wire,
    ):

        @wire.handle("/meshsub/1.1.0")
        async def swallow(stream: Any) -> None:
            async for _ in stream:
                pass

        await wire.connect(alice.addrs[0])
        stream = await wire.open_stream(alice.peer_id, "/meshsub/1.1.0")
        topics = [f"topic {n}" for n in range(20)]
        rpcs = [RPC((SubOpts(True, topic),)).encode() for topic in topics]
        whole = b"".join(varint.encode(len(rpc)) + rpc for rpc in rpcs)
        for at in range(0, len(whole), 7):
            await stream.write(whole[at : at + 7])
            await asyncio.sleep(0)
        await until(lambda: all(alice.pubsub.peers(topic) for topic in topics))


async def test_explicit_peers_are_dialed_again() -> None:
    async with hosts(1, KINDS["gossipsub"]) as (alice,):
        friend = lab.PeerInfo(alice.peer_id, alice.addrs)
        limits = lab.Limits(pubsub_explicit_interval=0.1)
        service = lab.GossipSub(FAST, explicit_peers=[friend])
        async with lab.Host(services=[lab.Identify(), service], limits=limits) as bob:
            connected: list[Any] = []
            bob.on_connect(connected.append)
            await bob.pubsub.subscribe("t")
            await until(lambda: len(connected) == 1 and bob.peer_id in alice.peers)
            await alice.disconnect(bob.peer_id)
            await until(lambda: len(connected) == 2)


async def test_peer_exchange_brings_pruned_peers_together() -> None:
    small = lab.GossipSubParameters(
        heartbeat_interval=0.05, D=1, D_low=1, D_high=1, D_score=1, D_out=0, D_lazy=1
    )
    trusting = lab.ScoreThresholds(accept_px=0.0)

    def make() -> PubSub:
        return lab.GossipSub(small, peer_exchange=True, thresholds=trusting)

    async with hosts(5, make) as (hub, *others):
        for other in others:
            await other.connect(hub.addrs[0])
            await other.identify_result(hub.peer_id)
            await hub.identify_result(other.peer_id)
        for host in (hub, *others):
            await host.pubsub.subscribe("t")
        await until(lambda: any(len(other.peers) > 1 for other in others))


async def test_closing_in_the_middle_of_everything_leaves_nothing() -> None:
    async with hosts(4, KINDS["gossipsub"]) as peers:
        await ring(peers)

        async def publish(host: lab.Host) -> None:
            for number in range(1000):
                await host.pubsub.publish("t", b"%d" % number)

        publishing = [asyncio.create_task(publish(host)) for host in peers]
        await asyncio.sleep(0.1)
        await peers[0].close()
        for task in publishing:
            task.cancel()
        await asyncio.gather(*publishing, return_exceptions=True)


async def test_misuse_is_named() -> None:
    async with lab.Host() as plain:
        with pytest.raises(LocalError, match="GossipSub"):
            _ = plain.pubsub
    host = lab.Host(services=[lab.GossipSub()])
    with pytest.raises(LocalError):
        await host.pubsub.subscribe("t")
    with pytest.raises(LocalError):
        await host.pubsub.publish("t", b"x")
