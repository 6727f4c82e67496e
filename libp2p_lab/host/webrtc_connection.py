"""A WebRTC connection to a proven peer, as the layers above see it: the streams, their windows, the end.

What carries them is `webrtc_link.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

from libp2p_lab.errors import ConnectionLost
from libp2p_lab.host.webrtc_streams import ReadingStopped, StreamEvent
from libp2p_lab.multiplexing.connection import ConnectionInfo
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import MuxerSession
from libp2p_lab.wire.byte_stream import Buffer, ByteStream

if TYPE_CHECKING:
    from libp2p_lab.host.webrtc_link import WebRtcLink


class WebRtcConnection(MuxedConnection):
    """A WebRTC connection to a proven peer.

    Args:
        link: the protocols at work.
        info: the facts.
    """

    def __init__(self, link: WebRtcLink, info: ConnectionInfo) -> None:
        parts = link.parts
        super().__init__(
            # There is no byte stream below, and the session is no muxer's: whatever uses them is replaced here.
            cast(ByteStream, None),
            cast(MuxerSession, link.streams),
            info,
            limits=parts.limits,
            clock=parts.clock,
            probe=parts.probe.on("host", str(info.id)),
            on_stream=parts.on_stream,
            on_stream_end=parts.on_stream_end,
        )
        self._link = link
        self._over = asyncio.Event()
        self._full_since: float | None = None
        self.is_running = False  # until then the host has no place for streams
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
            error = self._link.error
            if error is not None:
                reason = str(error)
                raise error
        finally:
            self._link.end()
            self._end(ConnectionLost(f"connection to {self.remote_peer} is gone: {reason}"))

    def take(self, event: StreamEvent) -> None:
        """An event of a stream."""
        if isinstance(event, ReadingStopped):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.stop_writing()
        else:
            self._handle(event)

    def after_transmit(self) -> None:
        """Something came or went: there may be room for a writer, or a stream to open."""
        self._changed.notify()
        if self.blocked:
            room = self.limits.write_buffer // 2
            streams = self._link.streams
            for stream in [one for one in self.blocked if streams.unsent(one.id) <= room]:
                self.blocked.discard(stream)
                stream.wake_writer()

    def over(self) -> None:
        """The link has ended."""
        self._over.set()
        self._changed.notify()

    def _look_for_silence(self) -> None:
        """A timer. The link looks for silence; here one stream is looked for that holds up all others.

        All have one window. Where nothing fits into it any more, and nobody reads, nothing goes on at all.
        """
        patience = self.limits.webrtc_stalled_timeout
        now = self._clock()
        if not self._link.sctp.is_full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        elif now - self._full_since >= patience:
            self._full_since = None
            hoarder = self._link.streams.hoarder()
            stream = self.streams.get(hoarder) if hoarder is not None else None
            if hoarder is not None:
                self._link.streams.reset(hoarder)
            if stream is not None:
                stream.fail("reset", "unread for too long while others wait")
            self._link.transmit_soon()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(patience / 4, self._look_for_silence)

    async def close(self) -> None:
        """As `MuxedConnection.close`: what was written arrives first, within the limit."""
        link = self._link
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.close_timeout):
                link.transmit_soon()
                while not self._over.is_set() and not (
                    link.streams.is_idle() and link.sctp.is_idle
                ):
                    await self._changed.wait()
        link.end()
        while self.is_open:
            await self._changed.wait()

    async def refuse(self, reason: str) -> None:
        """As `MuxedConnection.refuse`."""
        self._ended = ConnectionLost(f"refused: {reason}")
        self._link.end()

    # -- for the application ----------------------------------------------------------------------------------

    async def open_stream(self) -> MuxedStream:
        """As `MuxedConnection.open_stream`."""
        stream = await super().open_stream()
        self._link.transmit_soon()
        return stream

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
        """As `MuxedConnection.give_credit`. The remote is told when half of the window is free."""
        self._session.consumed(stream_id, n, 0.0)
        self._link.sctp.set_unread(self._link.streams.unread)

    def end_reading(self, stream_id: int) -> None:
        """As `MuxedConnection.end_reading`."""
        self._session.stop_reading(stream_id)
        self._link.transmit_soon()

    def forget(self, stream: MuxedStream, how: str) -> None:
        """As `MuxedConnection.forget`."""
        super().forget(stream, how)
        self._link.streams.forget(stream.id)
        self._link.transmit_soon()

    def _wake_if_needed(self) -> None:
        self._link.transmit_soon()
