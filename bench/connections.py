"""New connections one after another over TCP: dialed, secured, multiplexed; closing them is not counted.

The limit is the public-key cryptography of both sides. With identify, each side has then also asked the other who it
is and has had the answer, signed record included.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import libp2p_lab as lab
from bench import raw
from bench.others import others
from bench.pairs import TCP_ADDR
from bench.report import Row
from bench.timing import Stopwatch, medians


async def measure(quick: bool, alone: bool) -> list[Row]:
    count = 10 if quick else 100
    bare, identified, limit = await medians(
        2 if quick else 7,
        partial(_rate, count, False),
        partial(_rate, count, True),
        partial(raw.handshake_rate, count),
    )
    them = await others("connections", 5 if quick else 50, 3, alone=alone)
    cryptography = "cryptography alone"
    return [
        Row("new connections", "/s", bare, True, limit, cryptography, them.js, them.py),
        Row("new connections, identified", "/s", identified, True, limit, cryptography),
    ]


async def _rate(count: int, identify: bool) -> float:
    def services() -> Sequence[lab.Service]:
        return [lab.Identify()] if identify else []

    seconds = 0.0
    async with (
        lab.Host(listen=[TCP_ADDR], services=services()) as alice,
        lab.Host(services=services()) as bob,
    ):
        addr = alice.addrs[0]
        for _ in range(count):
            with Stopwatch(collect=False) as watch:
                await bob.connect(addr)
                if identify:
                    await bob.identify_result(alice.peer_id)
                    await alice.identify_result(bob.peer_id)
            seconds += watch.seconds
            await bob.disconnect(alice.peer_id)
    return count / seconds
