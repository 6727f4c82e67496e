"""Runs a muxer on a byte stream: one task reads, one task writes, and each stream is a `ByteStream` again.

Two rules keep it from standing still, and both were learned the hard way:

- The reader never waits for a write. What it has to answer (pongs, window updates, resets) it queues; the writer sends
  it. If readers flushed their own answers, two peers that push at each other would both wait for the other to read.
- There is one writer. Streams queue into the session and wait only while their own queue is long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import assert_never

from libp2p_lab.errors import (
    ConnectionLost,
    LabError,
    ProtocolViolation,
)
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.connection import ConnectionInfo, StreamDirection
from libp2p_lab.multiplexing.memory import GrowsWindows, MemoryAccount, ReceiveMemory
from libp2p_lab.multiplexing.muxed_stream import READ_SIZE, MuxedStream
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    Flow,
    GoAwayReceived,
    MuxerEvent,
    MuxerSession,
    PongReceived,
    ResetReceived,
    SessionFailed,
    ShowsFlow,
    StreamAccepted,
    StreamOpened,
    WindowOpened,
    WriteClosed,
)
from libp2p_lab.trace import Probe
from libp2p_lab.transports.signal import Signal
from libp2p_lab.wire.byte_stream import (
    Buffer,
    ByteStream,
)

EVENTS_AT_ONCE = (
    128  # handled before others have their turn: thousands of streams may open and end in one read
)


class MuxedConnection:
    """A muxer at work on a secure stream: a `Connection`.

    Args:
        channel: the secure stream below.
        session: the muxer's core.
        info: the facts about this connection.
        limits: buffers and time limits.
        clock: gives seconds.
        probe: of the connection; streams get their own from it.
        on_stream: called with each stream that the remote opens; it must return at once.
        on_stream_end: called with each stream that is over, and how it ended.

    Attributes:
        info: the facts about this connection; the most used have properties of their own.
        streams: open streams by id.
        memory: what the streams hold unread, counted.
        rtt: the last measured round trip in seconds, None before the first.
    """

    def __init__(
        self,
        channel: ByteStream,
        session: MuxerSession,
        info: ConnectionInfo,
        *,
        limits: Limits,
        clock: Callable[[], float],
        probe: Probe,
        on_stream: Callable[[MuxedStream], None],
        on_stream_end: Callable[[MuxedStream, str], None],
    ) -> None:
        self.info = info
        self.limits = limits
        self.probe = probe
        self.streams: dict[int, MuxedStream] = {}
        self.blocked: set[MuxedStream] = set()  # writers that wait for room
        self.memory = ReceiveMemory(limits)
        self.rtt: float | None = None
        self._channel = channel
        self._session = session
        self._clock = clock
        self._on_stream = on_stream
        self._on_stream_end = on_stream_end
        self._wake = Signal()  # there is something to write
        self._changed = Signal()  # a stream was acknowledged, all was sent, or the connection ended
        self.writer_waits = False  # nobody sends now, and nobody is about to
        self._heard_at = clock()
        self._pinged = False  # ever; mplex has no pings, and its silence means nothing
        self._silent = False  # for longer than the limits allow
        self._timer: asyncio.TimerHandle
        self.is_ending = False  # a goodbye was said: what runs goes on, nothing new begins
        self._ended: ConnectionLost | None = None

    @property
    def id(self) -> int:
        """This host's number for the connection."""
        return self.info.id

    @property
    def remote_peer(self) -> PeerId:
        """The proven peer."""
        return self.info.remote_peer

    @property
    def remote_addr(self) -> Multiaddr:
        """The other end, as we see it."""
        return self.info.remote_addr

    @property
    def local_addr(self) -> Multiaddr:
        """Our end."""
        return self.info.local_addr

    @property
    def direction(self) -> StreamDirection:
        """ "outbound" if we dialed."""
        return self.info.direction

    @property
    def transport(self) -> str:
        """The transport's name."""
        return self.info.transport

    @property
    def security(self) -> str:
        """The security protocol's id."""
        return self.info.security

    @property
    def muxer(self) -> str:
        """The muxer's id."""
        return self.info.muxer

    @property
    def limited(self) -> bool:
        """Whether it runs over a relay that limits time or bytes."""
        return self.info.limited

    @property
    def relayed(self) -> bool:
        """Whether it runs over a relay, which may limit it or not."""
        return "p2p-circuit" in self.info.remote_addr.names

    @property
    def is_open(self) -> bool:
        """Whether streams can be used."""
        return self._ended is None

    def flow(self, stream_id: int) -> Flow | None:
        """Where a stream's flow control stands; None if its muxer does not show it."""
        return self._session.flow(stream_id) if isinstance(self._session, ShowsFlow) else None

    def use_account(self, account: MemoryAccount) -> None:
        """Let `account` count the memory of this connection, and refuse what is too much."""
        self.memory.open(account)
        if isinstance(self._session, GrowsWindows):
            self._session.memory = self.memory

    # -- life -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read and write until the connection ends. Whoever owns the connection runs this as a task.

        It returns after a clean end by either side.

        Raises: `RemoteError` or `LimitExceeded` if the remote broke a rule; `ConnectionLost`.
        """
        reason = "closed"
        self._look_for_silence()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write_loop())
                await self._read_loop()
                writer.cancel()
            async with asyncio.timeout(self.limits.close_timeout):
                await self._channel.close()
        except* (LabError, TimeoutError) as group:
            error = group.exceptions[0]
            reason = str(error)
            raise error from None
        finally:
            self._end(ConnectionLost(f"connection to {self.remote_peer} is gone: {reason}"))
            await self._channel.reset()

    async def _read_loop(self) -> None:
        session, channel, clock = self._session, self._channel, self._clock
        while data := await channel.read(READ_SIZE):
            now = self._heard_at = clock()
            for number, event in enumerate(session.receive_data(data, now), 1):
                if isinstance(event, SessionFailed):
                    await self._send_everything()
                    # Politely, for a reset would overtake the go-away that says why.
                    with contextlib.suppress(TimeoutError, LabError):
                        async with asyncio.timeout(self.limits.close_timeout):
                            await self._channel.close()
                    raise event.error
                self._handle(event)
                if not number % EVENTS_AT_ONCE:
                    await asyncio.sleep(0)
            self._wake_if_needed()

    async def _write_loop(self) -> None:
        session, channel = self._session, self._channel
        while True:
            data = session.data_to_send()
            if data:
                await channel.write(data)
                self._after_write()
                continue
            self.writer_waits = True
            self._changed.notify()
            await self._wake.wait()
            self.writer_waits = False
            if self._silent:
                raise ConnectionLost("the remote does not answer pings any more")

    def _after_write(self) -> None:
        session = self._session
        if not session.has_data_to_send():
            self._changed.notify()
        elif self.writer_waits:
            self._wake_writer()
        if self.blocked:
            room = self.limits.write_buffer // 2
            for stream in [one for one in self.blocked if session.unsent(one.id) <= room]:
                self.blocked.discard(stream)
                stream.wake_writer()

    def _look_for_silence(self) -> None:
        """A timer: ping a silent remote, and give it up when even that is not answered."""
        limits = self.limits
        silence = self._clock() - self._heard_at
        if self._pinged and silence >= limits.keepalive_interval + limits.keepalive_timeout:
            self._silent = True
            self._wake.notify()
            return
        if silence >= limits.keepalive_interval:
            self._pinged = self._session.ping(self._clock())
            self._wake_if_needed()
            delay = limits.keepalive_timeout
        else:
            delay = limits.keepalive_interval - silence
        self._timer = asyncio.get_running_loop().call_later(delay, self._look_for_silence)

    async def _send_everything(self) -> None:
        """Wait until the writer has sent all that is queued, within the time limit."""
        if self.writer_waits and self._session.has_data_to_send():
            await self._flush()
        if self._has_unsent():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.limits.close_timeout):
                    while self._has_unsent():
                        await self._changed.wait()

    def _has_unsent(self) -> bool:
        return self.is_open and (self._session.has_data_to_send() or not self.writer_waits)

    def _handle(self, event: MuxerEvent) -> None:
        match event:
            case DataReceived(stream_id, data):
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.feed(data)
            case WindowOpened() | SessionFailed():
                pass  # the writer is woken after each batch of events; the reader raises
            case StreamOpened(stream_id):
                stream = MuxedStream(self, stream_id, "inbound")
                self.streams[stream_id] = stream
                self._on_stream(stream)
            case StreamAccepted():
                self._changed.notify()
            case WriteClosed(stream_id):
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.end()
            case ResetReceived(stream_id):
                stream = self.streams.get(stream_id)
                if stream is not None:
                    stream.fail("reset", "reset by peer")
            case PongReceived(rtt):
                self.rtt = rtt
            case GoAwayReceived(code):
                if code:
                    raise ProtocolViolation(f"the remote ends the session with code {code}")
                self.is_ending = True
            case _:
                assert_never(event)

    def _end(self, loss: ConnectionLost) -> None:
        self._ended = loss
        self._timer.cancel()
        for stream in tuple(self.streams.values()):
            stream.fail("lost", "lost")
        self.memory.close()
        self._changed.notify()

    def loss(self) -> ConnectionLost:
        """Why nothing works any more, as a fresh error to raise."""
        return ConnectionLost(str(self._ended))

    async def close(self) -> None:
        """Say goodbye, send what is queued, and close. Cut off what takes longer than the limits allow."""
        self.is_ending = True
        self._session.go_away()
        with contextlib.suppress(TimeoutError, LabError):
            await self._send_everything()
            if self.is_open:
                async with asyncio.timeout(self.limits.close_timeout):
                    await self._channel.close_write()
                    while self.is_open:
                        await self._changed.wait()
        await self._channel.reset()
        while self.is_open:
            await self._changed.wait()

    async def refuse(self, reason: str) -> None:
        """Drop a connection that `run` was never called for."""
        self._ended = ConnectionLost(f"refused: {reason}")
        await self._channel.reset()

    # -- for the application ----------------------------------------------------------------------------------

    async def open_stream(self) -> MuxedStream:
        """A fresh stream, its protocol not yet negotiated. Waits while the remote's backlog is full.

        Raises: `ConnectionLost`. The caller sets the time limit.
        """
        while not self._session.can_open_stream():
            if not self.is_open:
                raise self.loss()
            await self._changed.wait()
        if not self.is_open:
            raise self.loss()
        stream = MuxedStream(self, self._session.open_stream(), "outbound")
        self.streams[stream.id] = stream
        return stream

    # -- streams call these -----------------------------------------------------------------------------------

    def queue(self, stream_id: int, data: Buffer) -> None:
        """Queue data of a stream. It leaves when the writer has its turn, with all that is queued until then."""
        self._session.send(stream_id, data)
        if self.writer_waits:
            self._wake_writer()

    async def send_now(self, stream_id: int, data: Buffer) -> None:
        """Send data of a stream, and what else is queued: the caller takes the writer's place.

        That spares a change of tasks. Only streams call this, and only while the writer waits.
        """
        self._session.send(stream_id, data)
        await self._flush()

    async def _flush(self) -> None:
        self.writer_waits = False
        try:
            await self._channel.write(self._session.data_to_send())
        finally:
            self.writer_waits = True
            self._after_write()

    def unsent(self, stream_id: int) -> int:
        """How many bytes of a stream are queued."""
        return self._session.unsent(stream_id)

    def is_full(self, stream_id: int) -> bool:
        """Whether too much of a stream is queued."""
        return self._session.unsent(stream_id) > self.limits.write_buffer

    def give_credit(self, stream_id: int, n: int) -> None:
        """The application took `n` bytes of a stream."""
        self._session.consumed(stream_id, n, self._clock())
        self._wake_if_needed()

    def accept(self, stream_id: int) -> None:
        """A handler took charge of an inbound stream."""
        self._session.accept(stream_id)

    def end_writing(self, stream_id: int) -> None:
        """A stream will write no more."""
        self._session.close_write(stream_id)
        self._wake_if_needed()

    def end_reading(self, stream_id: int) -> None:
        """A stream will read no more."""
        self._session.stop_reading(stream_id)

    def reset_stream(self, stream_id: int) -> None:
        """A stream is dropped by us."""
        self._session.reset(stream_id)
        self._wake_if_needed()

    def forget(self, stream: MuxedStream, how: str) -> None:
        """A stream is over."""
        self.streams.pop(stream.id, None)
        self.blocked.discard(stream)
        self._on_stream_end(stream, how)

    def _wake_if_needed(self) -> None:
        if self.writer_waits and self._session.has_data_to_send():
            self._wake_writer()

    def _wake_writer(self) -> None:
        """It will send at its next turn: until then nobody takes its place, and so more leaves at once."""
        self.writer_waits = False
        self._wake.notify()
