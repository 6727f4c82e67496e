"""What a map of the network is made of: peers, links, and what has changed."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.host.events import ConnectionOpened


@dataclass(slots=True)
class Peer:
    """One dot.

    Attributes:
        index: its number on the map, used in the flights' buffer.
        id: the peer id's text.
        name: what to call it.
        kind: "host" (we follow its trace), "remote" (seen by others) or "closed".
        addrs: where it can be dialed.
        protocols: what it serves, as far as anybody knows.
        agent: its program, as identify tells.
        sent: bytes that left it, as its own trace says.
        received: bytes that reached it.
    """

    index: int
    id: str
    name: str
    kind: str
    addrs: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    agent: str = ""
    sent: int = 0
    received: int = 0


@dataclass(slots=True)
class Link:
    """Two peers with at least one connection between them (or, with none left, on its way out).

    Attributes:
        index: its number on the map.
        ends: the peers' indices, the lower first.
        connections: each connection's key → what its halves say.
        streams: open streams: (connection, stream id) → the protocol's number, and how many ends
        hold it open.
    """

    index: int
    ends: tuple[int, int]
    connections: dict[tuple[str, str], list[Half]] = field(default_factory=dict)
    streams: dict[tuple[tuple[str, str], str], tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Half:
    """A connection as one host sees it."""

    node: str
    link: str
    opened: ConnectionOpened

    @property
    def key(self) -> tuple[str, str]:
        """The same at both ends."""
        a, b = self.opened.local_addr, self.opened.remote_addr
        return (a, b) if a <= b else (b, a)


@dataclass(slots=True)
class Changes:
    """What a flush tells: only what is new since the last one.

    Attributes:
        peers: peers to draw or redraw.
        links: links likewise; one without connections goes away.
        protocols: names that got a number.
        flights: four unsigned 32-bit numbers for each (link, direction, protocol) that carried
        something: link,
            protocol × 2 + (1 if it went from the higher to the lower end), messages, bytes, peer
            that told.
        messages: how many in all.
        bytes: how many in all.
    """

    peers: list[dict[str, Any]]
    links: list[dict[str, Any]]
    protocols: list[dict[str, Any]]
    flights: array[int]
    messages: int
    bytes: int

    def __bool__(self) -> bool:
        return bool(self.peers or self.links or self.protocols or self.flights)


def short(peer: str) -> str:
    """The end of a peer id: enough to tell a few peers apart."""
    return f"…{peer[-5:]}" if len(peer) > 6 else peer
