"""What an application holds of a topic: messages to read, one after another."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.transports.signal import Signal


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message as an application gets it.

    Attributes:
        topic: where it was published.
        data: what.
        from_peer: its author; None under a policy that names none.
        seqno: the author's number for it, or None.
        sender: the peer that brought it here first; ourselves for our own.
        id: its name.
    """

    topic: str
    data: bytes
    from_peer: PeerId | None
    seqno: int | None
    sender: PeerId
    id: bytes


class Subscription:
    """One reader of one topic: `async for message in subscription`.

    A reader that is slow does not slow the mesh: beyond `size` waiting messages the newer ones are dropped and counted.

    Args:
        topic: what is read.
        size: messages that may wait.
        on_cancel: called once, when it ends.

    Attributes:
        dropped: messages that this reader lost because it was slow.
    """

    def __init__(self, topic: str, size: int, on_cancel: Callable[[Subscription], None]) -> None:
        self.topic = topic
        self.dropped = 0
        self._size = size
        self._on_cancel = on_cancel
        self._waiting: deque[ReceivedMessage] = deque()
        self._arrived = Signal()
        self._ended = False

    def __repr__(self) -> str:
        state = "ended" if self._ended else f"{len(self._waiting)} waiting"
        return f"<Subscription {self.topic!r}, {state}, {self.dropped} dropped>"

    def deliver(self, message: ReceivedMessage) -> None:
        """Called by pubsub with each message."""
        if len(self._waiting) >= self._size:
            self.dropped += 1
            return
        self._waiting.append(message)
        self._arrived.notify()

    async def get(self, timeout: float | None = None) -> ReceivedMessage:
        """The next message.

        Args:
            timeout: seconds to wait; None for as long as it takes.

        Raises: `TimeoutError`; `LocalError` once the subscription has ended and everything is read.
        """
        async with asyncio.timeout(timeout):
            while not self._waiting:
                if self._ended:
                    raise LocalError(f"the subscription to {self.topic!r} has ended")
                await self._arrived.wait()
        return self._waiting.popleft()

    async def __aiter__(self) -> AsyncIterator[ReceivedMessage]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._ended:
                return
            await self._arrived.wait()

    def cancel(self) -> None:
        """End it: readers get what is waiting and then the end. Can be called again."""
        if not self._ended:
            self._ended = True
            self._on_cancel(self)
            self._arrived.notify()

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.cancel()
