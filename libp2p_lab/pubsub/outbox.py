"""What waits to be sent to one peer: bounded, and the urgent first."""

from __future__ import annotations

from collections import deque

from libp2p_lab.limits import Limits
from libp2p_lab.pubsub.pubsub_messages import RPC
from libp2p_lab.pubsub.router import Urgency
from libp2p_lab.transports.signal import Signal

_WRITE_SIZE = 64 * 1024  # bytes gathered into one write, if that much waits

#: An RPC, and its bytes with the length before them.
Packed = tuple[RPC, bytes]


class Outbox:
    """The RPCs that one peer has not been sent.

    When it is full, gossip is dropped first, then messages. Control is what the protocol rests on: if there is no
    room even for that, the peer does not read at all, and `is_stuck` says so.

    Args:
        limits: how much may wait.

    Attributes:
        dropped: RPCs that were thrown away.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._queues: tuple[deque[Packed], ...] = tuple(deque() for _ in Urgency)
        self._count = self._bytes = 0
        self._filled = Signal()
        self.dropped = 0
        self.is_stuck = False

    def __len__(self) -> int:
        return self._count

    def put(self, rpc: RPC, encoded: bytes, urgency: Urgency) -> None:
        """Queue an RPC, or drop what is worth less."""
        while not self._has_room(len(encoded)):
            lesser = next((q for q in reversed(self._queues[urgency + 1 :]) if q), None)
            if lesser is None:
                self.dropped += 1
                self.is_stuck = urgency is Urgency.CONTROL
                self._filled.notify()
                return
            _, thrown = lesser.pop()
            self._take_off(thrown)
            self.dropped += 1
        self._queues[urgency].append((rpc, encoded))
        self._count += 1
        self._bytes += len(encoded)
        self._filled.notify()

    def _has_room(self, size: int) -> bool:
        limits = self._limits
        return (
            self._count < limits.pubsub_queue_rpcs
            and self._bytes + size <= limits.pubsub_queue_bytes
        )

    def _take_off(self, encoded: bytes) -> None:
        self._count -= 1
        self._bytes -= len(encoded)

    async def take(self) -> list[Packed]:
        """Wait for something, and take as much as fits one write, the urgent first."""
        while not self._count and not self.is_stuck:
            await self._filled.wait()
        taken: list[Packed] = []
        size = 0
        for queue in self._queues:
            while queue and (not taken or size + len(queue[0][1]) <= _WRITE_SIZE):
                packed = queue.popleft()
                taken.append(packed)
                size += len(packed[1])
                self._take_off(packed[1])
        return taken
