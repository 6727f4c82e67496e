"""What is going on? Widgets that draw it from the trace.

    NetworkMap(peers)      peers, connections, and what moves between them
    WireLens(peer)         the messages of a connection, opened layer by layer down to the bytes
    KeyLab()               from a key to a peer id, byte by byte
    StackBuilder(peer)     the layers of a peer as tiles; take one out and see what fails

Where there is no front end (a notebook run headless, a saved page) each shows a plain table instead.

Jupyter is imported when a widget is made, not before: `import libp2p_lab` does without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libp2p_lab.widgets import network_map


def NetworkMap(hosts: network_map.Hosts = ()) -> network_map.NetworkMap:
    """A map of live hosts: who is connected with whom, and what moves.

    Args:
        hosts: one host, several, or a mapping from names to hosts (the names are shown).
    """
    from libp2p_lab.widgets.network_map import NetworkMap as Widget

    return Widget(hosts)
