"""Signed envelopes, which anybody may carry and nobody can forge, and the peer records inside.

A peer's address list travels through third parties (a DHT, a pubsub peer exchange). In an envelope
it needs no trust in the carrier: the envelope holds the signer's public key and a signature. What
is signed is

    length, domain      length, payload_type      length, payload           (lengths are varints)

The domain stands in the signature but not in the envelope, so a signature made for one purpose is
worthless for any other: whoever verifies must know which purpose to expect.

Misconception: a valid signature does not make a record true. It proves who said it. A peer can sign
addresses that it does not have, and it can put *another* peer's id into a record that it signs with
its own key: that is why `PeerRecord.open` compares the id inside with the signer.

Spec: RFC/0002-signed-envelopes.md#wire-format, RFC/0003-routing-records.md#address-record-format
Deviation: the RFC's examples say `libp2p-routing-state`; all implementations use
`libp2p-peer-record` and 0x0301.
"""

from __future__ import annotations

from dataclasses import dataclass

from libp2p_lab.errors import LocalError, MalformedMessage, RecordInvalid
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.wire import varint

PEER_RECORD_DOMAIN = "libp2p-peer-record"
PEER_RECORD_TYPE = b"\x03\x01"  # multicodec libp2p-peer-record, 0x0301, as go-libp2p writes it
MAX_SEQ = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its signer's key and signature.

    Attributes:
        public_key: the signer's.
        payload_type: says what the payload is; any bytes.
        payload: what was signed.
        signature: over domain, type and payload.
    """

    public_key: PublicKey
    payload_type: bytes
    payload: bytes
    signature: bytes

    @classmethod
    def seal(cls, key: KeyPair, domain: str, payload_type: bytes, payload: bytes) -> Envelope:
        """Sign `payload` for one purpose.

        Spec: RFC/0002-signed-envelopes.md#signature-production--verification
        """
        signature = key.sign(_signed_bytes(domain, payload_type, payload))
        return cls(key.public, payload_type, payload, signature)

    def verify(self, domain: str) -> PeerId:
        """Check that the signature holds for `domain`.

        Returns: the signer.

        Raises: `RecordInvalid` if it does not hold.

        Spec: RFC/0002-signed-envelopes.md#signature-production--verification
        """
        signed = _signed_bytes(domain, self.payload_type, self.payload)
        if not self.public_key.verify(signed, self.signature):
            raise RecordInvalid(f"the envelope's signature does not hold for the domain {domain!r}")
        return PeerId.from_public_key(self.public_key)

    def encode(self) -> bytes:
        """The envelope on the wire."""
        from libp2p_lab.identity.pb import envelope_pb2 as pb

        return pb.Envelope(
            public_key=self.public_key.to_protobuf(),
            payload_type=self.payload_type,
            payload=self.payload,
            signature=self.signature,
        ).SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """Read an envelope. Its signature is not looked at: call `verify`.

        Raises: `MalformedMessage` if it does not parse, or its key is none.
        """
        from google.protobuf.message import DecodeError

        from libp2p_lab.identity.pb import envelope_pb2 as pb

        try:
            message = pb.Envelope.FromString(data)
        except DecodeError:
            raise MalformedMessage("an envelope that does not parse") from None
        return cls(
            PublicKey.from_protobuf(message.public_key),
            message.payload_type,
            message.payload,
            message.signature,
        )


def _signed_bytes(domain: str, payload_type: bytes, payload: bytes) -> bytes:
    parts = (domain.encode(), payload_type, payload)
    return b"".join([varint.encode(len(part)) + part for part in parts])


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What a peer says about itself: the addresses where it listens.

    Attributes:
        peer_id: whose addresses these are.
        seq: grows with every new record of this peer; of two, the higher counts. Often Unix time,
            but nobody may read it as such.
        addrs: where it listens.
    """

    peer_id: PeerId
    seq: int
    addrs: tuple[Multiaddr, ...]

    def encode(self) -> bytes:
        """The record as it stands in an envelope.

        Raises: `LocalError` if `seq` does not fit into 64 bits.
        """
        if not 0 <= self.seq <= MAX_SEQ:
            raise LocalError(f"a record's seq is 0 to 2^64-1, not {self.seq}")
        from libp2p_lab.identity.pb import envelope_pb2 as pb

        return pb.PeerRecord(
            peer_id=self.peer_id.multihash,
            seq=self.seq,
            addresses=[pb.PeerRecord.AddressInfo(multiaddr=addr.to_bytes()) for addr in self.addrs],
        ).SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> PeerRecord:
        """Read a bare record, without addresses of protocols that we do not know.

        Raises: `MalformedMessage` if it does not parse, or its peer id is none.
        """
        from google.protobuf.message import DecodeError

        from libp2p_lab.identity.pb import envelope_pb2 as pb

        try:
            message = pb.PeerRecord.FromString(data)
        except DecodeError:
            raise MalformedMessage("a peer record that does not parse") from None
        addrs = []
        for address in message.addresses:
            try:
                addrs.append(Multiaddr(address.multiaddr))
            except MalformedMessage:
                continue
        return cls(PeerId(message.peer_id), message.seq, tuple(addrs))

    def seal(self, key: KeyPair) -> Envelope:
        """Sign the record.

        Raises: `LocalError` if `key` is not the key of `peer_id`: nobody would believe the record.
        """
        if PeerId.from_public_key(key.public) != self.peer_id:
            raise LocalError(f"this key cannot sign a record of {self.peer_id}")
        return Envelope.seal(key, PEER_RECORD_DOMAIN, PEER_RECORD_TYPE, self.encode())

    @classmethod
    def open(cls, envelope: bytes) -> PeerRecord:
        """Read a sealed record, and believe it only if the peer itself signed it.

        Raises: `MalformedMessage` if it does not parse; `RecordInvalid` if the signature is wrong,
            the signer is another peer, or the envelope holds something else.

        Spec: RFC/0003-routing-records.md#certification--verification
        """
        opened = Envelope.decode(envelope)
        if opened.payload_type != PEER_RECORD_TYPE:
            raise RecordInvalid(
                f"the envelope holds type {opened.payload_type.hex()}, not a peer record"
            )
        signer = opened.verify(PEER_RECORD_DOMAIN)
        record = cls.decode(opened.payload)
        if record.peer_id != signer:
            raise RecordInvalid(f"{signer} signed a record that speaks of {record.peer_id}")
        return record
