"""A NAT box that opens ports when asked: PCP, RFC 6887, on the port of NAT-PMP, whose successor it is.

    request    2 op, reserved (2), lifetime (4), the asker's address (16)
    response   2 128+op, reserved (1), result (1), lifetime (4), seconds since the box's start (4), reserved (12)
    MAP        (op 1) nonce (12), protocol (1), reserved (3), inner port (2), outer port (2), outer address (16)

Who asks must give the address that it asks from, or there is another NAT between the two; and a port that is open is
changed with the nonce that opened it, and with no other. Nothing is done for options.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from libp2p_lab.sim.nat_box import NatBox

SHORTEST, LONGEST = 120, 86_400  # seconds of a mapping: RFC 6887 section 15
_ERROR_FOR = 30  # seconds that a refusal is good for
_PROTOCOLS = {17: "udp", 6: "tcp"}
_SUCCESS, _WRONG_VERSION, _NOT_AUTHORIZED, _MALFORMED, _UNKNOWN = 0, 1, 2, 3, 4
_NO_RESOURCES, _WRONG_PROTOCOL, _WRONG_ADDRESS = 8, 9, 12
_V4 = bytes(10) + b"\xff\xff"


class Pcp:
    """Follows the requests of the machines behind a box.

    Args:
        box: whose ports are opened.
        clock: gives the virtual time.
    """

    def __init__(self, box: NatBox, clock: Callable[[], float]) -> None:
        self._box = box
        self._clock = clock
        self._nonces: dict[tuple[str, tuple[str, int]], bytes] = {}

    def answer(self, request: bytes, inner_ip: str) -> bytes:
        """The response to one request of the machine `inner_ip`; nothing to what is none."""
        if len(request) < 2 or request[1] >= 128:
            return b""
        if request[0] != 2:
            return self._head(request[1], _WRONG_VERSION, _ERROR_FOR)
        if len(request) < 24 or len(request) % 4:
            return self._head(request[1], _MALFORMED, _ERROR_FOR)
        operation, lifetime = struct.unpack_from(">xBxxI", request)
        if request[8:24] != _V4 + socket.inet_aton(inner_ip):
            return self._head(operation, _WRONG_ADDRESS, _ERROR_FOR) + request[24:]
        if operation == 0:
            return self._head(0, _SUCCESS, 0)
        if operation != 1 or len(request) < 60:
            result = _UNKNOWN if operation != 1 else _MALFORMED
            return self._head(operation, result, _ERROR_FOR)
        result, lifetime, port = self._map(request[24:60], lifetime, inner_ip)
        body = request[24:42] + struct.pack(">H", port) + _V4 + socket.inet_aton(self._box.ips[0])
        return self._head(1, result, lifetime) + (request[24:60] if result else body)

    def _map(self, body: bytes, lifetime: int, inner_ip: str) -> tuple[int, int, int]:
        """The result, the lifetime, the outer port."""
        number, inner, outer = struct.unpack_from(">B3xHH", body, 12)
        protocol, inside = _PROTOCOLS.get(number), (inner_ip, inner)
        if protocol is None or not inner:
            return (_MALFORMED if protocol else _WRONG_PROTOCOL), _ERROR_FOR, 0
        now, key = self._clock(), (protocol, inside)
        held = any(
            m.is_static and (m.key[0], m.inside) == key for m in self._box.table.mappings(now)
        )
        if held and self._nonces.get(key, body[:12]) != body[:12]:
            return _NOT_AUTHORIZED, _ERROR_FOR, 0
        if not lifetime:
            self._box.table.remove_forward(protocol, inside)
            self._nonces.pop(key, None)
            return _SUCCESS, 0, 0
        lifetime = min(max(lifetime, SHORTEST), LONGEST)
        for port in (outer or inner, *range(20_000, 20_100)):
            found = self._box.table.forward(protocol, port, inside, now + lifetime)
            if found is not None:
                self._nonces[key] = body[:12]
                return _SUCCESS, lifetime, found[1]
        return _NO_RESOURCES, _ERROR_FOR, 0

    def _head(self, operation: int, result: int, lifetime: int) -> bytes:
        up = int(self._clock() - self._box.started)
        return struct.pack(">BBBBII12x", 2, 128 + operation, 0, result, lifetime, up)
