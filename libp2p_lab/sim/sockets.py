"""What programs see of a socket: its name, its options; and a listening one."""

from __future__ import annotations

import asyncio
import contextvars
import ipaddress
import socket
import ssl
import struct
from asyncio import events, sslproto
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.packet import Endpoint

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine
    from libp2p_lab.sim.tcp import TcpConnection


def is_v6(ip: str) -> bool:
    """Whether this is an IPv6 address."""
    return ":" in ip


def plain_ip(ip: str) -> str:
    """An IP in its shortest form; IPv4 in IPv6's clothes (::ffff:1.2.3.4) as IPv4.

    Raises: `LocalError` if it is none.
    """
    if ":" not in ip:
        parts = ip.split(".")
        if len(parts) == 4 and all(part.isdigit() and len(part) < 4 for part in parts):
            return ip
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        raise LocalError(f"{ip!r} is no IP address") from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped if mapped is not None else address)


def endpoint(address: Any) -> Endpoint:
    """What programs write, in the network's form."""
    return plain_ip(address[0]), int(address[1])


def sockname(address: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    """What programs read: IPv6 has two more numbers."""
    return (address[0], address[1], 0, 0) if ":" in address[0] else address


class SimSocket:
    """Stands where asyncio gives the real socket: names, options, and nothing to read from."""

    __slots__ = ("_machine", "_peer", "_where", "options", "type")

    def __init__(
        self, machine: Machine, type: int, where: Endpoint, peer: Endpoint | None = None
    ) -> None:
        self._machine = machine
        self._where = where
        self._peer = peer
        self.type = type
        self.options: dict[tuple[int, int], Any] = _NO_OPTIONS

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if is_v6(self._where[0]) else socket.AF_INET

    @property
    def proto(self) -> int:
        """As in the standard library."""
        return 0

    def getsockname(self) -> Any:
        """Our end."""
        return sockname(self._where)

    def getpeername(self) -> Any:
        """The other end.

        Raises: `OSError` if there is none.
        """
        if self._peer is None:
            raise OSError(107, "Transport endpoint is not connected")
        return sockname(self._peer)

    def setsockopt(self, level: int, option: int, value: Any, length: int = 0) -> None:
        """Options are kept; SO_LINGER and multicast membership have an effect, the others none."""
        if not self.options:
            self.options = {}
        self.options[level, option] = value
        if (level, option) in _JOIN:
            family = socket.AF_INET if level == socket.IPPROTO_IP else socket.AF_INET6
            size = 4 if family == socket.AF_INET else 16
            group = plain_ip(socket.inet_ntop(family, value[:size]))
            if _JOIN[level, option]:
                self._machine.join(group, self._where)
            else:
                self._machine.leave(group, self._where)

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> Any:
        """What was set, or 0."""
        value = self.options.get((level, option), 0)
        return value if not buflen or isinstance(value, bytes) else struct.pack("i", value)

    def fileno(self) -> int:
        """There is no file."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


_NO_OPTIONS: dict[tuple[int, int], Any] = {}  # shared by all sockets without any; never written
_JOIN = {
    (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP): True,
    (socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP): False,
    (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP): True,
    (socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP): False,
}


class SimServer(events.AbstractServer):
    """A listener, as `asyncio.Server`.

    Args:
        machine: where it is.
        at: IP (or a wildcard) and port; several when a name stands for several.
        factory: makes a protocol for each connection that arrives.
        tls: None for none.
        backlog: connections that may be on their way in.
    """

    def __init__(
        self,
        machine: Machine,
        at: list[Endpoint],
        factory: Callable[[], Any],
        tls: ssl.SSLContext | None,
        backlog: int,
    ) -> None:
        self.machine = machine
        self.at = at
        self.backlog = backlog
        self.waiting = 0  # connections on their way in
        self.context = contextvars.copy_context()
        self._factory = factory
        self._tls = tls
        self._open = False
        self._closed = machine.loop.create_future()
        self._connections: dict[TcpConnection, None] = {}

    @property
    def sockets(self) -> tuple[SimSocket, ...]:
        """As in asyncio; empty once closed."""
        if not self._open:
            return ()
        return tuple(SimSocket(self.machine, socket.SOCK_STREAM, where) for where in self.at)

    def open(self) -> None:
        """Begin to listen."""
        if not self._open:
            self._open = True
            for where in self.at:
                self.machine.listeners[where] = self

    def close(self) -> None:
        """As in asyncio: connections that have arrived stay open."""
        if self._open:
            self._open = False
            for where in self.at:
                if self.machine.listeners.get(where) is self:
                    del self.machine.listeners[where]
        if not self._closed.done():
            self._closed.set_result(None)

    def accept(self, connection: TcpConnection) -> None:
        """A connection stands: give it a protocol."""
        if connection.state == "closed":
            return
        self._connections = {c: None for c in self._connections if not c.closing}
        self._connections[connection] = None
        if self._tls is None:
            connection.start(self._factory())
        else:
            secure(connection, self._factory(), self._tls, server_side=True)

    def close_clients(self) -> None:
        """As in asyncio."""
        for connection in tuple(self._connections):
            connection.close()

    def abort_clients(self) -> None:
        """As in asyncio."""
        for connection in tuple(self._connections):
            connection.abort()

    async def wait_closed(self) -> None:
        """As in asyncio before 3.12: connections are not waited for."""
        await self._closed

    def is_serving(self) -> bool:
        """As in asyncio."""
        return self._open

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """As in asyncio."""
        return self.machine.loop

    async def start_serving(self) -> None:
        """As in asyncio."""
        self.open()

    async def serve_forever(self) -> None:
        """As in asyncio."""
        self.open()
        try:
            await self.machine.loop.create_future()
        finally:
            self.close()


def secure(
    connection: TcpConnection,
    protocol: Any,
    tls: ssl.SSLContext,
    *,
    server_side: bool,
    name: str | None = None,
) -> tuple[Any, asyncio.Future[None]]:
    """TLS on a connection, by asyncio's own code: the transport to use, and when its handshake is over."""
    handshake: asyncio.Future[None] = connection.machine.loop.create_future()
    layer = sslproto.SSLProtocol(
        connection.machine.loop, protocol, tls, handshake, server_side, name
    )
    connection.start(layer)
    return layer._app_transport, handshake
