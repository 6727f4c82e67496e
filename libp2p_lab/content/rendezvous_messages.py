"""Rendezvous on the wire: a meeting point that everybody knows keeps lists of who is there.

    REGISTER namespace, record, ttl      here I am              REGISTER_RESPONSE status, ttl
    UNREGISTER namespace                 forget me              (no answer)
    DISCOVER namespace, limit, cookie    who else is here?      DISCOVER_RESPONSE registrations, cookie

The record is a sealed peer record: whoever discovers it need not trust the meeting point. The cookie means something
to the point alone: "you have seen everything up to here".

On a stream each message stands behind its length as a varint.

Spec: rendezvous/README.md#the-protocol, rendezvous/README.md#protobuf
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import DecodeError

from libp2p_lab.content.pb import rendezvous_pb2 as pb
from libp2p_lab.errors import LocalError, MalformedMessage

PROTOCOL_ID = "/rendezvous/1.0.0"
MAX_NUMBER = (1 << 64) - 1  # of a ttl or a limit


class Status(IntEnum):
    """How a request went."""

    OK = 0
    E_INVALID_NAMESPACE = 100
    E_INVALID_SIGNED_PEER_RECORD = 101
    E_INVALID_TTL = 102
    E_INVALID_COOKIE = 103
    E_NOT_AUTHORIZED = 200
    E_INTERNAL_ERROR = 300
    E_UNAVAILABLE = 400


@dataclass(frozen=True, slots=True)
class Register:
    """Here I am.

    Attributes:
        namespace: the list to stand on.
        record: a sealed `PeerRecord` of the sender.
        ttl: whole seconds until it is forgotten; None for what the point thinks right.
    """

    namespace: str
    record: bytes
    ttl: int | None = None

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        return pb.RendezvousMessage(type=0, register=_registration(self)).SerializeToString()


@dataclass(frozen=True, slots=True)
class RegisterResponse:
    """How a REGISTER went.

    Attributes:
        status: yes or no.
        text: why, for people.
        ttl: whole seconds until the registration is forgotten, after a yes.
    """

    status: Status
    text: str = ""
    ttl: int = 0

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        response = pb.RendezvousRegisterResponse(status=self.status, ttl=_number(self.ttl))
        if self.text:
            response.status_text = self.text
        return pb.RendezvousMessage(type=1, register_response=response).SerializeToString()


@dataclass(frozen=True, slots=True)
class Unregister:
    """Forget me.

    Attributes:
        namespace: the list to be taken from.
    """

    namespace: str

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        request = pb.RendezvousUnregister(ns=self.namespace)
        return pb.RendezvousMessage(type=2, unregister=request).SerializeToString()


@dataclass(frozen=True, slots=True)
class Discover:
    """Who else is here?

    Attributes:
        namespace: the list; "" for all of them.
        limit: registrations wanted at most; None for as many as the point gives.
        cookie: from an earlier answer: only what came since.
    """

    namespace: str = ""
    limit: int | None = None
    cookie: bytes = b""

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        request = pb.RendezvousDiscover()
        if self.namespace:
            request.ns = self.namespace
        if self.limit is not None:
            request.limit = _number(self.limit)
        if self.cookie:
            request.cookie = self.cookie
        return pb.RendezvousMessage(type=3, discover=request).SerializeToString()


@dataclass(frozen=True, slots=True)
class DiscoverResponse:
    """Who is here.

    Attributes:
        status: how it went.
        text: why, for people.
        registrations: who stands on the list; their ttl is what is left of it.
        cookie: to be given with the next question.
    """

    status: Status
    text: str = ""
    registrations: tuple[Register, ...] = ()
    cookie: bytes = b""

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        response = pb.RendezvousDiscoverResponse(
            registrations=[_registration(one) for one in self.registrations],
            cookie=self.cookie,
            status=self.status,
        )
        if self.text:
            response.status_text = self.text
        return pb.RendezvousMessage(type=4, discover_response=response).SerializeToString()


Message = Register | RegisterResponse | Unregister | Discover | DiscoverResponse


def decode(data: bytes) -> Message:
    """Read one message.

    Raises: `MalformedMessage` if it does not parse, or its type is unknown.
    """
    message = pb.RendezvousMessage()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"rendezvous message does not parse: {error}") from None
    # Whoever writes with proto3 leaves zeros out, and REGISTER is 0: py-libp2p does.
    is_told = message.HasField("type") or message.HasField("register")
    match message.type if is_told else None:
        case 0:
            return _register_of(message.register)
        case 1:
            answer = message.register_response
            return RegisterResponse(_status_of(answer.status), answer.status_text, answer.ttl)
        case 2:
            return Unregister(message.unregister.ns)
        case 3:
            asked = message.discover
            limit = asked.limit if asked.HasField("limit") else None
            return Discover(asked.ns, limit, asked.cookie)
        case 4:
            found = message.discover_response
            return DiscoverResponse(
                _status_of(found.status),
                found.status_text,
                tuple(_register_of(one) for one in found.registrations),
                found.cookie,
            )
        case other:
            raise MalformedMessage(f"rendezvous message of the unknown type {other}")


def _register_of(message: pb.RendezvousRegister) -> Register:
    ttl = message.ttl if message.HasField("ttl") else None
    return Register(message.ns, message.signed_peer_record, ttl)


def _registration(register: Register) -> pb.RendezvousRegister:
    message = pb.RendezvousRegister(ns=register.namespace, signed_peer_record=register.record)
    if register.ttl is not None:
        message.ttl = _number(register.ttl)
    return message


def _number(value: int) -> int:
    if not 0 <= value <= MAX_NUMBER:
        raise LocalError(f"a rendezvous message's numbers are 0 to 2^64-1, not {value}")
    return value


def _status_of(number: int) -> Status:
    """An unknown number is no OK, and that is all that counts."""
    try:
        return Status(number)
    except ValueError:
        return Status.E_INTERNAL_ERROR
