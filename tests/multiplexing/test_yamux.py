"""The yamux core beyond what every muxer must do: windows and their growth, frames of a stream's life, bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import ConnectionLost, LimitExceeded, StreamClosed, StreamReset
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing import YamuxSession
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    GoAwayReceived,
    PongReceived,
    ResetReceived,
    SessionFailed,
    StreamAccepted,
    StreamOpened,
    WindowOpened,
    WriteClosed,
)
from libp2p_lab.multiplexing.yamux_frames import (
    HEADER_LENGTH,
    DataFrame,
    Flags,
    Frame,
    FrameType,
    GoAway,
    Ping,
    WindowUpdate,
    decode,
    decode_header,
)
from libp2p_lab.trace import Entry, Probe, Trace

SYN, ACK, FIN, RST = Flags.SYN, Flags.ACK, Flags.FIN, Flags.RST
WINDOW = DEFAULT_LIMITS.yamux_initial_window


def frames(wire: bytes) -> list[Frame]:
    """All frames in a row of them."""
    found = []
    while wire:
        kind, _, _, length = decode_header(wire)
        end = HEADER_LENGTH + (length if kind is FrameType.DATA else 0)
        found.append(decode(wire[:end]))
        wire = wire[end:]
    return found


def sent(session: YamuxSession) -> list[Frame]:
    return frames(session.data_to_send(1 << 30))


def told(session: YamuxSession, *given: Frame, now: float = 0.0) -> list[object]:
    return list(session.receive_data(b"".join(frame.encode() for frame in given), now))


def failure(session: YamuxSession, *given: Frame) -> str:
    [*_, last] = told(session, *given)
    assert isinstance(last, SessionFailed)
    return str(last.error)


# -- the frames of a stream's life -----------------------------------------------------------------


def test_syn_rides_on_the_first_data() -> None:
    session = YamuxSession(is_dialer=True)
    first, second = session.open_stream(), session.open_stream()
    session.send(first, b"hello")
    assert sent(session) == [DataFrame(1, SYN, b"hello"), WindowUpdate(3, SYN, 0)]
    assert (first, second) == (1, 3)
    assert YamuxSession(is_dialer=False).open_stream() == 2


def test_ack_rides_on_the_first_answer() -> None:
    session = YamuxSession(is_dialer=False)
    assert told(session, DataFrame(1, SYN, b"hi")) == [StreamOpened(1), DataReceived(1, b"hi")]
    session.send(1, b"hello")
    assert sent(session) == [DataFrame(1, ACK, b"hello")]


def test_a_stream_is_acknowledged_though_nobody_answers() -> None:
    session = YamuxSession(is_dialer=False)
    told(session, WindowUpdate(1, SYN, 0))
    assert sent(session) == [WindowUpdate(1, ACK, 0)]


def test_an_acknowledged_stream_makes_room_for_another() -> None:
    session = YamuxSession(is_dialer=True, limits=Limits(yamux_accept_backlog=1))
    session.open_stream()
    assert not session.can_open_stream()
    assert told(session, WindowUpdate(1, ACK, 0)) == [StreamAccepted(1)]
    assert session.can_open_stream()
    assert told(session, WindowUpdate(1, ACK, 0)) == []


@pytest.mark.parametrize("rides_on_data", [True, False])
def test_all_flags_in_one_frame(rides_on_data) -> None:
    """A stream that is opened, says something and ends, all at once."""
    session = YamuxSession(is_dialer=False)
    if rides_on_data:
        expected = [StreamOpened(1), DataReceived(1, b"x"), WriteClosed(1)]
        assert told(session, DataFrame(1, SYN | FIN, b"x")) == expected
    else:
        assert told(session, WindowUpdate(1, SYN | FIN, 0)) == [StreamOpened(1), WriteClosed(1)]
    session.send(1, b"y")
    session.close_write(1)
    assert sent(session) == [DataFrame(1, ACK, b"y"), WindowUpdate(1, FIN, 0)]
    with pytest.raises(StreamReset):
        session.send(1, b"z")


def test_opened_and_reset_in_one_frame_is_nothing() -> None:
    session = YamuxSession(is_dialer=False)
    assert told(session, WindowUpdate(1, SYN | RST, 0)) == []
    assert sent(session) == []


def test_a_reset_that_overtakes_its_opening_is_never_sent() -> None:
    session = YamuxSession(is_dialer=True)
    session.send(session.open_stream(), b"never mind")
    session.reset(1)
    assert sent(session) == []


def test_half_close_waits_behind_the_window() -> None:
    session = YamuxSession(is_dialer=True)
    session.send(session.open_stream(), bytes(WINDOW + 10))
    session.close_write(1)
    with pytest.raises(StreamClosed):
        session.send(1, b"x")
    out = sent(session)
    assert sum(len(frame.data) for frame in out if isinstance(frame, DataFrame)) == WINDOW
    assert session.unsent(1) == 10
    assert not session.has_data_to_send()
    assert told(session, WindowUpdate(1, ACK, 10)) == [StreamAccepted(1), WindowOpened(1)]
    assert sent(session) == [DataFrame(1, 0, bytes(10)), WindowUpdate(1, FIN, 0)]


def test_the_longest_frame() -> None:
    session = YamuxSession(is_dialer=True)
    session.send(session.open_stream(), bytes(200_000))
    lengths = [len(frame.data) for frame in sent(session) if isinstance(frame, DataFrame)]
    assert max(lengths) == DEFAULT_LIMITS.yamux_max_frame
    assert sum(lengths) == 200_000


def test_data_to_send_gives_about_what_was_asked() -> None:
    session = YamuxSession(is_dialer=True)
    for _ in range(4):
        session.send(session.open_stream(), bytes(1000))
    assert len(frames(session.data_to_send(1))) == 1
    assert len(frames(session.data_to_send(1100))) == 2
    assert session.has_data_to_send()


# -- windows ---------------------------------------------------------------------------------------


def reader(limits: Limits = DEFAULT_LIMITS) -> YamuxSession:
    """A session with stream 1 open, its opening acknowledged."""
    session = YamuxSession(is_dialer=False, limits=limits)
    told(session, WindowUpdate(1, SYN, 0))
    sent(session)
    return session


def updates(session: YamuxSession) -> int:
    return sum(frame.delta for frame in sent(session) if isinstance(frame, WindowUpdate))


def test_a_window_is_opened_again_when_half_of_it_is_taken() -> None:
    session = reader()
    told(session, DataFrame(1, 0, bytes(WINDOW)))
    session.consumed(1, WINDOW // 2 - 1)
    assert updates(session) == 0
    session.consumed(1, 1)
    assert updates(session) == WINDOW // 2
    session.consumed(1, WINDOW // 2)
    assert updates(session) == WINDOW // 2


def test_exactly_the_window_and_one_byte_more() -> None:
    session = reader()
    assert told(session, DataFrame(1, 0, bytes(WINDOW)))
    assert "0 allowed" in failure(session, DataFrame(1, 0, b"x"))
    assert GoAway(1) in sent(session)


def test_a_window_of_zero_and_the_largest() -> None:
    session = YamuxSession(is_dialer=True)
    session.open_stream()
    assert told(session, WindowUpdate(1, ACK, (1 << 32) - 1 - WINDOW))[-1] == WindowOpened(1)
    assert "2^32-1" in failure(session, WindowUpdate(1, 0, 1))


def measured(session: YamuxSession, rtt: float) -> None:
    """Let the session know its round trip."""
    session.ping(0.0)
    [ping] = sent(session)
    assert isinstance(ping, Ping)
    assert told(session, Ping(ACK, ping.value), now=rtt) == [PongReceived(rtt)]


def drain(session: YamuxSession, n: int, now: float) -> int:
    told(session, DataFrame(1, 0, bytes(n)), now=now)
    session.consumed(1, n, now)
    return updates(session)


def test_a_fast_readers_window_doubles_to_its_limit() -> None:
    limits = Limits(yamux_max_window=8 * WINDOW)
    session = reader(limits)
    measured(session, 0.1)
    now, window = 1.0, WINDOW
    session._streams[1].updated_at = now
    for expected in (2, 4, 8, 8, 8):
        now += 0.1
        granted = drain(session, window, now)
        assert granted == expected * WINDOW, "what was taken, and the growth"
        window = expected * WINDOW


def test_a_slow_readers_window_stays() -> None:
    session = reader()
    measured(session, 0.1)
    for now in (10.0, 20.0, 30.0):
        assert drain(session, WINDOW, now) == WINDOW


def test_without_a_round_trip_the_window_stays_and_one_is_measured() -> None:
    session = reader()
    told(session, DataFrame(1, 0, bytes(WINDOW)))
    session.consumed(1, WINDOW, 5.0)
    out = sent(session)
    assert WindowUpdate(1, 0, WINDOW) in out
    assert [frame for frame in out if isinstance(frame, Ping)]


def test_the_round_trip_is_measured_again_from_time_to_time() -> None:
    """While there is traffic no keepalive asks, and the way may have changed."""
    session = reader()
    measured(session, 0.1)
    told(session, DataFrame(1, 0, bytes(WINDOW)))
    session.consumed(1, WINDOW, 20.0)
    assert not [frame for frame in sent(session) if isinstance(frame, Ping)]
    told(session, DataFrame(1, 0, bytes(WINDOW)))
    session.consumed(1, WINDOW, 31.0)
    [ping] = [frame for frame in sent(session) if isinstance(frame, Ping)]
    assert told(session, Ping(ACK, ping.value), now=31.9) == [PongReceived(pytest.approx(0.9))]
    assert session.rtt == pytest.approx((7 * 0.1 + 0.9) / 8)


def test_the_windows_of_a_connection_are_bounded_together() -> None:
    limits = Limits(yamux_connection_memory=3 * WINDOW)
    session = YamuxSession(is_dialer=False, limits=limits)
    told(session, *(WindowUpdate(n, SYN, 0) for n in (1, 3, 5)))
    sent(session)
    measured(session, 0.1)
    for stream_id in (1, 3, 5):
        told(session, DataFrame(stream_id, 0, bytes(WINDOW)), now=0.2)
        session.consumed(stream_id, WINDOW, 0.2)
    assert session._extra_window == 3 * WINDOW
    told(session, DataFrame(1, 0, bytes(2 * WINDOW)), now=0.3)
    session.consumed(1, 2 * WINDOW, 0.3)
    assert session._extra_window == 3 * WINDOW
    session.reset(1)
    assert session._extra_window == 2 * WINDOW, "a stream that is gone gives its share back"


# -- ping, go-away ---------------------------------------------------------------------------------


def test_pings_are_echoed_and_strange_pongs_ignored() -> None:
    session = YamuxSession(is_dialer=False)
    assert told(session, Ping(SYN, 0xDEADBEEF)) == []
    assert sent(session) == [Ping(ACK, 0xDEADBEEF)]
    assert told(session, Ping(ACK, 1)) == []
    session.ping(1.0)
    session.ping(2.0)
    [ping] = sent(session)
    assert told(session, Ping(ACK, ping.value + 1)) == []
    assert told(session, Ping(ACK, ping.value), now=1.5) == [PongReceived(0.5)]
    assert told(session, Ping(ACK, ping.value), now=1.6) == []


def test_a_clock_that_goes_backwards_gives_no_negative_round_trip() -> None:
    session = YamuxSession(is_dialer=True)
    session.ping(5.0)
    [ping] = sent(session)
    assert told(session, Ping(ACK, ping.value), now=4.0) == [PongReceived(0.0)]


@pytest.mark.parametrize("code", [0, 1, 2, 99])
def test_go_away_received(code) -> None:
    session = YamuxSession(is_dialer=True)
    assert told(session, GoAway(code)) == [GoAwayReceived(code)]
    with pytest.raises(ConnectionLost):
        session.open_stream()


def test_go_away_sent_once_and_new_streams_refused() -> None:
    session = YamuxSession(is_dialer=False)
    session.go_away()
    session.go_away(2)
    assert sent(session) == [GoAway(0)]
    assert told(session, WindowUpdate(1, SYN, 0)) == []
    assert sent(session) == [WindowUpdate(1, RST, 0)]


def test_after_a_failure_there_is_silence() -> None:
    session = YamuxSession(is_dialer=False)
    failure(session, WindowUpdate(7, 0, 1))
    assert told(session, WindowUpdate(1, SYN, 0)) == []
    assert sent(session) == [GoAway(1)]
    with pytest.raises(ConnectionLost):
        session.open_stream()


# -- bounds ----------------------------------------------------------------------------------------


def test_streams_beyond_the_backlog_are_reset() -> None:
    session = YamuxSession(is_dialer=False, limits=Limits(yamux_accept_backlog=2))
    opened = told(session, *(WindowUpdate(n, SYN, 0) for n in (1, 3, 5)))
    assert opened == [StreamOpened(1), StreamOpened(3)]
    assert WindowUpdate(5, RST, 0) in sent(session)
    session.accept(1)
    assert told(session, WindowUpdate(7, SYN, 0)) == [StreamOpened(7)]


def test_streams_beyond_the_most_are_reset() -> None:
    session = YamuxSession(is_dialer=False, limits=Limits(yamux_max_streams=2))
    for n in (1, 3, 5):
        told(session, WindowUpdate(n, SYN, 0))
        session.accept(n)
    assert WindowUpdate(5, RST, 0) in sent(session)
    assert told(session, WindowUpdate(1, RST, 0)) == [ResetReceived(1)]
    assert told(session, WindowUpdate(7, SYN, 0)) == [StreamOpened(7)]


def test_answers_that_wait_are_counted_until_they_leave() -> None:
    session = YamuxSession(is_dialer=False, limits=Limits(yamux_max_queued_replies=3))
    for _ in range(5):
        assert told(session, *[Ping(SYN, 1)] * 3) == []
        assert sent(session) == [Ping(ACK, 1)] * 3
    assert "yamux_max_queued_replies" in failure(session, *[Ping(SYN, 1)] * 4)


def test_late_data_for_a_stream_that_is_gone_is_skipped() -> None:
    session = reader()
    session.reset(1)
    sent(session)
    assert told(session, DataFrame(1, 0, bytes(100)), DataFrame(1, FIN, b"x")) == []
    huge = DataFrame(1, 0, b"").encode()[:8] + (DEFAULT_LIMITS.yamux_max_window + 1).to_bytes(
        4, "big"
    )
    [failed] = session.receive_data(huge)
    assert isinstance(failed, SessionFailed)


def test_a_remote_that_fills_the_window_of_a_closed_reader_is_reset() -> None:
    session = reader()
    session.close_write(1)
    session.stop_reading(1)
    sent(session)
    assert told(session, DataFrame(1, 0, bytes(WINDOW))) == []
    assert sent(session) == [WindowUpdate(1, RST, 0)]


def test_streams_closed_by_us_are_forgotten_when_there_are_too_many() -> None:
    session = YamuxSession(is_dialer=False, limits=Limits(yamux_accept_backlog=2))
    for n in (1, 3, 5, 7):
        told(session, WindowUpdate(n, SYN, 0))
        session.accept(n)
        session.close_write(n)
        session.stop_reading(n)
        sent(session)
    assert len(session._streams) <= 2


def test_ids_run_out() -> None:
    session = YamuxSession(is_dialer=True)
    session._next_id = (1 << 32) - 1
    assert session.open_stream() == (1 << 32) - 1
    with pytest.raises(LimitExceeded):
        session.open_stream()


# -- any input, any cut ----------------------------------------------------------------------------

SMALL_IDS = st.sampled_from([0, 1, 2, 3, 4, 5])
ANY_FRAME = st.one_of(
    st.builds(DataFrame, SMALL_IDS, st.integers(0, 15), st.binary(max_size=20)),
    st.builds(WindowUpdate, SMALL_IDS, st.integers(0, 15), st.sampled_from([0, 1, WINDOW])),
    st.builds(Ping, st.integers(0, 3), st.integers(0, 3)),
    st.builds(GoAway, st.integers(0, 3)),
)


def joined(events: list[object]) -> list[object]:
    """Events, the pieces of one frame's body put together."""
    found: list[object] = []
    for event in events:
        last = found[-1] if found else None
        if (
            isinstance(event, DataReceived)
            and isinstance(last, DataReceived)
            and last.stream_id == event.stream_id
        ):
            found[-1] = DataReceived(event.stream_id, last.data + event.data)
        elif isinstance(event, SessionFailed):
            found.append((type(event.error), str(event.error)))
        else:
            found.append(event)
    return found


