"""Drives a WebRTC connection: ICE, DTLS, SCTP and the streams on one socket, from the first datagram on.

A datagram's first byte says whose it is (RFC 7983): below 4 it is ICE's, from 20 to 63 it is DTLS's. Inside DTLS are
SCTP's packets, in those the messages of channels, in those the streams:

    datagram → IceAgent
             → DtlsSession → SctpAssociation → WebRtcStreams → WebRtcConnection → MuxedStream

`WebRtcLink` is all of this before and after anybody is proven to be at the other end. The proof is a Noise handshake
on channel 0 that knows both certificates: a man in the middle would need one certificate for each side, and the
handshake would fail. The *listener* begins it. Once it is done, a `WebRtcConnection` is put on top: to the layers
above it is a `MuxedConnection` like any other.

Spec: webrtc/webrtc-direct.md#connection-security
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LabError,
    LimitExceeded,
    RemoteError,
)
from libp2p_lab.host.handshake_stream import HandshakeStream
from libp2p_lab.host.own_streams import HostParts
from libp2p_lab.host.webrtc_connection import WebRtcConnection
from libp2p_lab.host.webrtc_dtls import DtlsCertificate, DtlsSession, certhash
from libp2p_lab.host.webrtc_ice import Answered, IceAgent
from libp2p_lab.host.webrtc_sctp import (
    ChannelClosed,
    ChannelReset,
    MessageArrived,
    SctpAssociation,
    SctpEvent,
)
from libp2p_lab.host.webrtc_streams import (
    HANDSHAKE,
    PROTOCOL_ID,
    CloseChannel,
    Send,
    StreamEvent,
    WebRtcStreams,
)
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.connection import ConnectionInfo
from libp2p_lab.multiplexing.muxer import (
    SessionFailed,
)
from libp2p_lab.security.noise import PROTOCOL_ID as NOISE
from libp2p_lab.security.noise import Noise
from libp2p_lab.trace import Probe

PROLOGUE = b"libp2p-webrtc-noise:"


def noise_prologue(dialer: bytes, listener: bytes) -> bytes:
    """What binds the Noise handshake to both certificates. Spec: webrtc/webrtc-direct.md#noise-prologue

    Args:
        dialer, listener: the hashes of their certificates, as multihashes.
    """
    return PROLOGUE + dialer + listener


class WebRtcLink:
    """A connection on a socket.

    Args:
        send: takes each datagram for the remote.
        forget: called once, when it is over.
        parts: of the host.
        local_addr, remote_addr: both ends.
        source: the remote's IP address and port.
        ufrag: the name of this connection for ICE.
        own: our certificate.
        cookie: as the listener, see `DtlsSession`.
        is_dialer: whether we began.
        certhashes: as the dialer, the hashes of which one must be that of the remote's certificate.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        forget: Callable[[WebRtcLink], None],
        parts: HostParts,
        local_addr: Multiaddr,
        remote_addr: Multiaddr,
        source: tuple[str, int],
        ufrag: str,
        own: DtlsCertificate,
        *,
        cookie: bytes = b"",
        is_dialer: bool,
        certhashes: tuple[bytes, ...] = (),
    ) -> None:
        self.local_addr = local_addr
        self.remote_addr = remote_addr
        self.parts = parts
        self.source = source
        self.ufrag = ufrag
        self.is_dialer = is_dialer
        self.probe = Probe(layer="transport")
        self.heard_at = parts.clock()
        self.ice = IceAgent(
            ufrag, is_dialer=is_dialer, interval=parts.limits.webrtc_consent_interval
        )
        self.dtls = DtlsSession(own, is_client=is_dialer, cookie=cookie)
        self.sctp = SctpAssociation(self._send_packet, parts.limits, is_client=is_dialer)
        self.streams = WebRtcStreams(is_dialer=is_dialer, limits=parts.limits)
        self.connection: WebRtcConnection | None = None
        self.error: LabError | None = None  # why it is over, if it did not end well
        self.is_over = False
        self._send = send
        self._forget = forget
        self._own = own
        self._certhashes = certhashes
        self._established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handshake = HandshakeStream(self.streams, HANDSHAKE, self.transmit)
        self._early: list[StreamEvent] = []  # of streams, before there is a connection
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._begun = False
        self._is_busy = False  # about to send anyway
        self._sent = self._received = 0

    # -- datagrams --------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """A datagram came."""
        if self.is_over or not data:
            return
        if self.probe.trace.listeners:
            self.probe.emit("received", data, self._received)
        self._received += 1
        self._is_busy = True
        now = self.parts.clock()
        if data[0] < 4:
            for event in self.ice.receive(data, self.source, now):
                self.heard_at = now
                if isinstance(event, Answered):
                    self._on_answer(event)
        elif 20 <= data[0] < 64:
            self._receive_dtls(data, now)
        self.transmit()

    def _on_answer(self, answered: Answered) -> None:
        if self.connection is not None:
            self.connection.rtt = answered.rtt
        if not self._begun:
            self._begun = True
            self.dtls.start()

    def _receive_dtls(self, data: bytes, now: float) -> None:
        was_established = self.dtls.is_established
        packets = self.dtls.receive(data)
        if not was_established and self.dtls.is_established:
            if self._certhashes and certhash(self.dtls.remote_certificate) not in self._certhashes:
                self.end(
                    HandshakeFailed("the listener's certificate is not the one in its address")
                )
                return
            self.sctp.connect()
        try:
            for packet in packets:
                self.heard_at = now
                for event in self.sctp.receive(packet):
                    self._on_sctp(event)
        except (RemoteError, LimitExceeded) as error:
            self.end(error)
            return
        if self.sctp.is_established and not self._established.done():
            self._established.set_result(None)
        if self.dtls.failure is not None or self.sctp.is_over:
            ours = self.dtls.failure or ConnectionLost("the remote ended the association")
            self.end(ours if not self._established.done() else None)

    def _on_sctp(self, event: SctpEvent) -> None:
        match event:
            case MessageArrived(stream_id, protocol, data):
                found = self.streams.receive(stream_id, protocol, data)
            case ChannelReset(stream_id):
                found = self.streams.channel_reset(stream_id)
            case ChannelClosed(stream_id):
                self.streams.channel_closed(stream_id)
                return
            case _:
                assert_never(event)
        for one in found:
            if isinstance(one, SessionFailed):
                raise one.error
            if getattr(one, "stream_id", None) == HANDSHAKE:
                self._handshake.take(one)
            elif self.connection is not None and self.connection.is_running:
                self.connection.take(one)
            else:
                self._early.append(one)

    def _send_packet(self, packet: bytes) -> None:
        """SCTP has something to send, perhaps by a timer of its own."""
        self.dtls.send(packet)
        self.transmit_soon()

    def transmit_soon(self) -> None:
        """Send what there is, once for all that is done in this turn of the loop."""
        if self._soon is None and not self._is_busy and not self.is_over:
            self._soon = asyncio.get_running_loop().call_soon(self.transmit)

    def transmit(self) -> None:
        """Send what there is, as far as SCTP allows, and set the timer."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self.is_over:
            return
        self._is_busy = True
        now = self.parts.clock()
        self.sctp.set_unread(self.streams.unread)
        while self.sctp.has_room:
            command = self.streams.next_command(now)
            match command:
                case Send(stream_id, protocol, data):
                    self.sctp.send_message(stream_id, protocol, data)
                case CloseChannel(stream_id):
                    self.sctp.close_channel(stream_id)
                case None:
                    break
        self.flush()
        self._is_busy = False
        self._set_timer()
        if self.connection is not None:
            self.connection.after_transmit()

    def flush(self) -> None:
        """Send the datagrams that are ready."""
        for data in (*self.ice.datagrams_to_send(), *self.dtls.datagrams_to_send()):
            if self.probe.trace.listeners:
                self.probe.emit("sent", data, self._sent)
            self._sent += 1
            self._send(data)

    # -- time -------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        now = self.parts.clock()
        due = [self.heard_at + self.parts.limits.webrtc_idle_timeout]
        if (ask_at := self.ice.timer_at()) is not None:
            due.append(ask_at)
        if self._begun and (wait := self.dtls.timer_in()) is not None:
            due.append(now + wait)
        at = max(now, min(due))
        if self._timer is None or self._timer.when() > at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self.parts.clock()
        if now - self.heard_at >= self.parts.limits.webrtc_idle_timeout:
            self.end(ConnectionLost("nothing came from the remote for too long"))
            return
        self.ice.handle_timer(now)
        if self._begun and self.dtls.timer_in() is not None:
            self.dtls.handle_timer()
            if self.dtls.failure is not None:
                self.end(self.dtls.failure)
                return
        self.streams.expire(now)
        self.transmit()

    # -- who is it --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: as the dialer, ask; as the listener, be ready."""
        self._begun = not self.is_dialer
        self.ice.handle_timer(self.parts.clock())
        self.transmit()

    async def prove(self, expected: PeerId | None) -> PeerId:
        """Wait for the connection, and find out who is there. The caller sets the time limit.

        Args:
            expected: who must be there; None for anybody.

        Raises: `HandshakeFailed`, `PeerIdMismatch`, `ConnectionLost`.
        """
        await self._established
        theirs = certhash(self.dtls.remote_certificate)
        dialer, listener = (
            (self._own.certhash, theirs) if self.is_dialer else (theirs, self._own.certhash)
        )
        noise = Noise(
            early_muxers=False,
            prologue=noise_prologue(dialer, listener),
            peer_id_of=self.parts.peer_id_of,
        )
        proven = await noise.secure(
            self._handshake,
            key=self.parts.key,
            is_dialer=not self.is_dialer,  # the listener sends the first message
            expected_peer=expected,
            muxers=(),
            probe=self.probe.on("security"),
        )
        if self.is_dialer:  # it has read the last message: the channel has done its work
            self.streams.close_handshake()
            self.transmit_soon()
        if self.is_over:
            raise self.error or ConnectionLost("closed right after the handshake")
        return proven.remote_peer

    def make_connection(self, peer: PeerId, number: int) -> WebRtcConnection:
        """The connection on this link, once the peer is proven."""
        info = ConnectionInfo(
            id=number,
            remote_peer=peer,
            local_addr=self.local_addr,
            remote_addr=self.remote_addr,
            direction="outbound" if self.is_dialer else "inbound",
            transport="webrtc-direct",
            security=NOISE,
            muxer=PROTOCOL_ID,
            limited=False,
            opened_at=self.parts.clock(),
        )
        self.connection = WebRtcConnection(self, info)
        self.probe = self.connection.probe.on("transport")
        self.streams.probe = self.connection.probe.on("muxer")
        return self.connection

    def take_early(self) -> list[StreamEvent]:
        """What came for streams before the connection ran."""
        early, self._early = self._early, []
        return early

    # -- the end ----------------------------------------------------------------------------------------------

    def end(self, error: LabError | None = None) -> None:
        """Say goodbye, once, and leave the socket."""
        if self.is_over:
            return
        self.is_over = True
        self.error = error
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        self.sctp.abort()
        self.dtls.close()
        self.flush()
        self._forget(self)
        loss = error or ConnectionLost("the remote closed the WebRTC connection")
        if not self._established.done():
            self._established.set_exception(loss)
            self._established.exception()  # whether anybody waits for it or not
        self._handshake.fail(loss)
        if self.connection is not None:
            self.connection.over()
