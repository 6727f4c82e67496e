"""`ByteStream`: the one interface between layers.

TCP gives one. Noise turns one into one. Yamux turns one into many. Multistream-select runs on any,
and a relayed circuit is one too. Whoever understands these five methods understands how the stack
is put together.

Files in this folder speak of bytes alone: no peers, no sockets, no time.
"""

from __future__ import annotations

from typing import Protocol

from libp2p_lab.errors import LimitExceeded, MalformedMessage
from libp2p_lab.wire import varint

Buffer = bytes | bytearray | memoryview


class ByteStream(Protocol):
    """A reliable stream of bytes in each direction, like a pipe with two ends."""

    async def read(self, n: int = -1) -> bytes:
        """Up to `n` bytes, as soon as there are any; `b""` at the end; with `n=-1` all to the end.

        Raises: `StreamReset` or `ConnectionLost` if the end was not a clean one.
        """
        ...

    async def write(self, data: Buffer) -> None:
        """Send `data`, then wait while the other side cannot take more (back pressure).

        All of `data` is taken before the first wait: a write that is cancelled has still been made.

        Raises: `StreamClosed` after `close_write`; `StreamReset` or `ConnectionLost` if the stream
            is gone.
        """
        ...

    async def close_write(self) -> None:
        """Say that nothing more will be written (half close). Reading goes on."""
        ...

    async def close(self) -> None:
        """Close both directions politely: what was written still arrives."""
        ...

    async def reset(self) -> None:
        """Drop the stream at once, in both directions. Never waits, never raises."""
        ...


async def read_exactly(stream: ByteStream, n: int) -> bytes:
    """Read exactly `n` bytes.

    Raises: `MalformedMessage` if the stream ends before.
    """
    data = await stream.read(n) if n else b""
    if len(data) == n:
        return data
    parts = [data]
    missing = n - len(data)
    while missing:
        data = await stream.read(missing)
        if not data:
            raise MalformedMessage(f"stream ended {missing} bytes short of the {n} announced")
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


async def read_varint(stream: ByteStream) -> int:
    """Read one unsigned varint, byte by byte so that nothing behind it is consumed.

    Raises: `MalformedMessage` if it is not minimal, longer than nine bytes, or cut off.
    """
    return await rest_of_varint(stream, await read_exactly(stream, 1))


async def rest_of_varint(stream: ByteStream, first: bytes) -> int:
    """As `read_varint`, for a varint whose first byte has been read."""
    if first[0] < 0x80:
        return first[0]
    encoded = bytearray(first)
    while encoded[-1] >= 0x80:
        if len(encoded) == varint.MAX_LENGTH:
            raise MalformedMessage("varint longer than nine bytes")
        encoded += await read_exactly(stream, 1)
    return varint.decode(encoded)[0]


async def read_message(stream: ByteStream, limit: int) -> bytes:
    """Read one message with its length as a varint before it.

    Args:
        stream: where to read.
        limit: the largest length accepted, in bytes. It is checked before anything is allocated.

    Raises: `LimitExceeded` beyond `limit`; `MalformedMessage` if the stream ends within the
        message.
    """
    length = await read_varint(stream)
    if length > limit:
        raise LimitExceeded("message_length", length, limit)
    return await read_exactly(stream, length)


async def read_message_or_end(stream: ByteStream, limit: int) -> bytes | None:
    """As `read_message`, but None if the stream ends before the message begins."""
    first = await stream.read(1)
    if not first:
        return None
    length = await rest_of_varint(stream, first)
    if length > limit:
        raise LimitExceeded("message_length", length, limit)
    return await read_exactly(stream, length)


async def write_message(stream: ByteStream, message: Buffer) -> None:
    """Write one message with its length as a varint before it."""
    await stream.write(varint.encode(len(message)) + bytes(message))
