"""The DHT: twenty peers over TCP that provide and find, beside the other two; and the routing table by itself."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import libp2p_lab as lab
from bench.others import others
from bench.pairs import TCP_ADDR
from bench.report import Row
from bench.timing import Stopwatch, medians
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing import RoutingTable, position

SETTLE = 0.5  # seconds until the announcements have been taken down


async def measure(quick: bool, alone: bool) -> list[Row]:
    peers, count, times = (6, 3, 1) if quick else (20, 10, 3)
    rows = []
    async with _network(peers) as hosts:
        keys = (hashlib.sha256(b"%d" % n).digest() for n in itertools.count())
        provided: list[bytes] = []
        provide, find = await medians(
            times,
            partial(_provide, hosts, count, keys, provided),
            partial(_find, hosts, count, provided),
        )
    for what, task, ours in (
        ("provide", "dht_provide", provide),
        ("find a provider", "dht_find", find),
    ):
        them = await others(task, peers, count, times, alone=alone)
        rows.append(Row(f"{what}, {peers} peers", "ms", ours, False, js=them.js, py=them.py))
    return rows + await _table(1_000 if quick else 10_000, times)


@asynccontextmanager
async def _network(count: int) -> AsyncIterator[list[lab.Host]]:
    """Hosts that know one another: each joined through the first. The last is a client, which stores nothing."""
    async with AsyncExitStack() as stack:
        hosts = []
        for n in range(count):
            dht = lab.KadDHT(mode="client" if n == count - 1 else "server")
            services = [lab.Identify(), lab.Ping(), dht]
            host = lab.Host(listen=[TCP_ADDR], services=services)
            hosts.append(await stack.enter_async_context(host))
        for _ in range(2):  # the second time everybody is there
            for host in hosts[1:]:
                await host.dht.bootstrap([hosts[0].addrs[0]])
        yield hosts


async def _provide(
    hosts: list[lab.Host], count: int, keys: Iterator[bytes], provided: list[bytes]
) -> float:
    """Milliseconds of one announcement."""
    provided.clear()
    with Stopwatch() as watch:
        for n in range(count):
            multihash = b"\x12\x20" + next(keys)
            provided.append(multihash)
            await hosts[n % (len(hosts) - 1)].dht.provide(multihash)
    return 1e3 * watch.seconds / count


async def _find(hosts: list[lab.Host], count: int, provided: list[bytes]) -> float:
    """Milliseconds until the first provider is found, by the client."""
    await asyncio.sleep(SETTLE)
    with Stopwatch() as watch:
        for n in range(count):
            found = [peer async for peer in hosts[-1].dht.find_providers(provided[n], count=1)]
            assert found
    return 1e3 * watch.seconds / count


async def _table(peers: int, times: int) -> list[Row]:
    ids = [PeerId(b"\x12\x20" + hashlib.sha256(b"%d" % n).digest()) for n in range(peers)]
    targets = [position(b"key %d" % n) for n in range(200)]

    async def add() -> float:
        with Stopwatch() as watch:
            table = RoutingTable(ids[0])
            for peer in ids:
                table.add(peer)
        return peers / watch.seconds

    async def closest() -> float:
        table = RoutingTable(ids[0])
        for peer in ids:
            table.add(peer)
        with Stopwatch() as watch:
            for target in targets:
                table.closest(target)
        return len(targets) / watch.seconds

    added, asked = await medians(times, add, closest)
    return [
        Row(f"routing table: peers added, of {peers:,}", "/s", added, True),
        Row("routing table: the 20 closest", "/s", asked, True),
    ]
