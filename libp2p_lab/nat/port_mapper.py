"""What can open ports of a router: the interface between those who want ports and the ways to ask for them.

There are three ways: NAT-PMP and PCP (`port_control.py`) and UPnP (`upnp.py`). Whatever fits `Mapper` is one more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from libp2p_lab.errors import LabError

Family = Literal["tcp", "udp"]


class NoRouter(LabError):
    """No router here opens ports: none is found, or none answers."""


class MappingRefused(LabError):
    """The router said no.

    Attributes:
        is_conflict: whether another port may do.
        retry_after: seconds for which it will not change its mind, as it says; 0 if it does not say.
    """

    def __init__(
        self, message: str, *, is_conflict: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(message)
        self.is_conflict = is_conflict
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """A port of ours that the world shall reach."""

    protocol: Family
    port: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.port}"


@dataclass(frozen=True, slots=True)
class Outside:
    """What the router says of itself.

    Attributes:
        ip: its outer address; "" if it does not say.
        epoch: seconds since it started; None if it does not say.
    """

    ip: str = ""
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What the router gives.

    Attributes:
        port: outside.
        lifetime: seconds; 0 for no end.
        outside: of the router, as far as the same answer tells.
    """

    port: int
    lifetime: int
    outside: Outside = Outside()


class Mapper(Protocol):
    """One way to ask one router.

    Every method raises `NoRouter` if nothing answers in time, `MappingRefused` if the answer is no, and `RemoteError`
    if it makes no sense.

    Attributes:
        name: "NAT-PMP", "PCP", "UPnP".
        router: its inner address, or what else names it.
        own_ip: our address, as the router knows us; known once `external_address` was asked.
    """

    name: str
    router: str
    own_ip: str

    async def external_address(self) -> Outside:
        """The router's outer address, and how long it has been up. The first call finds out whether there is one."""
        ...

    async def map(self, wish: Wish, port: int, lifetime: int) -> Grant:
        """Open a port for `lifetime` seconds, or for longer if it is open; `port` outside if that is free."""
        ...

    async def unmap(self, wish: Wish, port: int) -> None:
        """Close it."""
        ...

    async def close(self) -> None:
        """Ask no more."""
        ...
