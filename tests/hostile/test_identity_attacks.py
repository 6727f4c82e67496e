"""What a hostile peer may try with keys, ids, addresses and records.

The numbers are those of the list of security statements that the project holds itself to.
"""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from libp2p_lab.errors import LocalError, MalformedMessage, RecordInvalid, RemoteError
from libp2p_lab.identity import (
    Envelope,
    KeyPair,
    KeyType,
    Multiaddr,
    PeerId,
    PeerRecord,
    PublicKey,
    keys,
)
from libp2p_lab.identity.multiaddr import MAX_BYTES, MAX_TEXT
from libp2p_lab.wire import multibase, multihash, protobuf, varint
from tests.support import load_vectors

ADDR = Multiaddr("/ip4/192.0.2.1/tcp/4001")


def key_bytes(key_type: KeyType, data: bytes) -> bytes:
    return protobuf.varint_field(1, key_type.value) + protobuf.bytes_field(2, data)


# -- S16: huge RSA keys ----------------------------------------------------------------------------


def rsa_der(bits: int, exponent: int = 65537) -> bytes:
    """A public key whose modulus is just an odd number of that size: as costly to use as any."""
    modulus = (1 << bits) - (1 << bits - 2) + 1
    return (
        rsa.RSAPublicNumbers(exponent, modulus)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


BAD_RSA = {
    "1024 bits": rsa_der(1024),
    "2047 bits": rsa_der(2047),
    "8193 bits": rsa_der(8193),
    "16384 bits": rsa_der(16384),
    "exponent of 2000 bits": rsa_der(2048, (1 << 2000) + 1),
}


@pytest.mark.parametrize("der", BAD_RSA.values(), ids=BAD_RSA.keys())
def test_s16_rsa_keys_out_of_range_are_refused_before_verifying(der, monkeypatch) -> None:
    def verified() -> None:
        pytest.fail("the signature was looked at")

    monkeypatch.setattr(keys.padding, "PKCS1v15", verified)
    encoded = key_bytes(KeyType.RSA, der)
    with pytest.raises(MalformedMessage):
        PublicKey.from_protobuf(encoded)
    assert not PublicKey(KeyType.RSA, der).verify(b"message", b"\1" * 2048)
    envelope = protobuf.bytes_field(1, encoded) + protobuf.bytes_field(5, b"\1" * 2048)
    with pytest.raises(MalformedMessage):
        Envelope.decode(envelope)


@pytest.mark.parametrize("bits", [2048, 8192])
def test_s16_the_allowed_sizes_are_read(bits) -> None:
    assert PublicKey.from_protobuf(key_bytes(KeyType.RSA, rsa_der(bits))).type is KeyType.RSA


def test_s16_an_endless_key_is_refused_by_its_length() -> None:
    with pytest.raises(MalformedMessage, match="the most"):
        PublicKey.from_protobuf(key_bytes(KeyType.RSA, bytes(1 << 20)))


# -- S17: one key, one id --------------------------------------------------------------------------

PAIRS = {key_type: KeyPair.generate(key_type) for key_type in KeyType}


def padded(encoded: bytes) -> bytes:
    """The same varint in one byte more."""
    return encoded[:-1] + bytes((encoded[-1] | 0x80, 0))


def other_protobufs(key: PublicKey) -> dict[str, bytes]:
    kind, raw = key.type.value, key.raw
    type_field, data_field = protobuf.varint_field(1, kind), protobuf.bytes_field(2, raw)
    length = varint.encode(len(raw))
    return {
        "reordered": data_field + type_field,
        "an extra field behind": type_field + data_field + protobuf.varint_field(3, 0),
        "an extra field in front": protobuf.varint_field(3, 1) + type_field + data_field,
        "an extra field between": type_field + protobuf.bytes_field(7, b"") + data_field,
        "the type twice": type_field * 2 + data_field,
        "the data twice": type_field + data_field * 2,
        "no type": data_field,
        "no data": type_field,
        "nothing": b"",
        "a padded type": b"\x08" + padded(bytes((kind,))) + data_field,
        "a padded tag": padded(b"\x08") + bytes((kind,)) + data_field,
        "a padded length": type_field + b"\x12" + padded(length) + raw,
        "a type of 64 bits": b"\x08" + protobuf.write_varint((1 << 63) + kind) + data_field,
        "cut off": (type_field + data_field)[:-1],
        "one byte more": type_field + data_field + b"\0",
        "the type as bytes": protobuf.bytes_field(1, bytes((kind,))) + data_field,
        "an unknown type": protobuf.varint_field(1, 4) + data_field,
    }


def other_data(key: PublicKey) -> dict[str, bytes]:
    """Other ways to write the key itself."""
    match key.type:
        case KeyType.ED25519:
            field = (1 << 255) - 19
            return {
                "y beyond the field": (field + 1).to_bytes(32, "little"),
                "the same with a sign": (field + 1 | 1 << 255).to_bytes(32, "little"),
                "a byte more": key.raw + b"\0",
                "a byte less": key.raw[:-1],
            }
        case KeyType.SECP256K1:
            loaded = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key.raw)
            point = loaded.public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
            return {
                "uncompressed": point,
                "hybrid": bytes((6 + point[-1] % 2,)) + point[1:],
                "infinity": b"\0",
                "x beyond the field": b"\x02" + b"\xff" * 32,
            }
        case KeyType.ECDSA:
            point = key.raw[-65:]
            compressed = bytes((2 + point[-1] % 2,)) + point[1:33]
            header = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
            return {
                "a compressed point": b"\x30\x39" + header + b"\x03\x22\x00" + compressed,
                "a long form of the length": b"\x30\x81\x59" + key.raw[2:],
                "rubbish behind": key.raw + b"\0",
                "the bare point": point,
            }
        case KeyType.RSA:
            pkcs1 = serialization.load_der_public_key(key.raw).public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.PKCS1
            )
            pss = key.raw.replace(
                bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01010a")
            )
            assert pss != key.raw
            return {
                "PKCS#1": pkcs1,
                "marked for PSS only": pss,
                "rubbish behind": key.raw + b"\0",
                "a longer length": b"\x30\x83\x00" + key.raw[2:],
            }


