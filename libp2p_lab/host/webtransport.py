"""WebTransport: `/ip4/…/udp/…/quic-v1/webtransport/certhash/…`. QUIC, as browsers let a page use it.

A browser opens no plain QUIC connections. But it lets a page ask a server for a session over HTTP/3 and then open as
many streams as it likes. If the page knows the hash of the server's certificate, that may be self-signed.

    webtransport_certificates.py   a new certificate every two weeks   a core
    webtransport_session.py        HTTP/3 and the streams              a core (aioquic at work)
    webtransport_connection.py     the driver, and the Noise handshake that says who is there
    quic_session.py quic_connection.py quic_endpoint.py                what it stands on

Left out: listeners with a certificate that an authority has signed, whose addresses have no hash; datagrams; more
than one session on a connection.

Spec: webtransport/README.md
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.host.own_streams import Door, HostParts
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.transports.transport import Listener
from libp2p_lab.wire import multibase, multihash

if TYPE_CHECKING:
    from aioquic.quic.configuration import QuicConfiguration

    from libp2p_lab.host.quic_connection import QuicLink
    from libp2p_lab.host.quic_endpoint import QuicEndpoint
    from libp2p_lab.host.quic_session import QuicSession
    from libp2p_lab.host.webtransport_certificates import RollingCertificates
    from libp2p_lab.limits import Limits

DATAGRAM = 1232  # as for QUIC
_NAMES = ("udp", "quic-v1", "webtransport")


class WebTransport:
    """The transport `webtransport`: a `PeerTransport`."""

    __slots__ = ("_certificates",)

    name = "webtransport"

    def __init__(self) -> None:
        self._certificates: dict[HostParts, RollingCertificates] = {}

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is an IP address, a UDP port, /quic-v1/webtransport and at least one hash that we can make."""
        return _begins_right(addr) and bool(_certhashes(addr))

    def can_listen(self, addr: Multiaddr) -> bool:
        """Whether this is an IP address, a UDP port and /quic-v1/webtransport. The hashes come from us."""
        return _begins_right(addr) and len(addr.without_peer().parts) == 4

    async def dial_peer(
        self, addr: Multiaddr, expected: PeerId | None, number: int, parts: HostParts
    ) -> MuxedConnection:
        """As `PeerTransport.dial_peer`, with a socket of its own."""
        if not self.can_dial(addr):
            raise LocalError(f"not a WebTransport address that can be dialed: {addr}")
        host, port = _host_port(addr)
        loopback = host.startswith("127.") or host == "::1"
        here = (
            ("::1" if loopback else "::") if ":" in host else "127.0.0.1" if loopback else "0.0.0.0"
        )
        endpoint = await _bind(parts, self._rolling(parts), here, 0)
        return await endpoint.dial(host, port, addr.without_peer(), expected, number)

    async def listen_for_peers(self, addr: Multiaddr, parts: HostParts, door: Door) -> Listener:
        """As `PeerTransport.listen_for_peers`."""
        if not self.can_listen(addr):
            raise LocalError(f"not a WebTransport address to listen at: {addr}")
        certificates = self._rolling(parts)
        endpoint = await _bind(parts, certificates, *_host_port(addr))
        endpoint.door = door
        return WebTransportListener(endpoint, parts, certificates)

    def _rolling(self, parts: HostParts) -> RollingCertificates:
        from libp2p_lab.host.webtransport_certificates import RollingCertificates

        if parts not in self._certificates:
            self._certificates[parts] = RollingCertificates(parts.key)
        return self._certificates[parts]


class WebTransportListener:
    """A listener whose addresses change every two weeks.

    Args:
        endpoint: the socket.
        parts: of the host, which is told of the change.
        certificates: what it shows.
    """

    def __init__(
        self, endpoint: QuicEndpoint, parts: HostParts, certificates: RollingCertificates
    ) -> None:
        self.endpoint = endpoint
        self._parts = parts
        self._certificates = certificates
        self._wait()

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """As `Listener.addrs`, with the hashes of today."""
        return self.endpoint.addrs

    def _wait(self) -> None:
        now = time.time()
        delay = self._certificates.at(now).until - now
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_roll)

    def _on_roll(self) -> None:
        self._wait()
        self._parts.on_addrs_change()

    async def close(self) -> None:
        """As `Listener.close`."""
        self._timer.cancel()
        await self.endpoint.close()


