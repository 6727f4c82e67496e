"""Mplex: the vectors, the core, and what it cannot do."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import Host, Mplex, Noise, Yamux
from libp2p_lab.errors import LimitExceeded, MalformedMessage, ProtocolViolation, RemoteError
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.mplex import MplexSession
from libp2p_lab.multiplexing.mplex_frames import MAX_DATA, MAX_ID, Flag, MplexFrame, decode
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    MuxerEvent,
    ResetReceived,
    SessionFailed,
    StreamOpened,
)
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.wire import varint
from tests.conformance.byte_stream import pattern
from tests.conformance.muxer import SessionPair
from tests.conformance.pairs import muxed_connections
from tests.support import load_vectors

VECTORS = load_vectors("mplex_frames.json")["vectors"]


def of_row(row) -> MplexFrame:
    return MplexFrame(row["stream_id"], Flag(row["flag"]), bytes.fromhex(row["data"]))


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["id"])
def test_vectors(row) -> None:
    data = bytes.fromhex(row["hex"])
    expected = [of_row(each) for each in row.get("messages", [row])]
    assert b"".join(frame.encode() for frame in expected) == data
    found, rest = [], data
    while rest:
        frame, offset = decode(rest)
        found.append(frame)
        rest = rest[offset:]
    assert found == expected


FRAMES = st.builds(
    MplexFrame, st.integers(0, MAX_ID), st.sampled_from(Flag), st.binary(max_size=300)
)


@given(FRAMES)
def test_round_trip(frame) -> None:
    data = frame.encode()
    assert decode(data) == (frame, len(data))
    with pytest.raises(MalformedMessage):
        decode(data[:-1])


@given(st.binary(max_size=100))
def test_garbage_gives_typed_errors_only(data) -> None:
    try:
        frame, offset = decode(data)
    except (MalformedMessage, LimitExceeded):
        return
    assert frame.encode() == data[:offset]


@given(st.lists(FRAMES, max_size=5), st.binary(max_size=20))
def test_a_session_gives_the_same_whole_and_byte_by_byte(frames, garbage) -> None:
    wire = b"".join(frame.encode() for frame in frames) + garbage
    outcomes = []
    for size in (max(len(wire), 1), 1):
        session = MplexSession(is_dialer=False)
        events: list[MuxerEvent] = []
        for start in range(0, len(wire), size):
            events += session.receive_data(wire[start : start + size])
        data: dict[int, bytes] = {}
        others: list[object] = []
        for event in events:
            match event:
                case DataReceived(stream_id, part):
                    data[stream_id] = data.get(stream_id, b"") + part
                case SessionFailed(error):
                    assert isinstance(error, RemoteError | LimitExceeded)
                    others.append(str(error))
                case _:
                    others.append(event)
        outcomes.append((data, others))
    assert outcomes[0] == outcomes[1]


def test_the_same_number_twice_is_two_streams() -> None:
    pair = SessionPair(Mplex())
    ours, theirs = pair.open(0), pair.open(1)
    pair.sides[0].send(ours, b"from the dialer")
    pair.sides[1].send(theirs, b"from the listener")
    wire = pair.sides[0].data_to_send() + pair.sides[1].data_to_send()
    assert [decode(wire)[0].stream_id, decode(wire[17:])[0].stream_id] == [0, 0]


def test_streams_that_were_never_opened_and_streams_opened_twice() -> None:
    for flag in set(Flag) - {Flag.NEW_STREAM}:
        assert_fails(ProtocolViolation, MplexFrame(0, flag))
    assert_fails(ProtocolViolation, MplexFrame(3, Flag.NEW_STREAM), MplexFrame(3, Flag.NEW_STREAM))


def test_data_after_the_end() -> None:
    assert_fails(
        ProtocolViolation,
        MplexFrame(0, Flag.NEW_STREAM),
        MplexFrame(0, Flag.CLOSE_INITIATOR),
        MplexFrame(0, Flag.MESSAGE_INITIATOR, b"one more thing"),
    )


def test_an_end_with_a_body() -> None:
    assert_fails(
        ProtocolViolation,
        MplexFrame(0, Flag.NEW_STREAM),
        MplexFrame(0, Flag.CLOSE_INITIATOR, b"what for?"),
    )


def assert_fails(error: type[Exception], *frames: MplexFrame) -> None:
    session = MplexSession(is_dialer=False)
    events = session.receive_data(b"".join(frame.encode() for frame in frames))
    assert isinstance(events[-1], SessionFailed)
    assert isinstance(events[-1].error, error)
    assert session.receive_data(b"more") == []


def test_garbage_ends_the_session() -> None:
    for garbage in (b"\xff" * 1000, b"GET / HTTP/1.1\r\n\r\n" * 50, b"\x07\x00"):
        session = MplexSession(is_dialer=False)
        assert isinstance(session.receive_data(garbage)[-1], SessionFailed)


def test_late_data_is_dropped() -> None:
    pair = SessionPair(Mplex())
    stream_id = pair.open()
    pair.sides[1].reset(stream_id)
    pair.sides[0].send(stream_id, pattern(1000))
    pair.settle()
    assert not pair.of_kind(1, SessionFailed)
    assert stream_id not in pair.data[1]


def test_frames_are_told_and_numbered_alike_at_both_ends() -> None:
    told: list[list[Entry]] = [[], []]
    pair = SessionPair(Mplex())
    for side, session in enumerate(pair.sides):
        trace = Trace()
        trace.listen(told[side].append)
        assert isinstance(session, MplexSession)
        session.probe = Probe(trace, "muxer")
    stream_id = pair.open()
    pair.sides[0].send(stream_id, pattern(100_000))
    pair.sides[0].close_write(stream_id)
    pair.settle()
    sent = [(e.number, e.what) for e in told[0] if e.direction == "sent"]
    assert sent == [(e.number, e.what) for e in told[1] if e.direction == "received"]
    assert [e[1].flag for e in sent] == [Flag.NEW_STREAM, 2, 2, Flag.CLOSE_INITIATOR]


async def test_no_host_speaks_it_unless_asked() -> None:
    at = "/ip4/127.0.0.1/tcp/0"
    async with (
        Host(listen=[at], security=[Noise()], muxers=[Yamux(), Mplex()]) as bob,
        Host(security=[Noise()], muxers=[Mplex()]) as alice,
        Host() as usual,
    ):
        assert (await usual.connect(bob.addrs[0])).muxer == "/yamux/1.0.0"
        assert (await alice.connect(bob.addrs[0])).muxer == "/mplex/6.7.0"
        assert await alice.ping(bob.peer_id) > 0


async def test_silence_is_no_reason_to_hang_up_where_there_are_no_pings() -> None:
    soon = Limits(keepalive_interval=0.01, keepalive_timeout=0.01)
    async with muxed_connections(muxer=Mplex(), limits=soon) as (one, other):
        await asyncio.sleep(0.2)
        assert one.connection.is_open
        stream = await one.connection.open_stream()
        await stream.write(b"still there?")
        assert await (await other.accept()).read_exactly(12) == b"still there?"


# -- hostile ---------------------------------------------------------------------------------------


def test_s7_nobody_reads_so_the_stream_is_reset_and_the_others_go_on() -> None:
    limits = Limits(mplex_stream_buffer=100_000)
    pair = SessionPair(Mplex(), limits)
    stalled, moving = pair.open(), pair.open()
    pair.sides[0].send(stalled, bytes(10 << 20))
    pair.sides[0].send(moving, pattern(50_000))
    pair.settle()
    assert pair.of_kind(0, ResetReceived) == [ResetReceived(stalled)]
    assert pair.of_kind(1, ResetReceived) == [ResetReceived(stalled)]
    assert len(pair.data[1][stalled]) <= 100_000
    assert pair.data[1][moving] == pattern(50_000)
    pair.sides[1].consumed(moving, 50_000)
    pair.sides[0].send(moving, pattern(90_000))
    pair.settle()
    assert pair.data[1][moving] == pattern(50_000) + pattern(90_000)


def test_s7_all_streams_together_are_bounded_too() -> None:
    limits = Limits(mplex_stream_buffer=100_000, mplex_connection_buffer=300_000)
    pair = SessionPair(Mplex(), limits)
    for _ in range(10):
        pair.sides[0].send(pair.open(), bytes(90_000))
    pair.settle()
    assert sum(map(len, pair.data[1].values())) <= 10 * 90_000
    assert len(pair.of_kind(1, ResetReceived)) == 7
    assert pair.sides[1]._unread <= 300_000


@pytest.mark.parametrize("length", [MAX_DATA + 1, 1 << 40, (1 << 63) - 1])
def test_s8_a_huge_length_is_refused_from_the_header(length) -> None:
    session = MplexSession(is_dialer=False)
    events = session.receive_data(b"\x00\x00\x02" + varint.encode(length))
    assert events[0] == StreamOpened(1)
    assert isinstance(events[1], SessionFailed)
    assert isinstance(events[1].error, LimitExceeded)
    assert events[1].error.value == length


def test_a_flood_of_streams_that_nobody_takes_is_refused_then_cut_off() -> None:
    session = MplexSession(is_dialer=False)
    opened: list[MuxerEvent] = []
    for number in range(10_000):
        opened += session.receive_data(MplexFrame(number, Flag.NEW_STREAM).encode())
    assert sum(isinstance(event, StreamOpened) for event in opened) == 256
    assert isinstance(opened[-1], SessionFailed)
