"""The stream on which two peers prove who they are, before there is a connection for streams to be on.

WebRTC and WebTransport are secure before anybody is proven: a Noise handshake inside says who is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from libp2p_lab.errors import LabError
from libp2p_lab.multiplexing.muxer import DataReceived, ResetReceived, WriteClosed
from libp2p_lab.transports.signal import Signal
from libp2p_lab.wire.byte_stream import Buffer


class _Session(Protocol):
    """What of a `MuxerSession` it takes."""

    def send(self, stream_id: int, data: Buffer) -> None: ...
    def close_write(self, stream_id: int) -> None: ...
    def reset(self, stream_id: int) -> None: ...
    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None: ...


class HandshakeStream:
    """One stream of a session as a `ByteStream`, for as long as the handshake takes.

    Args:
        session: the session that it is a stream of.
        stream_id: which.
        transmit: sends what the session has to send.
    """

    def __init__(self, session: _Session, stream_id: int, transmit: Callable[[], None]) -> None:
        self.stream_id = stream_id
        self._session = session
        self._transmit = transmit
        self._chunks: deque[bytes] = deque()
        self._readable = Signal()
        self._has_ended = False
        self._error: LabError | None = None

    def take(self, event: object) -> None:
        """An event of this stream."""
        match event:
            case DataReceived(_, data):
                self._chunks.append(data)
            case WriteClosed() | ResetReceived():
                self._has_ended = True
            case _:
                pass
        self._readable.notify()

    def fail(self, error: LabError) -> None:
        """The connection is over."""
        self._error = error
        self._readable.notify()

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`, for `n` above 0."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return b""
            await self._readable.wait()
        chunk = self._chunks.popleft()
        if len(chunk) > n:
            self._chunks.appendleft(chunk[n:])
        chunk = chunk[:n]
        self._session.consumed(self.stream_id, len(chunk))
        return chunk

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`; a handshake is too short for back pressure."""
        if self._error is not None:
            raise self._error
        self._session.send(self.stream_id, data)
        self._transmit()

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        self._session.close_write(self.stream_id)
        self._transmit()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self.close_write()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        self._session.reset(self.stream_id)
        self._transmit()
