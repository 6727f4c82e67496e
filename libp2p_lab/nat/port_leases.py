"""Which ports a router keeps open for us, and what is due next. A core.

    wanted ──map──▶ held ──half of its time──▶ map again ──▶ held
       ▲             │ no longer wanted: unmap      │ no
       └── later ◀───┴──── over, refused ◀──────────┘

Between that the router is asked now and then for its outer address, and how long it has been up. One that has been up
for less than it should have been was switched off and on, and has forgotten our ports: they are asked for again.

A router may be wrong, or lie. So a lease counts for a day at the most and a minute at the least, and "I was switched
off" is believed once a minute: whatever it says, it is not asked more often than that.

RFC 6886 section 3.7, RFC 6887 sections 8.5 and 11.2.1
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat.events import (
    OuterAddressChanged,
    PortLost,
    PortMapFailed,
    PortMapped,
    RouterRestarted,
)
from libp2p_lab.nat.port_mapper import Grant, MappingRefused, Outside, Wish
from libp2p_lab.transports.public import is_public_ip

if TYPE_CHECKING:
    import random

FOREVER = float("inf")

# -- what to do next -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the router for its outer address."""


@dataclass(frozen=True, slots=True)
class Map:
    """Ask for a port, or for the same once more."""

    wish: Wish
    port: int
    lifetime: int


@dataclass(frozen=True, slots=True)
class Unmap:
    """Close a port that is wanted no longer."""

    wish: Wish
    port: int


Step = Look | Map | Unmap
Event = PortMapped | PortMapFailed | PortLost | RouterRestarted | OuterAddressChanged


@dataclass(slots=True)
class Lease:
    """One port.

    Attributes:
        wish: what we want.
        port: outside; while it is not held, the one to ask for.
        expires: until when it is held; 0 while it is not.
        due: when to ask next.
        failures: in a row.
        conflicts: of them those where the port was taken.
    """

    wish: Wish
    port: int
    expires: float = 0.0
    due: float = 0.0
    failures: int = 0
    conflicts: int = 0


