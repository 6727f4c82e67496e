"""The certificates of a WebTransport listener: a new one every two weeks, and the next one known beforehand.

A browser takes a self-signed certificate if it knows its hash, but none that is valid for more than 14 days. Addresses
are passed on and kept for longer. So an address names two: the one in use and the one that comes after it.

    in use        |------ n-1 ------|------- n -------|------ n+1 ------|
    valid      |--------- n ----------- … each an hour before and after its use: clocks differ

Nothing is kept in a file. A certificate is made from the peer's key and the period that it is for, and so is always
the same: a host that was restarted is still found under its old addresses.

No input or output in here: the present moment comes in as an argument.

Spec: webtransport/README.md#certificates
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from libp2p_lab.errors import HandshakeFailed
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.wire import multihash

VALIDITY = 14 * 86_400  # seconds: the most that browsers accept
SKEW = 3600  # seconds that clocks may differ, as go-libp2p has it
PERIOD = VALIDITY - 2 * SKEW  # for which one is in use
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256


@dataclass(frozen=True, slots=True)
class RollingCertificate:
    """The certificate of one period.

    Attributes:
        certificate: self-signed, valid for 14 days.
        private_key: its key.
        certhash: its hash, as a multihash.
    """

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey
    certhash: bytes


@dataclass(frozen=True, slots=True)
class Roll:
    """The certificates of a moment.

    Attributes:
        since: from when on it holds, in seconds since 1970.
        last: the one before; its hash is in addresses that are still about.
        current: the one in use.
        next: the one after it.
        until: when the next takes its place, in seconds since 1970.
    """

    since: float
    last: RollingCertificate
    current: RollingCertificate
    next: RollingCertificate
    until: float

    @property
    def advertised(self) -> tuple[bytes, ...]:
        """The hashes for our addresses."""
        return self.current.certhash, self.next.certhash

    @property
    def own(self) -> tuple[bytes, ...]:
        """The hashes that we tell in the handshake. Spec: webtransport/README.md#security-handshake"""
        return self.last.certhash, *self.advertised


def roll_at(key: KeyPair, now: float) -> Roll:
    """The certificates of the peer with `key` at `now`, in seconds since 1970."""
    # Not all peers change on the same day.
    offset = int.from_bytes(hashlib.sha256(key.public.to_protobuf()).digest()[:8], "big") % PERIOD
    number = int((now - offset) // PERIOD)
    last, current, following = (
        _certificate(key, offset + (number + step) * PERIOD) for step in (-1, 0, 1)
    )
    since = offset + number * PERIOD
    return Roll(since, last, current, following, since + PERIOD)


class RollingCertificates:
    """Those of one peer; they are made once for each period.

    Args:
        key: the peer's.
    """

    __slots__ = ("_key", "_roll")

    def __init__(self, key: KeyPair) -> None:
        self._key = key
        self._roll: Roll | None = None

    def at(self, now: float) -> Roll:
        """As `roll_at`."""
        if self._roll is None or not self._roll.since <= now < self._roll.until:
            self._roll = roll_at(self._key, now)
        return self._roll


def _certificate(key: KeyPair, begin: int) -> RollingCertificate:
    """The one that is in use from `begin` on."""
    seed = HKDF(hashes.SHA256(), 48, begin.to_bytes(8, "big"), b"libp2p_lab webtransport").derive(
        key.to_protobuf()
    )
    private = ec.derive_private_key(
        int.from_bytes(seed[:40], "big") % (_ORDER - 1) + 1, ec.SECP256R1()
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "libp2p")])
    start = datetime.fromtimestamp(begin - SKEW, UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key())
        .serial_number(int.from_bytes(seed[40:], "big") | 1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(seconds=VALIDITY))
        # Chromium takes no certificate without extensions, whatever they say.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256(), ecdsa_deterministic=True)
    )
    der = certificate.public_bytes(Encoding.DER)
    return RollingCertificate(certificate, private, multihash.digest("sha2-256", der))


def check_certificate(der: bytes, certhashes: tuple[bytes, ...], now: float) -> bytes:
    """What a browser checks of a certificate that it knows by its hash.

    Args:
        der: the certificate that the listener showed.
        certhashes: those in its address, as multihashes.
        now: seconds since 1970.

    Returns: the certificate's hash.

    Raises: `HandshakeFailed`.
    """
    found = multihash.digest("sha2-256", der)
    if found not in certhashes:
        raise HandshakeFailed("the listener's certificate is none of those in its address")
    try:
        certificate = x509.load_der_x509_certificate(der)
        public = certificate.public_key()
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise HandshakeFailed(f"the listener's certificate does not parse: {error}") from None
    if isinstance(public, rsa.RSAPublicKey):
        raise HandshakeFailed("WebTransport certificates with RSA keys are not allowed")
    if end - begin > timedelta(seconds=VALIDITY):
        raise HandshakeFailed("a WebTransport certificate is valid for 14 days at most")
    if not begin <= datetime.fromtimestamp(now, UTC) <= end:
        raise HandshakeFailed("the listener's certificate has expired, or is not valid yet")
    return found
