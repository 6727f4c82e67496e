"""What a service is: something that a host offers to others, or does by itself, on streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host


class Service(Protocol):
    """A part of one host. `Host(services=[…])` takes any object that fits.

    One with an attribute `name` that is "dht", "pubsub" and so on is `host.dht`, `host.pubsub` and so on.
    """

    def attach(self, host: Host) -> None:
        """Register handlers and callbacks. Called once, before the host listens."""
        ...

    async def close(self) -> None:
        """Stop. Called once, while the host closes; its tasks end with the host anyway."""
        ...
