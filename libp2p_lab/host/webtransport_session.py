"""WebTransport's core: a QUIC connection that speaks HTTP/3, on which streams are opened after a request.

    CONNECT https://host/.well-known/libp2p-webtransport?type=noise      on the first stream: the session
    200                                                                  and from then on:
    | 0x41 | the number of the session's stream | bytes … |              each further stream

The rest of HTTP/3 (its settings, its header compression) is aioquic's work. It is little, and kept little: whoever
sends more than a few requests' worth of it is cut off.

Spec: webtransport/README.md#webtransport-http-endpoint
"""

from __future__ import annotations

from aioquic.buffer import Buffer, BufferReadError, encode_uint_var  # type: ignore[attr-defined]
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection
from aioquic.h3.events import DataReceived as HttpDataReceived
from aioquic.h3.events import H3Event, HeadersReceived
from aioquic.quic import events as quic_events
from aioquic.quic.configuration import QuicConfiguration

from libp2p_lab.errors import LimitExceeded
from libp2p_lab.host.quic_session import _UNREADABLE, QuicEvent, QuicSession
from libp2p_lab.limits import Limits

ALPN = "h3"
PATH = "/.well-known/libp2p-webtransport?type=noise"
FIRST_ERROR = 0x52E4A40FA8DB  # HTTP/3's number for WebTransport's error 0
ONE_WAY_STREAMS = 8  # HTTP/3 needs three, and some more may be there to be ignored


