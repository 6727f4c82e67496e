"""NAT-PMP on the wire: two questions to a router, at UDP port 5351 of its inner address, and their answers.

    your outer address?    question  0 0
                           answer    0 128, result (2), epoch (4), address (4)
    open me a port         question  0 op (1: UDP, 2: TCP), reserved (2), inner port (2), outer port (2), lifetime (4)
                           answer    0 128+op, result (2), epoch (4), inner port (2), outer port (2), lifetime (4)

The outer port of the question is a wish. A lifetime of 0 closes the port. The epoch counts seconds from the router's
start: if it is smaller than it should be, the router has forgotten everything.

RFC 6886
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from libp2p_lab.errors import MalformedMessage

VERSION = 0
_OPERATIONS: dict[Literal["udp", "tcp"], int] = {"udp": 1, "tcp": 2}
_PROTOCOLS = {number: name for name, number in _OPERATIONS.items()}


class PmpResult(IntEnum):
    """How it went: RFC 6886 section 3.5."""

    SUCCESS = 0
    UNSUPPORTED_VERSION = 1
    NOT_AUTHORIZED = 2
    NETWORK_FAILURE = 3
    OUT_OF_RESOURCES = 4
    UNSUPPORTED_OPCODE = 5


@dataclass(frozen=True, slots=True)
class PmpAddressRequest:
    """What is your outer address?"""

    def encode(self) -> bytes:
        """Two bytes."""
        return bytes((VERSION, 0))


@dataclass(frozen=True, slots=True)
class PmpMapRequest:
    """Open me a port.

    Attributes:
        protocol: "tcp" or "udp".
        inner: where we listen.
        outer: the port that we would like outside; 0 for any.
        lifetime: seconds; 0 closes it.
    """

    protocol: Literal["udp", "tcp"]
    inner: int
    outer: int
    lifetime: int

    def encode(self) -> bytes:
        """Twelve bytes."""
        operation = _OPERATIONS[self.protocol]
        ports = self.inner, self.outer
        return struct.pack(">BBHHHI", VERSION, operation, 0, *ports, self.lifetime)


@dataclass(frozen=True, slots=True)
class PmpAddressResponse:
    """The router's outer address, as text. "" where it has none, or the result is no success."""

    result: int
    epoch: int
    ip: str = ""

    def encode(self) -> bytes:
        """Twelve bytes."""
        packed = ipaddress.IPv4Address(self.ip or "0.0.0.0").packed
        return struct.pack(">BBHI", VERSION, 128, self.result, self.epoch) + packed


@dataclass(frozen=True, slots=True)
class PmpMapResponse:
    """Which port it opened, and for how many seconds."""

    protocol: Literal["udp", "tcp"]
    result: int
    epoch: int
    inner: int
    outer: int
    lifetime: int

    def encode(self) -> bytes:
        """Sixteen bytes."""
        operation = 128 + _OPERATIONS[self.protocol]
        head = struct.pack(">BBHI", VERSION, operation, self.result, self.epoch)
        return head + struct.pack(">HHI", self.inner, self.outer, self.lifetime)


PmpRequest = PmpAddressRequest | PmpMapRequest
PmpResponse = PmpAddressResponse | PmpMapResponse


def decode_response(data: bytes) -> PmpResponse:
    """Read an answer.

    One that is no success may end behind its epoch: what would follow has no meaning.

    Raises: `MalformedMessage`.
    """
    if len(data) < 8 or data[0] != VERSION:
        raise MalformedMessage("a NAT-PMP answer has a version of 0, and 8 bytes at least")
    operation, result, epoch = struct.unpack_from(">xBHI", data)
    if operation == 128:
        if result != PmpResult.SUCCESS:
            return PmpAddressResponse(result, epoch)
        if len(data) < 12:
            raise MalformedMessage("a NAT-PMP answer without the outer address")
        ip = str(ipaddress.IPv4Address(data[8:12]))
        return PmpAddressResponse(result, epoch, "" if ip == "0.0.0.0" else ip)
    protocol = _PROTOCOLS.get(operation - 128)
    if protocol is None:
        raise MalformedMessage(f"a NAT-PMP answer to an operation {operation - 128}")
    if len(data) < 16:
        if result == PmpResult.SUCCESS:
            raise MalformedMessage("a NAT-PMP answer without ports")
        return PmpMapResponse(protocol, result, epoch, 0, 0, 0)
    return PmpMapResponse(protocol, result, epoch, *struct.unpack_from(">HHI", data, 8))


def is_answer(request: PmpRequest, response: PmpResponse) -> bool:
    """Whether this answers that. Answers name the inner port; a short refusal names none."""
    match request, response:
        case PmpAddressRequest(), PmpAddressResponse():
            return True
        case PmpMapRequest(), PmpMapResponse():
            is_short = response.result != PmpResult.SUCCESS and not response.inner
            return request.protocol == response.protocol and (
                is_short or request.inner == response.inner
            )
        case _:
            return False
