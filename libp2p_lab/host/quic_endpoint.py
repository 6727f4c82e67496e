"""One UDP socket for all QUIC connections that are dialed from it or arrive at it.

Datagrams find their connection by the connection id that stands in the clear at their start: so many connections share
one port, and a peer whose address changes is still known. Whatever fits nowhere is dropped without a word.

A datagram's source can be forged. While many handshakes are under way, a newcomer is first sent a token that it must
send back from where it claims to be (a retry), before anything is kept for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler

from libp2p_lab.errors import ConnectionLost
from libp2p_lab.host.own_streams import Door, HostParts
from libp2p_lab.host.quic_connection import QuicConnection, QuicLink
from libp2p_lab.host.quic_session import QuicSession
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.transports.tcp import interfaces

ID_LENGTH = 8  # bytes of a connection id that we choose
SMALLEST_FIRST = 1200  # bytes of a datagram that may open a connection

Address = tuple[str, int]


class Kind(Protocol):
    """What runs on a socket: QUIC by itself, or something on top of it."""

    def session(
        self,
        settings: QuicConfiguration,
        limits: Limits,
        original_cid: bytes | None = None,
        retry_cid: bytes | None = None,
    ) -> QuicSession:
        """A fresh core, as `QuicSession`."""
        ...

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
        """Its driver, as `QuicLink`."""
        ...

    def address(self, addr: Address) -> Multiaddr:
        """Somebody's address."""
        ...

    def listening(self, addr: Address) -> Multiaddr:
        """Ours, as others must know it to dial us."""
        ...


class QuicKind:
    """QUIC by itself."""

    session = staticmethod(QuicSession)
    link = staticmethod(QuicLink)

    def address(self, addr: Address) -> Multiaddr:
        """As `Kind.address`."""
        return to_multiaddr(addr)

    listening = address


