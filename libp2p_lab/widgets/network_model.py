"""What a map of the network shows, put together from the traces of several hosts. No drawing, no
clock, no loop.

Each host tells its own half: "connection 3, with that peer, from this address to that one". Two
halves are one connection when their addresses are each other's swapped. All connections of two
peers make one *link* of the map.

What moves is counted, not listed: messages and bytes for each link, direction and protocol since
the last look. So a flood costs two additions an entry, and a flush is as small as the map, however
much was sent.
"""

from __future__ import annotations

from array import array
from typing import Any

from libp2p_lab.host.events import (
    ConnectionClosed,
    ConnectionOpened,
    Identified,
    ListenerOpened,
    StreamEnded,
    StreamStarted,
)
from libp2p_lab.multiplexing.yamux_frames import DataFrame
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.network_records import Changes, Half, Link, Peer, short
from libp2p_lab.widgets.wire_log import size_of

#: Traffic that no protocol on a stream causes, by the layer that causes it.
SET_UP = {
    "negotiation": "multistream-select",
    "security": "Noise handshake",
    "muxer": "yamux control",
}
MAX_PEERS = 2_000  # on one map; a browser draws no more, and nobody reads them
MAX_PROTOCOLS = 64


class Network:
    """Takes entries, gives changes. Bounded: what is on the map, and sums."""

    def __init__(self) -> None:
        self.peers: dict[str, Peer] = {}
        self.links: list[Link] = []
        self.protocols: list[dict[str, Any]] = []
        self.total_messages = 0
        self.total_bytes = 0
        self._pairs: dict[tuple[int, int], Link] = {}
        self._halves: dict[tuple[str, str], Half] = {}
        self._numbers: dict[str, int] = {}
        self._changed_peers: set[str] = set()
        self._changed_links: set[int] = set()
        self._new_protocols = 0
        #: (node, link, layer, is sent) → messages, bytes
        self._counts: dict[tuple[str, str, str, bool], list[int]] = {}
        self._stream_protocol: dict[tuple[str, str], int] = {}
        # Over, but what they carried since the last flush still has to be told.
        self._ended: list[tuple[str, str]] = []
        self._closed: list[tuple[str, str]] = []

    # -- peers ------------------------------------------------------------------------------------

    def add_host(self, peer: str, name: str, addrs: tuple[str, ...]) -> None:
        """A host whose trace is followed from now on."""
        found = self._peer(peer)
        if found is not None:
            found.name, found.kind, found.addrs = name, "host", addrs
            self._changed_peers.add(peer)

    def close_host(self, peer: str) -> None:
        """A host that is gone: drawn grey, with no connections."""
        found = self.peers.get(peer)
        if found is None or found.kind == "closed":
            return
        found.kind, found.addrs = "closed", ()
        self._changed_peers.add(peer)
        for half in [half for half in self._halves.values() if half.node == peer]:
            self._close(half)

    def _peer(self, peer: str) -> Peer | None:
        found = self.peers.get(peer)
        if found is None and len(self.peers) < MAX_PEERS:
            found = Peer(len(self.peers), peer, short(peer), "remote")
            self.peers[peer] = found
            self._changed_peers.add(peer)
        return found

    # -- entries ----------------------------------------------------------------------------------

    def take(self, entry: Entry) -> None:
        """Count one entry. Called for every entry of every host, so it does little."""
        layer = entry.layer
        if layer == "host":
            self.event(entry)
            return
        what = entry.what
        match layer:
            case "transport" | "stream" | "negotiation":
                pass
            case "security":
                if entry.number > 2:
                    return
            case "muxer":
                if type(what) is DataFrame:
                    return
            case _:
                return  # a protocol's decoded messages: their bytes were counted on the stream
        key = (entry.node, entry.link, layer, entry.direction == "sent")
        count = self._counts.get(key)
        if count is None:
            self._counts[key] = [1, size_of(what)]
        else:
            count[0] += 1
            count[1] += size_of(what)

    def event(self, entry: Entry) -> None:
        """Take something that happened to a host."""
        node = entry.node
        match entry.what:
            case ConnectionOpened() as opened:
                self._open(Half(node, entry.link, opened))
            case ConnectionClosed():
                half = self._halves.get((node, entry.link))
                if half is not None:
                    self._close(half)
            case StreamStarted(protocol=protocol):
                self._stream(node, entry.link, protocol, 1)
            case StreamEnded(protocol=protocol):
                self._stream(node, entry.link, protocol, -1)
            case Identified(peer=peer, agent=agent, protocols=protocols):
                found = self._peer(peer)
                if found is not None:
                    found.agent, found.protocols = agent, tuple(protocols)
                    self._changed_peers.add(peer)
            case ListenerOpened(addr=addr):
                found = self._peer(node)
                if found is not None and addr not in found.addrs:
                    found.addrs = (*found.addrs, addr)
                    self._changed_peers.add(node)
            case _:
                pass

    def _open(self, half: Half) -> None:
        link = self._link_of(half.node, half.opened.peer)
        if link is None:
            return
        self._halves[half.node, half.link] = half
        link.connections.setdefault(half.key, []).append(half)
        self._changed_links.add(link.index)

    def _close(self, half: Half) -> None:
        self._closed.append((half.node, half.link))
        link = self._link_of(half.node, half.opened.peer)
        if link is None:
            return
        halves = link.connections.get(half.key, [])
        if half in halves:
            halves.remove(half)
        if not halves:
            link.connections.pop(half.key, None)
            for key in [key for key in link.streams if key[0] == half.key]:
                del link.streams[key]
        self._changed_links.add(link.index)

    def _link_of(self, a: str, b: str) -> Link | None:
        one, other = self._peer(a), self._peer(b)
        if one is None or other is None:
            return None
        ends = (min(one.index, other.index), max(one.index, other.index))
        link = self._pairs.get(ends)
        if link is None:
            link = self._pairs[ends] = Link(len(self.links), ends)
            self.links.append(link)
        return link

    def _stream(self, node: str, where: str, protocol: str, change: int) -> None:
        connection, _, stream_id = where.partition("/")
        half = self._halves.get((node, connection))
        if half is None:
            return
        link = self._link_of(node, half.opened.peer)
        if link is None:
            return
        known = self._stream_protocol.get((node, where))
        if not protocol and known is None:
            return  # it ended before it had a protocol
        number = self._number(protocol, "protocol") if protocol else known or 0
        key = (half.key, stream_id)
        open_ends = link.streams.get(key, (number, 0))[1] + change
        if open_ends > 0:
            link.streams[key] = (number, open_ends)
        else:
            link.streams.pop(key, None)
        if change > 0:
            self._stream_protocol[node, where] = number
        else:
            self._ended.append((node, where))
        self._changed_links.add(link.index)

    def _number(self, name: str, kind: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            if len(self.protocols) >= MAX_PROTOCOLS:
                return 0
            number = self._numbers[name] = len(self.protocols)
            self.protocols.append({"number": number, "name": name, "kind": kind})
        return number

    # -- what has changed -------------------------------------------------------------------------

    def everything(self) -> Changes:
        """The whole map, for a view that has just been opened."""
        peers = [self._peer_record(peer) for peer in self.peers.values()]
        links = [self._link_record(link) for link in self.links if link.connections]
        return Changes(peers, links, list(self.protocols), array("I"), 0, 0)

    def changes(self) -> Changes:
        """What is new since the last call."""
        counts, self._counts = self._counts, {}
        sums: dict[tuple[int, int], list[int]] = {}
        for (node, where, layer, is_sent), (count, size) in counts.items():
            flight = self._flight(node, where, layer, is_sent, size)
            if flight is not None:
                total = sums.setdefault(flight, [0, 0])
                total[0] += count
                total[1] += size
        flights = array("I")
        for (link, code), (count, size) in sums.items():
            flights.extend((link, code, min(count, 0xFFFFFFFF), min(size, 0xFFFFFFFF)))
        messages = sum(count for count, _ in sums.values())
        moved = sum(size for _, size in sums.values())
        self.total_messages += messages
        self.total_bytes += moved
        peers = [self._peer_record(self.peers[peer]) for peer in sorted(self._changed_peers)]
        links = [self._link_record(self.links[index]) for index in sorted(self._changed_links)]
        protocols = self.protocols[self._new_protocols :]
        self._new_protocols = len(self.protocols)
        self._changed_peers.clear()
        self._changed_links.clear()
        self._forget()
        return Changes(peers, links, protocols, flights, messages, moved)

    def _forget(self) -> None:
        for where in self._ended:
            self._stream_protocol.pop(where, None)
        for where in self._closed:
            self._halves.pop(where, None)
        if self._closed:  # streams that did not end before their connection
            alive = self._halves.keys()
            self._stream_protocol = {
                (node, where): number
                for (node, where), number in self._stream_protocol.items()
                if (node, where.partition("/")[0]) in alive
            }
        self._ended.clear()
        self._closed.clear()

    def _flight(
        self, node: str, where: str, layer: str, is_sent: bool, size: int
    ) -> tuple[int, int] | None:
        """The link, and the code of protocol and direction; None if it is not drawn."""
        peer = self.peers.get(node)
        if peer is None:
            return None
        if layer == "transport":
            if is_sent:
                peer.sent += size
            else:
                peer.received += size
            return None
        half = self._halves.get((node, where.partition("/")[0]))
        if half is None:
            return None
        link = self._link_of(node, half.opened.peer)
        if link is None:
            return None
        remote = self.peers[half.opened.peer]
        if not is_sent and remote.kind == "host":
            return None  # the other end told of it when it was sent
        sender = peer if is_sent else remote
        number = self._stream_protocol.get((node, where)) if layer == "stream" else None
        if number is None:
            if layer == "stream":
                number = self._number("streams", "protocol")
            else:
                number = self._number(SET_UP[layer], layer)
        return link.index, number * 2 + (sender.index == link.ends[1])

    def _peer_record(self, peer: Peer) -> dict[str, Any]:
        return {"index": peer.index, "id": peer.id, "name": peer.name, "kind": peer.kind}

    def _link_record(self, link: Link) -> dict[str, Any]:
        streams: dict[int, int] = {}
        for number, _ in link.streams.values():
            streams[number] = streams.get(number, 0) + 1
        return {
            "index": link.index,
            "ends": link.ends,
            "connections": len(link.connections),
            "streams": sorted(streams.items()),
        }

    # -- for people -------------------------------------------------------------------------------

    def card(self, peer_id: str) -> dict[str, Any] | None:
        """What is known of one peer."""
        peer = self.peers.get(peer_id)
        if peer is None:
            return None
        by_index = {other.index: other for other in self.peers.values()}
        rows = []
        for link in self.links:
            if peer.index not in link.ends:
                continue
            remote = by_index[link.ends[0] if link.ends[1] == peer.index else link.ends[1]]
            for key, halves in link.connections.items():
                half = next((half for half in halves if half.node == peer_id), halves[0])
                inbound = half.opened.direction == "inbound"
                if half.node != peer_id:
                    inbound = not inbound
                streams = [
                    self.protocols[n]["name"] for k, (n, _) in link.streams.items() if k[0] == key
                ]
                rows.append(
                    {
                        "peer": remote.index,
                        "direction": "inbound" if inbound else "outbound",
                        "transport": half.opened.transport,
                        "security": half.opened.security,
                        "muxer": half.opened.muxer,
                        "streams": streams[:50],
                    }
                )
        return {
            "index": peer.index,
            "addrs": list(peer.addrs),
            "protocols": list(peer.protocols),
            "agent": peer.agent,
            "connections": rows[:200],
            "sent": peer.sent,
            "received": peer.received,
            "followed": peer.kind == "host",
        }

    def summary(self) -> str:
        """One sentence."""
        peers = [peer for peer in self.peers.values() if peer.kind != "closed"]
        closed = len(self.peers) - len(peers)
        links = [link for link in self.links if link.connections]
        streams = sum(len(link.streams) for link in links)
        parts = [f"{len(peers)} peers", f"{len(links)} links", f"{streams} open streams"]
        if closed:
            parts.append(f"{closed} closed")
        return ", ".join(parts)
