"""New streams one after another, each with one small echo: open, negotiate, 32 bytes there and back, close."""

from __future__ import annotations

from functools import partial

from bench import raw
from bench.others import others
from bench.pairs import two_hosts
from bench.report import Row
from bench.timing import Stopwatch, medians

ECHO = "/echo/1.0.0"


async def measure(quick: bool, alone: bool) -> list[Row]:
    count = 50 if quick else 500
    async with two_hosts() as (alice, bob):

        async def ours() -> float:
            with Stopwatch() as watch:
                for _ in range(count):
                    stream = await bob.open_stream(alice.peer_id, ECHO)
                    await stream.write(raw.MESSAGE)
                    await stream.close_write()
                    assert await stream.read() == raw.MESSAGE
                    await stream.close()
            return count / watch.seconds

        rate, round_trip = await medians(
            3 if quick else 9, ours, partial(raw.tcp_round_trip, count)
        )
    them = await others("streams", count, 3, alone=alone)
    return [
        Row(
            "new streams, one echo each",
            "/s",
            rate,
            True,
            1 / round_trip,
            "round trips over bare TCP",
            them.js,
            them.py,
        )
    ]
