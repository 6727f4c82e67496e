"""AutoNAT version 2, what is said: can you reach me at one of these?

    client ── DialRequest: addresses, a nonce ──▶ server       on a stream of /libp2p/autonat/2/dial-request
           ◀── DialDataRequest: n bytes, please ─              only where the address is not the one it sees
           ─── DialDataResponse, DialDataResponse … ──▶        what an attacker would have to pay
           ◀═══ a new connection: DialBack: the nonce ══       on a stream of /libp2p/autonat/2/dial-back
           ═══ DialBackResponse ══▶
           ◀── DialResponse: which address, and how it went ──

On a stream each message stands behind its length as a varint.

Spec: autonat/autonat-v2.md#rpc-messages
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from google.protobuf.message import DecodeError

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.nat.pb import autonat_pb2 as pb

DIAL_PROTOCOL = "/libp2p/autonat/2/dial-request"
BACK_PROTOCOL = "/libp2p/autonat/2/dial-back"
MAX_MESSAGE = 8192  # bytes, without the length; go-libp2p
MAX_DATA = 4096  # bytes of data in one DialDataResponse; the spec
MAX_ADDRS = 50  # of one request that are read; go-libp2p


class ResponseStatus(IntEnum):
    """What became of a request."""

    E_INTERNAL_ERROR = 0
    E_REQUEST_REJECTED = 100
    E_DIAL_REFUSED = 101
    OK = 200


class DialStatus(IntEnum):
    """What became of the dial."""

    UNUSED = 0
    E_DIAL_ERROR = 100
    E_DIAL_BACK_ERROR = 101
    OK = 200


@dataclass(frozen=True, slots=True)
class DialRequest:
    """Dial one of these, and say this number there.

    Attributes:
        addrs: None in the place of an address that does not parse, for others are counted by their place.
        nonce: 64 bits.
    """

    addrs: tuple[Multiaddr | None, ...]
    nonce: int

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        if any(addr is None for addr in self.addrs):
            raise LocalError("a request that was received in part is not sent on")
        addrs = [addr.to_bytes() for addr in self.addrs if addr is not None]
        request = pb.DialRequest(addrs=addrs, nonce=self.nonce)
        return pb.AutoNatMessage(dialRequest=request).SerializeToString()


@dataclass(frozen=True, slots=True)
class DialDataRequest:
    """First send so many bytes.

    Attributes:
        index: of the address that would be dialed.
        size: bytes of data.
    """

    index: int
    size: int

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        request = pb.DialDataRequest(addrIdx=self.index, numBytes=self.size)
        return pb.AutoNatMessage(dialDataRequest=request).SerializeToString()


@dataclass(frozen=True, slots=True)
class DialDataResponse:
    """Some of them."""

    data: bytes

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        response = pb.DialDataResponse(data=self.data)
        return pb.AutoNatMessage(dialDataResponse=response).SerializeToString()


@dataclass(frozen=True, slots=True)
class DialResponse:
    """How it went.

    Attributes:
        status: of the request.
        index: of the address that was dialed, if one was.
        dial: how that went.
    """

    status: ResponseStatus
    index: int = 0
    dial: DialStatus = DialStatus.UNUSED

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        response = pb.DialResponse(status=self.status, addrIdx=self.index, dialStatus=self.dial)
        return pb.AutoNatMessage(dialResponse=response).SerializeToString()


Message = DialRequest | DialDataRequest | DialDataResponse | DialResponse


def decode(data: bytes) -> Message:
    """Read a message of the dial-request stream.

    Raises: `MalformedMessage` if it does not parse, is none of the four, or has a status that is not known.
    """
    message = pb.AutoNatMessage()
    try:
        message.ParseFromString(data)
        match message.WhichOneof("msg"):
            case "dialRequest":
                request = message.dialRequest
                addrs = tuple(map(_addr, request.addrs[:MAX_ADDRS]))
                return DialRequest(addrs, request.nonce)
            case "dialDataRequest":
                asked = message.dialDataRequest
                return DialDataRequest(asked.addrIdx, asked.numBytes)
            case "dialDataResponse":
                return DialDataResponse(message.dialDataResponse.data)
            case "dialResponse":
                said = message.dialResponse
                status = ResponseStatus(said.status)
                return DialResponse(status, said.addrIdx, DialStatus(said.dialStatus))
            case None:
                raise MalformedMessage("an AutoNAT message of no kind")
            case _ as never:
                assert_never(never)
    except (DecodeError, ValueError) as error:
        raise MalformedMessage(f"AutoNAT message does not parse: {error}") from None


def encode_dial_back(nonce: int) -> bytes:
    """What the server says on the connection that it dialed."""
    return pb.DialBack(nonce=nonce).SerializeToString()


def decode_dial_back(data: bytes) -> int:
    """The nonce.

    Raises: `MalformedMessage`.
    """
    message = pb.DialBack()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"AutoNAT dial-back does not parse: {error}") from None
    return message.nonce


def _addr(data: bytes) -> Multiaddr | None:
    try:
        return Multiaddr(data)
    except MalformedMessage:
        return None
