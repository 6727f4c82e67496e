"""One side's TLS 1.3, without I/O: bytes in, plaintexts out, and the reverse. OpenSSL does the work, our rules judge.

OpenSSL is asked for three things that a web browser would not do. It demands a certificate of *both* sides; it accepts
any and asks us (`tls_certificate.py`) before the handshake goes on, so that our refusal still reaches the remote as an
alert; and it never resumes an earlier session, for then nobody would show a certificate.

Files: `tls_certificate.py` and `tls_records.py` first, then this one. Specs: RFC 8446 and Spec: tls/tls.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from OpenSSL import SSL, crypto

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LabError,
    LocalError,
    PeerIdMismatch,
    ProtocolViolation,
)
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.tls_certificate import OwnCertificate, verify_certificate
from libp2p_lab.security.tls_records import (
    MAX_PLAINTEXT,
    OVERHEAD,
    RECORD_HEADER,
    TlsRecord,
    TlsSecret,
    record_length,
)
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer

ALPN_WITHOUT_MUXER = "libp2p"  # always offered last: the muxer is negotiated afterwards

#: SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets and does not name: without it one call writes all records.
_PARTIAL_WRITE = 1

#: The fastest first; all three are equally good here.
_CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


def make_context(own: OwnCertificate) -> SSL.Context:
    """What all connections of one identity share."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(_CIPHERS)
    context.clear_mode(_PARTIAL_WRITE)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    context.use_certificate(own.certificate)
    context.use_privatekey(own.private_key)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _judge)
    context.set_alpn_select_callback(_select_alpn)
    context.set_keylog_callback(_confide)
    return context


