"""The messages of publish/subscribe: one envelope, the RPC, carries everything that two peers say to each other.

    RPC
    ├── subscriptions    SubOpts            I want (no longer want) this topic
    ├── publish          Message            somebody's message, passed on as it came
    └── control
        ├── ihave        ControlIHave       I have seen these messages                    (gossip)
        ├── iwant        ControlIWant       send me these                                 (gossip)
        ├── graft        ControlGraft       send me everything of this topic from now on  (mesh)
        ├── prune        ControlPrune       no longer; come back after `backoff`          (mesh)
        ├── idontwant    ControlIDontWant   I have these already                          (v1.2)
        └── extensions   ControlExtensions  what else I understand, in the first RPC      (v1.3)

FloodSub knows the first two rows. On a stream each RPC stands behind its length as a varint.

A field that is missing differs from one that is empty, so the optional fields of a `Message` are None when missing.

Spec: pubsub/README.md#the-rpc, pubsub/gossipsub/gossipsub-v1.0.md#control-messages,
pubsub/gossipsub/gossipsub-v1.3.md#protobuf
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from libp2p_lab.errors import LimitExceeded, MalformedMessage
from libp2p_lab.pubsub.pb import rpc_pb2
from libp2p_lab.wire import protobuf

#: Above this size the parts of an RPC are counted before they are built: two bytes on the wire can become two
#: hundred in memory.
_COUNT_FROM = 16 * 1024  # bytes
MAX_PARTS = 12_000  # subscriptions, messages, control messages and ids in one RPC

_SUBSCRIPTIONS, _PUBLISH, _CONTROL = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Message:
    """What an author published. Peers pass it on unchanged.

    Attributes:
        topic: where.
        data: what; the application's own bytes.
        from_peer: the author's peer id (bytes); the field is called `from` on the wire.
        seqno: the author's number for it, eight bytes, big-endian.
        signature: the author's, over everything else.
        key: the author's public key, where the peer id does not hold it.
    """

    topic: str
    data: bytes
    from_peer: bytes | None = None
    seqno: bytes | None = None
    signature: bytes | None = None
    key: bytes | None = None

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        return _message_to_protobuf(self).SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """Read the protobuf; `MalformedMessage` if it does not parse."""
        message = rpc_pb2.Message()
        try:
            message.ParseFromString(data)
            return _message_from_protobuf(message)
        except (DecodeError, UnicodeDecodeError) as error:
            raise MalformedMessage(f"pubsub message does not parse: {error}") from None


@dataclass(frozen=True, slots=True)
class SubOpts:
    """A topic that the sender joined (`subscribe`) or left."""

    subscribe: bool
    topic: str


@dataclass(frozen=True, slots=True)
class ControlIHave:
    """Ids of messages of one topic that the sender can give."""

    topic: str
    message_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ControlIWant:
    """Ids of messages that the sender asks for."""

    message_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ControlGraft:
    """The sender has put us into its mesh of this topic."""

    topic: str


@dataclass(frozen=True, slots=True)
class PXPeer:
    """One peer offered in a PRUNE (`PeerInfo` in the spec).

    Attributes:
        peer_id: who (bytes).
        signed_record: its addresses in a signed envelope; b"" if the sender has none.
    """

    peer_id: bytes
    signed_record: bytes = b""


@dataclass(frozen=True, slots=True)
class ControlPrune:
    """The sender has taken us out of its mesh of this topic.

    Attributes:
        topic: which.
        peers: others to try (peer exchange).
        backoff: seconds until a GRAFT is welcome again; None from a peer that speaks v1.0.
    """

    topic: str
    peers: tuple[PXPeer, ...] = ()
    backoff: int | None = None


@dataclass(frozen=True, slots=True)
class ControlIDontWant:
    """Ids of messages that the sender has already."""

    message_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ControlExtensions:
    """What the sender understands beside the protocol itself. Unknown ones are ignored."""

    test_extension: bool = False


@dataclass(frozen=True, slots=True)
class RPC:
    """Everything that one peer tells another in one go. Empty parts are not on the wire."""

    subscriptions: tuple[SubOpts, ...] = ()
    publish: tuple[Message, ...] = ()
    ihave: tuple[ControlIHave, ...] = ()
    iwant: tuple[ControlIWant, ...] = ()
    graft: tuple[ControlGraft, ...] = ()
    prune: tuple[ControlPrune, ...] = ()
    idontwant: tuple[ControlIDontWant, ...] = ()
    extensions: ControlExtensions | None = None
    test_extension: bool = False

    def encode(self) -> bytes:
        """The protobuf's bytes, without a length."""
        rpc = rpc_pb2.RPC()
        for opts in self.subscriptions:
            rpc.subscriptions.add(subscribe=opts.subscribe, topicid=opts.topic)
        for message in self.publish:
            rpc.publish.append(_message_to_protobuf(message))
        for ihave in self.ihave:
            rpc.control.ihave.add(topicID=ihave.topic, messageIDs=ihave.message_ids)
        for iwant in self.iwant:
            rpc.control.iwant.add(messageIDs=iwant.message_ids)
        for graft in self.graft:
            rpc.control.graft.add(topicID=graft.topic)
        for prune in self.prune:
            _add_prune(rpc.control, prune)
        for idontwant in self.idontwant:
            rpc.control.idontwant.add(messageIDs=idontwant.message_ids)
        if self.extensions is not None:
            rpc.control.extensions.SetInParent()
            if self.extensions.test_extension:
                rpc.control.extensions.testExtension = True
        if self.test_extension:
            rpc.testExtension.SetInParent()
        return rpc.SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> RPC:
        """Read the protobuf.

        Raises: `MalformedMessage` if it does not parse; `LimitExceeded` if it has more than `MAX_PARTS` parts,
            before any of them is built.
        """
        if len(data) > _COUNT_FROM:
            _check_parts(data)
        rpc = rpc_pb2.RPC()
        try:
            rpc.ParseFromString(data)
            subscriptions = tuple(
                SubOpts(opts.subscribe, protobuf.text(opts.topicid)) for opts in rpc.subscriptions
            )
            publish = tuple(_message_from_protobuf(message) for message in rpc.publish)
            if not rpc.HasField("control"):
                return cls(subscriptions, publish, test_extension=rpc.HasField("testExtension"))
            control = rpc.control
            return cls(
                subscriptions,
                publish,
                tuple(
                    ControlIHave(protobuf.text(c.topicID), tuple(c.messageIDs))
                    for c in control.ihave
                ),
                tuple(ControlIWant(tuple(c.messageIDs)) for c in control.iwant),
                tuple(ControlGraft(protobuf.text(c.topicID)) for c in control.graft),
                tuple(_prune_from_protobuf(c) for c in control.prune),
                tuple(ControlIDontWant(tuple(c.messageIDs)) for c in control.idontwant),
                ControlExtensions(control.extensions.testExtension)
                if control.HasField("extensions")
                else None,
                rpc.HasField("testExtension"),
            )
        except (DecodeError, UnicodeDecodeError) as error:
            raise MalformedMessage(f"pubsub RPC does not parse: {error}") from None


