"""WebSocket: `/ip4/127.0.0.1/tcp/4001/ws`, and with TLS below it `/dns4/example.org/tcp/443/tls/ws` (or `/wss`).

A connection that begins as HTTP, so that it passes where only the web is let through: browsers, proxies, port 443.
TLS says who owns the *name* of the server; who the *peer* is, Noise or TLS inside the WebSocket say, as on any other
transport.

Spec: websockets/README.md#addressing
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.transports.tcp import (
    BACKLOG,
    TCP,
    TLS_SHUTDOWN_TIMEOUT,
    TcpListener,
    TcpStream,
    to_host_port,
)
from libp2p_lab.transports.transport import OnConnection

if TYPE_CHECKING:
    from libp2p_lab.transports.websocket_stream import WebSocketStream


class WebSocketListener:
    """Waits for WebSocket connections."""

    __slots__ = ("_listener", "_suffix")

    def __init__(self, listener: TcpListener, suffix: Multiaddr) -> None:
        self._listener = listener
        self._suffix = suffix

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens."""
        return [addr / self._suffix for addr in self._listener.addrs]

    async def close(self) -> None:
        """Stop listening. Connections that have arrived stay open."""
        await self._listener.close()


class WebSocket:
    """The transport `ws`, and `wss` where TLS is below it.

    Args:
        server_tls: our certificate, for addresses with `/tls/ws` (or `/wss`) to listen at; None to have none.
        client_tls: whom to believe when dialing; None for the authorities that the system trusts.
    """

    __slots__ = ("_client_tls", "_server_tls")

    name = "ws"

    def __init__(
        self, server_tls: ssl.SSLContext | None = None, client_tls: ssl.SSLContext | None = None
    ) -> None:
        self._server_tls = server_tls
        self._client_tls = client_tls

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is a TCP address with one of the endings of a WebSocket behind it."""
        below, suffix = _split(addr)
        return suffix.names in _SUFFIXES and TCP().can_dial(below)

    def can_listen(self, addr: Multiaddr) -> bool:
        """As `can_dial`, but with an IP address."""
        below, suffix = _split(addr)
        return suffix.names in _SUFFIXES and TCP().can_listen(below)

    async def dial(self, addr: Multiaddr) -> WebSocketStream:
        """As `Transport.dial`.

        With TLS the server must prove the name in the address: that of `/sni`, else the dns name, else the IP.

        Raises: `OSError` (`ssl.SSLCertVerificationError` is one); `RemoteError` if it is no WebSocket server.
        """
        from websockets.client import ClientProtocol
        from websockets.uri import WebSocketURI

        from libp2p_lab.transports.websocket_stream import WebSocketStream

        if not self.can_dial(addr):
            raise LocalError(f"not a WebSocket address: {addr}")
        below, suffix = _split(addr)
        host, port, family = to_host_port(below)
        name = suffix.value_of("sni") or host.partition("%")[0]
        secure = suffix.names != ("ws",)
        loop = asyncio.get_running_loop()
        if secure:
            if self._client_tls is None:
                self._client_tls = ssl.create_default_context()
            _, tcp = await loop.create_connection(
                TcpStream,
                host,
                port,
                family=family,
                ssl=self._client_tls,
                server_hostname=name,
                ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT,
            )
        else:
            _, tcp = await loop.create_connection(TcpStream, host, port, family=family)
        stream = WebSocketStream(
            tcp,
            ClientProtocol(WebSocketURI(secure, name, port, "/", "")),
            tcp.local_addr / Multiaddr.of(tuple(p for p in suffix.parts if p.name != "sni")),
            tcp.remote_addr / suffix,
        )
        try:
            await stream.connect()
        except BaseException:
            await stream.reset()
            raise
        return stream

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> WebSocketListener:
        """As `Transport.listen`.

        Raises: `LocalError` also for an address with TLS where there is no certificate.
        """
        from websockets.server import ServerProtocol

        from libp2p_lab.transports.websocket_stream import WebSocketStream

        if not self.can_listen(addr):
            raise LocalError(f"WebSocket listens at an IP address, a port and /ws, not at {addr}")
        below, suffix = _split(addr)
        tls = None
        if suffix.names != ("ws",):
            tls = self._server_tls
            if tls is None:
                raise LocalError(
                    f"{addr} needs a certificate: WebSocket(server_tls=an ssl.SSLContext with one)"
                )
        host, port, family = to_host_port(below)

        def arrived(tcp: TcpStream) -> None:
            local, remote = tcp.local_addr / suffix, tcp.remote_addr / suffix
            stream = WebSocketStream(tcp, ServerProtocol(), local, remote)
            stream.start_accepting(tls)
            on_connection(stream)

        server = await asyncio.get_running_loop().create_server(
            lambda: TcpStream(arrived, paused=tls is not None),
            host,
            port,
            family=family,
            backlog=BACKLOG,
        )
        return WebSocketListener(TcpListener(server), suffix)


_SUFFIXES = (("ws",), ("wss",), ("tls", "ws"), ("tls", "sni", "ws"))


def _split(addr: Multiaddr) -> tuple[Multiaddr, Multiaddr]:
    """The TCP address, and what stands behind it without a peer id."""
    parts = addr.without_peer().parts
    for index, part in enumerate(parts):
        if part.name == "tcp":
            return Multiaddr.of(parts[: index + 1]), Multiaddr.of(parts[index + 1 :])
    return Multiaddr.of(parts), Multiaddr.of(())