class QuicEndpoint(asyncio.DatagramProtocol):
    """A UDP socket with QUIC on it.

    Args:
        parts: of the host.
        client, server: aioquic's settings for either side.
        kind: what runs on it.
    """

    def __init__(
        self,
        parts: HostParts,
        client: QuicConfiguration,
        server: QuicConfiguration,
        kind: Kind,
    ) -> None:
        self._kind = kind
        self.parts = parts
        self.links: dict[bytes, QuicLink] = {}
        self.door: Door | None = None  # while we listen
        self._client = client
        self._server = server
        self._retry = QuicRetryTokenHandler()
        self._pending: dict[QuicLink, asyncio.TimerHandle] = {}  # inbound, not proven yet
        self._originals: dict[QuicLink, bytes] = {}  # the id that a client invented for us
        self.on_stray: dict[
            str, Callable[[Address], None]
        ] = {}  # by IP address, while holes are punched
        self._transport: asyncio.DatagramTransport
        self.closed = False

    # -- asyncio calls these ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(
        self, data: bytes, addr: tuple[str, int] | tuple[str, int, int, int]
    ) -> None:
        """Give a datagram to its connection."""
        source = (addr[0], addr[1])
        if data and not data[0] & 0x80:  # a short header, of which only the id is in the clear
            link = self.links.get(data[1 : 1 + ID_LENGTH])
        else:
            try:
                header = pull_quic_header(Buffer(data=data), host_cid_length=ID_LENGTH)
                link = self.links.get(header.destination_cid)
                if link is None:
                    link = self._newcomer(header, len(data), source)
            except ValueError:
                link = None
        if link is not None:
            link.receive(data, source)
        elif source[0] in self.on_stray:
            self.on_stray[source[0]](source)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.closed = True

    def error_received(self, exc: Exception) -> None:
        """ICMP says that somebody is not there. QUIC does not believe it: anybody can forge that."""

    # -- out --------------------------------------------------------------------------------------------------

    def send(self, data: bytes, addr: Address) -> None:
        """Send a datagram; UDP does not say whether it arrives."""
        if not self.closed:
            self._transport.sendto(data, addr)

    @property
    def sockname(self) -> Address:
        """Where the socket is bound."""
        name = self._transport.get_extra_info("sockname")
        return name[0], name[1]

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens, each interface's address in place of a wildcard."""
        host, port = self.sockname
        return [self._kind.listening((ip, port)) for ip in interfaces(host)]

    def reaches(self, host: str) -> bool:
        """Whether datagrams from this socket can go to `host` (an IP address)."""
        ours, theirs = ipaddress.ip_address(self.sockname[0]), ipaddress.ip_address(host)
        if ours.version != theirs.version:
            return False
        return ours.is_unspecified or ours.is_loopback == theirs.is_loopback

    # -- in ---------------------------------------------------------------------------------------------------

    def _newcomer(self, header: QuicHeader, size: int, source: Address) -> QuicLink | None:
        """Someone without a connection: the first datagram of one, or nothing of interest."""
        if self.door is None or size < SMALLEST_FIRST:
            return None
        versions = self._server.supported_versions
        if header.version is not None and header.version not in versions:
            if header.packet_type != QuicPacketType.VERSION_NEGOTIATION:
                answer = encode_quic_version_negotiation(
                    source_cid=header.destination_cid,
                    destination_cid=header.source_cid,
                    supported_versions=versions,
                )
                self.send(answer, source)
            return None
        if header.packet_type != QuicPacketType.INITIAL:
            return None
        original, retried = header.destination_cid, None
        if header.token:
            try:
                original = self._retry.validate_token(
                    address=source,
                    destination_cid=header.destination_cid,
                    token=header.token,
                    now=self.parts.clock(),
                )
                retried = header.destination_cid
            except ValueError:
                return None
        elif len(self._pending) >= self.parts.limits.quic_retry_above:
            self._send_retry(header, source)
            return None
        return self._accept(header.destination_cid, original, retried, source)

    def _send_retry(self, header: QuicHeader, source: Address) -> None:
        ours = os.urandom(ID_LENGTH)
        token = self._retry.create_token(
            address=source,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=ours,
            now=self.parts.clock(),
        )
        assert header.version is not None
        answer = encode_quic_retry(
            version=header.version,
            source_cid=ours,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self.send(answer, source)

    def _accept(
        self, cid: bytes, original: bytes, retried: bytes | None, source: Address
    ) -> QuicLink | None:
        remote = self._kind.address(source)
        assert self.door is not None
        if self.door.admit(remote) is not None:
            return None
        session = self._kind.session(self._server, self.parts.limits, original, retried)
        link = self._kind.link(
            session,
            self,
            self._local_addr(source[0]),
            remote,
            self.parts,
            expected=None,
            is_dialer=False,
        )
        self.links[session.connection_id] = self.links[cid] = link
        self._originals[link] = cid
        timeout = self.parts.limits.handshake_timeout
        late = ConnectionLost(f"no handshake within {timeout:g} s")
        loop = asyncio.get_running_loop()
        self._pending[link] = loop.call_later(timeout, link.abandon, late)
        door = self.door
        link.proven.add_done_callback(lambda proven: self._settled(link, door))
        return link

    def _settled(self, link: QuicLink, door: Door) -> None:
        """An inbound handshake is over, one way or the other."""
        self._pending.pop(link).cancel()
        error = link.proven.exception()
        if error is None and link.is_over:
            error = ConnectionLost("closed right after the handshake")
        if error is not None:
            door.failed(link.remote_addr, error)
        else:
            door.arrived(
                link.remote_addr,
                link.make_connection(link.proven.result(), self.parts.new_number()),
            )

    # -- dialing ----------------------------------------------------------------------------------------------

    async def dial(
        self, host: str, port: int, remote: Multiaddr, expected: PeerId | None, number: int
    ) -> QuicConnection:
        """Connect from this socket. The caller sets the time limit."""
        session = self._kind.session(self._client, self.parts.limits)
        link = self._kind.link(
            session,
            self,
            self._local_addr(host),
            remote,
            self.parts,
            expected=expected,
            is_dialer=True,
        )
        self.links[session.connection_id] = link
        session.connect((host, port), self.parts.clock())
        try:
            link.transmit()
            return link.make_connection(await link.proven, number)
        except BaseException:
            link.abandon(ConnectionLost("the dial was given up"))
            raise

    def _local_addr(self, remote_host: str) -> Multiaddr:
        """Our end as far as it is known: a wildcard is the loopback interface for what is on it."""
        host, port = self.sockname
        if ipaddress.ip_address(host).is_unspecified:
            remote = ipaddress.ip_address(remote_host)
            if remote.is_loopback:
                host = remote_host
        return self._kind.address((host, port))

    # -- the end ----------------------------------------------------------------------------------------------

    def forget(self, link: QuicLink) -> None:
        """A link is over."""
        for connection_id in link.connection_ids:
            self.links.pop(connection_id, None)
        original = self._originals.pop(link, None)
        if original is not None:
            self.links.pop(original, None)
        self.close_if_unused()

    async def close(self) -> None:
        """Stop listening. Connections that have arrived stay open."""
        self.door = None
        for link in tuple(self._pending):
            link.abandon(ConnectionLost("the listener was closed"))
        self.close_if_unused()

    def close_if_unused(self) -> None:
        """Close the socket unless somebody needs it."""
        if self.door is None and not self.links and not self.closed:
            self.closed = True
            self._transport.close()


def to_multiaddr(addr: Address) -> Multiaddr:
    """`/ip4/…/udp/…/quic-v1`."""
    version = 6 if ":" in addr[0] else 4
    return Multiaddr(f"/ip{version}/{addr[0].partition('%')[0]}/udp/{addr[1]}/quic-v1")


async def bind(
    parts: HostParts,
    client: QuicConfiguration,
    server: QuicConfiguration,
    host: str,
    port: int,
    kind: Kind | None = None,
) -> QuicEndpoint:
    """Open a socket.

    Raises: `OSError`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    _, endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: QuicEndpoint(parts, client, server, kind or QuicKind()),
        local_addr=(host, port),
        family=family,
    )
    return endpoint
