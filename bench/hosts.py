"""Many hosts: started, listening on TCP, each connected to the next one round a ring."""

from __future__ import annotations

from functools import partial

import libp2p_lab as lab
from bench.others import others
from bench.pairs import TCP_ADDR
from bench.report import Row
from bench.timing import Stopwatch, medians


async def measure(quick: bool, alone: bool) -> list[Row]:
    rows = []
    for count in (5, 10) if quick else (50, 200):
        (ours,) = await medians(1 if quick else 5, partial(_ring, count))
        # py-libp2p would take minutes for 200.
        them = await others("hosts", count, 1, alone=alone or count > 50)
        rows.append(Row(f"{count} hosts in a ring", "s", ours, False, js=them.js, py=them.py))
    return rows


async def _ring(count: int) -> float:
    with Stopwatch() as watch:
        hosts = [await lab.Host(listen=[TCP_ADDR]).start() for _ in range(count)]
        for one, other in zip(hosts, [*hosts[1:], hosts[0]], strict=True):
            await one.connect(other.addrs[0])
    for host in hosts:
        await host.close()
    return watch.seconds
