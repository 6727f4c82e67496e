"""What a hostile peer may try with TLS: S11, S13, S14 and S15 of the list, and silence at every step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from libp2p_lab import TLS, DialError, Host
from libp2p_lab.errors import HandshakeFailed, LabError, PeerIdMismatch
from libp2p_lab.host.events import ConnectionOpened
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags
from libp2p_lab.negotiation import propose, respond
from libp2p_lab.transports import TCP
from libp2p_lab.wire.byte_stream import ByteStream
from tests.hostile.scene import LOOPBACK, PATIENCE, Stage, bounded_memory, scene
from tests.security.certificates import DAY, UNKNOWN, certificate, signed_key

MALLORY, ALICE = KeyPair.generate(), KeyPair.generate()
KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
GOOD = signed_key(MALLORY, KEY)
UNKNOWN_EXTENSION = x509.UnrecognizedExtension(UNKNOWN, b"anything")
#: What an attacker would say to a muxer, if only he were let in.
EARLY = DataFrame(1, Flags.SYN, b"let me in").encode()


@dataclass(frozen=True)
class Papers:
    """What the attacker shows.

    Attributes:
        chain: his certificates in DER; the first is for `KEY`.
        reason: part of the error that they must meet.
        version: of TLS.
    """

    chain: tuple[bytes, ...]
    reason: str
    version: int = SSL.TLS1_3_VERSION

    def context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_max_proto_version(self.version)
        context.set_alpn_protos([b"/yamux/1.0.0"])
        if self.chain:
            first, *others = (x509.load_der_x509_certificate(der) for der in self.chain)
            context.use_certificate(first)
            context.use_privatekey(KEY)
            for other in others:
                context.add_extra_chain_cert(other)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        return context


CA = certificate(OTHER_KEY, None, others=((x509.BasicConstraints(True, None), True),))
SIGNED_BY_CA = certificate(KEY, GOOD, signer=OTHER_KEY)
ALONE = certificate(KEY, GOOD)

PAPERS = {
    "chain of two, signed by the second": Papers((SIGNED_BY_CA, CA), "HandshakeFailed"),
    "chain of two, the same twice": Papers((ALONE, ALONE), "2 certificates"),
    "chain of two, a stranger": Papers((ALONE, CA), "2 certificates"),
    "expired": Papers((certificate(KEY, GOOD, starts=-2 * DAY, ends=-DAY),), "expired"),
    "not yet valid": Papers((certificate(KEY, GOOD, starts=DAY, ends=2 * DAY),), "not yet"),
    "unknown critical extension": Papers(
        (certificate(KEY, GOOD, others=((UNKNOWN_EXTENSION, True),)),), UNKNOWN.dotted_string
    ),
    "no extension": Papers((certificate(KEY, None),), "no libp2p extension"),
    "garbage in the extension": Papers((certificate(KEY, b"\x30\x03\x04\x01\xff"),), "two octet"),
    "extension signed over another key": Papers(
        (certificate(KEY, signed_key(MALLORY, OTHER_KEY)),), "did not sign"
    ),
    "extension signed by another identity": Papers(
        (certificate(KEY, signed_key(ALICE, KEY, signer=MALLORY)),), "did not sign"
    ),
    "extension signed without the prefix": Papers(
        (certificate(KEY, signed_key(MALLORY, KEY, prefix=b"")),), "did not sign"
    ),
    "own signature wrong": Papers((certificate(KEY, GOOD, signer=OTHER_KEY),), "own signature"),
    "TLS 1.2": Papers((ALONE,), "protocol", SSL.TLS1_2_VERSION),
}
WITHOUT = Papers((), "did not return a certificate")


async def shake_hands(
    connection: SSL.Connection, raw: ByteStream, behind: bytes = b""
) -> str | None:
    """The attacker's side of a handshake, and what he sends right behind it.

    Returns: why it failed, as OpenSSL tells him; None if he thinks that he is in.
    """
    reason: str | None = None
    with contextlib.suppress(LabError, OSError):
        while True:
            try:
                connection.do_handshake()
                if behind:
                    connection.send(behind)
                break
            except SSL.WantReadError:
                await flush(connection, raw)
                data = await raw.read(1 << 16)
                if not data:
                    return "hung up"
                connection.bio_write(data)
            except SSL.Error as error:
                reason = str(error)
                break
        await flush(connection, raw)
    return reason


async def flush(connection: SSL.Connection, raw: ByteStream) -> None:
    with contextlib.suppress(SSL.WantReadError):
        while True:
            await raw.write(connection.bio_read(1 << 16))


async def dial_with(stage: Stage, papers: Papers) -> str | None:
    raw = await stage.raw()
    await propose(raw, ["/tls/1.0.0"])
    connection = SSL.Connection(papers.context())
    connection.set_connect_state()
    reason = await shake_hands(connection, raw, EARLY)
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(LabError, OSError):
            while data := await raw.read(1 << 16):
                connection.bio_write(data)
        try:
            connection.recv(100)
        except SSL.Error as error:
            reason = reason or str(error)
    return reason


@pytest.mark.parametrize("papers", [*PAPERS.values(), WITHOUT], ids=[*PAPERS, "no certificate"])
async def test_s14_s15_a_dialer_with_bad_papers_is_refused(papers) -> None:
    """With an error of ours, not one of OpenSSL's; nothing that he sends behind the handshake is looked at."""
    async with scene() as stage:
        with bounded_memory():
            await dial_with(stage, papers)
            await stage.refused("HandshakeFailed", papers.reason)
        opened = [event.peer for event in stage.events if isinstance(event, ConnectionOpened)]
        assert not {str(PeerId.from_public_key(key.public)) for key in (MALLORY, ALICE)} & set(
            opened
        )
        await stage.alone()


