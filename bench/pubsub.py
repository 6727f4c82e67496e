"""GossipSub: twenty peers in one process, over TCP, each message to all. Deliveries a second, delay, and growth."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from functools import partial

import libp2p_lab as lab
from bench.others import others
from bench.pairs import TCP_ADDR
from bench.report import Row
from bench.timing import Stopwatch, medians

TOPIC = "bench"
CHORDS = (1, 3, 7)  # each peer dials those that stand so many places on in the ring
BEATS = 3.0  # seconds in which the mesh grows
ROOM = 100_000  # messages that a subscription holds: nothing is to be dropped here
GRACE = 30.0  # seconds until what has not come counts as lost


async def measure(quick: bool, alone: bool) -> list[Row]:
    peers, rounds, times = (6, 2, 1) if quick else (20, 20, 3)
    rows = []
    for size, name in ((100, "100 B"), (10_240, "10 KiB")):
        (ours,) = await medians(times, partial(_deliveries, peers, rounds, size))
        them = await others("pubsub", peers, rounds, size, times, alone=alone)
        what = f"deliveries, {peers} peers, {name}"
        rows.append(Row(what, "/s", ours, True, js=them.js, py=them.py))
    delays = await _delays(peers, rounds)
    what = f"publish to delivery, {peers} peers, one message at a time"
    rows.append(Row(f"{what}: median", "ms", 1e3 * statistics.median(delays), False))
    rows.append(Row(f"{what}: p99", "ms", 1e3 * delays[int(len(delays) * 0.99)], False))
    for count in (2 * peers, 4 * peers):
        (more,) = await medians(1, partial(_deliveries, count, max(1, rounds // 4), 100))
        rows.append(Row(f"deliveries, {count} peers, 100 B", "/s", more, True))
    (spread,) = await medians(1, partial(_deliveries, peers, rounds, 100, topics=10))
    rows.append(Row(f"deliveries, {peers} peers, 100 B, ten topics", "/s", spread, True))
    return rows


class Mesh:
    """Peers that have found one another, each with a subscription to each topic."""

    def __init__(self, count: int, topics: int = 1) -> None:
        self.hosts = [
            lab.Host(listen=[TCP_ADDR], services=[lab.Identify(), lab.Ping(), lab.GossipSub()])
            for _ in range(count)
        ]
        self.topics = [f"{TOPIC}/{n}" for n in range(topics)]
        self.subscriptions: dict[tuple[int, str], lab.pubsub.Subscription] = {}

    async def __aenter__(self) -> Mesh:
        count = len(self.hosts)
        for host in self.hosts:
            await host.start()
        for n, host in enumerate(self.hosts):
            for step in CHORDS:
                other = self.hosts[(n + step) % count]
                if other is not host and other.peer_id not in host.peers:
                    await host.connect(other.addrs[0])
        for n, host in enumerate(self.hosts):
            for topic in self.topics:
                found = await host.pubsub.subscribe(topic, size=ROOM)
                self.subscriptions[n, topic] = found
        await asyncio.sleep(BEATS)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for host in self.hosts:
            await host.close()

    async def say(self, n: int, topic: str, data: bytes) -> None:
        await self.hosts[n].pubsub.publish(topic, data)


async def _deliveries(count: int, rounds: int, size: int, topics: int = 1) -> float:
    """Deliveries a second of process time; everybody says something, then all wait for all of it.

    Raises: `TimeoutError` if a message was lost.
    """
    payload = bytes(size)
    async with Mesh(count, topics) as mesh:

        async def one_round(number: int) -> None:
            topic = mesh.topics[number % topics]
            await asyncio.gather(*(mesh.say(n, topic, payload) for n in range(count)))
            async with asyncio.timeout(GRACE):
                for n in range(count):
                    for _ in range(count):
                        await mesh.subscriptions[n, topic].get()

        await one_round(0)
        with Stopwatch() as watch:
            for number in range(rounds):
                await one_round(number)
    return rounds * count * (count - 1) / watch.seconds


async def _delays(count: int, rounds: int) -> list[float]:
    """Seconds of wall time from publishing to each delivery, one message at a time; the shortest first."""
    delays: list[float] = []
    async with Mesh(count) as mesh:
        topic = mesh.topics[0]

        async def wait(n: int, started: float) -> None:
            await mesh.subscriptions[n, topic].get()
            delays.append(time.perf_counter() - started)

        gc.collect()
        for number in range(5 * rounds):
            author = number % count
            started = time.perf_counter()
            waiting = [wait(n, started) for n in range(count) if n != author]
            async with asyncio.timeout(GRACE):
                await asyncio.gather(mesh.say(author, topic, bytes(100)), *waiting)
            await mesh.subscriptions[author, topic].get()
    return sorted(delays)
