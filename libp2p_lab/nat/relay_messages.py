"""Circuit Relay v2 on the wire: two small protocols and a voucher.

    hop    between a peer and its relay                 stop    between the relay and who is called
        RESERVE                     keep a place for me
        CONNECT peer                switch me through       CONNECT peer, limit    somebody calls you
        STATUS status, …            yes or no               STATUS status          yes or no

Behind a CONNECT that was answered by OK the stream carries no more messages: it is the circuit.

The voucher is the relay's signed word that it serves a peer until some time. It stands in an envelope of the domain
`libp2p-relay-rsvp`, so that anybody can check it; nobody has to, so far.

On a stream each message stands behind its length as a varint, and has 4 KiB at most.

Spec: relay/circuit-v2.md#protobuf, relay/circuit-v2.md#reservation-vouchers
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import DecodeError, Message

from libp2p_lab.errors import LabError, MalformedMessage, RecordInvalid
from libp2p_lab.identity.envelope import Envelope
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.nat.pb import relay_pb2 as pb

HOP_PROTOCOL = "/libp2p/circuit/relay/0.2.0/hop"
STOP_PROTOCOL = "/libp2p/circuit/relay/0.2.0/stop"
V1_PROTOCOL = "/libp2p/circuit/relay/0.1.0"  # given up by everybody; known only to say so
MAX_MESSAGE = 4096  # bytes; go-libp2p maxMessageSize
MAX_ADDRS = 32  # addresses of one message that are read

VOUCHER_DOMAIN = "libp2p-relay-rsvp"
VOUCHER_TYPE = b"\x03\x02"  # multicodec 0x0302, as go-libp2p writes it


class Status(IntEnum):
    """How a request went. `UNUSED` is no answer."""

    UNUSED = 0
    OK = 100
    RESERVATION_REFUSED = 200
    RESOURCE_LIMIT_EXCEEDED = 201
    PERMISSION_DENIED = 202
    CONNECTION_FAILED = 203
    NO_RESERVATION = 204
    MALFORMED_MESSAGE = 400
    UNEXPECTED_MESSAGE = 401


@dataclass(frozen=True, slots=True)
class Limit:
    """What a relay lets one circuit have. 0 is no limit.

    Attributes:
        duration: whole seconds from the beginning.
        data: bytes in each direction.
    """

    duration: int = 0
    data: int = 0

    @property
    def is_any(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.duration or self.data)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place at a relay.

    Attributes:
        expire: Unix time in seconds: not valid from then on.
        addrs: where the relay is, each ending in its `/p2p`.
        voucher: a sealed `Voucher`; empty if the relay gave none.
    """

    expire: int
    addrs: tuple[Multiaddr, ...] = ()
    voucher: bytes = b""


# -- hop -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HopReserve:
    """Keep a place for me."""

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        return pb.HopMessage(type=0).SerializeToString()


@dataclass(frozen=True, slots=True)
class HopConnect:
    """Switch me through to a peer.

    Attributes:
        peer: to whom. Its addresses could stand beside it, for relays that dial: nobody does that any more.
    """

    peer: PeerId

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        return pb.HopMessage(type=1, peer=pb.RelayPeer(id=self.peer.multihash)).SerializeToString()


@dataclass(frozen=True, slots=True)
class HopStatus:
    """The relay's answer.

    Attributes:
        status: how it went.
        reservation: the place, after a RESERVE that went well.
        limit: what each circuit may have; None for as much as it likes.
    """

    status: Status
    reservation: Reservation | None = None
    limit: Limit | None = None

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        message = pb.HopMessage(type=2, status=self.status)
        if self.reservation is not None:
            place = self.reservation
            message.reservation.expire = place.expire
            message.reservation.addrs.extend(addr.to_bytes() for addr in place.addrs)
            if place.voucher:
                message.reservation.voucher = place.voucher
        _put_limit(message, self.limit)
        return message.SerializeToString()


HopMessage = HopReserve | HopConnect | HopStatus


def decode_hop(data: bytes) -> HopMessage:
    """Read a message of the hop protocol.

    Raises: `MalformedMessage` if it does not parse, or lacks what its type needs.
    """
    message = pb.HopMessage()
    _parse(message, data)
    match message.type if message.HasField("type") else None:
        case 0:
            return HopReserve()
        case 1:
            return HopConnect(_peer_of(message))
        case 2:
            place = _reservation_of(message) if message.HasField("reservation") else None
            return HopStatus(_status_of(message), place, _limit_of(message))
        case other:
            raise MalformedMessage(f"hop message of the unknown type {other}")


