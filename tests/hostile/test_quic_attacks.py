"""QUIC peers that break the rules: certificates, garbage, half-open floods, resets without end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from libp2p_lab import Host
from libp2p_lab.errors import DialError, HandshakeFailed, StreamReset
from libp2p_lab.host import Echo, Identify, Ping
from libp2p_lab.host.events import UpgradeFailed
from libp2p_lab.identity import KeyPair
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing import MuxedConnection
from libp2p_lab.security import tls_certificate
from tests.hostile.scene import bounded_memory

ANY = "/ip4/127.0.0.1/udp/0/quic-v1"


def services() -> list:
    return [Identify(), Ping(), Echo()]


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


def wrong_certificates() -> dict:
    """Ways to make a certificate that must be refused."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    make = tls_certificate.make_certificate

    def without_extension(key, now):
        private = ec.generate_private_key(ec.SECP256R1())
        proper = make(key, now, private).certificate
        bare = (
            x509.CertificateBuilder()
            .subject_name(proper.subject)
            .issuer_name(proper.issuer)
            .serial_number(1)
            .not_valid_before(proper.not_valid_before_utc)
            .not_valid_after(proper.not_valid_after_utc)
            .public_key(private.public_key())
            .sign(private, hashes.SHA256())
        )
        return tls_certificate.OwnCertificate(bare, private)

    def expired(key, now):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tls_certificate, "VALIDITY", timedelta(seconds=-60))
            return make(key, now)

    return {
        "expired": expired,
        "not yet valid": lambda key, now: make(key, now + 10 * 86400.0),
        "without the extension": without_extension,
    }


@pytest.mark.parametrize("kind", wrong_certificates())
@pytest.mark.parametrize("bad_side", ["dialer", "listener"])
async def test_s15_a_wrong_certificate_is_refused(monkeypatch, kind: str, bad_side: str) -> None:
    wrong, make = wrong_certificates()[kind], tls_certificate.make_certificate
    bad_key, good_key = KeyPair.generate(), KeyPair.generate()

    def choose(key, now):
        return wrong(key, now) if key is bad_key else make(key, now)

    monkeypatch.setattr(tls_certificate, "make_certificate", choose)
    keys = (good_key, bad_key) if bad_side == "dialer" else (bad_key, good_key)
    failed = []
    async with Host(key=keys[0], listen=[ANY], services=services()) as listener:
        listener.trace.listen(
            lambda e: failed.append(e.what) if isinstance(e.what, UpgradeFailed) else None
        )
        async with Host(key=keys[1], services=services()) as dialer:
            if bad_side == "listener":
                with pytest.raises(DialError) as caught:
                    await dialer.connect(listener.addrs[0])
                [(_, cause)] = caught.value.attempts
                assert isinstance(cause, HandshakeFailed)
            else:
                connection = await dialer.connect(listener.addrs[0])
                await until(lambda: not connection.is_open)
                await until(lambda: failed)
                assert "HandshakeFailed" in failed[0].cause
            assert not listener.connections
        async with Host(services=services()) as honest:
            if bad_side == "dialer":
                await honest.connect(listener.addrs[0])
                assert await honest.ping(listener.peer_id) >= 0


async def test_a_client_without_a_certificate_is_refused() -> None:
    import ssl

    from aioquic.asyncio import connect
    from aioquic.quic.configuration import QuicConfiguration

    failed = []
    async with Host(listen=[ANY], services=services()) as host:
        host.trace.listen(
            lambda e: failed.append(e.what) if isinstance(e.what, UpgradeFailed) else None
        )
        port = int(host.addrs[0].value_of("udp") or 0)
        settings = QuicConfiguration(
            is_client=True, alpn_protocols=["libp2p"], verify_mode=ssl.CERT_NONE
        )
        async with connect("127.0.0.1", port, configuration=settings) as client:
            await client.wait_closed()
        await until(lambda: failed)
        assert "0 certificates" in failed[0].cause
        assert not host.connections


