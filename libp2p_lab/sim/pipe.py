"""One direction of a machine's access to the network: so many bytes a second, and a queue of so many bytes.

A packet waits until those before it are on the wire, then takes `size / rate` itself. A full queue drops what arrives
(drop-tail), as a home router does.
"""

from __future__ import annotations

from libp2p_lab.errors import LocalError

QUEUE_SECONDS = (
    0.25  # of data at full rate that a queue holds unless told otherwise; home routers: 0.1 to 1 s
)


def mbit(n: float) -> float:
    """`n` megabits a second, in bytes a second."""
    return n * 125_000


class Pipe:
    """One direction.

    Args:
        rate: bytes a second.
        queue: bytes that may wait; None for `QUEUE_SECONDS` of them, and 64 KiB at least.
    """

    __slots__ = ("_free_at", "queue", "rate")

    def __init__(self, rate: float, queue: int | None = None) -> None:
        if not rate > 0:
            raise LocalError(f"a bandwidth is more than 0 bytes a second, not {rate}")
        self.rate = rate
        self.queue = queue if queue is not None else max(65536, int(rate * QUEUE_SECONDS))
        self._free_at = 0.0

    def take(self, now: float, size: int) -> float | None:
        """When a packet that arrives `now` is through; None if the queue is full."""
        starts = max(now, self._free_at)
        if (starts - now) * self.rate > self.queue:
            return None
        self._free_at = starts + size / self.rate
        return self._free_at

    def waiting(self, now: float) -> float:
        """Bytes in the queue."""
        return max(0.0, self._free_at - now) * self.rate
