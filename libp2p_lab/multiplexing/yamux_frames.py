"""Yamux frames: twelve bytes of header, and a body for data alone.

    | version 1 | type 1 | flags 2 | stream id 4 | length 4 |        all big-endian, version 0

    type 0  data            length: bytes of body behind the header
    type 1  window update   length: how many more bytes the other side may send (a difference, not a total)
    type 2  ping            length: any value, echoed
    type 3  go away         length: why the session ends

    flag 1  SYN   opens the stream          flag 4  FIN   no more data from me (half close)
    flag 2  ACK   accepts the stream        flag 8  RST   the stream is dropped

SYN, ACK, FIN and RST may ride on data and on window updates alike; SYN on a ping asks, ACK answers.

Spec: yamux/README.md#framing
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from libp2p_lab.errors import MalformedMessage

HEADER = struct.Struct(">BBHII")
HEADER_LENGTH = 12
SESSION_ID = 0  # the stream id of ping and go-away


class FrameType(IntEnum):
    """The header's second byte."""

    DATA = 0
    WINDOW_UPDATE = 1
    PING = 2
    GO_AWAY = 3


class Flags(IntFlag):
    """The header's third and fourth byte."""

    NONE = 0
    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


class GoAwayCode(IntEnum):
    """Why a session ends. Spec: yamux/README.md#session-termination"""

    NORMAL = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


@dataclass(frozen=True, slots=True)
class DataFrame:
    """Bytes of one stream.

    Attributes:
        stream_id: whose.
        flags: what else the frame says.
        data: the body.
    """

    stream_id: int
    flags: int
    data: bytes

    def encode(self) -> bytes:
        """Header and body."""
        return (
            HEADER.pack(0, FrameType.DATA, self.flags, self.stream_id, len(self.data)) + self.data
        )


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """The receiver allows more.

    Attributes:
        stream_id: on which stream.
        flags: what else the frame says.
        delta: how many bytes more, 0 to 2^32-1.
    """

    stream_id: int
    flags: int
    delta: int

    def encode(self) -> bytes:
        """The header, which is all."""
        return HEADER.pack(0, FrameType.WINDOW_UPDATE, self.flags, self.stream_id, self.delta)


@dataclass(frozen=True, slots=True)
class Ping:
    """A question (SYN) or its answer (ACK).

    Attributes:
        flags: SYN or ACK.
        value: 32 bits that the answer repeats.
    """

    flags: int
    value: int

    def encode(self) -> bytes:
        """The header, which is all."""
        return HEADER.pack(0, FrameType.PING, self.flags, SESSION_ID, self.value)


@dataclass(frozen=True, slots=True)
class GoAway:
    """The session ends.

    Attributes:
        code: why, a `GoAwayCode` if it is one that we know.
    """

    code: int

    def encode(self) -> bytes:
        """The header, which is all."""
        return HEADER.pack(0, FrameType.GO_AWAY, Flags.NONE, SESSION_ID, self.code)


Frame = DataFrame | WindowUpdate | Ping | GoAway


def decode(data: bytes) -> Frame:
    """Read one whole frame.

    Args:
        data: exactly its bytes.

    Raises: `MalformedMessage` for another version, an unknown type, or a length that does not fit.
    """
    if len(data) < HEADER_LENGTH:
        raise MalformedMessage(f"yamux header of {len(data)} bytes: it has 12")
    kind, flags, stream_id, length = decode_header(data)
    expected = length if kind is FrameType.DATA else 0
    if len(data) - HEADER_LENGTH != expected:
        raise MalformedMessage(
            f"yamux frame with {len(data) - HEADER_LENGTH} bytes of body instead of {expected}"
        )
    match kind:
        case FrameType.DATA:
            return DataFrame(stream_id, flags, data[HEADER_LENGTH:])
        case FrameType.WINDOW_UPDATE:
            return WindowUpdate(stream_id, flags, length)
        case FrameType.PING:
            return Ping(flags, length)
        case FrameType.GO_AWAY:
            return GoAway(length)


def decode_header(
    data: bytes | bytearray | memoryview, offset: int = 0
) -> tuple[FrameType, int, int, int]:
    """Read the header at `offset`.

    Returns: type, flags, stream id, length.

    Raises: `MalformedMessage` for another version or an unknown type.
    """
    version, kind, flags, stream_id, length = HEADER.unpack_from(data, offset)
    if version != 0:
        raise MalformedMessage(f"yamux version {version}: only 0 exists")
    if kind > FrameType.GO_AWAY:
        raise MalformedMessage(f"yamux frame type {kind}: 0 to 3 exist")
    return _TYPES[kind], flags, stream_id, length


_TYPES = tuple(FrameType)
