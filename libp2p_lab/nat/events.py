"""What happens around routers, relays and hole punching, as facts for the trace (layers "port_mapping", "relay", …)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# -- the relay -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReservationMade:
    """A relay keeps a place for a peer.

    Attributes:
        peer: who has it.
        expire: Unix time in seconds.
        renewed: whether it had one before.
    """

    peer: str
    expire: int
    renewed: bool


@dataclass(frozen=True, slots=True)
class ReservationEnded:
    """A relay keeps a place no longer: "expired", or "disconnected"."""

    peer: str
    why: str


@dataclass(frozen=True, slots=True)
class RelayRefusal:
    """A relay said no, or who was called through one. The reason is more than the status says on the wire."""

    peer: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class CircuitOpened:
    """A relay switched two peers through."""

    number: int
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class CircuitClosed:
    """A circuit is over.

    Attributes:
        number: as when it opened.
        there, back: bytes carried from its source to its target, and the other way.
        how: "closed", or the reason why it was cut.
    """

    number: int
    there: int
    back: int
    how: str


# -- the client ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reserved:
    """We have a place at a relay, until `expire` (Unix time in seconds)."""

    relay: str
    expire: int


@dataclass(frozen=True, slots=True)
class ReservationLost:
    """We have no place at a relay any more."""

    relay: str
    why: str


# -- hole punching ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DirectDialTried:
    """A peer with public addresses was dialed directly, before anything is punched."""

    peer: str
    worked: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class RoundTripMeasured:
    """From our CONNECT to the other's, over the relay, in seconds."""

    peer: str
    attempt: int
    rtt: float


@dataclass(frozen=True, slots=True)
class PunchStarted:
    """The moment of simultaneous dialing, at this end.

    Attributes:
        peer: the other.
        attempt: 1 to 3.
        role: "initiator" of the exchange (B, who was called), or "receiver" (A, who called).
        addrs: what is dialed.
    """

    peer: str
    attempt: int
    role: Literal["initiator", "receiver"]
    addrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PunchDialStarted:
    """One address is being dialed; "client" or "server" is our role on what comes of it."""

    peer: str
    attempt: int
    addr: str
    role: Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class PunchDialEnded:
    """One such dial is over; `cause` is empty if it worked."""

    peer: str
    attempt: int
    addr: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class PunchEnded:
    """Hole punching is over.

    Attributes:
        peer: the other.
        outcome: "punched", "dialed" (no hole was needed) or "failed".
        attempts: exchanges that it took; 0 if none was needed.
        addr: where the direct connection leads; "" if there is none.
        cause: why not.
    """

    peer: str
    outcome: Literal["punched", "dialed", "failed"]
    attempts: int
    addr: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Migrated:
    """New streams use the direct connection; the relayed one was closed after its grace."""

    peer: str
    relayed: int
    direct: int


# -- reachability ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddrJudged:
    """A server has tried one of our addresses."""

    server: str
    addr: str
    reached: bool


@dataclass(frozen=True, slots=True)
class ReachabilityChanged:
    """Enough servers agree: others can call us, or cannot."""

    now: Literal["unknown", "public", "private"]


# -- ports that a router opens --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RouterFound:
    """A router that opens ports when asked: how it is asked, where, and who we are for it."""

    how: str
    router: str
    own_ip: str


@dataclass(frozen=True, slots=True)
class RouterMissed:
    """One way to ask a router led nowhere."""

    how: str
    cause: str


@dataclass(frozen=True, slots=True)
class OuterAddressChanged:
    """The router says what its outer address is; a private one leads nobody to us."""

    now: str
    before: str
    is_public: bool


@dataclass(frozen=True, slots=True)
class RouterRestarted:
    """The router was switched off and on, and has forgotten every port: they are asked for again."""

    epoch: int


@dataclass(frozen=True, slots=True)
class PortMapped:
    """The router opened a port, or keeps it open.

    Attributes:
        protocol: "tcp" or "udp".
        inner: our own port.
        ip, outer: where the world finds it.
        lifetime: seconds; 0 for no end.
        renewed: whether it was open at the same place before.
    """

    protocol: str
    inner: int
    ip: str
    outer: int
    lifetime: int
    renewed: bool


@dataclass(frozen=True, slots=True)
class PortMapFailed:
    """The router did not open a port; it will be asked again."""

    protocol: str
    inner: int
    cause: str


@dataclass(frozen=True, slots=True)
class PortLost:
    """A port is open no more."""

    protocol: str
    inner: int
    why: str
