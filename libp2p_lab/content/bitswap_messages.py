"""Bitswap on the wire: what I want, what you wanted.

    want list     (CID, priority, block | have, cancel, send "do not have")     what I want, or want no more
    blocks        (prefix, data)                                               what you wanted
    presences     (CID, have | do not have)                                    whether I could

There are no requests and no answers: either side says any of it at any time, on streams of its own. And a block comes
without its name: only the *prefix* of its CID (version, codec, hash function, length). Whoever gets it must hash the
data to learn which block it is. So one cannot forget to check.

On a stream each message stands behind its length as a varint.

Spec: https://specs.ipfs.tech/bitswap-protocol/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from google.protobuf.message import DecodeError

from libp2p_lab.content.cid import CID, MIN_DIGEST, Codec
from libp2p_lab.content.pb import bitswap_pb2 as pb
from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.wire import multihash, varint

PROTOCOL_ID = "/ipfs/bitswap/1.2.0"
MAX_INT32 = (1 << 31) - 1  # of a priority and of pending bytes
MAX_CID = 256  # bytes of a CID in a message
PREFIX_V0 = bytes((0, Codec.DAG_PB, multihash.SHA2_256, 32))


class WantType(IntEnum):
    """What is wanted."""

    BLOCK = 0
    HAVE = 1  # only whether it is there


class PresenceType(IntEnum):
    """Whether it is there."""

    HAVE = 0
    DONT_HAVE = 1


@dataclass(frozen=True, slots=True)
class Want:
    """An entry of a want list.

    Attributes:
        cid: which block.
        type: the block, or whether it is there.
        cancel: it is wanted no more.
        send_dont_have: say so if it is not there; else a peer without it is silent.
        priority: what is more comes first.
    """

    cid: CID
    type: WantType = WantType.BLOCK
    cancel: bool = False
    send_dont_have: bool = False
    priority: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes, and how to hash them.

    Attributes:
        prefix: the CID without its digest.
        data: the bytes.
    """

    prefix: bytes
    data: bytes

    @classmethod
    def of(cls, cid: CID, data: bytes) -> Block:
        """The block under the CID's way of hashing."""
        hashed = multihash.decode(cid.multihash)
        prefix = (cid.version, cid.codec, hashed.code, len(hashed.digest))
        return cls(b"".join(varint.encode(number) for number in prefix), data)

    def cid(self) -> CID:
        """The name of these bytes, computed from them.

        Raises: `MalformedMessage` if the prefix cannot be read, or asks for a hash that we do not have or that proves
            nothing.
        """
        offset, numbers = 0, []
        for _ in range(4):
            number, offset = varint.decode(self.prefix, offset)
            numbers.append(number)
        if offset != len(self.prefix):
            raise MalformedMessage("a block's prefix with something behind it")
        version, codec, code, length = numbers
        if code == multihash.IDENTITY or length < MIN_DIGEST:
            raise MalformedMessage("a block under a hash that proves nothing")
        try:
            name = multihash.Multihash(code, b"").name
            return CID(version, codec, multihash.digest(name, self.data, length))
        except LocalError as error:
            raise MalformedMessage(f"a block that nobody could name: {error}") from None


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether somebody has a block.

    Attributes:
        cid: which.
        type: yes or no.
    """

    cid: CID
    type: PresenceType


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        wants: entries of the sender's want list.
        full: they are the whole list; else they change it.
        blocks: what the receiver wanted.
        presences: what the sender has and has not.
        pending_bytes: of blocks that will follow.
    """

    wants: tuple[Want, ...] = ()
    full: bool = False
    blocks: tuple[Block, ...] = ()
    presences: tuple[Presence, ...] = ()
    pending_bytes: int = 0

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        message = pb.BitswapMessage(
            blockPresences=[
                pb.BitswapPresence(cid=one.cid.encode(), type=one.type) for one in self.presences
            ],
            pendingBytes=_int32(self.pending_bytes),
        )
        if self.wants or self.full:
            wantlist = pb.BitswapWantlist(entries=[_entry(w) for w in self.wants], full=self.full)
            message.wantlist.CopyFrom(wantlist)
        # Blocks are long, and protobuf's own code copies them three times: theirs are joined by hand, behind the rest.
        return b"".join((message.SerializeToString(), *_payload(self.blocks)))

    @classmethod
    def decode(cls, data: bytes, max_wants: int = 1 << 20) -> Message:
        """Read one message.

        Args:
            data: its bytes.
            max_wants: entries of the want list that are looked at; those after them are as if not sent.

        Raises: `MalformedMessage`.
        """
        message = pb.BitswapMessage()
        try:
            message.ParseFromString(data)
        except DecodeError as error:
            raise MalformedMessage(f"bitswap message does not parse: {error}") from None
        old = [Block(PREFIX_V0, one) for one in message.blocks]
        return cls(
            tuple(_want(one) for one in message.wantlist.entries[:max_wants]),
            message.wantlist.full,
            (*old, *(Block(one.prefix, one.data) for one in message.payload)),
            tuple(
                Presence(_cid(one.cid), _presence_type(one.type))
                for one in message.blockPresences[:max_wants]
            ),
            message.pendingBytes,
        )


def _payload(blocks: tuple[Block, ...]) -> Iterator[bytes]:
    """Field 3 for each block: { 1: prefix, 2: data }."""
    for one in blocks:
        prefix = b"\x0a" + varint.encode(len(one.prefix)) + one.prefix
        head = prefix + b"\x12" + varint.encode(len(one.data))
        yield b"\x1a" + varint.encode(len(head) + len(one.data)) + head
        yield one.data


def _entry(want: Want) -> pb.BitswapEntry:
    return pb.BitswapEntry(
        block=want.cid.encode(),
        priority=_int32(want.priority),
        cancel=want.cancel,
        wantType=want.type,
        sendDontHave=want.send_dont_have,
    )


def _want(entry: pb.BitswapEntry) -> Want:
    try:
        kind = WantType(entry.wantType)
    except ValueError:
        raise MalformedMessage(f"a want of the unknown type {entry.wantType}") from None
    return Want(_cid(entry.block), kind, entry.cancel, entry.sendDontHave, entry.priority)


def _presence_type(number: int) -> PresenceType:
    try:
        return PresenceType(number)
    except ValueError:
        raise MalformedMessage(f"a presence of the unknown type {number}") from None


def _cid(data: bytes) -> CID:
    if len(data) > MAX_CID:
        raise MalformedMessage(f"a CID of {len(data)} bytes")
    return CID.decode(data)


def _int32(value: int) -> int:
    if not -MAX_INT32 - 1 <= value <= MAX_INT32:
        raise LocalError(f"a bitswap message's numbers have 32 bits: {value}")
    return value
