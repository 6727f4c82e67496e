"""TCP: `/ip4/127.0.0.1/tcp/4001`, `/dns4/example.org/tcp/4001`, …

asyncio moves the bytes; `TcpStream` turns its callbacks into a `ByteStream`. TCP keeps no message boundaries: one write
may arrive in many reads, and many writes in one.

A host dials from a port at which it listens, where it can. So others see it where it can be reached, a NAT maps both
ways through one hole, and a hole can be punched at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from libp2p_lab.errors import ConnectionLost, LocalError, StreamClosed
from libp2p_lab.identity.multiaddr import Multiaddr, Part
from libp2p_lab.trace import Probe
from libp2p_lab.transports.signal import Signal
from libp2p_lab.transports.transport import OnConnection, report_earlier
from libp2p_lab.wire.byte_stream import Buffer

RECEIVE_SIZE = 127 * 1024  # just below what the C library fetches from the system anew each time
HIGH_WATER = 512 * 1024  # bytes received and not read at which we stop receiving: back pressure
WRITE_HIGH_WATER = 256 * 1024
BACKLOG = 512
TLS_SHUTDOWN_TIMEOUT = 2.0  # seconds for the remote's goodbye; then the socket is closed without
#: A local address that does not do for a dial: another port may.
NOT_FROM_THERE = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EINVAL)
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # on, for 0 seconds


class _Scratch(threading.local):
    """Where a loop receives into. One for each thread is enough: what arrives is copied out at once."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(RECEIVE_SIZE))


_SCRATCH = _Scratch()


