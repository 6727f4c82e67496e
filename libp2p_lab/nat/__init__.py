"""Chapter 08: how do two peers meet when neither can be called?

Read in this order:

    reachability.py      can I be called? what several others say, put together
    autonat_messages.py  what is asked: can you reach me here?
    autonat.py           asking others, and trying for others
    autonat_v1.py        the same by the first version of the protocol, which many still speak
    relay_messages.py    what is said to a relay, and by it; the voucher
    relay_book.py        who has a place, who is switched through, what each may still carry
    relay.py             the relay
    circuit.py           the other side: being reached through a relay, and reaching others
    auto_relay.py        finding relays by oneself
    dcutr_messages.py    what two say to each other before they punch
    coordination.py      who says it when, and when each must dial
    dcutr.py             punching, and moving over to the direct connection
    port_mapper.py       or one asks the router for an open port: what any way of asking can do
    nat_pmp_messages.py  NAT-PMP on the wire
    pcp_messages.py      PCP, its successor
    port_exchange.py     one question and its answer, over datagrams that get lost
    port_control.py      asking a router by these two
    gateway.py           where is the router?
    upnp.py              asking by UPnP
    port_leases.py       which ports are open, and what is due next
    portmap.py           keeping them open
    events.py            what all of that tells the trace

Left out: version 1 of the relay protocol, which nobody keeps (a peer that offers it alone is refused, with the reason),
and relays that dial the target themselves.

Spec pages: connections/hole-punching.md, autonat/autonat-v2.md, relay/circuit-v2.md, relay/DCUtR.md
"""

from libp2p_lab.nat.auto_relay import AutoRelay
from libp2p_lab.nat.autonat import AutoNAT
from libp2p_lab.nat.circuit import RelayClient, RelayRefused
from libp2p_lab.nat.coordination import Coordination, Punch
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.nat.port_mapper import Grant, Mapper, MappingRefused, NoRouter, Outside, Wish
from libp2p_lab.nat.portmap import PortMap, PortMapping
from libp2p_lab.nat.reachability import Verdict
from libp2p_lab.nat.relay import Relay
from libp2p_lab.nat.relay_book import RelayBook
from libp2p_lab.nat.relay_messages import Limit, Reservation, Status, Voucher

__all__ = [
    "AutoNAT",
    "AutoRelay",
    "Coordination",
    "DCUtR",
    "Grant",
    "Limit",
    "Mapper",
    "MappingRefused",
    "NoRouter",
    "Outside",
    "PortMap",
    "PortMapping",
    "Punch",
    "Relay",
    "RelayBook",
    "RelayClient",
    "RelayRefused",
    "Reservation",
    "Status",
    "Verdict",
    "Voucher",
    "Wish",
]