VARIANTS = [
    pytest.param(data, id=f"{key_type.name}: {what}")
    for key_type, pair in PAIRS.items()
    for what, data in {
        **other_protobufs(pair.public),
        **{what: key_bytes(key_type, raw) for what, raw in other_data(pair.public).items()},
    }.items()
]


@pytest.mark.parametrize("data", VARIANTS)
def test_s17_a_key_in_any_other_form_is_refused(data) -> None:
    with pytest.raises(MalformedMessage):
        PublicKey.from_protobuf(data)
    with pytest.raises(MalformedMessage):
        Envelope.decode(protobuf.bytes_field(1, data))


@pytest.mark.parametrize("pair", PAIRS.values(), ids=lambda pair: pair.type.name)
def test_s17_the_one_form_gives_the_one_id(pair) -> None:
    read = PublicKey.from_protobuf(pair.public.to_protobuf())
    assert PeerId.from_public_key(read) == PeerId.from_public_key(pair.public)


# -- S18: records of other peers -------------------------------------------------------------------


def test_s18_a_record_signed_by_another_peer_is_refused() -> None:
    attacker = KeyPair.generate()
    victim = PeerId.from_public_key(KeyPair.generate().public)
    record = PeerRecord(victim, (1 << 64) - 1, (ADDR,))
    forged = Envelope.seal(attacker, "libp2p-peer-record", b"\x03\x01", record.encode())
    with pytest.raises(RecordInvalid, match=str(victim)):
        PeerRecord.open(forged.encode())


def test_s18_the_signature_is_checked_before_the_record_is_read() -> None:
    attacker = KeyPair.generate()
    envelope = Envelope(attacker.public, b"\x03\x01", b"\xff" * 100, b"\0" * 64)
    with pytest.raises(RecordInvalid, match="signature"):
        PeerRecord.open(envelope.encode())


def test_s18_the_key_cannot_be_swapped() -> None:
    owner, attacker = KeyPair.generate(), KeyPair.generate()
    mine = PeerRecord(PeerId.from_public_key(owner.public), 1, (ADDR,)).seal(owner)
    swapped = Envelope(attacker.public, mine.payload_type, mine.payload, mine.signature)
    with pytest.raises(RecordInvalid):
        PeerRecord.open(swapped.encode())


