"""A NAT box, or a firewall: what stands between a local network and the one outside, which may be another box's inside.

IPv4 is translated; IPv6 has addresses enough and is filtered only, by the same rules, as home routers do.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from libp2p_lab.sim.events import MappingMade
from libp2p_lab.sim.nat_table import NatBehaviour, NatTable
from libp2p_lab.sim.packet import Endpoint, Packet
from libp2p_lab.sim.pipe import Pipe

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine


class NatBox:
    """The box.

    Args:
        name: what it is called.
        ips: its addresses outside.
        region: where it stands.
        behaviour: its rules.
        outer: the box that it is behind itself (carrier-grade NAT); None for the open Internet.
        rng: chance of its own.
        tell: told of each mapping.
        clock: gives the virtual time.
        delay: seconds to the next router outside, one way.
        up, down: bandwidth of its access; None for no limit.

    Attributes:
        inside: who has which address behind it.
        started: when it was switched on.
    """

    jitter = 0.0  # of the box itself; machines behind it have their own
    loss = 0.0

    def __init__(
        self,
        name: str,
        ips: tuple[str, ...],
        region: str,
        behaviour: NatBehaviour,
        *,
        outer: NatBox | None,
        rng: random.Random,
        tell: Callable[[MappingMade], None],
        clock: Callable[[], float] = lambda: 0.0,
        delay: float = 0.0,
        up: Pipe | None = None,
        down: Pipe | None = None,
        network: str = "192.168.1.",
    ) -> None:
        self.name = name
        self.ips = ips
        self.region = region
        self.behaviour = behaviour
        self.outer = outer
        self.delay = delay
        self.up = up
        self.down = down
        self.network = network
        self.rng = rng
        self.tie = rng.random()
        self.inside: dict[str, Machine | NatBox] = {}
        self.table = NatTable(behaviour, ips, rng)
        self._filter = NatTable(_only_filtering(behaviour), (), rng)  # for IPv6
        self._tell = tell
        self._clock = clock
        self.started = clock()

    def __repr__(self) -> str:
        return f"<NatBox {self.name} {' '.join(self.ips)}: {self.behaviour}>"

    def set_behaviour(self, behaviour: NatBehaviour) -> None:
        """Other rules from now on. Mappings that there are stay."""
        self.behaviour = self.table.behaviour = behaviour
        self._filter.behaviour = _only_filtering(behaviour)

    @property
    def gateway(self) -> str:
        """Its address inside."""
        return f"{self.network}1"

    @property
    def rejects(self) -> bool:
        """Whether who is not let in is told so."""
        return self.behaviour.rejects

    def outbound(self, packet: Packet, now: float) -> str:
        """A packet leaves: give it its outer address. Returns why it may not, "" if it may."""
        if packet.dst[0] in self.ips and not self.behaviour.hairpin:
            return "no hairpinning"
        if self.behaviour.blocks_udp and packet.protocol == "udp":
            return "no UDP here"
        table = self._table(packet.src)
        found = table.outbound(packet.protocol, packet.src, packet.dst, packet.kind, now)
        if found is None:
            return "no free port"
        mapping, made = found
        if made:
            protocol, inside, outside = (
                packet.protocol,
                _text(mapping.inside),
                _text(mapping.outside),
            )
            self._tell(MappingMade(self.name, protocol, inside, outside))
        packet.src = mapping.outside
        return ""

    def inbound(self, packet: Packet, now: float) -> Machine | NatBox | str:
        """A packet arrives: who it is for, its address rewritten; or why it is not let in."""
        table = self._table(packet.dst)
        found = table.inbound(packet.protocol, packet.dst, packet.src, packet.kind, now)
        if isinstance(found, str):
            return found
        packet.dst = found
        target = self.inside.get(found[0])
        return target if target is not None else "nobody there"

    def refused(self, packet: Packet) -> None:
        """A RST comes in, for a packet that left with this source."""
        self._table(packet.src).refused(packet.protocol, packet.src, packet.dst)

    def forward(self, port: int, inside: Endpoint, protocol: str = "tcp") -> None:
        """A port forwarding made by hand: everybody outside reaches `inside` at `port`, for good."""
        self.table.forward(protocol, port, inside, float("inf"))

    def restart(self) -> None:
        """Off and on: every mapping is forgotten."""
        self.table.clear()
        self._filter.clear()
        self.started = self._clock()

    def _table(self, address: Endpoint) -> NatTable:
        return self._filter if ":" in address[0] else self.table


def _only_filtering(behaviour: NatBehaviour) -> NatBehaviour:
    return NatBehaviour(
        filtering=behaviour.filtering,
        hairpin=False,
        udp_timeout=behaviour.udp_timeout,
        refresh_inbound=behaviour.refresh_inbound,
        tcp_timeout=behaviour.tcp_timeout,
        tcp_transitory_timeout=behaviour.tcp_transitory_timeout,
        simultaneous_open=behaviour.simultaneous_open,
        rejects=behaviour.rejects,
        rst_closes=behaviour.rst_closes,
        translates=False,
    )


def _text(address: Endpoint) -> str:
    return f"{address[0]}:{address[1]}"
