"""Certificates that break one rule each, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.security.tls_certificate import EXTENSION, SIGNATURE_PREFIX, SignedKey

CertificateKey = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

NOBODY = x509.Name([])
NAMED = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "somebody")])
UNKNOWN = x509.ObjectIdentifier("1.2.3.4.5.6.7")
DAY = timedelta(days=1)


def spki(key: CertificateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_key(
    identity: KeyPair,
    certificate_key: CertificateKey,
    *,
    prefix: bytes = SIGNATURE_PREFIX,
    signer: KeyPair | None = None,
) -> bytes:
    """The extension's bytes. A `signer` other than the identity makes a forgery."""
    signature = (signer or identity).sign(prefix + spki(certificate_key))
    return SignedKey(identity.public.to_protobuf(), signature).encode()


def certificate(
    key: CertificateKey,
    extension: bytes | None,
    *,
    critical: bool = False,
    others: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    others_first: bool = False,
    starts: timedelta = -DAY,
    ends: timedelta = DAY,
    signer: CertificateKey | None = None,
    issuer: x509.Name = NOBODY,
    rsa_padding: padding.PSS | padding.PKCS1v15 | None = None,
) -> bytes:
    """A certificate in DER, as wrong as the arguments make it.

    Args:
        starts, ends: from now.
        signer: signs instead of `key`.
        others: further extensions, and whether they are critical.
    """
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(NOBODY)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .public_key(key.public_key())
    )
    extensions = list(others)
    if extension is not None:
        ours = (x509.UnrecognizedExtension(EXTENSION, extension), critical)
        extensions.insert(len(extensions) if others_first else 0, ours)
    for value, is_critical in extensions:
        builder = builder.add_extension(value, critical=is_critical)
    by = signer or key
    algorithm = (
        None
        if isinstance(by, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        else hashes.SHA256()
    )
    return builder.sign(by, algorithm, rsa_padding=rsa_padding).public_bytes(Encoding.DER)
