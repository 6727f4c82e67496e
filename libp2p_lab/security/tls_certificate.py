"""The certificate of libp2p's TLS: nobody vouches for it but the peer itself.

In the web a certificate says "some authority knows this name". Here there are no authorities and no names. Each peer
makes a certificate for a throw-away key, signs it with that same key, and puts into it one extension: its identity
key, and a signature by it over the throw-away key.

    certificate
    ├── public key          the throw-away key: TLS proves that the remote holds it
    ├── extension 1.3.6.1.4.1.53594.1.1
    │   └── SignedKey       SEQUENCE { identity key, as a protobuf: OCTET STRING,
    │                                  signature: OCTET STRING }
    │                       signature = sign(identity key, "libp2p-tls-handshake:" + throw-away public key)
    └── signature           by the throw-away key over all of the above

So the chain of proof is: TLS → throw-away key → identity key → peer id. QUIC and `/tls/1.0.0` use the same certificate.

Misconception: a self-signed certificate proves nothing. Its signature does not; the one in the extension does.

No input, output or time in here: the present moment comes in as an argument.

Spec: tls/tls.md#peer-authentication
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from libp2p_lab.errors import HandshakeFailed, LabError, MalformedMessage
from libp2p_lab.identity.key_formats import MAX_RSA_BITS
from libp2p_lab.identity.keys import KeyPair, PublicKey

EXTENSION = x509.ObjectIdentifier("1.3.6.1.4.1.53594.1.1")
SIGNATURE_PREFIX = b"libp2p-tls-handshake:"
MAX_CERTIFICATE = 16 * 1024  # bytes; with an RSA identity of 8192 bits it takes 3 KB
CLOCK_SKEW = timedelta(hours=1)  # how far the remote's clock may be behind ours; as go-libp2p
VALIDITY = timedelta(days=365 * 100)  # as go-libp2p: it ends with the process that made it

#: Extensions that may be marked critical: their meaning is known, and none of it matters here.
_HARMLESS = frozenset(
    (
        EXTENSION,
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
    )
)

#: What the X.509 library raises for bytes that are no certificate.
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_SEQUENCE, _OCTET_STRING = 0x30, 0x04


@dataclass(frozen=True, slots=True)
class SignedKey:
    """What stands in the extension.

    Spec: tls/tls.md#libp2p-public-key-extension

    Attributes:
        identity_key: the peer's public key, as a protobuf.
        signature: by it, over the prefix and the certificate's public key.
    """

    identity_key: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The bytes in DER."""
        body = _encode(_OCTET_STRING, self.identity_key) + _encode(_OCTET_STRING, self.signature)
        return _encode(_SEQUENCE, body)

    @classmethod
    def decode(cls, data: bytes) -> SignedKey:
        """Read the bytes.

        Raises: `MalformedMessage` if they are anything but a sequence of two octet strings.
        """
        match _elements(data):
            case [(0x30, body)]:
                parts = _elements(body)
            case _:
                raise MalformedMessage("the libp2p extension is not one DER sequence")
        match parts:
            case [(0x04, identity_key), (0x04, signature)]:
                return cls(identity_key, signature)
            case _:
                raise MalformedMessage("a SignedKey has two octet strings")


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """Our certificate, and the throw-away key that TLS signs with.

    Attributes:
        certificate: the certificate.
        private_key: of the throw-away key. It is not the identity.
    """

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate's bytes on the wire."""
        return self.certificate.public_bytes(Encoding.DER)


