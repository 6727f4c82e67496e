"""Reading messages from a stream of bytes, whole and in small pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LimitExceeded, MalformedMessage
from libp2p_lab.wire import read_exactly, read_message, read_varint, varint, write_message


class CannedStream:
    """Hands out the bytes it was given, `piece` at a time at most; remembers what is written."""

    def __init__(self, data: bytes = b"", piece: int = 1 << 30) -> None:
        self.data = data
        self.piece = piece
        self.largest_read = 0
        self.written = b""

    async def read(self, n: int = -1) -> bytes:
        self.largest_read = max(self.largest_read, n)
        n = min(len(self.data) if n < 0 else n, self.piece)
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    async def close_write(self) -> None: ...
    async def close(self) -> None: ...
    async def reset(self) -> None: ...


@given(st.lists(st.binary(max_size=300), max_size=4), st.sampled_from([1, 2, 7, 1 << 30]))
async def test_messages_round_trip_in_any_pieces(messages, piece) -> None:
    sender = CannedStream()
    for message in messages:
        await write_message(sender, message)
    receiver = CannedStream(sender.written, piece)
    assert [await read_message(receiver, 300) for _ in messages] == messages
    assert receiver.data == b""


async def test_a_length_beyond_the_limit_is_refused_before_reading() -> None:
    stream = CannedStream(varint.encode(1 << 40) + b"x" * 10)
    with pytest.raises(LimitExceeded) as caught:
        await read_message(stream, 1 << 20)
    assert caught.value.value == 1 << 40
    assert stream.largest_read == 1  # the length, byte by byte, and nothing of the message


@pytest.mark.parametrize("data", ["", "80", "8000", "ff" * 10, "05" + "6162"])
async def test_cut_off_or_padded(data) -> None:
    with pytest.raises(MalformedMessage):
        await read_message(CannedStream(bytes.fromhex(data)), 100)


async def test_reading_a_varint_takes_nothing_behind_it() -> None:
    stream = CannedStream(b"\xac\x02rest")
    assert await read_varint(stream) == 300
    assert await read_exactly(stream, 4) == b"rest"
    assert await read_exactly(stream, 0) == b""
    with pytest.raises(MalformedMessage):
        await read_exactly(stream, 1)


@given(st.binary(max_size=40), st.sampled_from([1, 3, 1 << 30]))
async def test_any_bytes_end_in_a_message_or_a_typed_error(data, piece) -> None:
    try:
        message = await read_message(CannedStream(data, piece), 20)
    except (MalformedMessage, LimitExceeded):
        return
    assert data.startswith(varint.encode(len(message)) + message)
