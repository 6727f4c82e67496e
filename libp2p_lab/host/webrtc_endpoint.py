"""The UDP socket of WebRTC: one for all connections that arrive at it, and one for each that is dialed.

A datagram of DTLS says nothing about its connection. So they are told apart by where they come from. A stranger's
first datagram must be a request of ICE with a name in it that follows the rules; whatever else comes is dropped
without a word.

Each stranger costs us memory from then on, and its address may be forged. So only so many handshakes may be under way,
from one address and in all. Beyond that the eldest makes room that has not yet shown to be where it claims to be.

Spec: webrtc/webrtc-direct.md#browser-to-public-server
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence

from libp2p_lab.errors import ConnectionLost
from libp2p_lab.host.own_streams import Door, HostParts
from libp2p_lab.host.webrtc_connection import WebRtcConnection
from libp2p_lab.host.webrtc_dtls import DtlsCertificate, cookie_for
from libp2p_lab.host.webrtc_ice import make_ufrag, read_ufrag
from libp2p_lab.host.webrtc_link import WebRtcLink
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.transports.tcp import interfaces
from libp2p_lab.wire import multibase

Address = tuple[str, int]


class WebRtcEndpoint(asyncio.DatagramProtocol):
    """A UDP socket with WebRTC on it.

    Args:
        parts: of the host.
        own: our certificate.
        door: the host's side of a listener; None to dial.
    """

    def __init__(self, parts: HostParts, own: DtlsCertificate, door: Door | None) -> None:
        self.parts = parts
        self.links: dict[Address, WebRtcLink] = {}
        self._closed = False
        self._door = door
        self._own = own
        self._secret = os.urandom(32)  # of the cookies
        self._proving: dict[WebRtcLink, asyncio.Task[WebRtcConnection]] = {}
        self._transport: asyncio.DatagramTransport

    # -- asyncio calls these ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(
        self, data: bytes, addr: tuple[str, int] | tuple[str, int, int, int]
    ) -> None:
        """Give a datagram to its connection."""
        source = (addr[0], addr[1])
        link = self.links.get(source)
        if link is None and self._door is not None:
            link = self._newcomer(data, source, self._door)
        if link is not None:
            link.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._closed = True

    def error_received(self, exc: Exception) -> None:
        """ICMP says that somebody is not there. Anybody can forge that."""

    # -- where it is ------------------------------------------------------------------------------------------

    @property
    def sockname(self) -> Address:
        """Where the socket is bound."""
        name = self._transport.get_extra_info("sockname")
        return name[0], name[1]

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens, each interface's address in place of a wildcard."""
        host, port = self.sockname
        return [to_multiaddr((ip, port), self._own.certhash) for ip in interfaces(host)]

    def _local_addr(self, remote_host: str) -> Multiaddr:
        """Our end as far as it is known: a wildcard is the loopback interface for what is on it."""
        host, port = self.sockname
        if ipaddress.ip_address(host).is_unspecified:
            remote = ipaddress.ip_address(remote_host)
            if remote.is_loopback:
                host = remote_host
        return to_multiaddr((host, port), self._own.certhash if self._door is not None else None)

    def _send(self, data: bytes, addr: Address) -> None:
        if not self._closed:
            self._transport.sendto(data, addr)

    # -- in ---------------------------------------------------------------------------------------------------

    def _newcomer(self, data: bytes, source: Address, door: Door) -> WebRtcLink | None:
        ufrag = read_ufrag(data) if data and data[0] < 4 else None
        remote = to_multiaddr(source)
        if ufrag is None or not self._make_room() or door.admit(remote) is not None:
            return None
        link = WebRtcLink(
            lambda datagram: self._send(datagram, source),
            self._forget,
            self.parts,
            self._local_addr(source[0]),
            remote,
            source,
            ufrag,
            self._own,
            cookie=cookie_for(self._secret, source),
            is_dialer=False,
        )
        self.links[source] = link
        task = asyncio.get_running_loop().create_task(self._prove(link))
        self._proving[link] = task
        task.add_done_callback(lambda done: self._settled(link, door, done))
        link.start()
        return link

    def _make_room(self) -> bool:
        """Whether one more handshake may be under way, at the cost of another if need be."""
        if len(self._proving) < self.parts.limits.webrtc_pending:
            return True
        for link, task in self._proving.items():
            if not link.dtls.is_address_proven and not link.is_over:
                task.cancel()
                link.end()
                return True
        return False

    async def _prove(self, link: WebRtcLink) -> WebRtcConnection:
        timeout = self.parts.limits.handshake_timeout
        try:
            async with asyncio.timeout(timeout):
                peer = await link.prove(None)
        except TimeoutError:
            raise ConnectionLost(f"no handshake within {timeout:g} s") from None
        return link.make_connection(peer, self.parts.new_number())

    def _settled(self, link: WebRtcLink, door: Door, done: asyncio.Task[WebRtcConnection]) -> None:
        """An inbound handshake is over, one way or the other."""
        del self._proving[link]
        error: BaseException | None
        if done.cancelled():
            error = ConnectionLost(
                "given up: the listener was closed, or others came in the meantime"
            )
        else:
            error = done.exception()
        if error is not None:
            link.end()
            door.failed(link.remote_addr, error)
        else:
            door.arrived(link.remote_addr, done.result())
        self._close_if_unused()

    # -- dialing ----------------------------------------------------------------------------------------------

    async def dial(
        self,
        addr: Address,
        remote: Multiaddr,
        certhashes: tuple[bytes, ...],
        expected: PeerId | None,
        number: int,
    ) -> WebRtcConnection:
        """Connect from this socket. The caller sets the time limit."""
        link = WebRtcLink(
            lambda datagram: self._send(datagram, addr),
            self._forget,
            self.parts,
            self._local_addr(addr[0]),
            remote,
            addr,
            make_ufrag(),
            self._own,
            is_dialer=True,
            certhashes=certhashes,
        )
        self.links[addr] = link
        try:
            link.start()
            return link.make_connection(await link.prove(expected), number)
        except BaseException:
            link.end()
            raise

    # -- the end ----------------------------------------------------------------------------------------------

    def _forget(self, link: WebRtcLink) -> None:
        del self.links[link.source]
        self._close_if_unused()

    async def close(self) -> None:
        """Stop listening. Connections that have arrived stay open."""
        self._door = None
        tasks = tuple(self._proving.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._door is None and not (self.links or self._proving or self._closed):
            self._closed = True
            self._transport.close()


def to_multiaddr(addr: Address, certhash: bytes | None = None) -> Multiaddr:
    """`/ip4/…/udp/…/webrtc-direct`, and the certificate's hash where there is one to say."""
    version = 6 if ":" in addr[0] else 4
    text = f"/ip{version}/{addr[0].partition('%')[0]}/udp/{addr[1]}/webrtc-direct"
    if certhash is not None:
        text += f"/certhash/{multibase.encode(certhash, 'base64url')}"
    return Multiaddr(text)


async def bind(
    parts: HostParts, own: DtlsCertificate, door: Door | None, host: str, port: int
) -> WebRtcEndpoint:
    """Open a socket.

    Raises: `OSError`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    _, endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: WebRtcEndpoint(parts, own, door), local_addr=(host, port), family=family
    )
    return endpoint