def _check_parts(data: bytes) -> None:
    """Count what an RPC would become, from its bytes alone."""
    parts = 0
    for number, wire_type, value in protobuf.read_fields(data):
        if number in (_SUBSCRIPTIONS, _PUBLISH):
            parts += 1
        elif number == _CONTROL and wire_type == protobuf.BYTES:
            assert isinstance(value, bytes)
            for _, kind, control in protobuf.read_fields(value):
                parts += 1
                if kind == protobuf.BYTES and parts <= MAX_PARTS:
                    assert isinstance(control, bytes)
                    parts += sum(1 for _ in protobuf.read_fields(control))
                if parts > MAX_PARTS:
                    break
        if parts > MAX_PARTS:
            raise LimitExceeded("pubsub_rpc_parts", parts, MAX_PARTS)


def _message_to_protobuf(message: Message) -> rpc_pb2.Message:
    encoded = rpc_pb2.Message(data=message.data, topic=message.topic)
    if message.from_peer is not None:
        setattr(encoded, "from", message.from_peer)  # a keyword of Python
    if message.seqno is not None:
        encoded.seqno = message.seqno
    if message.signature is not None:
        encoded.signature = message.signature
    if message.key is not None:
        encoded.key = message.key
    return encoded


def _message_from_protobuf(message: rpc_pb2.Message) -> Message:
    has = message.HasField
    return Message(
        protobuf.text(message.topic),
        message.data,
        getattr(message, "from") if has("from") else None,
        message.seqno if has("seqno") else None,
        message.signature if has("signature") else None,
        message.key if has("key") else None,
    )


def _add_prune(control: rpc_pb2.ControlMessage, prune: ControlPrune) -> None:
    encoded = control.prune.add(topicID=prune.topic)
    for peer in prune.peers:
        offered = encoded.peers.add(peerID=peer.peer_id)
        if peer.signed_record:
            offered.signedPeerRecord = peer.signed_record
    if prune.backoff is not None:
        encoded.backoff = prune.backoff


def _prune_from_protobuf(prune: rpc_pb2.ControlPrune) -> ControlPrune:
    return ControlPrune(
        protobuf.text(prune.topicID),
        tuple(PXPeer(peer.peerID, peer.signedPeerRecord) for peer in prune.peers),
        prune.backoff if prune.HasField("backoff") else None,
    )
