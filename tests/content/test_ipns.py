"""IPNS records: the vectors, round trips, and what must not be believed."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.content import IpnsRecord, IpnsValidator, ipns_key
from libp2p_lab.content.ipns import MAX_RECORD, SIGNED
from libp2p_lab.content.pb import ipns_pb2
from libp2p_lab.errors import LocalError, MalformedMessage, RecordInvalid, RemoteError
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from tests.support import load_vectors

VECTORS = load_vectors("ipns_records.json")["vectors"]
OWNER = KeyPair.generate("ed25519")
NAME = PeerId.from_public_key(OWNER.public)
NOW = 1_800_000_000.0
VALIDATOR = IpnsValidator(lambda: NOW)


def record(sequence: int = 1, valid_until: float = NOW + 60.0, value: bytes = b"/x") -> bytes:
    return IpnsRecord(value, sequence, valid_until).sign(OWNER)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_vectors(vector: dict[str, object]) -> None:
    name, data = PeerId.from_text(str(vector["name"])), bytes.fromhex(str(vector["record"]))
    if not vector["valid"]:
        with pytest.raises(RecordInvalid):
            VALIDATOR.validate(ipns_key(name), data)
        return
    VALIDATOR.validate(ipns_key(name), data)
    if "value" in vector:
        assert IpnsRecord.open(data, name).value == str(vector["value"]).encode()


@given(
    st.binary(max_size=200),
    st.integers(0, 2**64 - 1),
    st.integers(1, 4_000_000_000),
    st.integers(0, 2**64 - 1),
)
def test_a_record_comes_back(value: bytes, sequence: int, until: int, ttl: int) -> None:
    made = IpnsRecord(value, sequence, float(until), ttl)
    assert IpnsRecord.open(made.sign(OWNER), NAME) == made


@given(st.binary(max_size=300))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    with pytest.raises(RemoteError):
        IpnsRecord.open(data, NAME)


@given(st.binary(max_size=80))
def test_signed_garbage_ends_in_a_typed_error(data: bytes) -> None:
    entry = ipns_pb2.IpnsEntry(signatureV2=OWNER.sign(SIGNED + data), data=data)
    with pytest.raises(RemoteError):
        IpnsRecord.open(entry.SerializeToString(), NAME)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_is_not_believed(at: int, bit: int) -> None:
    good = record()
    bad = bytearray(good)
    bad[at % len(bad)] ^= 1 << bit
    try:
        opened = IpnsRecord.open(bytes(bad), NAME)
    except (RecordInvalid, MalformedMessage):
        return
    assert opened == IpnsRecord.open(good, NAME)  # the bit was in nothing that says anything


def test_names_that_are_hashes_bring_their_key() -> None:
    owner = KeyPair.generate("rsa")
    name = PeerId.from_public_key(owner.public)
    signed = IpnsRecord(b"/x", 1, NOW + 60.0).sign(owner)
    assert IpnsRecord.open(signed, name).value == b"/x"
    entry = ipns_pb2.IpnsEntry.FromString(signed)
    entry.pubKey = KeyPair.generate("rsa").public.to_protobuf()
    with pytest.raises(RecordInvalid, match="not that of its name"):
        IpnsRecord.open(entry.SerializeToString(), name)
    entry.ClearField("pubKey")
    with pytest.raises(RecordInvalid, match="no public key"):
        IpnsRecord.open(entry.SerializeToString(), name)


def test_expired_records_and_those_of_others_are_refused() -> None:
    with pytest.raises(RecordInvalid, match="valid until"):
        VALIDATOR.validate(ipns_key(NAME), record(valid_until=NOW))
    VALIDATOR.validate(ipns_key(NAME), record(valid_until=NOW + 0.001))
    stranger = PeerId.from_public_key(KeyPair.generate("ed25519").public)
    with pytest.raises(RecordInvalid, match="signature"):
        VALIDATOR.validate(ipns_key(stranger), record())
    with pytest.raises(RecordInvalid):
        VALIDATOR.validate(b"/ipns/nobody", record())


def test_saying_one_thing_and_signing_another_is_refused() -> None:
    entry = ipns_pb2.IpnsEntry.FromString(record())
    entry.value = b"/something else"
    with pytest.raises(RecordInvalid, match="signs another"):
        IpnsRecord.open(entry.SerializeToString(), NAME)


def test_unknown_kinds_of_validity_are_refused() -> None:
    fields = cbor2.loads(ipns_pb2.IpnsEntry.FromString(record()).data) | {"ValidityType": 1}
    data = cbor2.dumps(fields, canonical=True)
    entry = ipns_pb2.IpnsEntry(signatureV2=OWNER.sign(SIGNED + data), data=data)
    with pytest.raises(RecordInvalid, match="kind of validity"):
        IpnsRecord.open(entry.SerializeToString(), NAME)


def test_size_and_numbers_are_bounded() -> None:
    with pytest.raises(LocalError, match="10240"):
        record(value=bytes(MAX_RECORD))
    with pytest.raises(RecordInvalid):
        IpnsRecord.open(bytes(MAX_RECORD + 1), NAME)
    with pytest.raises(LocalError):
        IpnsRecord(b"/x", 2**64, NOW)


def test_the_newer_record_wins_then_the_longer_one() -> None:
    key = ipns_key(NAME)
    old, long, new = record(1), record(1, NOW + 600.0), record(2)
    assert VALIDATOR.select(key, [old, new, long]) == 1
    assert VALIDATOR.select(key, [old, long]) == 1
    same = [record(1, value=b"/a"), record(1, value=b"/b")]
    assert same[VALIDATOR.select(key, same)] == same[::-1][VALIDATOR.select(key, same[::-1])]
