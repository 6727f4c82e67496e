"""WebTransport: certificates that roll, the core on its own, hosts, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import Host, WebTransport
from libp2p_lab.errors import DialError, HandshakeFailed, LimitExceeded, PeerIdMismatch
from libp2p_lab.host import Echo, Identify, Ping, webtransport
from libp2p_lab.host.quic_session import HandshakeDone, ReadingStopped
from libp2p_lab.host.webtransport_certificates import (
    PERIOD,
    SKEW,
    VALIDITY,
    RollingCertificates,
    check_certificate,
    roll_at,
)
from libp2p_lab.host.webtransport_session import WebTransportSession
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import DataReceived, ResetReceived, StreamOpened, WriteClosed
from libp2p_lab.wire import multibase, multihash

ANY = "/ip4/127.0.0.1/udp/0/quic-v1/webtransport"
KEY = KeyPair.generate()
STRANGER = PeerId.from_public_key(KeyPair.generate().public)
moments = st.integers(1_600_000_000, 2_500_000_000)


def host(listen: tuple[str, ...] = (), **parts) -> Host:
    defaults = {"transports": [WebTransport()], "services": [Identify(), Ping(), Echo()]}
    return Host(listen=listen, **(defaults | parts))


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


# -- certificates -------------------------------------------------------------------------------------------------


@given(moments)
def test_who_was_told_a_hash_can_dial_until_the_period_after_it(now: int) -> None:
    """What is advertised today is shown today and in the whole period after it, and then still listed for one more."""
    today, then = roll_at(KEY, now), roll_at(KEY, now + PERIOD)
    assert today.current.certhash in today.advertised
    assert then.current.certhash == today.next.certhash
    assert then.current.certhash in today.advertised
    assert then.last.certhash == today.current.certhash
    assert set(today.advertised) <= set(then.own)
    assert today.since <= now < today.until
    assert roll_at(KEY, today.until - 1).own == today.own
    assert roll_at(KEY, today.until).current.certhash == today.next.certhash


@given(moments)
def test_a_certificate_is_good_for_browsers_all_the_time_that_it_is_in_use(now: int) -> None:
    roll = roll_at(KEY, now)
    der = roll.current.certificate.public_bytes(Encoding.DER)
    for moment in (now, roll.since - SKEW, roll.until + SKEW - 1):
        assert check_certificate(der, roll.advertised, moment) == roll.current.certhash
    for moment in (roll.since - SKEW - 2, roll.until + SKEW + 2):
        with pytest.raises(HandshakeFailed, match="expired"):
            check_certificate(der, roll.advertised, moment)


def test_a_restart_changes_nothing_and_another_peer_has_others() -> None:
    again = KeyPair.from_protobuf(KEY.to_protobuf())
    assert roll_at(again, 2e9).own == roll_at(KEY, 2e9).own
    assert not set(roll_at(KeyPair.generate(), 2e9).own) & set(roll_at(KEY, 2e9).own)
    rolling = RollingCertificates(KEY)
    assert rolling.at(2e9) is rolling.at(2e9)
    assert rolling.at(2e9 + PERIOD).own == roll_at(KEY, 2e9 + PERIOD).own


@pytest.mark.parametrize("kind", ["ed25519", "secp256k1", "ecdsa", "rsa"])
def test_every_kind_of_identity_has_certificates(kind) -> None:
    assert len(set(roll_at(KeyPair.generate(kind), 2e9).own)) == 3


def self_made(key, seconds: int) -> bytes:
    name = x509.Name([])
    start = roll_at(KEY, time.time()).current.certificate.not_valid_before_utc
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + (start - start).resolution * 1_000_000 * seconds)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


@pytest.mark.parametrize(
    ("der", "word"),
    [
        (lambda: self_made(rsa.generate_private_key(65537, 2048), VALIDITY), "RSA"),
        (lambda: self_made(ec.generate_private_key(ec.SECP256R1()), VALIDITY + 1), "14 days"),
        (lambda: b"no certificate", "parse"),
    ],
)
def test_certificates_that_browsers_refuse(der, word) -> None:
    data = der()
    with pytest.raises(HandshakeFailed, match=word):
        check_certificate(data, (multihash.digest("sha2-256", data),), time.time())
    with pytest.raises(HandshakeFailed, match="none of those"):
        check_certificate(data, (), time.time())


# -- the core -----------------------------------------------------------------------------------------------------


class Pair:
    """A client and a server, and their datagrams carried by hand."""

    def __init__(self, **limits) -> None:
        self.limits = Limits(**limits)
        client, server = webtransport.settings_for(self.limits)
        own = roll_at(KEY, time.time()).current
        server = replace(server, certificate=own.certificate, private_key=own.private_key)
        self.client = WebTransportSession(client, self.limits)
        self.client.connect(("server", 1), 0.0)
        self._first = self.client.datagrams_to_send(0.0)
        original = self._first[0][0][6 : 6 + self._first[0][0][5]]
        self.server = WebTransportSession(server, self.limits, original)
        self.found: tuple[list, list] = ([], [])
        self._now = 0.0
        self.settle()
        assert HandshakeDone() in self.found[0]

    def settle(self) -> None:
        for data, _ in self._first:
            self.found[1].extend(self.server.receive_datagram(data, ("client", 1), self._now))
        self._first = []
        moved = True
        while moved:
            moved = False
            self._now += 0.001
            ends = ((self.server, self.client, "server"), (self.client, self.server, "client"))
            for n, (sender, receiver, name) in enumerate(ends):
                for data, _ in sender.datagrams_to_send(self._now):
                    moved = True
                    self.found[n].extend(receiver.receive_datagram(data, (name, 1), self._now))

    def streams(self, n: int) -> list:
        kinds = StreamOpened | DataReceived | WriteClosed | ResetReceived | ReadingStopped
        return [event for event in self.found[n] if isinstance(event, kinds)]


def test_a_request_and_streams_without_waiting_for_the_answer() -> None:
    pair = Pair()
    with pytest.raises(LimitExceeded):
        pair.client.open_stream()
    pair.client.request("server:1")
    stream_id = pair.client.open_stream()
    pair.client.send(stream_id, b"hello")
    pair.settle()
    assert pair.streams(1) == [StreamOpened(stream_id), DataReceived(stream_id, b"hello")]
    ours = pair.server.open_stream()
    pair.server.send(ours, b"and back")
    pair.server.close_write(ours)
    pair.settle()
    assert pair.streams(0) == [
        StreamOpened(ours),
        DataReceived(ours, b"and back"),
        WriteClosed(ours),
    ]
    assert pair.client.goodbye is None
    assert pair.server.goodbye is None


def test_reset_and_stop_have_webtransports_numbers() -> None:
    pair = Pair()
    pair.client.request("server:1")
    one, two = pair.client.open_stream(), pair.client.open_stream()
    for stream_id in (one, two):
        pair.client.send(stream_id, b"x")
    pair.settle()
    pair.client.reset(one)
    pair.server.stop_reading(two)
    pair.settle()
    assert ResetReceived(one) in pair.streams(1)
    assert ReadingStopped(two) in pair.streams(0)
    assert pair.client.reset_code == 0x52E4A40FA8DB


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({b":path": b"/"}, "404"),
        ({b":path": b"/.well-known/libp2p-webtransport?type=tls"}, "404"),
        ({b":protocol": b"websocket"}, "405"),
    ],
)
def test_other_requests_are_refused(change, status) -> None:
    pair = Pair()
    http = pair.client._http
    send = http.send_headers
    http.send_headers = lambda stream_id, headers: send(
        stream_id, [(name, change.get(name, value)) for name, value in headers]
    )
    pair.client.request("server:1")
    pair.settle()
    assert pair.client.goodbye == f"the request was answered with {status}"
    assert pair.server._session is None
    assert pair.server.ended is None


def test_the_end_of_the_request_is_the_end_of_the_session() -> None:
    for end in ("close", "reset"):
        pair = Pair()
        pair.client.request("server:1")
        pair.settle()
        if end == "close":
            pair.client._quic.send_stream_data(0, b"", end_stream=True)
        else:
            pair.client._quic.reset_stream(0, 0x100)
        pair.settle()
        assert pair.server.goodbye is not None


def test_a_stream_of_a_session_that_does_not_exist_ends_it() -> None:
    pair = Pair()
    pair.client.request("server:1")
    pair.client._session = 8
    pair.client.send(pair.client.open_stream(), b"x")
    pair.settle()
    assert pair.server.ended is not None
    assert "session 8" in pair.server.ended.reason_phrase


@pytest.mark.parametrize("stream_id", [0, 2])
def test_http_without_end_is_cut_off(stream_id: int) -> None:
    """Frames that announce more than anybody sends: on the request's stream, and on a stream of HTTP's own."""
    pair = Pair()
    quic = pair.client._quic
    quic.send_stream_data(stream_id, b"\x01" + (1 << 61 | 3 << 62).to_bytes(8, "big"))
    for _ in range(40):
        quic.send_stream_data(stream_id, bytes(5000))
        pair.settle()
    assert pair.server.ended is not None
    assert pair.server._http_bytes < 2 * pair.limits.webtransport_http


@given(st.binary(max_size=60), st.sampled_from([0, 4, 8]))
def test_garbage_on_streams_gives_no_exceptions(garbage: bytes, place: int) -> None:
    pair = Pair()
    pair.client.request("server:1")
    pair.client._quic.send_stream_data(place, garbage)
    pair.client._quic.send_stream_data(place + 4, garbage, end_stream=True)
    pair.settle()
    pair.server.close()


@given(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=4), st.integers(1, 9))
def test_a_beginning_in_pieces(chunks: list[bytes], cut: int) -> None:
    """The two numbers before a stream's bytes may come in pieces too."""
    pair = Pair()
    pair.client.request("server:1")
    pair.settle()
    data = b"\x40\x41\x00" + b"".join(chunks)
    quic = pair.client._quic
    for start in range(0, min(cut * 3, len(data)), cut):
        quic.send_stream_data(4, data[start : start + cut])
        pair.settle()
    quic.send_stream_data(4, data[len(range(0, min(cut * 3, len(data)), cut)) * cut :], True)
    pair.settle()
    events = pair.streams(1)
    assert events[0] == StreamOpened(4)
    assert b"".join(e.data for e in events if isinstance(e, DataReceived)) == b"".join(chunks)
    assert events[-1] == WriteClosed(4)


