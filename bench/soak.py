"""`python -m bench.soak [minutes]`: does memory stay flat under a steady load of messages? A line a minute.

Twenty peers over TCP with Noise, yamux and GossipSub; twenty messages a second of 1 KiB, each to all. Ten minutes if
nothing is said. The first two minutes fill what is kept for two minutes on purpose: the ids of messages seen.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time

import psutil

from bench.pubsub import Mesh

PEERS = 20
RATE = 20  # messages a second
SIZE = 1024


async def soak(minutes: int) -> None:
    process = psutil.Process()
    async with Mesh(PEERS) as mesh:
        (topic,) = mesh.topics
        delivered = 0

        async def listen(n: int) -> None:
            nonlocal delivered
            async for _ in mesh.subscriptions[n, topic]:
                delivered += 1

        async with asyncio.TaskGroup() as tasks:
            listening = [tasks.create_task(listen(n)) for n in range(PEERS)]
            said = 0
            for minute in range(minutes + 1):
                gc.collect()
                mib = process.memory_info().rss / (1 << 20)
                objects = len(gc.get_objects())
                print(f"{minute:3} min  {mib:6.1f} MiB  {objects:8} objects  "
                      f"{said:6} said  {delivered:7} delivered", flush=True)  # fmt: skip
                if minute < minutes:
                    said += await _load(mesh, topic)
            for task in listening:
                task.cancel()


async def _load(mesh: Mesh, topic: str) -> int:
    """One minute of messages, each peer in turn. Returns how many."""
    started = time.monotonic()
    for said in range(60 * RATE):
        ahead = started + said / RATE - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
        await mesh.say(said % PEERS, topic, bytes(SIZE - 8) + said.to_bytes(8, "big"))
    return 60 * RATE


if __name__ == "__main__":
    asyncio.run(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
