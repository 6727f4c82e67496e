"""The slot `relay`: a student's book inside the library's relay service."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.envelope import Envelope
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.nat.circuit import RelayClient
from libp2p_lab.nat.relay import Relay
from libp2p_lab.nat.relay_book import Circuit, Place, Refused, Way
from libp2p_lab.nat.relay_messages import Limit, Status

if TYPE_CHECKING:
    from libp2p_lab.host.service import Service


class StudentCircuit(Circuit):
    """A circuit of which the student's book says how much may pass."""

    __slots__ = ("own", "part")

    def __init__(self, number: int, source: PeerId, target: PeerId, limit: Limit | None) -> None:
        super().__init__(number, source, target, limit)
        self.part: Any = None  # the student's book
        self.own: Any = None  # what it calls this circuit

    def take(self, way: Way, n: int) -> int:
        """As `Circuit.take`."""
        allowed = int(self.part.take(self.own, way, n, time.time()))
        if not 0 <= allowed <= n:
            raise LocalError(f"{n} bytes want to pass, and the book lets {allowed} pass")
        self.carried[way] += allowed
        return allowed


class StudentBook:
    """A student's book as `Relay` uses one. A `Book`.

    Args:
        make: the student's class, called with (own, ttl, places, seconds, data).
        own: who the relay is.
        limits: how much of everything.
        parts: what else `Relay` hands to a book: not the student's business.
    """

    def __init__(
        self, make: Callable[..., Any], own: PeerId, limits: Limits, **parts: object
    ) -> None:
        self.limit = Limit(int(limits.relay_duration), limits.relay_data)
        self.places: dict[PeerId, Place] = {}
        self.circuits: dict[int, Circuit] = {}
        self._numbers = itertools.count(1)
        self._book = make(
            own,
            limits.relay_reservation_ttl,
            limits.relay_reservations,
            self.limit.duration,
            self.limit.data,
        )

    def reserve(self, peer: PeerId, addr: Multiaddr, now: float) -> Place | Refused:
        """As `Book.reserve`."""
        status, expire = self._book.reserve(peer, str(addr), now)
        if Status[status] is not Status.OK:
            return Refused(Status[status], "your book says so")
        self.places.pop(peer, None)
        self.places[peer] = Place(int(expire), "", None)
        return self.places[peer]

    def voucher(self, peer: PeerId, place: Place, key: KeyPair) -> bytes:
        """As `Book.voucher`."""

        def seal(domain: str, payload_type: bytes, payload: bytes) -> bytes:
            return Envelope.seal(key, domain, payload_type, payload).encode()

        return bytes(self._book.voucher(peer, place.expire, seal))

    def leave(self, peer: PeerId) -> bool:
        """As `Book.leave`."""
        self._book.leave(peer)
        return self.places.pop(peer, None) is not None

    def expire(self, now: float) -> list[PeerId]:
        """As `Book.expire`: the student's book forgets by itself."""
        over = [peer for peer, place in self.places.items() if place.expire <= now]
        for peer in over:
            del self.places[peer]
        return over

    def connect(
        self, source: PeerId, addr: Multiaddr, target: PeerId, now: float
    ) -> Circuit | Refused:
        """As `Book.connect`."""
        status, own = self._book.connect(source, str(addr), target, now)
        if Status[status] is not Status.OK:
            return Refused(Status[status], "your book says so")
        circuit = StudentCircuit(next(self._numbers), source, target, self.limit)
        circuit.part, circuit.own = self._book, own
        self.circuits[circuit.number] = circuit
        return circuit

    def end(self, circuit: Circuit) -> None:
        """As `Book.end`."""
        if self.circuits.pop(circuit.number, None) is not None:
            assert isinstance(circuit, StudentCircuit)
            self._book.end(circuit.own)


def with_book(make: Callable[..., Any]) -> list[Service]:
    """The services of a relay that grants what a student's book grants."""

    def book(own: PeerId, limits: Limits, **parts: object) -> StudentBook:
        return StudentBook(make, own, limits, **parts)

    return [Identify(), Ping(), RelayClient(), Relay(book=book)]