@given(st.lists(ANY_FRAME, max_size=12), st.integers(1, 30), st.booleans())
def test_any_frames_in_any_cut_give_the_same(given_frames, piece, is_dialer) -> None:
    wire = b"".join(frame.encode() for frame in given_frames)
    outcomes = []
    for size in (len(wire) or 1, 1, piece):
        session = YamuxSession(is_dialer=is_dialer)
        session.open_stream()
        sent(session)
        events: list[object] = []
        for start in range(0, len(wire), size):
            events += session.receive_data(wire[start : start + size])
        outcomes.append((joined(events), sent(session), session._streams.keys()))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(st.binary(max_size=200), st.integers(1, 20))
def test_garbage_never_raises(data, piece) -> None:
    whole, cut = YamuxSession(is_dialer=False), YamuxSession(is_dialer=False)
    events = joined(list(whole.receive_data(data)))
    pieces: list[object] = []
    for start in range(0, len(data), piece):
        pieces += cut.receive_data(data[start : start + piece])
    assert joined(pieces) == events


@given(st.lists(ANY_FRAME, max_size=8))
def test_the_trace_tells_every_frame(given_frames) -> None:
    entries: list[Entry] = []
    trace = Trace("alice")
    trace.listen(entries.append)
    session = YamuxSession(is_dialer=False, probe=Probe(trace, "muxer"))
    told(session, *given_frames)
    out = sent(session)
    assert [entry.what for entry in entries if entry.direction == "sent"] == out
    received = [entry.what for entry in entries if entry.direction == "received"]
    assert received == given_frames[: len(received)]
    numbers = [entry.number for entry in entries if entry.direction == "received"]
    assert numbers == list(range(len(received)))
