"""Keys against the spec's vectors, and the keys and signatures of other implementations."""

from __future__ import annotations

import hashlib
import random

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity import KeyPair, KeyType, PeerId, PublicKey
from libp2p_lab.wire import protobuf
from tests.support import load_vectors

VECTORS = load_vectors("keys_and_peer_ids.json")["vectors"]
WITH_KEYS = [row for row in VECTORS if "private_pb" in row]
SIGNATURES = [row for row in VECTORS if row["kind"] == "signature"]
BULK = next(row for row in VECTORS if row["kind"] == "bulk")
ALWAYS_THE_SAME = {"ed25519", "secp256k1", "rsa"}


@pytest.fixture(scope="module")
def pairs() -> dict[str, KeyPair]:
    return {key_type.name.lower(): KeyPair.generate(key_type) for key_type in KeyType}


TYPES = pytest.mark.parametrize("name", [key_type.name.lower() for key_type in KeyType])


# -- vectors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", WITH_KEYS, ids=lambda row: row["id"])
def test_vector(row) -> None:
    data = bytes.fromhex(row["private_pb"])
    pair = KeyPair.from_protobuf(data)
    assert pair.type.name.lower() == pair.public.type.name.lower() == row["type"]
    if row["id"] == "go-ed25519-96-byte-form":
        assert pair.to_protobuf() == b"\x08\x01\x12\x40" + data[4:68]  # the newer form
    else:
        assert pair.to_protobuf() == data
    if "public_pb" in row:
        assert pair.public.to_protobuf().hex() == row["public_pb"]
    assert PublicKey.from_protobuf(pair.public.to_protobuf()) == pair.public
    if "peer_id_bytes" in row:
        assert PeerId.from_public_key(pair.public).multihash.hex() == row["peer_id_bytes"]


@pytest.mark.parametrize("row", SIGNATURES, ids=lambda row: row["id"])
def test_signature_vector(row) -> None:
    pair = KeyPair.from_protobuf(bytes.fromhex(row["private_pb"]))
    message, signature = bytes.fromhex(row["message"]), bytes.fromhex(row["signature"])
    assert pair.public.verify(message, signature)
    assert not pair.public.verify(message + b"!", signature)
    assert (pair.sign(message) == signature) is (row["type"] in ALWAYS_THE_SAME)


def test_bulk_vector() -> None:
    """The ten thousand node keys of another project's simulations, by their seeds."""
    text = hashlib.sha256()
    for number in range(10_000):
        seed = number.to_bytes(4, "little") + bytes(28)
        public = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
        key = PublicKey(KeyType.ED25519, public.public_bytes_raw())
        text.update(f">{number}:{PeerId.from_public_key(key)}\n".encode())
    assert text.hexdigest() == BULK["sha256_of_text"]


# -- every kind of key -----------------------------------------------------------------------------


@TYPES
def test_round_trips(pairs, name) -> None:
    pair = pairs[name]
    assert KeyPair.from_protobuf(pair.to_protobuf()) == pair
    assert KeyPair.from_pem(pair.to_pem()) == pair
    assert PublicKey.from_pem(pair.public.to_pem()) == pair.public
    assert hash(KeyPair.from_pem(pair.to_pem())) == hash(pair)
    assert len({pair.public, PublicKey.from_protobuf(pair.public.to_protobuf())}) == 1


@TYPES
def test_only_the_right_signature_verifies(pairs, name) -> None:
    pair = pairs[name]
    signature = pair.sign(b"message")
    assert pair.public.verify(b"message", signature)
    assert not pair.public.verify(b"massage", signature)
    assert (pair.sign(b"message") == signature) is (name in ALWAYS_THE_SAME)
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(len(signature)), b"\xff" * 9000):
        assert not pair.public.verify(b"message", wrong)
    for other in pairs.values():
        assert other.public.verify(b"message", signature) is (other is pair)


@TYPES
def test_a_printed_pair_does_not_show_the_secret(pairs, name) -> None:
    pair = pairs[name]
    secret = pair.to_protobuf()[4:]
    shown = repr(pair)
    assert "public=PublicKey(" in shown
    assert repr(secret[:16])[2:-1] not in shown
    assert secret.hex()[:16] not in shown


def test_secp256k1_signatures_have_a_low_s_and_high_ones_are_understood(pairs) -> None:
    pair = pairs["secp256k1"]
    order = 2**256 - 0x14551231950B75FC4402DA1732FC9BEBF
    for number in range(20):
        message = str(number).encode()
        signature = pair.sign(message)
        r, s = decode_dss_signature(signature)
        assert s <= order // 2
        assert pair.public.verify(message, encode_dss_signature(r, order - s))


# -- making keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ed25519", "secp256k1", "ecdsa"])
def test_the_same_seed_gives_the_same_key(name) -> None:
    first = KeyPair.generate(name, random.Random(7))
    assert KeyPair.generate(name, random.Random(7)) == first
    assert KeyPair.generate(name, random.Random(8)) != first
    assert KeyPair.generate(name) != KeyPair.generate(name)
    assert KeyPair.from_protobuf(first.to_protobuf()) == first
    assert first.public.verify(b"x", first.sign(b"x"))


def test_wrong_requests() -> None:
    with pytest.raises(LocalError, match="ed25519"):
        KeyPair.generate("dsa")
    with pytest.raises(LocalError, match="rng"):
        KeyPair.generate("rsa", random.Random(1))
    for bits in (1024, 16384):
        with pytest.raises(LocalError, match="2048 to 8192"):
            KeyPair.generate("rsa", rsa_bits=bits)


