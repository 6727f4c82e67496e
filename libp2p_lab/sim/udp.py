"""UDP: an asyncio datagram transport on the simulated network."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import TYPE_CHECKING, Any

from libp2p_lab.sim.packet import UDP_HEADER, Endpoint, Packet
from libp2p_lab.sim.sockets import SimSocket, endpoint, is_v6, sockname

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine

MAX_DATAGRAM = 65507  # bytes; IPv4


class UdpSocket(asyncio.DatagramTransport):
    """One open port.

    Args:
        machine: where it is.
        local: IP (or a wildcard) and port.
        remote: the only one that it talks to, if it was connected.
        family: AF_INET, or AF_INET6, which a wildcard lets speak both.
        protocol: its user.
    """

    __slots__ = (
        "_context",
        "_last_arrival",
        "closed",
        "family",
        "groups",
        "local",
        "machine",
        "protocol",
        "remote",
        "socket",
    )

    def __init__(
        self,
        machine: Machine,
        local: Endpoint,
        remote: Endpoint | None,
        family: int,
        protocol: Any,
    ) -> None:
        self.machine = machine
        self.local = local
        self.remote = remote
        self.family = family
        self.protocol = protocol
        self.socket = SimSocket(machine, socket.SOCK_DGRAM, local, remote)
        super().__init__(
            {
                "socket": self.socket,
                "sockname": sockname(local),
                "peername": sockname(remote) if remote is not None else None,
            }
        )
        self.closed = False
        self._context = contextvars.copy_context()
        self._last_arrival: dict[Endpoint, float] = {}  # one overtakes another only where it shall

    def sendto(self, data: Any, addr: Any = None) -> None:
        """As in asyncio."""
        if self.closed:
            return
        if addr is None and self.remote is None:
            raise ValueError("this endpoint has no remote address: say where to")
        dst = self.remote if addr is None else endpoint(addr)
        assert dst is not None
        payload = bytes(data)
        if len(payload) > MAX_DATAGRAM:
            self._report(OSError(90, "Message too long"))
            return
        source = self.machine.source_for(dst[0], self.local[0])
        if source is None:
            self._report(OSError(101, "Network is unreachable"))
            return
        packet = Packet(
            "datagram",
            (source, self.local[1]),
            dst,
            payload,
            len(payload) + UDP_HEADER,
            self.machine,
        )
        network = self.machine.network
        if not network.keeps_order:
            self.machine.send(packet)
            return
        last = 0.0 if network.reorders() else self._last_arrival.get(dst, 0.0)
        arrival = self.machine.send(packet, last)
        if last or arrival:
            if len(self._last_arrival) > 4096:
                self._last_arrival.clear()
            self._last_arrival[dst] = max(arrival, self._last_arrival.get(dst, 0.0))

    def receive(self, packet: Packet) -> None:
        """A datagram for this port arrived at the machine."""
        if self.closed or (self.remote is not None and packet.src != self.remote):
            return
        source = sockname(packet.src)
        if self.family == socket.AF_INET6 and not is_v6(packet.src[0]):
            source = (f"::ffff:{packet.src[0]}", packet.src[1], 0, 0)
        self.machine.loop.call_soon(
            self.protocol.datagram_received, packet.payload, source, context=self._context
        )

    def refused(self, error: OSError) -> None:
        """The network says that nobody can be reached there: told to connected sockets, as in Linux."""
        if self.remote is not None:
            self._report(error)

    def _report(self, error: OSError) -> None:
        self.machine.loop.call_soon(self.protocol.error_received, error, context=self._context)

    def close(self) -> None:
        """As in asyncio."""
        if not self.closed:
            self.closed = True
            self.machine.close_port(self)
            self.machine.loop.call_soon(self.protocol.connection_lost, None, context=self._context)

    def abort(self) -> None:
        """As in asyncio."""
        self.close()

    def is_closing(self) -> bool:
        """As in asyncio."""
        return self.closed

    def get_write_buffer_size(self) -> int:
        """As in asyncio: nothing ever waits here."""
        return 0

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As in asyncio."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """As in asyncio."""
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol
