"""The virtual internet: hosts brought up with five connections each, an idle hour, memory, growth with their number."""

from __future__ import annotations

import asyncio
import random
import time

import psutil

from bench.report import Row
from libp2p_lab.sim import Internet, SimHost

LINKS = 5  # that each host dials
AT_ONCE = 200  # hosts that dial at the same time


async def measure(quick: bool, alone: bool) -> list[Row]:
    rows = []
    for security, counts in (
        ("noise", (10,) if quick else (100, 1000)),
        ("plaintext", (20,) if quick else (100, 1000, 10_000)),
    ):
        for count in counts:
            rows += _bring_up(count, security, idle=30.0 if quick else 3600.0)
    return rows


def _bring_up(count: int, security: str, idle: float) -> list[Row]:
    what = f"{count:,} simulated hosts, {security}"
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    with Internet(seed=1) as net:
        options = {"security": security} if security == "plaintext" else {}
        hosts = net.hosts(count, **options)
        net.run(_connect(hosts))
        took = time.perf_counter() - started
        per_host = (process.memory_info().rss - before) / count / 1024
        rows = [
            Row(f"{what}: {LINKS} links each", "s", took, False),
            Row(f"{what}: memory of a host", "KiB", per_host, False),
            Row(f"{what}: events while connecting", "/s", net.loop.steps / took, True),
        ]
        if count <= 1000:
            started, steps = time.perf_counter(), net.loop.steps
            net.run_for(idle)
            took = time.perf_counter() - started
            rows.append(Row(f"{what}: {idle / 3600:g} idle hours", "s", took, False))
            rows.append(
                Row(f"{what}: events while idle", "/s", (net.loop.steps - steps) / took, True)
            )
    return rows


async def _connect(hosts: list[SimHost]) -> None:
    rng = random.Random(1)
    links = min(LINKS, len(hosts) - 1)

    async def dial(host: SimHost) -> None:
        candidates = [other for other in rng.sample(hosts, links + 1) if other is not host]
        for other in candidates[:links]:
            await host.connect(other.addrs[0])

    for start in range(0, len(hosts), AT_ONCE):
        await asyncio.gather(*(dial(host) for host in hosts[start : start + AT_ONCE]))
