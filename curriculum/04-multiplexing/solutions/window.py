"""E4.3, the reference answer."""

import asyncio

from libp2p_lab import ProtocolViolation, StreamReset


class Window:
    """The flow control of one stream, both directions; each begins with `size` bytes."""

    def __init__(self, size):
        self.size = size
        self.credit = size  # what we may send
        self.more = asyncio.Event()
        self.closed = False
        self.allowance = size  # what the other side may send
        self.freed = 0  # taken by the application, not yet given back

    async def take(self, wanted):
        """Take up to `wanted` bytes of what may be sent; wait while that is none."""
        while not self.credit and not self.closed:
            self.more.clear()
            await self.more.wait()
        if self.closed:
            raise StreamReset("the stream is gone")
        n = min(wanted, self.credit)
        self.credit -= n
        return n

    def update(self, delta):
        """The other side allows `delta` bytes more."""
        self.credit += delta
        self.more.set()

    def close(self):
        """The stream is gone."""
        self.closed = True
        self.more.set()

    def received(self, n):
        """`n` bytes came."""
        if n > self.allowance:
            raise ProtocolViolation(f"{n} bytes, {self.allowance} allowed")
        self.allowance -= n

    def consumed(self, n):
        """The delta of the window update that is due, or 0."""
        self.freed += n
        if 2 * self.freed < self.size:
            return 0
        delta, self.freed = self.freed, 0
        self.allowance += delta
        return delta


answer = Window
