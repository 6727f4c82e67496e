"""The streams of a WebRTC connection, as a core: what comes on its data channels in, what goes out on them.

Each stream is a data channel. The side that opens one says so on it (DATA_CHANNEL_OPEN, RFC 8832) and writes at once;
the DTLS client's channels have even numbers, the server's odd ones. Channel 0 is there from the start: the handshake
that proves who is who runs on it.

    write half     open → finishing (FIN queued) → finished (FIN sent) → over (FIN_ACK came; or stopped, or reset)
    read half      open → over (FIN came; or reset)      or: stopped, by us; what still comes is dropped
    channel        closed by us once both halves are over; gone once the remote has closed it too

WebRTC has one window for all streams of a connection. `unread` is what counts against it: bytes that came and that the
application has not taken.

Spec: webrtc/README.md#closing-an-rtcdatachannel
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.errors import (
    ConnectionLost,
    LimitExceeded,
    MalformedMessage,
    ProtocolViolation,
    RemoteError,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.host.webrtc_messages import MAX_DATA, Flag, Message, MessageReader
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    MuxerEvent,
    ResetReceived,
    SessionFailed,
    StreamAccepted,
    StreamOpened,
    WriteClosed,
)
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer

PROTOCOL_ID = "/webrtc"  # as js-libp2p names it
HANDSHAKE = 0  # the channel of the Noise handshake

CONTROL, BINARY = 50, 53  # what an SCTP message carries (RFC 8831, section 8)
_OPEN = struct.Struct("!BBHLHH")  # type, kind, priority, reliability, lengths of label and protocol
_OPEN_TYPE, _ACK_TYPE = 3, 2
_RELIABLE = 0x00  # in order, and never given up


@dataclass(frozen=True, slots=True)
class ReadingStopped:
    """The remote will read no more of this stream (STOP_SENDING)."""

    stream_id: int


StreamEvent = MuxerEvent | ReadingStopped


@dataclass(frozen=True, slots=True)
class Send:
    """Something for the wire.

    Attributes:
        stream_id: the channel.
        protocol: what it is: `CONTROL` or `BINARY`.
        data: the bytes.
    """

    stream_id: int
    protocol: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Close our direction of a channel."""

    stream_id: int


Command = Send | CloseChannel


class _Channel:
    """One data channel."""

    __slots__ = (
        "closed",
        "closing",
        "finished_at",
        "held",
        "queue",
        "queued",
        "reader",
        "reading",
        "unread",
        "writing",
    )

    def __init__(self, *, is_held: bool = False) -> None:
        self.writing: Literal["open", "finishing", "finished", "over"] = "open"
        self.reading: Literal["open", "stopped", "over"] = "open"
        self.closing = False  # we began to close our direction
        self.closed: set[Literal["ours", "theirs"]] = set()  # directions that are, at both ends
        # What waits until the channel that had this number before is gone; None if nothing has to.
        self.held: list[Command] | None = [] if is_held else None
        self.queue: deque[memoryview] = deque()
        self.queued = self.unread = 0
        self.reader = MessageReader()
        self.finished_at: float | None = None  # since when we wait for FIN_ACK


