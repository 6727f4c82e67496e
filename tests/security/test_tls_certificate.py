"""Certificates: the vectors, our own, and every rule broken once."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import HandshakeFailed, MalformedMessage
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.security.tls_certificate import (
    EXTENSION,
    MAX_CERTIFICATE,
    SignedKey,
    make_certificate,
    verify_certificate,
)
from tests.security.certificates import DAY, NAMED, UNKNOWN, certificate, signed_key
from tests.support import load_vectors

NOW = time.time()
IDENTITY = KeyPair.generate()
OTHER = KeyPair.generate()
KEY = ec.generate_private_key(ec.SECP256R1())
ANOTHER_KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = signed_key(IDENTITY, KEY)
VECTORS = load_vectors("tls_certificates.json")["vectors"]


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["id"])
def test_vectors(row) -> None:
    der = bytes.fromhex(row["cert_der"])
    moment = NOW
    if row["id"].startswith("rust-") and not row["valid"]:
        # These are long expired. What they are for shows only while they were valid.
        moment = x509.load_der_x509_certificate(der).not_valid_before_utc.timestamp()
    if not row["valid"]:
        with pytest.raises(HandshakeFailed):
            verify_certificate([der], moment)
        return
    peer = PeerId.from_public_key(verify_certificate([der], moment))
    assert str(peer) == row.get("peer_id", str(peer))


# -- our own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "secp256k1", "ecdsa", "rsa"])
def test_our_own_are_accepted(kind) -> None:
    key = KeyPair.generate(kind)
    own = make_certificate(key, NOW)
    assert verify_certificate([own.der], NOW) == key.public


def test_our_extension_comes_first() -> None:
    (extension,) = make_certificate(IDENTITY, NOW).certificate.extensions
    assert extension.oid == EXTENSION


def test_ours_is_valid_for_a_remote_whose_clock_is_a_little_behind() -> None:
    own = make_certificate(IDENTITY, NOW)
    verify_certificate([own.der], NOW - 3500)
    verify_certificate([own.der], NOW + 50 * 365 * 86400)


def test_the_throw_away_key_is_not_the_identity() -> None:
    """And a fresh one each time, so that certificates of one peer have nothing in common but the identity."""
    one, other = make_certificate(IDENTITY, NOW), make_certificate(IDENTITY, NOW)
    assert one.private_key.private_numbers() != other.private_key.private_numbers()


# -- what others may do otherwise ------------------------------------------------------------------

PSS = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)
RSA_KEY = rsa.generate_private_key(65537, 2048)
KEYS = {
    "P-256": KEY,
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
    "RSA": RSA_KEY,
}
ALMOST_OURS = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.2")
BASIC = x509.BasicConstraints(ca=True, path_length=None)
UNKNOWN_EXTENSION = x509.UnrecognizedExtension(UNKNOWN, b"anything")

ACCEPTED = {
    **{
        f"a key of {name}": certificate(key, signed_key(IDENTITY, key))
        for name, key in KEYS.items()
    },
    "RSA with PSS": certificate(RSA_KEY, signed_key(IDENTITY, RSA_KEY), rsa_padding=PSS),
    "a critical extension of ours": certificate(KEY, GOOD, critical=True),
    "an unknown extension": certificate(KEY, GOOD, others=((UNKNOWN_EXTENSION, False),)),
    "ours behind another": certificate(
        KEY, GOOD, others=((UNKNOWN_EXTENSION, False),), others_first=True
    ),
    "critical basic constraints": certificate(KEY, GOOD, others=((BASIC, True),)),
    "issuer and subject differ": certificate(KEY, GOOD, issuer=NAMED),
}


@pytest.mark.parametrize("der", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(der) -> None:
    assert verify_certificate([der], NOW) == IDENTITY.public


# -- every rule broken once ------------------------------------------------------------------------

REFUSED = {
    "no libp2p extension": (certificate(KEY, None), "no libp2p extension"),
    "empty extension": (certificate(KEY, b""), "sequence"),
    "garbage in the extension": (certificate(KEY, b"\x30\x82garbage"), "DER"),
    "something behind the sequence": (certificate(KEY, GOOD + b"\x05\x00"), "sequence"),
    "signed over another key": (
        certificate(KEY, signed_key(IDENTITY, ANOTHER_KEY)),
        "did not sign",
    ),
    "signed by another identity": (
        certificate(KEY, signed_key(IDENTITY, KEY, signer=OTHER)),
        "did not sign",
    ),
    "signed without the prefix": (
        certificate(KEY, signed_key(IDENTITY, KEY, prefix=b"")),
        "did not sign",
    ),
    "signed with Noise's prefix": (
        certificate(KEY, signed_key(IDENTITY, KEY, prefix=b"noise-libp2p-static-key:")),
        "did not sign",
    ),
    "no signature": (
        certificate(KEY, SignedKey(IDENTITY.public.to_protobuf(), b"").encode()),
        "did not sign",
    ),
    "an identity that is no key": (
        certificate(KEY, SignedKey(b"x", b"y").encode()),
        "certificate: ",
    ),
    "expired": (certificate(KEY, GOOD, starts=-2 * DAY, ends=-DAY), "expired"),
    "not yet valid": (certificate(KEY, GOOD, starts=DAY, ends=2 * DAY), "not yet"),
    "unknown critical extension": (
        certificate(KEY, GOOD, others=((UNKNOWN_EXTENSION, True),)),
        UNKNOWN.dotted_string,
    ),
    "signed by another key of the same kind": (
        certificate(KEY, GOOD, signer=ANOTHER_KEY),
        "own signature is wrong",
    ),
    "signed by another kind of key": (
        certificate(KEY, GOOD, signer=RSA_KEY),
        "its key cannot sign",
    ),
}


@pytest.mark.parametrize(("der", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(der, reason) -> None:
    with pytest.raises(HandshakeFailed, match=reason):
        verify_certificate([der], NOW)


def test_the_extension_twice() -> None:
    """Which of the two would count? Neither."""
    der = certificate(KEY, GOOD, others=((x509.UnrecognizedExtension(ALMOST_OURS, GOOD), False),))
    twice = der.replace(bytes.fromhex("83a25a0102"), bytes.fromhex("83a25a0101"))
    assert twice != der
    with pytest.raises(HandshakeFailed, match="parse"):
        verify_certificate([twice], NOW)


def test_one_certificate_and_no_more() -> None:
    der = make_certificate(IDENTITY, NOW).der
    for chain in ([], [der, der], [der] * 10):
        with pytest.raises(HandshakeFailed, match=f"{len(chain)} certificates"):
            verify_certificate(chain, NOW)


def test_a_huge_certificate_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(HandshakeFailed, match=str(MAX_CERTIFICATE)):
        verify_certificate([bytes(MAX_CERTIFICATE + 1)], NOW)


def test_an_rsa_key_of_16384_bits_is_refused_before_its_signature_is_checked(monkeypatch) -> None:
    row = next(row for row in VECTORS if row["id"] == "rust-rsa_pss_sha384")
    monkeypatch.setattr("libp2p_lab.security.tls_certificate.MAX_RSA_BITS", 2047)
    with pytest.raises(HandshakeFailed, match="RSA key of 2048 bits"):
        verify_certificate([bytes.fromhex(row["cert_der"])], NOW)


# -- properties ------------------------------------------------------------------------------------

OWN = make_certificate(IDENTITY, NOW).der


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_signed_key_round_trip(identity_key, signature) -> None:
    signed = SignedKey(identity_key, signature)
    assert SignedKey.decode(signed.encode()) == signed


@given(st.binary(max_size=200))
def test_garbage_is_no_signed_key(data) -> None:
    try:
        signed = SignedKey.decode(data)
    except MalformedMessage:
        return
    assert signed.encode() == data, "one value has two encodings"


@given(st.binary(max_size=400))
def test_garbage_is_no_certificate(data) -> None:
    with pytest.raises(HandshakeFailed):
        verify_certificate([data], NOW)


@given(st.integers(0, len(OWN) - 1), st.integers(1, 255))
def test_one_changed_byte_is_noticed(position, change) -> None:
    changed = bytearray(OWN)
    changed[position] ^= change
    with pytest.raises(HandshakeFailed):
        verify_certificate([bytes(changed)], NOW)


@given(st.integers(0, len(OWN) - 1))
def test_cut_short(length) -> None:
    with pytest.raises(HandshakeFailed):
        verify_certificate([OWN[:length]], NOW)


@pytest.mark.parametrize("data", ["30020405", "308100", "30810401010101", "3084", "30"])
def test_der_that_is_cut_off_or_not_in_its_shortest_form(data) -> None:
    with pytest.raises(MalformedMessage):
        SignedKey.decode(bytes.fromhex(data))
