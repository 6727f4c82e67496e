"""The relay's book: who has a place, who is switched through to whom, and what each may still carry. A core.

A relay lends its bandwidth to strangers, so everything it gives has an end: a place expires, and ends with its peer's
connection; a circuit ends after so many seconds or bytes. And nobody gets all: places are counted in all, by IP address
and (where somebody can say which) by network; circuits are counted by peer, at both ends.

    RESERVE    ──▶ place(peer)        one for each peer; again = renewed
    CONNECT    ──▶ circuit            needs the target's place
    disconnect ──▶ no place

Spec: relay/circuit-v2.md#reservation, relay/circuit-v2.md#connection-initiation
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from libp2p_lab.host.observed_addrs import observer_of
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat.relay_messages import Limit, Status, Voucher

Way = Literal["there", "back"]


@dataclass(frozen=True, slots=True)
class Place:
    """What a peer has reserved.

    Attributes:
        expire: Unix time in seconds.
        household: its IPv4 address, or the /56 of its IPv6 one; "" if it has none.
        network: the number of the network that this address belongs to; None if nobody knows.
    """

    expire: int
    household: str
    network: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """No.

    Attributes:
        status: what the peer is told.
        reason: what our own trace is told.
    """

    status: Status
    reason: str


@dataclass(slots=True, eq=False)
class Circuit:
    """Two peers, switched through.

    Attributes:
        number: counts up.
        source, target: who called whom.
        limit: what it may have; None for as much as it likes.
        carried: bytes so far, each way.
    """

    number: int
    source: PeerId
    target: PeerId
    limit: Limit | None
    carried: dict[Way, int] = field(default_factory=lambda: {"there": 0, "back": 0})

    def take(self, way: Way, n: int) -> int:
        """`n` bytes want to pass. Returns how many may; fewer means that this was the end."""
        if self.limit is not None and self.limit.data:
            n = min(n, self.limit.data - self.carried[way])
        self.carried[way] += n
        return n


class Book(Protocol):
    """Decides what a relay grants: what `Relay` needs of one. `RelayBook` is the library's."""

    @property
    def places(self) -> Mapping[PeerId, Place]:
        """Who has a place."""
        ...

    @property
    def circuits(self) -> Mapping[int, Circuit]:
        """Who is switched through to whom, by number."""
        ...

    @property
    def limit(self) -> Limit | None:
        """What each circuit may have."""
        ...

    def reserve(self, peer: PeerId, addr: Multiaddr, now: float) -> Place | Refused:
        """A peer wants a place."""
        ...

    def voucher(self, peer: PeerId, place: Place, key: KeyPair) -> bytes:
        """The relay's signed word for a place."""
        ...

    def leave(self, peer: PeerId) -> bool:
        """A peer's last connection is gone."""
        ...

    def expire(self, now: float) -> Sequence[PeerId]:
        """Forget places that are over."""
        ...

    def connect(
        self, source: PeerId, addr: Multiaddr, target: PeerId, now: float
    ) -> Circuit | Refused:
        """A peer wants to be switched through."""
        ...

    def end(self, circuit: Circuit) -> None:
        """A circuit is over."""
        ...


