"""PCP, the successor of NAT-PMP, at the same port of the router: version 2, larger messages, IPv6.

    question   2 op, reserved (2), lifetime (4), our address (16)
    answer     2 128+op, reserved (1), result (1), lifetime (4), epoch (4), reserved (12)

    ANNOUNCE   (op 0) nothing more: are you there, and since when?
    MAP        (op 1) nonce (12), protocol (1), reserved (3), inner port (2), outer port (2), outer address (16)

IPv4 addresses stand in IPv6 ones, as ::ffff:192.0.2.1. The nonce is ours alone: without it nobody else in the house
can change or close our port. The answer to a MAP tells the outer address with the port, so nothing asks for it alone.

Options are left out: nothing here needs one, and answers carry those only that were asked for.

RFC 6887
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from libp2p_lab.errors import MalformedMessage

VERSION = 2
NONCE = 12  # bytes
LONGEST = 1100  # bytes of one message: RFC 6887 section 7
_OPTIONS_FROM = 60  # where those of a MAP begin
_PROTOCOLS: dict[Literal["udp", "tcp"], int] = {"udp": 17, "tcp": 6}
_NAMES = {number: name for name, number in _PROTOCOLS.items()}


class PcpResult(IntEnum):
    """How it went: RFC 6887 section 7.4."""

    SUCCESS = 0
    UNSUPP_VERSION = 1
    NOT_AUTHORIZED = 2
    MALFORMED_REQUEST = 3
    UNSUPP_OPCODE = 4
    UNSUPP_OPTION = 5
    MALFORMED_OPTION = 6
    NETWORK_FAILURE = 7
    NO_RESOURCES = 8
    UNSUPP_PROTOCOL = 9
    USER_EX_QUOTA = 10
    CANNOT_PROVIDE_EXTERNAL = 11
    ADDRESS_MISMATCH = 12  # another NAT stands between us and it
    EXCESSIVE_REMOTE_PEERS = 13


@dataclass(frozen=True, slots=True)
class PcpAnnounceRequest:
    """Are you there, and since when? `client` is our own address."""

    client: str

    def encode(self) -> bytes:
        """24 bytes."""
        return _request_head(0, 0, self.client)


@dataclass(frozen=True, slots=True)
class PcpMapRequest:
    """Open me a port.

    Attributes:
        client: our own address.
        nonce: 12 bytes, the same as long as we want the port.
        protocol: "tcp" or "udp".
        inner: where we listen.
        outer: the port that we would like outside; 0 for any.
        lifetime: seconds; 0 closes it.
    """

    client: str
    nonce: bytes
    protocol: Literal["udp", "tcp"]
    inner: int
    outer: int
    lifetime: int

    def encode(self) -> bytes:
        """60 bytes."""
        any_address = _mapped("0.0.0.0" if ":" not in self.client else "::")
        ports = self.inner, self.outer
        body = struct.pack(">B3xHH", _PROTOCOLS[self.protocol], *ports)
        head = _request_head(1, self.lifetime, self.client)
        return head + self.nonce + body + any_address


@dataclass(frozen=True, slots=True)
class PcpAnnounceResponse:
    """It is there, since `epoch` seconds."""

    result: int
    lifetime: int
    epoch: int

    def encode(self) -> bytes:
        """24 bytes."""
        return _response_head(0, self.result, self.lifetime, self.epoch)


@dataclass(frozen=True, slots=True)
class PcpMapResponse:
    """Which port it opened, at which address, and for how long.

    Attributes:
        result: a `PcpResult`, or what the router says in its place.
        lifetime: seconds of the mapping; of a refusal: how long it will not change its mind.
        epoch: seconds since the router's start.
        nonce, protocol, inner: as in the question.
        outer, ip: the other side.
    """

    result: int
    lifetime: int
    epoch: int
    nonce: bytes
    protocol: Literal["udp", "tcp"]
    inner: int
    outer: int
    ip: str

    def encode(self) -> bytes:
        """60 bytes."""
        body = struct.pack(">B3xHH", _PROTOCOLS[self.protocol], self.inner, self.outer)
        head = _response_head(1, self.result, self.lifetime, self.epoch)
        return head + self.nonce + body + _mapped(self.ip)


PcpRequest = PcpAnnounceRequest | PcpMapRequest
PcpResponse = PcpAnnounceResponse | PcpMapResponse


def decode_response(data: bytes) -> PcpResponse:
    """Read an answer.

    Raises: `MalformedMessage`.
    """
    if not 24 <= len(data) <= LONGEST or len(data) % 4 or data[0] != VERSION:
        raise MalformedMessage("a PCP answer has a version of 2, and 24 to 1100 bytes in fours")
    operation, result, lifetime, epoch = struct.unpack_from(">xBxBII", data)
    if operation == 128:
        return PcpAnnounceResponse(result, lifetime, epoch)
    if operation != 129:
        raise MalformedMessage(f"a PCP answer to an operation {operation - 128}")
    if len(data) < _OPTIONS_FROM:
        raise MalformedMessage("a PCP answer to MAP that ends early")
    number, inner, outer = struct.unpack_from(">B3xHH", data, 36)
    if number not in _NAMES:
        raise MalformedMessage(f"a PCP mapping of an IP protocol {number}")
    nonce, ip = data[24 : 24 + NONCE], _plain(data[44:_OPTIONS_FROM])
    return PcpMapResponse(result, lifetime, epoch, nonce, _NAMES[number], inner, outer, ip)


def is_answer(request: PcpRequest, response: PcpResponse) -> bool:
    """Whether this answers that: the nonce, the protocol and the inner port are repeated."""
    match request, response:
        case PcpAnnounceRequest(), PcpAnnounceResponse():
            return True
        case PcpMapRequest(), PcpMapResponse():
            asked = request.nonce, request.protocol, request.inner
            return asked == (response.nonce, response.protocol, response.inner)
        case _:
            return False


def _request_head(operation: int, lifetime: int, client: str) -> bytes:
    return struct.pack(">BBHI", VERSION, operation, 0, lifetime) + _mapped(client)


def _response_head(operation: int, result: int, lifetime: int, epoch: int) -> bytes:
    return struct.pack(">BBBBII12x", VERSION, 128 + operation, 0, result, lifetime, epoch)


def _mapped(ip: str) -> bytes:
    """An address in 16 bytes."""
    found = ipaddress.ip_address(ip)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed


def _plain(packed: bytes) -> str:
    found = ipaddress.IPv6Address(packed)
    return str(found.ipv4_mapped or found)