# -- hosts --------------------------------------------------------------------------------------------------------


async def test_both_families_and_what_a_connection_says_of_itself() -> None:
    async with host((ANY, ANY.replace("ip4/127.0.0.1", "ip6/::1"))) as alice:
        for addr in alice.addrs:
            assert addr.names[-3:] == ("certhash", "certhash", "p2p")
            async with host() as bob:
                connection = await bob.connect(addr)
                assert (connection.transport, connection.security) == ("webtransport", "/noise")
                assert connection.remote_addr == addr.without_peer()
                assert await bob.ping(alice.peer_id) >= 0
                assert await alice.ping(bob.peer_id) >= 0
                info = await bob.identify_result(alice.peer_id)
                assert set(info.listen_addrs) == {one.without_peer() for one in alice.addrs}


@pytest.mark.parametrize("which", ["somebody else", "another certificate"])
async def test_s51_who_must_answer_and_with_what(which) -> None:
    """S51: the certificate's hash must be in the address."""
    async with host((ANY,)) as alice, host() as bob:
        addr = alice.addrs[0]
        if which == "somebody else":
            addr = addr.without_peer().with_peer(STRANGER)
        else:
            wrong = multibase.encode(multihash.digest("sha2-256", b"another"), "base64url")
            bare = str(addr).partition("/certhash/")[0]
            addr = Multiaddr(f"{bare}/certhash/{wrong}").with_peer(alice.peer_id)
        with pytest.raises(DialError) as caught:
            await bob.connect(addr)
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, PeerIdMismatch if which == "somebody else" else HandshakeFailed)
        await until(lambda: not alice.connections)