class WebRtcStreams:
    """The core; but for its other wire it is a `MuxerSession`.

    Args:
        is_dialer: whether we dialed: then we are the DTLS client.
        limits: how many streams.
        probe: of the messages.

    Attributes:
        unread: bytes of all streams that the application has not taken.
    """

    def __init__(self, *, is_dialer: bool, limits: Limits, probe: Probe | None = None) -> None:
        self.unread = 0
        self.probe = probe if probe is not None else Probe(layer="muxer")
        self._limits = limits
        self._parity = 0 if is_dialer else 1  # of the channels that we open
        self._channels: dict[int, _Channel] = {HANDSHAKE: _Channel()}
        self._control: deque[Command] = deque()  # these first
        self._ready: deque[int] = deque()  # channels with something to send, each once
        self._sent = self._received = 0
        self._failed = False
        self._going = False

    # -- in ---------------------------------------------------------------------------------------------------

    def receive(self, stream_id: int, protocol: int, data: bytes) -> list[StreamEvent]:
        """Take one message of a data channel. It never raises: see `SessionFailed`."""
        found: list[StreamEvent] = []
        if self._failed:
            return found
        try:
            if protocol == CONTROL:
                self._receive_control(stream_id, data, found)
            elif protocol == BINARY:
                self._receive_data(stream_id, data, found)
            elif stream_id in self._channels:
                raise MalformedMessage(f"a WebRTC message of kind {protocol} is not libp2p's")
        except (RemoteError, LimitExceeded) as error:
            self._failed = True
            found.append(SessionFailed(error))
        return found

    def _receive_control(self, stream_id: int, data: bytes, found: list[StreamEvent]) -> None:
        """Spec: webrtc/README.md#rtcdatachannel-negotiation"""
        if data[:1] == bytes((_ACK_TYPE,)):
            if stream_id in self._channels:
                found.append(StreamAccepted(stream_id))
            return
        if data[:1] != bytes((_OPEN_TYPE,)) or len(data) < _OPEN.size:
            raise MalformedMessage(f"neither DATA_CHANNEL_OPEN nor DATA_CHANNEL_ACK: {data[:12]!r}")
        before = self._channels.get(stream_id)
        # Who closed a channel may give its number to the next before we have heard that our direction is closed too.
        is_held = before is not None and "theirs" in before.closed
        if stream_id % 2 == self._parity or (before is not None and not is_held):
            raise ProtocolViolation(f"channel {stream_id} is not the remote's to open")
        theirs = sum(1 for one in self._channels if one % 2 != self._parity) - is_held
        if theirs >= 2 * self._limits.webrtc_streams:
            raise LimitExceeded("webrtc_streams", theirs + 1, self._limits.webrtc_streams)
        if before is not None:
            self._take(before, before.unread)
        channel = self._channels[stream_id] = _Channel(is_held=is_held)
        if theirs >= self._limits.webrtc_streams or _OPEN.unpack_from(data)[1] != _RELIABLE:
            self._finish(stream_id, channel)
            return
        self._do(channel, Send(stream_id, CONTROL, bytes((_ACK_TYPE,))))
        found.append(StreamOpened(stream_id))

    def _receive_data(self, stream_id: int, data: bytes, found: list[StreamEvent]) -> None:
        channel = self._channels.get(stream_id)
        if channel is None or "theirs" in channel.closed:
            return  # of a channel that is over
        for message in channel.reader.feed(data):
            if self.probe.trace.listeners:
                self.probe.emit("received", message, self._received)
            self._received += 1
            if message.data and channel.reading == "open":
                channel.unread += len(message.data)
                self.unread += len(message.data)
                found.append(DataReceived(stream_id, message.data))
            if message.flag is not None:
                self._receive_flag(stream_id, channel, message.flag, found)

    def _receive_flag(
        self, stream_id: int, channel: _Channel, flag: Flag, found: list[StreamEvent]
    ) -> None:
        match flag:
            case Flag.FIN:
                self._send_flag(stream_id, channel, Flag.FIN_ACK)
                if channel.reading == "open":
                    found.append(WriteClosed(stream_id))
                channel.reading = "over"
            case Flag.FIN_ACK:
                if channel.writing == "finished":
                    channel.writing = "over"
            case Flag.STOP_SENDING:
                self._stop_writing(stream_id, channel, found)
            case Flag.RESET_STREAM:
                if channel.reading == "open" or channel.writing in ("open", "finishing"):
                    found.append(ResetReceived(stream_id))
                self._finish(stream_id, channel)
        self._close_if_over(stream_id, channel)

    def channel_reset(self, stream_id: int) -> list[StreamEvent]:
        """The remote closed its direction of a channel. What came is there; nothing more will."""
        found: list[StreamEvent] = []
        channel = self._channels.get(stream_id)
        if channel is not None and not self._failed:
            if channel.reading == "open":  # without FIN: something is missing
                found.append(ResetReceived(stream_id))
            else:
                self._stop_writing(stream_id, channel, found)
            self._finish(stream_id, channel)
            self._close_direction(stream_id, channel, "theirs")
        return found

    def channel_closed(self, stream_id: int) -> None:
        """The remote knows that our direction is closed."""
        channel = self._channels.get(stream_id)
        if channel is None:
            return
        if channel.held is None:
            self._close_direction(stream_id, channel, "ours")
            return
        self._control.extend(channel.held)  # it was the one before
        channel.held = None
        self._make_ready(stream_id)

    def _close_direction(
        self, stream_id: int, channel: _Channel, which: Literal["ours", "theirs"]
    ) -> None:
        channel.closed.add(which)
        if len(channel.closed) == 2 and stream_id != HANDSHAKE:
            self._take(channel, channel.unread)
            del self._channels[stream_id]  # its number may be used again

    def _stop_writing(self, stream_id: int, channel: _Channel, found: list[StreamEvent]) -> None:
        if channel.writing in ("open", "finishing"):
            found.append(ReadingStopped(stream_id))
        self._drop_queue(channel)
        channel.writing = "over"

    # -- out --------------------------------------------------------------------------------------------------

    def has_commands(self) -> bool:
        """Whether `next_command` would give one."""
        return bool(self._control or self._ready)

    def next_command(self, now: float = 0.0) -> Command | None:
        """What is to be done next on the wire. The streams take turns, a message each."""
        if self._control:
            return self._control.popleft()
        while self._ready:
            stream_id = self._ready.popleft()
            channel = self._channels.get(stream_id)
            if channel is None or channel.held is not None:
                continue
            if channel.queue:
                message = Message(data=self._cut(channel))
            elif channel.writing == "finishing":
                channel.writing = "finished"
                channel.finished_at = now
                message = Message(Flag.FIN)
            else:
                continue
            if channel.queue or channel.writing == "finishing":
                self._ready.append(stream_id)
            return Send(stream_id, BINARY, self._encode(message))
        return None

    @staticmethod
    def _cut(channel: _Channel) -> bytes:
        """As much of the queue as fits into one message."""
        parts: list[memoryview] = []
        room = MAX_DATA
        while channel.queue and room:
            part = channel.queue[0][:room]
            if len(part) == len(channel.queue[0]):
                channel.queue.popleft()
            else:
                channel.queue[0] = channel.queue[0][room:]
            parts.append(part)
            room -= len(part)
        channel.queued -= MAX_DATA - room
        return b"".join(parts)

    def _encode(self, message: Message) -> bytes:
        if self.probe.trace.listeners:
            self.probe.emit("sent", message, self._sent)
        self._sent += 1
        return message.encode()

    def _send_flag(self, stream_id: int, channel: _Channel, flag: Flag) -> None:
        """A message that does not wait for its turn."""
        if not channel.closing:
            self._do(channel, Send(stream_id, BINARY, self._encode(Message(flag))))

    def _do(self, channel: _Channel, command: Command) -> None:
        """Do it before anything else, or once the channel may be used."""
        (self._control if channel.held is None else channel.held).append(command)

    def _make_ready(self, stream_id: int) -> None:
        if stream_id not in self._ready:
            self._ready.append(stream_id)

    def _drop_queue(self, channel: _Channel) -> None:
        channel.queue.clear()
        channel.queued = 0

    def _finish(self, stream_id: int, channel: _Channel) -> None:
        """Both halves are over."""
        self._drop_queue(channel)
        channel.writing = channel.reading = "over"
        self._close_if_over(stream_id, channel)

    def _close_if_over(self, stream_id: int, channel: _Channel) -> None:
        if channel.writing == "over" and channel.reading != "open" and not channel.closing:
            channel.closing = True  # nothing more is sent on it
            self._do(channel, CloseChannel(stream_id))

    def expire(self, now: float) -> None:
        """Give up waiting for FIN_ACKs: not everybody sends them."""
        patience = self._limits.webrtc_fin_ack_timeout
        for stream_id, channel in tuple(self._channels.items()):
            since = channel.finished_at
            if channel.writing == "finished" and since is not None and now - since >= patience:
                channel.writing = "over"
                self._close_if_over(stream_id, channel)

    # -- as a muxer: see `MuxerSession` -----------------------------------------------------------------------

    def can_open_stream(self) -> bool:
        """False while as many of ours are open as we would let the remote open."""
        ours = sum(1 for one in self._channels if one % 2 == self._parity)
        return ours < self._limits.webrtc_streams

    def open_stream(self) -> int:
        """As `MuxerSession.open_stream`."""
        if self._failed or self._going:
            raise ConnectionLost("the session is over")
        if not self.can_open_stream():
            raise LimitExceeded("webrtc_streams", self._limits.webrtc_streams + 1)
        stream_id = next(n for n in range(2 + self._parity, 65535, 2) if n not in self._channels)
        self._channels[stream_id] = _Channel()
        header = _OPEN.pack(_OPEN_TYPE, _RELIABLE, 0, 0, 0, 0)  # label and protocol are empty
        self._control.append(
            Send(stream_id, CONTROL, header)
        )  # nobody had this number, or it is free
        return stream_id

    def send(self, stream_id: int, data: Buffer) -> None:
        """As `MuxerSession.send`."""
        channel = self._channels.get(stream_id)
        if channel is None or channel.writing == "over":
            raise StreamReset(f"stream {stream_id} is gone")
        if channel.writing != "open":
            raise StreamClosed(f"stream {stream_id} is closed for writing")
        if data:
            channel.queue.append(memoryview(bytes(data)))
            channel.queued += len(data)
            self._make_ready(stream_id)

    def unsent(self, stream_id: int) -> int:
        """As `MuxerSession.unsent`."""
        channel = self._channels.get(stream_id)
        return 0 if channel is None else channel.queued

    def close_write(self, stream_id: int) -> None:
        """As `MuxerSession.close_write`."""
        channel = self._channels.get(stream_id)
        if channel is not None and channel.writing == "open":
            channel.writing = "finishing"
            self._make_ready(stream_id)

    def reset(self, stream_id: int) -> None:
        """As `MuxerSession.reset`."""
        channel = self._channels.get(stream_id)
        if channel is not None and not (channel.writing == "over" and channel.reading == "over"):
            self._send_flag(stream_id, channel, Flag.RESET_STREAM)
            self._finish(stream_id, channel)
            self._take(channel, channel.unread)

    def accept(self, stream_id: int) -> None:
        """As `MuxerSession.accept`. Open channels are counted, so there is nothing to do."""

    def stop_reading(self, stream_id: int) -> None:
        """As `MuxerSession.stop_reading`."""
        channel = self._channels.get(stream_id)
        if channel is not None:
            if channel.reading == "open":
                channel.reading = "stopped"
                self._send_flag(stream_id, channel, Flag.STOP_SENDING)
                self._close_if_over(stream_id, channel)
            self._take(channel, channel.unread)

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        """As `MuxerSession.consumed`."""
        channel = self._channels.get(stream_id)
        if channel is not None:
            self._take(channel, min(n, channel.unread))

    def forget(self, stream_id: int) -> None:
        """Nobody will ask about this stream any more; what it has unread counts as taken."""
        channel = self._channels.get(stream_id)
        if channel is not None:
            self._take(channel, channel.unread)

    def _take(self, channel: _Channel, n: int) -> None:
        channel.unread -= n
        self.unread -= n

    def hoarder(self) -> int | None:
        """The stream with the most unread bytes."""
        most = max(self._channels, key=lambda one: self._channels[one].unread)
        return most if self._channels[most].unread else None

    def close_handshake(self) -> None:
        """The handshake is done: its channel is closed, and not used again."""
        self._finish(HANDSHAKE, self._channels[HANDSHAKE])

    def is_idle(self) -> bool:
        """Whether nothing waits to be sent, and no FIN for its FIN_ACK."""
        return not self.has_commands() and not any(
            channel.writing in ("finishing", "finished") for channel in self._channels.values()
        )

    def go_away(self, code: int = 0) -> None:
        """As `MuxerSession.go_away`; WebRTC has no message for it."""
        self._going = True
