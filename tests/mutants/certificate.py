"""Answers to E3.6."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import libp2p_lab as lab
from libp2p_lab.security.tls_certificate import SignedKey
from libp2p_lab.security.tls_certificate import verify_certificate as by_the_library
from tests.mutants import Mutant

OURS = "1.3.6.1.4.1.53594.1.1"
USAGE = "2.5.29.15"
PREFIX = b"libp2p-tls-handshake:"


def another(der, now):
    """With the library's own function; the name as text."""
    return str(lab.PeerId.from_public_key(by_the_library([der], now)))


def verifier(
    *,
    dates=True,
    begins=True,
    critical=True,
    own=True,
    prefixes=(PREFIX,),
    signed=True,
    known=(OURS, USAGE),
):
    """A right one, unless the arguments leave something out."""

    def verify(der, now):
        certificate = x509.load_der_x509_certificate(der)
        moment = datetime.fromtimestamp(now, UTC)
        if dates and moment > certificate.not_valid_after_utc:
            raise ValueError("expired")
        if begins and moment < certificate.not_valid_before_utc:
            raise ValueError("not yet")
        extensions = list(certificate.extensions)
        if critical and any(e.critical and e.oid.dotted_string not in known for e in extensions):
            raise ValueError("critical")
        found = next((e for e in extensions if e.oid.dotted_string == OURS), None)
        if found is None:
            raise ValueError("no extension")
        key = certificate.public_key()
        if own:
            algorithm = ec.ECDSA(certificate.signature_hash_algorithm)
            try:
                key.verify(certificate.signature, certificate.tbs_certificate_bytes, algorithm)
            except InvalidSignature:
                raise ValueError("signature") from None
        told = SignedKey.decode(found.value.value)
        identity = lab.PublicKey.from_protobuf(told.identity_key)
        info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if signed and not any(identity.verify(p + info, told.signature) for p in prefixes):
            raise ValueError("forged")
        return lab.PeerId.from_public_key(identity)

    return verify


right = verifier()


def first_extension(der, now):
    """Looks at the first extension only."""
    certificate = x509.load_der_x509_certificate(der)
    if certificate.extensions[0].oid.dotted_string != OURS:
        raise ValueError("no extension")
    return right(der, now)


def nobody(der, now):
    """Who has no extension is a peer without a name."""
    try:
        return right(der, now)
    except ValueError as error:
        if "extension" in str(error):
            return None
        raise


def of_the_certificate(der, now):
    """The peer id of the throw-away key."""
    right(der, now)
    key = x509.load_der_x509_certificate(der).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return lab.PeerId.from_public_key(
        lab.PublicKey.from_protobuf(b"\x08\x03\x12" + bytes([len(info)]) + info)
    )


def unreadable_is_none(der, now):
    try:
        x509.load_der_x509_certificate(der)
    except ValueError:
        return None
    return right(der, now)


ANOTHER = another
MUTANTS = (
    Mutant(first_extension, "refuses", "another extension before ours"),
    Mutant(verifier(known=()), "refuses", "a critical extension that is known"),
    Mutant(verifier(prefixes=(b"",)), "refuses", "first certificate"),
    Mutant(of_the_certificate, "who"),
    Mutant(verifier(signed=False), "forged", "fourth certificate"),
    Mutant(verifier(prefixes=(PREFIX, b"")), "prefix", "without the prefix"),
    Mutant(nobody, "no-extension", "as the web has them"),
    Mutant(verifier(own=False), "own-signature"),
    Mutant(verifier(dates=False), "expired", "yesterday"),
    Mutant(verifier(begins=False), "not-yet", "tomorrow"),
    Mutant(verifier(critical=False), "critical"),
    Mutant(unreadable_is_none, "garbage"),
    Mutant("a certificate", "wrong-type"),
)
