"""Which function answers which protocol, and what happens around it.

A stream that a remote opens is negotiated, given to its handler, and closed when the handler returns. A handler that
raises costs its own stream and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from libp2p_lab.errors import LabError
from libp2p_lab.host.events import HandlerFailed, StreamEnded, StreamStarted
from libp2p_lab.host.resources import StreamClaim
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_stream import SMALL_WRITE, MuxedStream
from libp2p_lab.negotiation.negotiate import Negotiator, respond
from libp2p_lab.trace import Probe

Handler = Callable[[MuxedStream], Awaitable[None]]


class Handlers:
    """The handlers of one host.

    Args:
        limits: time of a negotiation.
        on_change: called when the list of protocols changes.
        negotiator: agrees on protocols in the place of ours; None for ours.
    """

    def __init__(
        self,
        limits: Limits,
        on_change: Callable[[], None],
        negotiator: Negotiator | None = None,
    ) -> None:
        self._limits = limits
        self._negotiator = negotiator
        self._on_change = on_change
        self._handlers: dict[str, Handler] = {}
        self._own_limits: dict[str, int | None] = {}

    @property
    def protocols(self) -> tuple[str, ...]:
        """What is answered, sorted."""
        return tuple(sorted(self._handlers))

    def set(self, protocol: str, handler: Handler, max_streams_per_peer: int | None = None) -> None:
        """Answer `protocol` by `handler`, in place of any other."""
        self._handlers[protocol] = handler
        self._own_limits[protocol] = max_streams_per_peer
        self._on_change()

    def remove(self, protocol: str) -> None:
        """Answer `protocol` no more; streams that run go on."""
        if self._handlers.pop(protocol, None) is not None:
            self._on_change()

    async def serve(self, stream: MuxedStream, claim: StreamClaim) -> None:
        """Supervise one inbound stream, from its negotiation to its end.

        It is counted until its handler is done: one that the remote opens and resets at once costs us as much as any.
        """
        try:
            await self._serve(stream, claim)
        finally:
            claim.close()

    async def _serve(self, stream: MuxedStream, claim: StreamClaim) -> None:
        try:
            protocol = await self._negotiate(stream, claim)
        except (LabError, OSError) as error:
            self._report_failure(stream, error)
            await stream.reset()
            return
        try:
            await self._handlers[protocol](stream)
            await stream.close()
        except (LabError, OSError) as error:
            self._report_failure(stream, error)
            await self._drop(stream)
        except Exception as error:  # noqa: BLE001 - one of the two supervisors: a bug in a handler costs its stream
            self._report_failure(stream, error)
            await self._drop(stream)
        except asyncio.CancelledError:
            await stream.reset()
            raise

    async def _negotiate(self, stream: MuxedStream, claim: StreamClaim) -> str:
        probe = stream.probe.on("negotiation")
        async with asyncio.timeout(self._limits.negotiation_timeout):
            if self._negotiator is not None:
                protocol = await self._negotiator.respond(stream, self.protocols)
            else:
                protocol = await respond(stream, self._handlers, self._limits, probe)
        claim.agree(protocol, self._own_limits[protocol])
        stream.connection.accept(stream.id)
        stream.protocol = protocol
        report_start(stream)
        return protocol

    async def _drop(self, stream: MuxedStream) -> None:
        """Reset a stream, but not before our consent to its protocol has left.

        So whoever opened it learns that the protocol is spoken here, and then that this stream failed.
        """
        if stream.is_open and stream.bytes_written <= SMALL_WRITE:
            with contextlib.suppress(LabError, TimeoutError):
                async with asyncio.timeout(self._limits.close_timeout):
                    await stream.flush()
        await stream.reset()

    def _report_failure(self, stream: MuxedStream, error: BaseException) -> None:
        probe = _host_probe(stream)
        if probe.trace.listeners:
            peer = str(stream.connection.remote_peer)
            text = f"{type(error).__name__}: {error}"
            probe.emit("event", HandlerFailed(peer, stream.protocol, text))


def report_start(stream: MuxedStream) -> None:
    """Tell the trace that a stream has its protocol."""
    probe = _host_probe(stream)
    if probe.trace.listeners:
        peer = str(stream.connection.remote_peer)
        probe.emit("event", StreamStarted(peer, stream.protocol, stream.direction))


def report_end(stream: MuxedStream, how: str) -> None:
    """Tell the trace that a stream is over."""
    probe = _host_probe(stream)
    if probe.trace.listeners:
        peer = str(stream.connection.remote_peer)
        ended = StreamEnded(peer, stream.protocol, how, stream.bytes_read, stream.bytes_written)
        probe.emit("event", ended)


def _host_probe(stream: MuxedStream) -> Probe:
    return stream.probe.on("host")