def make_certificate(
    key: KeyPair, now: float, private_key: ec.EllipticCurvePrivateKey | None = None
) -> OwnCertificate:
    """A certificate by which `key` is known.

    Args:
        key: the identity.
        now: seconds since 1970, UTC.
        private_key: the throw-away key; None makes a fresh one, on the curve that everybody verifies.

    Spec: tls/tls.md#libp2p-public-key-extension
    """
    if private_key is None:
        private_key = ec.generate_private_key(ec.SECP256R1())
    public_key = private_key.public_key()
    encoded = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed_key = SignedKey(key.public.to_protobuf(), key.sign(SIGNATURE_PREFIX + encoded))
    moment = datetime.fromtimestamp(now, UTC)
    nobody = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - CLOCK_SKEW)
        .not_valid_after(moment + VALIDITY)
        .public_key(public_key)
        # The first of the extensions, and the only one: js-libp2p looks at no other place.
        .add_extension(x509.UnrecognizedExtension(EXTENSION, signed_key.encode()), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    return OwnCertificate(certificate, private_key)


def verify_certificate(chain: Sequence[bytes], now: float) -> PublicKey:
    """The identity that a remote's certificate proves. It is for TLS to prove that the remote holds its key.

    Args:
        chain: what the remote sent, each certificate in DER.
        now: seconds since 1970, UTC.

    Raises: `HandshakeFailed` if any rule is broken.

    Spec: tls/tls.md#peer-authentication
    """
    if len(chain) != 1:
        raise HandshakeFailed(f"the remote sent {len(chain)} certificates: it must send one")
    (der,) = chain
    if len(der) > MAX_CERTIFICATE:
        raise HandshakeFailed(f"a certificate of {len(der)} bytes: {MAX_CERTIFICATE} are the most")
    try:
        with warnings.catch_warnings():  # of what a later version will refuse: our rules decide
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
        _check_validity(certificate, now)
        signed_key = SignedKey.decode(_find_extension(certificate))
        _check_own_signature(certificate)
        identity = PublicKey.from_protobuf(signed_key.identity_key)
        encoded = _public_key_info(certificate)
    except HandshakeFailed:
        raise
    except LabError as error:
        raise HandshakeFailed(f"the remote's certificate: {error}") from error
    except _UNREADABLE as error:
        raise HandshakeFailed(f"the remote's certificate does not parse: {error}") from None
    if not identity.verify(SIGNATURE_PREFIX + encoded, signed_key.signature):
        raise HandshakeFailed(
            "the identity key did not sign this certificate's key: "
            "whoever answers does not hold the identity that it claims"
        )
    return identity


def _check_validity(certificate: x509.Certificate, now: float) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    if moment < certificate.not_valid_before_utc:
        raise HandshakeFailed(
            f"the certificate is valid from {certificate.not_valid_before_utc} on: "
            "not yet, or one of the two clocks is wrong"
        )
    if moment > certificate.not_valid_after_utc:
        raise HandshakeFailed(f"the certificate expired at {certificate.not_valid_after_utc}")


def _find_extension(certificate: x509.Certificate) -> bytes:
    """The libp2p extension's bytes; its place among the others does not matter."""
    found = None
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _HARMLESS:
            raise HandshakeFailed(
                f"critical extension {extension.oid.dotted_string}: what is not understood must not be passed over"
            )
        if extension.oid == EXTENSION:
            assert isinstance(extension.value, x509.UnrecognizedExtension)
            found = extension.value.value
    if found is None:
        raise HandshakeFailed("the certificate has no libp2p extension: it proves no peer id")
    return found


def _check_own_signature(certificate: x509.Certificate) -> None:
    """Whether the certificate's own key signed it. Names do not matter: there is nobody else to have signed it."""
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    parameters = certificate.signature_algorithm_parameters
    try:
        match certificate.public_key(), parameters:
            case ec.EllipticCurvePublicKey() as key, ec.ECDSA():
                key.verify(signature, signed, parameters)
            case rsa.RSAPublicKey() as key, padding.PKCS1v15() | padding.PSS():
                if key.key_size > MAX_RSA_BITS:
                    raise HandshakeFailed(f"a certificate's RSA key of {key.key_size} bits")
                assert certificate.signature_hash_algorithm is not None
                key.verify(signature, signed, parameters, certificate.signature_hash_algorithm)
            case (ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey()) as key, None:
                key.verify(signature, signed)
            case _:
                raise HandshakeFailed("the certificate is signed in a way that its key cannot sign")
    except InvalidSignature:
        raise HandshakeFailed("the certificate's own signature is wrong") from None


def _public_key_info(certificate: x509.Certificate) -> bytes:
    """The certificate's public key, byte for byte as it stands there: this is what the identity signed.

    TBSCertificate: [0] version, serial, signature algorithm, issuer, validity, subject, **public key**, … The version
    is not optional, for a certificate with extensions is of version 3.
    """
    ((_, body),) = _elements(certificate.tbs_certificate_bytes)
    tag, info = _elements(body)[6]
    return _encode(tag, info)


# -- DER, as much as is needed ----------------------------------------------------------------------------------


def _encode(tag: int, body: bytes) -> bytes:
    """| tag | length | body |, the length below 128 in one byte, else in as few as it needs behind their count."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """The elements that stand one behind the other in `data`: tag and body of each.

    Raises: `MalformedMessage` if one is cut off, or its length is not in its shortest form.
    """
    found = []
    offset = 0
    while offset < len(data):
        header = data[offset : offset + 2]
        if len(header) < 2:
            raise MalformedMessage("DER element is cut off")
        tag, size = header
        start = offset + 2
        if size >= 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[start : start + count], "big")
            start += count
        body = data[start : start + size]
        if data[offset : start + size] != _encode(tag, body) or len(body) != size:
            raise MalformedMessage("DER element is cut off, or its length not in its shortest form")
        found.append((tag, body))
        offset = start + size
    return found
