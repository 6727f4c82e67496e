"""One stream of a muxed connection: a `ByteStream` again, with a protocol.

It keeps what arrived until the application reads it, and queues what the application writes into the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from libp2p_lab.errors import LabError, LimitExceeded, LocalError, StreamClosed, StreamReset
from libp2p_lab.multiplexing.connection import StreamDirection
from libp2p_lab.negotiation.negotiate import Negotiation
from libp2p_lab.transports.signal import Signal
from libp2p_lab.wire.byte_stream import Buffer, read_exactly, read_message, write_message

if TYPE_CHECKING:
    from libp2p_lab.multiplexing.muxed_connection import MuxedConnection

READ_SIZE = 64 * 1024
SMALL_WRITE = 8 * 1024  # leaves at once; the writer gathers longer ones into full frames
SMALL_CHUNK = 1024  # pieces that arrive are joined up to this length while nobody reads
_ALL = 1 << 62


class MuxedStream:
    """One stream of a connection: a `Stream`.

    Attributes:
        id: its number, the same at both ends.
        protocol: what was negotiated; "" before that.
        direction: "outbound" if we opened it.
        connection: the connection that carries it.
        bytes_read, bytes_written: what the application moved so far.
    """

    __slots__ = (
        "_chunks",
        "_held",
        "_incoming",
        "_negotiation",
        "_outgoing",
        "_readable",
        "_reading",
        "_refusal",
        "_unread",
        "_writable",
        "bytes_read",
        "bytes_written",
        "connection",
        "direction",
        "id",
        "probe",
        "protocol",
    )

    def __init__(
        self, connection: MuxedConnection, stream_id: int, direction: StreamDirection
    ) -> None:
        self.id = stream_id
        self.connection = connection
        self.direction: StreamDirection = direction
        self.protocol = ""
        self.bytes_read = self.bytes_written = 0
        self.probe = connection.probe.on("stream", f"{connection.info.id}/{stream_id}")
        self._chunks: deque[bytes] = deque()
        self._unread = 0  # bytes in `_chunks`
        self._refusal: LimitExceeded | None = None  # why we reset it, if that is why
        self._readable = Signal()
        self._writable = Signal()
        self._incoming = "open"  # or "ended" by the remote, "closed" by us, "reset", "lost"
        self._outgoing = "open"  # or "closed" by us, "reset", "lost"
        self._reading = False
        self._held = False  # reads wait, whatever is there
        self._negotiation: Negotiation | None = None

    # -- reading ----------------------------------------------------------------------------------------------

    async def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes as soon as there are any, `b""` at the end; with `n=-1` everything to the end.

        Raises: `StreamReset`, `ConnectionLost`, or `StreamClosed` after our own `close`.
        """
        if n < 0:
            parts = []
            while part := await self.read(_ALL):
                parts.append(part)
            return b"".join(parts)
        if self._negotiation is not None:
            await self._finish_negotiation()
        while self._held or not self._chunks:
            if self._incoming != "open" and not self._held:
                return self._read_at_end()
            if self._reading:
                raise LocalError("two tasks read the same stream at once: bytes would go astray")
            self._reading = True
            try:
                await self._readable.wait()
            finally:
                self._reading = False
        chunk = self._chunks[0]
        if len(chunk) <= n:
            self._chunks.popleft()
        else:
            self._chunks[0] = chunk[n:]
            chunk = chunk[:n]
        if self.protocol:
            if self.probe.trace.listeners:
                self.probe.emit("received", chunk, self.bytes_read)
            self.bytes_read += len(chunk)
        self._unread -= len(chunk)
        self.connection.memory.free(len(chunk))
        self.connection.give_credit(self.id, len(chunk))
        return chunk

    def _read_at_end(self) -> bytes:
        match self._incoming:
            case "ended":
                return b""
            case "closed":
                raise StreamClosed(f"stream {self.id} was closed by us")
            case "reset":
                raise self._reset_error()
            case _:
                raise self.connection.loss()

    def _reset_error(self) -> StreamReset:
        if self._refusal is None:
            return StreamReset(f"stream {self.id} was reset")
        return StreamReset(f"stream {self.id} was reset by us: LimitExceeded: {self._refusal}")

    def hold(self) -> None:
        """Let reads wait until `release`, as if the application were busy with something else: for experiments."""
        self._held = self._incoming in ("open", "ended")

    def release(self) -> None:
        """Let reads go on."""
        self._held = False
        self._readable.notify()

    @property
    def is_held(self) -> bool:
        """Whether reads wait for `release`."""
        return self._held

    async def read_exactly(self, n: int) -> bytes:
        """Exactly `n` bytes.

        Raises: `MalformedMessage` if the stream ends before; what `read` raises.
        """
        return await read_exactly(self, n)

    async def read_message(self, limit: int) -> bytes:
        """One message with its length as a varint before it.

        Args:
            limit: the longest accepted, in bytes.

        Raises: `LimitExceeded` before anything is read beyond the length; `MalformedMessage`; what `read` raises.
        """
        return await read_message(self, limit)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read(READ_SIZE):
            yield chunk

    # -- writing ----------------------------------------------------------------------------------------------

    async def write(self, data: Buffer) -> None:
        """Queue `data` and wait while too much of this stream is queued (back pressure).

        Raises: `StreamClosed` after `close_write`; `StreamReset`; `ConnectionLost`.
        """
        if self._outgoing != "open":
            raise self._write_failure()
        connection = self.connection
        if self.protocol:
            if self.probe.trace.listeners:
                self.probe.emit("sent", bytes(data), self.bytes_written)
            self.bytes_written += len(data)
        if connection.writer_waits and self.protocol and len(data) <= SMALL_WRITE:
            # Lines of a negotiation stay queued a moment, and leave together with what follows.
            await connection.send_now(self.id, data)
        else:
            connection.queue(self.id, data)
        while self._outgoing == "open" and connection.is_full(self.id):
            connection.blocked.add(self)
            await self._writable.wait()
        if self._outgoing != "open":
            raise self._write_failure()

    async def flush(self) -> None:
        """Wait until what was written has left this host, or the stream is over. The caller sets the time limit."""
        connection = self.connection
        if connection.writer_waits and connection.unsent(self.id):
            await connection.send_now(self.id, b"")
        while self._outgoing == "open" and connection.unsent(self.id):
            connection.blocked.add(self)
            await self._writable.wait()

    def _write_failure(self) -> LabError:
        match self._outgoing:
            case "closed":
                return StreamClosed(f"stream {self.id} is closed for writing")
            case "reset":
                return StreamReset(f"stream {self.id} was reset")
            case _:
                return self.connection.loss()

    async def write_message(self, message: Buffer) -> None:
        """Write one message with its length as a varint before it."""
        await write_message(self, message)

    # -- ending -----------------------------------------------------------------------------------------------

    async def close_write(self) -> None:
        """Half close: the remote reads to the end of what was written, and we can still read."""
        if self._outgoing == "open":
            self._outgoing = "closed"
            self.connection.end_writing(self.id)
            self._writable.notify()
            self._end_if_over("closed")

    async def close(self) -> None:
        """Close both directions. What was written still arrives; what the remote still sends is dropped."""
        await self.close_write()
        self._held = False
        if self._unread and self._incoming == "ended":
            self._incoming = "closed"
        self._throw_away()
        if self._incoming == "open":
            self._incoming = "closed"
            self.connection.end_reading(self.id)
            self._readable.notify()
            self._end_if_over("closed")

    async def reset(self) -> None:
        """Drop the stream at once. Both sides see `StreamReset`."""
        self._throw_away()
        if self.is_open:
            self.connection.reset_stream(self.id)
            self.fail("reset", "reset by us")

    @property
    def is_open(self) -> bool:
        """Whether anything can still arrive or be written."""
        return self._incoming == "open" or self._outgoing == "open"

    def _end_if_over(self, how: str) -> None:
        if not self.is_open:
            self.connection.forget(self, how)

    # -- negotiation ------------------------------------------------------------------------------------------

    def expect(self, negotiation: Negotiation) -> None:
        """The protocol was assumed; the remote's answer is looked at by the first `read`."""
        self._negotiation = negotiation

    async def _finish_negotiation(self) -> None:
        negotiation, self._negotiation = self._negotiation, None
        protocol, self.protocol = self.protocol, ""
        assert negotiation is not None
        try:
            async with asyncio.timeout(self.connection.limits.negotiation_timeout):
                self.protocol = await negotiation.finish()
        except BaseException:
            self.protocol = protocol
            await self.reset()
            raise

    # -- the connection calls these ---------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Bytes arrived."""
        if self._incoming == "open":
            refusal = self.connection.memory.hold(len(data))
            self._unread += len(data)
            if refusal is not None or self._unread > self.connection.limits.max_memory_per_stream:
                self._refuse(len(data), refusal)
                return
            chunks = self._chunks
            if chunks and len(chunks[-1]) + len(data) <= SMALL_CHUNK:
                # A window of single bytes, each an object of its own, would take forty times its size.
                chunks[-1] += data
            else:
                chunks.append(data)
            self._readable.notify()

    def _refuse(self, n: int, refusal: LimitExceeded | None) -> None:
        """There is no room for the last `n` bytes: drop the stream, and say why to whoever reads it."""
        unread, most = self._unread, self.connection.limits.max_memory_per_stream
        if refusal is not None:
            self._unread -= n  # they were not counted
        self._refusal = refusal or LimitExceeded("max_memory_per_stream", unread, most)
        self._throw_away()
        self.connection.reset_stream(self.id)
        self.fail("reset", "reset by us")

    def _throw_away(self) -> None:
        """Nobody will read what came."""
        self._chunks.clear()
        if self._unread:
            self.connection.memory.free(self._unread)
            self._unread = 0

    def end(self) -> None:
        """The remote will send no more."""
        if self._incoming == "open":
            self._incoming = "ended"
            self._readable.notify()
            self._end_if_over("closed")

    def stop_writing(self) -> None:
        """The remote reads no more; what it still sends may be read."""
        if self._outgoing == "open":
            self._outgoing = "reset"
            self._writable.notify()
            self._end_if_over("closed")

    def fail(self, state: str, how: str) -> None:
        """The stream was "reset", or "lost" with its connection. What came before a clean end stays readable."""
        was_open = self.is_open
        self._held = False
        if self._incoming == "open":
            self._incoming = state
            if state == "reset" and self.protocol and self._negotiation is None:
                self._throw_away()  # while it is negotiated, what came tells yet what was agreed on
        if self._outgoing == "open":
            self._outgoing = state
        self._readable.notify()
        self._writable.notify()
        if was_open:
            self.connection.forget(self, how)

    def wake_writer(self) -> None:
        """There may be room again."""
        self._writable.notify()
