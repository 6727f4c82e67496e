"""QUIC's core: aioquic's state machine, spoken to as to a muxer. Datagrams in, events and datagrams out.

QUIC does in one protocol what TCP, TLS, yamux and their negotiations do in four: one round trip, and there are
streams. A lost datagram holds up only the streams whose bytes were in it.

Three things differ from what aioquic does by itself, and each reaches into it (tests guard all three): the server asks
for the client's certificate; windows open only as the application reads, for otherwise a slow reader's memory would
grow without end; and as many streams may be open as our limits say.

Spec: tls/tls.md#peer-authentication, https://www.rfc-editor.org/rfc/rfc9000
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from aioquic.quic import events as quic_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    QuicConnection,
    QuicConnectionState,
)
from aioquic.quic.packet import QuicFrameType
from aioquic.quic.stream import QuicStreamSender
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from libp2p_lab.errors import ConnectionLost, LimitExceeded, StreamClosed, StreamReset
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    MuxerEvent,
    PongReceived,
    ResetReceived,
    StreamOpened,
    WriteClosed,
)
from libp2p_lab.wire.byte_stream import Buffer

PROTOCOL_ID = "/quic-v1"
BAD_CERTIFICATE = 0x100 + 42  # QUIC's code for TLS's alert bad_certificate
_UNREADABLE = (ValueError, TypeError, AssertionError, KeyError, IndexError, UnsupportedAlgorithm)


@dataclass(frozen=True, slots=True)
class HandshakeDone:
    """Both sides have the keys."""


@dataclass(frozen=True, slots=True)
class ReadingStopped:
    """The remote will read no more of this stream (STOP_SENDING)."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class AddressIssued:
    """From now on datagrams may come under this connection id too."""

    connection_id: bytes


@dataclass(frozen=True, slots=True)
class AddressRetired:
    """No datagram will come under this connection id any more."""

    connection_id: bytes


QuicEvent = MuxerEvent | HandshakeDone | ReadingStopped | AddressIssued | AddressRetired


class _Intake:
    """What came of one stream, and what of it is done with."""

    __slots__ = ("consumed", "delivered", "reading")

    def __init__(self) -> None:
        self.delivered = self.consumed = 0
        self.reading = True


