"""Chapter 02, second half: which protocol do we speak now?

Read in this order:

    multistream.py   the core: lines in, lines out, two small state machines
    negotiate.py     the driver: reads exactly the lines and not a byte more

Left out: the simultaneous-open extension, which its spec has terminated.

Spec page: connections/README.md#multistream-select
"""

from libp2p_lab.negotiation.multistream import Initiator, Line, Responder, State
from libp2p_lab.negotiation.negotiate import (
    Negotiation,
    Negotiator,
    list_protocols,
    propose,
    respond,
)

__all__ = [
    "Initiator",
    "Line",
    "Negotiation",
    "Negotiator",
    "Responder",
    "State",
    "list_protocols",
    "propose",
    "respond",
]
