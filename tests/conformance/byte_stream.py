"""The rules of `ByteStream`, checked on two connected ends of any implementation.

    async def test_my_stream() -> None:
        await check_byte_stream(my_pair)

where `my_pair()` is an asynchronous context manager that gives two fresh connected ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from libp2p_lab.errors import ConnectionLost, StreamClosed, StreamReset
from libp2p_lab.wire.byte_stream import ByteStream, read_exactly

Pair = tuple[ByteStream, ByteStream]
MakePair = Callable[[], AbstractAsyncContextManager[Pair]]
CUT_SHORT = (StreamReset, ConnectionLost)
GONE = (StreamReset, ConnectionLost, StreamClosed)
PIECE = 64 * 1024


async def check_byte_stream(make_pair: MakePair) -> None:
    """All the rules, each on a fresh pair."""
    for check in BYTE_STREAM_CHECKS:
        await check(make_pair)


def pattern(length: int, seed: int = 0) -> bytes:
    """Bytes that show where they come from: no two pieces of 32 bytes are the same."""
    blocks = range((length + 31) // 32)
    return b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in blocks)[:length]


async def turns_of_the_loop(count: int = 50) -> None:
    """Let everybody else run, sockets included."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until_still(look: Callable[[], object]) -> None:
    """Wait until what `look` gives has not changed for a while."""
    unchanged, before = 0, look()
    while unchanged < 10:
        await asyncio.sleep(0.002)
        now = look()
        unchanged = unchanged + 1 if now == before else 0
        before = now


