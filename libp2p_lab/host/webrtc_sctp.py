"""SCTP for WebRTC: aiortc's association, spoken to as to a core. Packets in, messages and packets out.

SCTP does inside DTLS what TCP does for a stream: nothing is lost, nothing overtakes. But it carries messages, on many
channels, and closes each by a request of its own (RFC 6525).

Four things differ from what aiortc does by itself, and each reaches into it (tests guard all four):

- its data channels are left aside: `webrtc_streams.py` is ours. So nothing here is a task or an event of its own;
- the window that we tell the remote counts what the application has not read, or a slow reader's memory would grow
  without end;
- what we send respects the window that the remote tells us, and is never more at once than sockets hold;
- what no honest remote sends (a message without end, chunks by the thousand that fit nowhere, acknowledgements of what
  was never sent) ends the association.

aiortc's steps are coroutines. None of them waits for anything: what they send goes into a list. So each is run to its
end on the spot.

Spec: https://www.rfc-editor.org/rfc/rfc9260, https://www.rfc-editor.org/rfc/rfc8831
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, cast

from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport, tsn_minus_one
from aiortc.utils import uint32_gt

from libp2p_lab.errors import ProtocolViolation
from libp2p_lab.limits import Limits

PORT = 5000  # what everybody's WebRTC takes
CHUNKS_HELD = 4096  # pieces of messages that wait for others
CHANNELS_HELD = 1024  # channels with such pieces, or that nobody opened
CHUNKS_QUEUED = (
    64  # that wait for the congestion window; the rest waits in the streams, where it takes turns
)
SACK_DELAY = 0.02  # seconds; RFC 9260 allows ten times as much
_LOOK_EVERY = 256  # chunks
_UNREADABLE = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    struct.error,
)  # what aiortc raises for packets that it did not expect


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A whole message.

    Attributes:
        stream_id: its channel.
        protocol: what it is.
        data: its bytes.
    """

    stream_id: int
    protocol: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChannelReset:
    """The remote closed its direction of a channel: everything before that has arrived."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The remote knows that we closed our direction of a channel."""

    stream_id: int


SctpEvent = MessageArrived | ChannelReset | ChannelClosed


