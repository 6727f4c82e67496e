"""One stream over what else than Noise on TCP: QUIC, TLS with yamux, WebSocket. Both ends in one process.

Beside each stands what the library below reaches with nothing of ours around it: aioquic; TCP with OpenSSL's
AES-256-GCM, one after the other; `websockets`, alone and with the cipher that our stack has on top.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import libp2p_lab as lab
from bench import raw
from bench.others import others
from bench.report import Row
from bench.throughput import MEGABYTE, SINK
from bench.timing import Stopwatch, medians
from libp2p_lab.multiplexing import MuxedStream
from libp2p_lab.transports import WebSocket
from libp2p_lab.transports.transport import RawConnection

MIB = 1024 * 1024
WS_ADDR = "/ip4/127.0.0.1/tcp/0/ws"
Sample = Callable[[], Awaitable[float]]


async def measure(quick: bool, alone: bool) -> list[Row]:
    times = 1 if quick else 5
    small, large = (2 * MIB, 8 * MIB) if quick else (16 * MIB, 128 * MIB)
    rows = []
    async with sink("/ip4/127.0.0.1/udp/0/quic-v1", small, transports=lab.QUIC) as ours:
        rate, aioquic = await medians(times, ours, partial(aioquic_alone, small))
    them = await others("quic_throughput", max(1, small // MIB // 8), 2, alone=alone)
    rows.append(row("QUIC, one stream", rate, aioquic, "aioquic alone", them.py))

    async with sink("/ip4/127.0.0.1/tcp/0", large, security=lab.TLS) as ours:
        rate, tcp, seal, open_ = await medians(
            times,
            ours,
            partial(raw.tcp_throughput, large),
            partial(raw.aes_throughput, large, True),
            partial(raw.aes_throughput, large, False),
        )
    limit = 1 / (1 / tcp + 1 / seal + 1 / open_)
    rows.append(row("TLS and yamux, one stream", rate, limit, "TCP, AES-GCM twice"))

    async with sink(WS_ADDR, small, transports=lab.WebSocket) as ours:
        whole, bare, websockets, seal, open_ = await medians(
            times,
            ours,
            partial(websocket_alone, small),
            partial(websockets_alone, small),
            partial(raw.seal_throughput, small),
            partial(raw.open_throughput, small),
        )
    limit = 1 / (1 / websockets + 1 / seal + 1 / open_)
    rows.append(row("WebSocket, nothing on it", bare, websockets, "websockets alone"))
    rows.append(row("WebSocket, Noise, yamux", whole, limit, "websockets, encrypt, decrypt"))
    return rows


def row(what: str, rate: float, limit: float, limit_is: str, py: float | None = None) -> Row:
    return Row(what, "MB/s", rate / MEGABYTE, True, limit / MEGABYTE, limit_is, py=py)


@asynccontextmanager
async def sink(
    addr: str,
    size: int,
    transports: type[lab.QUIC] | type[lab.WebSocket] | type[lab.TCP] = lab.TCP,
    security: type[lab.Noise] | type[lab.TLS] = lab.Noise,
) -> AsyncIterator[Sample]:
    """Two hosts of such a stack: bytes a second of one stream between them."""
    arrived = asyncio.Event()

    async def take(stream: MuxedStream) -> None:
        while await stream.read(raw.PIECE):
            pass
        arrived.set()

    async with (
        lab.Host(listen=[addr], transports=[transports()], security=[security()]) as alice,
        lab.Host(transports=[transports()], security=[security()]) as bob,
    ):
        alice.set_handler(SINK, take)
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)

        async def sample() -> float:
            arrived.clear()
            piece = bytes(raw.PIECE)
            stream = await bob.open_stream(alice.peer_id, SINK)
            with Stopwatch() as watch:
                for _ in range(size // raw.PIECE):
                    await stream.write(piece)
                await stream.close_write()
                await arrived.wait()
            await stream.close()
            return size / watch.seconds

        yield sample


async def aioquic_alone(size: int) -> float:
    """Bytes a second of one stream between two ends of aioquic, with the windows that we give it."""
    import ssl
    import time

    from aioquic.asyncio import connect, serve
    from aioquic.quic.configuration import QuicConfiguration

    from libp2p_lab.host.quic import DATAGRAM
    from libp2p_lab.limits import DEFAULT_LIMITS
    from libp2p_lab.security.tls_certificate import make_certificate

    own = make_certificate(lab.KeyPair.generate(), time.time())
    server_settings, client_settings = (
        QuicConfiguration(
            alpn_protocols=["bench"],
            is_client=is_client,
            certificate=own.certificate,
            private_key=own.private_key,
            verify_mode=ssl.CERT_NONE,
            max_data=DEFAULT_LIMITS.quic_connection_window,
            max_stream_data=DEFAULT_LIMITS.quic_stream_window,
            max_datagram_size=DATAGRAM,
        )
        for is_client in (False, True)
    )
    arrived = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader) -> None:
        while await reader.read(raw.PIECE):
            pass
        arrived.set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(take(reader)))

    server = await serve("127.0.0.1", 0, configuration=server_settings, stream_handler=accept)
    port = server._transport.get_extra_info("sockname")[1]  # type: ignore[union-attr]
    piece = bytes(raw.PIECE)
    async with connect("127.0.0.1", port, configuration=client_settings) as client:
        _, writer = await client.create_stream()
        with Stopwatch() as watch:
            for _ in range(size // raw.PIECE):
                writer.write(piece)
            writer.write_eof()
            await arrived.wait()
    server.close()
    await asyncio.gather(*tasks)
    return size / watch.seconds


async def websocket_alone(size: int) -> float:
    """Bytes a second over our WebSocket transport, with no security and no muxer on it."""
    arrived: asyncio.Queue[RawConnection] = asyncio.Queue()
    transport = WebSocket()
    listener = await transport.listen(lab.Multiaddr(WS_ADDR), arrived.put_nowait)
    one = await transport.dial(listener.addrs[0])
    other = await arrived.get()
    piece = bytes(raw.PIECE)

    async def take() -> None:
        left = size
        while left:
            left -= len(await other.read(raw.PIECE))

    with Stopwatch() as watch:
        taking = asyncio.create_task(take())
        for _ in range(size // raw.PIECE):
            await one.write(piece)
        await taking
    await one.reset()
    await other.reset()
    await listener.close()
    return size / watch.seconds


async def websockets_alone(size: int) -> float:
    """Bytes a second in binary messages of 64 KiB between the library's own client and server."""
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve

    arrived = asyncio.Event()

    async def take(connection: ServerConnection) -> None:
        left = size
        while left:
            left -= len(await connection.recv())
        arrived.set()

    async with serve(take, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as client:
            piece = bytes(raw.PIECE)
            with Stopwatch() as watch:
                for _ in range(size // raw.PIECE):
                    await client.send(piece)
                await arrived.wait()
    return size / watch.seconds
