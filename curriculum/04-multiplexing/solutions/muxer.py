"""E4.4, the reference answer: yamux, as short as it goes."""

from collections import deque

from libp2p_lab import (
    ConnectionLost,
    LimitExceeded,
    ProtocolViolation,
    RemoteError,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    GoAwayReceived,
    PongReceived,
    ResetReceived,
    SessionFailed,
    StreamAccepted,
    StreamOpened,
    WindowOpened,
    WriteClosed,
)
from libp2p_lab.multiplexing.yamux_frames import (
    DataFrame,
    FrameType,
    GoAway,
    Ping,
    WindowUpdate,
    decode,
    decode_header,
)

SYN, ACK, FIN, RST = 1, 2, 4, 8
MAX_FRAME = 16 * 1024


class Stream:
    def __init__(self, window, flags):
        self.flags = flags  # SYN or ACK, for the next frame
        self.acked = self.accepted = False
        self.window = window
        # sending
        self.credit = window
        self.queue = bytearray()
        self.closing = self.closed = False
        # receiving
        self.allowance = window
        self.freed = 0
        self.reading = True  # somebody takes what comes
        self.ended = False  # the other side's FIN came


class MySession:
    def __init__(self, is_dialer, limits, probe):
        self.limits = limits
        self.probe = probe
        self.streams = {}
        self.next_id = 1 if is_dialer else 2
        self.their_parity = 0 if is_dialer else 1
        self.highest = 0  # of their ids
        self.control = deque()  # frames that go first
        self.turns = deque()  # ids of streams that may have something to send
        self.buffer = bytearray()
        self.going = self.gone = self.failed = False
        self.ping_sent = None

    # -- opening and closing

    def can_open_stream(self):
        waiting = sum(not s.acked for n, s in self.streams.items() if not self.is_theirs(n))
        return waiting < self.limits.yamux_accept_backlog

    def open_stream(self):
        if self.going or self.gone or self.failed:
            raise ConnectionLost("the session is ending")
        if not self.can_open_stream():
            backlog = self.limits.yamux_accept_backlog
            raise LimitExceeded("yamux_accept_backlog", backlog + 1, backlog)
        number, self.next_id = self.next_id, self.next_id + 2
        self.streams[number] = Stream(self.limits.yamux_initial_window, SYN)
        self.turns.append(number)
        return number

    def accept(self, stream_id):
        if stream_id in self.streams:
            self.streams[stream_id].accepted = True

    def send(self, stream_id, data):
        stream = self.streams.get(stream_id)
        if stream is None:
            raise StreamReset(f"stream {stream_id} is gone")
        if stream.closing:
            raise StreamClosed(f"stream {stream_id} is closed for writing")
        stream.queue += data
        self.turns.append(stream_id)

    def unsent(self, stream_id):
        return len(self.streams[stream_id].queue) if stream_id in self.streams else 0

    def close_write(self, stream_id):
        if stream_id in self.streams:
            self.streams[stream_id].closing = True
            self.turns.append(stream_id)

    def stop_reading(self, stream_id):
        if stream_id in self.streams:
            self.streams[stream_id].reading = False

    def reset(self, stream_id):
        stream = self.streams.pop(stream_id, None)
        if stream is not None and not stream.flags & SYN:
            self.control.append(WindowUpdate(stream_id, RST, 0))

    def ping(self, now=0.0):
        if self.ping_sent is None:
            self.ping_sent = now
            self.control.append(Ping(SYN, 1))
        return True

    def go_away(self, code=0):
        if not self.going:
            self.going = True
            self.control.append(GoAway(code))

    def consumed(self, stream_id, n, now=0.0):
        stream = self.streams.get(stream_id)
        if stream is None or stream.ended:
            return
        stream.freed += n
        if 2 * stream.freed >= stream.window:
            self.control.append(WindowUpdate(stream_id, self.flags_of(stream), stream.freed))
            stream.allowance += stream.freed
            stream.freed = 0

    # -- to the wire

    def has_data_to_send(self):
        return bool(self.control) or any(self.has_turn(number) for number in self.turns)

    def data_to_send(self, limit=128 * 1024):
        out = bytearray()
        while self.control:
            out += self.sent(self.control.popleft())
        while self.turns and len(out) < limit:
            number = self.turns.popleft()
            if self.has_turn(number):
                out += self.next_frames(number)
                self.turns.append(number)
        return bytes(out)

    def has_turn(self, number):
        stream = self.streams.get(number)
        if stream is None:
            return False
        at_end = stream.closing and not stream.closed and not stream.queue
        return bool(stream.flags or (stream.queue and stream.credit) or at_end)

    def next_frames(self, number):
        stream = self.streams[number]
        n = min(len(stream.queue), stream.credit, MAX_FRAME)
        if n:
            data = bytes(stream.queue[:n])
            del stream.queue[:n]
            stream.credit -= n
            return self.sent(DataFrame(number, self.flags_of(stream), data))
        flags = self.flags_of(stream)
        if stream.closing and not stream.queue:
            flags |= FIN
            stream.closed = True
            self.forget_if_over(number, stream)
        return self.sent(WindowUpdate(number, flags, 0))

    def flags_of(self, stream):
        flags, stream.flags = stream.flags, 0
        return flags

    def sent(self, frame):
        if self.probe.trace.listeners:
            self.probe.emit("sent", frame)
        return frame.encode()

    # -- from the wire

    def receive_data(self, data, now=0.0):
        events = []
        if self.failed:
            return events
        self.buffer += data
        try:
            while (frame := self.next_frame()) is not None:
                if self.probe.trace.listeners:
                    self.probe.emit("received", frame)
                self.on_frame(frame, now, events)
        except RemoteError as error:
            self.failed = True
            self.go_away(1)
            events.append(SessionFailed(error))
        return events

    def next_frame(self):
        if len(self.buffer) < 12:
            return None
        kind, _, stream_id, length = decode_header(self.buffer)
        size = 12
        if kind is FrameType.DATA:
            stream = self.streams.get(stream_id)
            if length > (stream.allowance if stream else self.limits.yamux_initial_window):
                raise ProtocolViolation(f"{length} bytes, more than the window allows")
            size += length
        elif kind is not FrameType.WINDOW_UPDATE and stream_id != 0:
            raise ProtocolViolation(f"{kind.name} on stream {stream_id}")
        if len(self.buffer) < size:
            return None
        frame = decode(bytes(self.buffer[:size]))
        del self.buffer[:size]
        return frame

    def on_frame(self, frame, now, events):
        match frame:
            case Ping(flags, value) if flags & SYN:
                self.control.append(Ping(ACK, value))
            case Ping():
                if self.ping_sent is not None:
                    events.append(PongReceived(now - self.ping_sent))
                    self.ping_sent = None
            case GoAway(code):
                self.gone = True
                events.append(GoAwayReceived(code))
            case DataFrame(number, flags, data):
                stream = self.find(number, flags, events)
                if stream is not None:
                    self.on_data(number, stream, data, events)
                    self.on_end(number, stream, flags, events)
            case WindowUpdate(number, flags, delta):
                stream = self.find(number, flags, events)
                if stream is not None:
                    stream.credit += delta
                    if delta:
                        events.append(WindowOpened(number))
                        self.turns.append(number)
                    self.on_end(number, stream, flags, events)

    def find(self, number, flags, events):
        """The stream that a frame is for, or None if it is gone."""
        if flags & SYN:
            return self.on_syn(number, events)
        stream = self.streams.get(number)
        if stream is None:
            known = self.highest if self.is_theirs(number) else self.next_id - 1
            if number == 0 or number > known:
                raise ProtocolViolation(f"stream {number} was never opened")
        elif flags & ACK and not stream.acked:
            stream.acked = True
            events.append(StreamAccepted(number))
        return stream

    def on_syn(self, number, events):
        if not self.is_theirs(number) or number == 0 or number <= self.highest:
            raise ProtocolViolation(f"stream {number} is not theirs to open")
        self.highest = number
        waiting = sum(not s.accepted for n, s in self.streams.items() if self.is_theirs(n))
        if self.going or waiting >= self.limits.yamux_accept_backlog:
            self.control.append(WindowUpdate(number, RST, 0))
            return None
        stream = self.streams[number] = Stream(self.limits.yamux_initial_window, ACK)
        self.turns.append(number)
        events.append(StreamOpened(number))
        return stream

    def on_data(self, number, stream, data, events):
        if data and stream.ended:
            raise ProtocolViolation(f"data on stream {number} after its end")
        stream.allowance -= len(data)
        if not stream.reading:
            if not stream.allowance:
                self.reset(number)  # nobody reads, and the other side waits for more
        elif data:
            events.append(DataReceived(number, data))

    def on_end(self, number, stream, flags, events):
        if flags & RST:
            self.streams.pop(number, None)
            events.append(ResetReceived(number))
        elif flags & FIN and not stream.ended:
            stream.ended = True
            events.append(WriteClosed(number))
            self.forget_if_over(number, stream)

    def forget_if_over(self, number, stream):
        if stream.closed and stream.ended:
            self.streams.pop(number, None)

    def is_theirs(self, number):
        return number % 2 == self.their_parity


class MyMuxer:
    """What a host is given."""

    protocol = "/yamux/1.0.0"

    def session(self, *, is_dialer, limits, probe):
        return MySession(is_dialer, limits, probe)


answer = MyMuxer
