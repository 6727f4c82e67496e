"""WebRTC-direct: `/ip4/…/udp/…/webrtc-direct/certhash/…`. How a browser reaches a peer that has no domain name.

A browser opens no TCP or QUIC connections, and a WebSocket from a secure page needs a certificate that an authority has
signed. What it does have is WebRTC, made for calls between browsers: there a certificate may be self-signed, if the
caller knows its hash beforehand. The hash stands in the address.

    webrtc_ice.py         "is somebody there?"                         a core
    webrtc_dtls.py        encrypted datagrams                          a core (OpenSSL at work)
    webrtc_sctp.py        messages on channels, nothing lost           a core (aiortc at work)
    webrtc_messages.py    half close and reset, which channels lack    the codec
    webrtc_streams.py     the streams on those channels                a core
    webrtc_link.py        the driver of all that, and the Noise handshake that says who is there
    webrtc_connection.py  the connection to a proven peer
    webrtc_endpoint.py    the UDP socket that all inbound connections share

It needs the extra `webrtc` (aiortc), loaded with the first such address that is dialed or listened at.

Left out: SDP, the text by which browsers tell each other all this, since here each side knows what the other would say;
connections between two browsers (webrtc/webrtc.md); the dialer's side of ICE restarts.

Spec: webrtc/webrtc-direct.md
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.host.own_streams import Door, HostParts
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.transports.transport import Listener
from libp2p_lab.wire import multibase, multihash

if TYPE_CHECKING:
    from libp2p_lab.host.webrtc_dtls import DtlsCertificate
    from libp2p_lab.host.webrtc_endpoint import WebRtcEndpoint

DAY = 86_400.0


class WebRTCDirect:
    """The transport `webrtc-direct`: a `PeerTransport`."""

    __slots__ = ("_certificates",)

    name = "webrtc-direct"

    def __init__(self) -> None:
        self._certificates: dict[HostParts, DtlsCertificate] = {}

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is an IP address, a UDP port, /webrtc-direct and at least one hash that we can make."""
        names = addr.without_peer().names
        return _begins_right(names) and len(names) > 3 and bool(_certhashes(addr))

    def can_listen(self, addr: Multiaddr) -> bool:
        """Whether this is an IP address, a UDP port and /webrtc-direct. The hash comes from us."""
        names = addr.without_peer().names
        return _begins_right(names) and len(names) == 3

    async def dial_peer(
        self, addr: Multiaddr, expected: PeerId | None, number: int, parts: HostParts
    ) -> MuxedConnection:
        """As `PeerTransport.dial_peer`: with a socket and a certificate of its own, as browsers do it."""
        if not self.can_dial(addr):
            raise LocalError(f"not a WebRTC-direct address that can be dialed: {addr}")
        own, (host, port) = _make_certificate(2 * DAY), _host_port(addr)
        here = _here(host)
        endpoint = await _bind(parts, own, None, here, 0)
        remote = addr.without_peer()
        return await endpoint.dial((host, port), remote, _certhashes(addr), expected, number)

    async def listen_for_peers(self, addr: Multiaddr, parts: HostParts, door: Door) -> Listener:
        """As `PeerTransport.listen_for_peers`. All sockets of a host show the same certificate."""
        if not self.can_listen(addr):
            raise LocalError(f"not a WebRTC-direct address to listen at: {addr}")
        if parts not in self._certificates:
            self._certificates[parts] = _make_certificate(parts.limits.webrtc_certificate)
        return await _bind(parts, self._certificates[parts], door, *_host_port(addr))


def _make_certificate(seconds: float) -> DtlsCertificate:
    try:
        import aiortc  # noqa: F401 - only to say in good time what is missing
    except ImportError as error:
        raise LocalError("WebRTC needs the extra: pip install 'libp2p-lab[webrtc]'") from error
    from libp2p_lab.host.webrtc_dtls import self_signed

    # A day back: the other side's clock may be behind ours.
    return self_signed(time.time() - DAY, DAY + seconds)


async def _bind(
    parts: HostParts, own: DtlsCertificate, door: Door | None, host: str, port: int
) -> WebRtcEndpoint:
    from libp2p_lab.host.webrtc_endpoint import bind

    return await bind(parts, own, door, host, port)


def _begins_right(names: tuple[str, ...]) -> bool:
    return names[:1] in (("ip4",), ("ip6",)) and names[1:3] == ("udp", "webrtc-direct")


def _certhashes(addr: Multiaddr) -> tuple[bytes, ...]:
    """The hashes in an address; none if a part behind /webrtc-direct is anything else, or none is SHA2-256."""
    found: list[bytes] = []
    for part in addr.without_peer().parts[3:]:
        if part.name != "certhash":
            return ()
        value = multibase.decode(part.value)
        if multihash.decode(value).code == multihash.SHA2_256:
            found.append(value)
    return tuple(found)


def _host_port(addr: Multiaddr) -> tuple[str, int]:
    return addr.parts[0].value, int(addr.parts[1].value)


def _here(host: str) -> str:
    """Where to dial `host` from: the loopback interface for what is on it, else any."""
    if ":" in host:
        return "::1" if host == "::1" else "::"
    return "127.0.0.1" if host.startswith("127.") else "0.0.0.0"