async def test_s51_a_listener_that_does_not_call_its_certificate_its_own() -> None:
    """S51: somebody in between, with a certificate of his own in the address that he gave away, is found out."""
    async with host((ANY,)) as alice, host() as bob:
        [listener] = alice._swarm._listeners
        kind = listener.endpoint._kind

        class Honest:
            """What the true listener says in the handshake: the hashes of other certificates."""

            def at(self, now):
                return roll_at(KEY, now)

        link = kind.link
        kind_link = lambda *args, **options: _with(link(*args, **options), Honest())  # noqa: E731
        listener.endpoint._kind = SimpleNamespace(
            session=kind.session, link=kind_link, address=kind.address, listening=kind.listening
        )
        with pytest.raises(DialError) as caught:
            await bob.connect(alice.addrs[0])
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, HandshakeFailed)
        assert "in between" in str(cause)
        assert not bob.connections


def _with(link, certificates):
    link._certificates = certificates
    return link


async def test_the_addresses_roll_and_who_is_connected_hears_of_it(monkeypatch) -> None:
    shift = [0.0]
    clock = SimpleNamespace(time=lambda: time.time() + shift[0])
    monkeypatch.setattr(webtransport, "time", clock)
    monkeypatch.setattr("libp2p_lab.host.webtransport_connection.time", clock)
    async with host((ANY,)) as alice, host() as bob:
        before = alice.addrs[0]
        connection = await bob.connect(before)
        [listener] = alice._swarm._listeners
        shift[0] = float(PERIOD)
        listener._timer.cancel()
        listener._on_roll()
        after = alice.addrs[0]
        first, second = (part.value for part in before.parts if part.name == "certhash")
        assert second == after.value_of("certhash") != first
        await until(lambda: after.without_peer() in bob.peerstore.addrs(alice.peer_id))
        assert connection.is_open
        async with host() as carol:
            await carol.connect(before)  # the address of two weeks ago still holds
        shift[0] = 3.0 * PERIOD
        async with host() as dave:
            with pytest.raises(DialError):
                await dave.connect(before)


