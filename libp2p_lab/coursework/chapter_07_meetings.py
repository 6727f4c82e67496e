"""Where a student's router meets those that do not know its code: on one table, in live peers, and in js-libp2p."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from libp2p_lab.coursework.chapter_07_network import Network, made_router, random_links
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.slots import swap
from libp2p_lab.errors import LabError, RemoteError
from libp2p_lab.foreign import ForeignPeer, find_node, js_folder
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.pubsub.floodsub import FloodSubRouter
from libp2p_lab.pubsub.gossipsub import GossipSubRouter
from libp2p_lab.pubsub.parameters import ScoreParameters
from libp2p_lab.pubsub.pubsub_messages import Message
from libp2p_lab.pubsub.score import PeerScore
from libp2p_lab.pubsub.services import FloodSub, GossipSub

TOPIC = "harbour"
PATIENCE = 15.0  # seconds for what takes a right router one or two
_LOOK = 0.02  # seconds between two looks at a foreign peer


def _accept(message: Message) -> None:
    """Nothing is signed on the table."""


def _gossipsub(rng: random.Random) -> GossipSubRouter:
    return GossipSubRouter(
        screen=_accept, score=PeerScore(ScoreParameters()), rng=random.Random(rng.random())
    )


def on_one_table(exam: Exam, answer: Any) -> None:
    """Six routers of the student's, six of GossipSub and four of FloodSub: each message reaches all, once."""
    net = Network(exam, in_order=False)
    for number in range(16):
        if number < 6:
            net.add(made_router(exam, answer, random.Random(exam.rng.random())))
        elif number < 12:
            net.add(_gossipsub(exam.rng), is_students=False)
        else:
            net.add(FloodSubRouter(screen=_accept), is_students=False)
    for a, b in random_links(exam.rng, 16, 7):
        net.connect(a, b)
    for number in range(16):
        net.join(number, TOPIC)
    net.beat(2)
    for publisher in (0, 7, 13):
        kind = "yours" if publisher < 6 else "GossipSub" if publisher < 12 else "FloodSub"
        exam.sent = (
            f"six of your routers, six of GossipSub and four of FloodSub; one of {kind} publishes"
        )
        message_id = net.publish(publisher, TOPIC)
        net.beat(4)
        missing = [n for n, node in enumerate(net.nodes) if node.got[message_id] != 1]
        exam.require(
            not missing,
            "stranger",
            f"{len(missing)} of 16 did not get the message exactly once",
            got=f"routers {', '.join(map(str, missing))} (0 to 5 are yours, from 12 on it is FloodSub)",
        )
        exam.count("messages among strangers")


# -- live -------------------------------------------------------------------------------------------------------------


async def _until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(_LOOK)


async def live(exam: Exam, answer: Any) -> None:
    """A peer with the student's router between two untouched ones, over real streams, with signed messages."""
    keys = [KeyPair.generate(rng=exam.rng) for _ in range(3)]
    exam.sent = "three live peers: GossipSub, yours in the middle, FloodSub"
    try:
        async with AsyncExitStack() as stack:
            swapped = stack.enter_context(swap("pubsub_router", answer))
            mine = await stack.enter_async_context(swapped.host(key=keys[0], listen=["/memory/0"]))
            parts = (GossipSub(), FloodSub())
            theirs = [
                await stack.enter_async_context(Host(key=key, services=[Identify(), Ping(), part]))
                for key, part in zip(keys[1:], parts, strict=True)
            ]
            hosts = [mine, *theirs]
            inboxes = [await host.pubsub.subscribe(TOPIC) for host in hosts]
            async with exam.step(
                PATIENCE, "stranger", "the three never knew what each other wants"
            ):
                for host in theirs:
                    await host.connect(mine.addrs[0])
                await _until(lambda: len(mine.pubsub.peers(TOPIC)) == 2)
                await _until(lambda: all(host.pubsub.peers(TOPIC) for host in theirs))
                await _until(lambda: theirs[0].pubsub.mesh(TOPIC))
            for host in hosts:
                await host.pubsub.publish(TOPIC, f"from {hosts.index(host)}".encode())
            expected = sorted(f"from {number}".encode() for number in range(3))
            problem = "a message did not reach all three"
            async with exam.step(PATIENCE, "stranger", problem, expected="three messages at each"):
                for inbox in inboxes:
                    got = sorted([(await inbox.get()).data for _ in hosts])
                    exam.require(got == expected, "stranger", "a message came twice", got=str(got))
            exam.count("live peers", 3)
    except RemoteError as problem:
        exam.reject("stranger", f"an untouched peer did not understand: {problem}")


# -- js-libp2p --------------------------------------------------------------------------------------------------------


async def with_js(exam: Exam, answer: Any) -> None:
    """One message each way with js-libp2p, where it is installed."""
    folder = js_folder()
    if folder is None:
        exam.note(
            "js-libp2p is not installed here (`make interop-peers`), so your router did not meet it."
        )
        return
    exam.sent = "a live peer with your router, and js-libp2p with its own GossipSub"
    try:
        async with AsyncExitStack() as stack:
            # The worker's bound on memory counts address space, of which Node reserves a lot: it is lifted for Node.
            lifted = ("sh", "-c", 'ulimit -S -v unlimited 2>/dev/null; exec "$@"', "sh")
            js = await ForeignPeer.launch(*lifted, await find_node(folder), folder / "peer.mjs")
            await stack.enter_async_context(js)
            await js.start(pubsub="gossipsub")
            swapped = stack.enter_context(swap("pubsub_router", answer))
            mine = await stack.enter_async_context(swapped.host())
            await _talk(exam, mine, js)
    except RemoteError as problem:
        exam.reject("stranger", f"js-libp2p did not understand: {problem}")
    except (LabError, OSError) as problem:
        exam.note(f"js-libp2p could not be asked: {problem}")


async def _talk(exam: Exam, mine: Host, js: ForeignPeer) -> None:
    inbox = await mine.pubsub.subscribe(TOPIC)
    async with exam.step(
        PATIENCE, "stranger", "js-libp2p and your router never knew of each other"
    ):
        await mine.connect(js.addrs[0])
        await js.call("subscribe", topic=TOPIC)
        await _until(lambda: js.peer_id in mine.pubsub.peers(TOPIC))
        while str(mine.peer_id) not in await js.call("mesh", topic=TOPIC):
            await asyncio.sleep(_LOOK)
    async with exam.step(PATIENCE, "stranger", "a message of js-libp2p did not come"):
        await js.call("publish", topic=TOPIC, data=b"from js".hex())
        exam.require((await inbox.get()).data == b"from js", "stranger", "another message came")
    async with exam.step(PATIENCE, "stranger", "js-libp2p did not get your message"):
        await mine.pubsub.publish(TOPIC, b"from mine")
        await js.event("message", data=b"from mine".hex(), author=mine.peer_id)
    exam.count("messages with js-libp2p", 2)
