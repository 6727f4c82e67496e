"""Mplex, `/mplex/6.7.0`: many streams on one connection, and nobody may say "not so fast". Deprecated, for the lesson.

Yamux has one message that matters and that mplex lacks: the window update. Without it a reader that is slow has
three bad choices: keep everything (memory without end), stop reading the connection (all streams stand still), or drop
the stream. This one drops it, once more bytes wait than `limits.mplex_stream_buffer`. So yamux and QUIC took its place,
and no host speaks mplex unless it was asked for, as in `Host(muxers=[Yamux(), Mplex()])`.

There is no ping in it and no goodbye either. No input, output, time or chance in here.

Files: `mplex_frames.py` first, then this one. Spec: mplex/README.md
"""

from __future__ import annotations

from collections import deque

from libp2p_lab.errors import (
    ConnectionLost,
    LimitExceeded,
    ProtocolViolation,
    RemoteError,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.mplex_frames import (
    MAX_ID,
    Flag,
    MplexFrame,
    decode_header,
    encode_header,
    read_varints,
)
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    Flow,
    MuxerEvent,
    ResetReceived,
    SessionFailed,
    StreamOpened,
    WriteClosed,
)
from libp2p_lab.multiplexing.yamux_stream import Half
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer

PROTOCOL_ID = "/mplex/6.7.0"
WRITE_SIZE = 64 * 1024  # of one message that we send: streams take turns after so much


class _Stream:
    """What the session knows of one stream."""

    __slots__ = (
        "accepted",
        "id",
        "is_ours",
        "is_queued",
        "number",
        "pending",
        "reading",
        "unread",
        "unsent",
        "writing",
    )

    def __init__(self, stream_id: int, number: int, is_ours: bool) -> None:
        self.id = stream_id  # ours for it, the same at both ends
        self.number = number  # the one on the wire
        self.is_ours = is_ours
        self.accepted = is_ours
        self.writing = self.reading = Half.OPEN
        self.pending: deque[memoryview] = deque()
        self.unsent = 0
        self.is_queued = False
        self.unread = 0  # arrived and not taken; when nobody reads any more: thrown away

    @property
    def has_turn(self) -> bool:
        return bool(self.unsent or self.writing is Half.CLOSING)

    def flag(self, receivers: Flag) -> Flag:
        """The flag for what is given in the receiver's form."""
        return Flag(receivers + 1) if self.is_ours else receivers


