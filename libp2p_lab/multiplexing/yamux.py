"""Yamux, `/yamux/1.0.0`: many streams on one connection, each with its own flow control.

What the core does, in the order of a stream's life:

    open      SYN rides on the first frame; nobody waits for the ACK
    send      a stream sends while the remote's window for it lasts; streams take turns, a frame each
    receive   what arrives counts against our window until the application has taken it
    update    when half the window is taken, the remote may send that much again; a fast reader's window doubles
    close     FIN for each direction by itself; RST drops both at once

A stalled stream stops alone: the others have windows of their own. A session has no window; what bounds it is
the number of streams.

No input, output, time or chance in here: bytes and `now` come in, events and bytes go out.

Files: `yamux_frames.py` and `yamux_stream.py` first, then this one. Spec: yamux/README.md
"""

from __future__ import annotations

from collections import deque
from typing import assert_never

from libp2p_lab.errors import (
    ConnectionLost,
    LimitExceeded,
    ProtocolViolation,
    RemoteError,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.memory import ReceiveMemory
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    Flow,
    GoAwayReceived,
    MuxerEvent,
    PongReceived,
    ResetReceived,
    SessionFailed,
    StreamAccepted,
    StreamOpened,
    WindowOpened,
    WriteClosed,
)
from libp2p_lab.multiplexing.yamux_frames import (
    HEADER,
    HEADER_LENGTH,
    SESSION_ID,
    DataFrame,
    Flags,
    Frame,
    FrameType,
    GoAway,
    GoAwayCode,
    Ping,
    WindowUpdate,
    decode_header,
)
from libp2p_lab.multiplexing.yamux_stream import Half, StreamBooks
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer

PROTOCOL_ID = "/yamux/1.0.0"
MAX_WINDOW = (1 << 32) - 1
WRITE_SIZE = 130_000  # bytes: two of the longest frames that we send, one system call for both

_SYN, _ACK, _FIN, _RST = int(Flags.SYN), int(Flags.ACK), int(Flags.FIN), int(Flags.RST)
_DATA = int(FrameType.DATA)


