from __future__ import annotations

import asyncio
import contextlib

from tests.mutants import Mutant


class Pipe:
    """Right: events in the place of a condition, one deque of bytes for each direction."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.data = b""
        self.is_ended = self.is_reset = False
        self.waiting = []

    async def wait(self):
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        await future

    def wake(self):
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def put(self, data):
        rest = data
        while rest:
            if self.is_reset:
                raise ConnectionResetError("reset")
            if self.is_ended:
                raise BrokenPipeError("ended")
            room = self.capacity - len(self.data)
            if room <= 0:
                await self.wait()
                continue
            self.data, rest = self.data + rest[:room], rest[room:]
            self.wake()

    async def take(self, n):
        while not (self.data or self.is_ended or self.is_reset):
            await self.wait()
        if self.is_reset:
            raise ConnectionResetError("reset")
        taken, self.data = self.data[:n], self.data[n:]
        self.wake()
        return taken

    def end(self):
        self.is_ended = True
        self.wake()

    def drop(self):
        self.is_reset = True
        self.wake()


class End:
    def __init__(self, out, into):
        self.out, self.into = out, into

    async def read(self, n):
        return await self.into.take(n)

    async def write(self, data):
        if self.out.is_ended:
            raise BrokenPipeError("ended")
        await self.out.put(data)

    async def close_write(self):
        self.out.end()

    async def reset(self):
        self.out.drop()
        self.into.drop()


def made_of(way=Pipe, end=End):
    def pipe(capacity):
        there, back = way(capacity), way(capacity)
        return end(there, back), end(back, there)

    return pipe


class Reversed(Pipe):
    async def take(self, n):
        return (await super().take(n))[::-1]


class Full(Pipe):
    async def take(self, n):
        taken = await super().take(n)
        while taken and len(taken) < n and not self.is_ended:
            taken += await super().take(n - len(taken))
        return taken


class Generous(Pipe):
    async def take(self, n):
        return await super().take(1 << 30)


class Timid(Pipe):
    def __init__(self, capacity):
        super().__init__(capacity // 2)


class Endless(Pipe):
    def __init__(self, capacity):
        super().__init__(1 << 40)


class Hoards(Pipe):
    async def put(self, data):
        self.data += data
        self.wake()
        while len(self.data) > self.capacity and not (self.is_ended or self.is_reset):
            await self.wait()


class NeverWakesWriters(Pipe):
    async def take(self, n):
        waiting, self.waiting = self.waiting, []
        while not (self.data or self.is_ended or self.is_reset):
            self.waiting = []
            await self.wait()
        if self.is_reset:
            raise ConnectionResetError("reset")
        taken, self.data = self.data[:n], self.data[n:]
        self.waiting = waiting
        return taken


class QuietEnd(Pipe):
    def end(self):
        self.is_ended = True


class CutsOff(Pipe):
    def end(self):
        self.data = b""
        super().end()


class WholeClose(End):
    async def close_write(self):
        self.out.end()
        self.into.end()


class WritesOn(End):
    async def write(self, data):
        if not self.out.is_ended:
            await self.out.put(data)


class Stubborn(Pipe):
    async def wait(self):
        with contextlib.suppress(asyncio.CancelledError):
            await super().wait()

    async def take(self, n):
        if not (self.data or self.is_ended or self.is_reset):
            await self.wait()
        if self.is_reset:
            raise ConnectionResetError("reset")
        taken, self.data = self.data[:n], self.data[n:]
        self.wake()
        return taken


class TakesThenWaits(Pipe):
    async def take(self, n):
        taken = await super().take(n)
        await asyncio.sleep(0)
        return taken


class OneReader(Pipe):
    """Marks that somebody reads, and forgets to take the mark back."""

    is_busy = False

    async def take(self, n):
        while self.is_busy:
            await self.wait()
        self.is_busy = True
        taken = await super().take(n)
        self.is_busy = False
        self.wake()
        return taken


class QuietReset(Pipe):
    def drop(self):
        self.is_reset = True


class PoliteReset(End):
    async def reset(self):
        self.out.end()
        self.into.end()


class OneAtATime(End):
    """A lock for the whole connection: whoever reads keeps the writer out."""

    def __init__(self, out, into):
        super().__init__(out, into)
        self.lock = asyncio.Lock()

    async def read(self, n):
        async with self.lock:
            return await super().read(n)

    async def write(self, data):
        async with self.lock:
            await super().write(data)


class Half:
    async def read(self, n):
        return b""


def one_direction(capacity):
    way = Pipe(capacity)
    return End(way, way), End(way, way)


def one_end(capacity):
    return End(Pipe(capacity), Pipe(capacity))


ANOTHER = made_of()
MUTANTS = (
    Mutant(made_of(Reversed), "content"),
    Mutant(made_of(Full), "waits-for-more", "read(100)"),
    Mutant(made_of(Generous), "too-much", "read(1)"),
    Mutant(made_of(Timid), "early"),
    Mutant(made_of(Endless), "no-back-pressure", "5000 bytes accepted"),
    Mutant(made_of(Hoards), "hoards", "3000 unread bytes"),
    Mutant(made_of(NeverWakesWriters), "no-wake"),
    Mutant(made_of(QuietEnd), "no-end"),
    Mutant(made_of(CutsOff), "cut-off"),
    Mutant(made_of(end=WholeClose), "half-close"),
    Mutant(made_of(end=WritesOn), "write-after-close"),
    Mutant(made_of(Stubborn), "swallows-cancel"),
    Mutant(made_of(TakesThenWaits), "cancel-loses"),
    Mutant(made_of(OneReader), "cancel-sticks"),
    Mutant(made_of(QuietReset), "reset"),
    Mutant(made_of(end=PoliteReset), "reset", "as if all were well"),
    Mutant(made_of(end=OneAtATime), "hosts"),
    Mutant(one_direction, "content", "at the same time"),
    Mutant(lambda capacity: (Half(), Half()), "wrong-type", "write"),
    Mutant(one_end, "wrong-type"),
)