class RelayBook:
    """Decides what a relay grants. A `Book`.

    Args:
        own: who the relay is.
        limits: how much of everything.
        network_of: the number of the network (ASN) that an IP address belongs to, or None. The mapping is a large table
            that changes daily, so it is handed in.
        allow: whether a peer may reserve, or may be called by another: (who calls or reserves, who is called or None).
    """

    def __init__(
        self,
        own: PeerId,
        limits: Limits = DEFAULT_LIMITS,
        *,
        network_of: Callable[[str], int | None] | None = None,
        allow: Callable[[PeerId, PeerId | None], bool] | None = None,
    ) -> None:
        self.places: dict[PeerId, Place] = {}
        self.circuits: dict[int, Circuit] = {}
        self._own = own
        self._limits = limits
        self._network_of = network_of
        self._allow = allow
        self._numbers = itertools.count(1)
        self._busy: Counter[PeerId] = Counter()  # circuits by peer, at either end
        # Counted as places come and go, so that a flood of requests costs nobody a walk through the book.
        self._households: Counter[str] = Counter()
        self._networks: Counter[int] = Counter()

    @property
    def limit(self) -> Limit | None:
        """What each circuit may have."""
        limit = Limit(int(self._limits.relay_duration), self._limits.relay_data)
        return limit if limit.is_any else None

    # -- places ---------------------------------------------------------------------------------------------

    def reserve(self, peer: PeerId, addr: Multiaddr, now: float) -> Place | Refused:
        """A peer wants a place, or wants to keep the one it has.

        Args:
            peer: who asks.
            addr: the other end of the connection over which it asks.
            now: Unix time in seconds.
        """
        if "p2p-circuit" in addr.names:
            return Refused(Status.PERMISSION_DENIED, "a reservation over a relayed connection")
        if self._allow is not None and not self._allow(peer, None):
            return Refused(Status.PERMISSION_DENIED, "not allowed here")
        self.expire(now)
        held = self.places.get(peer)
        ip = addr.value_of("ip4") or addr.value_of("ip6") or ""
        household = observer_of(addr) if ip else ""
        network = self._network_of(ip) if ip and self._network_of is not None else None
        refusal = self._is_full(household, network, held)
        if refusal:  # a peer that moved to where there is no room keeps what it has
            return Refused(Status.RESERVATION_REFUSED, refusal)
        if held is not None:
            self._remove(peer)
        place = Place(int(now + self._limits.relay_reservation_ttl), household, network)
        self._put(peer, place)
        return place

    def voucher(self, peer: PeerId, place: Place, key: KeyPair) -> bytes:
        """The relay's signed word for a place. Spec: relay/circuit-v2.md#reservation-vouchers"""
        return Voucher(self._own, peer, place.expire).seal(key)

    def _is_full(self, household: str, network: int | None, held: Place | None) -> str:
        """Why there is no room, not counting the place that the peer holds already; "" if there is."""
        limits = self._limits
        if held is None and len(self.places) >= limits.relay_reservations:
            return "every place is taken"
        others = self._households[household] - (held is not None and held.household == household)
        if household and others >= limits.relay_reservations_per_ip:
            return f"too many places for {household}"
        if network is not None:
            others = self._networks[network] - (held is not None and held.network == network)
            if others >= limits.relay_reservations_per_network:
                return f"too many places for the network {network}"
        return ""

    def _put(self, peer: PeerId, place: Place) -> None:
        self.places[peer] = place
        self._households[place.household] += 1
        if place.network is not None:
            self._networks[place.network] += 1

    def _remove(self, peer: PeerId) -> None:
        place = self.places.pop(peer)
        self._households[place.household] -= 1
        if not self._households[place.household]:
            del self._households[place.household]
        if place.network is not None:
            self._networks[place.network] -= 1
            if not self._networks[place.network]:
                del self._networks[place.network]

    def leave(self, peer: PeerId) -> bool:
        """A peer's last connection is gone, and its place with it. Returns whether it had one."""
        if peer not in self.places:
            return False
        self._remove(peer)
        return True

    def expire(self, now: float) -> list[PeerId]:
        """Forget places that are over. Returns whose they were."""
        over: list[PeerId] = []
        for peer, place in self.places.items():  # the oldest first: each renewal moves to the end
            if place.expire > now:
                break
            over.append(peer)
        for peer in over:
            self._remove(peer)
        return over

    # -- circuits -------------------------------------------------------------------------------------------

    def connect(
        self, source: PeerId, addr: Multiaddr, target: PeerId, now: float
    ) -> Circuit | Refused:
        """A peer wants to be switched through. The circuit counts until `end`.

        Args:
            source: who asks.
            addr: the other end of the connection over which it asks.
            target: whom it calls.
            now: Unix time in seconds.
        """
        if "p2p-circuit" in addr.names:
            return Refused(Status.PERMISSION_DENIED, "a circuit over a relayed connection")
        if target in (source, self._own):
            whom = "itself" if target == source else "the relay"
            return Refused(Status.PERMISSION_DENIED, f"a circuit to {whom}")
        if self._allow is not None and not self._allow(source, target):
            return Refused(Status.PERMISSION_DENIED, "not allowed here")
        self.expire(now)
        if target not in self.places:
            return Refused(Status.NO_RESERVATION, "the target has no place")
        for peer in (source, target):
            if self._busy[peer] >= self._limits.relay_circuits_per_peer:
                reason = f"too many circuits of {peer}"
                return Refused(Status.RESOURCE_LIMIT_EXCEEDED, reason)
        circuit = Circuit(next(self._numbers), source, target, self.limit)
        self.circuits[circuit.number] = circuit
        self._busy.update((source, target))
        return circuit

    def end(self, circuit: Circuit) -> None:
        """A circuit is over."""
        if self.circuits.pop(circuit.number, None) is not None:
            for peer in (circuit.source, circuit.target):
                self._busy[peer] -= 1
                if not self._busy[peer]:
                    del self._busy[peer]
