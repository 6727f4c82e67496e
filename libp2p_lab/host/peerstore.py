"""What a host remembers of other peers: where they are, what they speak, what they signed.

Whatever a remote tells is bounded here: so many addresses a peer, so many protocols, so many peers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A peer and where to find it.

    Attributes:
        peer_id: who.
        addrs: where, with or without `/p2p` at the end.
    """

    peer_id: PeerId
    addrs: tuple[Multiaddr, ...] = ()

    def __init__(self, peer_id: PeerId | str, addrs: Iterable[Multiaddr | str] = ()) -> None:
        who = PeerId.from_text(peer_id) if isinstance(peer_id, str) else peer_id
        where = tuple(Multiaddr(addr) if isinstance(addr, str) else addr for addr in addrs)
        for addr in where:
            if addr.peer_id not in (None, who):
                raise LocalError(f"{addr} is the address of another peer than {who}")
        object.__setattr__(self, "peer_id", who)
        object.__setattr__(self, "addrs", where)


@dataclass(slots=True)
class _Known:
    """The entry of one peer."""

    addrs: dict[Multiaddr, None] = field(default_factory=dict)  # the latest last
    protocols: tuple[str, ...] = ()
    agent: str = ""
    record: PeerRecord | None = None
    envelope: bytes = b""
    connected: bool = False


class Peerstore:
    """A host's memory of other peers.

    Args:
        limits: how much of each peer is kept, and of how many.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._peers: dict[PeerId, _Known] = {}  # the latest used last

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def peers(self) -> list[PeerId]:
        """Everybody known."""
        return list(self._peers)

    def add_addrs(self, peer: PeerId, addrs: Iterable[Multiaddr]) -> None:
        """Remember addresses, without `/p2p`. The oldest make room for the latest."""
        known = self._touch(peer)
        for addr in addrs:
            bare = addr.without_peer()
            known.addrs.pop(bare, None)
            known.addrs[bare] = None
        self._trim_addrs(known)

    def addrs(self, peer: PeerId) -> tuple[Multiaddr, ...]:
        """Where the peer may be, the latest address first."""
        known = self._peers.get(peer)
        return tuple(reversed(known.addrs)) if known is not None else ()

    def set_protocols(self, peer: PeerId, protocols: Iterable[str]) -> None:
        """Remember what the peer speaks."""
        self._touch(peer).protocols = tuple(protocols)[: self._limits.identify_protocols]

    def protocols(self, peer: PeerId) -> tuple[str, ...]:
        """What the peer said that it speaks."""
        known = self._peers.get(peer)
        return known.protocols if known is not None else ()

    def set_agent(self, peer: PeerId, agent: str) -> None:
        """Remember which program the peer says it is."""
        self._touch(peer).agent = agent

    def agent(self, peer: PeerId) -> str:
        """Which program the peer says it is."""
        known = self._peers.get(peer)
        return known.agent if known is not None else ""

    def add_record(self, record: PeerRecord, envelope: bytes) -> bool:
        """Believe a signed record that has been verified, unless we have a newer one.

        `seq` only orders the records of one peer; it is not read as a clock.

        Returns: whether it was new.
        """
        known = self._touch(record.peer_id)
        if known.record is not None and record.seq <= known.record.seq:
            return False
        known.record = record
        known.envelope = envelope
        self.add_addrs(record.peer_id, record.addrs)
        return True

    def record(self, peer: PeerId) -> PeerRecord | None:
        """The newest record that the peer signed."""
        known = self._peers.get(peer)
        return known.record if known is not None else None

    def envelope(self, peer: PeerId) -> bytes:
        """That record's signed envelope, as it came; b"" if there is none."""
        known = self._peers.get(peer)
        return known.envelope if known is not None else b""

    def set_connected(self, peer: PeerId, connected: bool) -> None:
        """Connected peers are never forgotten, and more of their addresses are kept."""
        known = self._touch(peer)
        known.connected = connected
        self._trim_addrs(known)

    def forget(self, peer: PeerId) -> None:
        """Remove everything about a peer."""
        self._peers.pop(peer, None)

    def _touch(self, peer: PeerId) -> _Known:
        known = self._peers.pop(peer, None) or _Known()
        self._peers[peer] = known
        if len(self._peers) > self._limits.peerstore_peers:
            for other, entry in self._peers.items():
                if not entry.connected and other != peer:
                    del self._peers[other]
                    break
        return known

    def _trim_addrs(self, known: _Known) -> None:
        limits = self._limits
        most = limits.identify_addresses if known.connected else limits.identify_addresses_after
        while len(known.addrs) > most:
            del known.addrs[next(iter(known.addrs))]
