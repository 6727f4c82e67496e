"""TLS without I/O: two sessions, and whatever may come between them."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LocalError,
    PeerIdMismatch,
    ProtocolViolation,
    RemoteError,
)
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.security.tls_certificate import make_certificate
from libp2p_lab.security.tls_records import MAX_PLAINTEXT, RECORD_HEADER, TlsRecord, TlsSecret
from libp2p_lab.security.tls_session import TlsSession, make_context
from libp2p_lab.trace import Entry, Probe, Trace
from tests.support import load_vectors

NOW = time.time()
KEYS = KeyPair.generate(), KeyPair.generate()
PEERS = [PeerId.from_public_key(key.public) for key in KEYS]
CONTEXTS = [make_context(make_certificate(key, NOW)) for key in KEYS]
YAMUX, MPLEX = "/yamux/1.0.0", "/mplex/6.7.0"


def session(n: int, *, context: SSL.Context | None = None, **options) -> TlsSession:
    """Alice, who dials (0), or Bob (1)."""
    options.setdefault("now", NOW)
    return TlsSession(context or CONTEXTS[n], is_dialer=n == 0, **options)


def shake_hands(alice: TlsSession, bob: TlsSession) -> None:
    """Carry bytes until nobody has any; errors of either side come through."""
    for sender, receiver in itertools.cycle(((alice, bob), (bob, alice))):
        data = sender.data_to_send()
        assert receiver.receive_data(data) == []
        if alice.is_finished and bob.is_finished:
            assert alice.receive_data(bob.data_to_send()) == []  # tickets, which nobody will use
            return


@pytest.fixture
def pair() -> tuple[TlsSession, TlsSession]:
    alice, bob = session(0, muxers=[YAMUX]), session(1, muxers=[YAMUX])
    shake_hands(alice, bob)
    return alice, bob


# -- the handshake ---------------------------------------------------------------------------------


def test_each_learns_who_the_other_is(pair) -> None:
    alice, bob = pair
    assert (alice.remote_peer, bob.remote_peer) == (PEERS[1], PEERS[0])
    assert bob.receive_data(alice.seal(b"hello")) == [b"hello"]
    assert alice.receive_data(bob.seal(b"hello yourself")) == [b"hello yourself"]


ALPN = [row for row in load_vectors("early_muxer.json")["vectors"] if row["over"] == "tls-alpn"]


@pytest.mark.parametrize("row", ALPN, ids=lambda row: row["id"])
def test_muxer_vectors(row) -> None:
    assert row["initiator"][-1] == row["responder"][-1] == "libp2p"
    alice = session(0, muxers=row["initiator"][:-1])
    bob = session(1, muxers=row["responder"][:-1])
    shake_hands(alice, bob)
    assert alice.muxer == bob.muxer == row["result"]


@pytest.mark.parametrize(
    ("dialer", "listener", "expected"),
    [
        ([YAMUX], [YAMUX], YAMUX),
        ([YAMUX, MPLEX], [MPLEX, YAMUX], YAMUX),
        ([MPLEX], [YAMUX], None),
        ([], [YAMUX], None),
        ([YAMUX], [], None),
    ],
)
def test_the_dialers_preference_decides(dialer, listener, expected) -> None:
    alice, bob = session(0, muxers=dialer), session(1, muxers=listener)
    shake_hands(alice, bob)
    assert alice.muxer == bob.muxer == expected


def test_a_remote_that_offers_no_protocols_at_all() -> None:
    """py-libp2p does so. There is nothing to disagree about."""
    bob = session(1, muxers=[YAMUX])
    plain = SSL.Connection(other_context())
    plain.set_connect_state()
    shake_hands_with(plain, bob)
    assert bob.muxer is None


def test_a_remote_that_offers_something_else_is_refused_with_an_alert() -> None:
    browser = SSL.Connection(other_context())
    browser.set_alpn_protos([b"h2", b"http/1.1"])
    browser.set_connect_state()
    bob = session(1, muxers=[YAMUX])
    with pytest.raises(HandshakeFailed, match="none of it is libp2p"):
        shake_hands_with(browser, bob)
    browser.bio_write(bob.data_to_send())
    with pytest.raises(SSL.Error, match="no application protocol"):
        browser.do_handshake()


def other_context() -> SSL.Context:
    """A client that keeps the rules of certificates, and judges none."""
    own = make_certificate(KEYS[0], NOW)
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate(own.certificate)
    context.use_privatekey(own.private_key)
    return context


def shake_hands_with(client: SSL.Connection, bob: TlsSession) -> None:
    """As `shake_hands`, with anybody's client."""
    while not bob.is_finished:
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        bob.receive_data(client.bio_read(1 << 16))
        if data := bob.data_to_send():
            client.bio_write(data)


def test_the_wrong_peer_is_refused_and_told() -> None:
    alice, bob = session(0, expected_peer=PEERS[0]), session(1)
    with pytest.raises(PeerIdMismatch):
        shake_hands(alice, bob)
    assert not alice.is_finished
    with pytest.raises(HandshakeFailed, match="the remote refuses"):
        bob.receive_data(alice.data_to_send())
    assert bob.remote_peer is None


def test_no_server_name_is_sent() -> None:
    hello = session(0, muxers=[YAMUX]).data_to_send()
    assert 0 not in extensions(hello)
    assert 16 in extensions(hello), "ALPN is not there either: this test looks in the wrong place"


