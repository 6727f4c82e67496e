"""Signed envelopes and peer records, against those that go-libp2p made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError, MalformedMessage, RecordInvalid, RemoteError
from libp2p_lab.identity import Envelope, KeyPair, Multiaddr, PeerId, PeerRecord
from libp2p_lab.identity.envelope import PEER_RECORD_DOMAIN, PEER_RECORD_TYPE
from libp2p_lab.wire import protobuf
from tests.support import load_vectors

VECTORS = load_vectors("signed_envelope.json")["vectors"]
ENVELOPES = [row for row in VECTORS if "envelope" in row]
BARE = [row for row in VECTORS if row["kind"] == "bare-peer-record"]
KEY = KeyPair.generate()
PEER = PeerId.from_public_key(KEY.public)
ADDRS = (Multiaddr("/ip4/1.2.3.4/tcp/1"), Multiaddr("/dns4/example.org/udp/2/quic-v1"))


@pytest.mark.parametrize("row", ENVELOPES, ids=lambda row: row["id"])
def test_envelope_vector(row) -> None:
    data = bytes.fromhex(row["envelope"])
    envelope = Envelope.decode(data)
    assert envelope.encode() == data
    if not row["valid"]:
        with pytest.raises(RecordInvalid, match="signature"):
            envelope.verify(row["domain"])
        return
    assert envelope.verify(row["domain"]) == PeerId.from_public_key(envelope.public_key)
    assert envelope.payload_type.hex() == row["payload_type"]
    if "payload" in row:
        assert envelope.payload.hex() == row["payload"]
    with pytest.raises(RecordInvalid):
        envelope.verify(row["domain"] + "x")


def test_peer_record_vector() -> None:
    row = next(row for row in ENVELOPES if row["kind"] == "peer-record")
    data, key = (
        bytes.fromhex(row["envelope"]),
        KeyPair.from_protobuf(bytes.fromhex(row["private_pb"])),
    )
    record = PeerRecord.open(data)
    assert record.peer_id == PeerId.from_public_key(key.public)
    assert [str(addr) for addr in record.addrs] == row["addresses"]
    assert row["domain"] == PEER_RECORD_DOMAIN
    assert row["payload_type"] == PEER_RECORD_TYPE.hex()
    assert record.seal(key).encode() == data  # Ed25519 signs alike every time


@pytest.mark.parametrize("row", BARE, ids=lambda row: row["id"])
def test_bare_peer_record_vector(row) -> None:
    data = bytes.fromhex(row["peer_record"])
    record = PeerRecord.decode(data)
    assert str(record.peer_id) == row["peer_id"]
    assert record.seq == int(row["seq"])
    assert [str(addr) for addr in record.addrs] == row["addresses"]
    assert record.encode() == data


@pytest.mark.parametrize("name", ["ed25519", "secp256k1", "ecdsa", "rsa"])
def test_every_kind_of_key_can_seal(name) -> None:
    key = KeyPair.generate(name)
    peer_id = PeerId.from_public_key(key.public)
    record = PeerRecord(peer_id, 1, ADDRS)
    assert PeerRecord.open(record.seal(key).encode()) == record


@given(st.binary(max_size=50), st.binary(max_size=50), st.text(max_size=20))
def test_any_payload_type_round_trips(payload_type, payload, domain) -> None:
    envelope = Envelope.seal(KEY, domain, payload_type, payload)
    assert Envelope.decode(envelope.encode()) == envelope
    assert envelope.verify(domain) == PEER


def test_what_is_signed_cannot_be_shifted_between_the_fields() -> None:
    """The lengths are signed too: "ab" + "c" is not "a" + "bc"."""
    envelope = Envelope.seal(KEY, "domain", b"ab", b"c")
    shifted = Envelope(envelope.public_key, b"a", b"bc", envelope.signature)
    with pytest.raises(RecordInvalid):
        shifted.verify("domain")


def test_a_seal_for_one_purpose_is_worthless_for_another() -> None:
    record = PeerRecord(PEER, 1, ADDRS)
    elsewhere = Envelope.seal(KEY, "another-purpose", PEER_RECORD_TYPE, record.encode())
    with pytest.raises(RecordInvalid, match="domain"):
        PeerRecord.open(elsewhere.encode())
    other_type = Envelope.seal(KEY, PEER_RECORD_DOMAIN, b"\x03\x02", record.encode())
    with pytest.raises(RecordInvalid, match="0302"):
        PeerRecord.open(other_type.encode())


def test_nobody_seals_a_record_of_another_peer_by_mistake() -> None:
    with pytest.raises(LocalError):
        PeerRecord(PEER, 1, ADDRS).seal(KeyPair.generate())


@pytest.mark.parametrize("seq", [-1, 1 << 64])
def test_seq_has_64_bits(seq) -> None:
    with pytest.raises(LocalError):
        PeerRecord(PEER, seq, ()).encode()
    assert PeerRecord.decode(PeerRecord(PEER, (1 << 64) - 1, ()).encode()).seq == (1 << 64) - 1


def test_addresses_of_unknown_protocols_are_left_out() -> None:
    known = PeerRecord(PEER, 7, ADDRS).encode()
    newer = known + protobuf.bytes_field(3, protobuf.bytes_field(1, b"\xff\x7f\x01"))
    assert PeerRecord.decode(newer) == PeerRecord(PEER, 7, ADDRS)


def test_fields_from_the_future_are_skipped() -> None:
    sealed = PeerRecord(PEER, 7, ADDRS).seal(KEY).encode()
    assert PeerRecord.open(sealed + protobuf.bytes_field(99, b"new")).seq == 7


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_record_or_a_remote_error(data) -> None:
    for read in (Envelope.decode, PeerRecord.decode, PeerRecord.open):
        try:
            read(data)
        except RemoteError:
            continue


@given(st.data())
def test_any_damage_to_a_sealed_record_is_noticed(data) -> None:
    sealed = bytearray(PeerRecord(PEER, 7, ADDRS).seal(KEY).encode())
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises((MalformedMessage, RecordInvalid)):
        PeerRecord.open(bytes(sealed))
