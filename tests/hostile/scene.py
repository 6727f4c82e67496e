"""The scene of an attack: a host, an honest peer whose echo must not falter, and a scripted peer at the wire.

async with scene() as stage:
    attacker = await stage.muxed()
    await attacker.send(header(FrameType.PING, 1, 0, 0))
    assert await attacker.go_away() == 1
    await stage.refused("ProtocolViolation")
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from libp2p_lab import Host
from libp2p_lab.errors import LabError
from libp2p_lab.host import Echo, Identify, Ping
from libp2p_lab.host.events import ConnectionClosed, HandlerFailed, UpgradeFailed
from libp2p_lab.host.service import Service
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.multiplexing.yamux_frames import HEADER, HEADER_LENGTH, FrameType, decode_header
from libp2p_lab.negotiation import propose
from libp2p_lab.negotiation.multistream import Line
from libp2p_lab.security import Noise
from libp2p_lab.security.secure_channel import SecureChannel
from libp2p_lab.trace import Probe
from libp2p_lab.transports import TCP
from libp2p_lab.wire.byte_stream import ByteStream

MIB = 1 << 20
LOOPBACK = "/ip4/127.0.0.1/tcp/0"
PATIENCE = 60.0  # seconds until a test gives up waiting
HELLO = Line("/multistream/1.0.0").encode()


def header(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """Twelve bytes of yamux, right or wrong."""
    return HEADER.pack(0, kind, flags, stream_id, length)


def line(text: str) -> bytes:
    return Line(text).encode()


class Attacker:
    """A peer that speaks up to the muxer properly, and then says what it likes.

    Attributes:
        stream: what the frames travel on.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.frames: list[tuple[FrameType, int, int, int]] = []  # as received, without bodies
        self.bodies: dict[int, bytes] = {}
        self._buffer = b""

    async def send(self, *frames: bytes) -> None:
        """Write; that the victim hangs up on us meanwhile is what we are here for."""
        with contextlib.suppress(LabError, OSError):
            async with asyncio.timeout(PATIENCE):
                await self.stream.write(b"".join(frames))

    async def receive(self) -> bool:
        """Take what comes next; False at the end."""
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self.stream.read(1 << 16)
        except (LabError, OSError):
            return False
        self._buffer += data
        while len(self._buffer) >= HEADER_LENGTH:
            kind, flags, stream_id, length = decode_header(self._buffer)
            end = HEADER_LENGTH + (length if kind is FrameType.DATA else 0)
            if len(self._buffer) < end:
                break
            body = self._buffer[HEADER_LENGTH:end]
            self.bodies[stream_id] = self.bodies.get(stream_id, b"") + body
            self.frames.append((kind, flags, stream_id, length))
            self._buffer = self._buffer[end:]
        return bool(data)

    async def until_closed(self) -> None:
        """Drain, until the victim hangs up."""
        async with asyncio.timeout(PATIENCE):
            while await self.receive():
                pass

    async def go_away(self) -> int:
        """The code with which the victim ends the session."""
        await self.until_closed()
        codes = [length for kind, _, _, length in self.frames if kind is FrameType.GO_AWAY]
        assert len(codes) == 1, f"go-aways: {codes}"
        return codes[0]


class Bystander:
    """Echoes with the victim without a pause; its exit looks whether that went well all the time."""

    def __init__(self, host: Host, peer: PeerId) -> None:
        self.rounds = 0
        self._host, self._peer = host, peer
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        stream = await self._host.open_stream(self._peer, "/echo/1.0.0")
        while True:
            data = self.rounds.to_bytes(8, "big") * 64
            async with asyncio.timeout(PATIENCE):
                await stream.write(data)
                assert await stream.read_exactly(len(data)) == data
            self.rounds += 1
            await asyncio.sleep(0.001)

    async def goes_on(self) -> None:
        """It still works, and by new rounds."""
        before = self.rounds
        async with asyncio.timeout(PATIENCE):
            while self.rounds < before + 3:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class Stage:
    """What a test of an attack works with.

    Attributes:
        host: the victim.
        bystander: the honest peer.
        key: the attacker's identity.
        events: what the victim told of itself.
    """

    def __init__(self, host: Host, bystander: Bystander) -> None:
        self.host = host
        self.bystander = bystander
        self.key = KeyPair.generate()
        self.events: list[object] = []
        self._raw: list[ByteStream] = []
        self.stop = host.trace.listen(
            lambda entry: self.events.append(entry.what) if entry.layer == "host" else None
        )

    @property
    def peer(self) -> PeerId:
        """Who the attacker says it is."""
        return PeerId.from_public_key(self.key.public)

    async def raw(self) -> ByteStream:
        """A connection on which nothing has been said."""
        stream = await TCP().dial(self.host.addrs[0])
        self._raw.append(stream)
        return stream

    async def secured(
        self, security: SecureChannel | None = None, muxer: str = "/yamux/1.0.0"
    ) -> ByteStream:
        """Past the handshake."""
        security = security or Noise()
        raw = await self.raw()
        await propose(raw, [security.protocol])
        return await security.secure(
            raw,
            key=self.key,
            is_dialer=True,
            expected_peer=None,
            muxers=[muxer],
            probe=Probe(),
        )

    async def muxed(self) -> Attacker:
        """Ready for frames of yamux."""
        return Attacker(await self.secured())

    def reasons(self) -> list[str]:
        """Why connections ended, never began, or handlers failed."""
        found = []
        for event in self.events:
            match event:
                case UpgradeFailed(cause=reason) | ConnectionClosed(reason=reason):
                    found.append(reason)
                case HandlerFailed(error=reason):
                    found.append(reason)
                case _:
                    pass
        return found

    async def refused(self, *texts: str) -> str:
        """Wait until the victim tells of an end in whose reason all of `texts` stand."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for reason in self.reasons():
                    assert not reason.startswith("bug"), reason
                    if all(text in reason for text in texts):
                        return reason
                await asyncio.sleep(0.005)

    async def alone(self) -> None:
        """Wait until the victim has no connection but the honest one."""
        async with asyncio.timeout(PATIENCE):
            while len(self.host.connections) > 1:
                await asyncio.sleep(0.005)

    async def hang_up(self) -> None:
        for stream in self._raw:
            await stream.reset()
        self._raw.clear()


@asynccontextmanager
async def scene(
    limits: Limits | None = None,
    services: Sequence[Service] | None = None,
    muxers: Sequence[Muxer] | None = None,
) -> AsyncIterator[Stage]:
    """A victim, an honest peer at its echo, and room for an attacker."""
    if services is None:
        services = (Echo(), Identify(), Ping())
    async with (
        Host(listen=[LOOPBACK], limits=limits, services=services, muxers=muxers) as host,
        Host(transports=[TCP()]) as friend,
    ):
        await friend.connect(host.addrs[0])
        bystander = Bystander(friend, host.peer_id)
        stage = Stage(host, bystander)
        try:
            await bystander.goes_on()
            yield stage
            await bystander.goes_on()
        finally:
            stage.stop()
            await stage.hang_up()
            await bystander.stop()
    assert not host.connections


@contextmanager
def bounded_memory(most: int = 4 * MIB) -> Iterator[None]:
    """The heap never grows by more than `most` bytes within."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < most, f"{(peak - before) / MIB:.1f} MiB taken, {most / MIB:.1f} allowed"
