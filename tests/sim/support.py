"""Small things that the simulator's tests share."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from libp2p_lab.sim import SimHost
from tests.support import REPOSITORY

ECHO = "/echo/1.0.0"


async def echo_setup(host: SimHost) -> None:
    """Give a host an echo."""

    @host.handle(ECHO)
    async def echo(stream) -> None:
        async for chunk in stream:
            await stream.write(chunk)
        await stream.close()


async def ask_echo(host: SimHost, other: SimHost, data: bytes) -> bytes:
    stream = await host.open_stream(other.addrs[0], ECHO)
    reading = asyncio.create_task(stream.read())
    await stream.write(data)
    await stream.close_write()
    return await reading


def in_process(program: str, hash_seed: int, python: str = sys.executable) -> str:
    """What a program prints in a process of its own."""
    done = subprocess.run(
        [python, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
