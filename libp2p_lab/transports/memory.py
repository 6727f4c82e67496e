"""Memory: `/memory/7`. Two peers in one process, without sockets, threads or the operating system.

A write puts bytes into the other end's queue and waits while that queue is full. For lessons, for tests, and for
places that have no sockets at all, such as a browser.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Sequence

from libp2p_lab.errors import ConnectionLost, LocalError, StreamClosed
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.trace import Probe
from libp2p_lab.transports.signal import Signal
from libp2p_lab.transports.transport import OnConnection, report_earlier
from libp2p_lab.wire.byte_stream import Buffer

CAPACITY = 256 * 1024  # bytes on their way in one direction


class MemoryStream:
    """One end of a connection in memory: a `RawConnection`.

    Args:
        local: our end's address.
        remote: the other end's.
        capacity: bytes that may wait for our reader; the remote's writes wait beyond that.
    """

    __slots__ = (
        "_capacity",
        "_chunks",
        "_peer",
        "_probe",
        "_readable",
        "_received",
        "_sent",
        "_size",
        "_state",
        "_writable",
        "_write_closed",
        "local_addr",
        "remote_addr",
    )

    def __init__(self, local: Multiaddr, remote: Multiaddr, capacity: int = CAPACITY) -> None:
        self.local_addr = local
        self.remote_addr = remote
        self._probe = Probe(layer="transport")
        self._capacity = capacity
        self._peer: MemoryStream = self
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._readable = Signal()  # something arrived for us
        self._writable = Signal()  # our reader took something
        self._state = "open"  # of what arrives: "open", "ended" (cleanly) or "reset"
        self._write_closed = False
        self._received = self._sent = 0

    @classmethod
    def pair(
        cls, one: Multiaddr, other: Multiaddr, capacity: int = CAPACITY
    ) -> tuple[MemoryStream, MemoryStream]:
        """Both ends of a fresh connection."""
        first, second = cls(one, other, capacity), cls(other, one, capacity)
        first._peer, second._peer = second, first
        return first, second

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        if n < 0:
            parts = []
            while part := await self.read(CAPACITY):
                parts.append(part)
            return b"".join(parts)
        while not self._chunks:
            if self._state == "reset":
                raise ConnectionLost("memory connection was reset")
            if self._state == "ended":
                return b""
            await self._readable.wait()
        chunk = self._chunks[0]
        if len(chunk) <= n:
            self._chunks.popleft()
        else:
            self._chunks[0] = chunk[n:]
            chunk = chunk[:n]
        self._size -= len(chunk)
        self._writable.notify()
        return chunk

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        if self._state == "reset":
            raise ConnectionLost("memory connection was reset")
        if self._write_closed:
            raise StreamClosed("write after close_write")
        chunk, peer = bytes(data), self._peer
        if chunk:
            if self._probe.trace.listeners:
                self._probe.emit("sent", chunk, self._sent)
            self._sent += len(chunk)
            if peer._state == "open":  # else nobody reads there any more
                peer._arrive(chunk)
        while peer._size >= peer._capacity and peer._state == "open":
            await peer._writable.wait()

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        if not self._write_closed:
            self._write_closed = True
            self._peer._finish("ended")

    async def close(self) -> None:
        """As `ByteStream.close`. What was written is in the other end's queue already."""
        await self.close_write()
        self._finish("ended")

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        self._write_closed = True
        self._chunks.clear()
        self._finish("reset")
        if self._peer._state == "open":  # what stands before a clean end stays readable
            self._peer._chunks.clear()
        self._peer._finish("reset")

    @property
    def probe(self) -> Probe:
        """As `RawConnection.probe`."""
        return self._probe

    @probe.setter
    def probe(self, probe: Probe) -> None:
        self._probe = probe
        if probe.trace.listeners:
            report_earlier(probe, self._chunks, self._received)

    def _arrive(self, chunk: bytes) -> None:
        if self._probe.trace.listeners:
            self._probe.emit("received", chunk, self._received)
        self._received += len(chunk)
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._readable.notify()

    def _finish(self, state: str) -> None:
        if self._state == "open":
            self._state = state
        self._readable.notify()
        self._writable.notify()


class MemoryNetwork:
    """Who listens at which number. A host reaches those that share its network and its event loop."""

    def __init__(self) -> None:
        self._listeners: dict[int, tuple[asyncio.AbstractEventLoop, OnConnection]] = {}
        self._numbers = itertools.count(1)

    def bind(self, number: int, on_connection: OnConnection) -> int:
        """Listen at `number`, or at a free one for 0.

        Raises: `OSError` if somebody does already.
        """
        if number == 0:
            number = next(free for free in self._numbers if free not in self._listeners)
        elif number in self._listeners:
            raise OSError(f"/memory/{number} is in use")
        self._listeners[number] = asyncio.get_running_loop(), on_connection
        return number

    def unbind(self, number: int) -> None:
        """Stop listening at `number`."""
        self._listeners.pop(number, None)

    def connect(self, number: int) -> MemoryStream:
        """A connection to whoever listens at `number`.

        Raises: `ConnectionRefusedError` if nobody does.
        """
        if number not in self._listeners:
            raise ConnectionRefusedError(f"nobody listens at /memory/{number}")
        loop, on_connection = self._listeners[number]
        if loop is not asyncio.get_running_loop():
            raise ConnectionRefusedError(f"/memory/{number} listens on another event loop")
        local = Multiaddr(f"/memory/{next(self._numbers)}")
        ours, theirs = MemoryStream.pair(local, Multiaddr(f"/memory/{number}"))
        on_connection(theirs)
        return ours


#: The process's own network, which `Memory()` uses: as a machine has one loopback interface, a process has this.
PROCESS_NETWORK = MemoryNetwork()


class MemoryListener:
    """Waits for connections in memory."""

    __slots__ = ("_network", "_number")

    def __init__(self, network: MemoryNetwork, number: int) -> None:
        self._network = network
        self._number = number

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens."""
        return [Multiaddr(f"/memory/{self._number}")]

    async def close(self) -> None:
        """Stop listening."""
        self._network.unbind(self._number)


class Memory:
    """The transport `memory`.

    Args:
        network: who can be reached; by default everybody in this process.
    """

    __slots__ = ("_network",)

    name = "memory"

    def __init__(self, network: MemoryNetwork = PROCESS_NETWORK) -> None:
        self._network = network

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is `/memory/<number>`."""
        return addr.without_peer().names == ("memory",)

    can_listen = can_dial

    async def dial(self, addr: Multiaddr) -> MemoryStream:
        """As `Transport.dial`."""
        return self._network.connect(_number(addr))

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> MemoryListener:
        """As `Transport.listen`; `/memory/0` picks a free number."""
        return MemoryListener(self._network, self._network.bind(_number(addr), on_connection))


def _number(addr: Multiaddr) -> int:
    if addr.without_peer().names != ("memory",):
        raise LocalError(f"not a memory address: {addr}")
    return int(addr.value_of("memory") or 0)