def test_names_and_members_name_a_type() -> None:
    assert KeyPair.generate("SECP256K1").type is KeyType.SECP256K1
    assert KeyPair.generate(KeyType.ECDSA).type is KeyType.ECDSA


# -- what is refused -------------------------------------------------------------------------------


def key_bytes(key_type: int, data: bytes) -> bytes:
    return protobuf.varint_field(1, key_type) + protobuf.bytes_field(2, data)


def test_halves_that_do_not_belong_together(pairs) -> None:
    seed = pairs["ed25519"].to_protobuf()[4:36]
    mine, other = pairs["ed25519"].public.raw, KeyPair.generate().public.raw
    assert KeyPair.from_protobuf(key_bytes(1, seed + mine + mine)) == pairs["ed25519"]
    for wrong in (seed, seed + other, seed + mine + other, seed + other + other, seed + mine * 3):
        with pytest.raises(MalformedMessage):
            KeyPair.from_protobuf(key_bytes(1, wrong))


@pytest.mark.parametrize("number", [bytes(32), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33])
def test_numbers_that_are_no_secp256k1_key(number) -> None:
    with pytest.raises(MalformedMessage):
        KeyPair.from_protobuf(key_bytes(2, number))


def test_curves_and_kinds_that_libp2p_does_not_use() -> None:
    p384 = ec.generate_private_key(ec.SECP384R1())
    der = p384.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public_der = p384.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for key_type in (0, 3):
        with pytest.raises(MalformedMessage):
            KeyPair.from_protobuf(key_bytes(key_type, der))
        with pytest.raises(MalformedMessage):
            PublicKey.from_protobuf(key_bytes(key_type, public_der))
    agreement = x25519.X25519PrivateKey.generate()
    for key in (p384, agreement):
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with pytest.raises(LocalError):
            KeyPair.from_pem(pem.decode())
        public_pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(LocalError):
            PublicKey.from_pem(public_pem.decode())


@TYPES
def test_a_key_under_the_wrong_type(pairs, name) -> None:
    pair = pairs[name]
    for key_type in set(KeyType) - {pair.type}:
        with pytest.raises(MalformedMessage):
            PublicKey.from_protobuf(key_bytes(key_type.value, pair.public.raw))
        if len(pair.public.raw) != 33:  # 32 bytes are a private Secp256k1 key, whatever they were
            with pytest.raises(MalformedMessage):
                KeyPair.from_protobuf(key_bytes(key_type.value, pair.to_protobuf()[4:]))


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\n", "\ud800"])
def test_bad_pem(text) -> None:
    with pytest.raises(LocalError):
        KeyPair.from_pem(text)
    with pytest.raises(LocalError):
        PublicKey.from_pem(text)


def test_pem_with_a_password() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(LocalError):
        KeyPair.from_pem(locked.decode())


@given(st.binary(max_size=120))
def test_any_bytes_end_in_a_key_or_a_remote_error(data) -> None:
    for read in (KeyPair.from_protobuf, PublicKey.from_protobuf):
        try:
            key = read(data)
        except MalformedMessage:
            continue
        assert key.to_protobuf()[:2] == data[:2]


def sample(key_type: KeyType):
    row = next(row for row in SIGNATURES + WITH_KEYS if row["type"] == key_type.name.lower())
    private = bytes.fromhex(row["private_pb"])
    public = KeyPair.from_protobuf(private).public.to_protobuf()
    return (KeyPair.from_protobuf, private), (PublicKey.from_protobuf, public)


SAMPLES = {key_type: sample(key_type) for key_type in KeyType}
PUBLIC_KEYS = [PublicKey.from_protobuf(public) for _, (_, public) in SAMPLES.values()]


@given(st.sampled_from(list(KeyType)), st.data())
@settings(max_examples=150)
def test_any_damage_to_a_key_ends_in_a_key_or_a_remote_error(key_type, data) -> None:
    read, original = data.draw(st.sampled_from(SAMPLES[key_type]))
    damaged = bytearray(original)
    position = data.draw(st.integers(0, len(damaged) - 1))
    damaged[position] ^= data.draw(st.integers(1, 255))
    if key_type is KeyType.RSA and read == KeyPair.from_protobuf:
        damaged = damaged[: position + 1]  # checking whole private RSA keys takes too long here
    try:
        key = read(bytes(damaged))
    except MalformedMessage:
        return
    if isinstance(key, PublicKey):
        assert key.to_protobuf() == bytes(damaged)  # its one form
    else:
        assert KeyPair.from_protobuf(key.to_protobuf()) == key


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_any_signature_ends_in_true_or_false(message, signature) -> None:
    for public in PUBLIC_KEYS:
        assert public.verify(message, signature) is False


def test_the_hash_under_a_signature_is_sha256(pairs) -> None:
    """Signing by hand with the cryptography library gives what libp2p's rule says."""
    pem = serialization.load_pem_private_key(pairs["ecdsa"].to_pem().encode(), None)
    assert isinstance(pem, ec.EllipticCurvePrivateKey)
    assert pairs["ecdsa"].public.verify(b"x", pem.sign(b"x", ec.ECDSA(hashes.SHA256())))
    assert not pairs["ecdsa"].public.verify(b"x", pem.sign(b"x", ec.ECDSA(hashes.SHA512())))