class _Below:
    """What aiortc takes for its DTLS."""

    state = "connected"

    def __init__(self, send: Callable[[bytes], None], *, is_client: bool) -> None:
        self._role = "client" if is_client else "server"
        self._send = send

    def _register_data_receiver(self, receiver: object) -> None:
        """Packets are handed to `SctpAssociation.receive`."""

    def _unregister_data_receiver(self, receiver: object) -> None:
        """See above."""

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class SctpAssociation(RTCSctpTransport):
    """An association, made while an event loop runs: its timers are on it.

    Args:
        send: takes each packet for the wire.
        is_client: whether we are the DTLS client.
        limits: how much may lie unread.
    """

    def __init__(self, send: Callable[[bytes], None], limits: Limits, *, is_client: bool) -> None:
        super().__init__(cast(RTCDtlsTransport, _Below(send, is_client=is_client)), PORT)
        self._local_partial_reliability = False
        self._window = self._advertised_rwnd = limits.webrtc_window
        self._told = limits.webrtc_window  # the remote, at last
        self._allowed = 0  # what the remote told us
        self._under_way = limits.webrtc_under_way
        self._unread = 0
        self._data_chunks = 0
        self._packets = 0  # that are not acknowledged
        self._delayed: asyncio.TimerHandle | None = None  # the acknowledgement of the last one
        self._found: list[SctpEvent] = []

    # -- the core ---------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Begin. Both sides do."""
        _run(self.start(RTCSctpCapabilities(maxMessageSize=0), PORT))

    @property
    def is_established(self) -> bool:
        """Whether messages can be sent."""
        return self._association_state is self.State.ESTABLISHED

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state == "closed"

    def receive(self, packet: bytes) -> list[SctpEvent]:
        """Take one packet.

        Raises: `ProtocolViolation`.
        """
        try:
            _run(self._handle_data(packet))
        except _UNREADABLE as error:
            raise ProtocolViolation(f"SCTP: {type(error).__name__}: {error}") from error
        found, self._found = self._found, []
        return found

    def send_message(self, stream_id: int, protocol: int, data: bytes) -> None:
        """Send a message on a channel."""
        _run(self._send(stream_id, protocol, data))

    def close_channel(self, stream_id: int) -> None:
        """Close our direction of a channel, behind all that was sent on it."""
        self._reconfig_queue.append(stream_id)
        _run(self._transmit_reconfig())

    @property
    def has_room(self) -> bool:
        """Whether more should be sent now."""
        return self.is_established and len(self._outbound_queue) < CHUNKS_QUEUED

    @property
    def is_idle(self) -> bool:
        """Whether all that was sent has arrived."""
        return not (self._outbound_queue or self._sent_queue)

    @property
    def is_full(self) -> bool:
        """Whether the remote may send no more until the application reads."""
        return self._advertised_rwnd <= 0

    def set_unread(self, n: int) -> None:
        """Say how much the application has not read: that much less may the remote send."""
        self._advertised_rwnd += self._unread - n
        self._unread = n
        if self._told < self._window // 2 <= self._advertised_rwnd and self.is_established:
            self._send_delayed_sack()

    def abort(self) -> None:
        """End it at once, and tell the remote."""
        _run(self.stop())
        if self._delayed is not None:
            self._delayed.cancel()

    # -- what aiortc calls ------------------------------------------------------------------------------------

    async def _receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        self._found.append(MessageArrived(stream_id, pp_id, data))

    async def _data_channel_flush(self) -> None:
        await self._transmit_reconfig()

    def _data_channel_reset(self, stream_id: int) -> None:
        self._data_channel_outbound_reset.discard(stream_id)
        self._data_channel_closed(stream_id)

    def _data_channel_closed(self, stream_id: int) -> None:
        self._found.append(ChannelClosed(stream_id))

    async def _reset_deferred_streams(self) -> None:
        request = self._reconfig_deferred
        await super()._reset_deferred_streams()
        if request is not None and self._reconfig_deferred is None:
            self._found.extend(map(ChannelReset, request.streams))

    async def _send_sack(self) -> None:
        """One for two packets while all is in order, as RFC 9260 has it (section 6.2)."""
        self._packets += 1
        if self._packets < 2 and not (self._sack_misordered or self._sack_duplicates):
            if self._delayed is None:
                loop = asyncio.get_running_loop()
                self._delayed = loop.call_later(SACK_DELAY, self._send_delayed_sack)
            return
        self._packets = 0
        if self._delayed is not None:
            self._delayed.cancel()
            self._delayed = None
        self._told = max(0, self._advertised_rwnd)
        await super()._send_sack()

    def _send_delayed_sack(self) -> None:
        self._packets = 2
        _run(self._send_sack())

    async def _receive_data_chunk(self, chunk: Any) -> None:
        """Room for what fills a gap is always there; for what is new, as long as the window is open."""
        assert self._last_received_tsn is not None
        newest = max(self._sack_misordered, key=self._distance, default=self._last_received_tsn)
        crowded = len(self._sack_misordered) >= CHUNKS_HELD
        if (self.is_full or crowded) and uint32_gt(chunk.tsn, newest):
            if self.is_full and not self._unread and not self._sack_misordered:
                raise ProtocolViolation("SCTP: a message that fills the whole window")
            self._sack_needed = True
            return
        await super()._receive_data_chunk(chunk)
        self._data_chunks += 1
        if self._data_chunks % _LOOK_EVERY == 0:
            held = sum(len(stream.reassembly) for stream in self._inbound_streams.values())
            if held > 2 * CHUNKS_HELD or len(self._inbound_streams) > CHANNELS_HELD:
                raise ProtocolViolation("SCTP: too many pieces that make no message")

    def _distance(self, tsn: int) -> int:
        assert self._last_received_tsn is not None
        return (tsn - self._last_received_tsn) % (1 << 32)

    async def _receive_sack_chunk(self, chunk: Any) -> None:
        outstanding = (tsn_minus_one(self._local_tsn) - chunk.cumulative_tsn) % (1 << 32)
        if outstanding >= 1 << 31:
            raise ProtocolViolation("SCTP: an acknowledgement of what was never sent")
        if not uint32_gt(self._last_sacked_tsn, chunk.cumulative_tsn):
            covered = sum(max(0, end - begin + 1) for begin, end in chunk.gaps)
            if covered > outstanding or any(end > outstanding for _, end in chunk.gaps):
                raise ProtocolViolation("SCTP: an acknowledgement of what was never sent")
            self._allowed = chunk.advertised_rwnd
        await super()._receive_sack_chunk(chunk)

    async def _receive_chunk(self, chunk: Any) -> None:
        before = self._association_state
        await super()._receive_chunk(chunk)
        if before is not self._association_state and self.is_established:
            self._allowed = int(self._ssthresh)  # what INIT or INIT ACK said

    async def _transmit(self) -> None:
        """As far as the remote's window goes; when it is closed, one chunk asks whether it still is."""
        if self.is_over:  # a timer that fired right before may still come here
            return
        congestion = self._cwnd
        self._cwnd = min(congestion, self._under_way, max(1, self._allowed))
        try:
            await super()._transmit()
        finally:
            self._cwnd = congestion


def _run(step: Coroutine[Any, Any, None]) -> None:
    """Run a step of aiortc's, which waits for nothing."""
    try:
        step.send(None)
    except StopIteration:
        return
    step.close()
    raise AssertionError("a step of aiortc's SCTP waits for something")
