"""Relays: what one carries, what a place costs it, and how soon two that met through one are rid of it.

The relay is a process of its own, ours or js-libp2p's; the two ends, ours each time, are in this one. The ends encrypt
twice, for each other and for the relay, and so they are slower than it: what the relay itself can carry is told by its
processor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil

import libp2p_lab as lab
from bench.pairs import TCP_ADDR, two_hosts
from bench.raw import PIECE
from bench.report import Row
from bench.timing import medians
from libp2p_lab import foreign
from libp2p_lab.multiplexing import MuxedStream
from libp2p_lab.sim import PORT_RESTRICTED
from libp2p_lab.sim.punching import Kind, meet

SINK = "/bench/sink/1.0.0"
MEGABYTE = 1_000_000
KIB = 1024
WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Running:
    """A relay in a process of its own."""

    addr: str
    process: psutil.Process

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


async def measure(quick: bool, alone: bool) -> list[Row]:
    size = (8 if quick else 128) * 1024 * 1024
    times = 1 if quick else 5
    (direct,) = await medians(times, lambda: _direct(size))
    async with our_relay() as ours:
        rate, carried = await _relayed(ours, size, times)
    js_rate = js_carried = None
    if not alone and foreign.js_folder() is not None:
        async with js_relay() as theirs:
            js_rate, js_carried = await _relayed(theirs, size, times)
    rows = [
        Row("a stream through a relay", "MB/s", rate, True, direct, "the same, direct", js_rate),
        Row("carried in a second of the relay's processor", "MB", carried, True, js=js_carried),
    ]
    rows += await _places(50 if quick else 1000)
    kinds: tuple[Kind, ...] = ("tcp", "quic")
    for kind in kinds:
        # Virtual time; in an event loop there runs none beside, so a thread has it.
        found = await asyncio.to_thread(meet, PORT_RESTRICTED, PORT_RESTRICTED, kind=kind)
        assert found.round_trips is not None
        what = f"relayed to direct, {kind}, in round trips of the relay"
        rows.append(Row(what, "", found.round_trips, False))
    return rows


# -- relays -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def our_relay() -> AsyncIterator[Running]:
    command = (sys.executable, "-m", "bench.relay")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        addr = (await process.stdout.readline()).decode().strip()
        yield Running(addr, psutil.Process(process.pid))
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def js_relay() -> AsyncIterator[Running]:
    options = {"reservations": {"applyDefaultLimit": False, "maxReservations": 2000}}
    async with await foreign.js_peer(relay=options) as peer:
        yield Running(str(peer.addrs[0]), psutil.Process(peer.pid))


async def serve() -> None:
    """A relay without limits, until our input ends."""
    limits = lab.Limits(
        relay_data=0,
        relay_duration=0,
        relay_reservations=2000,
        relay_reservations_per_ip=2000,
        max_connections=4000,
        max_connections_inbound=4000,
    )
    services = [lab.Identify(), lab.Ping(), lab.Relay()]
    async with lab.Host(listen=[TCP_ADDR], services=services, limits=limits) as host:
        print(host.addrs[0], flush=True)
        await asyncio.to_thread(sys.stdin.read)


# -- bytes ------------------------------------------------------------------------------------------------------


async def _push(alice: lab.Host, bob: lab.Host, size: int) -> float:
    """Bytes a second of wall time, from bob to alice."""
    arrived = asyncio.Event()

    async def sink(stream: MuxedStream) -> None:
        while await stream.read(PIECE):
            pass
        arrived.set()

    alice.set_handler(SINK, sink)
    piece = bytes(PIECE)
    stream = await bob.open_stream(alice.peer_id, SINK)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(size // PIECE):
        await stream.write(piece)
    await stream.close_write()
    await arrived.wait()
    seconds = loop.time() - began
    await stream.close()
    return size / seconds


async def _direct(size: int) -> float:
    async with two_hosts() as (alice, bob):
        return await _push(alice, bob, size) / MEGABYTE


async def _relayed(relay: Running, size: int, times: int) -> tuple[float, float]:
    """MB/s from end to end, and MB for each second of the relay's processor."""

    def end() -> lab.Host:
        services = [lab.Identify(), lab.Ping(), lab.RelayClient()]
        return lab.Host(listen=[], services=services)

    async with end() as alice, end() as bob:
        await alice.relay_client.reserve(relay.addr)
        await bob.connect(alice.addrs[0])
        costs = []

        async def once() -> float:
            before = relay.cpu
            rate = await _push(alice, bob, size)
            costs.append(relay.cpu - before)
            return rate / MEGABYTE

        (rate,) = await medians(times, once)
    return rate, size / MEGABYTE / sorted(costs)[len(costs) // 2]


# -- places -----------------------------------------------------------------------------------------------------


async def _places(count: int) -> list[Row]:
    """What the relay grows by for each connection with a place, and what renewing it costs."""
    async with contextlib.AsyncExitStack() as stack:
        relay = await stack.enter_async_context(our_relay())
        clients = []

        async def come(how_many: int) -> None:
            for _ in range(how_many):
                services = [lab.Identify(), lab.RelayClient()]
                client = lab.Host(listen=[], services=services)
                clients.append(await stack.enter_async_context(client))
                await client.relay_client.reserve(relay.addr)
                await client.identify_result(client.peers[0])

        await come(WARM_UP)
        before = relay.process.memory_info().rss
        await come(count)
        grown = (relay.process.memory_info().rss - before) / count / KIB
        cpu = relay.cpu
        for client in clients:
            peer = client.peers[0]
            await client.relay_client.renew(peer)
        renewal = (relay.cpu - cpu) / len(clients)
    return [
        Row(f"relay: memory of a connection with a place, of {count:,}", "KiB", grown, False),
        Row(f"relay: processor time of a renewal, of {count:,} places", "ms", 1e3 * renewal, False),
    ]


if __name__ == "__main__":
    asyncio.run(serve())
