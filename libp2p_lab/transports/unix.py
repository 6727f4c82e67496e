"""Unix sockets: `/unix/tmp/peer.sock`. Two programs on one machine, without a network between them.

The socket is a file: who may connect is who may write to it. A connection has two ends but only one name, that of the
file; both ends go by it. In text the path takes all that follows, so that no `/p2p` can stand behind it: give a
`PeerInfo`, or the `Multiaddr` itself.

Deviation: such a socket knows no RST. A reset that finds everything read looks like a clean end to the other side; the
layers above say goodbye before they end, and so tell the two apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.transports.tcp import BACKLOG, TcpStream
from libp2p_lab.transports.transport import OnConnection

LONGEST_PATH = 107  # bytes that fit into an address of Linux; macOS takes 103


class UnixListener:
    """Waits for connections at a file."""

    __slots__ = ("_addr", "_path", "_server")

    def __init__(self, server: asyncio.Server, addr: Multiaddr, path: str) -> None:
        self._server = server
        self._addr = addr
        self._path = path

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens."""
        return [self._addr]

    async def close(self) -> None:
        """Stop listening, and remove the file. Connections that have arrived stay open."""
        if self._server.sockets:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):  # from Python 3.13 on asyncio removes it
                os.unlink(self._path)


class Unix:
    """The transport `unix`."""

    __slots__ = ()

    name = "unix"

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is a path, and nothing more."""
        return addr.without_peer().names == ("unix",)

    can_listen = can_dial

    async def dial(self, addr: Multiaddr) -> TcpStream:
        """As `Transport.dial`."""
        addr, path = _path_in(addr)
        _, stream = await asyncio.get_running_loop().create_unix_connection(
            lambda: TcpStream(ends=(addr, addr)), path
        )
        return stream

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> UnixListener:
        """As `Transport.listen`. A file that a listener left behind is replaced; one in use is not."""
        addr, path = _path_in(addr)
        if await _is_in_use(path):
            raise OSError(errno.EADDRINUSE, f"somebody listens at {path}")
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: TcpStream(on_connection, ends=(addr, addr)), path, backlog=BACKLOG
        )
        return UnixListener(server, addr, path)


def _path_in(addr: Multiaddr) -> tuple[Multiaddr, str]:
    if not Unix().can_dial(addr):
        raise LocalError(f"not the path of a unix socket: {addr}")
    if not hasattr(socket, "AF_UNIX") or os.name == "nt":
        raise LocalError("this system has no unix sockets that asyncio can use")
    path = addr.parts[0].value_bytes.decode()
    if len(path.encode()) > LONGEST_PATH:
        raise LocalError(f"the path of a unix socket has {LONGEST_PATH} bytes at most: {path}")
    return addr.without_peer(), path


async def _is_in_use(path: str) -> bool:
    """Whether somebody takes connections at this file."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False  # binding will say what is wrong with it
    except FileNotFoundError:
        return False
    try:
        async with asyncio.timeout(1.0):
            _, stream = await asyncio.get_running_loop().create_unix_connection(TcpStream, path)
    except (OSError, TimeoutError):
        return False
    await stream.reset()
    return True
