"""Yardsticks: what asyncio and the cryptography reach by themselves, with nothing of ours between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from bench.timing import Stopwatch

PIECE = 64 * 1024
MESSAGE = bytes(32)

A = TypeVar("A", bound=asyncio.BaseProtocol)
B = TypeVar("B", bound=asyncio.BaseProtocol)


class Sink(asyncio.BufferedProtocol):
    """Counts what arrives."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray(256 * 1024))
        self.transport: asyncio.Transport
        self.wanted = 0
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.wanted -= nbytes
        if self.wanted <= 0:
            self.done.set()


class Source(asyncio.Protocol):
    """Writes as fast as the socket takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def write(self, piece: bytes) -> None:
        self.transport.write(piece)
        await self._room.wait()


class Mirror(asyncio.Protocol):
    """Sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Caller(asyncio.Protocol):
    """Hands each answer to whoever waits for it."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.answer.set_result(data)

    async def call(self, message: bytes) -> bytes:
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        return await self.answer


@asynccontextmanager
async def _connected(
    make_client: Callable[[], A], make_server: Callable[[], B]
) -> AsyncIterator[tuple[A, B]]:
    accepted: asyncio.Future[B] = asyncio.get_running_loop().create_future()

    def accept() -> B:
        protocol = make_server()
        accepted.set_result(protocol)
        return protocol

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, "127.0.0.1", 0)
    transport, client = await loop.create_connection(make_client, *server.sockets[0].getsockname())
    try:
        yield client, await accepted
    finally:
        transport.close()
        server.close()
        await asyncio.sleep(0)


async def tcp_throughput(size: int) -> float:
    """Bytes a second over TCP on loopback, both ends in this process."""
    piece = bytes(PIECE)
    async with _connected(Source, Sink) as (source, sink):
        sink.wanted = size
        with Stopwatch() as watch:
            for _ in range(size // PIECE):
                await source.write(piece)
            await sink.done.wait()
        sink.transport.close()
    return size / watch.seconds


async def tcp_round_trip(count: int) -> float:
    """Seconds for one small message there and back, both ends in this process."""
    async with _connected(Caller, Mirror) as (caller, mirror):
        with Stopwatch() as watch:
            for _ in range(count):
                await caller.call(MESSAGE)
        mirror.transport.close()
    return watch.seconds / count


async def seal_throughput(size: int) -> float:
    """Bytes a second through ChaCha20-Poly1305, encrypting."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    aead, piece, nonce = ChaCha20Poly1305(bytes(32)), bytes(PIECE), bytes(12)
    target = bytearray(PIECE + 16)
    with Stopwatch() as watch:
        for _ in range(size // PIECE):
            aead.encrypt_into(nonce, piece, None, target)
    return size / watch.seconds


async def open_throughput(size: int) -> float:
    """Bytes a second through ChaCha20-Poly1305, decrypting."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    aead, nonce = ChaCha20Poly1305(bytes(32)), bytes(12)
    sealed = aead.encrypt(nonce, bytes(PIECE), None)
    with Stopwatch() as watch:
        for _ in range(size // PIECE):
            aead.decrypt(nonce, sealed, None)
    return size / watch.seconds


async def aes_throughput(size: int, encrypt: bool) -> float:
    """Bytes a second through AES-256-GCM, one way, in records of 16 KiB as TLS has them."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    record = 16 * 1024
    aead, piece, nonce = AESGCM(bytes(32)), bytes(record), bytes(12)
    sealed = aead.encrypt(nonce, piece, None)
    with Stopwatch() as watch:
        for _ in range(size // record):
            if encrypt:
                aead.encrypt(nonce, piece, None)
            else:
                aead.decrypt(nonce, sealed, None)
    return size / watch.seconds


async def handshake_rate(count: int) -> float:
    """Noise handshakes a second if nothing but the public-key cryptography of both sides took time.

    Each side makes one ephemeral key, computes three shared secrets and checks one signature. The signature over the
    static key is made once and not counted.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    identity = Ed25519PrivateKey.generate()
    signature, public = identity.sign(b"static key"), identity.public_key()
    with Stopwatch() as watch:
        for _ in range(2 * count):
            ephemeral = X25519PrivateKey.generate()
            other = ephemeral.public_key()
            for _ in range(3):
                ephemeral.exchange(other)
            public.verify(signature, b"static key")
    return count / watch.seconds
