"""Widgets with 100 live peers: batches a second, and what they cost the loop on which the peers live.

Two runs of the same traffic, one without widgets and one with a NetworkMap and a WireLens that somebody looks at. The
page is played by code that acknowledges each batch at once, after turning it into JSON, as Jupyter does. A late timer
shows how long the loop was busy with something else. Each ping opens a stream and agrees on its protocol first: some
twenty entries in the traces of the two peers.
"""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median, quantiles
from typing import Any

from bench.report import Row
from libp2p_lab.host.host import Host
from libp2p_lab.widgets.network_map import NetworkMap
from libp2p_lab.widgets.view import View
from libp2p_lab.widgets.wire_lens import WireLens

PEERS = 100
SECONDS = 8.0
PAUSE = 1.0  # seconds between two pings of one peer: about 100 pings a second
LOOK = 0.005  # seconds between two looks at the loop


class Watcher:
    """A page: takes batches, turns them into bytes, acknowledges."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.batches = 0
        self.bytes = 0
        self.is_open = True
        view.front.send = self.take
        self.tell("open")

    def tell(self, kind: str, **content: Any) -> None:
        self.view._hear(None, {"type": kind, "view": "bench", **content}, [])

    def take(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.bytes += len(json.dumps(message)) + sum(map(len, buffers or []))
        if "seq" in message:
            self.batches += 1
            asyncio.get_running_loop().call_soon(self.drawn, message["seq"])

    def drawn(self, seq: int) -> None:
        if self.is_open:
            self.tell("ack", seq=seq)

    def close(self) -> None:
        """What a page says when its cell is cleared."""
        self.is_open = False
        self.tell("close")
        self.batches = 0


async def lateness(seconds: float) -> list[float]:
    """How late short timers are, in milliseconds."""
    late = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        await asyncio.sleep(LOOK)
        late.append((time.perf_counter() - before - LOOK) * 1000)
    return late


async def traffic(hosts: list[Host], seconds: float) -> int:
    """Each peer pings its neighbour again and again. Returns: how many pings came back."""
    done = 0

    async def one(host: Host, other: Host) -> None:
        nonlocal done
        while True:
            await host.ping(other.peer_id)
            done += 1
            await asyncio.sleep(PAUSE)

    tasks = []
    for at, host in enumerate(hosts):  # one after another: not all at the same moment
        tasks.append(asyncio.create_task(one(host, hosts[at - 1])))
        await asyncio.sleep(PAUSE / len(hosts) if seconds > PAUSE else 0)
    await asyncio.sleep(max(0.0, seconds - PAUSE))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return done


async def measure(quick: bool, alone: bool) -> list[Row]:
    seconds = 2.0 if quick else SECONDS
    hosts = [Host(listen=("/memory/0",)) for _ in range(PEERS)]
    for host in hosts:
        await host.start()
    try:
        for at, host in enumerate(hosts):
            await host.connect(hosts[at - 1].addrs[0])
        bare, pings_bare = await asyncio.gather(lateness(seconds), traffic(hosts, seconds))
        net, lens = NetworkMap(hosts), WireLens(hosts)
        watchers = [Watcher(net._view), Watcher(lens._view)]
        late, pings = await asyncio.gather(lateness(seconds), traffic(hosts, seconds))
        frames = [watcher.batches / seconds for watcher in watchers]
        sent = sum(watcher.bytes for watcher in watchers) / seconds / 1000
        for watcher in watchers:
            watcher.close()
        await traffic(hosts, 0.5)
        after = sum(watcher.batches for watcher in watchers)
        listening = sum(bool(host.trace.listeners) for host in hosts)
        net.close()
        lens.close()
    finally:
        await asyncio.gather(*(host.close() for host in hosts))
    p99 = [quantiles(values, n=100)[98] for values in (late, bare)]
    name = f"{PEERS} peers"
    return [
        Row(f"NetworkMap, {name}: batches", "/s", frames[0], True, 20.0, "asked for"),
        Row(f"WireLens, {name}: batches", "/s", frames[1], True, 10.0, "asked for"),
        Row(f"widgets, {name}: to the page", "kB/s", sent, False),
        Row(f"widgets, {name}: pings", "/s", pings / seconds, True, pings_bare / seconds, "bare"),
        Row(f"widgets, {name}: loop late, median", "ms", median(late), False, median(bare), "bare"),
        Row(f"widgets, {name}: loop late, p99", "ms", p99[0], False, p99[1], "bare"),
        Row("widgets, cells cleared: batches", "", float(after), False),
        Row("widgets, cells cleared: peers listened to", "", float(listening), False),
    ]