class _Quic(QuicConnection):
    """aioquic's connection, with windows of our own."""

    def __init__(
        self,
        limits: Limits,
        intake: dict[int, _Intake],
        asks_certificate: bool,
        one_way_streams: int,
        **options: object,
    ) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._limits = limits
        self._asks_certificate = asks_certificate
        self._intake = intake
        self.consumed = 0  # of all streams
        streams = self._local_max_streams_bidi
        streams.value = streams.sent = limits.quic_streams
        self._local_max_streams_uni.value = self._local_max_streams_uni.sent = one_way_streams

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        if not self._is_client and self._asks_certificate:
            self.tls._request_client_certificate = True

    def _write_stream_limits(self, builder, space, stream) -> None:  # type: ignore[no-untyped-def]
        """Let the remote send a window more than the application has read."""
        intake = self._intake.get(stream.stream_id)
        if intake is not None and intake.reading:
            allowed = intake.consumed + self._limits.quic_stream_window
            if (
                allowed - stream.max_stream_data_local >= self._limits.quic_stream_window // 4
                and not stream.receiver.is_finished
            ):
                stream.max_stream_data_local = allowed
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            buf = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            buf.push_uint_var(stream.stream_id)
            buf.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local

    def _write_connection_limits(self, builder, space) -> None:  # type: ignore[no-untyped-def]
        """The same for all streams together, and more streams as others end."""
        data, streams = self._local_max_data, self._local_max_streams_bidi
        window = self._limits.quic_connection_window
        if self.consumed + window - data.value >= window // 4:
            data.value = self.consumed + window
        for limit, least in ((data, 1), (streams, self._limits.quic_streams // 4)):
            if limit.value - limit.sent >= least or limit.sent == 0:
                buf = builder.start_frame(
                    limit.frame_type,
                    capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
                    handler=self._on_connection_limit_delivery,
                    handler_args=(limit,),
                )
                buf.push_uint_var(limit.value)
                limit.sent = limit.value


class QuicSession:
    """One QUIC connection as a state machine.

    Args:
        configuration: certificate, versions, time limits.
        limits: windows and streams.
        original_cid: server: the connection id that the client invented for us.
        retry_cid: server: the one that we gave it in a retry.
        asks_certificate: server: whether the client must show a certificate.
        one_way_streams: how many the remote may open; libp2p has none.

    Attributes:
        said_goodbye: whether the remote has ended it in a way of its own, above QUIC.
    """

    reset_code = 0  # of our RESET_STREAM and STOP_SENDING
    clean_codes: tuple[int, ...] = (0,)  # by which a remote closes a connection that went well

    def __init__(
        self,
        configuration: QuicConfiguration,
        limits: Limits,
        original_cid: bytes | None = None,
        retry_cid: bytes | None = None,
        *,
        asks_certificate: bool = True,
        one_way_streams: int = 0,
    ) -> None:
        self._intake: dict[int, _Intake] = {}
        self._quic = _Quic(
            limits,
            self._intake,
            asks_certificate,
            one_way_streams,
            configuration=configuration,
            original_destination_connection_id=original_cid,
            retry_source_connection_id=retry_cid,
        )
        self._limits = limits
        self._is_client = configuration.is_client
        self.said_goodbye = False
        self._ping_sent_at: dict[int, float] = {}

    # -- datagrams --------------------------------------------------------------------------------------------

    @property
    def connection_id(self) -> bytes:
        """The first of ours."""
        return self._quic.host_cid

    def connect(self, addr: tuple[str, int], now: float) -> None:
        """Begin, as the client."""
        self._quic.connect(addr, now)

    def receive_datagram(self, data: bytes, addr: tuple[str, int], now: float) -> list[QuicEvent]:
        """Take one datagram. It never raises: what breaks a rule ends the session (`ended`)."""
        try:
            self._quic.receive_datagram(data, addr, now)
        except (*_UNREADABLE, x509.InvalidVersion) as error:
            # aioquic did not expect these bytes; whoever sent them held the keys, or the handshake is not over.
            self._quic.close(error_code=0xA, reason_phrase=type(error).__name__)
        return self._events(now)

    def handle_timer(self, now: float) -> list[QuicEvent]:
        """The time of `timer_at` has come."""
        self._quic.handle_timer(now)
        return self._events(now)

    def timer_at(self) -> float | None:
        """When `handle_timer` wants to be called."""
        return self._quic.get_timer()

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, tuple[str, int]]]:
        """What is to be sent now, and where to."""
        return self._quic.datagrams_to_send(now)

    def _events(self, now: float) -> list[QuicEvent]:
        found: list[QuicEvent] = []
        while (event := self._quic.next_event()) is not None:
            self._take(event, now, found)
        return found

    def _take(self, event: quic_events.QuicEvent, now: float, found: list[QuicEvent]) -> None:
        """What an event of aioquic's means to us."""
        match event:
            case quic_events.StreamDataReceived(data, end, stream_id):
                self._receive(stream_id, data, end, found)
            case quic_events.StreamReset(stream_id=stream_id):
                # After our STOP_SENDING it is only the answer to that.
                if self._open_if_new(stream_id, found).reading:
                    found.append(ResetReceived(stream_id))
                self._stop_counting(stream_id)
            case quic_events.StopSendingReceived(stream_id=stream_id):
                self._open_if_new(stream_id, found)
                found.append(ReadingStopped(stream_id))
            case quic_events.HandshakeCompleted():
                found.append(HandshakeDone())
            case quic_events.ConnectionIdIssued(connection_id):
                found.append(AddressIssued(connection_id))
            case quic_events.ConnectionIdRetired(connection_id):
                found.append(AddressRetired(connection_id))
            case quic_events.PingAcknowledged(uid):
                sent_at = self._ping_sent_at.pop(uid, now)
                found.append(PongReceived(now - sent_at))

    def _receive(self, stream_id: int, data: bytes, end: bool, found: list[QuicEvent]) -> None:
        intake = self._open_if_new(stream_id, found)
        if data:
            intake.delivered += len(data)
            if intake.reading:
                found.append(DataReceived(stream_id, data))
            else:
                self._count(intake, len(data))
        if end:
            found.append(WriteClosed(stream_id))

    def _open_if_new(self, stream_id: int, found: list[QuicEvent]) -> _Intake:
        intake = self._intake.get(stream_id)
        if intake is None:
            intake = self._intake[stream_id] = _Intake()
            if stream_id & 1 == self._is_client:
                found.append(StreamOpened(stream_id))
        return intake

    # -- how it stands ----------------------------------------------------------------------------------------

    @property
    def remote_chain(self) -> list[bytes]:
        """The remote's certificates in DER; none if it sent none."""
        tls = self._quic.tls
        if tls._peer_certificate is None:
            return []
        chain = (tls._peer_certificate, *tls._peer_certificate_chain)
        return [certificate.public_bytes(Encoding.DER) for certificate in chain]

    @property
    def alpn(self) -> str | None:
        """The protocol that both agreed on within TLS."""
        return self._quic.tls.alpn_negotiated

    @property
    def ended(self) -> quic_events.ConnectionTerminated | None:
        """Why the connection is over, as soon as it is."""
        return self._quic._close_event

    @property
    def ended_by_remote(self) -> bool:
        """Whether the remote closed it."""
        return self._quic._state is QuicConnectionState.DRAINING

    @property
    def is_idle(self) -> bool:
        """Whether everything written has arrived."""
        return all(_has_arrived(stream.sender) for stream in self._quic._streams.values())

    def close(self, code: int = 0, reason: str = "") -> None:
        """Queue the goodbye."""
        frame = None if code < 0x100 else QuicFrameType.CRYPTO
        self._quic.close(error_code=code, frame_type=frame, reason_phrase=reason)

    # -- as a muxer: see `MuxerSession` -----------------------------------------------------------------------

    def can_open_stream(self) -> bool:
        """False while the remote allows no more."""
        quic = self._quic
        return quic._local_next_stream_id_bidi // 4 < quic._remote_max_streams_bidi

    def open_stream(self) -> int:
        """As `MuxerSession.open_stream`. The remote learns of it with the first bytes."""
        if self.ended is not None:
            raise ConnectionLost("the connection is closed")
        if not self.can_open_stream():
            raise LimitExceeded("streams that the remote allows", len(self._intake))
        stream_id: int = self._quic.get_next_available_stream_id()
        self._quic._get_or_create_stream_for_send(stream_id)
        self._intake[stream_id] = _Intake()
        return stream_id

    def send(self, stream_id: int, data: Buffer) -> None:
        """As `MuxerSession.send`."""
        stream = self._quic._streams.get(stream_id)
        if stream is None or stream.sender._reset_error_code is not None:
            raise StreamReset(f"stream {stream_id} is gone")
        if stream.sender._buffer_fin is not None:
            raise StreamClosed(f"stream {stream_id} is closed for writing")
        self._quic.send_stream_data(stream_id, bytes(data))

    def unsent(self, stream_id: int) -> int:
        """As `MuxerSession.unsent`."""
        stream = self._quic._streams.get(stream_id)
        if stream is None or stream.sender._reset_error_code is not None:
            return 0
        sender = stream.sender
        return int(sender._buffer_stop - max(sender.highest_offset, sender._buffer_start))

    def close_write(self, stream_id: int) -> None:
        """As `MuxerSession.close_write`."""
        stream = self._quic._streams.get(stream_id)
        if stream is not None:
            sender = stream.sender
            if sender._reset_error_code is None and sender._buffer_fin is None:
                self._quic.send_stream_data(stream_id, b"", end_stream=True)

    def reset(self, stream_id: int) -> None:
        """As `MuxerSession.reset`: RESET_STREAM for what we send, STOP_SENDING for what we read."""
        stream = self._quic._streams.get(stream_id)
        if stream is not None:
            if not stream.sender.is_finished:
                self._quic.reset_stream(stream_id, self.reset_code)
            self.stop_reading(stream_id)

    def accept(self, stream_id: int) -> None:
        """As `MuxerSession.accept`. QUIC's limit counts open streams, so there is nothing to do."""

    def stop_reading(self, stream_id: int) -> None:
        """As `MuxerSession.stop_reading`."""
        stream = self._quic._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            self._quic.stop_stream(stream_id, self.reset_code)
        self._stop_counting(stream_id)

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        """As `MuxerSession.consumed`."""
        intake = self._intake.get(stream_id)
        if intake is not None and intake.reading:
            self._count(intake, n)

    def forget(self, stream_id: int) -> None:
        """Nobody will ask about this stream any more."""
        self._stop_counting(stream_id)
        known = self._quic._streams
        if len(self._intake) > 2 * len(known) + 64:
            for gone in [one for one in self._intake if one not in known]:
                del self._intake[gone]

    def ping(self, now: float = 0.0) -> bool:
        """As `MuxerSession.ping`."""
        number = int.from_bytes(os.urandom(4))
        self._ping_sent_at = {number: now}
        self._quic.send_ping(number)
        return True

    def _stop_counting(self, stream_id: int) -> None:
        """What lies unread counts as read, or the connection's window would never open again."""
        intake = self._intake.get(stream_id)
        if intake is not None and intake.reading:
            intake.reading = False
            self._count(intake, intake.delivered - intake.consumed)

    def _count(self, intake: _Intake, n: int) -> None:
        intake.consumed += n
        self._quic.consumed += n


def _has_arrived(sender: QuicStreamSender) -> bool:
    """Whether everything that was written is acknowledged, the end included, or given up."""
    if sender._reset_error_code is not None or sender.is_finished:
        return True
    return not sender._buffer and sender._buffer_fin is None
