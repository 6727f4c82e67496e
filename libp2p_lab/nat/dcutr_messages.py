"""What two peers say to each other before they punch: three messages, two kinds.

    B ── CONNECT: where I can be seen ──▶ A
    B ◀── CONNECT: where I can be seen ── A         B has measured the round trip
    B ── SYNC ──▶ A                                 A dials as this arrives, B half a round trip after it left

On a stream each message stands behind its length as a varint, and has 4 KiB at most.

Spec: relay/DCUtR.md#rpc-messages
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.nat.pb import holepunch_pb2 as pb
from libp2p_lab.nat.relay_messages import read_addrs

DCUTR_PROTOCOL = "/libp2p/dcutr"
MAX_MESSAGE = 4096  # bytes, without the length; the spec
_CONNECT, _SYNC = 100, 300


@dataclass(frozen=True, slots=True)
class Connect:
    """Where I can be seen, observed or guessed.

    Attributes:
        addrs: the addresses, without `/p2p`.
    """

    addrs: tuple[Multiaddr, ...]

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        addrs = [addr.to_bytes() for addr in self.addrs]
        return pb.HolePunch(type=_CONNECT, ObsAddrs=addrs).SerializeToString()


@dataclass(frozen=True, slots=True)
class Sync:
    """Now."""

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        return pb.HolePunch(type=_SYNC).SerializeToString()


PunchMessage = Connect | Sync


def decode(data: bytes) -> PunchMessage:
    """Read a message; addresses that do not parse are left out, and only the first few are read.

    Raises: `MalformedMessage` if it does not parse, or has a type that does not exist.
    """
    message = pb.HolePunch()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise MalformedMessage(f"DCUtR message does not parse: {error}") from None
    match message.type:
        case 100:
            return Connect(read_addrs(message.ObsAddrs))
        case 300:
            return Sync()
        case other:
            raise MalformedMessage(f"DCUtR message of the unknown type {other}")
