"""Chapter 02: how do bytes get from one peer to another?

A transport reaches an address and waits at one; what it gives is a plain stream of bytes, without security and
without streams in it.

Read in this order:

    transport.py   the interface: dial, listen
    memory.py      two peers in one process: the whole idea without the operating system
    tcp.py         sockets, by asyncio
    unix.py        the same within one machine: a file in place of a port
    websocket.py   what begins as HTTP: the way through proxies, and to browsers
    websocket_stream.py    its upgrade and its frames
    dns.py         names in addresses: /dns4, /dns6, /dns, /dnsaddr
    public.py      which addresses anybody can dial
    dialing.py     the race between a peer's addresses
    signal.py      what the drivers of all chapters wait on

Spec pages: addressing/README.md, connections/README.md, websockets/README.md
"""

from libp2p_lab.transports.memory import Memory, MemoryNetwork, MemoryStream
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.transport import Listener, RawConnection, Transport
from libp2p_lab.transports.unix import Unix
from libp2p_lab.transports.websocket import WebSocket

__all__ = [
    "TCP",
    "Listener",
    "Memory",
    "MemoryNetwork",
    "MemoryStream",
    "RawConnection",
    "Transport",
    "Unix",
    "WebSocket",
]