class TcpStream(asyncio.BufferedProtocol):
    """One TCP connection: a `RawConnection`.

    Args:
        on_connection: called with this stream once it stands.
        paused: whether nothing is received until `start_tls`.
        fast_shutdown: see `TCP`.
        ends: our end and the other, for sockets whose names are no IP addresses.
    """

    __slots__ = (
        "_chunks",
        "_closed",
        "_fast_shutdown",
        "_gone",
        "_local_addr",
        "_lost",
        "_on_connection",
        "_paused",
        "_probe",
        "_read_paused",
        "_readable",
        "_received",
        "_remote_addr",
        "_sent",
        "_size",
        "_socket",
        "_transport",
        "_writable",
        "_write_closed",
        "_write_paused",
        "ended",
    )

    def __init__(
        self,
        on_connection: Callable[[TcpStream], None] | None = None,
        paused: bool = False,
        fast_shutdown: bool = False,
        ends: tuple[Multiaddr, Multiaddr] | None = None,
    ) -> None:
        self._on_connection = on_connection
        self._paused = paused
        self._fast_shutdown = fast_shutdown
        self._transport: asyncio.Transport
        self._socket: socket.socket
        self._chunks: deque[bytes] = deque()
        self._size = 0  # bytes in `_chunks`
        self._readable = Signal()
        self._writable = Signal()
        self._closed = Signal()
        self._read_paused = self._write_paused = False
        self._write_closed = False
        self._gone = False
        self._lost: ConnectionLost | None = None  # why, unless the end was a clean one
        self._received = self._sent = 0
        self._local_addr: Multiaddr | None = None  # made when first asked for
        self._remote_addr: Multiaddr | None = None
        if ends is not None:
            self._local_addr, self._remote_addr = ends
        self.ended = False  # nothing more will arrive
        self._probe = Probe(layer="transport")

    # -- asyncio calls these --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        # asyncio has set TCP_NODELAY already.
        self._socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._fast_shutdown:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        if self._paused:
            transport.pause_reading()
        if self._on_connection is not None:
            self._on_connection(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where asyncio shall put what it receives."""
        return _SCRATCH.view

    def buffer_updated(self, nbytes: int) -> None:
        """`nbytes` were received."""
        data = bytes(_SCRATCH.view[:nbytes])
        if self._probe.trace.listeners:
            self._probe.emit("received", data, self._received)
        self._received += nbytes
        self._chunks.append(data)
        self._size += nbytes
        if self._size >= HIGH_WATER and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()
        self._readable.notify()

    def eof_received(self) -> bool:
        """The remote will send no more. True keeps our half open, which TLS cannot."""
        self.ended = True
        self._readable.notify()
        return self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._write_paused = False
        self._writable.notify()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: by our wish (None), or not."""
        self._gone = True
        if exc is not None:
            self._lost = ConnectionLost(f"TCP connection lost: {exc}")
        self.ended = True
        self._write_paused = False
        for signal in (self._readable, self._writable, self._closed):
            signal.notify()

    # -- the layers above call these ------------------------------------------------------------------------

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        if n < 0:
            parts = []
            while part := await self.read(RECEIVE_SIZE):
                parts.append(part)
            return b"".join(parts)
        while not self._chunks:
            if self._lost is not None:
                raise self._lost
            if self.ended:
                return b""
            await self._readable.wait()
        chunk = self._chunks[0]
        if len(chunk) <= n:
            self._chunks.popleft()
        else:
            self._chunks[0] = chunk[n:]
            chunk = chunk[:n]
        self._size -= len(chunk)
        if self._read_paused and self._size < HIGH_WATER // 2 and not self._gone:
            self._read_paused = False
            self._transport.resume_reading()
        return chunk

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        self.send(data)
        while self._write_paused:
            await self._writable.wait()

    def send(self, data: Buffer) -> None:
        """Send `data` without waiting for room. For small things that a reader must answer; look at `is_full` first."""
        if self._write_closed:
            raise StreamClosed("write after close_write")
        if self._gone:
            raise self._lost or ConnectionLost("TCP connection closed")
        if self._probe.trace.listeners:
            self._probe.emit("sent", bytes(data), self._sent)
        self._sent += len(data)
        self._transport.write(data)

    @property
    def is_full(self) -> bool:
        """Whether a write would wait now."""
        return self._write_paused

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Take over as the server of a TLS handshake; from then on everything is encrypted.

        Nothing may have been read before: make the stream with `paused=True`.

        Raises: `OSError` (`ssl.SSLError` is one) if the handshake fails.
        """
        self._transport.pause_reading()
        transport = await asyncio.get_running_loop().start_tls(
            self._transport,
            self,
            context,
            server_side=True,
            ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT,
        )
        if transport is None:
            raise ConnectionLost("TCP connection lost during the TLS handshake")
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    async def close_write(self) -> None:
        """As `ByteStream.close_write`: sends FIN behind what was written."""
        if not self._write_closed and not self._gone:
            self._write_closed = True
            self._transport.write_eof()

    async def close(self) -> None:
        """As `ByteStream.close`: returns when everything written is with the kernel. Set a time limit around it."""
        self._write_closed = True
        if not self._transport.is_closing():
            self._transport.close()
        while self._transport.get_write_buffer_size() and not self._gone:
            await self._closed.wait()

    async def reset(self) -> None:
        """As `ByteStream.reset`: the other end is sent a RST, which cannot be taken for a clean end as a FIN can."""
        self._write_closed = True
        if not self._gone:
            self._lost = self._lost or ConnectionLost("TCP connection reset by us")
            with contextlib.suppress(OSError):  # under TLS it may be closed before we are told
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self._transport.abort()

    @property
    def probe(self) -> Probe:
        """As `RawConnection.probe`."""
        return self._probe

    @probe.setter
    def probe(self, probe: Probe) -> None:
        self._probe = probe
        if probe.trace.listeners:
            report_earlier(probe, self._chunks, self._received)

    @property
    def local_addr(self) -> Multiaddr:
        """Our end."""
        if self._local_addr is None:
            self._local_addr = _to_multiaddr(self._transport.get_extra_info("sockname"))
        return self._local_addr

    @property
    def remote_addr(self) -> Multiaddr:
        """The other end."""
        if self._remote_addr is None:
            self._remote_addr = _to_multiaddr(self._transport.get_extra_info("peername"))
        return self._remote_addr


class TcpListener:
    """Waits for TCP connections."""

    __slots__ = ("_server",)

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens: each interface's address in place of 0.0.0.0 and ::."""
        return [_to_multiaddr((ip, port)) for host, port in self.bound for ip in interfaces(host)]

    @property
    def bound(self) -> Sequence[tuple[str, int]]:
        """The IP address, or a wildcard, and the port of each of its sockets; none once it is closed."""
        return [sock.getsockname()[:2] for sock in self._server.sockets]

    async def close(self) -> None:
        """Stop listening. Connections that have arrived stay open."""
        self._server.close()


@runtime_checkable
class DialsFromListeners(Protocol):
    """An event loop of which `create_connection` takes a port that listens as its `local_addr`: the simulated one."""

    dials_from_listeners: bool


class TCP:
    """The transport `tcp`.

    Args:
        reuse_port: dial from a port at which this transport listens, if there is one that can reach the address; from
            a fresh one where the system refuses that. As go-libp2p does.
        fast_shutdown: end connections by RST instead of FIN, as go-libp2p does: no port waits for two minutes in
            TIME-WAIT. What the system has not sent yet is lost then, and so this is off unless it is asked for.
    """

    __slots__ = ("_listeners", "fast_shutdown", "reuse_port")

    name = "tcp"

    def __init__(self, *, reuse_port: bool = True, fast_shutdown: bool = False) -> None:
        self.reuse_port = reuse_port
        self.fast_shutdown = fast_shutdown
        self._listeners: list[TcpListener] = []

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is an IP address or a dns name, and a TCP port, and nothing more."""
        names = addr.without_peer().names
        return (
            names[-1:] == ("tcp",)
            and len(names) == 2 + (names[0] == "ip6zone")
            and names[-2] in _HOST_NAMES
        )

    def can_listen(self, addr: Multiaddr) -> bool:
        """As `can_dial`, but with an IP address."""
        return self.can_dial(addr) and addr.names[0] in ("ip4", "ip6", "ip6zone")

    async def dial(self, addr: Multiaddr) -> TcpStream:
        """As `Transport.dial`. A dns name is looked up by the operating system here; `dns.py` does it beforehand."""
        local = self.listening_for(addr) if self.reuse_port else None
        if local is not None:
            try:
                return await self.dial_from(addr, local)
            except OSError as error:
                if error.errno not in NOT_FROM_THERE:
                    raise
        return await self.dial_from(addr, None)

    async def dial_from(self, addr: Multiaddr, local: tuple[str, int] | None) -> TcpStream:
        """As `dial`, from a given port: hole punching needs the one that the other side was told.

        Args:
            addr: where to.
            local: the IP address or wildcard, and the port, which may be one that listens; None for a fresh one.

        Raises: as `dial`, and `OSError` if it cannot be dialed from there.
        """
        host, port, family = to_host_port(addr)
        loop = asyncio.get_running_loop()

        def stream() -> TcpStream:
            return TcpStream(fast_shutdown=self.fast_shutdown)

        if local is None or isinstance(loop, DialsFromListeners):
            _, connected = await loop.create_connection(
                stream, host, port, family=family, local_addr=local
            )
            return connected
        sock = _bound_socket(socket.AF_INET6 if ":" in local[0] else socket.AF_INET, local)
        try:
            await loop.sock_connect(sock, (host, port))
            _, connected = await loop.create_connection(stream, sock=sock)
        except BaseException:
            sock.close()
            raise
        return connected

    def listening_for(self, addr: Multiaddr) -> tuple[str, int] | None:
        """The listening socket to dial `addr` from; None if there is none that can reach it."""
        if addr.names[0] not in ("ip4", "ip6"):  # a name may stand for anything
            return None
        host, port, _ = to_host_port(addr)
        remote = ipaddress.ip_address(host)
        at_interface: list[tuple[str, int]] = []
        at_wildcard: list[tuple[str, int]] = []
        for bound in [bound for listener in self._listeners for bound in listener.bound]:
            ours = ipaddress.ip_address(bound[0].partition("%")[0])
            if ours.version != remote.version or ours.is_link_local:
                continue
            if bound[1] == port and host in interfaces(bound[0]):
                continue  # it would connect to itself
            if ours.is_unspecified:
                at_wildcard.append(bound)
            elif ours.is_loopback == remote.is_loopback:
                at_interface.append(bound)
        if len(at_interface) == 1:  # of several the system knows which one the way leads through
            return at_interface[0]
        return at_wildcard[0] if at_wildcard else None

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> TcpListener:
        """As `Transport.listen`."""
        if not self.can_listen(addr):
            raise LocalError(f"TCP listens at an IP address and a port, not at {addr}")
        host, port, family = to_host_port(addr)
        server = await asyncio.get_running_loop().create_server(
            lambda: TcpStream(on_connection, fast_shutdown=self.fast_shutdown),
            host,
            port,
            family=family,
            backlog=BACKLOG,
        )
        listener = TcpListener(server)
        if self.reuse_port and _REUSE_PORT is not None:
            for sock in server.sockets:
                # Only now: two listeners at one port are an error still, and none that goes unnoticed.
                sock.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
        self._listeners = [one for one in self._listeners if one.bound]
        self._listeners.append(listener)
        return listener


_REUSE_PORT: int | None = getattr(socket, "SO_REUSEPORT", None)  # Windows has none


def _bound_socket(family: int, local: tuple[str, int]) -> socket.socket:
    """A socket at a port at which another one may listen.

    Raises: `OSError`.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if _REUSE_PORT is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, _REUSE_PORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(local)
    except BaseException:
        sock.close()
        raise
    return sock


_HOST_NAMES = {
    "ip4": socket.AF_INET,
    "ip6": socket.AF_INET6,
    "dns": socket.AF_UNSPEC,
    "dns4": socket.AF_INET,
    "dns6": socket.AF_INET6,
}


def to_host_port(addr: Multiaddr) -> tuple[str, int, int]:
    """The host, the port and the family of sockets of a TCP address.

    Raises: `LocalError` for any other address.
    """
    if not TCP().can_dial(addr):
        raise LocalError(f"not a TCP address: {addr}")
    parts = {part.name: part.value for part in addr.without_peer().parts}
    family, host = next((_HOST_NAMES[name], parts[name]) for name in parts if name in _HOST_NAMES)
    if "ip6zone" in parts:
        host = f"{host}%{parts['ip6zone']}"
    return host, int(parts["tcp"]), family


def _to_multiaddr(sockname: tuple[str, int] | tuple[str, int, int, int]) -> Multiaddr:
    host, _, zone = sockname[0].partition("%")
    port = Part(6, "tcp", sockname[1].to_bytes(2, "big"))
    if ":" not in host:
        return Multiaddr.of((Part(4, "ip4", socket.inet_aton(host)), port))
    ip6 = Part(41, "ip6", socket.inet_pton(socket.AF_INET6, host))
    if zone:
        return Multiaddr.of((Part(42, "ip6zone", zone.encode()), ip6, port))
    return Multiaddr.of((ip6, port))


def interfaces(host: str) -> Sequence[str]:
    """The addresses that a wildcard stands for; link-local ones are left out, for nobody can dial them."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    import ifaddr  # loads the C library's bindings, which only a wildcard needs

    wanted = ipaddress.ip_address(host).version
    found = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            ip = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            address = ipaddress.ip_address(ip)
            if address.version == wanted and not address.is_link_local:
                found.append(ip)
    return found