def extensions(hello: bytes) -> list[int]:
    """The types of the extensions of a ClientHello."""
    at = RECORD_HEADER + 4 + 2 + 32
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # cipher suites
    at += 1 + hello[at]  # compression
    at += 2
    found = []
    while at < len(hello):
        found.append(int.from_bytes(hello[at : at + 2], "big"))
        at += 4 + int.from_bytes(hello[at + 2 : at + 4], "big")
    return found


def test_a_server_name_is_passed_over() -> None:
    client = SSL.Connection(other_context())
    client.set_tlsext_host_name(b"example.com")
    client.set_connect_state()
    bob = session(1)
    shake_hands_with(client, bob)
    assert bob.remote_peer == PEERS[0]


def test_nothing_is_sealed_before_the_end_of_the_handshake() -> None:
    with pytest.raises(LocalError):
        session(0).seal(b"too early")


# -- data ------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40_000), max_size=4), st.lists(st.integers(1, 3000), min_size=1))
def test_any_sizes_cut_anyhow(sizes, cuts) -> None:
    alice, bob = session(0), session(1)
    shake_hands(alice, bob)
    data = [bytes([n]) * size for n, size in enumerate(sizes)]
    wire = b"".join(alice.seal(piece) for piece in data)
    received = b""
    for cut in itertools.cycle(cuts):
        received += b"".join(bob.receive_data(wire[:cut]))
        wire = wire[cut:]
        if not wire:
            break
    assert received == b"".join(data)


def test_cut_at_every_place_of_a_header(pair) -> None:
    alice, bob = pair
    for cut in range(RECORD_HEADER + 2):
        wire = alice.seal(b"first") + alice.seal(b"second") + alice.seal(b"third")
        length = len(wire) // 3 + cut
        assert b"".join(bob.receive_data(wire[:length]) + bob.receive_data(wire[length:])) == (
            b"firstsecondthird"
        )


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_garbage_gives_typed_errors_only(data, finished) -> None:
    alice, bob = session(0), session(1)
    if finished:
        shake_hands(alice, bob)
    for receiver in (alice, bob):
        try:
            for n in range(len(data)):
                receiver.receive_data(data[n : n + 1])
        except (RemoteError, ConnectionLost):
            continue


@pytest.mark.parametrize("position", [0, 4, 5, 20, -1])
def test_a_changed_record_is_refused(pair, position) -> None:
    alice, bob = pair
    record = bytearray(alice.seal(b"pay bob 10"))
    record[position] ^= 1
    with pytest.raises((ProtocolViolation, ConnectionLost)):
        bob.receive_data(bytes(record) + alice.seal(b"more"))
    with pytest.raises(ConnectionLost):
        bob.seal(b"an answer")


def test_records_repeated_left_out_or_out_of_order(pair) -> None:
    alice, bob = pair
    records = [alice.seal(b"%d" % n) for n in range(3)]
    assert bob.receive_data(records[0]) == [b"0"]
    with pytest.raises(ProtocolViolation, match="bad record mac"):
        bob.receive_data(records[2])


def test_the_end_is_told_apart(pair) -> None:
    alice, bob = pair
    assert bob.receive_data(alice.seal(b"last words") + alice.end()) == [b"last words"]
    assert bob.is_ended
    assert not alice.is_ended
    assert alice.receive_data(bob.seal(b"still here")) == [b"still here"]


def test_a_huge_record_is_refused_from_its_header(pair) -> None:
    _, bob = pair
    with pytest.raises(ProtocolViolation, match="65535"):
        bob.receive_data(b"\x17\x03\x03\xff\xff")


def test_many_empty_records_are_refused() -> None:
    alice, bob = session(0), session(1)
    shake_hands(alice, bob)
    with pytest.raises(RemoteError):
        bob.receive_data(b"\x17\x03\x03\x00\x00" * 1000)


# -- the trace -------------------------------------------------------------------------------------


def test_records_are_told_and_numbered_alike_at_both_ends() -> None:
    entries: list[list[Entry]] = [[], []]
    probes = []
    for told in entries:
        trace = Trace()
        trace.listen(told.append)
        probes.append(Probe(trace, "security"))
    alice, bob = session(0, probe=probes[0]), session(1, probe=probes[1])
    shake_hands(alice, bob)
    bob.receive_data(alice.seal(b"x" * (MAX_PLAINTEXT + 5)))
    alice.receive_data(bob.seal(b"thanks"))
    for here, there in (entries, entries[::-1]):
        sent = [(entry.number, entry.what) for entry in here if entry.direction == "sent"]
        received = [(entry.number, entry.what) for entry in there if entry.direction == "received"]
        assert sent == received
        assert [number for number, _ in sent] == list(range(len(sent)))
    plaintexts = [e.what.plaintext for e in entries[0] if isinstance(e.what, TlsRecord)]
    assert [text for text in plaintexts if text] == [b"x" * MAX_PLAINTEXT, b"x" * 5, b"thanks"]


def test_secrets_are_told_to_those_who_asked() -> None:
    told: list[Entry] = []
    untold: list[Entry] = []
    trace = Trace()
    trace.listen(told.append, secrets=True)
    trace.listen(untold.append)
    shake_hands(session(0, probe=Probe(trace, "security")), session(1))
    lines = [entry.what.line for entry in told if isinstance(entry.what, TlsSecret)]
    assert {line.split()[0] for line in lines} >= {
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    }
    assert not any(isinstance(entry.what, TlsSecret) for entry in untold)