async def test_datagrams_of_garbage_cost_nothing() -> None:
    async with Host(listen=[ANY], services=services()) as host, Host() as honest:
        await honest.connect(host.addrs[0])
        port = int(host.addrs[0].value_of("udp") or 0)
        with bounded_memory(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(2000):
                garbage = os.urandom(number % 1400)
                if number % 4 == 0:  # looks like the first datagram of a connection
                    garbage = b"\xc0\x00\x00\x00\x01\x08" + os.urandom(1300)
                sock.sendto(garbage, ("127.0.0.1", port))
                if number % 50 == 0:
                    await asyncio.sleep(0)
            assert await honest.ping(host.peer_id) >= 0
        assert len(host.connections) == 1


async def test_s10_half_open_handshakes_are_bounded_and_dropped() -> None:
    """Proper first datagrams, and then silence: tokens are asked for before long, and all of it is forgotten."""
    from libp2p_lab.host.quic import _configure
    from libp2p_lab.host.quic_session import QuicSession

    limits = Limits(handshake_timeout=1.0, quic_retry_above=4, max_pending_inbound_per_ip=8)
    async with Host(listen=[ANY], services=services(), limits=limits) as host:
        [endpoint] = host._swarm._listeners
        client, _ = _configure(host._swarm._parts)
        port = int(host.addrs[0].value_of("udp") or 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            most = 0
            for _ in range(100):
                session = QuicSession(client, limits)
                session.connect(("127.0.0.1", port), time.monotonic())
                for data, _ in session.datagrams_to_send(time.monotonic()):
                    sock.sendto(data, ("127.0.0.1", port))
                await asyncio.sleep(0)
                most = max(most, len(endpoint._pending))
            assert 0 < most <= 4
        async with Host(services=services()) as honest:
            await honest.connect(host.addrs[0])
            assert await honest.ping(host.peer_id) >= 0
        await until(lambda: not endpoint._pending)
        await until(lambda: not endpoint.links)


async def test_rapid_reset_leaves_nothing() -> None:
    """Streams that are opened and dropped at once, a thousand of them: an honest peer's echo goes on."""
    async with (
        Host(listen=[ANY], services=services()) as host,
        Host(services=services()) as attacker,
        Host(services=services()) as honest,
    ):
        await honest.connect(host.addrs[0])
        connection = await attacker.connect(host.addrs[0])
        with bounded_memory():
            for _ in range(1000):
                stream = await connection.open_stream()
                await stream.write(b"\x13/multistream/1.0.0\n")
                await stream.reset()
                if not stream.id % 64:
                    assert await honest.ping(host.peer_id) >= 0
        assert await honest.ping(host.peer_id) >= 0
        await until(
            lambda: not [s for c in host.connections_to(attacker.peer_id) for s in c.streams]
        )


async def test_a_writer_hears_that_nobody_reads() -> None:
    """STOP_SENDING: what we write is refused, what we read is not."""
    gone = asyncio.Event()

    async def deaf(stream) -> None:
        stream.connection.end_reading(stream.id)
        await gone.wait()

    async with Host(listen=[ANY], services=services()) as host, Host() as other:
        host.set_handler("/deaf", deaf)
        await other.connect(host.addrs[0])
        stream = await other.open_stream(host.peer_id, ["/deaf"])
        with pytest.raises(StreamReset):
            for _ in range(10_000):
                await stream.write(bytes(1000))
                await asyncio.sleep(0.001)
        gone.set()
        assert await stream.read() == b""


# -- S1, S5 and S59: what the muxers' own attacks are on QUIC ----------------------------------------


@asynccontextmanager
async def attack(limits: Limits | None = None) -> AsyncIterator[tuple[Host, Host, MuxedConnection]]:
    """A victim, an honest peer that pings it at the end, and the attacker's connection."""
    async with (
        Host(listen=[ANY], services=services(), limits=limits) as host,
        Host(services=services()) as attacker,
        Host(services=services()) as honest,
    ):
        await honest.connect(host.addrs[0])
        connection = await attacker.connect(host.addrs[0])
        await attacker.identify_result(host.peer_id)
        yield host, honest, connection
        assert await honest.ping(host.peer_id) >= 0


def inbound(host: Host, connection: MuxedConnection) -> int:
    """How many of the attacker's streams are open at the victim."""
    [theirs] = [c for c in host.connections if c.remote_addr == connection.local_addr]
    return sum(stream.direction == "inbound" for stream in theirs.streams.values())


async def test_s1_streams_past_the_limit_end_the_connection() -> None:
    """Up to the limit they wait; one that was not allowed is an error by QUIC's own rules."""
    async with attack() as (host, _, connection):
        quic = connection._link.session._quic
        limit = quic._remote_max_streams_bidi
        assert limit <= Limits().quic_streams + 64
        with bounded_memory():
            quic._remote_max_streams_bidi = 1 << 40
            for n in range(300):
                stream_id = connection._quic.open_stream()
                connection.queue(stream_id, b"\x13")
                if not n % 50:
                    await asyncio.sleep(0)
            await until(lambda: not connection.is_open)
        assert len(host.connections) == 1
        assert "too many streams" in str(connection.loss()).lower()


async def test_s1_streams_that_nobody_accepts_stay_within_the_limit() -> None:
    async with attack() as (host, _, connection):
        opened = []
        while connection._quic.can_open_stream():
            opened.append(await connection.open_stream())
            await opened[-1].write(b"\x13")
        assert len(opened) <= Limits().quic_streams
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connection.open_stream()  # one that keeps the rules has to wait
        assert inbound(host, connection) <= Limits().quic_streams
        for stream in opened:
            await stream.reset()


async def test_s5_a_byte_past_the_window_ends_the_connection() -> None:
    asleep = asyncio.Event()

    async def sleep(stream) -> None:
        await asleep.wait()

    async with attack(Limits(quic_stream_window=64 * 1024)) as (host, _, connection):
        host.set_handler("/sleep", sleep)
        attacker_stream = await connection.open_stream()
        await attacker_stream.write(b"\x13/multistream/1.0.0\n\x07/sleep\n")
        quic = connection._link.session._quic
        quic._streams[attacker_stream.id].max_stream_data_remote = 1 << 40
        with bounded_memory():
            for _ in range(5):
                connection.queue(attacker_stream.id, bytes(64 * 1024))
                await asyncio.sleep(0)
            await until(lambda: not connection.is_open)
        assert "stream data" in str(connection.loss()).lower()
        assert len(host.connections) == 1
        asleep.set()


async def test_s59_a_reader_that_does_not_read_makes_our_writes_wait() -> None:
    written = 0

    async def flood(stream) -> None:
        nonlocal written
        for _ in range(2000):
            await stream.write(bytes(64 * 1024))
            written += 1

    async with attack() as (host, honest, connection):
        host.set_handler("/flood", flood)
        with bounded_memory(8 << 20):  # both ends' buffers
            stream = await connection.open_stream()
            await stream.write(b"\x13/multistream/1.0.0\n\x07/flood\n")
            before, still = -1, 0
            while still < 20:
                still = still + 1 if written == before and written else 0
                before = written
                await asyncio.sleep(0.01)
            assert written < 2000
            assert await honest.ping(host.peer_id) >= 0
        await stream.reset()
