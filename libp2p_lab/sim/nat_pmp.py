"""A NAT box that opens ports when asked: NAT-PMP, RFC 6886, on UDP port 5351 of its inner address.

    external address    request   0 0
                        response  0 128, result (2), seconds since the box's start (4), address (4)
    mapping             request   0 op (1: UDP, 2: TCP), reserved (2), inner port (2), outer port (2), lifetime (4)
                        response  0 128+op, result (2), seconds (4), inner port (2), outer port (2), lifetime (4)

A lifetime of 0 ends the mapping. Results: 0 success, 1 version, 2 refused, 4 no port free, 5 unknown operation.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from libp2p_lab.sim.nat_box import NatBox
from libp2p_lab.sim.pcp import Pcp

PORT = 5351
LONGEST = 7200  # seconds of a mapping: RFC 6886 recommends two hours
_PROTOCOLS = {1: "udp", 2: "tcp"}
_SUCCESS, _WRONG_VERSION, _NO_PORT, _UNKNOWN = 0, 1, 4, 5


class NatPmp(asyncio.DatagramProtocol):
    """Answers the machines behind a box.

    Args:
        box: whose ports are opened.
        clock: gives the virtual time.
        pcp: answers questions in version 2; None for a box that speaks none.
        speaks_pmp: whether questions in version 0 are answered.
    """

    def __init__(
        self,
        box: NatBox,
        clock: Callable[[], float],
        pcp: Pcp | None = None,
        speaks_pmp: bool = True,
    ) -> None:
        self._box = box
        self._clock = clock
        self._pcp = pcp
        self._speaks_pmp = speaks_pmp
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        """As in asyncio."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """A request; what is no request is passed over in silence."""
        if self._pcp is not None and (data[:1] == b"\2" or not self._speaks_pmp):
            answer = self._pcp.answer(data, addr[0])
            if answer:
                self._transport.sendto(answer, addr)
        elif len(data) >= 2 and data[1] < 128:
            self._transport.sendto(self.answer(data, addr[0]), addr)

    def answer(self, request: bytes, inner_ip: str) -> bytes:
        """The response to one request of the machine `inner_ip`."""
        operation = request[1]
        now = self._clock()
        up = now - self._box.started
        if request[0] != 0:
            return _head(operation, _WRONG_VERSION, up)
        if operation == 0:
            return _head(0, _SUCCESS, up) + socket.inet_aton(self._box.ips[0])
        if operation not in _PROTOCOLS or len(request) < 12:
            return _head(operation, _UNKNOWN, up)
        inner, outer, lifetime = struct.unpack(">HHI", request[4:12])
        protocol, inside = _PROTOCOLS[operation], (inner_ip, inner)
        if not lifetime:
            self._box.table.remove_forward(protocol, inside)
            return _head(operation, _SUCCESS, up) + struct.pack(">HHI", inner, 0, 0)
        lifetime = min(lifetime, LONGEST)
        found = None
        for port in (outer or inner, *range(20_000, 20_100)):
            found = self._box.table.forward(protocol, port, inside, now + lifetime)
            if found is not None:
                break
        if found is None:
            return _head(operation, _NO_PORT, up) + struct.pack(">HHI", inner, 0, 0)
        return _head(operation, _SUCCESS, up) + struct.pack(">HHI", inner, found[1], lifetime)


def _head(operation: int, result: int, up: float) -> bytes:
    return struct.pack(">BBHI", 0, 128 + operation, result, int(up))