# -- S54: varints ----------------------------------------------------------------------------------

BAD_VARINTS = {
    "ten bytes": b"\xff" * 9 + b"\x01",
    "nine bytes that go on": b"\xff" * 9,
    "endless": b"\x80" * 1000,
    "not minimal": b"\x81\x00",
    "zero in two bytes": b"\x80\x00",
    "cut off": b"\x81",
    "empty": b"",
}
PARSERS = {
    "varint": varint.decode,
    "multihash code": multihash.decode,
    "multihash length": lambda bad: multihash.decode(b"\x12" + bad),
    "multiaddr code": lambda bad: Multiaddr(b"\x04\x7f\0\0\x01" + bad if bad else b""),
    "multiaddr length": lambda bad: Multiaddr(b"\x35" + bad),
    "certhash in a multiaddr": lambda bad: Multiaddr(
        b"\xd2\x03" + varint.encode(len(bad) + 1) + b"\x12" + bad
    ),
    "peer id code": PeerId,
    "peer id length": lambda bad: PeerId(b"\x00" + bad),
}
TEXT_PARSERS = {
    "CID version": lambda bad: PeerId.from_text("f" + bad.hex()),
    "CID codec": lambda bad: PeerId.from_text("f01" + bad.hex()),
    "multihash in a CID": lambda bad: PeerId.from_text("f0172" + bad.hex()),
    "peer id in an address": lambda bad: Multiaddr("/p2p/f0172" + bad.hex()),
    "certhash in an address": lambda bad: Multiaddr("/certhash/f12" + bad.hex()),
}


@pytest.mark.parametrize("bad", BAD_VARINTS.values(), ids=BAD_VARINTS.keys())
@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS.keys())
def test_s54_bad_varints_are_refused_by_every_parser(parse, bad) -> None:
    with pytest.raises(MalformedMessage):
        parse(bad)


@pytest.mark.parametrize("bad", BAD_VARINTS.values(), ids=BAD_VARINTS.keys())
@pytest.mark.parametrize("parse", TEXT_PARSERS.values(), ids=TEXT_PARSERS.keys())
def test_s54_bad_varints_in_text_are_refused_by_every_parser(parse, bad) -> None:
    with pytest.raises(LocalError):
        parse(bad)


# -- S55: addresses --------------------------------------------------------------------------------

CRASHES = [row for row in load_vectors("multiaddr.json")["vectors"] if "crash" in row["kind"]]


@pytest.mark.parametrize("row", CRASHES, ids=lambda row: row["id"])
def test_s55_inputs_that_crashed_others(row) -> None:
    data = bytes.fromhex(row["bytes"])
    for end in range(len(data) + 1):
        try:
            address = Multiaddr(data[:end])
        except MalformedMessage:
            continue
        assert bytes(Multiaddr(str(address))) == data[:end]


CODES = ["2a", "35", "36", "37", "38", "9003", "a503", "be03", "bf03", "c103", "d203", "e103"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("before", ["", "047f000001060050"])
def test_s55_values_of_no_length(before, code) -> None:
    with pytest.raises(MalformedMessage):
        Multiaddr(bytes.fromhex(before + code + "00"))


NESTING = {
    "ip4": Multiaddr("/ip4/1.2.3.4"),
    "circuits": Multiaddr("/p2p-circuit"),
    "names": Multiaddr("/dns/a"),
    "a mixture": Multiaddr("/ip6/::1/udp/1/quic-v1/p2p-circuit/sni/x"),
}


@pytest.mark.parametrize("piece", NESTING.values(), ids=NESTING.keys())
def test_s55_64_kib_of_nesting_are_refused_by_their_length(piece) -> None:
    with pytest.raises(MalformedMessage, match=str(MAX_BYTES)):
        Multiaddr(bytes(piece) * (65536 // len(bytes(piece)) + 1))
    with pytest.raises(LocalError, match=str(MAX_TEXT)):
        Multiaddr(str(piece) * (65536 // len(str(piece)) + 1))


def calls_made_by(work) -> int:
    """How many functions, of Python's or of C's, are called on the way."""
    calls = 0

    def count(_frame, event, _arg) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("piece", NESTING.values(), ids=NESTING.keys())
def test_s55_the_work_grows_with_the_length_and_no_faster(piece) -> None:
    half = MAX_BYTES // 2 // len(bytes(piece))
    data = bytes(piece) * half
    once = calls_made_by(lambda: Multiaddr(data))
    twice = calls_made_by(lambda: Multiaddr(data * 2))
    assert once > half
    assert twice <= 2.1 * once
    text = str(piece) * (MAX_BYTES // 2 // max(len(bytes(piece)), len(str(piece)) // 4))
    once = calls_made_by(lambda: Multiaddr(text))
    twice = calls_made_by(lambda: Multiaddr(text * 2))
    assert twice <= 2.1 * once


def test_s55_memory_is_bounded_by_the_input() -> None:
    data = b"\xa2\x02" * (MAX_BYTES // 2)  # the shortest parts there are
    tracemalloc.start()
    try:
        Multiaddr(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * MAX_BYTES


@pytest.mark.parametrize("text", ["z" + "2" * 1_000_000, "k" + "z" * 1_000_000, "9" * 1_000_000])
def test_s55_large_numbers_in_text_are_refused_by_their_length(text) -> None:
    """Reading base58, base36 and base10 takes quadratic time, so the length is bounded first."""
    with pytest.raises(LocalError, match="more than"):
        multibase.decode(text)
    with pytest.raises(LocalError):
        PeerId.from_text(text)
    with pytest.raises(LocalError):
        Multiaddr("/p2p/" + text)


# -- S56: protobuf ---------------------------------------------------------------------------------


def sealed() -> tuple[bytes, PeerRecord]:
    key = KeyPair.generate()
    record = PeerRecord(PeerId.from_public_key(key.public), 5, (ADDR,))
    return record.seal(key).encode(), record


def test_s56_unknown_fields_are_skipped() -> None:
    data, record = sealed()
    unknown = (
        protobuf.varint_field(100, 1)
        + protobuf.bytes_field(101, b"x" * 1000)
        + protobuf.write_varint(102 << 3 | protobuf.FIXED64)
        + bytes(8)
        + protobuf.write_varint(103 << 3 | protobuf.FIXED32)
        + bytes(4)
    )
    assert PeerRecord.open(unknown + data + unknown) == record
    assert [number for number, _, _ in protobuf.read_fields(unknown)] == [100, 101, 102, 103]


LENGTHS = [b"\x7f", b"\xff\x7f", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01"]


@pytest.mark.parametrize("length", LENGTHS, ids=bytes.hex)
@pytest.mark.parametrize("field", range(1, 6))
def test_s56_a_length_past_the_end_is_refused_and_costs_nothing(field, length) -> None:
    data, _ = sealed()
    claim = protobuf.write_varint(field << 3 | protobuf.BYTES) + length + b"x"
    nested = protobuf.bytes_field(3, claim)
    tracemalloc.start()
    try:
        for message in (claim, data + claim):
            with pytest.raises(MalformedMessage):
                list(protobuf.read_fields(message))
            with pytest.raises(RemoteError):
                PeerRecord.open(message)
        if field == 1:
            with pytest.raises(MalformedMessage):
                PeerRecord.decode(nested)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_s56_no_recursion() -> None:
    nested = b""
    while len(nested) < 60_000:  # some 15,000 levels; Python gives up after 1,000
        nested = protobuf.bytes_field(3, nested)
    assert sys.getrecursionlimit() < 5_000
    assert len(list(protobuf.read_fields(nested))) == 1
    for message in (nested, b"\x1b" * 60_000, b"\x23" * 60_000):
        for read in (Envelope.decode, PeerRecord.open, PublicKey.from_protobuf):
            with pytest.raises(RemoteError):
                read(message)


def test_s56_many_fields_are_read_one_by_one() -> None:
    data = protobuf.varint_field(1, 1) * 50_000
    tracemalloc.start()
    try:
        assert sum(value for _, _, value in protobuf.read_fields(data)) == 50_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000  # nothing is collected on the way
