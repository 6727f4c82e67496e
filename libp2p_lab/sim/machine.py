"""A machine: its addresses, its ports, and the sockets that programs on it open.

Programs do not see this class. They ask their event loop for connections and servers as always; the loop asks the
machine on which the running code runs.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import socket
import ssl as tls
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LocalError, NotSimulated
from libp2p_lab.sim.loop import MACHINE, SimLoop
from libp2p_lab.sim.packet import TCP_HEADER, Endpoint, Packet
from libp2p_lab.sim.pipe import Pipe
from libp2p_lab.sim.sockets import SimServer, endpoint, is_v6, plain_ip, secure
from libp2p_lab.sim.tcp import TcpConnection
from libp2p_lab.sim.udp import UdpSocket

if TYPE_CHECKING:
    from libp2p_lab.sim.nat_box import NatBox
    from libp2p_lab.sim.network import Network

FIRST_EPHEMERAL, LAST_EPHEMERAL = 32768, 60999  # ports; Linux
_WILDCARDS = ("0.0.0.0", "::")
_LOOPBACK = "127.0.0.1"


class Machine:
    """A machine on the network.

    Args:
        network: what it hangs on.
        name: what it is called.
        ips: its addresses: one of IPv4, one of IPv6, or both.
        region: where it stands.
        box: the NAT box or firewall that it is behind; None for the open Internet.
        delay: seconds from the machine to its nearest router, one way.
        jitter: seconds that a packet may take longer.
        loss: the part of its packets that is lost, each way.
        up, down: bandwidth of its access; None for no limit.

    Attributes:
        rng: chance on this machine.
        tie: who comes first of two that are ready at one moment.
        parked: callbacks that wait while it is frozen.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        ips: tuple[str, ...],
        region: str,
        box: NatBox | None = None,
        *,
        delay: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        up: Pipe | None = None,
        down: Pipe | None = None,
    ) -> None:
        self.network = network
        self.loop: SimLoop = network.loop
        self.name = name
        self.ips = ips
        self.region = region
        self.box = box
        self.delay = delay
        self.jitter = jitter
        self.loss = loss
        self.up = up
        self.down = down
        self.rng = random.Random(f"{network.seed}/{name}")
        self.tie = self.rng.random()
        self.is_down = False
        self.is_frozen = False
        self.parked: list[asyncio.Handle] = []
        self.connections: dict[tuple[Endpoint, Endpoint], TcpConnection] = {}
        self.listeners: dict[Endpoint, SimServer] = {}
        self.udp: dict[Endpoint, UdpSocket] = {}
        self.groups: dict[str, dict[int, None]] = {}  # multicast: which ports listen to each
        self._ephemeral = self.rng.randrange(FIRST_EPHEMERAL, LAST_EPHEMERAL)
        self.context = contextvars.Context()
        self.context.run(MACHINE.set, self)

    def __repr__(self) -> str:
        return f"<Machine {self.name} {' '.join(self.ips)}>"

    def ip(self, v6: bool = False) -> str | None:
        """Its address of one kind, or None."""
        return next((ip for ip in self.ips if is_v6(ip) == v6), None)

    def create_task(self, coroutine: Any, name: str | None = None) -> asyncio.Task[Any]:
        """Run a coroutine on this machine."""
        return self.loop.create_task(coroutine, name=name, context=self.context.copy())

    # -- packets --------------------------------------------------------------------------------------------

    def send(self, packet: Packet, not_before: float = 0.0) -> float:
        """Put a packet on its way. Returns when it arrives if nothing happens to it, 0 if something has."""
        return self.network.send(self, packet, not_before)

    def receive(self, packet: Packet) -> None:
        """A packet arrived for one of our addresses."""
        dst = packet.dst
        if packet.kind == "datagram":
            found = self.udp.get(dst) or self.udp.get((_WILDCARDS[is_v6(dst[0])], dst[1]))
            if found is None and not is_v6(dst[0]):
                found = self.udp.get(("::", dst[1]))  # a wildcard of IPv6 hears both
            if found is not None:
                found.receive(packet)
            else:
                refusal = ConnectionRefusedError(111, "Connection refused")
                self.network.tell_sender(packet, refusal)
            return
        connection = self.connections.get((dst, packet.src))
        if connection is not None:
            connection.receive(packet)
        elif packet.kind == "syn":
            self._greet(packet)
        elif packet.kind != "rst":
            self._send_reset(packet)

    def _greet(self, packet: Packet) -> None:
        """A SYN for a port: to the listener, if there is one."""
        dst = packet.dst
        server = self.listeners.get(dst) or self.listeners.get((_WILDCARDS[is_v6(dst[0])], dst[1]))
        if server is None:
            self._send_reset(packet)
            return
        if server.waiting >= server.backlog:
            self.network.drop(packet, "backlog full")
            return
        server.waiting += 1
        connection = TcpConnection(self, dst, packet.src, server)
        self.connections[dst, packet.src] = connection
        connection.begin()

    def _send_reset(self, packet: Packet) -> None:
        self.send(Packet("rst", packet.dst, packet.src, b"", TCP_HEADER, self))

    def refused(self, packet: Packet, error: OSError) -> None:
        """The network sends word that a packet of ours could not be delivered."""
        if self.is_down:
            return
        if packet.kind == "datagram":
            found = self.udp.get(packet.first_src) or self.udp.get(
                (_WILDCARDS[is_v6(packet.first_src[0])], packet.first_src[1])
            )
            if found is not None:
                found.refused(error)
        else:
            connection = self.connections.get((packet.first_src, packet.first_dst))
            if connection is not None:
                connection.refused(error)

    # -- addresses ------------------------------------------------------------------------------------------

    def is_own(self, ip: str) -> bool:
        """Whether packets for `ip` stay on this machine."""
        return ip in self.ips or ip == "::1" or ip.startswith("127.")

    def source_for(self, remote: str, local: str) -> str | None:
        """Which of our addresses a packet to `remote` bears; None if there is none of its kind."""
        if local not in _WILDCARDS:
            return local if is_v6(local) == is_v6(remote) else None
        if remote == "::1" or remote.startswith("127."):
            return remote
        return self.ip(is_v6(remote))

    def _check_local(self, ip: str) -> None:
        if ip not in _WILDCARDS and not self.is_own(ip):
            raise OSError(99, f"Cannot assign requested address: {self.name} is not {ip}")

    def _free_port(self, taken: Any) -> int:
        for _ in range(LAST_EPHEMERAL - FIRST_EPHEMERAL):
            self._ephemeral += 1
            if self._ephemeral > LAST_EPHEMERAL:
                self._ephemeral = FIRST_EPHEMERAL
            if not taken(self._ephemeral):
                return self._ephemeral
        raise OSError(98, "Address already in use: no free port is left")

    # -- what the event loop asks for -----------------------------------------------------------------------

    async def look_up(
        self, host: str | bytes | None, port: Any, family: int, type: int
    ) -> list[tuple[Any, ...]]:
        """As `loop.getaddrinfo`."""
        name = host.decode() if isinstance(host, bytes) else host or ""
        kind = type or socket.SOCK_STREAM
        rows = []
        for ip in await self.network.names.look_up(self, name):
            found = socket.AF_INET6 if is_v6(ip) else socket.AF_INET
            if family in (socket.AF_UNSPEC, found):
                address = (ip, int(port or 0), 0, 0) if is_v6(ip) else (ip, int(port or 0))
                rows.append((found, kind, 0, "", address))
        if not rows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return rows

    async def connect(
        self,
        factory: Any,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: Any = None,
        local_addr: tuple[str, int] | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> tuple[Any, Any]:
        """As `loop.create_connection`. `local_addr` may be a port that listens: it dials from there."""
        _refuse_socket(sock)
        errors: list[OSError] = []
        for row in await self.look_up(host, port, family, socket.SOCK_STREAM):
            remote: Endpoint = (row[4][0], row[4][1])
            try:
                connection = await self._connect_one(remote, local_addr)
            except OSError as error:
                errors.append(error)
                continue
            protocol = factory()
            if not ssl:
                connection.start(protocol)
                return connection, protocol
            context = ssl if isinstance(ssl, tls.SSLContext) else tls.create_default_context()
            name = server_hostname if server_hostname is not None else host
            transport, handshake = secure(
                connection, protocol, context, server_side=False, name=name
            )
            await handshake
            return transport, protocol
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        raise errors[0]

    async def _connect_one(
        self, remote: Endpoint, local_addr: tuple[str, int] | None
    ) -> TcpConnection:
        wanted = (
            endpoint(local_addr) if local_addr is not None else (_WILDCARDS[is_v6(remote[0])], 0)
        )
        self._check_local(wanted[0])
        source = self.source_for(remote[0], wanted[0])
        if source is None:
            raise OSError(101, "Network is unreachable")
        port = wanted[1] or self._free_port(
            lambda port: ((source, port), remote) in self.connections
        )
        local = source, port
        if (local, remote) in self.connections:
            raise OSError(99, "Cannot assign requested address: this connection exists")
        connection = TcpConnection(self, local, remote)
        self.connections[local, remote] = connection
        connection.established = self.loop.create_future()
        connection.begin()
        try:
            await connection.established
        except asyncio.CancelledError:
            connection.give_up()
            raise
        return connection

    async def serve(
        self,
        factory: Any,
        host: Any = None,
        port: int | None = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = 0,
        sock: Any = None,
        backlog: int = 100,
        ssl: tls.SSLContext | None = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> SimServer:
        """As `loop.create_server`."""
        _refuse_socket(sock)
        hosts = [None] if not host else [host] if isinstance(host, str) else list(host)
        at: list[Endpoint] = []
        for name in hosts:
            if name is None:
                ips = [w for w in _WILDCARDS if self.ip(is_v6(w)) is not None]
            else:
                ips = [row[4][0] for row in await self.look_up(name, port, family, 0)]
            at.extend([(ip, port or 0) for ip in ips])
        free = self._free_port(lambda port: any((ip, port) in self.listeners for ip, _ in at))
        at = [(ip, port or free) for ip, port in at]
        for where in at:
            self._check_local(where[0])
            if self._is_taken(where):
                raise OSError(98, f"Address already in use: {where[0]} port {where[1]}")
        server = SimServer(self, at, factory, ssl, backlog)
        if start_serving:
            server.open()
        return server

    def _is_taken(self, where: Endpoint) -> bool:
        ip, port = where
        wildcard = _WILDCARDS[is_v6(ip)]
        if ip == wildcard:
            return any(p == port and is_v6(i) == is_v6(ip) for i, p in self.listeners)
        return where in self.listeners or (wildcard, port) in self.listeners

    async def open_datagram(
        self,
        factory: Any,
        local_addr: tuple[str, int] | None = None,
        remote_addr: tuple[str, int] | None = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: Any = None,
    ) -> tuple[UdpSocket, Any]:
        """As `loop.create_datagram_endpoint`."""
        _refuse_socket(sock)
        remote = None
        if remote_addr is not None:
            rows = await self.look_up(remote_addr[0], remote_addr[1], family, socket.SOCK_DGRAM)
            remote = (rows[0][4][0], rows[0][4][1])
        v6 = family == socket.AF_INET6 or (remote is not None and is_v6(remote[0]))
        where = (_WILDCARDS[v6], 0)
        if local_addr is not None:
            rows = await self.look_up(local_addr[0], local_addr[1], family, socket.SOCK_DGRAM)
            where = (plain_ip(rows[0][4][0]), rows[0][4][1])
        self._check_local(where[0])
        if remote is not None and where[0] in _WILDCARDS:
            source = self.source_for(remote[0], where[0])
            if source is None:
                raise OSError(101, "Network is unreachable")
            where = source, where[1]
        if not where[1]:
            ip = where[0]
            where = ip, self._free_port(lambda port: (ip, port) in self.udp)
        elif where in self.udp and not reuse_port:
            raise OSError(98, f"Address already in use: {where[0]} port {where[1]}")
        protocol = factory()
        kind = socket.AF_INET6 if is_v6(where[0]) else socket.AF_INET
        transport = UdpSocket(self, where, remote, kind, protocol)
        self.udp[where] = transport
        protocol.connection_made(transport)
        return transport, protocol

    # -- sockets call these ---------------------------------------------------------------------------------

    def forget(self, connection: TcpConnection) -> None:
        """A connection is over."""
        key = connection.local, connection.remote
        if self.connections.get(key) is connection:
            del self.connections[key]

    def close_port(self, closed: UdpSocket) -> None:
        """A UDP port is free again."""
        if self.udp.get(closed.local) is closed:
            del self.udp[closed.local]
            for ports in self.groups.values():
                ports.pop(closed.local[1], None)

    def join(self, group: str, where: Endpoint) -> None:
        """Hear what is sent to a multicast group."""
        self.groups.setdefault(group, {})[where[1]] = None

    def leave(self, group: str, where: Endpoint) -> None:
        """Hear it no more."""
        self.groups.get(group, {}).pop(where[1], None)

    # -- misfortune -----------------------------------------------------------------------------------------

    def crash(self) -> None:
        """The power is gone: nothing is said to anybody, and nothing that ran here runs on."""
        self.is_down = True
        self.thaw()
        for connection in tuple(self.connections.values()):
            connection.vanish()
        for open_port in self.udp.values():
            open_port.closed = True
        self.connections.clear()
        self.listeners.clear()
        self.udp.clear()
        self.groups.clear()
        self.loop.cancel_timers_of(self)

    def freeze(self) -> None:
        """The lid is closed: no code runs, no packet is taken, until `thaw`."""
        self.is_frozen = True
        self.loop.frozen.add(self)

    def thaw(self) -> None:
        """Go on where it stopped; timers that ended meanwhile are heard now."""
        self.is_frozen = False
        self.loop.frozen.discard(self)
        parked, self.parked = self.parked, []
        self.loop.resume(parked)


def _refuse_socket(sock: object) -> None:
    if sock is not None:
        raise NotSimulated(
            "sock=…: a socket made beforehand is a real one. Give host and port, or local_addr; a simulated machine "
            "may dial from a port that listens"
        )


def check_part(name: str, value: float) -> float:
    """`value`, if it is a part of a whole.

    Raises: `LocalError` otherwise.
    """
    if not 0 <= value <= 1:
        raise LocalError(f"{name} is a part of 1, between 0 and 1, not {value}")
    return value