@pytest.mark.parametrize("who", ["dialer", "listener"])
async def test_the_end_of_a_connection(who) -> None:
    async with host((ANY,)) as alice, host() as bob:
        await bob.connect(alice.addrs[0])
        await until(lambda: alice.connections)
        ours, theirs = (bob, alice) if who == "dialer" else (alice, bob)
        reasons = []
        theirs.trace.listen(lambda e: reasons.append(str(e.what)) if e.layer == "host" else None)
        await ours.disconnect(theirs.peer_id)
        await until(lambda: not (alice.connections or bob.connections))
        await until(lambda: any("reason='closed'" in text for text in reasons))


async def test_a_dial_that_is_given_up_leaves_nothing() -> None:
    async with host((ANY,)) as alice, host() as bob:
        for wait in (0.0, 0.01, 0.03):
            dial = asyncio.create_task(bob.connect(alice.addrs[0]))
            await asyncio.sleep(wait)
            dial.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await dial  # on a fast machine it may be done by now


async def test_s10_a_client_that_asks_for_nothing_is_dropped() -> None:
    """S10: QUIC's handshake, and then silence."""
    async with host((ANY,), limits=Limits(handshake_timeout=0.5)) as alice, host() as bob:
        [listener] = alice._swarm._listeners
        certificates = bob._swarm._transports[0]._rolling(bob._swarm._parts)
        silent = await webtransport._bind(bob._swarm._parts, certificates, "127.0.0.1", 0)
        link = silent._kind.link
        # Its driver never notices that the handshake is done, and so asks for nothing.
        silent._kind.link = lambda *args, **options: _deaf(link(*args, **options))
        port = int(alice.addrs[0].value_of("udp") or 0)
        with pytest.raises(HandshakeFailed):
            await silent.dial("127.0.0.1", port, alice.addrs[0].without_peer(), None, 1)
        await until(lambda: not listener.endpoint.links)
        assert not alice.connections


def _deaf(link):
    link._prove = lambda: None
    return link


def test_addresses_of_others() -> None:
    good = f"{ANY}/certhash/{multibase.encode(multihash.digest('sha2-256', b''), 'base64url')}"
    assert WebTransport().can_dial(Multiaddr(good))
    assert not WebTransport().can_listen(Multiaddr(good))
    assert WebTransport().can_listen(Multiaddr(ANY))
    for text in (ANY, f"{good}/ws", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1"):
        assert not WebTransport().can_dial(Multiaddr(text))
