"""Our host and a foreign peer, connected: what the tests of both implementations start from."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import libp2p_lab as lab
from libp2p_lab.foreign import ForeignPeer
from tests.interop.peers import PEERS

MiB = 1024 * 1024
PIECE = 64 * 1024
FETCHED = {b"/ours/here": b"\x00\x01 from us", b"/ours/empty": b""}
# Each test of a meeting runs with either side as the one that dialled.
DIALERS = ("we dial", "they dial")


@dataclass
class Meeting:
    """Two peers in one test.

    Attributes:
        host: ours.
        theirs: the foreign one.
        entries: all that our trace told.
        opened, closed: our connections, as they came and went.
    """

    host: lab.Host
    theirs: ForeignPeer
    entries: list[lab.Entry] = field(default_factory=list)
    opened: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    closed: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    async def connect(self, dialer: str) -> Any:
        """Have `dialer` dial; our end of the connection, once both ends know of it."""
        if dialer == "we dial":
            await self.host.connect(self.theirs.addrs[0])
        else:
            await self.theirs.dial(self.host.addrs[0])
        async with asyncio.timeout(30):
            connection = await self.opened.get()
        await self.theirs.event("connection:open", peer_id=self.host.peer_id)
        return connection


LIMITS = lab.Limits(max_streams_per_protocol_and_peer=128)  # a hundred at once, and some


async def look_up(key: bytes) -> bytes | None:
    return FETCHED.get(key)


def our_host(key: lab.KeyPair | None = None, **parts: Any) -> lab.Host:
    defaults: dict[str, Any] = {
        "listen": ["/ip4/127.0.0.1/tcp/0"],
        "services": [lab.Identify(), lab.Ping(), lab.Echo(), lab.Perf(), lab.Fetch(look_up)],
        "limits": LIMITS,
    }
    return lab.Host(key, **(defaults | parts))


@asynccontextmanager
async def meet(
    kind: str,
    key: lab.KeyPair | None = None,
    parts: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Meeting]:
    """Both peers, not yet connected. `parts`: of our host; `options`: see `ForeignPeer.start`."""
    async with our_host(key, **(parts or {})) as host, await PEERS[kind](**options) as theirs:
        meeting = Meeting(host, theirs)
        host.on_connect(meeting.opened.put_nowait)
        host.on_disconnect(meeting.closed.put_nowait)
        host.trace.listen(meeting.entries.append)
        yield meeting


async def echo(stream: Any, size: int) -> bool:
    """Send `size` bytes, half close, and read to the end. Whether as many came back, and the same."""
    sent, received, count = hashlib.sha256(), hashlib.sha256(), 0

    async def send() -> None:
        for start in range(0, size, PIECE):
            piece = random.randbytes(min(PIECE, size - start))
            sent.update(piece)
            await stream.write(piece)
        await stream.close_write()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        async for piece in stream:
            received.update(piece)
            count += len(piece)
    await stream.close()
    return count == size and sent.digest() == received.digest()