class YamuxSession:
    """One side of a yamux connection: a `MuxerSession`.

    Args:
        is_dialer: the dialer's streams have odd ids, the listener's even ones.
        limits: windows, backlog, queue lengths.
        probe: where frames are reported.

    Attributes:
        memory: asked before a window grows.
    """

    def __init__(
        self, *, is_dialer: bool, limits: Limits = DEFAULT_LIMITS, probe: Probe | None = None
    ) -> None:
        self.probe = probe if probe is not None else Probe(layer="muxer")
        self._limits = limits
        self.memory = ReceiveMemory(limits)
        self._streams: dict[int, StreamBooks] = {}
        self._next_id = 1 if is_dialer else 2
        self._remote_parity = 0 if is_dialer else 1
        self._highest_remote_id = 0
        self._inbound = 0  # the remote's streams that are open
        self._not_accepted = 0  # of them those that no handler has taken
        self._unacked = 0  # our streams that wait for an ACK
        self._discarding: list[int] = []  # closed by us while the remote may still send
        self._extra_window = 0  # sum of all windows beyond the initial ones
        # to the wire
        self._control: list[bytes] = []
        self._replies = 0  # of them those that the remote made us queue
        self._turns: deque[StreamBooks] = deque()
        self._sent_frames = 0
        self._going_away = False
        # from the wire
        self._partial = b""  # an unfinished header
        self._body_left = 0
        self._body_flags = 0
        self._body_stream: StreamBooks | None = None
        self._body_id = 0
        self._body_traced: list[bytes] = []
        self._received_frames = 0
        self._remote_gone = False
        self._failed = False
        # round trip
        self._ping_value = 0
        self._ping_sent_at: float | None = None
        self._measured_at = 0.0
        self.rtt: float | None = None

    # -- opening, writing, closing ------------------------------------------------------------------------------

    def can_open_stream(self) -> bool:
        """As `MuxerSession.can_open_stream`. Spec: yamux/README.md#ack-backlog--backpressure"""
        return self._unacked < self._limits.yamux_accept_backlog

    def open_stream(self) -> int:
        """As `MuxerSession.open_stream`."""
        if self._going_away or self._remote_gone or self._failed:
            raise ConnectionLost("the session is ending: no new streams")
        if not self.can_open_stream():
            raise LimitExceeded(
                "yamux_accept_backlog", self._unacked + 1, self._limits.yamux_accept_backlog
            )
        if self._next_id > MAX_WINDOW:
            raise LimitExceeded("yamux_stream_ids", self._next_id, MAX_WINDOW)
        stream = StreamBooks(self._next_id, self._limits.yamux_initial_window, _SYN)
        self._next_id += 2
        self._unacked += 1
        self._streams[stream.id] = stream
        self._give_turn(stream)
        return stream.id

    def accept(self, stream_id: int) -> None:
        """As `MuxerSession.accept`."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.accepted and self._is_remote(stream_id):
            stream.accepted = True
            self._not_accepted -= 1

    def send(self, stream_id: int, data: Buffer) -> None:
        """As `MuxerSession.send`."""
        stream = self._streams.get(stream_id)
        if stream is None:
            raise StreamReset(f"stream {stream_id} is gone")
        if stream.writing is not Half.OPEN:
            raise StreamClosed(f"stream {stream_id} is closed for writing")
        if data:
            stream.pending.append(data if isinstance(data, bytes) else bytes(data))
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
        return Flow(
            stream.send_window, stream.allowance, stream.window, stream.unread, stream.unsent
        )

    def close_write(self, stream_id: int) -> None:
        """As `MuxerSession.close_write`. Spec: yamux/README.md#closing-a-stream"""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.writing is Half.OPEN:
            stream.writing = Half.CLOSING
            self._give_turn(stream)

    def stop_reading(self, stream_id: int) -> None:
        """As `MuxerSession.stop_reading`.

        What still arrives is dropped. A remote that fills its window all the same gets a reset, so that it does
        not wait for ever; one that just finishes what it was saying is not disturbed.
        """
        stream = self._streams.get(stream_id)
        if stream is None or stream.reading is not Half.OPEN:
            return
        stream.reading = Half.CLOSING
        self._discarding.append(stream_id)
        if len(self._discarding) > self._limits.yamux_accept_backlog:
            oldest = self._streams.get(self._discarding.pop(0))
            if oldest is not None and oldest.writing is Half.CLOSED:
                self._forget(oldest)

    def reset(self, stream_id: int) -> None:
        """As `MuxerSession.reset`."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        never_left = stream.flags & _SYN
        self._forget(stream)
        if not never_left:
            self._queue(WindowUpdate(stream_id, _RST, 0))

    def go_away(self, code: int = GoAwayCode.NORMAL) -> None:
        """As `MuxerSession.go_away`. Spec: yamux/README.md#session-termination"""
        if not self._going_away:
            self._going_away = True
            self._queue(GoAway(code))

    def ping(self, now: float = 0.0) -> bool:
        """As `MuxerSession.ping`. One is on its way at a time."""
        if self._ping_sent_at is None:
            self._ping_value = (self._ping_value + 1) & MAX_WINDOW
            self._ping_sent_at = now
            self._queue(Ping(_SYN, self._ping_value))
        return True

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        """As `MuxerSession.consumed`. Spec: yamux/README.md#flow-control"""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.unread -= n
        if stream.reading is not Half.OPEN:
            return
        freed = stream.window - stream.unread - stream.allowance
        if 2 * freed < stream.window:
            return
        freed += self._grow(stream, now)
        stream.allowance += freed
        stream.credit += freed
        stream.updated_at = now
        self._give_turn(stream)

    def _grow(self, stream: StreamBooks, now: float) -> int:
        """Double the window of a reader that empties it within four round trips: bandwidth times delay fits then."""
        if self.rtt is None or now - self._measured_at > self._limits.keepalive_interval:
            self.ping(now)  # the way may have become longer, or shorter
        if self.rtt is None:
            return 0
        extra = min(stream.window, self._limits.yamux_max_window - stream.window)
        fits = self._extra_window + extra <= self._limits.yamux_connection_memory
        if now - stream.updated_at > 4 * self.rtt or extra <= 0 or not fits:
            return 0
        if not self.memory.promise(extra):
            return 0
        stream.window += extra
        self._extra_window += extra
        return extra

    # -- to the wire --------------------------------------------------------------------------------------------

    def has_data_to_send(self) -> bool:
        """As `MuxerSession.has_data_to_send`."""
        return bool(self._control or self._turns)

    def data_to_send(self, limit: int = WRITE_SIZE) -> bytes:
        """As `MuxerSession.data_to_send`: control frames first, then a frame of each stream in turn."""
        parts: list[bytes | memoryview] = []
        if self._control:
            parts.extend(self._control)
            self._control.clear()
            self._replies = 0
        size = 0
        while self._turns and size < limit:
            stream = self._turns.popleft()
            stream.queued = False
            size += self._write_frames(stream, parts)
            if stream.has_turn:
                self._give_turn(stream)
        return b"".join(parts)

    def _write_frames(self, stream: StreamBooks, parts: list[bytes | memoryview]) -> int:
        """One turn of one stream: a window update if one is due, and at most one data frame."""
        if stream.credit:
            update = WindowUpdate(stream.id, stream.flags, min(stream.credit, MAX_WINDOW))
            stream.flags = stream.credit = 0
            self._report_sent(update)
            parts.append(update.encode())
        n = min(stream.unsent, stream.send_window, self._limits.yamux_max_frame)
        ends = stream.writing is Half.CLOSING and n == stream.unsent
        if not (n or ends or stream.flags):
            return 0
        flags, stream.flags = stream.flags, 0
        if n:
            body = stream.take(n)
            if self.probe.trace.listeners:
                self._report_sent(DataFrame(stream.id, flags, b"".join(body)))
            parts.append(HEADER.pack(0, _DATA, flags, stream.id, n))
            parts.extend(body)
            flags = 0
        if ends or not n:
            # FIN may ride on data, but js-libp2p (@libp2p/yamux 8.0.3) looks at it first: if it has closed
            # its own half by then, the stream is gone and the data with it. So FIN goes alone.
            update = WindowUpdate(stream.id, flags | (_FIN if ends else 0), 0)
            self._report_sent(update)
            parts.append(update.encode())
        if ends:
            stream.writing = Half.CLOSED
            if stream.reading is Half.CLOSED:
                self._forget(stream)
        return n + HEADER_LENGTH

    def _give_turn(self, stream: StreamBooks) -> None:
        if not stream.queued and stream.has_turn:
            stream.queued = True
            self._turns.append(stream)

    def _queue(self, frame: Frame) -> None:
        self._report_sent(frame)
        self._control.append(frame.encode())

    def _queue_reply(self, frame: Frame) -> None:
        """Queue what the remote made us say. The number is bounded: a flooder that does not read is cut off."""
        self._replies += 1
        if self._replies > self._limits.yamux_max_queued_replies:
            raise LimitExceeded(
                "yamux_max_queued_replies", self._replies, self._limits.yamux_max_queued_replies
            )
        self._queue(frame)

    def _report_sent(self, frame: Frame) -> None:
        if self.probe.trace.listeners:
            self.probe.emit("sent", frame, self._sent_frames)
        self._sent_frames += 1

    # -- from the wire ------------------------------------------------------------------------------------------

    def receive_data(self, data: Buffer, now: float = 0.0) -> list[MuxerEvent]:
        """As `MuxerSession.receive_data`."""
        events: list[MuxerEvent] = []
        if self._failed:
            return events
        try:
            self._parse(memoryview(data), now, events)
        except (RemoteError, LimitExceeded) as error:
            self._failed = True
            self.go_away(GoAwayCode.PROTOCOL_ERROR)
            events.append(SessionFailed(error))
        return events

    def _parse(self, view: memoryview, now: float, events: list[MuxerEvent]) -> None:
        position, size = 0, len(view)
        while position < size:
            if self._body_left:
                end = min(position + self._body_left, size)
                self._receive_body(view[position:end], events)
                position = end
                continue
            if self._partial or size - position < HEADER_LENGTH:
                missing = HEADER_LENGTH - len(self._partial)
                self._partial += bytes(view[position : position + missing])
                position += missing
                if len(self._partial) < HEADER_LENGTH:
                    return
                header, self._partial = self._partial, b""
                self._receive_header(*decode_header(header), now, events)
            else:
                header_fields = decode_header(view, position)
                position += HEADER_LENGTH
                self._receive_header(*header_fields, now, events)

    def _receive_header(
        self,
        kind: FrameType,
        flags: int,
        stream_id: int,
        length: int,
        now: float,
        events: list[MuxerEvent],
    ) -> None:
        match kind:
            case FrameType.DATA:
                self._receive_data_header(flags, stream_id, length, events)
            case FrameType.WINDOW_UPDATE:
                self._report_received(WindowUpdate(stream_id, flags, length))
                self._receive_window_update(flags, stream_id, length, events)
            case FrameType.PING:
                self._report_received(Ping(flags, length))
                self._receive_ping(flags, stream_id, length, now, events)
            case FrameType.GO_AWAY:
                self._report_received(GoAway(length))
                if stream_id != SESSION_ID:
                    raise ProtocolViolation(f"go-away on stream {stream_id} instead of 0")
                self._remote_gone = True
                events.append(GoAwayReceived(length))
            case _:
                assert_never(kind)

    def _receive_data_header(
        self, flags: int, stream_id: int, length: int, events: list[MuxerEvent]
    ) -> None:
        stream = self._find(flags, stream_id, events)
        if stream is None:
            # Late data for a stream that is gone here: skipped, and never more than a window can hold.
            if length > self._limits.yamux_max_window:
                raise ProtocolViolation(
                    f"{length} bytes announced for stream {stream_id}, which is gone"
                )
        elif length and stream.reading is Half.CLOSED:
            raise ProtocolViolation(f"data on stream {stream_id} after its end")
        elif length > stream.allowance:
            raise ProtocolViolation(
                f"stream {stream_id}: {length} bytes announced, {stream.allowance} allowed by the window"
            )
        self._body_left = length
        self._body_stream, self._body_flags, self._body_id = stream, flags, stream_id
        if not length:
            self._finish_body(events)

    def _receive_body(self, part: memoryview, events: list[MuxerEvent]) -> None:
        """Part of a data frame's body: delivered as it comes, never gathered."""
        stream = self._body_stream
        self._body_left -= len(part)
        if self.probe.trace.listeners:
            self._body_traced.append(bytes(part))
        if stream is not None:
            stream.allowance -= len(part)
            if stream.reading is Half.OPEN:
                stream.unread += len(part)
                events.append(DataReceived(stream.id, bytes(part)))
            elif not stream.allowance and stream.id in self._streams:
                self.reset(stream.id)  # nobody reads, and the window is full: say so
        if not self._body_left:
            self._finish_body(events)

    def _finish_body(self, events: list[MuxerEvent]) -> None:
        stream, flags = self._body_stream, self._body_flags
        self._body_stream = None
        if self.probe.trace.listeners:
            self._report_received(DataFrame(self._body_id, flags, b"".join(self._body_traced)))
        else:
            self._received_frames += 1
        self._body_traced.clear()
        if stream is not None and flags & (_FIN | _RST):
            self._receive_end(stream, flags, events)

    def _receive_window_update(
        self, flags: int, stream_id: int, delta: int, events: list[MuxerEvent]
    ) -> None:
        stream = self._find(flags, stream_id, events)
        if stream is None:
            return
        stream.send_window += delta
        if stream.send_window > MAX_WINDOW:
            raise ProtocolViolation(
                f"stream {stream_id}: window updates add up to more than 2^32-1"
            )
        if delta:
            self._give_turn(stream)
            events.append(WindowOpened(stream_id))
        if flags & (_FIN | _RST):
            self._receive_end(stream, flags, events)

    def _receive_ping(
        self, flags: int, stream_id: int, value: int, now: float, events: list[MuxerEvent]
    ) -> None:
        if stream_id != SESSION_ID:
            raise ProtocolViolation(f"ping on stream {stream_id} instead of 0")
        if flags & _SYN:
            self._queue_reply(Ping(_ACK, value))
        elif flags & _ACK and self._ping_sent_at is not None and value == self._ping_value:
            rtt = max(now - self._ping_sent_at, 0.0)
            self._ping_sent_at = None
            self._measured_at = now
            self.rtt = rtt if self.rtt is None else (7 * self.rtt + rtt) / 8
            events.append(PongReceived(rtt))

    def _find(self, flags: int, stream_id: int, events: list[MuxerEvent]) -> StreamBooks | None:
        """The stream that a frame is for; SYN makes it, ACK confirms it. None: it is gone, or refused."""
        if flags & _SYN:
            return self._accept_syn(flags, stream_id, events)
        stream = self._streams.get(stream_id)
        if stream is None:
            known = self._highest_remote_id if self._is_remote(stream_id) else self._next_id - 1
            if stream_id > known or stream_id == SESSION_ID:
                raise ProtocolViolation(f"frame for stream {stream_id}, which was never opened")
        elif flags & _ACK and not stream.acked and not self._is_remote(stream_id):
            stream.acked = True
            self._unacked -= 1
            events.append(StreamAccepted(stream_id))
        return stream

    def _accept_syn(
        self, flags: int, stream_id: int, events: list[MuxerEvent]
    ) -> StreamBooks | None:
        if not self._is_remote(stream_id) or stream_id == SESSION_ID:
            raise ProtocolViolation(
                f"SYN for stream {stream_id}, whose number is not theirs to use"
            )
        if stream_id in self._streams:
            raise ProtocolViolation(f"second SYN for stream {stream_id}")
        self._highest_remote_id = max(self._highest_remote_id, stream_id)
        if flags & _RST:
            return None  # opened and dropped before we heard of it
        limits = self._limits
        if (
            self._going_away
            or self._not_accepted >= limits.yamux_accept_backlog
            or self._inbound >= limits.yamux_max_streams
        ):
            self._queue_reply(WindowUpdate(stream_id, _RST, 0))
            return None
        stream = StreamBooks(stream_id, limits.yamux_initial_window, _ACK)
        self._streams[stream_id] = stream
        self._inbound += 1
        self._not_accepted += 1
        self._give_turn(stream)
        events.append(StreamOpened(stream_id))
        return stream

    def _receive_end(self, stream: StreamBooks, flags: int, events: list[MuxerEvent]) -> None:
        if stream.id not in self._streams:
            return
        if flags & _RST:
            self._forget(stream)
            events.append(ResetReceived(stream.id))
        elif stream.reading is not Half.CLOSED:
            stream.reading = Half.CLOSED
            if stream.writing is Half.CLOSED:
                self._forget(stream)
            events.append(WriteClosed(stream.id))

    def _forget(self, stream: StreamBooks) -> None:
        """Take a stream off the books."""
        if self._streams.pop(stream.id, None) is None:
            return
        extra = stream.window - self._limits.yamux_initial_window
        if extra:
            self._extra_window -= extra
            self.memory.unpromise(extra)
        if self._is_remote(stream.id):
            self._inbound -= 1
            if not stream.accepted:
                self._not_accepted -= 1
        elif not stream.acked:
            self._unacked -= 1
        stream.pending.clear()
        stream.unsent = stream.flags = stream.credit = 0
        stream.writing = stream.reading = Half.CLOSED

    def _is_remote(self, stream_id: int) -> bool:
        return stream_id % 2 == self._remote_parity

    def _report_received(self, frame: Frame) -> None:
        if self.probe.trace.listeners:
            self.probe.emit("received", frame, self._received_frames)
        self._received_frames += 1


class Yamux:
    """The muxer `/yamux/1.0.0`."""

    __slots__ = ()

    protocol = PROTOCOL_ID

    def session(self, *, is_dialer: bool, limits: Limits, probe: Probe) -> YamuxSession:
        """As `Muxer.session`."""
        return YamuxSession(is_dialer=is_dialer, limits=limits, probe=probe)
