"""Kademlia's messages: six requests, and answers of the same form.

    FIND_NODE      key = a peer id       ◀ closer_peers
    GET_VALUE      key                   ◀ record if there is one, closer_peers
    PUT_VALUE      key, record           ◀ the same again
    GET_PROVIDERS  key = a multihash     ◀ provider_peers, closer_peers
    ADD_PROVIDER   key, provider_peers   nothing: there is no answer
    PING                                 ◀ the same; deprecated, answered only

On a stream each message stands behind its length as a varint.

Spec: kad-dht/README.md#rpc-messages
Deviation: the spec says that GET_PROVIDERS and ADD_PROVIDER carry a CID; everybody sends the CID's multihash, as
the same spec says further up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import DecodeError

from libp2p_lab.errors import LabError, MalformedMessage
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.pb import kad_pb2
from libp2p_lab.wire import protobuf

MAX_ADDRS = 32  # addresses of one peer that are read
MAX_PEERS = 1000  # peers in one message that are looked at


class MessageType(IntEnum):
    """What is asked, or answered."""

    PUT_VALUE = 0
    GET_VALUE = 1
    ADD_PROVIDER = 2
    GET_PROVIDERS = 3
    FIND_NODE = 4
    PING = 5


class ConnectionType(IntEnum):
    """What the sender knows of its connection to a peer."""

    NOT_CONNECTED = 0
    CONNECTED = 1
    CAN_CONNECT = 2
    CANNOT_CONNECT = 3


@dataclass(frozen=True, slots=True)
class Record:
    """A value under its key.

    Attributes:
        key: the key.
        value: what is stored.
        time_received: when its holder got it, as RFC 3339 has it; "" on the way there.
    """

    key: bytes
    value: bytes
    time_received: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer in a message.

    Attributes:
        peer_id: who.
        addrs: where; addresses that do not parse were left out.
        connection: what the sender has with it.
    """

    peer_id: PeerId
    addrs: tuple[Multiaddr, ...] = ()
    connection: ConnectionType = ConnectionType.NOT_CONNECTED


@dataclass(frozen=True, slots=True)
class KadMessage:
    """A request or an answer.

    Attributes:
        type: which.
        key: what it is about.
        record: a value, or None.
        closer_peers: peers that are closer to the key.
        provider_peers: peers that have what the key names.
    """

    type: MessageType
    key: bytes = b""
    record: Record | None = None
    closer_peers: tuple[Peer, ...] = ()
    provider_peers: tuple[Peer, ...] = ()

    def encode(self) -> bytes:
        """The protobuf's bytes, without a length."""
        message = kad_pb2.Message(
            type=kad_pb2.Message.MessageType.Name(self.type), key=self.key, clusterLevelRaw=0
        )
        if self.record is not None:
            message.record.key = self.record.key
            message.record.value = self.record.value
            if self.record.time_received:
                message.record.timeReceived = self.record.time_received
        for peer in self.closer_peers:
            message.closerPeers.append(_peer_to_protobuf(peer))
        for peer in self.provider_peers:
            message.providerPeers.append(_peer_to_protobuf(peer))
        return message.SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> KadMessage:
        """Read the protobuf. Peers without a sound id, and addresses that do not parse, are left out.

        Raises: `MalformedMessage` if it does not parse or its type is unknown.
        """
        message = kad_pb2.Message()
        try:
            message.ParseFromString(data)
            record = None
            if message.HasField("record"):
                held = message.record
                record = Record(held.key, held.value, protobuf.text(held.timeReceived))
            return cls(
                MessageType(message.type),
                message.key,
                record,
                _peers(message.closerPeers),
                _peers(message.providerPeers),
            )
        except (DecodeError, UnicodeDecodeError, ValueError) as error:
            raise MalformedMessage(f"Kademlia message does not parse: {error}") from None


def _peer_to_protobuf(peer: Peer) -> kad_pb2.Message.Peer:
    addrs = [addr.to_bytes() for addr in peer.addrs]
    if peer.connection is ConnectionType.NOT_CONNECTED:  # what a reader assumes anyway
        return kad_pb2.Message.Peer(id=peer.peer_id.multihash, addrs=addrs)
    connection = kad_pb2.Message.ConnectionType.Name(peer.connection)
    return kad_pb2.Message.Peer(id=peer.peer_id.multihash, addrs=addrs, connection=connection)


def _peers(encoded: object) -> tuple[Peer, ...]:
    found = []
    for item in encoded[:MAX_PEERS]:  # type: ignore[index]
        try:
            peer = PeerId(item.id)
        except LabError:
            continue
        addrs = []
        for data in item.addrs[:MAX_ADDRS]:
            try:
                addr = Multiaddr(data)
            except LabError:
                continue
            if addr.peer_id in (None, peer):
                addrs.append(addr.without_peer())
        found.append(Peer(peer, tuple(addrs), ConnectionType(item.connection)))
    return tuple(found)
