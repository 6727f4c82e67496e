"""Ping, `/ipfs/ping/1.0.0`: 32 bytes there, the same 32 bytes back, as often as one likes on one stream.

Spec: ping/ping.md#protocol
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from libp2p_lab.errors import ConnectionLost, ProtocolViolation
from libp2p_lab.multiplexing.muxed_stream import MuxedStream

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef

PROTOCOL_ID = "/ipfs/ping/1.0.0"
LENGTH = 32  # bytes


class Ping:
    """Answers pings, and sends them.

    Args:
        payload: gives the bytes to send; None for the operating system's random ones.
    """

    def __init__(self, payload: Callable[[int], bytes] | None = None) -> None:
        self._payload = payload if payload is not None else os.urandom
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.set_handler(
            PROTOCOL_ID, self._answer, max_streams_per_peer=host.limits.ping_streams_per_peer
        )

    async def close(self) -> None:
        """As `Service.close`."""

    async def _answer(self, stream: MuxedStream) -> None:
        probe = stream.probe.on("ping")
        clock = asyncio.get_running_loop().time
        async with asyncio.timeout(None) as patience:
            for number in itertools.count():
                patience.reschedule(clock() + self._host.limits.ping_idle_timeout)
                payload = await stream.read(LENGTH)
                if not payload:
                    return
                if len(payload) < LENGTH:
                    payload += await stream.read_exactly(LENGTH - len(payload))
                if probe.trace.listeners:
                    probe.emit("received", payload, number)
                    probe.emit("sent", payload, number)
                await stream.write(payload)

    async def ping(self, peer: PeerRef) -> float:
        """One round trip to `peer`, in seconds, on a fresh stream.

        Raises: `ProtocolViolation` if other bytes come back; `ConnectionLost` if nothing does within the limit.
        """
        stream = await self._host.open_stream(peer, PROTOCOL_ID, allow_limited=True)
        try:
            return await self.round_trip(stream)
        finally:
            await stream.close()

    async def round_trip(self, stream: MuxedStream) -> float:
        """One round trip on a ping stream that stays open for more."""
        payload = self._payload(LENGTH)
        probe, number = stream.probe.on("ping"), stream.bytes_written // LENGTH
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._host.limits.ping_timeout):
                if probe.trace.listeners:
                    probe.emit("sent", payload, number)
                sent_at = clock()
                await stream.write(payload)
                echoed = await stream.read_exactly(LENGTH)
        except TimeoutError:
            await stream.reset()
            raise ConnectionLost(f"no pong within {self._host.limits.ping_timeout:g} s") from None
        if probe.trace.listeners:
            probe.emit("received", echoed, number)
        if echoed != payload:
            await stream.reset()
            raise ProtocolViolation("the pong holds other bytes than the ping")
        return clock() - sent_at
