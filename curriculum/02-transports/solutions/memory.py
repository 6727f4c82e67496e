"""E2.4, the reference answer."""

import asyncio


class Way:
    """One direction: bytes between a writer and a reader."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.buffer = bytearray()
        self.state = "open"  # or "ended", "reset"
        self.changed = asyncio.Condition()

    async def put(self, data):
        async with self.changed:
            while data:
                await self.changed.wait_for(
                    lambda: len(self.buffer) < self.capacity or self.state != "open"
                )
                if self.state != "open":
                    raise ConnectionError(f"this direction is {self.state}")
                room = self.capacity - len(self.buffer)
                self.buffer += data[:room]
                data = data[room:]
                self.changed.notify_all()

    async def take(self, n):
        async with self.changed:
            await self.changed.wait_for(lambda: self.buffer or self.state != "open")
            if self.state == "reset":
                raise ConnectionError("the connection was reset")
            data = bytes(self.buffer[:n])
            del self.buffer[:n]
            self.changed.notify_all()
            return data

    async def finish(self, state):
        async with self.changed:
            if self.state == "open" or state == "reset":
                self.state = state
            self.changed.notify_all()


class End:
    """One end of a pipe."""

    def __init__(self, out, into):
        self.out = out
        self.into = into

    async def read(self, n):
        return await self.into.take(n)

    async def write(self, data):
        if self.out.state != "open":
            raise ConnectionError(f"this direction is {self.out.state}")
        await self.out.put(data)

    async def close_write(self):
        await self.out.finish("ended")

    async def reset(self):
        await self.out.finish("reset")
        await self.into.finish("reset")


def pipe(capacity):
    """Two ends."""
    there, back = Way(capacity), Way(capacity)
    return End(there, back), End(back, there)


answer = pipe
