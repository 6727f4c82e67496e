"""Chapter 05: how is one peer found among thousands when nobody knows them all?

Read in this order:

    distance.py        near and far
    routing_table.py   whom to know
    lookup.py          how to ask, step by step
    kad_messages.py    what is said
    kad.py             the driver: answering and searching on a host
    bootstrap.py       the first peers of all
    events.py          what searches tell the trace

Left out: Coral's cluster levels (in the message, used by nobody), and clients that hold the whole network's table.

Spec pages: kad-dht/README.md
"""

from libp2p_lab.routing.bootstrap import Bootstrap
from libp2p_lab.routing.distance import closest, common_prefix_length, distance, position
from libp2p_lab.routing.kad import Kademlia, private_only, public_only
from libp2p_lab.routing.kad_messages import KadMessage, MessageType, Record
from libp2p_lab.routing.lookup import Lookup, State
from libp2p_lab.routing.routing_table import RoutingTable

__all__ = [
    "Bootstrap",
    "KadMessage",
    "Kademlia",
    "Lookup",
    "MessageType",
    "Record",
    "RoutingTable",
    "State",
    "closest",
    "common_prefix_length",
    "distance",
    "position",
    "private_only",
    "public_only",
]
