"""What happens to a host, as facts for its trace (layer "host")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ListenerOpened:
    """The host waits for connections at this address."""

    addr: str


@dataclass(frozen=True, slots=True)
class ListenerClosed:
    """The host no longer waits at this address."""

    addr: str


@dataclass(frozen=True, slots=True)
class DialStarted:
    """One address is being tried."""

    peer: str
    addr: str


@dataclass(frozen=True, slots=True)
class DialFailed:
    """One address did not work."""

    peer: str
    addr: str
    cause: str


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A connection is usable: secured, multiplexed, its remote peer proven."""

    peer: str
    direction: Literal["inbound", "outbound"]
    local_addr: str
    remote_addr: str
    transport: str
    security: str
    muxer: str


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """A connection is gone."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class UpgradeFailed:
    """An inbound connection was dropped before it was usable."""

    remote_addr: str
    cause: str


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """A stream has its protocol and its handler."""

    peer: str
    protocol: str
    direction: Literal["inbound", "outbound"]


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """A stream is over.

    Attributes:
        how: "closed", "reset by us", "reset by peer" or "lost".
    """

    peer: str
    protocol: str
    how: str
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True, slots=True)
class HandlerFailed:
    """A handler raised; its stream was reset."""

    peer: str
    protocol: str
    error: str


@dataclass(frozen=True, slots=True)
class Identified:
    """A peer told us who it is."""

    peer: str
    agent: str
    protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddrsObserved:
    """Where several others agree to see us, in place of what they agreed on before."""

    addrs: tuple[str, ...]