class MplexSession:
    """One side of an mplex connection: a `MuxerSession`.

    Streams have one number here, as in yamux: those that the dialer opened odd ones, the listener's even ones.

    Args:
        is_dialer: whether we dialed.
        limits: how much may wait to be read; how many streams.
        probe: where frames are reported.
    """

    def __init__(
        self, *, is_dialer: bool, limits: Limits = DEFAULT_LIMITS, probe: Probe | None = None
    ) -> None:
        self.probe = probe if probe is not None else Probe(layer="muxer")
        self._limits = limits
        self._first_id = 1 if is_dialer else 2  # of our streams
        self._streams: dict[int, _Stream] = {}
        self._next_number = 0
        self._highest_remote_number = -1
        self._inbound = 0
        self._not_accepted = 0
        self._unread = 0  # of all streams together
        self._discarding: deque[int] = deque()
        # to the wire
        self._control: list[bytes] = []
        self._replies = 0
        self._turns: deque[_Stream] = deque()
        self._sent_frames = 0
        self._going_away = False
        # from the wire
        self._header = b""  # unfinished
        self._body_left = 0
        self._body_frame: tuple[int, Flag] = (0, Flag.NEW_STREAM)
        self._body_stream: _Stream | None = None
        self._body_traced: list[bytes] = []
        self._received_frames = 0
        self._failed = False

    # -- opening, writing, closing ------------------------------------------------------------------------------

    def can_open_stream(self) -> bool:
        """As `MuxerSession.can_open_stream`: nobody acknowledges, so nothing is waited for."""
        return True

    def open_stream(self) -> int:
        """As `MuxerSession.open_stream`. Spec: mplex/README.md#opening-a-new-stream"""
        if self._going_away or self._failed:
            raise ConnectionLost("the session is ending: no new streams")
        if self._next_number > MAX_ID:
            raise LimitExceeded("mplex_stream_ids", self._next_number, MAX_ID)
        number = self._next_number
        self._next_number += 1
        stream = _Stream(self._id_of(number, is_ours=True), number, is_ours=True)
        self._streams[stream.id] = stream
        self._queue(MplexFrame(number, Flag.NEW_STREAM, str(number).encode()))
        return stream.id

    def accept(self, stream_id: int) -> None:
        """As `MuxerSession.accept`."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.accepted:
            stream.accepted = True
            self._not_accepted -= 1

    def send(self, stream_id: int, data: Buffer) -> None:
        """As `MuxerSession.send`; there is no window to wait for."""
        stream = self._streams.get(stream_id)
        if stream is None:
            raise StreamReset(f"stream {stream_id} is gone")
        if stream.writing is not Half.OPEN:
            raise StreamClosed(f"stream {stream_id} is closed for writing")
        if data:
            stream.pending.append(memoryview(bytes(data)))
            stream.unsent += len(data)
            self._give_turn(stream)

    def unsent(self, stream_id: int) -> int:
        """As `MuxerSession.unsent`."""
        stream = self._streams.get(stream_id)
        return stream.unsent if stream is not None else 0

    def flow(self, stream_id: int) -> Flow | None:
        """As `ShowsFlow.flow`."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return None
        return Flow(None, None, self._limits.mplex_stream_buffer, stream.unread, stream.unsent)

    def close_write(self, stream_id: int) -> None:
        """As `MuxerSession.close_write`. Spec: mplex/README.md#closing-a-stream"""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.writing is Half.OPEN:
            stream.writing = Half.CLOSING
            self._give_turn(stream)

    def stop_reading(self, stream_id: int) -> None:
        """As `MuxerSession.stop_reading`. Mplex has no word for it: a remote that goes on for long gets a reset."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.reading is not Half.OPEN:
            return
        stream.reading = Half.CLOSING
        self._take(stream, stream.unread)
        self._discarding.append(stream_id)
        if len(self._discarding) > self._limits.yamux_accept_backlog:
            oldest = self._streams.get(self._discarding.popleft())
            if oldest is not None and oldest.writing is Half.CLOSED:
                self._forget(oldest)

    def reset(self, stream_id: int) -> None:
        """As `MuxerSession.reset`. Spec: mplex/README.md#resetting-a-stream"""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
            self._queue(MplexFrame(stream.number, stream.flag(Flag.RESET_RECEIVER)))

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        """As `MuxerSession.consumed`: the remote is not told, for there is no word for it."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.reading is Half.OPEN:
            self._take(stream, n)

    def go_away(self, code: int = 0) -> None:
        """As `MuxerSession.go_away`, but the remote does not hear of it: the connection just ends."""
        self._going_away = True

    def ping(self, now: float = 0.0) -> bool:
        """As `MuxerSession.ping`: there is none."""
        return False

    # -- to the wire --------------------------------------------------------------------------------------------

    def has_data_to_send(self) -> bool:
        """As `MuxerSession.has_data_to_send`."""
        return bool(self._control or self._turns)

    def data_to_send(self, limit: int = WRITE_SIZE) -> bytes:
        """As `MuxerSession.data_to_send`: a message of each stream in turn."""
        parts: list[bytes | memoryview] = [*self._control]
        self._control.clear()
        self._replies = size = 0
        while self._turns and size < limit:
            stream = self._turns.popleft()
            stream.is_queued = False
            size += self._write_frames(stream, parts)
            self._give_turn(stream)
        return b"".join(parts)

    def _write_frames(self, stream: _Stream, parts: list[bytes | memoryview]) -> int:
        """One turn of one stream: at most one message; the end when nothing is left."""
        size = 0
        if stream.unsent:
            piece = stream.pending.popleft()
            if len(piece) > WRITE_SIZE:
                stream.pending.appendleft(piece[WRITE_SIZE:])
            body = piece[:WRITE_SIZE]
            size = len(body)
            stream.unsent -= size
            self._write(stream, Flag.MESSAGE_RECEIVER, body, parts)
        if stream.writing is Half.CLOSING and not stream.unsent:
            self._write(stream, Flag.CLOSE_RECEIVER, memoryview(b""), parts)
            stream.writing = Half.CLOSED
            if stream.reading is Half.CLOSED:
                self._forget(stream)
        return size

    def _write(
        self, stream: _Stream, receivers: Flag, body: memoryview, parts: list[bytes | memoryview]
    ) -> None:
        flag = stream.flag(receivers)
        if self.probe.trace.listeners:
            self.probe.emit("sent", MplexFrame(stream.number, flag, bytes(body)), self._sent_frames)
        self._sent_frames += 1
        parts += (encode_header(stream.number, flag, len(body)), body)

    def _give_turn(self, stream: _Stream) -> None:
        if not stream.is_queued and stream.has_turn:
            stream.is_queued = True
            self._turns.append(stream)

    def _queue(self, frame: MplexFrame) -> None:
        if self.probe.trace.listeners:
            self.probe.emit("sent", frame, self._sent_frames)
        self._sent_frames += 1
        self._control.append(frame.encode())

    # -- from the wire ------------------------------------------------------------------------------------------

    def receive_data(self, data: Buffer, now: float = 0.0) -> list[MuxerEvent]:
        """As `MuxerSession.receive_data`."""
        events: list[MuxerEvent] = []
        if self._failed:
            return events
        try:
            self._parse(memoryview(data), events)
        except (RemoteError, LimitExceeded) as error:
            self._failed = self._going_away = True
            events.append(SessionFailed(error))
        return events

    def _parse(self, view: memoryview, events: list[MuxerEvent]) -> None:
        while view:
            if self._body_left:
                part, view = view[: self._body_left], view[self._body_left :]
                self._receive_body(bytes(part), events)
                continue
            # Two varints: byte by byte, for they are short and may be cut anywhere.
            self._header += view[:1]
            view = view[1:]
            fields = read_varints(self._header)
            if len(fields) == 2:
                self._header = b""
                self._receive_header(*decode_header(*fields), fields[1], events)

    def _receive_header(
        self, number: int, flag: Flag, length: int, events: list[MuxerEvent]
    ) -> None:
        self._body_frame, self._body_left = (number, flag), length
        self._body_stream = self._find(number, flag, events)
        if flag in (Flag.MESSAGE_INITIATOR, Flag.MESSAGE_RECEIVER):
            stream = self._body_stream
            if stream is not None and stream.reading is Half.CLOSED:
                raise ProtocolViolation(f"data on stream {stream.id} after its end")
        elif flag is not Flag.NEW_STREAM and length:
            raise ProtocolViolation(f"mplex {flag.name} with {length} bytes: it has none")
        if not length:
            self._finish(events)

    def _find(self, number: int, flag: Flag, events: list[MuxerEvent]) -> _Stream | None:
        """The stream that a frame is for; None if it is gone, or refused."""
        if flag is Flag.NEW_STREAM:
            return self._open_inbound(number, events)
        is_ours = flag % 2 == 1  # the receiver of the stream speaks, so we opened it
        known = self._next_number - 1 if is_ours else self._highest_remote_number
        if number > known:
            raise ProtocolViolation(f"{flag.name} for stream {number}, which was never opened")
        return self._streams.get(self._id_of(number, is_ours))

    def _open_inbound(self, number: int, events: list[MuxerEvent]) -> _Stream | None:
        stream_id = self._id_of(number, is_ours=False)
        if stream_id in self._streams:
            raise ProtocolViolation(f"stream {number} is opened twice")
        self._highest_remote_number = max(self._highest_remote_number, number)
        limits = self._limits
        if (
            self._going_away
            or self._not_accepted >= limits.yamux_accept_backlog
            or self._inbound >= limits.yamux_max_streams
        ):
            self._reset_reply(MplexFrame(number, Flag.RESET_RECEIVER))
            return None
        stream = _Stream(stream_id, number, is_ours=False)
        self._streams[stream_id] = stream
        self._inbound += 1
        self._not_accepted += 1
        events.append(StreamOpened(stream_id))
        return stream

    def _receive_body(self, part: bytes, events: list[MuxerEvent]) -> None:
        """Part of a body: delivered as it comes, never gathered."""
        self._body_left -= len(part)
        stream, (_, flag) = self._body_stream, self._body_frame
        if self.probe.trace.listeners:
            self._body_traced.append(part)
        if flag is not Flag.NEW_STREAM and stream is not None and stream.id in self._streams:
            self._deliver(stream, part, events)
        if not self._body_left:
            self._finish(events)

    def _deliver(self, stream: _Stream, part: bytes, events: list[MuxerEvent]) -> None:
        stream.unread += len(part)
        if stream.reading is Half.OPEN:
            self._unread += len(part)
        limits = self._limits
        if (
            stream.unread > limits.mplex_stream_buffer
            or self._unread > limits.mplex_connection_buffer
        ):
            # Nobody takes it, and there is no way to ask for a pause.
            self._forget(stream)
            self._reset_reply(MplexFrame(stream.number, stream.flag(Flag.RESET_RECEIVER)))
            events.append(ResetReceived(stream.id))
        elif stream.reading is Half.OPEN:
            events.append(DataReceived(stream.id, part))

    def _finish(self, events: list[MuxerEvent]) -> None:
        """A whole frame has passed."""
        (number, flag), stream = self._body_frame, self._body_stream
        if self.probe.trace.listeners:
            frame = MplexFrame(number, flag, b"".join(self._body_traced))
            self.probe.emit("received", frame, self._received_frames)
        self._received_frames += 1
        self._body_traced.clear()
        self._body_stream = None
        if stream is None or stream.id not in self._streams:
            return
        if flag in (Flag.RESET_INITIATOR, Flag.RESET_RECEIVER):
            self._forget(stream)
            events.append(ResetReceived(stream.id))
        elif flag in (Flag.CLOSE_INITIATOR, Flag.CLOSE_RECEIVER):
            if stream.reading is not Half.CLOSED:
                stream.reading = Half.CLOSED
                events.append(WriteClosed(stream.id))
            if stream.writing is Half.CLOSED:
                self._forget(stream)

    def _reset_reply(self, frame: MplexFrame) -> None:
        """A reset that the remote made us send. The number is bounded: a flooder that does not read is cut off."""
        self._replies += 1
        if self._replies > self._limits.yamux_max_queued_replies:
            raise LimitExceeded(
                "yamux_max_queued_replies", self._replies, self._limits.yamux_max_queued_replies
            )
        self._queue(frame)

    # -- books --------------------------------------------------------------------------------------------------

    def _id_of(self, number: int, is_ours: bool) -> int:
        return 2 * number + (self._first_id if is_ours else 3 - self._first_id)

    def _take(self, stream: _Stream, n: int) -> None:
        stream.unread -= n
        self._unread -= n

    def _forget(self, stream: _Stream) -> None:
        """Take a stream off the books."""
        if self._streams.pop(stream.id, None) is None:
            return
        if stream.reading is Half.OPEN:
            self._take(stream, stream.unread)
        if not stream.is_ours:
            self._inbound -= 1
            if not stream.accepted:
                self._not_accepted -= 1
        stream.pending.clear()
        stream.unsent = 0
        stream.writing = stream.reading = Half.CLOSED


class Mplex:
    """The muxer `/mplex/6.7.0`: deprecated, for comparison with yamux."""

    __slots__ = ()

    protocol = PROTOCOL_ID

    def session(self, *, is_dialer: bool, limits: Limits, probe: Probe) -> MplexSession:
        """As `Muxer.session`."""
        return MplexSession(is_dialer=is_dialer, limits=limits, probe=probe)
