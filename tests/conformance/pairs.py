"""Two connected ends of each kind of stream that the library has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeVar

from libp2p_lab.errors import LabError
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.own_streams import PeerTransport
from libp2p_lab.host.quic import QUIC
from libp2p_lab.host.webrtc_direct import WebRTCDirect
from libp2p_lab.host.webtransport import WebTransport
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.connection import ConnectionInfo
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import Muxer
from libp2p_lab.multiplexing.yamux import Yamux
from libp2p_lab.nat.circuit import CircuitStream, RelayClient
from libp2p_lab.nat.relay import Relay
from libp2p_lab.security.noise import Noise
from libp2p_lab.security.plaintext import Plaintext
from libp2p_lab.security.private_network import PrivateStream
from libp2p_lab.security.secure_channel import SecureChannel, SecureConnection
from libp2p_lab.security.tls import TLS
from libp2p_lab.trace import Probe
from libp2p_lab.transports.memory import Memory, MemoryNetwork, MemoryStream
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.transport import RawConnection, Transport
from libp2p_lab.transports.websocket import WebSocket
from libp2p_lab.wire.byte_stream import ByteStream
from tests.conformance.certificates import tls_contexts

S = TypeVar("S", bound=ByteStream)
Ends = tuple[S, S]
MakeEnds = Callable[[], AbstractAsyncContextManager[tuple[ByteStream, ByteStream]]]

KEYS = (KeyPair.generate(), KeyPair.generate())
PEERS = tuple(PeerId.from_public_key(key.public) for key in KEYS)


@asynccontextmanager
async def memory_pair() -> AsyncIterator[Ends[MemoryStream]]:
    """Dialer and listener in memory."""
    one, other = MemoryStream.pair(Multiaddr("/memory/1"), Multiaddr("/memory/2"))
    try:
        yield one, other
    finally:
        await one.reset()
        await other.reset()


@asynccontextmanager
async def transport_pair(transport: Transport, addr: str) -> AsyncIterator[Ends[RawConnection]]:
    """Dialer and listener of one connection of a transport."""
    arrived: asyncio.Queue[RawConnection] = asyncio.Queue()
    listener = await transport.listen(Multiaddr(addr), arrived.put_nowait)
    try:
        one = await transport.dial(listener.addrs[0])
        other = await arrived.get()
    finally:
        await listener.close()
    try:
        yield one, other
    finally:
        await one.reset()
        await other.reset()


def tcp_pair() -> AbstractAsyncContextManager[Ends[RawConnection]]:
    return transport_pair(TCP(), "/ip4/127.0.0.1/tcp/0")


def memory_transport_pair() -> AbstractAsyncContextManager[Ends[RawConnection]]:
    return transport_pair(Memory(MemoryNetwork()), "/memory/0")


def ws_pair() -> AbstractAsyncContextManager[Ends[RawConnection]]:
    return transport_pair(WebSocket(), "/ip4/127.0.0.1/tcp/0/ws")


def wss_pair() -> AbstractAsyncContextManager[Ends[RawConnection]]:
    return transport_pair(WebSocket(*tls_contexts()), "/ip4/127.0.0.1/tcp/0/tls/ws")


async def secure_both(
    raw: tuple[ByteStream, ByteStream],
    channels: tuple[SecureChannel, SecureChannel],
    muxers: tuple[str, ...] = ("/yamux/1.0.0",),
) -> Ends[SecureConnection]:
    """Run the handshake at both ends at once."""
    async with asyncio.TaskGroup() as tasks:
        ends = [
            tasks.create_task(
                channels[n].secure(
                    raw[n],
                    key=KEYS[n],
                    is_dialer=n == 0,
                    expected_peer=PEERS[1] if n == 0 else None,
                    muxers=muxers,
                    probe=Probe(layer="security"),
                )
            )
            for n in (0, 1)
        ]
    return ends[0].result(), ends[1].result()


@asynccontextmanager
async def secure_pair(
    make_raw: MakeEnds = memory_pair, make_channel: Callable[[], SecureChannel] = Noise
) -> AsyncIterator[Ends[SecureConnection]]:
    """A secure channel over any pair."""
    async with make_raw() as raw:
        yield await secure_both(raw, (make_channel(), make_channel()))


@asynccontextmanager
async def private_pair(make_raw: MakeEnds = memory_pair) -> AsyncIterator[Ends[PrivateStream]]:
    """Two members of a private network."""
    async with make_raw() as raw:
        yield PrivateStream(raw[0], bytes(32)), PrivateStream(raw[1], bytes(32))


class MuxedEnd:
    """A muxer at work on one end of a stream, and the streams that the other end opened."""

    def __init__(
        self,
        channel: ByteStream,
        muxer: Muxer,
        *,
        is_dialer: bool,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        probe = Probe(layer="host", link="1")
        self.arrived: asyncio.Queue[MuxedStream] = asyncio.Queue()
        self.ended: list[tuple[int, str]] = []
        self.error: BaseException | None = None
        self.session = muxer.session(is_dialer=is_dialer, limits=limits, probe=probe.on("muxer"))
        info = ConnectionInfo(
            id=1,
            remote_peer=PEERS[is_dialer],
            local_addr=Multiaddr("/memory/1"),
            remote_addr=Multiaddr("/memory/2"),
            direction="outbound" if is_dialer else "inbound",
            transport="memory",
            security="",
            muxer=muxer.protocol,
            limited=False,
            opened_at=0.0,
        )
        self.connection = MuxedConnection(
            channel,
            self.session,
            info,
            limits=limits,
            clock=clock or loop.time,
            probe=probe,
            on_stream=self.arrived.put_nowait,
            on_stream_end=lambda stream, how: self.ended.append((stream.id, how)),
        )
        self.running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.connection.run()
        except (LabError, OSError) as error:
            self.error = error

    async def accept(self) -> MuxedStream:
        """The next stream that the other end opened."""
        stream = await self.arrived.get()
        self.connection.accept(stream.id)
        return stream


@asynccontextmanager
async def muxed_connections(
    make_channel: MakeEnds = memory_pair,
    muxer: Muxer | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[tuple[MuxedEnd, MuxedEnd]]:
    """Both ends of a multiplexed connection."""
    muxer = muxer or Yamux()
    async with make_channel() as (one, other):
        ends = (
            MuxedEnd(one, muxer, is_dialer=True, limits=limits),
            MuxedEnd(other, muxer, is_dialer=False, limits=limits),
        )
        try:
            yield ends
        finally:
            await asyncio.gather(*(end.connection.close() for end in ends))
            await asyncio.gather(*(end.running for end in ends))


@asynccontextmanager
async def muxed_pair(
    make_channel: MakeEnds = memory_pair, muxer: Muxer | None = None, opener: int = 0
) -> AsyncIterator[Ends[MuxedStream]]:
    """Both ends of one stream; the side that opened it first."""
    async with muxed_connections(make_channel, muxer) as ends:
        ours = await ends[opener].connection.open_stream()
        await ours.write(b"\x00")  # a stream may show up at the other end only with its first bytes
        theirs = await ends[1 - opener].accept()
        assert await theirs.read_exactly(1) == b"\x00"
        yield ours, theirs


@asynccontextmanager
async def host_pair(
    addr: str, opener: int = 0, transport: Callable[[], PeerTransport] = QUIC
) -> AsyncIterator[Ends[MuxedStream]]:
    """Both ends of one stream between two whole hosts."""
    arrived: asyncio.Queue[MuxedStream] = asyncio.Queue()
    done = asyncio.Event()

    async def keep(stream: MuxedStream) -> None:
        arrived.put_nowait(stream)
        await done.wait()

    async with (
        Host(listen=[addr], transports=[transport()], services=[]) as listener,
        Host(transports=[transport()], services=[]) as dialer,
    ):
        await dialer.connect(listener.addrs[0])
        while not listener.connections:
            await asyncio.sleep(0.001)
        ends = (dialer, listener)
        ends[1 - opener].set_handler("/keep", keep)
        ours = await ends[opener].open_stream(ends[1 - opener].peer_id, ["/keep"])
        theirs = await arrived.get()
        try:
            yield ours, theirs
        finally:
            done.set()
            await ours.reset()
            await theirs.reset()


@asynccontextmanager
async def circuit_pair(called_first: bool = False) -> AsyncIterator[Ends[CircuitStream]]:
    """Both ends of a circuit through a relay without limits."""
    arrived: asyncio.Queue[CircuitStream] = asyncio.Queue()
    unlimited = Limits(relay_data=0, relay_duration=0)
    transports = [Memory(MemoryNetwork())]
    async with (
        Host(
            listen=["/memory/0"],
            transports=transports,
            services=[Identify(), Relay()],
            limits=unlimited,
        ) as relay,
        Host(transports=transports, services=[Identify(), RelayClient()]) as called,
        Host(transports=transports, services=[Identify(), RelayClient()]) as caller,
    ):
        await called.relay_client.reserve(relay.addrs[0])
        called.relay_client.listeners[relay.peer_id].on_connection = arrived.put_nowait
        ours = await caller.relay_client.dial(relay.addrs[0], called.peer_id)
        theirs = await arrived.get()
        try:
            yield (theirs, ours) if called_first else (ours, theirs)
        finally:
            await ours.reset()
            await theirs.reset()


WEBTRANSPORT = "/ip4/127.0.0.1/udp/0/quic-v1/webtransport"
WEBRTC = "/ip4/127.0.0.1/udp/0/webrtc-direct"

#: Every kind by name.
PAIRS: dict[str, MakeEnds] = {
    "memory": memory_pair,
    "tcp": tcp_pair,
    "websocket": ws_pair,
    "websocket over tls": wss_pair,
    "noise over memory": secure_pair,
    "noise over tcp": partial(secure_pair, tcp_pair),
    "tls over memory": partial(secure_pair, make_channel=TLS),
    "tls over tcp": partial(secure_pair, tcp_pair, TLS),
    "plaintext over memory": partial(secure_pair, make_channel=Plaintext),
    "private network over memory": private_pair,
    "private network over tcp": partial(private_pair, tcp_pair),
    "yamux over memory": muxed_pair,
    "yamux from the listener": partial(muxed_pair, opener=1),
    "yamux over noise over tcp": partial(muxed_pair, partial(secure_pair, tcp_pair)),
    "quic": partial(host_pair, "/ip4/127.0.0.1/udp/0/quic-v1"),
    "quic over ip6": partial(host_pair, "/ip6/::1/udp/0/quic-v1"),
    "quic from the listener": partial(host_pair, "/ip4/127.0.0.1/udp/0/quic-v1", opener=1),
    "webtransport": partial(host_pair, WEBTRANSPORT, transport=WebTransport),
    "webtransport from the listener": partial(
        host_pair, WEBTRANSPORT, opener=1, transport=WebTransport
    ),
    "webrtc": partial(host_pair, WEBRTC, transport=WebRTCDirect),
    "webrtc over ip6": partial(host_pair, "/ip6/::1/udp/0/webrtc-direct", transport=WebRTCDirect),
    "webrtc from the listener": partial(host_pair, WEBRTC, opener=1, transport=WebRTCDirect),
    "circuit": circuit_pair,
    "circuit from the called": partial(circuit_pair, called_first=True),
    "yamux over noise over websocket": partial(muxed_pair, partial(secure_pair, ws_pair)),
}
