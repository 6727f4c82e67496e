"""A wake-up call between two tasks on one event loop: what drivers wait on."""

from __future__ import annotations

import asyncio


class Signal:
    """Wakes everybody who waits; remembers nothing.

    As with any wake-up call, look first and wait only if there is nothing:

        while not self._chunks:
            await self._readable.wait()

    It is an `asyncio.Event` without the flag, which makes an idle one 40 bytes and a wake-up one future.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    async def wait(self) -> None:
        """Return at the next `notify`."""
        waiter: asyncio.Future[None] = asyncio.Future()
        self._waiters += (waiter,)
        try:
            await waiter
        except asyncio.CancelledError:
            self._waiters = tuple(other for other in self._waiters if other is not waiter)
            raise

    def notify(self) -> None:
        """Wake all who wait now."""
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
