"""Perf, `/perf/1.0.0`: how many bytes a second. The client sends, half-closes, and is sent what it asked for.

    client  →  | bytes wanted: 8, big-endian | as many bytes as it likes | half close
    server  →  | the bytes wanted |

Spec: perf/perf.md#protocol
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.errors import ProtocolViolation
from libp2p_lab.multiplexing.muxed_stream import MuxedStream

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef

PROTOCOL_ID = "/perf/1.0.0"
_PIECE = bytes(64 * 1024)


@dataclass(frozen=True, slots=True)
class PerfRequest:
    """What stands before the client's bytes.

    Attributes:
        wanted: how many bytes the server shall send, 0 to 2^64-1.
    """

    wanted: int

    def encode(self) -> bytes:
        """Eight bytes, big-endian."""
        return self.wanted.to_bytes(8, "big")

    @classmethod
    def decode(cls, data: bytes) -> PerfRequest:
        """Read eight bytes."""
        return cls(int.from_bytes(data, "big"))


@dataclass(frozen=True, slots=True)
class PerfResult:
    """What a run measured.

    Attributes:
        uploaded: bytes sent.
        upload_time: seconds until the server had read them all and began to answer, or ended.
        downloaded: bytes received.
        download_time: seconds from then to the end.
    """

    uploaded: int
    upload_time: float
    downloaded: int
    download_time: float


class Perf:
    """Serves measurements, and makes them."""

    def __init__(self) -> None:
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.set_handler(PROTOCOL_ID, self._serve)

    async def close(self) -> None:
        """As `Service.close`."""

    async def _serve(self, stream: MuxedStream) -> None:
        request = PerfRequest.decode(await stream.read_exactly(8))
        probe = stream.probe.on("perf")
        if probe.trace.listeners:
            probe.emit("received", request)
        wanted = request.wanted
        chunk = b" "
        while chunk:
            async with asyncio.timeout(self._host.limits.perf_idle_timeout):
                chunk = await stream.read(len(_PIECE))
        while wanted:
            piece = _PIECE[:wanted] if wanted < len(_PIECE) else _PIECE
            async with asyncio.timeout(self._host.limits.perf_idle_timeout):
                await stream.write(piece)
            wanted -= len(piece)

    async def measure(self, peer: PeerRef, *, upload: int = 0, download: int = 0) -> PerfResult:
        """Send `upload` bytes to `peer`, then have it send `download` bytes.

        Raises: `ProtocolViolation` if another number of bytes comes back.
        """
        clock = asyncio.get_running_loop().time
        stream = await self._host.open_stream(peer, PROTOCOL_ID)
        probe = stream.probe.on("perf")
        try:
            started_at = clock()
            request = PerfRequest(download)
            if probe.trace.listeners:
                probe.emit("sent", request)
            await stream.write(request.encode())
            for start in range(0, upload, len(_PIECE)):
                await stream.write(_PIECE[: min(len(_PIECE), upload - start)])
            await stream.close_write()
            received = len(await stream.read(len(_PIECE)))
            turned_at = clock()
            if received:
                while chunk := await stream.read(len(_PIECE)):
                    received += len(chunk)
            ended_at = clock()
        finally:
            await stream.close()
        if received != download:
            raise ProtocolViolation(f"asked for {download} bytes, received {received}")
        result = PerfResult(upload, turned_at - started_at, received, ended_at - turned_at)
        if probe.trace.listeners:
            probe.emit("event", result)
        return result