class Flood:
    """Writes without end, until it is told otherwise; knows what it handed over."""

    def __init__(self, stream: ByteStream, most: int = 1 << 10) -> None:
        self.handed_over = 0
        self.task = asyncio.create_task(self._write(stream, most))

    async def _write(self, stream: ByteStream, most: int) -> None:
        for number in range(most):
            self.handed_over += 1
            await stream.write(pattern(32, number) * (PIECE // 32))

    async def stands_still(self) -> None:
        """Wait until nothing more is taken."""
        await until_still(lambda: self.handed_over)
        assert not self.task.done(), f"{self.handed_over} pieces taken: there is no back pressure"

    async def cancel(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def check_bytes_arrive_in_order(make_pair: MakePair) -> None:
    """In each direction, whatever the sizes of the writes."""
    sizes = (1, 2, 31, 1000, 65507, 65519, 65535, 65536, 200_000)
    async with make_pair() as pair:
        for writer, reader in (pair, pair[::-1]):
            data = [pattern(size, size) for size in sizes]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(write_all(writer, data))
                assert await read_exactly(reader, sum(sizes)) == b"".join(data)


async def write_all(stream: ByteStream, pieces: list[bytes]) -> None:
    for piece in pieces:
        await stream.write(piece)


async def check_reading_gives_no_more_than_asked(make_pair: MakePair) -> None:
    """`read(n)` gives 1 to n bytes, and keeps the rest for the next one."""
    data = pattern(1000)
    async with make_pair() as (one, other):
        await one.write(data)
        read = b""
        for n in (1, 1, 3, 100, 895):
            piece = await other.read(n)
            assert 1 <= len(piece) <= n
            read += piece
        read += await read_exactly(other, len(data) - len(read))
        assert read == data


async def check_reading_does_not_wait_for_more(make_pair: MakePair) -> None:
    """`read(n)` gives what there is, though it is less than n."""
    async with make_pair() as (one, other):
        await one.write(b"a few")
        read = b""
        while len(read) < 5:
            read += await other.read(1 << 20)
        assert read == b"a few"


async def check_reading_to_the_end(make_pair: MakePair) -> None:
    """`read()` gives everything up to the end."""
    data = pattern(150_000)
    async with make_pair() as (one, other):
        reading = asyncio.create_task(other.read())
        await one.write(data)
        await one.close_write()
        assert await reading == data
        assert await other.read() == b""


async def check_every_kind_of_buffer(make_pair: MakePair) -> None:
    """bytes, bytearray and memoryview; what is changed after the write does not change what arrives."""
    async with make_pair() as (one, other):
        array = bytearray(b"bytearray ")
        await one.write(b"bytes ")
        await one.write(array)
        array[:] = b"-" * len(array)
        view = memoryview(bytearray(b"__memoryview__"))
        await one.write(view[2:-2])
        view[:] = b"-" * len(view)
        await one.close_write()
        assert await other.read() == b"bytes bytearray memoryview"


async def check_an_empty_write_is_not_an_end(make_pair: MakePair) -> None:
    async with make_pair() as (one, other):
        await one.write(b"")
        await one.write(b"x")
        assert await other.read(10) == b"x"


async def check_half_close(make_pair: MakePair) -> None:
    """After `close_write` the other end reads to the end, and can still write."""
    async with make_pair() as (one, other):
        await one.write(b"question")
        await one.close_write()
        assert await other.read() == b"question"
        assert await other.read(10) == b""
        assert await other.read(10) == b"", "the end is no longer there the second time"
        await other.write(pattern(100_000))
        await other.close_write()
        assert await one.read() == pattern(100_000)
        assert await one.read(10) == b""


async def check_the_end_without_data(make_pair: MakePair) -> None:
    async with make_pair() as (one, other):
        reading = asyncio.create_task(other.read(10))
        await turns_of_the_loop()
        await one.close_write()
        assert await reading == b""


async def check_no_write_after_close_write(make_pair: MakePair) -> None:
    async with make_pair() as (one, other):
        await one.close_write()
        with pytest.raises(StreamClosed):
            await one.write(b"too late")
        await one.close_write()  # saying it twice is no error
        assert await other.read() == b""


async def check_closing_delivers_what_was_written(make_pair: MakePair) -> None:
    data = pattern(100_000)
    async with make_pair() as (one, other):
        await one.write(data)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.close())  # may wait until it is all with the system
            assert await other.read() == data
        await one.close()  # twice is no error
        with pytest.raises(GONE):
            await one.write(b"too late")


async def check_a_reset_is_no_clean_end(make_pair: MakePair) -> None:
    """Whoever reads must be able to tell a reset from the end."""
    async with make_pair() as (one, other):
        reading = asyncio.create_task(other.read(10))
        await turns_of_the_loop()
        await one.reset()
        with pytest.raises(CUT_SHORT):
            await reading
        with pytest.raises(CUT_SHORT):
            await other.read(10)
        with pytest.raises(GONE):
            await one.write(b"too late")
        with pytest.raises(GONE):
            await one.read(10)
        await one.reset()  # never raises
        await other.reset()


async def check_a_reset_ends_our_own_reading(make_pair: MakePair) -> None:
    async with make_pair() as (one, _other):
        reading = asyncio.create_task(one.read(10))
        await turns_of_the_loop()
        await one.reset()
        with pytest.raises(GONE):
            await reading


async def check_closing_ends_our_own_reading(make_pair: MakePair) -> None:
    """It ends with `b""` or an error: what it must not do is wait for ever."""
    async with make_pair() as (one, other):
        reading = asyncio.create_task(one.read(10))
        await turns_of_the_loop()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one.close())
            assert await other.read() == b""
            await other.close()
        with contextlib.suppress(*GONE):
            assert await reading == b""


async def check_writing_to_a_reset_stream_fails(make_pair: MakePair) -> None:
    """At the latest after a while: the news takes its time."""
    async with make_pair() as (one, other):
        await other.reset()
        with pytest.raises(GONE):
            await keep_writing(one)


async def keep_writing(stream: ByteStream) -> None:
    for _ in range(1000):
        await stream.write(b"is anybody there?")
        await asyncio.sleep(0.002)


async def check_back_pressure(make_pair: MakePair) -> None:
    """A writer waits while nobody reads; once somebody does, nothing is lost."""
    async with make_pair() as (one, other):
        flood = Flood(one)
        await flood.stands_still()
        await expect_pieces(other, flood.handed_over)
        await flood.cancel()


async def expect_pieces(stream: ByteStream, count: int) -> None:
    for number in range(count):
        piece = await read_exactly(stream, PIECE)
        assert piece == pattern(32, number) * (PIECE // 32), f"piece {number} is not what was sent"


async def check_the_other_direction_moves_under_back_pressure(make_pair: MakePair) -> None:
    async with make_pair() as (one, other):
        flood = Flood(one)
        await flood.stands_still()
        await other.write(b"still here")
        assert await read_exactly(one, 10) == b"still here"
        await flood.cancel()


async def check_a_cancelled_write_is_made_once(make_pair: MakePair) -> None:
    """All of it is taken before the first wait, so what follows continues behind it."""
    async with make_pair() as (one, other):
        flood = Flood(one)
        await flood.stands_still()
        await flood.cancel()
        writing = asyncio.create_task(one.write(b"into the full stream"))
        await turns_of_the_loop()
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        reading = asyncio.create_task(expect_pieces(other, flood.handed_over))
        await one.write(b", behind it")
        await reading
        assert await read_exactly(other, 31) == b"into the full stream, behind it"


async def check_a_cancelled_read_loses_nothing(make_pair: MakePair) -> None:
    async with make_pair() as (one, other):
        for n in (5, -1):
            reading = asyncio.create_task(other.read(n))
            await turns_of_the_loop()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await one.write(b"whole")
        assert await read_exactly(other, 5) == b"whole"


async def check_a_read_cancelled_as_data_arrives_loses_nothing(make_pair: MakePair) -> None:
    """The awkward moment: the data is there, the reader has been woken and has not run yet."""
    async with make_pair() as (one, other):
        data = pattern(2000)
        read = b""
        for start in range(0, len(data), 100):
            reading = asyncio.create_task(other.read(100))
            await asyncio.sleep(0)
            await one.write(data[start : start + 100])
            for _ in range(start // 100):
                await asyncio.sleep(0)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                read += await reading
        read += await read_exactly(other, len(data) - len(read))
        assert read == data


async def check_a_waiting_writer_hears_of_a_reset(make_pair: MakePair) -> None:
    """A writer that waits for room is woken when there will never be any."""
    for resetter in (0, 1):
        async with make_pair() as pair:
            flood = Flood(pair[0])
            await flood.stands_still()
            await pair[resetter].reset()
            with pytest.raises(GONE):
                await flood.task


async def check_both_push_at_once(make_pair: MakePair) -> None:
    """Four megabytes each way at the same time: nobody waits for the other to read first."""
    data = [pattern(32, n) * (PIECE // 32) for n in range(64)]
    async with make_pair() as (one, other), asyncio.TaskGroup() as tasks:
        for stream in (one, other):
            tasks.create_task(write_all(stream, data))
            tasks.create_task(expect_pieces(stream, len(data)))


async def check_small_pieces(make_pair: MakePair) -> None:
    """Thousands of small writes, read in small pieces of other sizes."""
    data = pattern(40_000)
    async with make_pair() as (one, other), asyncio.TaskGroup() as tasks:
        tasks.create_task(write_all(one, [data[n : n + 13] for n in range(0, len(data), 13)]))
        read = b""
        while len(read) < len(data):
            piece = await other.read(7)
            assert 1 <= len(piece) <= 7
            read += piece
        assert read == data


BYTE_STREAM_CHECKS: tuple[Callable[[MakePair], Awaitable[None]], ...] = (
    check_bytes_arrive_in_order,
    check_reading_gives_no_more_than_asked,
    check_reading_does_not_wait_for_more,
    check_reading_to_the_end,
    check_every_kind_of_buffer,
    check_an_empty_write_is_not_an_end,
    check_half_close,
    check_the_end_without_data,
    check_no_write_after_close_write,
    check_closing_delivers_what_was_written,
    check_a_reset_is_no_clean_end,
    check_a_reset_ends_our_own_reading,
    check_closing_ends_our_own_reading,
    check_writing_to_a_reset_stream_fails,
    check_back_pressure,
    check_the_other_direction_moves_under_back_pressure,
    check_a_cancelled_write_is_made_once,
    check_a_cancelled_read_loses_nothing,
    check_a_read_cancelled_as_data_arrives_loses_nothing,
    check_a_waiting_writer_hears_of_a_reset,
    check_both_push_at_once,
    check_small_pieces,
)
