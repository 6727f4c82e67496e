"""What a widget looks at: live hosts, a simulated internet, or a recording; brought into one form."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.events import ConnectionOpened, StreamStarted
from libp2p_lab.host.host import Host
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.sim.host import SimHost
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry, Listener, Trace
from libp2p_lab.widgets.network_records import short

Source = Host | Internet | Iterable[Host] | Mapping[str, Host] | Iterable[Entry]


class Sources:
    """Hosts to listen to, entries that were recorded, and what to call the peers.

    Args:
        source: a host, several, a mapping from names to hosts, a simulated internet, or a recording.
        names: what else to call peers, by peer id: for recordings.

    Attributes:
        hosts: the live ones, by the text of their peer id.
        names: what to call a node of the trace.
        entries: the recorded ones.

    Raises: `LocalError` for anything else.
    """

    def __init__(self, source: Source, names: Mapping[str, object] | None = None) -> None:
        self.hosts: dict[str, Host] = {}
        self.names: dict[str, str] = {}
        self.entries: list[Entry] = []
        self._internet: Internet | None = None
        self._traces: list[Trace] = []
        self._stops: list[Callable[[], None]] = []
        match source:
            case Internet():
                self._internet = source
                self._traces.append(source.trace)
                self._add_hosts(source.hosts_by_name)
            case Host():
                self._add_hosts({"": source})
            case Mapping():
                self._add_hosts(source)
            case _:
                items: Iterable[object] = source
                for item in items:
                    match item:
                        case Host():
                            self._add_hosts({"": item})
                        case Entry():
                            self.entries.append(item)
                        case _:
                            what = type(item).__name__
                            raise LocalError(f"this shows hosts or a recording, not {what}")
        for name, node in (names or {}).items():
            self.names[str(node.peer_id if isinstance(node, Host) else node)] = str(name)

    def _add_hosts(self, hosts: Mapping[str, object]) -> None:
        for name, host in hosts.items():
            if not isinstance(host, Host):
                raise LocalError(f"this shows hosts or a recording, not {type(host).__name__}")
            peer = str(host.peer_id)
            self.hosts[peer] = host
            self._traces.append(host.trace)
            if name:
                self.names[peer] = str(name)

    def name(self, node: str) -> str:
        """What to call a node."""
        return self.names.get(node) or short(node)

    @property
    def is_live(self) -> bool:
        """Whether there is anything to listen to."""
        return bool(self._traces)

    @property
    def is_listening(self) -> bool:
        """Whether it listens now."""
        return bool(self._stops)

    def listen(self, listener: Listener) -> None:
        """Give every new entry to `listener`, until `stop`."""
        if not self._stops:
            self._stops = [trace.listen(listener) for trace in self._traces]

    def stop(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
        self._stops.clear()

    def open_already(self) -> list[Entry]:
        """The connections and streams that live hosts have by now, as if they were told of just then."""
        return [
            entry
            for peer, host in self.hosts.items()
            if host.is_running
            for connection in host.connections
            for entry in _told(peer, host.trace.clock(), connection)
        ]

    def connection(self, node: str, link: str) -> MuxedConnection | None:
        """The live connection that a node's trace calls `link`."""
        host = self.hosts.get(node)
        if host is None or not host.is_running:
            return None
        number = link.partition("/")[0]
        return next((one for one in host.connections if str(one.id) == number), None)

    def stream(self, node: str, link: str) -> MuxedStream | None:
        """The live stream that a node's trace calls `link`."""
        connection = self.connection(node, link)
        number = link.partition("/")[2]
        if connection is None or not number.isdigit():
            return None
        return connection.streams.get(int(number))

    def act(self, node: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` where a live host runs: here, or on its machine in a simulated internet.

        Raises: `LocalError` for a simulated host whose internet is not known.
        """
        host = self.hosts[node]
        if not isinstance(host, SimHost):
            host.create_task(work())
        elif self._internet is None:
            raise LocalError("to act on a simulated host, show its internet")
        else:
            self._internet.player.settle(lambda: host.create_task(work()))


def _told(node: str, now: float, connection: MuxedConnection) -> list[Entry]:
    peer, link = str(connection.remote_peer), str(connection.id)
    opened = ConnectionOpened(
        peer,
        connection.direction,
        str(connection.local_addr),
        str(connection.remote_addr),
        connection.transport,
        connection.security,
        connection.muxer,
    )
    entries = [Entry(now, node, "host", link, "event", 0, opened)]
    for stream in connection.streams.values():
        where = f"{link}/{stream.id}"
        if stream.protocol:
            started = StreamStarted(peer, stream.protocol, stream.direction)
            entries.append(Entry(now, node, "host", where, "event", 0, started))
        if (flow := connection.flow(stream.id)) is not None:
            entries.append(Entry(now, node, "muxer", where, "event", 0, flow))
    return entries
