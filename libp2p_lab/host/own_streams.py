"""Transports that bring their own security and their own streams, as QUIC does.

Such a transport joins the swarm above the upgrade: what it gives is a finished connection to a proven peer, with
streams in it. `PeerTransport` is the whole interface. A host's `transports` may hold both kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.trace import Probe
from libp2p_lab.transports.transport import Listener


@dataclass(frozen=True, slots=True, eq=False)
class HostParts:
    """What such a transport needs of the host that it works for.

    Attributes:
        key: our identity.
        limits: how many, how long.
        clock: seconds on the event loop.
        probe: of the host.
        new_number: gives the number of the next connection.
        peer_id_of: the name of the peer that holds a key.
        on_stream: to be called with each stream that a remote opens.
        on_stream_end: to be called with each stream that is over, and how it ended.
        on_addrs_change: to be called when a listener's addresses are not what they were.
    """

    key: KeyPair
    limits: Limits
    clock: Callable[[], float]
    probe: Probe
    new_number: Callable[[], int]
    peer_id_of: Callable[[PublicKey], PeerId]
    on_stream: Callable[[MuxedStream], None]
    on_stream_end: Callable[[MuxedStream, str], None]
    on_addrs_change: Callable[[], None]


class Door(Protocol):
    """The host's side of a listener: who comes in. Each `admit` without a refusal is followed by one of the others."""

    def admit(self, remote_addr: Multiaddr) -> str | None:
        """May a handshake begin from there? None for yes, else the reason why not."""
        ...

    def arrived(self, remote_addr: Multiaddr, connection: MuxedConnection) -> None:
        """The handshake went well: here is the connection, not yet running."""
        ...

    def failed(self, remote_addr: Multiaddr, cause: BaseException) -> None:
        """It did not."""
        ...


@runtime_checkable
class OpensHoles(Protocol):
    """A transport over UDP that can send what opens the own NAT for somebody's datagrams, and means nothing.

    Whoever receives it learns one thing from it: where its sender is seen.
    """

    def can_dial(self, addr: Multiaddr) -> bool:
        """As `PeerTransport.can_dial`."""
        ...

    def open_hole(self, addr: Multiaddr, data: bytes, parts: HostParts) -> None:
        """Send one datagram to `addr` from where we listen.

        Raises: `LocalError` if no listening socket can reach it.
        """
        ...

    def watch_strays(
        self, ip: str, on_stray: Callable[[Multiaddr], None], parts: HostParts
    ) -> Callable[[], None]:
        """Call `on_stray` with the source of each datagram from `ip` that means nothing; the result ends it."""
        ...


@runtime_checkable
class PeerTransport(Protocol):
    """A transport whose connections are secured and multiplexed already."""

    @property
    def name(self) -> str:
        """The name shown to people: "quic-v1", …"""
        ...

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether `dial_peer` knows what to do with this address."""
        ...

    def can_listen(self, addr: Multiaddr) -> bool:
        """Whether `listen_for_peers` knows what to do with this address."""
        ...

    async def dial_peer(
        self, addr: Multiaddr, expected: PeerId | None, number: int, parts: HostParts
    ) -> MuxedConnection:
        """Connect and prove who answers; the caller runs the connection and sets the time limit.

        Args:
            addr: where to; a `/p2p` at its end is ignored here.
            expected: who must answer; None for anybody.
            number: the host's number for the connection.
            parts: of the host.

        Raises: `PeerIdMismatch`, `HandshakeFailed`, `ConnectionLost`, `OSError`.
        """
        ...

    async def listen_for_peers(self, addr: Multiaddr, parts: HostParts, door: Door) -> Listener:
        """Wait for peers at `addr`; port 0 picks a free one.

        Raises: `OSError`; `LocalError` for an address of another transport.
        """
        ...
