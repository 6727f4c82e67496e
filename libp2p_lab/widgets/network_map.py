"""`NetworkMap`: live peers as a picture. Click one for its card; dial and ping from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.events import ConnectionOpened, StreamStarted
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.network_model import Network
from libp2p_lab.widgets.network_records import Changes, short
from libp2p_lab.widgets.static_form import page, ring, table, text_table
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.05  # seconds: twenty pictures a second
CARD_INTERVAL = 0.5

Hosts = Host | Iterable[Host] | Mapping[str, Host]


class NetworkMap:
    """A map of live hosts: who is connected with whom, and what moves.

    It follows the hosts only while it is shown: clear the cell, or call `close`, and it listens no
    more.

    Args:
        hosts: one host, several, or a mapping from names to hosts (the names are shown).
    """

    def __init__(self, hosts: Hosts = ()) -> None:
        self._hosts: dict[str, Host] = {}
        self._names: dict[str, str] = {}
        self._network = Network()
        self._stops: dict[str, Callable[[], None]] = {}
        self._selected = ""
        self._card_at = float("-inf")
        self._flushed_at = 0.0
        self._view = View(
            "network_map",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._unfollow,
            interval=INTERVAL,
        )
        self.add(hosts)

    def add(self, hosts: Hosts) -> None:
        """Put more hosts on the map.

        Raises: `LocalError` for something that is no host.
        """
        match hosts:
            case Host():
                named = [("", hosts)]
            case Mapping():
                named = [(str(name), host) for name, host in hosts.items()]
            case _:
                named = [("", host) for host in hosts]
        for name, host in named:
            if not isinstance(host, Host):
                raise LocalError(f"a map shows hosts, not {type(host).__name__}")
            peer = str(host.peer_id)
            self._hosts[peer] = host
            self._names[peer] = name or short(peer)
            if self._view.is_open:
                self._follow(peer)
        self._view.wake()

    def close(self) -> None:
        """Take the map off the page and listen to nobody any more."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """One sentence: how many peers, links and streams."""
        return self._current().summary()

    # -- following --------------------------------------------------------------------------------

    def _follow(self, peer: str) -> None:
        """Note what the host has by now, and listen from here on."""
        if peer in self._stops:
            return
        host = self._hosts[peer]
        _copy_state(self._network, host, self._names[peer])
        self._stops[peer] = host.trace.listen(self._take)

    def _unfollow(self) -> None:
        for stop in self._stops.values():
            stop()
        self._stops.clear()

    def _take(self, entry: Entry) -> None:
        self._network.take(entry)
        self._view.wake()

    def _current(self) -> Network:
        """The network as it is now: followed, or looked up afresh."""
        if self._stops:
            return self._network
        network = Network()
        for peer, host in self._hosts.items():
            _copy_state(network, host, self._names[peer])
        return network

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        is_first = not self._stops
        if is_first:
            self._network = Network()
        for peer in self._hosts:
            self._follow(peer)
        changes = self._network.everything()
        if is_first:
            self._network.changes()  # the snapshot tells them all
        return {"type": "snapshot", **_record(changes, self._network)}, []

    def _flush(self) -> Batch | None:
        now = time.monotonic()
        for peer, host in self._hosts.items():
            if not host.is_running and self._network.peers[peer].kind == "host":
                self._network.close_host(peer)
        changes = self._network.changes()
        card = None
        if self._selected and now - self._card_at >= CARD_INTERVAL:
            card = self._card()
            self._card_at = now
        if not changes and card is None:
            return None
        span = min(max(now - self._flushed_at, INTERVAL), 0.5)
        self._flushed_at = now
        message = {"type": "update", "span": round(span * 1000), **_record(changes, self._network)}
        if card is not None:
            message["card"] = card
        return message, [changes.flights.tobytes()]

    def _card(self) -> dict[str, Any] | None:
        card = self._network.card(self._selected)
        host = self._hosts.get(self._selected)
        if card is not None and host is not None and host.is_running:
            card["addrs"] = [str(addr) for addr in host.addrs]
            card["protocols"] = list(host.protocols)
            for service in host.services:
                if isinstance(service, Identify):
                    card["agent"] = service.agent
        return card

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        peer = str(content.get("peer") or "")
        match content.get("type"):
            case "select":
                self._selected = peer if peer in self._network.peers else ""
                if card := self._card():
                    self._view.send({"type": "card", "to": view, "card": card})
            case "ping" | "dial" as action:
                self._act(str(action), str(content.get("from") or ""), peer)

    def _act(self, action: str, source: str, target: str) -> None:
        def tell(ok: bool, text: str) -> None:
            self._view.send({"type": "result", "peer": target, "ok": ok, "text": text})

        host = self._hosts.get(source)
        if host is None or target not in self._network.peers:
            tell(False, "no such peer on this map")
            return
        name = self._network.peers[target].name

        async def run() -> None:
            if action == "ping":
                rtt = await host.ping(self._reference(target))
                tell(True, f"{name} answered in {rtt * 1000:.2f} ms")
            else:
                connection = await host.connect(self._reference(target))
                tell(True, f"connected with {name} over {connection.transport}")

        self._view.start(run(), lambda problem: tell(False, problem))

    def _reference(self, peer: str) -> PeerId | PeerInfo:
        host = self._hosts.get(peer)
        if host is None:
            return PeerId.from_text(peer)
        return PeerInfo(host.peer_id, tuple(host.addrs))

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        network = self._current()
        peers = list(network.peers.values())
        pairs = [link.ends for link in network.links if link.connections]
        drawing = (
            ring([(peer.name, peer.kind) for peer in peers], pairs) if len(peers) <= 60 else ""
        )
        rows = [(peer.name, peer.kind, peer.id) for peer in peers]
        links = [
            (peers[link.ends[0]].name, peers[link.ends[1]].name, str(len(link.connections)))
            for link in network.links
            if link.connections
        ]
        head, link_head = ("name", "kind", "peer id"), ("peer", "peer", "connections")
        html = drawing + table("Peers", head, rows) + table("Links", link_head, links)
        text = f"{network.summary()}\n\n{text_table(head, rows)}\n\n{text_table(link_head, links)}"
        return self._view.mimebundle(page(f"Network: {network.summary()}", html), text)


def _record(changes: Changes, network: Network) -> dict[str, Any]:
    return {
        "peers": changes.peers,
        "links": changes.links,
        "protocols": changes.protocols,
        "messages": changes.messages,
        "bytes": changes.bytes,
        "summary": network.summary(),
    }


def _copy_state(network: Network, host: Host, name: str) -> None:
    """What a host has open already, told as if it happened now."""
    peer = str(host.peer_id)
    network.add_host(peer, name, tuple(str(addr) for addr in host.addrs) if host.is_running else ())
    if not host.is_running:
        network.close_host(peer)
        return
    for connection in host.connections:
        remote, link = str(connection.remote_peer), str(connection.id)
        opened = ConnectionOpened(
            remote,
            connection.direction,
            str(connection.local_addr),
            str(connection.remote_addr),
            connection.transport,
            connection.security,
            connection.muxer,
        )
        network.event(Entry(0.0, peer, "host", link, "event", 0, opened))
        for stream in connection.streams.values():
            if stream.protocol:
                started = StreamStarted(remote, stream.protocol, stream.direction)
                where = f"{link}/{stream.id}"
                network.event(Entry(0.0, peer, "host", where, "event", 0, started))
