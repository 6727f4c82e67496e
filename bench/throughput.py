"""One stream, one direction: Noise and yamux over TCP, both ends in one process.

Every byte is copied through the kernel, encrypted and decrypted, one after the other on one processor. So the limit is
the time of the three together: 1 / (1/tcp + 1/encrypt + 1/decrypt).
"""

from __future__ import annotations

import asyncio
from functools import partial

from bench import raw
from bench.others import others
from bench.pairs import two_hosts
from bench.report import Row
from bench.timing import Stopwatch, medians
from libp2p_lab.multiplexing import MuxedStream

SINK = "/bench/sink/1.0.0"
MEGABYTE = 1_000_000


async def measure(quick: bool, alone: bool) -> list[Row]:
    size = (16 if quick else 256) * 1024 * 1024
    async with two_hosts() as (alice, bob):
        arrived = asyncio.Event()

        @alice.handle(SINK)
        async def sink(stream: MuxedStream) -> None:
            while await stream.read(raw.PIECE):
                pass
            arrived.set()

        async def ours() -> float:
            arrived.clear()
            piece = bytes(raw.PIECE)
            stream = await bob.open_stream(alice.peer_id, SINK)
            with Stopwatch() as watch:
                for _ in range(size // raw.PIECE):
                    await stream.write(piece)
                await stream.close_write()
                await arrived.wait()
            await stream.close()
            return size / watch.seconds

        rate, tcp, seal, open_ = await medians(
            2 if quick else 7,
            ours,
            partial(raw.tcp_throughput, size),
            partial(raw.seal_throughput, size),
            partial(raw.open_throughput, size),
        )
    limit = 1 / (1 / tcp + 1 / seal + 1 / open_)
    them = await others("throughput", size // 1024 // 1024 // 4, 3, alone=alone)
    return [
        Row(
            "throughput, one stream",
            "MB/s",
            rate / MEGABYTE,
            True,
            limit / MEGABYTE,
            "TCP, encrypt, decrypt",
            them.js,
            them.py,
        )
    ]
