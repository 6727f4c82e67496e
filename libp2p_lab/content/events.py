"""What discovery tells the trace (layers "mdns" and "rendezvous")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Announced:
    """We call out to the local network who and where we are.

    Attributes:
        name: our name there, which is no peer id.
        addrs: what the TXT record holds; () if we have nothing to say and only listen.
    """

    name: str
    addrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeighbourFound:
    """Somebody in the local network said who and where it is, or that this has changed."""

    peer: str
    addrs: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class NeighbourLost:
    """Somebody said goodbye, or has not been heard of for too long."""

    peer: str
    name: str


@dataclass(frozen=True, slots=True)
class NeighbourRefused:
    """What was called out under a name cannot be used."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """There is no multicast here: nobody will be found in the local network."""

    why: str


@dataclass(frozen=True, slots=True)
class Registered:
    """We stand on a list of a rendezvous point, for `ttl` seconds from now."""

    point: str
    namespace: str
    ttl: int


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """A rendezvous point did not take us again; it will be asked once more."""

    point: str
    namespace: str
    why: str