class TlsSession:
    """One side of one connection.

    Args:
        context: from `make_context`.
        is_dialer: True for the TLS client.
        expected_peer: who must answer; None for anybody.
        muxers: ours, the preferred first; none leaves the muxer open.
        now: seconds since 1970, UTC: the moment at which the remote's certificate must be valid.
        peer_id_of: the name of the peer that holds a key; only exercises replace it.
        probe: where records are reported.

    Attributes:
        remote_peer: who proved to be at the other end; None until then.
        is_finished: whether the handshake is.
        is_ended: whether the remote said that it sends no more.
    """

    __slots__ = (
        "_buffer",
        "_connection",
        "_expected_peer",
        "_heard",
        "_is_broken",
        "_is_dialer",
        "_muxers",
        "_now",
        "_peer_id_of",
        "_received",
        "_sent",
        "is_ended",
        "is_finished",
        "probe",
        "remote_peer",
    )

    def __init__(
        self,
        context: SSL.Context,
        *,
        is_dialer: bool,
        expected_peer: PeerId | None = None,
        muxers: Sequence[str] = (),
        now: float,
        peer_id_of: Callable[[PublicKey], PeerId] = PeerId.from_public_key,
        probe: Probe | None = None,
    ) -> None:
        self._is_dialer = is_dialer
        self._expected_peer = expected_peer
        self._muxers = (*muxers, ALPN_WITHOUT_MUXER)
        self._now = now
        self._peer_id_of = peer_id_of
        self._buffer = b""  # an unfinished record
        self._sent = self._received = 0  # records
        self._heard = False  # any application data
        self._is_broken = False  # the remote broke a rule
        self.probe = probe if probe is not None else Probe(layer="security")
        self.remote_peer: PeerId | None = None
        self.is_finished = self.is_ended = False
        self._connection = SSL.Connection(context)
        self._connection.set_app_data(self)
        if is_dialer:
            # No server name: there are no names here. Spec: tls/tls.md#future-extensibility
            self._connection.set_alpn_protos([protocol.encode() for protocol in self._muxers])
            self._connection.set_connect_state()
            self._advance()
        else:
            self._connection.set_accept_state()

    @property
    def muxer(self) -> str | None:
        """The muxer agreed on, or None.

        Spec: connections/inlined-muxer-negotiation.md#multiplexer-negotiation-over-tls
        """
        chosen = self._connection.get_alpn_proto_negotiated().decode()
        return chosen if chosen in self._muxers[:-1] else None

    # -- receiving --------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take bytes from the wire, in pieces of any size; give the plaintexts that are complete.

        Raises: `HandshakeFailed` or `PeerIdMismatch` until both sides are proven; later `ProtocolViolation` for a
            record that was changed, `ConnectionLost` if the remote reports an error. An alert for the remote may wait
            in `data_to_send` then.
        """
        plaintexts = []
        tracing = bool(self.probe.trace.listeners)
        together = self.is_finished and not tracing
        try:
            for records, count in self._records(data, together):
                self._connection.bio_write(records)
                for _ in range(count):
                    plaintext = self._read() if self.is_finished else self._advance()
                    if plaintext:
                        plaintexts.append(plaintext)
                    if tracing:
                        record = TlsRecord(bytes(records), plaintext)
                        self.probe.emit("received", record, self._received)
                    self._received += 1
        except SSL.Error as error:
            self._is_broken = True
            raise self._translate(error) from None
        except LabError:
            self._is_broken = True
            raise
        return _joined(plaintexts) if together and len(plaintexts) > 1 else plaintexts

    def _records(self, data: bytes, together: bool) -> Iterator[tuple[memoryview, int]]:
        """The records that `data` completes, and how many: one by one, or as many as stand there.

        Only one that is cut is copied. OpenSSL takes many at once in half the time.
        """
        view = memoryview(data)
        while self._buffer:
            missing = record_length(self._buffer) - len(self._buffer)
            if not missing:
                record, self._buffer = self._buffer, b""
                yield memoryview(record), 1
            elif view:
                self._buffer += view[:missing]
                view = view[missing:]
            else:
                return
        end = count = 0
        while len(view) - end >= RECORD_HEADER:
            length = record_length(view[end : end + RECORD_HEADER])
            if len(view) - end < length:
                break
            end += length
            count += 1
            if not together:
                yield view[:end], 1
                view, end, count = view[end:], 0, 0
        if count:
            yield view[:end], count
        self._buffer = bytes(view[end:])

    def _advance(self) -> bytes:
        """The next step of the handshake, if enough has arrived for it."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return b""
        self._connection.set_app_data(
            None
        )  # the callbacks are done: nothing holds on to us any more
        self._check_chain()
        self.is_finished = True
        return b""

    def _check_chain(self) -> None:
        """One certificate, and it was judged. Spec: tls/tls.md#peer-authentication"""
        # What OpenSSL calls the chain begins with the remote's own certificate only on the client's side.
        chain = self._connection.get_peer_cert_chain() or []
        count = len(chain) + (not self._is_dialer)
        if count != 1:
            raise HandshakeFailed(f"the remote sent {count} certificates: it must send one")
        if self.remote_peer is None:
            raise HandshakeFailed("the handshake ended without a certificate of the remote")

    def _read(self) -> bytes:
        """The plaintext of the record that was just taken; b"" if it was for TLS itself."""
        try:
            plaintext = self._connection.recv(MAX_PLAINTEXT)
        except SSL.WantReadError:
            return b""
        except SSL.ZeroReturnError:
            self.is_ended = True
            return b""
        self._heard = True
        return plaintext

    def judge(self, certificate: bytes) -> None:
        """Called in the middle of the handshake with the remote's certificate.

        Raises: `HandshakeFailed`, `PeerIdMismatch`: the handshake ends here, and the remote is told.
        """
        self.remote_peer = None
        remote_peer = self._peer_id_of(verify_certificate([certificate], self._now))
        if self._expected_peer not in (None, remote_peer):
            raise PeerIdMismatch(str(self._expected_peer), str(remote_peer))
        self.remote_peer = remote_peer

    def select_muxer(self, offered: Sequence[bytes]) -> bytes:
        """Called in the middle of the handshake with what the client offers: the first of it that we have too.

        Raises: `HandshakeFailed` if we have none of it. Spec: tls/tls.md#alpn
        """
        ours = [protocol.encode() for protocol in self._muxers]
        for protocol in offered:
            if protocol in ours:
                return protocol
        raise HandshakeFailed(f"the remote offers {b', '.join(offered)!r}: none of it is libp2p")

    # -- sending ----------------------------------------------------------------------------------------------

    def seal(self, data: Buffer) -> bytes:
        """`data` as one or more records, ready for the wire.

        Raises: `LocalError` before the handshake is finished; `ConnectionLost` after the remote broke a rule.
        """
        if not self.is_finished:
            raise LocalError("the handshake is not finished")
        if self._is_broken:
            raise ConnectionLost("TLS has given this connection up")
        plaintext = memoryview(data)
        size = len(plaintext)
        if not self.probe.trace.listeners:
            count = (size + MAX_PLAINTEXT - 1) // MAX_PLAINTEXT
            if size:
                self._do(self._connection.send, plaintext)
            return self._take(size + count * OVERHEAD)  # together, which spares calls and copies
        parts = []
        for start in range(0, size, MAX_PLAINTEXT):
            part = plaintext[start : start + MAX_PLAINTEXT]
            self._do(self._connection.send, part)
            parts.append(self._take(len(part) + OVERHEAD, bytes(part)))
        return b"".join(parts)

    def data_to_send(self) -> bytes:
        """What TLS itself has to say: handshake messages, alerts; `b""` when there is nothing."""
        return self._take(MAX_PLAINTEXT)

    def end(self) -> bytes:
        """The last record: nothing more will be sent."""
        self._do(self._connection.shutdown)
        return self.data_to_send()

    def _do(self, action: Callable[..., object], *arguments: object) -> None:
        """What does not fail unless the connection is dead already."""
        try:
            action(*arguments)
        except SSL.Error:
            raise ConnectionLost("TLS has given this connection up") from None

    def _take(self, expected: int, plaintext: bytes = b"") -> bytes:
        """All that OpenSSL wants to send, about `expected` bytes; `plaintext` is what the last record holds."""
        taken = self._bio_read(expected + 1)
        while len(taken) > expected and (more := self._bio_read(MAX_PLAINTEXT)):
            taken += more
        view = memoryview(taken)
        while view:
            end = record_length(view)
            if self.probe.trace.listeners:
                content = plaintext if end == len(view) else b""
                self.probe.emit("sent", TlsRecord(bytes(view[:end]), content), self._sent)
            self._sent += 1
            view = view[end:]
        return taken

    def _bio_read(self, size: int) -> bytes:
        try:
            return self._connection.bio_read(size)
        except SSL.WantReadError:
            return b""

    # -- errors -----------------------------------------------------------------------------------------------

    def _translate(self, error: SSL.Error) -> LabError:
        """OpenSSL's error as one of ours."""
        reason = str(error.args[0][0][2]) if error.args and error.args[0] else "TLS failed"
        told = " alert " in reason  # the remote's words, not our judgement
        if not self.is_finished:
            return HandshakeFailed(f"TLS: {'the remote refuses, ' if told else ''}{reason}")
        if not told:
            return ProtocolViolation(f"TLS record {self._received}: {reason}")
        if not self._heard:
            # A client is done before the server has looked at its certificate.
            # Spec: tls/tls.md#peer-authentication
            return HandshakeFailed(f"TLS: the remote refuses, {reason}")
        return ConnectionLost(f"the remote ended the connection: TLS {reason}")


# -- what OpenSSL calls back, for whichever connection is at it ---------------------------------------------------


def _joined(pieces: list[bytes]) -> list[bytes]:
    """The same bytes in pieces of four records at most: each piece has a way through the muxer before it."""
    return [b"".join(pieces[start : start + 4]) for start in range(0, len(pieces), 4)]


def _session(connection: SSL.Connection) -> TlsSession:
    session = connection.get_app_data()
    assert isinstance(session, TlsSession)
    return session


def _judge(
    connection: SSL.Connection, certificate: crypto.X509, _error: int, depth: int, _ok: int
) -> bool:
    """Called for each certificate and each thing that OpenSSL dislikes about it. Only our own rules count."""
    if depth:
        raise HandshakeFailed("the remote sent a chain of certificates: it must send one")
    _session(connection).judge(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
    return True


def _select_alpn(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    return _session(connection).select_muxer(offered)


def _confide(connection: SSL.Connection, line: bytes) -> None:
    session = connection.get_app_data()
    if isinstance(session, TlsSession) and session.probe.trace.confidants:
        session.probe.confide(TlsSecret(line.decode()))