class WebTransportSession(QuicSession):
    """One QUIC connection with one WebTransport session on it, as a state machine.

    Args: as `QuicSession`.

    Attributes:
        goodbye: why the session has ended, or was refused; the QUIC connection may still be there.
    """

    reset_code = FIRST_ERROR
    clean_codes = (0, int(ErrorCode.H3_NO_ERROR))

    def __init__(
        self,
        configuration: QuicConfiguration,
        limits: Limits,
        original_cid: bytes | None = None,
        retry_cid: bytes | None = None,
    ) -> None:
        super().__init__(
            configuration,
            limits,
            original_cid,
            retry_cid,
            asks_certificate=False,
            one_way_streams=ONE_WAY_STREAMS,
        )
        self.goodbye: str | None = None
        self._http: H3Connection | None = None
        self._http_bytes = 0
        self._session: int | None = None  # the request's stream
        self._of_http: set[int] = set()  # streams of the remote that carry requests
        self._beginnings: dict[
            int, bytes
        ] = {}  # of the remote's streams, until we know what they are

    # -- in ---------------------------------------------------------------------------------------------------

    def _take(self, event: quic_events.QuicEvent, now: float, found: list[QuicEvent]) -> None:
        match event:
            case quic_events.ProtocolNegotiated():
                self._http = H3Connection(self._quic, enable_webtransport=True)
            case quic_events.StreamDataReceived(data, end, stream_id):
                if self._is_of_http(stream_id):
                    self._receive_http(event, len(data))
                elif stream_id in self._intake:
                    self._receive(stream_id, data, end, found)
                else:
                    self._receive_beginning(stream_id, data, end, found)
            case (
                quic_events.StreamReset(stream_id=stream_id)
                | quic_events.StopSendingReceived(stream_id=stream_id)
            ):
                if self._is_of_http(stream_id):
                    self._receive_http(event, 0)
                    if stream_id == self._session:
                        self._say_goodbye("the session was reset")
                elif stream_id in self._intake:
                    super()._take(event, now, found)
                else:
                    self._beginnings.pop(stream_id, None)  # it ended before we knew what it was
            case _:
                super()._take(event, now, found)

    def _is_of_http(self, stream_id: int) -> bool:
        return bool(stream_id & 2) or stream_id == self._session or stream_id in self._of_http

    def _receive_beginning(
        self, stream_id: int, data: bytes, end: bool, found: list[QuicEvent]
    ) -> None:
        """Find out what a new stream of the remote is."""
        data = self._beginnings.pop(stream_id, b"") + data
        buffer = Buffer(data=data)
        try:
            kind = buffer.pull_uint_var()
            session = buffer.pull_uint_var() if kind == FrameType.WEBTRANSPORT_STREAM else None
        except BufferReadError:
            if not end:
                self._beginnings[stream_id] = data
            return
        if session is None:
            if self._is_client:
                self._end(ErrorCode.H3_STREAM_CREATION_ERROR, "a server opens no requests")
                return
            self._of_http.add(stream_id)
            event = quic_events.StreamDataReceived(data=data, end_stream=end, stream_id=stream_id)
            self._receive_http(event, len(data))
        elif session not in (0, self._session):
            # There is one session, and a request that comes first is on stream 0.
            self._end(ErrorCode.H3_ID_ERROR, f"there is no session {session}")
        else:
            intake = self._open_if_new(stream_id, found)
            length = buffer.tell()
            intake.delivered += length
            self._count(intake, length)
            self._receive(stream_id, data[length:], end, found)

    def _receive_http(self, event: quic_events.QuicEvent, length: int) -> None:
        self._http_bytes += length
        self._quic.consumed += length
        if self._http is None:
            return
        if self._http_bytes > self._limits.webtransport_http:
            self._end(ErrorCode.H3_EXCESSIVE_LOAD, "too much of HTTP/3 beside the streams")
            return
        try:
            events = self._http.handle_event(event)
        except _UNREADABLE as error:
            self._end(ErrorCode.H3_GENERAL_PROTOCOL_ERROR, f"HTTP/3: {type(error).__name__}")
            return
        for one in events:
            self._receive_http_event(one)

    def _receive_http_event(self, event: H3Event) -> None:
        match event:
            case HeadersReceived(headers, stream_id, ended):
                fields = dict(headers)
                if self._is_client:
                    self._receive_answer(stream_id, fields.get(b":status", b""))
                else:
                    self._receive_request(stream_id, fields)
            case HttpDataReceived(stream_id=stream_id, stream_ended=ended):
                pass  # capsules: the one that matters comes right before the end
            case _:
                return
        if ended and stream_id == self._session:
            self._say_goodbye("the session was closed")

    def _receive_answer(self, stream_id: int, status: bytes) -> None:
        if stream_id != self._session:
            return
        if status != b"200":
            self._say_goodbye(f"the request was answered with {status.decode(errors='replace')}")

    def _receive_request(self, stream_id: int, fields: dict[bytes, bytes]) -> None:
        """Spec: webtransport/README.md#webtransport-http-endpoint"""
        assert self._http is not None
        if (fields.get(b":method"), fields.get(b":protocol")) != (b"CONNECT", b"webtransport"):
            status = b"405"
        elif fields.get(b":path") != PATH.encode():
            status = b"404"
        elif self._session is not None:
            status = b"429"  # one connection has one session
        else:
            status = b"200"
            self._session = stream_id
        answer = [(b":status", status), (b"sec-webtransport-http3-draft", b"draft02")]
        self._http.send_headers(stream_id, answer, end_stream=status != b"200")

    def _say_goodbye(self, reason: str) -> None:
        self.goodbye = self.goodbye or reason  # the first says why

    def _end(self, code: int, reason: str) -> None:
        self._quic.close(error_code=code, reason_phrase=reason)

    # -- out --------------------------------------------------------------------------------------------------

    def request(self, authority: str) -> None:
        """As the client: ask for the session. Streams may be opened at once.

        Args:
            authority: the listener's address and port, as in a URL.
        """
        assert self._http is not None
        self._session = self._quic.get_next_available_stream_id()
        self._http.send_headers(
            self._session,
            [
                (b":method", b"CONNECT"),
                (b":protocol", b"webtransport"),
                (b":scheme", b"https"),
                (b":authority", authority.encode()),
                (b":path", PATH.encode()),
                (b"sec-webtransport-http3-draft02", b"1"),
            ],
        )

    def open_stream(self) -> int:
        """As `MuxerSession.open_stream`."""
        if self._session is None:
            raise LimitExceeded("streams before there is a session", 1, 0)
        stream_id = super().open_stream()
        beginning = encode_uint_var(FrameType.WEBTRANSPORT_STREAM) + encode_uint_var(self._session)
        self.send(stream_id, beginning)
        return stream_id

    def can_open_stream(self) -> bool:
        """As `MuxerSession.can_open_stream`."""
        return self._session is not None and super().can_open_stream()
