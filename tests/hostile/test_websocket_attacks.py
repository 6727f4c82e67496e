"""A WebSocket client that breaks the rules, at each step: the upgrade, the frames, the bytes in them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import Host
from libp2p_lab.errors import ConnectionLost, DialError, LabError, LimitExceeded, ProtocolViolation
from libp2p_lab.host.events import UpgradeFailed
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.transports import WebSocket
from tests.conformance.certificates import tls_contexts

ANY = "/ip4/127.0.0.1/tcp/0/ws"
NOBODY = PeerId.from_public_key(KeyPair.generate().public)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, body: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """A frame as a client sends it; the mask is zero, so that the body stays as it is."""
    head = bytes([0x80 * fin | opcode])
    if len(body) < 126:
        head += bytes([0x80 * masked | len(body)])
    else:
        head += bytes([0x80 * masked | 127]) + len(body).to_bytes(8, "big")
    return head + bytes(4) * masked + body


async def say(*pieces: bytes) -> bytes | LabError:
    """What the server's stream reads of these bytes to its end, or its error."""
    arrived: asyncio.Queue = asyncio.Queue()
    listener = await WebSocket().listen(Multiaddr(ANY), arrived.put_nowait)
    port = int(listener.addrs[0].value_of("tcp") or 0)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    stream = await arrived.get()
    try:
        async with asyncio.timeout(60):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            return await stream.read()
    except LabError as error:
        return error
    finally:
        writer.close()
        await stream.reset()
        await listener.close()


CLOSE = frame(8, (1000).to_bytes(2, "big"))


async def test_frames_in_pieces_are_one_stream() -> None:
    whole = frame(2, b"one ", fin=False) + frame(9, b"ping") + frame(0, b"two") + CLOSE
    assert await say(REQUEST, whole) == b"one two"
    assert await say(*(bytes([byte]) for byte in REQUEST + whole)) == b"one two"


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        (frame(1, b"text"), ProtocolViolation),
        (frame(2, b"x", masked=False), ProtocolViolation),
        (frame(3, b"x"), ProtocolViolation),
        (frame(0, b"a continuation of nothing"), ProtocolViolation),
        (frame(2, b"x", fin=False) + frame(2, b"y"), ProtocolViolation),
        (frame(9, bytes(126)), ProtocolViolation),
        (frame(9, b"", fin=False), ProtocolViolation),
        (frame(8, b"\x03"), ProtocolViolation),
        (frame(8, (1002).to_bytes(2, "big")), ConnectionLost),
        (b"\xf2\x80" + bytes(4), ProtocolViolation),
        (b"\x82\xff" + (1 << 62).to_bytes(8, "big") + bytes(4), LimitExceeded),
        (frame(2, b"cut short")[:-3], ConnectionLost),
        (b"", ConnectionLost),
    ],
)
async def test_a_broken_frame_is_a_typed_error(frames: bytes, kind: type[LabError]) -> None:
    assert isinstance(await say(REQUEST, frames), kind)
    # What came before it is not lost.
    assert isinstance(await say(REQUEST, frame(2, b"before") + frames), kind)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 3000,
        b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000,
        REQUEST.replace(b"13", b"12"),
        REQUEST[:-2],
        b"",
    ],
)
async def test_a_bad_request_is_a_typed_error(request_bytes: bytes) -> None:
    assert isinstance(await say(request_bytes), LabError)


@given(st.binary(max_size=300))
def test_any_bytes_behind_the_upgrade_end_in_bytes_or_a_typed_error(data: bytes) -> None:
    async def check() -> None:
        assert isinstance(await say(REQUEST, data), bytes | LabError)

    asyncio.run(check())


async def test_a_slow_loris_in_the_upgrade_is_cut_off_and_bounded() -> None:
    limits = Limits(handshake_timeout=0.5, max_pending_inbound_per_ip=8)
    failed = []
    async with Host(listen=[ANY], limits=limits) as host, Host() as honest:
        host.trace.listen(lambda e: failed.append(e) if isinstance(e.what, UpgradeFailed) else None)
        port = int(host.addrs[0].value_of("tcp") or 0)
        writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(20)]
        for writer in writers:
            writer.write(b"GET / HT")
        async with asyncio.timeout(60):
            while len(failed) < 20:
                await asyncio.sleep(0.01)
        await honest.connect(host.addrs[0])
        assert await honest.ping(host.peer_id) >= 0
        for writer in writers:
            writer.close()


async def test_wss_needs_the_name_that_was_dialed() -> None:
    server, client = tls_contexts()
    listening = WebSocket(server_tls=server)
    async with Host(listen=["/ip4/127.0.0.1/tcp/0/tls/ws"], transports=[listening]) as host:
        port = host.addrs[0].value_of("tcp")
        for name, trust in (("other.example", client), ("peer.example", None)):
            async with Host(transports=[WebSocket(client_tls=trust)]) as dialer:
                addr = f"/ip4/127.0.0.1/tcp/{port}/tls/sni/{name}/ws/p2p/{host.peer_id}"
                with pytest.raises(DialError, match="certificate verify failed"):
                    await dialer.connect(addr)
        async with Host(transports=[WebSocket(client_tls=client)]) as dialer:
            addr = f"/ip4/127.0.0.1/tcp/{port}/tls/sni/peer.example/ws/p2p/{host.peer_id}"
            await dialer.connect(addr)
            assert await dialer.ping(host.peer_id) >= 0


async def test_a_server_that_does_not_speak_websocket() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Host() as host:
        with pytest.raises(DialError, match="404"):
            await host.connect(f"/ip4/127.0.0.1/tcp/{port}/ws/p2p/{NOBODY}")
    server.close()
