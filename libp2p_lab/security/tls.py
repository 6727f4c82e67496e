"""libp2p's TLS, `/tls/1.0.0`: TLS 1.3 in which both sides show a certificate, and neither has a name.

Three messages' worth of round trips, as with Noise, and one more idea: the muxer is agreed on in passing. The client
lists its muxers where a browser lists "h2" and "http/1.1" (ALPN), the server picks one. Unlike in Noise that list is
in the clear.

    dialer                                             listener
      ClientHello: key share, ALPN             →
                                               ←       ServerHello: key share
                                               ←       {ALPN, certificate, proof, finished}
      {certificate, proof, finished}           →                    { }: encrypted

This is the driver: it moves bytes between a stream and the core, `tls_session.py`. The rules for certificates stand in
`tls_certificate.py`, which is the file to read first.

Spec: tls/tls.md
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LabError,
    RemoteError,
    StreamClosed,
)
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer, ByteStream

if TYPE_CHECKING:
    from OpenSSL import SSL

    from libp2p_lab.security.tls_session import TlsSession

PROTOCOL_ID = "/tls/1.0.0"
_READ_SIZE = 256 * 1024


class TlsStream:
    """A `SecureConnection`: reads and writes plaintext, moves records.

    Attributes:
        remote_peer: who proved to be at the other end.
        muxer: what the handshake agreed on, or None.
    """

    __slots__ = ("_plaintexts", "_raw", "_session", "_write_closed", "muxer", "remote_peer")

    def __init__(
        self, raw: ByteStream, session: TlsSession, remote_peer: PeerId, early: Sequence[bytes]
    ) -> None:
        self._raw = raw
        self._session = session
        self._plaintexts = deque(early)  # what came right behind the handshake
        self._write_closed = False
        self.remote_peer = remote_peer
        self.muxer = session.muxer

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`.

        Raises: `ConnectionLost` if the stream below ends before the remote said that it would, so that nobody can cut
            off the end unnoticed; `HandshakeFailed` if the remote refuses our certificate after all;
            `ProtocolViolation` for a bad record.
        """
        if n < 0:
            parts = []
            while part := await self.read(_READ_SIZE):
                parts.append(part)
            return b"".join(parts)
        while not self._plaintexts:
            if self._session.is_ended:
                return b""
            data = await self._raw.read(_READ_SIZE)
            if not data:
                raise ConnectionLost("the stream ended without TLS's goodbye")
            self._plaintexts.extend(self._session.receive_data(data))
        plaintext = self._plaintexts.popleft()
        if len(plaintext) > n:
            self._plaintexts.appendleft(plaintext[n:])
            return plaintext[:n]
        return plaintext

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        if self._write_closed:
            raise StreamClosed("nothing can be written after close_write")
        await self._raw.write(self._session.seal(data))

    async def close_write(self) -> None:
        """As `ByteStream.close_write`: TLS says goodbye too, so that the remote knows this end for the real one."""
        await self._say_goodbye()
        await self._raw.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        with contextlib.suppress(LabError):  # it may be gone already
            await self._say_goodbye()
        await self._raw.close()

    async def _say_goodbye(self) -> None:
        if not self._write_closed:
            self._write_closed = True
            await self._raw.write(self._session.end())

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._raw.reset()


class TLS:
    """The security protocol `/tls/1.0.0`.

    The certificate is made once and used for every connection (as the spec allows).

    Args:
        early_muxers: False leaves the list of muxers out of the handshake, as rust-libp2p does.
        clock: gives seconds since 1970, UTC: certificates have a beginning and an end.
        peer_id_of: the name of the peer that holds a key; only exercises replace it.
    """

    __slots__ = ("_clock", "_contexts", "_peer_id_of", "early_muxers")

    protocol = PROTOCOL_ID

    def __init__(
        self,
        early_muxers: bool = True,
        clock: Callable[[], float] = time.time,
        peer_id_of: Callable[[PublicKey], PeerId] = PeerId.from_public_key,
    ) -> None:
        self.early_muxers = early_muxers
        self._clock = clock
        self._peer_id_of = peer_id_of
        self._contexts: dict[PublicKey, SSL.Context] = {}

    async def secure(
        self,
        raw: ByteStream,
        *,
        key: KeyPair,
        is_dialer: bool,
        expected_peer: PeerId | None,
        muxers: Sequence[str],
        probe: Probe,
    ) -> TlsStream:
        """As `SecureChannel.secure`."""
        from libp2p_lab.security.tls_session import TlsSession

        session = TlsSession(
            self._context(key),
            is_dialer=is_dialer,
            expected_peer=expected_peer,
            muxers=tuple(muxers) if self.early_muxers else (),
            now=self._clock(),
            peer_id_of=self._peer_id_of,
            probe=probe,
        )
        plaintexts: list[bytes] = []
        try:
            while not session.is_finished:
                await _flush(session, raw)
                data = await raw.read(_READ_SIZE)
                if not data:
                    raise HandshakeFailed("the remote hung up in the middle of the TLS handshake")
                plaintexts += session.receive_data(data)
            await _flush(session, raw)
        except RemoteError:
            with contextlib.suppress(LabError):
                await _flush(session, raw)  # the alert that tells the remote why
            raise
        assert session.remote_peer is not None  # who is finished has judged
        return TlsStream(raw, session, session.remote_peer, plaintexts)

    def _context(self, key: KeyPair) -> SSL.Context:
        from libp2p_lab.security.tls_certificate import make_certificate
        from libp2p_lab.security.tls_session import make_context

        context = self._contexts.get(key.public)
        if context is None:
            context = self._contexts[key.public] = make_context(
                make_certificate(key, self._clock())
            )
        return context


async def _flush(session: TlsSession, raw: ByteStream) -> None:
    if data := session.data_to_send():
        await raw.write(data)
