"""Our GossipSub and FloodSub with those of js-libp2p and py-libp2p: who hears what, and what is believed."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.foreign import ForeignPeer
from libp2p_lab.pubsub import RPC, pubsub
from libp2p_lab.pubsub.events import MessageRefused
from tests.interop.meeting import DIALERS, Meeting, meet, our_host
from tests.interop.peers import PEERS

TOPIC = "harbour"
VERSIONS = [f"/meshsub/1.{minor}.0" for minor in range(4)]
FLOODSUB = "/floodsub/1.0.0"

# @libp2p/gossipsub 17.1.1 ends at 1.2.
SPOKEN = {"js": VERSIONS[:3], "py": VERSIONS}
UNSIGNED: dict[str, dict[str, Any]] = {
    "js": {"globalSignaturePolicy": "StrictNoSign"},
    "py": {"strict_signing": False},
}

pytestmark = pytest.mark.timeout(120)


def options(kind: str, **more: Any) -> dict[str, Any]:
    """What to start `kind` with: signed GossipSub, in all versions that it has."""
    own = {"js": {}, "py": {"protocols": [*reversed(SPOKEN["py"])]}}[kind]
    return {"pubsub": "gossipsub", "pubsub_options": {**own, **more}}


def ours(service: Any = None) -> dict[str, Any]:
    return {"services": [lab.Identify(), lab.Ping(), service or lab.GossipSub()]}


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def until_listed(peer: ForeignPeer, command: str, wanted: lab.PeerId) -> None:
    """Wait until `peer` names `wanted` in its list "pubsub_peers", "subscribers" or "mesh"."""
    async with asyncio.timeout(60):
        topic = {} if command == "pubsub_peers" else {"topic": TOPIC}
        while str(wanted) not in await peer.call(command, **topic):
            await asyncio.sleep(0.05)


def rpcs(m: Meeting, direction: str) -> list[tuple[float, RPC]]:
    return [
        (e.time, e.what)
        for e in m.entries
        if e.layer == "pubsub" and e.direction == direction and isinstance(e.what, RPC)
    ]


def versions(m: Meeting) -> set[str]:
    """The protocols of the pubsub streams that are open, both ways."""
    streams = [s for c in m.host.connections for s in c.streams.values()]
    return {s.protocol for s in streams if s.protocol in (*VERSIONS, FLOODSUB)}


async def subscribe_both(m: Meeting) -> lab.Subscription:
    """Both subscribe, and know it of each other."""
    subscription = await m.host.pubsub.subscribe(TOPIC)
    # py-libp2p 0.8.1 tells nobody of a topic that it subscribes to while it writes its first RPC: it is in neither.
    await until_listed(m.theirs, "pubsub_peers", m.host.peer_id)
    await m.theirs.call("subscribe", topic=TOPIC)
    await until(lambda: m.theirs.peer_id in m.host.pubsub.peers(TOPIC))
    await until_listed(m.theirs, "subscribers", m.host.peer_id)
    return subscription


async def exchange(m: Meeting, subscription: lab.Subscription, tag: bytes = b"") -> None:
    """One message each way."""
    await m.theirs.call("publish", topic=TOPIC, data=(b"theirs" + tag).hex())
    message = await subscription.get(timeout=60)
    assert (message.data, message.from_peer) == (b"theirs" + tag, m.theirs.peer_id)
    await m.host.pubsub.publish(TOPIC, b"ours" + tag)
    await m.theirs.event("message", data=(b"ours" + tag).hex(), author=m.host.peer_id)
    assert (await subscription.get(timeout=60)).data == b"ours" + tag


@pytest.mark.parametrize("dialer", DIALERS)
@pytest.mark.parametrize("kind", PEERS)
async def test_a_message_each_way(kind, dialer):
    async with meet(kind, parts=ours(), **options(kind)) as m:
        await m.connect(dialer)
        subscription = await subscribe_both(m)
        await exchange(m, subscription)
        assert versions(m) == {SPOKEN[kind][-1]}, "the newest that both have, each way"
        await m.theirs.call("unsubscribe", topic=TOPIC)
        await until(lambda: m.theirs.peer_id not in m.host.pubsub.peers(TOPIC))


@pytest.mark.parametrize(
    ("kind", "version"), [(kind, version) for kind in PEERS for version in SPOKEN[kind]]
)
async def test_each_version_alone(kind, version):
    router = lab.GossipSub(protocols=[version])
    async with meet(kind, parts=ours(router), **options(kind)) as m:
        await m.connect("we dial")
        subscription = await subscribe_both(m)
        await exchange(m, subscription)
        assert versions(m) == {version}


@pytest.mark.parametrize("service", [lab.FloodSub, lab.GossipSub])
@pytest.mark.parametrize("kind", PEERS)
async def test_floodsub(kind, service):
    async with meet(kind, parts=ours(service()), pubsub="floodsub") as m:
        await m.connect("we dial")
        subscription = await subscribe_both(m)
        await exchange(m, subscription)
        assert versions(m) == {FLOODSUB}


@pytest.mark.parametrize("kind", PEERS)
async def test_signatures_are_verified(kind, monkeypatch):
    """A forged message of ours is not delivered there; one of theirs without a signature is refused here."""
    async with meet(kind, parts=ours(), **options(kind)) as m:
        await m.connect("we dial")
        subscription = await subscribe_both(m)
        sign = pubsub.sign

        def forge(message: Any, key: lab.KeyPair) -> Any:
            return sign(message, lab.KeyPair.generate())

        monkeypatch.setattr(pubsub, "sign", forge)
        await m.host.pubsub.publish(TOPIC, b"forged")
        monkeypatch.undo()
        assert (await subscription.get(timeout=60)).data == b"forged", "our own is not checked"
        await exchange(m, subscription)
        data = [e["data"] for e in m.theirs.events if e["event"] == "message"]
        assert data == [b"ours".hex()]

    async with meet(kind, parts=ours(), **options(kind, **UNSIGNED[kind])) as m:
        await m.connect("we dial")
        subscription = await subscribe_both(m)
        await m.theirs.call("publish", topic=TOPIC, data=b"unsigned".hex())
        await until(lambda: [e for e in m.entries if isinstance(e.what, MessageRefused)])
        with pytest.raises(TimeoutError):
            await subscription.get(timeout=0)


@pytest.mark.parametrize("kind", PEERS)
async def test_a_large_message(kind):
    """It arrives whole, and who got it tells its mesh not to send it."""
    data = bytes(range(256)) * 400
    async with AsyncExitStack() as stack:
        m = await stack.enter_async_context(meet(kind, parts=ours(), **options(kind)))
        third = await stack.enter_async_context(our_host(**ours()))
        for host in (m.host, third):
            await host.connect(m.theirs.addrs[0])
        await third.connect(m.host.addrs[0])
        hears = await third.pubsub.subscribe(TOPIC)
        subscription = await subscribe_both(m)
        await until(lambda: {third.peer_id, m.theirs.peer_id} <= set(m.host.pubsub.mesh(TOPIC)))
        await until_listed(m.theirs, "mesh", m.host.peer_id)
        await until_listed(m.theirs, "mesh", third.peer_id)

        await third.pubsub.publish(TOPIC, data)
        assert (await subscription.get(timeout=60)).data == data
        await m.theirs.event("message", data=data.hex(), author=third.peer_id)
        await m.theirs.call("publish", topic=TOPIC, data=data.hex())
        assert (await subscription.get(timeout=60)).data == data
        assert [(await hears.get(timeout=60)).data for _ in range(2)] == [data, data]
        for direction in ("sent", "received"):
            await until(lambda d=direction: [rpc for _, rpc in rpcs(m, d) if rpc.idontwant])


@pytest.mark.parametrize("kind", PEERS)
async def test_graft_and_prune_with_backoff(kind):
    parameters = lab.GossipSubParameters(
        heartbeat_interval=0.25, unsubscribe_backoff=2.0, prune_backoff=1.0
    )
    # py-libp2p 0.8.1 counts back-offs in whole seconds of the clock on the wall, and so grafts up to one too early; we
    # refuse that, with a PRUNE of one second more. It takes each GRAFT within ten seconds of a PRUNE for a flood,
    # whatever back-off the PRUNE named, unless told otherwise.
    early = {"js": 0, "py": 1}[kind]
    unsubscribe = {
        "js": {"unsubcribeBackoff": 2000},
        "py": {"unsubscribe_back_off": 2, "prune_back_off": 1, "graft_flood_threshold": 0},
    }[kind]
    async with meet(
        kind, parts=ours(lab.GossipSub(parameters)), **options(kind, **unsubscribe)
    ) as m:
        await m.connect("we dial")
        mesh = m.host.pubsub.mesh
        subscription = await subscribe_both(m)
        await until(lambda: m.theirs.peer_id in mesh(TOPIC))
        await until_listed(m.theirs, "mesh", m.host.peer_id)

        await m.theirs.call("unsubscribe", topic=TOPIC)
        await until(lambda: not mesh(TOPIC))
        await until(lambda: [1 for _, rpc in rpcs(m, "received") if rpc.prune])
        pruned, rpc = next((at, rpc) for at, rpc in rpcs(m, "received") if rpc.prune)
        assert [(p.topic, p.backoff) for p in rpc.prune] == [(TOPIC, 2)]
        await m.theirs.call("subscribe", topic=TOPIC)
        await until(lambda: mesh(TOPIC))
        await until_listed(m.theirs, "mesh", m.host.peer_id)
        grafted = [at for at, rpc in rpcs(m, "sent") if rpc.graft and at > pruned]
        assert all(at - pruned >= 2 for at in grafted), "they asked us to wait"

        told = len([1 for _, rpc in rpcs(m, "sent") if rpc.prune])
        subscription.cancel()
        await until(lambda: len([1 for _, rpc in rpcs(m, "sent") if rpc.prune]) > told)
        left, rpc = [(at, rpc) for at, rpc in rpcs(m, "sent") if rpc.prune][-1]
        assert [(p.topic, p.backoff) for p in rpc.prune] == [(TOPIC, 2)]
        subscription = await m.host.pubsub.subscribe(TOPIC)
        await until(lambda: mesh(TOPIC))
        await until_listed(m.theirs, "mesh", m.host.peer_id)
        sent = [at - left for at, rpc in rpcs(m, "sent") if rpc.graft and at > left]
        received = [at - left for at, rpc in rpcs(m, "received") if rpc.graft and at > left]
        assert sent + received, "somebody grafted again"
        assert all(waited >= 2 for waited in sent)
        assert all(waited >= 2 - early for waited in received)
        await exchange(m, subscription)


async def test_a_mixed_mesh():
    """Four of each, in a ring with chords: every message reaches every other exactly once."""
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(our_host(**ours())) for _ in range(4)]
        kinds = ["js", "py"] * 4
        started = await asyncio.gather(*(PEERS[kind](**options(kind)) for kind in kinds))
        theirs = [await stack.enter_async_context(peer) for peer in started]
        everybody: list[Any] = []
        for n, host in enumerate(hosts):
            everybody += [host, theirs[2 * n], theirs[2 * n + 1]]
        count = len(everybody)
        subscriptions = [await host.pubsub.subscribe(TOPIC) for host in hosts]
        for peer in theirs:
            await peer.call("subscribe", topic=TOPIC)
        neighbours: dict[Any, set[Any]] = {peer: set() for peer in everybody}
        pairs = [(n, (n + step) % count) for step in (1, 2) for n in range(count)]
        for one, other in ((everybody[a], everybody[b]) for a, b in pairs):
            await (one.connect if one in hosts else one.dial)(other.addrs[0])
            neighbours[one].add(other)
            neighbours[other].add(one)
        links = [(one, other) for one in everybody for other in neighbours[one]]
        for one, other in links:
            if one in hosts:
                await until(lambda o=one, n=other: n.peer_id in o.pubsub.peers(TOPIC))
            else:
                await until_listed(one, "subscribers", other.peer_id)
        for host in hosts:
            await until(lambda h=host: h.pubsub.mesh(TOPIC))

        sent = {str(p.peer_id): f"from {n}".encode() for n, p in enumerate(everybody)}
        for peer in everybody:
            data = sent[str(peer.peer_id)]
            if peer in hosts:
                await peer.pubsub.publish(TOPIC, data)
            else:
                await peer.call("publish", topic=TOPIC, data=data.hex())
        for subscription in subscriptions:
            got = [await subscription.get(timeout=60) for _ in sent]
            assert {str(m.from_peer): m.data for m in got} == sent
        for peer, (author, data) in itertools.product(theirs, sent.items()):
            if author != str(peer.peer_id):
                await peer.event("message", author=author, data=data.hex())
        await asyncio.sleep(3)  # some heartbeats with gossip: what comes twice comes now
        for subscription in subscriptions:
            with pytest.raises(TimeoutError):
                await subscription.get(timeout=0)
        for peer in theirs:
            counts = Counter(e["data"] for e in peer.events if e["event"] == "message")
            others = {d.hex() for author, d in sent.items() if author != str(peer.peer_id)}
            assert counts == dict.fromkeys(others, 1)