class WebTransportKind:
    """What makes a QUIC socket one of WebTransport: a `Kind`.

    Args:
        certificates: what a listener shows.
    """

    def __init__(self, certificates: RollingCertificates) -> None:
        self._certificates = certificates

    def session(
        self,
        settings: QuicConfiguration,
        limits: Limits,
        original_cid: bytes | None = None,
        retry_cid: bytes | None = None,
    ) -> QuicSession:
        """As `Kind.session`; a listener shows the certificate of the day."""
        from libp2p_lab.host.webtransport_session import WebTransportSession

        if not settings.is_client:
            own = self._certificates.at(time.time()).current
            settings = replace(settings, certificate=own.certificate, private_key=own.private_key)
        return WebTransportSession(settings, limits, original_cid, retry_cid)

    def link(
        self,
        session: QuicSession,
        endpoint: QuicEndpoint,
        local_addr: Multiaddr,
        remote_addr: Multiaddr,
        parts: HostParts,
        *,
        expected: PeerId | None,
        is_dialer: bool,
    ) -> QuicLink:
        """As `Kind.link`."""
        from libp2p_lab.host.webtransport_connection import WebTransportLink

        return WebTransportLink(
            session,
            endpoint,
            local_addr,
            remote_addr,
            parts,
            expected=expected,
            is_dialer=is_dialer,
            certificates=self._certificates,
        )

    def address(self, addr: tuple[str, int]) -> Multiaddr:
        """As `Kind.address`."""
        return Multiaddr(_text(addr))

    def listening(self, addr: tuple[str, int]) -> Multiaddr:
        """As `Kind.listening`: with the hashes of today's certificate and of the next."""
        hashes = (
            f"/certhash/{multibase.encode(one, 'base64url')}"
            for one in self._certificates.at(time.time()).advertised
        )
        return Multiaddr(_text(addr) + "".join(hashes))


def settings_for(limits: Limits) -> tuple[QuicConfiguration, QuicConfiguration]:
    """aioquic's settings as the dialer and as the listener, but for the certificate."""
    import ssl

    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.packet import QuicProtocolVersion

    from libp2p_lab.host.webtransport_session import ALPN

    client, server = (
        QuicConfiguration(
            alpn_protocols=[ALPN],
            is_client=is_client,
            verify_mode=ssl.CERT_NONE,  # our own rules are applied once the handshake is done
            supported_versions=[QuicProtocolVersion.VERSION_1],
            idle_timeout=limits.quic_idle_timeout,
            max_data=limits.quic_connection_window,
            max_stream_data=limits.quic_stream_window,
            max_datagram_size=DATAGRAM,
            max_datagram_frame_size=65536,  # HTTP/3's WebTransport asks for it; we send none
        )
        for is_client in (True, False)
    )
    return client, server


async def _bind(
    parts: HostParts, certificates: RollingCertificates, host: str, port: int
) -> QuicEndpoint:
    from libp2p_lab.host.quic_endpoint import bind

    client, server = settings_for(parts.limits)
    return await bind(parts, client, server, host, port, WebTransportKind(certificates))


def _begins_right(addr: Multiaddr) -> bool:
    names = addr.names
    return names[:1] in (("ip4",), ("ip6",)) and names[1:4] == _NAMES


def _certhashes(addr: Multiaddr) -> tuple[bytes, ...]:
    """The hashes in an address; none if a part behind /webtransport is anything else, or none is SHA2-256."""
    found: list[bytes] = []
    for part in addr.without_peer().parts[4:]:
        if part.name != "certhash":
            return ()
        value = multibase.decode(part.value)
        if multihash.decode(value).code == multihash.SHA2_256:
            found.append(value)
    return tuple(found)


def _host_port(addr: Multiaddr) -> tuple[str, int]:
    return addr.parts[0].value, int(addr.parts[1].value)


def _text(addr: tuple[str, int]) -> str:
    version = 6 if ":" in addr[0] else 4
    return f"/ip{version}/{addr[0].partition('%')[0]}/udp/{addr[1]}/quic-v1/webtransport"
