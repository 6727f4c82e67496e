"""DTLS for WebRTC, as a core: OpenSSL at work on datagrams. Datagrams in, plaintexts and datagrams out.

Each side shows a certificate that nobody vouches for. What counts is its hash: the listener's stands in its address,
and both go into the Noise handshake that follows. So nothing is verified here but that whoever answers holds the key
of the certificate that it shows.

A datagram's source can be forged, and our certificate is longer than what asks for it. So a client must first send back
a cookie from where it claims to be (RFC 6347, section 4.2.1).

Spec: webrtc/webrtc-direct.md#connection-establishment
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from libp2p_lab.errors import ConnectionLost, HandshakeFailed
from libp2p_lab.wire import multihash

DATAGRAM = 1200  # bytes of one that we send: as everybody's WebRTC
RECORD_HEADER = 13
_DTLS_1_2 = 0xFEFD  # WebRTC has no other yet
_LARGEST = 1 << 16
# pyOpenSSL knows these where OpenSSL does; every OpenSSL with DTLS 1.2 does.
_OPTIONS = (SSL.OP_NO_QUERY_MTU or 0) | (SSL.OP_NO_TICKET or 0)
_COOKIES = SSL.OP_COOKIE_EXCHANGE or 0
_SRTP = (
    b"SRTP_AES128_CM_SHA1_80"  # for sound and pictures; some peers hang up where it is not offered
)


@dataclass(frozen=True, slots=True)
class DtlsCertificate:
    """A certificate and its key.

    Attributes:
        certificate: self-signed.
        private_key: what it is for.
    """

    certificate: x509.Certificate
    private_key: ec.EllipticCurvePrivateKey

    @property
    def certhash(self) -> bytes:
        """The certificate's hash, as a multihash."""
        return certhash(self.certificate.public_bytes(Encoding.DER))


def certhash(der: bytes) -> bytes:
    """The hash of a certificate, as it stands in addresses and in the Noise prologue. Spec:
    webrtc/webrtc-direct.md#addressing
    """
    return multihash.digest("sha2-256", der)


def self_signed(begin: float, seconds: float) -> DtlsCertificate:
    """A certificate without a name.

    Args:
        begin: seconds since 1970, UTC, from when it is valid.
        seconds: for how long.
    """
    key = ec.generate_private_key(ec.SECP256R1())  # the one curve that every WebRTC has
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "libp2p")])
    start = datetime.fromtimestamp(begin, UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(seconds=seconds))
        .sign(key, hashes.SHA256())
    )
    return DtlsCertificate(certificate, key)


class DtlsSession:
    """One side of a DTLS connection.

    Args:
        own: what we show.
        is_client: whether we begin.
        cookie: as the server, what this client must send back (see `cookie_for`).

    Attributes:
        is_address_proven: whether the remote is where it claims to be, as far as we asked.
        is_established: whether both have the keys.
        failure: why it is over, if it is.
        remote_certificate: what the remote showed, in DER, once established.
    """

    def __init__(self, own: DtlsCertificate, *, is_client: bool, cookie: bytes = b"") -> None:
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_max_proto_version(_DTLS_1_2)
        context.set_options(_OPTIONS)
        context.set_tlsext_use_srtp(_SRTP)
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True
        )  # its hash is looked at by the caller
        context.use_certificate(own.certificate)
        context.use_privatekey(own.private_key)
        if cookie:
            context.set_options(_COOKIES)
            context.set_cookie_generate_callback(lambda _: cookie)
            context.set_cookie_verify_callback(self._check_cookie)
        self._ssl = SSL.Connection(context)
        self._ssl.set_ciphertext_mtu(DATAGRAM)
        if is_client:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self._cookie = cookie
        self.is_address_proven = not cookie
        self.is_established = False
        self.failure: HandshakeFailed | ConnectionLost | None = None
        self.remote_certificate = b""

    def _check_cookie(self, _: SSL.Connection, given: bytes) -> bool:
        if hmac.compare_digest(given, self._cookie):
            self.is_address_proven = True
        return self.is_address_proven

    def start(self) -> None:
        """Begin, as the client."""
        self._handshake()

    def receive(self, data: bytes) -> list[bytes]:
        """Take one datagram; give what was in it. It never raises: see `failure`."""
        if self.failure is not None or not data:
            return []
        self._ssl.bio_write(data)
        if not self.is_established:
            self._handshake()
        return self._read() if self.is_established else []

    def _handshake(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self.failure = HandshakeFailed(f"DTLS handshake: {_reason(error)}")
            return
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            self.failure = HandshakeFailed("the remote showed no DTLS certificate")
            return
        self.remote_certificate = certificate.public_bytes(Encoding.DER)
        self.is_established = True

    def _read(self) -> list[bytes]:
        found: list[bytes] = []
        try:
            while True:
                found.append(self._ssl.recv(_LARGEST))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.failure = ConnectionLost("the remote closed the DTLS connection")
        except SSL.Error as error:
            self.failure = ConnectionLost(f"DTLS: {_reason(error)}")
        return found

    def send(self, data: bytes) -> None:
        """Encrypt a message that fits into a datagram."""
        if self.failure is None:
            self._ssl.send(data)

    def close(self) -> None:
        """Say goodbye."""
        if self.is_established and self.failure is None:
            self.failure = ConnectionLost("closed")
            with contextlib.suppress(SSL.Error):  # the remote's goodbye is not waited for
                self._ssl.shutdown()

    def timer_in(self) -> float | None:
        """In how many seconds `handle_timer` wants to be called."""
        if self.is_established or self.failure is not None:
            return None
        timeout: float | None = self._ssl.DTLSv1_get_timeout()
        return timeout

    def handle_timer(self) -> None:
        """Send the last messages of the handshake again, if it is time."""
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self.failure = HandshakeFailed(f"DTLS handshake: {_reason(error)}")

    def datagrams_to_send(self) -> list[bytes]:
        """What is to be sent now.

        OpenSSL gives records in a row. Each goes into a datagram of its own: several may share one, but libdatachannel
        (js-libp2p's) and aiortc read only the first, and the second when the next datagram comes.
        """
        try:
            data = self._ssl.bio_read(_LARGEST)
        except SSL.Error:  # there is nothing
            return []
        datagrams: list[bytes] = []
        while data:
            end = RECORD_HEADER + int.from_bytes(data[RECORD_HEADER - 2 : RECORD_HEADER], "big")
            datagrams.append(data[:end])
            data = data[end:]
        return datagrams


def cookie_for(secret: bytes, source: tuple[str, int]) -> bytes:
    """What a client at `source` must send back: nobody else is told it."""
    return hmac.digest(secret, f"{source[0]} {source[1]}".encode(), hashlib.sha256)


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words."""
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1])
    reasons = error.args[0] if error.args else []
    return ", ".join(str(reason[-1]) for reason in reasons) or type(error).__name__
