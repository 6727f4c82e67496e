"""Memory at rest: what the process grows by, shared among many hosts or connections, in a fresh interpreter each.

A connection counts both ends, and what the two peers have learned of each other by identify.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from functools import partial

import psutil

from bench.others import others
from bench.report import Row
from bench.timing import medians
from libp2p_lab.multiplexing import MuxedStream

WARM_UP = 10
KIB = 1024


async def measure(quick: bool, alone: bool) -> list[Row]:
    count = 20 if quick else 200
    tcp, memory = "/ip4/127.0.0.1/tcp/0", "/memory/0"
    host, over_tcp, over_memory, over_quic, stream = await medians(
        1 if quick else 5,
        partial(_grown, count, "hosts", tcp),
        partial(_grown, count, "connections", tcp),
        partial(_grown, count, "connections", memory),
        partial(_grown, count, "connections", "/ip4/127.0.0.1/udp/0/quic-v1"),
        partial(_grown, 2 * count, "streams", tcp),
    )
    hosts = await others("host_memory", count // 2, 1, alone=alone)
    connections = await others("connection_memory", count // 2, 1, alone=alone)
    return [
        Row("idle host", "KiB", host, False, js=hosts.js, py=hosts.py),
        Row(
            "idle connection, TCP, both ends",
            "KiB",
            over_tcp,
            False,
            js=connections.js,
            py=connections.py,
        ),
        Row("idle connection, memory, both ends", "KiB", over_memory, False),
        Row("idle connection, QUIC, both ends", "KiB", over_quic, False),
        Row("idle stream, both ends and its handler", "KiB", stream, False),
    ]


async def _grown(count: int, what: str, addr: str) -> float:
    command = [sys.executable, "-m", "bench.memory", str(count), what, addr]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def grown(count: int, what: str, addr: str) -> float:
    """KiB that this process grows by for each of `count` hosts, connections or streams."""
    import libp2p_lab as lab

    hosts: list[lab.Host] = []

    async def start(how_many: int) -> None:
        hosts.extend([await lab.Host(listen=[addr]).start() for _ in range(how_many)])

    async def connect(first: int, last: int) -> None:
        for one, other in zip(hosts[first:last], hosts[first + 1 : last + 1], strict=True):
            await one.connect(other.addrs[0])
            await one.identify_result(other.peer_id)
            await other.identify_result(one.peer_id)

    async def wait(stream: MuxedStream) -> None:
        await stream.read()

    await start(WARM_UP)
    await connect(0, WARM_UP - 1)
    if what == "streams":
        hosts[1].set_handler("/wait", wait, count)
        for number in range(count):
            if number == WARM_UP:
                before = _resident()
            # Two protocols to choose from: the answer is awaited, and so the handler runs.
            await hosts[0].open_stream(hosts[1].peer_id, ("/wait", "/nothing"))
        count -= WARM_UP
    elif what == "hosts":
        before = _resident()
        await start(count)
    else:
        await start(count)
        before = _resident()
        await connect(WARM_UP, WARM_UP + count - 1)
    after = _resident()
    for host in hosts:
        await host.close()
    return (after - before) / count / KIB


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    print(asyncio.run(grown(int(sys.argv[1]), sys.argv[2], sys.argv[3])))
