from __future__ import annotations

import asyncio
import time

from libp2p_lab.errors import StreamReset
from tests.mutants import Mutant


async def by_hand(stream):
    """With read and an explicit close."""
    while chunk := await stream.read(4096):
        await stream.write(chunk)
    await stream.close()


async def waits_for_end(stream):
    await stream.write(await stream.read())


async def first_chunk_only(stream):
    await stream.write(await stream.read(65536))


async def decodes(stream):
    async for chunk in stream:
        await stream.write(chunk.decode().encode())


async def as_lines(stream):
    async for chunk in stream:
        await stream.write(chunk.rstrip())


async def never_returns(stream):
    while True:
        chunk = await stream.read(1024)
        if chunk:
            await stream.write(chunk)
        else:
            await asyncio.sleep(0.01)


class Shared:
    """One buffer for all streams."""

    def __init__(self):
        self.buffer = b""

    async def __call__(self, stream):
        async for chunk in stream:
            self.buffer += chunk
            await asyncio.sleep(0.01)
            await stream.write(self.buffer)
            self.buffer = b""


async def hoards(stream):
    queue = asyncio.Queue()

    async def send():
        while chunk := await queue.get():
            await stream.write(chunk)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        async for chunk in stream:
            queue.put_nowait(chunk)
        queue.put_nowait(b"")


async def survives_too_well(stream):
    while True:
        try:
            chunk = await stream.read(1024)
            if not chunk:
                return
            await stream.write(chunk)
        except StreamReset:
            await asyncio.sleep(0.05)


async def spins_after_reset(stream):
    while True:
        try:
            chunk = await stream.read(1024)
            if not chunk:
                return
            await stream.write(chunk)
        except StreamReset:
            pass


async def forgets_await(stream):
    async for chunk in stream:
        stream.write(chunk)


async def blocks(stream):
    async for chunk in stream:
        time.sleep(0.1)  # noqa: ASYNC251 (the mistake)
        await stream.write(chunk)


async def resets(stream):
    await stream.write(await stream.read(1024))
    await stream.reset()


async def raises(stream):
    async for chunk in stream:
        await stream.send(chunk)


async def silent(stream):
    async for _chunk in stream:
        pass


def plain(stream):
    return None


async def leaves_a_task(stream):
    asyncio.get_running_loop().create_task(linger())
    await by_hand(stream)


async def linger():
    await asyncio.sleep(3600)


ANOTHER = by_hand
MUTANTS = (
    Mutant(waits_for_end, "waits-for-end", "0 of 3 bytes"),
    Mutant(first_chunk_only, "cut-short"),
    Mutant(decodes, "bytes", "UnicodeDecodeError"),
    Mutant(as_lines, "changed"),
    Mutant(never_returns, "no-end"),
    Mutant(Shared(), "mixed-up"),
    Mutant(hoards, "hoards"),
    Mutant(survives_too_well, "after-reset"),
    Mutant(spins_after_reset, "endless-loop", "spins_after_reset"),
    Mutant(forgets_await, "not-awaited", "stream.write(chunk)"),
    Mutant(blocks, "blocking-call", "time.sleep(0.1)"),
    Mutant(resets, "broke-off"),
    Mutant(raises, "raised", "send"),
    Mutant(silent, "silent"),
    Mutant(plain, "not-async"),
    Mutant(leaves_a_task, "left-behind", "linger"),
)
