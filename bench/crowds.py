"""Many at once: a thousand streams on one connection, a hundred dials. Neither may cost much more than one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import libp2p_lab as lab
from bench import raw
from bench.pairs import TCP_ADDR
from bench.report import Row
from bench.throughput import MEGABYTE, SINK
from bench.timing import Stopwatch, medians
from libp2p_lab.multiplexing import MuxedStream

EACH = 64 * 1024  # bytes of each stream
LIMITS = lab.Limits(max_streams_per_protocol_and_peer=2048)


async def measure(quick: bool, alone: bool) -> list[Row]:
    streams, dials, times = (100, 20, 1) if quick else (1000, 100, 5)
    many, one = await medians(times, partial(_open_at_once, streams), partial(_one, streams))
    at_once, in_order = await medians(
        times, partial(_dials, dials, True), partial(_dials, dials, False)
    )
    return [
        Row(
            f"{streams:,} streams open at once, 64 KiB each",
            "MB/s",
            many / MEGABYTE,
            True,
            one / MEGABYTE,
            "the same bytes on one stream",
        ),
        Row(f"{dials} dials at once", "s", at_once, False, in_order, "one after another"),
    ]


async def _open_at_once(count: int) -> float:
    """Bytes a second: all are open, all are written to, and only then does any of them end.

    What opening costs is the part `streams`.
    """
    arrived = asyncio.Event()
    left = count

    async def take(stream: MuxedStream) -> None:
        nonlocal left
        while await stream.read(raw.PIECE):
            pass
        left -= 1
        if not left:
            arrived.set()

    async with _pair() as (alice, bob):
        alice.set_handler(SINK, take)
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)
        piece = bytes(EACH)

        async def write(stream: MuxedStream) -> None:
            await stream.write(piece)
            written.append(stream)

        written: list[MuxedStream] = []
        opened = [await bob.open_stream(alice.peer_id, SINK) for _ in range(count)]
        await bob.ping(alice.peer_id)  # they are open at both ends
        with Stopwatch() as watch:
            await asyncio.gather(*map(write, opened))
            for stream in written:
                await stream.close_write()
            await arrived.wait()
        for stream in written:
            await stream.close()
    return count * EACH / watch.seconds


async def _one(count: int) -> float:
    arrived = asyncio.Event()

    async def take(stream: MuxedStream) -> None:
        while await stream.read(raw.PIECE):
            pass
        arrived.set()

    async with _pair() as (alice, bob):
        alice.set_handler(SINK, take)
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)
        piece = bytes(EACH)
        with Stopwatch() as watch:
            stream = await bob.open_stream(alice.peer_id, SINK)
            for _ in range(count):
                await stream.write(piece)
            await stream.close_write()
            await arrived.wait()
        await stream.close()
    return count * EACH / watch.seconds


async def _dials(count: int, at_once: bool) -> float:
    """Seconds until one host is connected to so many others."""
    limits = lab.Limits(max_pending_inbound_per_ip=count)
    others = [
        await lab.Host(listen=[TCP_ADDR], services=[], limits=limits).start() for _ in range(count)
    ]
    async with lab.Host(services=[]) as host:
        addrs = [other.addrs[0] for other in others]
        with Stopwatch() as watch:
            if at_once:
                await asyncio.gather(*map(host.connect, addrs))
            else:
                for addr in addrs:
                    await host.connect(addr)
    for other in others:
        await other.close()
    return watch.seconds


@asynccontextmanager
async def _pair() -> AsyncIterator[tuple[lab.Host, lab.Host]]:
    """Two hosts that let a thousand streams of one peer be open."""
    async with (
        lab.Host(listen=[TCP_ADDR], limits=LIMITS) as alice,
        lab.Host(limits=LIMITS) as bob,
    ):
        yield alice, bob
