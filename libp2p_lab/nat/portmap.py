"""Port mapping: the shortest way out of a NAT is to ask it for a door.

    async with lab.Host(listen=["/ip4/0.0.0.0/tcp/4001"], services=[…, lab.PortMapping()]) as host:
        host.port_mapping.mappings          which ports the router keeps open
        host.addrs                          and where others find us, thanks to them

Many home routers open a port when a machine behind them asks, by PCP, NAT-PMP or UPnP. For every port at which we
listen, this asks for one, keeps it open, and gives it back when the host closes. Where it leads is told to others as
an address of ours, and AutoNAT finds out whether it is true.

Nothing that a router says is believed further than that. If its outer address is a private one, there is another NAT
behind it, and the door leads into a yard: the port is open, and nobody is told.

Misconception: UPnP is hole punching. Here the router is asked, and knows; there it is not, and does not.

What is due when is `port_leases.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from libp2p_lab.errors import LabError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.nat.events import RouterFound, RouterMissed
from libp2p_lab.nat.gateway import default_gateway
from libp2p_lab.nat.port_control import PortControl
from libp2p_lab.nat.port_leases import Look, Map, PortLeases, Step, Unmap
from libp2p_lab.nat.port_mapper import Family, Mapper, Wish
from libp2p_lab.nat.upnp import Upnp
from libp2p_lab.transports.public import is_public_ip

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

_FAMILIES: dict[str, Family] = {"tcp": "tcp", "udp": "udp"}


@dataclass(frozen=True, slots=True)
class PortMap:
    """One port that the router keeps open.

    Attributes:
        protocol: "tcp" or "udp".
        inner: our port.
        ip, outer: where the router listens for us; "" if it does not say.
    """

    protocol: Family
    inner: int
    ip: str
    outer: int


class PortMapping:
    """The service.

    Args:
        gateway: the router's inner address; None for the system's default gateway.
        mappers: ways to ask, in the order in which they are tried; None for PCP and NAT-PMP, then UPnP.
        allow_private: whether others are told of a private outer address: for laboratories and houses.

    Attributes:
        mapper: how the router is asked; None as long as there is none.
    """

    name = "port_mapping"

    def __init__(
        self,
        gateway: str | None = None,
        *,
        mappers: Sequence[Mapper] | None = None,
        allow_private: bool = False,
    ) -> None:
        self._gateway = gateway
        self._mappers = mappers
        self._allow_private = allow_private
        self.mapper: Mapper | None = None
        self._leases: PortLeases | None = None
        self._told: tuple[Multiaddr, ...] = ()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.on_start(self._start)
        host.on_change(self._wake.set)

    def _start(self) -> None:
        self._task = self._host.create_task(self._run())

    async def close(self) -> None:
        """As `Service.close`: give every port back, if the router answers soon."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        mapper, leases = self.mapper, self._leases
        self.mapper = self._leases = None
        if mapper is None or leases is None:
            return
        leases.want(())
        with contextlib.suppress(LabError, OSError, TimeoutError):
            async with asyncio.timeout(self._host.limits.port_map_close_timeout):
                while (step := leases.next_unmap()) is not None:
                    await self._do(mapper, leases, step)
        self._tell(leases)
        await mapper.close()

    @property
    def external_ip(self) -> str:
        """What the router says its outer address is; "" if there is none."""
        return self._leases.outer_ip if self._leases is not None else ""

    @property
    def mappings(self) -> list[PortMap]:
        """The ports that are open now."""
        if self._leases is None or self.mapper is None:
            return []
        held = self._leases.held.items()
        return [PortMap(w.protocol, w.port, self.external_ip, port) for w, port in held]

    @property
    def addrs(self) -> list[Multiaddr]:
        """Where others find us by these ports, if the router's address is a public one."""
        if not self.external_ip or not (self._allow_private or is_public_ip(self.external_ip)):
            return []
        open_ports = {(m.protocol, m.inner): m for m in self.mappings}
        found: dict[Multiaddr, None] = {}
        for addr in self._host.listen_addrs:
            mapped = open_ports.get(self._end(addr) or ("tcp", 0))
            if mapped is not None:
                ends = Multiaddr(f"/ip4/{mapped.ip}/{mapped.protocol}/{mapped.outer}").parts
                found[Multiaddr.of((*ends, *addr.without_peer().parts[2:]))] = None
        return list(found)

    # -- finding a router -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Find a router, keep ports open there as long as it answers, and look again."""
        limits = self._host.limits
        while True:
            mapper = await self._find()
            if mapper is None:
                await asyncio.sleep(limits.port_map_search)
                continue
            try:
                await self._keep(mapper)
            finally:
                self._publish()
            await mapper.close()
            self.mapper = self._leases = None
            self._publish()

    def _candidates(self) -> Sequence[Mapper]:
        if self._mappers is not None:
            return self._mappers
        host = self._host
        router = self._router()
        asked = [PortControl(router, rng=host.rng, limits=host.limits, tell=self._tell_message)]
        return (*(asked if router else ()), Upnp(limits=host.limits))

    def _router(self) -> str:
        return self._gateway if self._gateway is not None else default_gateway()

    async def _find(self) -> Mapper | None:
        """The first way that leads to a router; it is ours from then on."""
        for mapper in self._candidates():
            try:
                outside = await mapper.external_address()
            except (LabError, OSError) as error:
                self._emit(RouterMissed(mapper.name, f"{type(error).__name__}: {error}"))
                await mapper.close()
                continue
            now = asyncio.get_running_loop().time()
            self._leases = PortLeases(self._host.rng, self._host.limits)
            self._leases.looked(outside, now)
            self.mapper = mapper
            self._emit(RouterFound(mapper.name, mapper.router, mapper.own_ip))
            return mapper
        return None

    # -- keeping ports open ---------------------------------------------------------------------------------

    async def _keep(self, mapper: Mapper) -> None:
        """Do what is due, until the router answers no more, or is another one."""
        assert self._leases is not None
        leases, clock = self._leases, asyncio.get_running_loop().time
        is_found_by_us = self._mappers is None and self._gateway is None
        router = self._router() if is_found_by_us else ""
        while leases.failed_looks < self._host.limits.port_map_tries:
            self._wake.clear()
            leases.want(self._wishes(), clock())
            step = leases.next_step(clock())
            if step is not None:
                await self._do(mapper, leases, step)
            self._tell(leases)
            self._publish()
            if isinstance(step, Look) and is_found_by_us and self._router() != router:
                return  # we have moved to another network
            if step is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(leases.next_time):
                        await self._wake.wait()

    async def _do(self, mapper: Mapper, leases: PortLeases, step: Step) -> None:
        clock = asyncio.get_running_loop().time
        match step:
            case Look():
                try:
                    leases.looked(await mapper.external_address(), clock())
                except (LabError, OSError):
                    leases.look_failed(clock())
            case Map(wish, port, lifetime):
                try:
                    leases.granted(wish, await mapper.map(wish, port, lifetime), clock())
                except (LabError, OSError) as error:
                    leases.refused(wish, error, clock())
            case Unmap(wish, port):
                try:
                    await mapper.unmap(wish, port)
                except (LabError, OSError):
                    pass  # it ends by itself, as it would if we were gone
                finally:
                    leases.unmapped(wish)

    def _wishes(self) -> list[Wish]:
        """Every port at which we can be reached through our address in this network."""
        ends = (self._end(addr) for addr in self._host.listen_addrs)
        return [Wish(*end) for end in dict.fromkeys(ends) if end is not None]

    def _end(self, addr: Multiaddr) -> tuple[Family, int] | None:
        """Protocol and port of an address at which the router can reach us."""
        own_ip = self.mapper.own_ip if self.mapper is not None else ""
        names = addr.names
        if (
            "p2p-circuit" in names
            or names[:1] != ("ip4",)
            or names[1:2] not in (("tcp",), ("udp",))
        ):
            return None
        if addr.parts[0].value not in ("0.0.0.0", own_ip):
            return None
        return _FAMILIES[names[1]], int(addr.parts[1].value)

    def _publish(self) -> None:
        addrs = tuple(self.addrs)
        if addrs != self._told:
            self._told = addrs
            self._host.advertise(self.name, addrs)

    def _tell(self, leases: PortLeases) -> None:
        for event in leases.take_events():
            self._emit(event)

    def _emit(self, event: object) -> None:
        self._tell_message("event", event)

    def _tell_message(self, direction: Literal["sent", "received", "event"], what: object) -> None:
        probe = self._host.probe.on("port_mapping")
        if probe.trace.listeners:
            probe.emit(direction, what)
