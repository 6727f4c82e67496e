"""Drives a QUIC session: its datagrams, its timer, and the streams in it.

`QuicLink` is the session on a socket, from the first datagram on. Once the remote has proven who it is, a
`QuicConnection` is put on top: to the layers above it is a `MuxedConnection` like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, cast

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LabError,
    PeerIdMismatch,
    ProtocolViolation,
)
from libp2p_lab.host.own_streams import HostParts
from libp2p_lab.host.quic_session import (
    BAD_CERTIFICATE,
    PROTOCOL_ID,
    AddressIssued,
    AddressRetired,
    HandshakeDone,
    QuicEvent,
    QuicSession,
    ReadingStopped,
)
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.connection import ConnectionInfo
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import MuxerSession, ResetReceived
from libp2p_lab.security.tls_certificate import verify_certificate
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer, ByteStream

if TYPE_CHECKING:
    from libp2p_lab.host.quic_endpoint import QuicEndpoint

ALPN = "libp2p"


class QuicLink:
    """A session on a socket.

    Args:
        session: the core.
        endpoint: the socket, which finds us by our connection ids.
        remote: the other end's address.
        local_addr, remote_addr: both ends.
        parts: of the host.
        expected: who must answer; None for anybody.
        is_dialer: whether we began.

    Attributes:
        proven: becomes the remote's peer id, or the reason why there is none.
    """

    transport, security, muxer = "quic-v1", "/tls/1.0.0", PROTOCOL_ID  # as connections name them

    def __init__(
        self,
        session: QuicSession,
        endpoint: QuicEndpoint,
        local_addr: Multiaddr,
        remote_addr: Multiaddr,
        parts: HostParts,
        *,
        expected: PeerId | None,
        is_dialer: bool,
    ) -> None:
        self.session = session
        self.local_addr = local_addr
        self.remote_addr = remote_addr
        self.parts = parts
        self.is_dialer = is_dialer
        self.proven: asyncio.Future[PeerId] = asyncio.get_running_loop().create_future()
        self.connection: QuicConnection | None = None
        self.connection_ids = {session.connection_id}
        self.probe = Probe(layer="transport")
        self.heard_at = parts.clock()
        self._endpoint = endpoint
        self._expected = expected
        self._early: list[QuicEvent] = []  # of streams, before the connection runs
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._sent = self._received = 0
        self.is_over = False

    # -- datagrams --------------------------------------------------------------------------------------------

    def receive(self, data: bytes, addr: tuple[str, int]) -> None:
        """A datagram came."""
        if self.probe.trace.listeners:
            self.probe.emit("received", data, self._received)
        self._received += 1
        now = self.heard_at = self.parts.clock()
        self._handle(self.session.receive_datagram(data, addr, now))
        self.transmit()

    def transmit_soon(self) -> None:
        """Send what there is, once for all that is done in this turn of the loop."""
        if self._soon is None and not self.is_over:
            self._soon = asyncio.get_running_loop().call_soon(self.transmit)

    def transmit(self) -> None:
        """Send what there is, as far as QUIC allows, and set the timer."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self.is_over:
            return
        loop = asyncio.get_running_loop()
        for data, addr in self.session.datagrams_to_send(loop.time()):
            if self.probe.trace.listeners:
                self.probe.emit("sent", data, self._sent)
            self._sent += 1
            self._endpoint.send(data, addr)
        if self.session.ended is not None:
            self._finish()
            return
        at = self.session.timer_at()
        timer = self._timer
        # One that fires too early does no harm and sets itself anew, which is cheaper than to move it each time.
        if at is not None and (timer is None or timer.when() > at):
            if timer is not None:
                timer.cancel()
            self._timer = loop.call_at(at, self._on_timer)
        if self.connection is not None:
            self.connection.after_transmit()

    def _on_timer(self) -> None:
        timer, self._timer = self._timer, None
        assert timer is not None
        now = max(timer.when(), self.parts.clock())
        self._handle(self.session.handle_timer(now))
        self.transmit()

    def _handle(self, events: list[QuicEvent]) -> None:
        for event in events:
            match event:
                case HandshakeDone():
                    self._prove()
                case AddressIssued(connection_id):
                    self.connection_ids.add(connection_id)
                    self._endpoint.links[connection_id] = self
                case AddressRetired(connection_id):
                    self.connection_ids.discard(connection_id)
                    self._endpoint.links.pop(connection_id, None)
                case _ if self.connection is not None and self.connection.is_running:
                    self.connection.take(event)
                case _:
                    self._early.append(event)

    # -- who is it --------------------------------------------------------------------------------------------

    def _prove(self) -> None:
        """The keys are there: look at the certificate. Spec: tls/tls.md#peer-authentication"""
        if self.proven.done():
            return
        try:
            if self.session.alpn != ALPN:
                raise HandshakeFailed(f"the remote speaks {self.session.alpn}, not libp2p")
            key = verify_certificate(self.session.remote_chain, time.time())
            peer = self.parts.peer_id_of(key)
            if self._expected not in (None, peer):
                raise PeerIdMismatch(str(self._expected), str(peer))
        except LabError as error:
            self.abandon(error, BAD_CERTIFICATE)
        else:
            self.proven.set_result(peer)

    def make_connection(self, peer: PeerId, number: int) -> QuicConnection:
        """The connection on this link, once the peer is proven."""
        parts = self.parts
        info = ConnectionInfo(
            id=number,
            remote_peer=peer,
            local_addr=self.local_addr,
            remote_addr=self.remote_addr,
            direction="outbound" if self.is_dialer else "inbound",
            transport=self.transport,
            security=self.security,
            muxer=self.muxer,
            limited=False,
            opened_at=parts.clock(),
        )
        self.connection = QuicConnection(self, info)
        self.probe = self.connection.probe.on("transport")
        return self.connection

    def take_early(self) -> list[QuicEvent]:
        """What came for streams before the connection ran."""
        early, self._early = self._early, []
        return early

    # -- the end ----------------------------------------------------------------------------------------------

    def abandon(self, error: BaseException, code: int = 0) -> None:
        """Give up before there is a connection."""
        if not self.proven.done():
            self.proven.set_exception(error)
            self.proven.exception()  # whether anybody waits for it or not
        self.close(code, str(error)[:100])

    def close(self, code: int = 0, reason: str = "") -> None:
        """Say goodbye, once, and leave the socket."""
        if not self.is_over:
            self.session.close(code, reason)
            self.transmit()

    def _finish(self) -> None:
        self.is_over = True
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self._timer = self._soon = None
        ended = self.session.ended
        assert ended is not None
        self._endpoint.forget(self)
        if not self.proven.done():
            reason = ended.reason_phrase or f"code {ended.error_code:#x}"
            self.proven.set_exception(HandshakeFailed(f"QUIC handshake ended: {reason}"))
            self.proven.exception()
        if self.connection is not None:
            self.connection.over()