# -- stop ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StopConnect:
    """Somebody calls you.

    Attributes:
        peer: who. The handshake inside of the circuit will prove it.
        limit: what this circuit may have; None for as much as it likes.
    """

    peer: PeerId
    limit: Limit | None = None

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        message = pb.StopMessage(type=0, peer=pb.RelayPeer(id=self.peer.multihash))
        _put_limit(message, self.limit)
        return message.SerializeToString()


@dataclass(frozen=True, slots=True)
class StopStatus:
    """The answer of who is called.

    Attributes:
        status: how it went.
    """

    status: Status

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        return pb.StopMessage(type=1, status=self.status).SerializeToString()


StopMessage = StopConnect | StopStatus


def decode_stop(data: bytes) -> StopMessage:
    """Read a message of the stop protocol. Raises as `decode_hop`."""
    message = pb.StopMessage()
    _parse(message, data)
    match message.type if message.HasField("type") else None:
        case 0:
            return StopConnect(_peer_of(message), _limit_of(message))
        case 1:
            return StopStatus(_status_of(message))
        case other:
            raise MalformedMessage(f"stop message of the unknown type {other}")


# -- the voucher -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Voucher:
    """A relay's word that it serves a peer.

    Attributes:
        relay: who serves.
        peer: who is served.
        expiration: Unix time in seconds: until when.
    """

    relay: PeerId
    peer: PeerId
    expiration: int

    def seal(self, key: KeyPair) -> bytes:
        """The voucher in an envelope signed by `key`, which is the relay's."""
        payload = pb.Voucher(
            relay=self.relay.multihash, peer=self.peer.multihash, expiration=self.expiration
        )
        encoded = payload.SerializeToString()  # fields in the order of their numbers: canonical
        return Envelope.seal(key, VOUCHER_DOMAIN, VOUCHER_TYPE, encoded).encode()

    @classmethod
    def open(cls, envelope: bytes) -> Voucher:
        """Read a sealed voucher, and believe it only if the relay itself signed it.

        Raises: `MalformedMessage` if it does not parse; `RecordInvalid` if the signature is wrong, the signer is not
            the relay, or the envelope holds something else.
        """
        opened = Envelope.decode(envelope)
        if opened.payload_type != VOUCHER_TYPE:
            raise RecordInvalid(f"the envelope holds type {opened.payload_type.hex()}, no voucher")
        signer = opened.verify(VOUCHER_DOMAIN)
        message = pb.Voucher()
        _parse(message, opened.payload)
        if not (message.HasField("relay") and message.HasField("peer")):
            raise MalformedMessage("a voucher without its relay or its peer")
        voucher = cls(PeerId(message.relay), PeerId(message.peer), message.expiration)
        if voucher.relay != signer:
            raise RecordInvalid(f"{signer} signed a voucher of the relay {voucher.relay}")
        return voucher


# -- parts -----------------------------------------------------------------------------------------------------


def _parse(message: Message, data: bytes) -> None:
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"relay message does not parse: {error}") from None


def _peer_of(message: pb.HopMessage | pb.StopMessage) -> PeerId:
    if not message.peer.HasField("id"):
        raise MalformedMessage("CONNECT without a peer")
    return PeerId(message.peer.id)


def _status_of(message: pb.HopMessage | pb.StopMessage) -> Status:
    """An unknown number is no OK, and that is all that counts: it is read as a failed connection."""
    try:
        return Status(message.status)
    except ValueError:
        return Status.CONNECTION_FAILED


def _limit_of(message: pb.HopMessage | pb.StopMessage) -> Limit | None:
    if not message.HasField("limit"):
        return None
    return Limit(message.limit.duration, message.limit.data)


def _put_limit(message: pb.HopMessage | pb.StopMessage, limit: Limit | None) -> None:
    if limit is not None:
        message.limit.duration = limit.duration
        message.limit.data = limit.data


def _reservation_of(message: pb.HopMessage) -> Reservation:
    place = message.reservation
    return Reservation(place.expire, read_addrs(place.addrs), place.voucher)


def read_addrs(encoded: Sequence[bytes]) -> tuple[Multiaddr, ...]:
    """Those that parse, of the first few: an address of a protocol that we do not know is no fault of the message."""
    addrs = []
    for data in encoded[:MAX_ADDRS]:
        try:
            if data:
                addrs.append(Multiaddr(data))
        except LabError:
            continue
    return tuple(addrs)
