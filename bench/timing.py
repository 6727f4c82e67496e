"""Stopwatches and repetitions.

A busy machine makes wall time jump. Where both ends run in this process and nothing waits, the process's own time is
the same on a machine that is free, and steady on one that is not: that is what is measured here.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable

Sample = Callable[[], Awaitable[float]]


class Stopwatch:
    """`with Stopwatch() as watch: …`, then `watch.seconds`: process time.

    Args:
        collect: collect garbage before, so that this sample does not pay for the last one's.
    """

    def __init__(self, collect: bool = True) -> None:
        self.seconds = 0.0
        self._started_at = 0.0
        self._collect = collect

    def __enter__(self) -> Stopwatch:
        if self._collect:
            gc.collect()
        self._started_at = time.process_time()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.seconds = time.process_time() - self._started_at


async def medians(repetitions: int, *samples: Sample) -> list[float]:
    """Take each sample in turn, round after round, so that a slow minute hits all alike.

    A first round warms up and does not count.
    """
    found: list[list[float]] = [[] for _ in samples]
    for number in range(repetitions + 1):
        for sample, values in zip(samples, found, strict=True):
            value = await sample()
            if number:
                values.append(value)
    return [statistics.median(values) for values in found]
