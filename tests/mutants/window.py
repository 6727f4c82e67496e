from __future__ import annotations

import asyncio
from collections import deque

from libp2p_lab.errors import ProtocolViolation, StreamReset
from tests.mutants import Mutant


class Another:
    """With a future for each that waits, all of them woken by each update."""

    def __init__(self, size):
        self.size = self.room = size
        self.granted = self.taken = 0
        self.waiting = set()
        self.gone = False

    async def take(self, n):
        while self.room == 0 and not self.gone:
            future = asyncio.get_running_loop().create_future()
            self.waiting.add(future)
            try:
                await future
            finally:
                self.waiting.discard(future)
        if self.gone:
            raise StreamReset("gone")
        got = n if n < self.room else self.room
        self.room -= got
        return got

    def wake(self):
        for future in self.waiting:
            if not future.done():
                future.set_result(None)

    def update(self, delta):
        self.room += delta
        self.wake()

    def close(self):
        self.gone = True
        self.wake()

    def received(self, n):
        self.granted += n
        if self.granted > self.size:
            raise ProtocolViolation("too much")

    def consumed(self, n):
        self.taken += n
        if self.taken >= self.size // 3:
            delta, self.taken = self.taken, 0
            self.granted -= delta
            return delta
        return 0


class DoesNotLookAgain(Another):
    async def take(self, n):
        if self.room < n:
            await Another.take(self, 1)
        self.room -= n
        return n


class ReturnsNothing(Another):
    async def take(self, n):
        got = min(n, self.room)
        self.room -= got
        return got


class WakesOne(Another):
    """The first that waits is woken, the others are not."""

    def wake(self):
        for future in list(self.waiting)[:1]:
            if not future.done():
                future.set_result(None)


class ForgetsToWake(Another):
    def update(self, delta):
        self.room += delta


class HandsOut(Another):
    """Shares are handed out in advance; those of a waiter that is cancelled are lost."""

    def __init__(self, size):
        super().__init__(size)
        self.queue = deque()

    async def take(self, n):
        if self.room:
            return await super().take(n)
        future = asyncio.get_running_loop().create_future()
        self.queue.append((future, n))
        return await future

    def update(self, delta):
        self.room += delta
        while self.room and self.queue:
            future, n = self.queue.popleft()
            if not future.done():
                future.set_result(min(n, self.room))
                self.room -= min(n, self.room)


class CloseIsSilent(Another):
    def close(self):
        self.gone = True


class GivesTheWholeWindow(Another):
    def consumed(self, n):
        return self.size if super().consumed(n) else 0


class NeverGives(Another):
    def consumed(self, n):
        return 0


class GivesEachTime(Another):
    def consumed(self, n):
        self.granted -= n
        return n


class Trusts(Another):
    def received(self, n):
        pass


class Bare:
    def __init__(self, size):
        pass


ANOTHER = Another
MUTANTS = (
    Mutant(DoesNotLookAgain, "negative"),
    Mutant(ReturnsNothing, "amount", "returned 0"),
    Mutant(WakesOne, "lost-wake-up", "update(3)"),
    Mutant(ForgetsToWake, "lost-wake-up"),
    Mutant(HandsOut, "cancelled", "cancel(0)"),
    Mutant(CloseIsSilent, "close", "still waits"),
    Mutant(GivesTheWholeWindow, "gives-away"),
    Mutant(NeverGives, "stalls"),
    Mutant(GivesEachTime, "batched"),
    Mutant(Trusts, "overrun"),
    Mutant(Bare, "wrong-type", "take"),
)
