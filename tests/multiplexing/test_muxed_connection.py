"""The driver: silence, ends, wrong calls, and everybody told when the connection goes."""

from __future__ import annotations

import asyncio

import pytest

from libp2p_lab.errors import (
    ConnectionLost,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    ProtocolViolation,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing import Yamux
from libp2p_lab.multiplexing.muxed_stream import SMALL_CHUNK
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, GoAway, Ping, WindowUpdate
from libp2p_lab.wire.byte_stream import read_exactly
from tests.conformance.byte_stream import pattern
from tests.conformance.pairs import MuxedEnd, memory_pair, muxed_connections, muxed_pair


async def test_a_silent_remote_is_pinged_and_given_up() -> None:
    limits = Limits(keepalive_interval=0.05, keepalive_timeout=0.05)
    async with memory_pair() as (one, other):
        end = MuxedEnd(one, Yamux(), is_dialer=True, limits=limits)
        assert await read_exactly(other, 12) == Ping(Flags.SYN, 1).encode()
        await end.running
        assert isinstance(end.error, ConnectionLost)
        assert "does not answer pings" in str(end.error)


async def test_a_silent_remote_that_answers_is_kept() -> None:
    limits = Limits(keepalive_interval=0.05, keepalive_timeout=0.2)
    async with muxed_connections(limits=limits) as (one, other):
        await asyncio.sleep(0.5)
        assert one.connection.is_open
        assert other.connection.is_open
        assert one.connection.rtt is not None


async def test_the_facts_of_a_connection() -> None:
    async with muxed_connections() as (one, _):
        connection = one.connection
        assert connection.id == connection.info.id == 1
        assert connection.remote_peer == connection.info.remote_peer
        assert connection.direction == "outbound"
        assert connection.transport == "memory"
        assert connection.security == ""
        assert connection.muxer == "/yamux/1.0.0"
        assert not connection.limited
        assert str(connection.local_addr) == "/memory/1"
        assert str(connection.remote_addr) == "/memory/2"


async def test_two_readers_of_one_stream_are_told_off() -> None:
    async with muxed_pair() as (ours, theirs):
        reading = asyncio.create_task(ours.read(1))
        await asyncio.sleep(0)
        with pytest.raises(LocalError, match="two tasks"):
            await ours.read(1)
        await theirs.write(b"x")
        assert await reading == b"x"


async def test_a_held_stream_is_not_read_until_it_is_released() -> None:
    async with muxed_pair() as (ours, theirs):
        reading = asyncio.create_task(ours.read(5))
        await asyncio.sleep(0)
        ours.hold()
        assert ours.is_held
        await theirs.write(b"hello")
        await theirs.close_write()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not reading.done()
        ours.release()
        assert await reading == b"hello"
        ours.hold()
        ending = asyncio.create_task(ours.read(1))
        await asyncio.sleep(0)
        assert not ending.done()
        ours.release()
        assert await ending == b""


async def test_a_held_reader_still_learns_that_its_stream_is_gone() -> None:
    async with muxed_pair() as (ours, theirs):
        await theirs.write(b"never read")
        ours.hold()
        reading = asyncio.create_task(ours.read(5))
        await theirs.reset()
        with pytest.raises(StreamReset):
            await reading
        ours.hold()
        assert not ours.is_held, "there is nothing to hold"


async def test_messages_with_their_length() -> None:
    async with muxed_pair() as (ours, theirs):
        await ours.write_message(b"x" * 300)
        await ours.write_message(b"")
        assert await theirs.read_message(300) == b"x" * 300
        assert await theirs.read_message(300) == b""
        await ours.write_message(b"x" * 301)
        with pytest.raises(LimitExceeded):
            await theirs.read_message(300)


async def test_a_stream_that_ends_too_early_for_read_exactly() -> None:
    async with muxed_pair() as (ours, theirs):
        await ours.write(b"four")
        await ours.close_write()
        with pytest.raises(MalformedMessage, match="1 bytes short"):
            await theirs.read_exactly(5)


async def test_pieces_that_come_one_by_one_are_joined_while_nobody_reads() -> None:
    async with muxed_pair() as (ours, theirs):
        data = pattern(5000)
        for start in range(0, len(data), 10):
            theirs.feed(data[start : start + 10])
        assert len(theirs._chunks) <= 1 + len(data) // (SMALL_CHUNK - 10)
        await ours.close_write()
        assert await theirs.read() == data


async def test_reading_after_our_close() -> None:
    async with muxed_pair() as (ours, theirs):
        await theirs.write(b"unread")
        await ours.close()
        with pytest.raises(StreamClosed):
            await ours.read(1)
        with pytest.raises(StreamClosed):
            await ours.write(b"x")
        assert await theirs.read() == b""


async def test_how_streams_ended_is_told_once() -> None:
    async with muxed_connections() as (one, other):
        streams = [await one.connection.open_stream() for _ in range(3)]
        for stream in streams:
            await stream.write(b"x")
        theirs = [await other.accept() for _ in streams]
        for stream in (streams[0], theirs[0]):
            await stream.close()
        await streams[1].reset()
        with pytest.raises(StreamReset):
            await theirs[1].read()
        await other.connection.close()
        await one.running
    by_id = {stream.id: n for n, stream in enumerate(streams)}
    ends = [sorted((by_id[number], how) for number, how in end.ended) for end in (one, other)]
    assert ends[0] == [(0, "closed"), (1, "reset by us"), (2, "lost")]
    assert ends[1] == [(0, "closed"), (1, "reset by peer"), (2, "lost")]


async def test_opening_waits_for_room_in_the_remotes_backlog() -> None:
    limits = Limits(yamux_accept_backlog=2)
    async with memory_pair() as (one, other):
        end = MuxedEnd(one, Yamux(), is_dialer=True, limits=limits)
        for _ in range(2):
            await end.connection.open_stream()
        waiting = asyncio.create_task(end.connection.open_stream())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await other.write(WindowUpdate(1, Flags.ACK, 0).encode())
        assert (await waiting).id == 5
        again = asyncio.create_task(end.connection.open_stream())
        await asyncio.sleep(0)
        await end.connection.close()
        with pytest.raises(ConnectionLost):
            await again
        await end.running


async def test_what_arrived_before_a_broken_rule_is_not_lost() -> None:
    async with memory_pair() as (one, other):
        end = MuxedEnd(one, Yamux(), is_dialer=False)
        await other.write(DataFrame(1, Flags.SYN, b"good").encode() + bytes((1,)) * 12)
        stream = await end.accept()
        assert await stream.read(4) == b"good"
        await end.running
        assert isinstance(end.error, MalformedMessage)
        assert GoAway(1).encode() in await other.read()
        with pytest.raises(ConnectionLost):
            await stream.read(1)


@pytest.mark.parametrize("code", [1, 2])
async def test_a_go_away_with_a_reason_is_an_error(code) -> None:
    async with memory_pair() as (one, other):
        end = MuxedEnd(one, Yamux(), is_dialer=True)
        await other.write(GoAway(code).encode())
        await end.running
        assert isinstance(end.error, ProtocolViolation)


async def test_a_connection_that_breaks_is_no_clean_end() -> None:
    async with memory_pair() as (one, other):
        end = MuxedEnd(one, Yamux(), is_dialer=True)
        stream = await end.connection.open_stream()
        reading = asyncio.create_task(stream.read(1))
        await asyncio.sleep(0)
        await other.reset()
        with pytest.raises(ConnectionLost):
            await reading
        await end.running
        assert isinstance(end.error, ConnectionLost)


async def test_closing_does_not_wait_for_a_remote_that_takes_nothing() -> None:
    limits = Limits(close_timeout=0.1)
    async with memory_pair() as (one, _):
        end = MuxedEnd(one, Yamux(), is_dialer=True, limits=limits)
        streams = [await end.connection.open_stream() for _ in range(3)]
        writing = [asyncio.create_task(stream.write(bytes(1 << 20))) for stream in streams]
        await asyncio.sleep(0.01)
        await end.connection.close()
        await end.running
        for task in writing:
            with pytest.raises(ConnectionLost):
                await task


async def test_cancelling_the_owner_ends_everything() -> None:
    async with memory_pair() as (one, _):
        end = MuxedEnd(one, Yamux(), is_dialer=True)
        stream = await end.connection.open_stream()
        reading = asyncio.create_task(stream.read(1))
        await asyncio.sleep(0.01)
        end.running.cancel()
        with pytest.raises(ConnectionLost):
            await reading
        with pytest.raises(asyncio.CancelledError):
            await end.running
        assert not end.connection.is_open
