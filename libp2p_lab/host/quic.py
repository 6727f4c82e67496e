"""QUIC: `/ip4/127.0.0.1/udp/4001/quic-v1`. One protocol over UDP that brings security and streams of its own.

    quic_session.py      the core: datagrams in, events and datagrams out (aioquic at work)
    quic_connection.py   the driver of one connection
    quic_endpoint.py     the UDP socket that all connections share

TLS 1.3 is a part of QUIC; the certificates, on both sides, are libp2p's own (security/tls_certificate.py).

aioquic is loaded with the first QUIC address that is dialed or listened at.

Spec: quic/README.md
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.host.own_streams import Door, HostParts
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.transports.transport import Listener

if TYPE_CHECKING:
    from aioquic.quic.configuration import QuicConfiguration

    from libp2p_lab.host.quic_endpoint import QuicEndpoint

DATAGRAM = 1232  # bytes that pass everywhere: IPv6's smallest MTU of 1280 without the headers


class QUIC:
    """The transport `quic-v1`: a `PeerTransport`."""

    __slots__ = ("_endpoints", "_settings")

    name = "quic-v1"

    def __init__(self) -> None:
        self._endpoints: list[QuicEndpoint] = []
        self._settings: dict[HostParts, tuple[QuicConfiguration, QuicConfiguration]] = {}

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is an IP address, a UDP port and /quic-v1, and nothing more."""
        names = addr.without_peer().names
        return len(names) == 3 and names[0] in ("ip4", "ip6") and names[1:] == ("udp", "quic-v1")

    can_listen = can_dial

    async def dial_peer(
        self, addr: Multiaddr, expected: PeerId | None, number: int, parts: HostParts
    ) -> MuxedConnection:
        """As `PeerTransport.dial_peer`: from a socket at which we listen, if one can reach the address."""
        host, port = _host_port(self, addr)
        endpoint = next((e for e in self._open(parts) if e.reaches(host)), None)
        if endpoint is None:
            loopback = {"4": "127.0.0.1", "6": "::1"}
            wildcard = {"4": "0.0.0.0", "6": "::"}
            version = "6" if ":" in host else "4"
            is_loopback = host.startswith("127.") or host == "::1"
            endpoint = await self._bind(parts, (loopback if is_loopback else wildcard)[version], 0)
        return await endpoint.dial(host, port, addr.without_peer(), expected, number)

    async def listen_for_peers(self, addr: Multiaddr, parts: HostParts, door: Door) -> Listener:
        """As `PeerTransport.listen_for_peers`."""
        host, port = _host_port(self, addr)
        endpoint = await self._bind(parts, host, port)
        endpoint.door = door
        return endpoint

    def open_hole(self, addr: Multiaddr, data: bytes, parts: HostParts) -> None:
        """As `OpensHoles.open_hole`."""
        host, port = _host_port(self, addr)
        for endpoint in self._open(parts):
            if endpoint.door is not None and endpoint.reaches(host):
                endpoint.send(data, (host, port))
                return
        raise LocalError(f"this host does not listen where {addr} could be reached from")

    def watch_strays(
        self, ip: str, on_stray: Callable[[Multiaddr], None], parts: HostParts
    ) -> Callable[[], None]:
        """As `OpensHoles.watch_strays`."""
        from libp2p_lab.host.quic_endpoint import to_multiaddr

        endpoints = [one for one in self._open(parts) if one.door is not None]
        for endpoint in endpoints:
            endpoint.on_stray[ip] = lambda source: on_stray(to_multiaddr(source))

        def stop() -> None:
            for endpoint in endpoints:
                endpoint.on_stray.pop(ip, None)

        return stop

    def _open(self, parts: HostParts) -> list[QuicEndpoint]:
        """The sockets of one host."""
        self._endpoints = [endpoint for endpoint in self._endpoints if not endpoint.closed]
        return [endpoint for endpoint in self._endpoints if endpoint.parts is parts]

    async def _bind(self, parts: HostParts, host: str, port: int) -> QuicEndpoint:
        from libp2p_lab.host.quic_endpoint import bind

        if parts not in self._settings:
            self._settings[parts] = _configure(parts)
        endpoint = await bind(parts, *self._settings[parts], host, port)
        self._endpoints.append(endpoint)
        return endpoint


def _configure(parts: HostParts) -> tuple[QuicConfiguration, QuicConfiguration]:
    """aioquic's settings as the dialer and as the listener."""
    import ssl

    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.packet import QuicProtocolVersion

    from libp2p_lab.host.quic_connection import ALPN
    from libp2p_lab.security.tls_certificate import make_certificate

    own = make_certificate(parts.key, time.time())
    client, server = (
        QuicConfiguration(
            alpn_protocols=[ALPN],
            is_client=is_client,
            certificate=own.certificate,
            private_key=own.private_key,
            verify_mode=ssl.CERT_NONE,  # our own rules are applied once the handshake is done
            supported_versions=[QuicProtocolVersion.VERSION_1],
            idle_timeout=parts.limits.quic_idle_timeout,
            max_data=parts.limits.quic_connection_window,
            max_stream_data=parts.limits.quic_stream_window,
            max_datagram_size=DATAGRAM,
        )
        for is_client in (True, False)
    )
    return client, server


def _host_port(transport: QUIC, addr: Multiaddr) -> tuple[str, int]:
    if not transport.can_dial(addr):
        raise LocalError(f"not a QUIC address: {addr}")
    return addr.parts[0].value, int(addr.parts[1].value)
