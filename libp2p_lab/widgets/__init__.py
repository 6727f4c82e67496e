"""What is going on? Widgets that draw it from the trace.

    NetworkMap(peers)      peers, connections, and what moves between them
    WireLens(peer)         the messages of a connection, opened layer by layer down to the bytes
    KeyLab()               from a key to a peer id, byte by byte
    StackBuilder(peer)     the layers of a peer as tiles; take one out and see what fails
    Chart(series)          a few rows of numbers as bars

Where there is no front end (a notebook run headless, a saved page) each shows a plain table
instead.

Jupyter is imported when a widget is made, not before: `import libp2p_lab` does without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from libp2p_lab.widgets.chart import Chart as Chart

if TYPE_CHECKING:
    from libp2p_lab.multiplexing.connection import Connection
    from libp2p_lab.widgets import network_map, wire_lens


def NetworkMap(hosts: network_map.Hosts = ()) -> network_map.NetworkMap:
    """A map of live hosts: who is connected with whom, and what moves.

    Args:
        hosts: one host, several, or a mapping from names to hosts (the names are shown).
    """
    from libp2p_lab.widgets.network_map import NetworkMap as Widget

    return Widget(hosts)


def WireLens(
    source: wire_lens.Source, connection: Connection | int | str | None = None
) -> wire_lens.WireLens:
    """The messages of one or more hosts' connections, live, or those of a recording.

    Args:
        source: a host, several hosts, or a recording.
        connection: only this one; a `Connection` or its number.
    """
    from libp2p_lab.widgets.wire_lens import WireLens as Widget

    return Widget(source, connection)