async def test_good_papers_are_let_in() -> None:
    """So that the tests above do not pass because nobody is."""
    async with scene() as stage:
        raw = await stage.raw()
        await propose(raw, ["/tls/1.0.0"])
        connection = SSL.Connection(Papers((ALONE,), "").context())
        connection.set_connect_state()
        assert await shake_hands(connection, raw) is None
        async with asyncio.timeout(PATIENCE):
            while len(stage.host.connections) < 2:
                await asyncio.sleep(0.005)
        assert PeerId.from_public_key(MALLORY.public) in stage.host.peers


async def test_a_refused_dialer_is_told_why() -> None:
    async with scene() as stage:
        assert "alert" in str(await dial_with(stage, PAPERS["expired"]))


@asynccontextmanager
async def impostor(serve: Callable[[ByteStream], object]) -> AsyncIterator[Multiaddr]:
    """A listener that does as it likes."""
    serving: list[asyncio.Task[object]] = []

    async def run(raw: ByteStream) -> None:
        with contextlib.suppress(LabError, OSError, SSL.Error):
            await serve(raw)  # type: ignore[misc]
        await raw.reset()

    listener = await TCP().listen(
        Multiaddr(LOOPBACK), lambda raw: serving.append(asyncio.create_task(run(raw)))
    )
    try:
        yield listener.addrs[0]
    finally:
        await listener.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@pytest.mark.parametrize("papers", PAPERS.values(), ids=PAPERS.keys())
async def test_s15_a_listener_with_bad_papers_is_refused(papers) -> None:
    async def serve(raw: ByteStream) -> None:
        await respond(raw, ["/tls/1.0.0"])
        connection = SSL.Connection(papers.context())
        connection.set_accept_state()
        await shake_hands(connection, raw, EARLY)
        while await raw.read(1 << 16):
            pass

    async with impostor(serve) as addr, Host(security=[TLS()]) as host:
        with pytest.raises(DialError) as caught:
            await host.connect(addr.with_peer(PeerId.from_public_key(MALLORY.public)))
        ((_, cause),) = caught.value.attempts
        assert isinstance(cause, HandshakeFailed), cause
        assert papers.reason in str(cause) or papers.reason == "HandshakeFailed"
        assert host.connections == []


async def test_s13_somebody_else_answers() -> None:
    async with Host(listen=[LOOPBACK], security=[TLS()]) as bob, Host(security=[TLS()]) as alice:
        elsewhere = bob.addrs[0].without_peer().with_peer(PeerId.from_public_key(ALICE.public))
        with pytest.raises(DialError) as caught:
            await alice.connect(elsewhere)
        ((_, cause),) = caught.value.attempts
        assert isinstance(cause, PeerIdMismatch)
        assert bob.connections == []


# -- at the wire -----------------------------------------------------------------------------------

BAD_RECORDS = {
    "changed": lambda record: record[:-1] + bytes([record[-1] ^ 1]),
    "a huge length": lambda record: record[:3] + b"\xff\xff",
    "in the clear": lambda record: b"\x17\x03\x03\x00\x05hello",
    "an unknown type": lambda record: b"\x63" + record[1:],
    "a handshake again": lambda record: b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
    "10,000 empty ones": lambda record: b"\x17\x03\x03\x00\x00" * 10_000,
    "10,000 warnings": lambda record: b"\x15\x03\x03\x00\x02\x01\x5a" * 10_000,
}


@pytest.mark.parametrize("change", BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
async def test_s11_bad_records_end_the_connection(change) -> None:
    async with scene() as stage:
        raw = await stage.raw()
        await propose(raw, ["/tls/1.0.0"])
        connection = SSL.Connection(Papers((ALONE,), "").context())
        connection.set_connect_state()
        assert await shake_hands(connection, raw) is None
        connection.send(EARLY)
        with bounded_memory():
            with contextlib.suppress(LabError, OSError):
                await raw.write(change(connection.bio_read(1 << 16)))
            await stage.refused("TLS")
        await stage.alone()


NONSENSE = {
    "a huge record": b"\x16\x03\x01\xff\xff",
    "no TLS": b"GET / HTTP/1.1\r\n\r\n",
    "an endless hello": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(0x4000 - 4),
    "empty records": b"\x16\x03\x01\x00\x00" * 10_000,
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE.keys())
async def test_s11_nonsense_instead_of_a_hello(said) -> None:
    async with scene() as stage:
        raw = await stage.raw()
        await propose(raw, ["/tls/1.0.0"])
        with bounded_memory():
            with contextlib.suppress(LabError, OSError):
                for _ in range(20):
                    await raw.write(said)
            await stage.refused("")
        await stage.alone()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_silence_in_the_handshake_is_cut_off(share) -> None:
    """After nothing, half a ClientHello, a whole one."""
    short = Limits(handshake_timeout=0.5)
    async with scene(short) as stage:
        raw = await stage.raw()
        await propose(raw, ["/tls/1.0.0"])
        connection = SSL.Connection(Papers((ALONE,), "").context())
        connection.set_connect_state()
        with contextlib.suppress(SSL.WantReadError):
            connection.do_handshake()
        hello = connection.bio_read(1 << 16)
        await raw.write(hello[: int(share * len(hello))])
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(LabError, OSError):
                while await raw.read(1 << 16):
                    pass
        await stage.alone()
