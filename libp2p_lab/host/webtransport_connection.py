"""Drives a WebTransport session: like QUIC's driver, but a Noise handshake on the first stream says who is there.

The listener's certificate says nothing of its peer id; the dialer knows its hash from the address. Nobody asks the
dialer for a certificate at all. Inside the handshake the listener lists the hashes of its certificates: if the one on
this connection is not among them, somebody sits in between.

Spec: webtransport/README.md#security-handshake
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from libp2p_lab.errors import ConnectionLost, HandshakeFailed, LabError, ProtocolViolation
from libp2p_lab.host.handshake_stream import HandshakeStream
from libp2p_lab.host.own_streams import HostParts
from libp2p_lab.host.quic_connection import QuicLink
from libp2p_lab.host.quic_session import BAD_CERTIFICATE, QuicEvent, QuicSession
from libp2p_lab.host.webtransport_certificates import RollingCertificates, check_certificate
from libp2p_lab.host.webtransport_session import WebTransportSession
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxer import StreamOpened
from libp2p_lab.security.noise import PROTOCOL_ID as NOISE
from libp2p_lab.security.noise import Noise
from libp2p_lab.wire import multibase

if TYPE_CHECKING:
    from libp2p_lab.host.quic_endpoint import QuicEndpoint


class WebTransportLink(QuicLink):
    """A session on a socket.

    Args: as `QuicLink`, and
        certificates: ours, as the listener.
    """

    transport, security, muxer = "webtransport", NOISE, "/webtransport"

    def __init__(
        self,
        session: QuicSession,
        endpoint: QuicEndpoint,
        local_addr: Multiaddr,
        remote_addr: Multiaddr,
        parts: HostParts,
        *,
        expected: PeerId | None,
        is_dialer: bool,
        certificates: RollingCertificates,
    ) -> None:
        super().__init__(
            session,
            endpoint,
            local_addr,
            remote_addr,
            parts,
            expected=expected,
            is_dialer=is_dialer,
        )
        self._certificates = certificates
        self._web = cast(WebTransportSession, session)
        self._handshake: HandshakeStream | None = None
        self._proving: asyncio.Task[None] | None = None

    def _handle(self, events: list[QuicEvent]) -> None:
        for event in events:
            handshake = self._handshake
            if handshake is None and not self.is_dialer and isinstance(event, StreamOpened):
                own = self._certificates.at(time.time()).own
                self._begin_handshake(event.stream_id, own, None)
            elif handshake is not None and handshake.stream_id == getattr(event, "stream_id", -1):
                handshake.take(event)
            else:
                super()._handle([event])
        if self._web.goodbye is not None and not self.is_over:
            self._on_goodbye(self._web.goodbye)

    def _on_goodbye(self, reason: str) -> None:
        if self.connection is None:
            self.abandon(HandshakeFailed(reason))
        else:
            self._web.said_goodbye = True
            self.close()

    def _prove(self) -> None:
        """The keys are there. As the dialer, look at the certificate, and ask for a session."""
        if not self.is_dialer or self._handshake is not None:
            return
        certhashes = tuple(
            multibase.decode(part.value)
            for part in self.remote_addr.parts
            if part.name == "certhash"
        )
        try:
            if not self._web.remote_chain:
                raise HandshakeFailed("the listener showed no certificate")
            found = check_certificate(self._web.remote_chain[0], certhashes, time.time())
        except HandshakeFailed as error:
            self.abandon(error, BAD_CERTIFICATE)
            return
        host, port = self.remote_addr.parts[0].value, self.remote_addr.parts[1].value
        self._web.request(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        # Without waiting for the answer, as the spec advises.
        if not self._web.can_open_stream():
            self.abandon(ProtocolViolation("the listener allows no streams"))
            return
        self._begin_handshake(self._web.open_stream(), (), found)

    def _begin_handshake(
        self, stream_id: int, certhashes: tuple[bytes, ...], known_certhash: bytes | None
    ) -> None:
        noise = Noise(
            early_muxers=False,
            certhashes=certhashes,
            known_certhash=known_certhash,
            peer_id_of=self.parts.peer_id_of,
        )
        self._handshake = HandshakeStream(self._web, stream_id, self.transmit_soon)
        self._proving = asyncio.get_running_loop().create_task(self._shake_hands(noise))
        self._proving.add_done_callback(self._on_proven)

    async def _shake_hands(self, noise: Noise) -> None:
        assert self._handshake is not None
        try:
            proven = await noise.secure(
                self._handshake,
                key=self.parts.key,
                is_dialer=self.is_dialer,
                expected_peer=self._expected,
                muxers=(),
                probe=self.probe.on("security"),
            )
            await self._handshake.close_write()
        except (LabError, OSError) as error:
            self.abandon(error)
        else:
            if not self.proven.done():
                self.proven.set_result(proven.remote_peer)

    def _on_proven(self, task: asyncio.Task[None]) -> None:
        """A handshake that failed by a mistake of ours costs its own connection."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.abandon(error)

    def _finish(self) -> None:
        super()._finish()
        loss = ConnectionLost("the connection ended during its handshake")
        if self._handshake is not None:
            self._handshake.fail(loss)  # whoever reads from it hears of it
