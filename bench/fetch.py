"""A file from one peer by Bitswap, block by block, beside Helia and py-libp2p; and the same bytes on one stream."""

from __future__ import annotations

import random
from functools import partial

import libp2p_lab as lab
from bench.others import others
from bench.pairs import TCP_ADDR
from bench.raw import PIECE
from bench.report import Row
from bench.timing import Stopwatch, medians
from libp2p_lab.multiplexing import MuxedStream

MIB = 1024 * 1024
MEGABYTE = 1_000_000
SINK = "/bench/sink/1.0.0"


async def measure(quick: bool, alone: bool) -> list[Row]:
    size, times = (4, 1) if quick else (64, 5)
    data = random.Random(0).randbytes(size * MIB)
    services = [lab.Identify(), lab.Bitswap()]
    async with lab.Host(listen=[TCP_ADDR], services=services) as alice:
        root = lab.add_file(alice.bitswap.store, data)
        fetched, streamed = await medians(
            times, partial(_fetch, alice, root, data), partial(_stream, alice, data)
        )
    them = await others("fetch", size, min(times, 3), alone=alone)
    what = f"a file of {size} MiB by Bitswap"
    limit = "the same bytes on a stream"
    return [Row(what, "MB/s", fetched, True, streamed, limit, js=them.js, py=them.py)]


async def _fetch(alice: lab.Host, root: lab.CID, data: bytes) -> float:
    """Megabytes a second, for a peer that has nothing of it yet."""
    async with lab.Host(services=[lab.Identify(), lab.Bitswap()]) as bob:
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)
        with Stopwatch() as watch:
            fetched = await lab.fetch_file(bob, root)
        assert fetched == data
    return len(data) / MEGABYTE / watch.seconds


async def _stream(alice: lab.Host, data: bytes) -> float:
    """Megabytes a second."""

    async def serve(stream: MuxedStream) -> None:
        for start in range(0, len(data), PIECE):
            await stream.write(data[start : start + PIECE])
        await stream.close()

    alice.set_handler(SINK, serve)
    async with lab.Host(services=[lab.Identify()]) as bob:
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)
        with Stopwatch() as watch:
            stream = await bob.open_stream(alice.peer_id, SINK)
            assert await stream.read() == data
        await stream.close()
    return len(data) / MEGABYTE / watch.seconds