class QuicConnection(MuxedConnection):
    """A QUIC connection to a proven peer.

    Args:
        link: the session at work.
        info: the facts.
    """

    def __init__(self, link: QuicLink, info: ConnectionInfo) -> None:
        parts = link.parts
        super().__init__(
            # There is no byte stream below, and the session is no muxer's: whatever uses them is replaced here.
            cast(ByteStream, None),
            cast(MuxerSession, link.session),
            info,
            limits=parts.limits,
            clock=parts.clock,
            probe=parts.probe.on("host", str(info.id)),
            on_stream=parts.on_stream,
            on_stream_end=parts.on_stream_end,
        )
        self._link = link
        self._quic = link.session
        self._over = asyncio.Event()
        self.is_running = False  # or else whoever takes its streams does not know it yet
        self._closed_by_us = False
        self._ungranted = (
            0  # bytes that the application took, of which the remote has not been told
        )
        self.writer_waits = True  # small writes may leave at once, always

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """As `MuxedConnection.run`. Datagrams come by themselves; this waits for the end."""
        reason = "closed"
        self._look_for_silence()
        self.is_running = True
        for event in self._link.take_early():
            self.take(event)
        try:
            await self._over.wait()
            error = self._why()
            if error is not None:
                reason = str(error)
                raise error
        finally:
            self._link.close()
            self._end(ConnectionLost(f"connection to {self.remote_peer} is gone: {reason}"))

    def _why(self) -> LabError | None:
        ended = self._quic.ended
        if ended is None or self._closed_by_us or self._quic.said_goodbye:
            return None
        text = ended.reason_phrase or f"code {ended.error_code:#x}"
        if self._quic.ended_by_remote:
            if ended.error_code in self._quic.clean_codes:
                return None
            return ConnectionLost(f"the remote closed the QUIC connection: {text}")
        if text == "Idle timeout":
            return ConnectionLost("nothing came from the remote for too long")
        return ProtocolViolation(f"QUIC: {text}")

    def take(self, event: QuicEvent) -> None:
        """An event of a stream."""
        match event:
            case ReadingStopped(stream_id):
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.stop_writing()
            case HandshakeDone() | AddressIssued() | AddressRetired():
                pass
            case ResetReceived(stream_id):
                self._quic.reset(stream_id)  # libp2p's reset is of both directions, QUIC's of one
                self._handle(event)
            case _:
                self._handle(event)

    def after_transmit(self) -> None:
        """Something came or went: there may be room for a writer, or a stream to open."""
        self._changed.notify()
        if self.blocked:
            room = self.limits.write_buffer // 2
            for stream in [one for one in self.blocked if self._quic.unsent(one.id) <= room]:
                self.blocked.discard(stream)
                stream.wake_writer()

    def over(self) -> None:
        """The link has ended."""
        self._over.set()
        self._changed.notify()

    def _look_for_silence(self) -> None:
        """A timer: ping a silent remote. QUIC itself gives up one that is silent for too long."""
        limits = self.limits
        silence = self._clock() - self._link.heard_at
        if silence >= limits.quic_keepalive:
            self._quic.ping(self._clock())
            self._link.transmit_soon()
            silence = 0.0
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(limits.quic_keepalive - silence, self._look_for_silence)

    async def close(self) -> None:
        """As `MuxedConnection.close`: what was written arrives first, within the limit."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.close_timeout):
                self._link.transmit_soon()
                while not self._over.is_set() and not self._quic.is_idle:
                    await self._changed.wait()
        if not self._over.is_set():
            self._closed_by_us = True
            self._link.close()
        while self.is_open:
            await self._changed.wait()

    async def refuse(self, reason: str) -> None:
        """As `MuxedConnection.refuse`."""
        self._ended = ConnectionLost(f"refused: {reason}")
        self._link.close(0, reason)

    # -- streams call these -----------------------------------------------------------------------------------

    def queue(self, stream_id: int, data: Buffer) -> None:
        """As `MuxedConnection.queue`."""
        self._session.send(stream_id, data)
        self._link.transmit_soon()

    async def send_now(self, stream_id: int, data: Buffer) -> None:
        """As `MuxedConnection.send_now`."""
        self._session.send(stream_id, data)
        self._link.transmit()

    def give_credit(self, stream_id: int, n: int) -> None:
        """As `MuxedConnection.give_credit`. The remote is told now and then; there is no hurry with a few bytes."""
        self._session.consumed(stream_id, n, 0.0)
        self._ungranted += n
        if self._ungranted >= self.limits.quic_stream_window // 4:
            self._ungranted = 0
            self._link.transmit_soon()

    def end_reading(self, stream_id: int) -> None:
        """As `MuxedConnection.end_reading`."""
        self._session.stop_reading(stream_id)
        self._link.transmit_soon()

    def forget(self, stream: MuxedStream, how: str) -> None:
        """As `MuxedConnection.forget`."""
        super().forget(stream, how)
        self._quic.forget(stream.id)

    def _wake_if_needed(self) -> None:
        self._link.transmit_soon()
