"""Mplex frames: two varints, and the data.

    | header: varint | length: varint | data: up to 1 MiB |        header = stream id << 3 | flag

    flag 0       new stream    data: a name that nobody looks at
    flag 1, 2    message       from the stream's receiver, from its initiator
    flag 3, 4    close         no more data from me (half close)
    flag 5, 6    reset         the stream is dropped

Both sides count their own streams from 0, so one id may stand for two streams; odd flags say "the one that you opened",
even ones "the one that I opened".

Spec: mplex/README.md#message-format
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from libp2p_lab.errors import LimitExceeded, MalformedMessage
from libp2p_lab.wire import varint

MAX_DATA = 1 << 20  # of one message; fixed by the spec
MAX_ID = (1 << 60) - 1


class Flag(IntEnum):
    """The lowest three bits of a header. Spec: mplex/README.md#flag-values"""

    NEW_STREAM = 0
    MESSAGE_RECEIVER = 1
    MESSAGE_INITIATOR = 2
    CLOSE_RECEIVER = 3
    CLOSE_INITIATOR = 4
    RESET_RECEIVER = 5
    RESET_INITIATOR = 6


@dataclass(frozen=True, slots=True)
class MplexFrame:
    """One message of mplex.

    Attributes:
        stream_id: the number that its opener gave the stream.
        flag: what it says, and whether by the stream's initiator.
        data: the body.
    """

    stream_id: int
    flag: Flag
    data: bytes = b""

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return encode_header(self.stream_id, self.flag, len(self.data)) + self.data


def decode(data: bytes) -> tuple[MplexFrame, int]:
    """Read the frame that `data` begins with.

    Returns: the frame, and the offset behind it.

    Raises: `MalformedMessage` if it is cut off or no frame; `LimitExceeded` if it announces too much.
    """
    header, offset = varint.decode(data)
    length, offset = varint.decode(data, offset)
    stream_id, flag = decode_header(header, length)
    body = data[offset : offset + length]
    if len(body) < length:
        raise MalformedMessage(f"mplex message is cut off {length - len(body)} bytes too soon")
    return MplexFrame(stream_id, flag, bytes(body)), offset + length


def encode_header(stream_id: int, flag: Flag, length: int) -> bytes:
    """The two varints before the data."""
    return varint.encode(stream_id << 3 | flag) + varint.encode(length)


def decode_header(header: int, length: int) -> tuple[int, Flag]:
    """What the two varints before the data say: stream id and flag.

    Raises: `MalformedMessage` for a flag that does not exist; `LimitExceeded` for more than 1 MiB: that is known
        before a byte of it is read.
    """
    if header & 7 > Flag.RESET_INITIATOR:
        raise MalformedMessage("mplex flag 7: 0 to 6 exist")
    if length > MAX_DATA:
        raise LimitExceeded("mplex_message", length, MAX_DATA)
    return header >> 3, Flag(header & 7)


def read_varints(data: bytes) -> list[int]:
    """The whole varints in `data`, at most two."""
    found: list[int] = []
    offset = 0
    while offset < len(data) and len(found) < 2:
        end = offset
        while end < len(data) and data[end] >= 0x80:
            end += 1
        if end - offset >= varint.MAX_LENGTH:
            raise MalformedMessage("varint longer than nine bytes")
        if end == len(data):
            break
        value, offset = varint.decode(data, offset)
        found.append(value)
    return found
