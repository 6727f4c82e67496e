"""A gater says no, early: before a dial, at the door, and once the remote has proven who it is."""

from __future__ import annotations

from typing import Protocol

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.multiplexing.connection import Connection, StreamDirection


class Gater(Protocol):
    """Five questions, in the order in which they come up. `False` refuses."""

    def allow_dial_peer(self, peer: PeerId) -> bool:
        """May we dial this peer at all?"""
        ...

    def allow_dial_addr(self, peer: PeerId | None, addr: Multiaddr) -> bool:
        """May we dial it there?"""
        ...

    def allow_accept(self, remote_addr: Multiaddr) -> bool:
        """May a connection from there go on to its handshake?"""
        ...

    def allow_secured(self, direction: StreamDirection, peer: PeerId, addr: Multiaddr) -> bool:
        """May this peer, now proven, go on?"""
        ...

    def allow_upgraded(self, connection: Connection) -> bool:
        """May the finished connection be used?"""
        ...


class BlockList:
    """A gater that refuses the peers on a list, in both directions.

    Attributes:
        blocked: the peers; change it at any time, it counts from the next connection on.
    """

    def __init__(self, blocked: set[PeerId] | None = None) -> None:
        self.blocked = set() if blocked is None else blocked

    def allow_dial_peer(self, peer: PeerId) -> bool:
        """As `Gater.allow_dial_peer`."""
        return peer not in self.blocked

    def allow_dial_addr(self, peer: PeerId | None, addr: Multiaddr) -> bool:
        """As `Gater.allow_dial_addr`."""
        return True

    def allow_accept(self, remote_addr: Multiaddr) -> bool:
        """As `Gater.allow_accept`. Who it is, is not known yet."""
        return True

    def allow_secured(self, direction: StreamDirection, peer: PeerId, addr: Multiaddr) -> bool:
        """As `Gater.allow_secured`."""
        return peer not in self.blocked

    def allow_upgraded(self, connection: Connection) -> bool:
        """As `Gater.allow_upgraded`."""
        return True
