"""One WebSocket connection: an HTTP request, an answer, and then frames, whose bodies are a byte stream.

    client  GET / HTTP/1.1, Upgrade: websocket          server  HTTP/1.1 101 Switching Protocols
    then    | FIN 1 bit | opcode 4 | masked 1 | length 7, 23 or 71 | mask 32 if masked | body |

The library `websockets` reads and writes both; here they are put on a `TcpStream`. The boundaries of frames mean
nothing. A Close frame is a half close as long as the other side is ours: others answer it with their own at once.

Loaded with the first WebSocket address that is dialed or listened at, for `websockets` takes a moment to import.

Spec: https://www.rfc-editor.org/rfc/rfc6455
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Generator

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from libp2p_lab.errors import (
    ConnectionLost,
    LabError,
    LimitExceeded,
    ProtocolViolation,
    StreamClosed,
)
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.trace import Probe
from libp2p_lab.transports.signal import Signal
from libp2p_lab.transports.tcp import RECEIVE_SIZE, TcpStream
from libp2p_lab.transports.transport import report_earlier
from libp2p_lab.wire.byte_stream import Buffer

FRAME_SIZE = 128 * 1024  # body of one frame that we send
MAX_FRAME = 1024 * 1024  # body of one frame that we accept; the default of `websockets`
MAX_HEAD = 16 * 1024  # of the HTTP request or response, to its empty line
_CLEAN = (1000, 1001, 1005)  # close codes of an ordinary end: normal, going away, none given


class WebSocketStream:
    """One WebSocket connection: a `RawConnection`.

    Args:
        tcp: the connection below, with TLS on it where the address says so.
        upgrade: the HTTP part, which the library `websockets` knows.
        local, remote: our end and the other.
    """

    __slots__ = (
        "_chunks",
        "_early",
        "_ended",
        "_failure",
        "_in_message",
        "_is_server",
        "_parser",
        "_pong",
        "_probe",
        "_reader",
        "_ready",
        "_received",
        "_sent",
        "_tcp",
        "_upgrade",
        "_upgraded",
        "_upgrading",
        "_write_closed",
        "local_addr",
        "remote_addr",
    )

    def __init__(
        self,
        tcp: TcpStream,
        upgrade: ClientProtocol | ServerProtocol,
        local: Multiaddr,
        remote: Multiaddr,
    ) -> None:
        self.local_addr = local
        self.remote_addr = remote
        self._tcp = tcp
        self._upgrade = upgrade
        self._is_server = isinstance(upgrade, ServerProtocol)
        self._upgraded = False
        self._upgrading: asyncio.Task[None] | None = None  # the server's upgrade; readers wait
        self._ready = Signal()  # upgraded, or failed
        self._early: list[bytes] = []  # written before the upgrade was done
        self._reader = StreamReader()
        self._parser = self._parse()
        next(self._parser)  # it waits for bytes now
        self._chunks: deque[bytes] = deque()
        self._in_message = False  # a message whose last frame has not come
        self._pong: bytes | None = (
            None  # the answer to the newest ping, if there was no room for it
        )
        self._ended = self._write_closed = False
        self._failure: LabError | OSError | None = None
        self._probe = Probe(layer="transport")
        self._received = self._sent = 0

    # -- the upgrade ----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Ask for the upgrade, and wait until it is granted.

        Raises: `ProtocolViolation` for any other answer; `ConnectionLost`.
        """
        upgrade = self._upgrade
        assert isinstance(upgrade, ClientProtocol)
        upgrade.send_request(upgrade.connect())
        await self._tcp.write(b"".join(upgrade.data_to_send()))
        await self._read_head()
        if upgrade.handshake_exc is not None:
            raise ProtocolViolation(f"no WebSocket upgrade: {upgrade.handshake_exc}")
        self._upgraded = True
        self._feed(b"")

    def start_accepting(self, tls: ssl.SSLContext | None) -> None:
        """Answer the client's upgrade in a task of our own, which ends with the stream at the latest."""
        self._upgrading = asyncio.create_task(self._accept(tls))

    async def _accept(self, tls: ssl.SSLContext | None) -> None:
        upgrade = self._upgrade
        assert isinstance(upgrade, ServerProtocol)
        try:
            if tls is not None:
                await self._tcp.start_tls(tls)
            request = await self._read_head()
            if isinstance(request, Request):
                upgrade.send_response(upgrade.accept(request))
            answer = b"".join(upgrade.data_to_send())
            if answer:
                await self._tcp.write(answer)
            if upgrade.handshake_exc is not None:
                raise ProtocolViolation(f"no WebSocket upgrade: {upgrade.handshake_exc}")
            self._upgraded = True
            for frames in self._early:
                self._tcp.send(frames)
            self._early.clear()
            self._feed(b"")
        except (LabError, OSError) as error:
            self._failure = error
        finally:
            self._ready.notify()

    async def _read_head(self) -> Frame | Request | Response | None:
        """Read to the empty line and no further; give it to the library. What follows are frames."""
        head = bytearray()
        while (end := head.find(b"\r\n\r\n")) < 0:
            if len(head) > MAX_HEAD:
                raise LimitExceeded("head of a WebSocket upgrade", len(head), MAX_HEAD)
            data = await self._tcp.read(RECEIVE_SIZE)
            if not data:
                raise ConnectionLost("the connection ended within the WebSocket upgrade")
            head += data
        self._upgrade.receive_data(bytes(head[: end + 4]))
        self._reader.feed_data(head[end + 4 :])
        events = self._upgrade.events_received()
        return events[0] if events else None

    async def _wait_until_upgraded(self) -> None:
        while not self._upgraded:
            if self._failure is not None:
                raise self._failure
            await self._ready.wait()

    # -- reading --------------------------------------------------------------------------------------------

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        if n < 0:
            parts = []
            while part := await self.read(RECEIVE_SIZE):
                parts.append(part)
            return b"".join(parts)
        if not self._upgraded:
            await self._wait_until_upgraded()
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return b""
            self._feed(await self._receive())
        chunk = self._chunks[0]
        if len(chunk) <= n:
            self._chunks.popleft()
        else:
            self._chunks[0] = chunk[n:]
            chunk = chunk[:n]
        return chunk

    async def _receive(self) -> bytes:
        data = await self._tcp.read(RECEIVE_SIZE)
        if not data and not self._ended:
            self._failure = ConnectionLost("the TCP connection ended without a Close frame")
        return data

    def _feed(self, data: bytes) -> None:
        """Take bytes from below: whole frames become chunks, a broken rule becomes the failure."""
        if self._ended or self._failure is not None:
            return  # nothing counts after a Close frame
        self._reader.feed_data(data)
        try:
            next(self._parser)
        except PayloadTooBig as error:
            self._fail(1009, LimitExceeded("WebSocket frame", MAX_FRAME + 1, MAX_FRAME), error)
        except (ProtocolError, UnicodeDecodeError) as error:
            self._fail(1002, ProtocolViolation(f"WebSocket: {error}"), error)
        except ProtocolViolation as violation:
            self._fail(1003, violation, None)
        except StopIteration:
            pass  # a Close frame
        self._send_pong()

    def _parse(self) -> Generator[None, None, None]:
        """One frame after the other, to the Close frame; it pauses wherever bytes are missing."""
        yield
        while not self._ended:
            frame = yield from Frame.parse(
                self._reader.read_exact, mask=self._is_server, max_size=MAX_FRAME
            )
            self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.BINARY | Opcode.CONT:
                if self._in_message != (frame.opcode is Opcode.CONT):
                    raise ProtocolViolation("WebSocket: a message begins within another, or none")
                self._in_message = not frame.fin
                if frame.data:
                    self._deliver(bytes(frame.data))
            case Opcode.TEXT:
                raise ProtocolViolation(
                    "WebSocket: a text frame; libp2p's bytes come in binary ones"
                )
            case Opcode.PING:
                self._pong = Frame(Opcode.PONG, frame.data).serialize(mask=not self._is_server)
            case Opcode.PONG:
                pass
            case Opcode.CLOSE:
                close = Close.parse(frame.data)
                self._ended = True
                if close.code not in _CLEAN:
                    self._failure = ConnectionLost(f"the remote closed the WebSocket: {close}")

    def _deliver(self, data: bytes) -> None:
        if self._probe.trace.listeners:
            self._probe.emit("received", data, self._received)
        self._received += len(data)
        self._chunks.append(data)

    def _send_pong(self) -> None:
        """Answer the newest ping, unless the remote does not take what we send: readers never wait for that."""
        if self._pong is not None and not self._tcp.is_full:
            pong, self._pong = self._pong, None
            with contextlib.suppress(ConnectionLost, StreamClosed):
                self._tcp.send(pong)

    def _fail(self, code: int, failure: LabError, cause: Exception | None) -> None:
        """The remote broke a rule: tell it by a Close frame."""
        failure.__cause__ = cause
        self._failure = failure
        if not self._write_closed and not self._tcp.is_full:
            self._write_closed = True
            with contextlib.suppress(ConnectionLost, StreamClosed):
                self._tcp.send(self._close_frame(code))

    # -- writing --------------------------------------------------------------------------------------------

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        if self._write_closed:
            raise StreamClosed("write after close_write")
        if not len(data):
            return
        if self._probe.trace.listeners:
            self._probe.emit("sent", bytes(data), self._sent)
        self._sent += len(data)
        mask = not self._is_server
        if len(data) <= FRAME_SIZE:
            frames = Frame(Opcode.BINARY, data).serialize(mask=mask)
        else:
            view = memoryview(data)
            pieces = [view[n : n + FRAME_SIZE] for n in range(0, len(view), FRAME_SIZE)]
            frames = b"".join(Frame(Opcode.BINARY, piece).serialize(mask=mask) for piece in pieces)
        await self._write_below(frames)

    async def _write_below(self, frames: bytes) -> None:
        if not self._upgraded:
            self._early.append(frames)
            await self._wait_until_upgraded()
            return
        await self._tcp.write(frames)

    async def close_write(self) -> None:
        """As `ByteStream.close_write`: a Close frame. Peers that are not ours answer with their own and close."""
        if not self._write_closed:
            self._write_closed = True
            with contextlib.suppress(ConnectionLost):
                await self._write_below(self._close_frame(1000))

    def _close_frame(self, code: int) -> bytes:
        frame = Frame(Opcode.CLOSE, Close(code, "").serialize())
        return frame.serialize(mask=not self._is_server)

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self.close_write()
        await self._tcp.close()

    async def reset(self) -> None:
        """As `ByteStream.reset`: TCP's RST, without a Close frame."""
        self._write_closed = True
        self._failure = self._failure or ConnectionLost("WebSocket connection reset by us")
        await self._tcp.reset()
        if self._upgrading is not None:
            self._upgrading.cancel()
        self._ready.notify()

    @property
    def probe(self) -> Probe:
        """As `RawConnection.probe`. It is told the bodies of the frames, for these are the byte stream."""
        return self._probe

    @probe.setter
    def probe(self, probe: Probe) -> None:
        self._probe = probe
        if probe.trace.listeners:
            report_earlier(probe, self._chunks, self._received)