class PortLeases:
    """All ports at one router.

    Args:
        rng: chooses another port where one is taken.
        limits: how many, how long, how often.

    Attributes:
        outer_ip: of the router; "" while it is not known.
        failed_looks: how often in a row it has not answered.
    """

    def __init__(self, rng: random.Random, limits: Limits = DEFAULT_LIMITS) -> None:
        self._rng = rng
        self._limits = limits
        self._leases: dict[Wish, Lease] = {}
        self._leaving: dict[Wish, int] = {}  # to be closed, and the port outside
        self._events: list[Event] = []
        self._look_at = 0.0
        self._epoch: tuple[int, float] | None = None  # and when it was told
        self._restart_believed = -FOREVER
        self.outer_ip = ""
        self.failed_looks = 0

    # -- what is wanted, and what there is ------------------------------------------------------------------

    def want(self, wishes: Iterable[Wish], now: float = 0.0) -> None:
        """These and no others, and not more than the limit allows."""
        wanted = list(dict.fromkeys(wishes))[: self._limits.port_map_ports]
        for wish in [wish for wish in self._leases if wish not in wanted]:
            lease = self._leases.pop(wish)
            if lease.expires:
                self._leaving[wish] = lease.port
                self._events.append(PortLost(wish.protocol, wish.port, "not wanted any more"))
        for wish in wanted:
            if wish not in self._leases:
                self._leaving.pop(wish, None)
                self._leases[wish] = Lease(wish, wish.port, due=now)

    @property
    def held(self) -> dict[Wish, int]:
        """Which ports are open, and at which port outside. One whose time is over goes with the `next_step`."""
        return {lease.wish: lease.port for lease in self._leases.values() if lease.expires}

    def take_events(self) -> list[Event]:
        """What has happened since the last call."""
        events, self._events = self._events, []
        return events

    # -- what to do -----------------------------------------------------------------------------------------

    def next_step(self, now: float) -> Step | None:
        """What is due, one thing at a time: RFC 6886 section 3.1 wants no two questions at once."""
        for lease in self._leases.values():
            if 0.0 < lease.expires <= now:
                self._lose(lease, "its time is over")
        if self._look_at <= now:
            return Look()
        leaving = self.next_unmap()
        if leaving is not None:
            return leaving
        for lease in self._leases.values():
            if lease.due <= now:
                return Map(lease.wish, lease.port, int(self._limits.port_map_lease))
        return None

    def next_unmap(self) -> Unmap | None:
        """A port to be closed; at the end nothing else is due."""
        return next((Unmap(wish, port) for wish, port in self._leaving.items()), None)

    @property
    def next_time(self) -> float:
        """When something is due."""
        times = [lease.due for lease in self._leases.values()]
        times += [lease.expires for lease in self._leases.values() if lease.expires]
        return min((self._look_at, *times))

    # -- what came of it ------------------------------------------------------------------------------------

    def looked(self, outside: Outside, now: float) -> None:
        """The router says what its outer address is."""
        self.failed_looks = 0
        self._look_at = now + self._limits.port_map_look
        self._learn(outside, now)

    def look_failed(self, now: float) -> None:
        """It does not answer, or says nothing that makes sense."""
        self.failed_looks += 1
        self._look_at = now + self._limits.port_map_look

    def granted(self, wish: Wish, grant: Grant, now: float) -> None:
        """It says that a port is open."""
        lease = self._leases.get(wish)
        if lease is None:  # not wanted any more, since a moment ago
            self._leaving[wish] = grant.port
            return
        limits = self._limits
        if not 0 < grant.port < 1 << 16:
            self.refused(wish, MappingRefused(f"it gives the port {grant.port}"), now)
            return
        if 0 < grant.lifetime < limits.port_map_lease_min:
            least = limits.port_map_lease_min
            why = f"a lease of {grant.lifetime} s: {least:.0f} s are the least that is of use"
            self.refused(wish, MappingRefused(why), now)
            return
        lifetime = min(grant.lifetime or limits.port_map_lease_max, limits.port_map_lease_max)
        renewed = lease.expires > now and lease.port == grant.port
        lease.port = grant.port
        lease.expires = now + lifetime if grant.lifetime else FOREVER
        lease.due = now + lifetime / 2
        lease.failures = lease.conflicts = 0
        self._learn(grant.outside, now)
        mapped = PortMapped(
            wish.protocol, wish.port, self.outer_ip, grant.port, grant.lifetime, renewed
        )
        self._events.append(mapped)

    def refused(self, wish: Wish, why: Exception, now: float) -> None:
        """It says no, or nothing, or nothing that makes sense."""
        lease = self._leases.get(wish)
        if lease is None:
            return
        limits = self._limits
        self._events.append(PortMapFailed(wish.protocol, wish.port, f"{type(why).__name__}: {why}"))
        if isinstance(why, MappingRefused) and why.is_conflict:
            lease.conflicts += 1
            if lease.expires > now:
                self._lose(lease, "somebody else has it")
            lease.port = self._rng.randrange(1024, 1 << 16)
            if lease.conflicts < limits.port_map_tries:
                lease.due = now
                return
        lease.failures += 1
        wait = limits.port_map_retry * 2 ** min(lease.failures - 1, 16)
        if isinstance(why, MappingRefused):
            wait = max(wait, why.retry_after)
        lease.due = now + min(wait, limits.port_map_retry_max)

    def unmapped(self, wish: Wish) -> None:
        """A port was closed, or the router would not: in both cases nothing more can be done."""
        self._leaving.pop(wish, None)

    # -- rules ----------------------------------------------------------------------------------------------

    def _learn(self, outside: Outside, now: float) -> None:
        if outside.ip and outside.ip != self.outer_ip:
            before, self.outer_ip = self.outer_ip, outside.ip
            self._events.append(OuterAddressChanged(outside.ip, before, is_public_ip(outside.ip)))
        if outside.epoch is None:
            return
        before_epoch, self._epoch = self._epoch, (outside.epoch, now)
        if before_epoch is None or not has_restarted(*before_epoch, outside.epoch, now):
            return
        if now - self._restart_believed < self._limits.port_map_restart:
            return
        self._restart_believed = now
        self._events.append(RouterRestarted(outside.epoch))
        for lease in self._leases.values():
            lease.due = now
            if lease.expires:  # whoever is not confirmed soon is gone
                lease.expires = min(lease.expires, now + self._limits.port_map_retry)

    def _lose(self, lease: Lease, why: str) -> None:
        lease.expires = 0.0
        self._events.append(PortLost(lease.wish.protocol, lease.wish.port, why))


def has_restarted(before: int, then: float, epoch: int, now: float) -> bool:
    """Whether a router's clock does not go on as ours does: RFC 6887 section 8.5.

    Args:
        before, then: what it said earlier, and when by our clock.
        epoch, now: the same now.
    """
    if epoch + 1 < before:
        return True
    ours, its = now - then, epoch - before
    return ours + 2 < its - its / 16 or its + 2 < ours - ours / 16
