"""What a host remembers of other peers: where they are, what they speak, what they signed.

Whatever a remote tells is bounded here: so many addresses a peer, so many protocols, so many peers. And nothing is
believed for ever: each address has a time at which it expires, and a word for where it comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from libp2p_lab.errors import LimitExceeded, LocalError
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


#: Where an address comes from: somebody told us, the peer itself did, our own caller gave it, or the peer signed it.
Provenance = Literal["told", "identify", "given", "signed"]
_STRENGTH: tuple[Provenance, ...] = ("told", "identify", "given", "signed")


@dataclass(frozen=True, slots=True)
class KnownAddr:
    """An address of a peer, and why we believe it.

    Attributes:
        addr: without `/p2p`.
        expires: seconds on the store's clock; infinite for never.
        provenance: where it comes from; the strongest if from several.
    """

    addr: Multiaddr
    expires: float
    provenance: Provenance


@dataclass(slots=True)
class Known:
    """The entry of one peer."""

    addrs: dict[Multiaddr, KnownAddr] = field(default_factory=dict)  # the latest last
    metadata: dict[str, str] = field(default_factory=dict)
    protocols: tuple[str, ...] = ()
    agent: str = ""
    record: PeerRecord | None = None
    envelope: bytes = b""
    connected: bool = False


class Peerstore:
    """A host's memory of other peers.

    Args:
        limits: how much of each peer is kept, of how many, and for how long.
        clock: gives seconds; the same after a restart, where the memory outlives one.
    """

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._peers: dict[PeerId, Known] = {}  # the latest used last

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def peers(self) -> list[PeerId]:
        """Everybody known."""
        return list(self._peers)

    def add_addrs(
        self,
        peer: PeerId,
        addrs: Iterable[Multiaddr],
        *,
        ttl: float | None = None,
        provenance: Provenance = "told",
    ) -> None:
        """Remember addresses, without `/p2p`. The oldest make room for the latest.

        Args:
            peer: whose they are.
            addrs: the best one last.
            ttl: seconds until they expire, infinite for never; None for the limits' value. One that is known to last
                longer still does.
            provenance: where they come from.
        """
        known = self._touch(peer)
        expires = self._clock() + (self._limits.peerstore_addr_ttl if ttl is None else ttl)
        for addr in addrs:
            bare = addr.without_peer()
            new = KnownAddr(bare, expires, provenance)
            before = known.addrs.pop(bare, new)
            known.addrs[bare] = KnownAddr(
                bare,
                max(before.expires, expires),
                max(before.provenance, provenance, key=_STRENGTH.index),
            )
        self._trim_addrs(known)
        self._save(peer, known)

    def addrs(self, peer: PeerId) -> tuple[Multiaddr, ...]:
        """Where the peer may be, the latest address first."""
        return tuple(known.addr for known in self.known_addrs(peer))

    def known_addrs(self, peer: PeerId) -> tuple[KnownAddr, ...]:
        """The same, with what we know of each. None expires while its peer is connected."""
        known = self._peers.get(peer)
        if known is None:
            return ()
        now = self._clock()
        latest_first = reversed(known.addrs.values())
        return tuple(addr for addr in latest_first if known.connected or addr.expires > now)

    def set_protocols(self, peer: PeerId, protocols: Iterable[str]) -> None:
        """Remember what the peer speaks."""
        known = self._touch(peer)
        known.protocols = tuple(protocols)[: self._limits.identify_protocols]
        self._save(peer, known)

    def protocols(self, peer: PeerId) -> tuple[str, ...]:
        """What the peer said that it speaks."""
        known = self._peers.get(peer)
        return known.protocols if known is not None else ()

    def set_agent(self, peer: PeerId, agent: str) -> None:
        """Remember which program the peer says it is."""
        known = self._touch(peer)
        known.agent = agent
        self._save(peer, known)

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
        self.add_addrs(record.peer_id, record.addrs, provenance="signed")
        return True

    def record(self, peer: PeerId) -> PeerRecord | None:
        """The newest record that the peer signed."""
        known = self._peers.get(peer)
        return known.record if known is not None else None

    def envelope(self, peer: PeerId) -> bytes:
        """That record's signed envelope, as it came; b"" if there is none."""
        known = self._peers.get(peer)
        return known.envelope if known is not None else b""

    def set_metadata(self, peer: PeerId, name: str, value: str) -> None:
        """Remember a note of our own about a peer; "" takes it away.

        Raises: `LimitExceeded` if there are too many, or it is too long.
        """
        limits = self._limits
        if len(name) + len(value) > limits.peerstore_note:
            raise LimitExceeded("peerstore_note", len(name) + len(value), limits.peerstore_note)
        known = self._touch(peer)
        if value and name not in known.metadata and len(known.metadata) >= limits.peerstore_notes:
            raise LimitExceeded("peerstore_notes", len(known.metadata) + 1, limits.peerstore_notes)
        known.metadata.pop(name, None)
        if value:
            known.metadata[name] = value
        self._save(peer, known)

    def metadata(self, peer: PeerId) -> Mapping[str, str]:
        """Our notes about a peer, by name."""
        known = self._peers.get(peer)
        return dict(known.metadata) if known is not None else {}

    def set_connected(self, peer: PeerId, connected: bool) -> None:
        """Connected peers are never forgotten, and more of their addresses are kept.

        When one leaves, where it was stays believable for a while.
        """
        known = self._touch(peer)
        if known.connected and not connected:
            self._extend(known)
        self._trim_addrs(known)  # what has expired before it came does not live again
        known.connected = connected
        self._trim_addrs(known)
        self._save(peer, known)

    def forget(self, peer: PeerId) -> None:
        """Remove everything about a peer."""
        if self._peers.pop(peer, None) is not None:
            self._drop(peer)

    # -- a store that outlives the process does something here ------------------------------------------------

    def _save(self, peer: PeerId, known: Known) -> None:
        """What is known of `peer` changed."""

    def _drop(self, peer: PeerId) -> None:
        """`peer` is forgotten."""

    # -- within the limits --------------------------------------------------------------------------------------

    def _touch(self, peer: PeerId) -> Known:
        known = self._peers.pop(peer, None) or Known()
        self._peers[peer] = known
        if len(self._peers) > self._limits.peerstore_peers:
            for other, entry in self._peers.items():
                if not entry.connected and other != peer:
                    del self._peers[other]
                    self._drop(other)
                    break
        return known

    def _extend(self, known: Known) -> None:
        """The peer was connected until now: none of its addresses expires very soon."""
        until = self._clock() + self._limits.peerstore_addr_ttl_recent
        for addr, entry in known.addrs.items():
            if entry.expires < until:
                known.addrs[addr] = KnownAddr(addr, until, entry.provenance)

    def _trim_addrs(self, known: Known) -> None:
        """Drop what has expired, and the oldest of what is too much."""
        limits, now = self._limits, self._clock()
        if not known.connected:
            for addr in [a for a, entry in known.addrs.items() if entry.expires <= now]:
                del known.addrs[addr]
        most = limits.identify_addresses if known.connected else limits.identify_addresses_after
        while len(known.addrs) > most:
            del known.addrs[next(iter(known.addrs))]
