"""What travels on a WebRTC data channel: libp2p's messages, which add to a channel what it lacks.

A data channel can only be closed as a whole. libp2p's streams can be half-closed and reset. So everything on a channel
is put into a small message, with its length before it:

    | length: varint | Message { flag: FIN, STOP_SENDING, RESET_STREAM or FIN_ACK; message: bytes } |

Length and message may come in one piece of the channel or in several: js-libp2p sends them apart.

Spec: webrtc/README.md#multiplexing
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from libp2p_lab.errors import LimitExceeded, MalformedMessage
from libp2p_lab.wire import varint
from libp2p_lab.wire.byte_stream import Buffer

MAX_MESSAGE = 16 * 1024  # bytes, length included; what all browsers take
MAX_DATA = MAX_MESSAGE - 16  # what of it is left for the stream's own bytes
MAX_PREFIX = 3  # bytes of a length that can still be right


class Flag(enum.IntEnum):
    """What a message says about its stream."""

    FIN = 0  # the sender sends no more
    STOP_SENDING = 1  # the sender reads no more
    RESET_STREAM = 2  # the sender drops what it sent
    FIN_ACK = 3  # the sender has all that came before FIN


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        flag: what it says about the stream, if anything.
        data: bytes of the stream, if any.
    """

    flag: Flag | None = None
    data: bytes = b""

    def encode(self) -> bytes:
        """The bytes, with the length before them."""
        from libp2p_lab.host.pb import webrtc_pb2

        message = webrtc_pb2.Message()
        if self.flag is not None:
            message.flag = self.flag.value  # type: ignore[assignment]
        if self.data:
            message.message = self.data
        body = message.SerializeToString()
        return varint.encode(len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> Message:
        """Read the bytes without their length. A flag that we do not know is as good as none.

        Raises: `MalformedMessage` if they do not parse.
        """
        from google.protobuf.message import DecodeError

        from libp2p_lab.host.pb import webrtc_pb2

        message = webrtc_pb2.Message()
        try:
            message.ParseFromString(body)
        except DecodeError as error:
            raise MalformedMessage(f"WebRTC message does not parse: {error}") from None
        return cls(Flag(message.flag) if message.HasField("flag") else None, message.message)


class MessageReader:
    """Finds the messages in what comes on one channel."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: Buffer) -> list[Message]:
        """Take bytes, in pieces of any size; give the messages that are whole.

        Raises: `MalformedMessage`; `LimitExceeded` for a message of more than `MAX_MESSAGE` bytes.
        """
        buffer = self._buffer + data
        found: list[Message] = []
        start = 0
        while start < len(buffer):
            prefix = buffer[start : start + MAX_PREFIX]
            if all(byte >= 0x80 for byte in prefix):  # its last byte is not here yet
                if len(prefix) == MAX_PREFIX:
                    raise LimitExceeded("length of a WebRTC message", 1 << 21, MAX_MESSAGE)
                break
            length, body = varint.decode(buffer, start)
            if length > MAX_MESSAGE:
                raise LimitExceeded("length of a WebRTC message", length, MAX_MESSAGE)
            if len(buffer) < body + length:
                break
            found.append(Message.decode(buffer[body : body + length]))
            start = body + length
        self._buffer = buffer[start:]
        return found
