"""Round trip of 32 bytes on an open stream, beside the same over bare TCP."""

from __future__ import annotations

from functools import partial

import libp2p_lab as lab
from bench import raw
from bench.others import others
from bench.pairs import two_hosts
from bench.report import Row
from bench.timing import Stopwatch, medians


async def measure(quick: bool, alone: bool) -> list[Row]:
    count = 100 if quick else 1000
    async with two_hosts() as (alice, bob):
        stream = await bob.open_stream(alice.peer_id, "/ipfs/ping/1.0.0")
        service = bob.service(lab.Ping)

        async def ours() -> float:
            with Stopwatch() as watch:
                for _ in range(count):
                    await service.round_trip(stream)
            return watch.seconds / count

        seconds, limit = await medians(3 if quick else 9, ours, partial(raw.tcp_round_trip, count))
        await stream.close()
    them = await others("ping", count, 3, alone=alone)
    return [
        Row(
            "ping, round trip",
            "µs",
            seconds * 1e6,
            False,
            limit * 1e6,
            "bare TCP",
            them.js,
            them.py,
        )
    ]
