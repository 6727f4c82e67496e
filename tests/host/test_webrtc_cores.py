"""WebRTC's cores on their own: ICE, DTLS, SCTP and the streams, carried by hand."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from struct import pack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LimitExceeded,
    MalformedMessage,
    ProtocolViolation,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.host.webrtc_dtls import DtlsSession, cookie_for, self_signed
from libp2p_lab.host.webrtc_ice import PREFIX, Answered, Asked, IceAgent, make_ufrag, read_ufrag
from libp2p_lab.host.webrtc_messages import Flag, Message
from libp2p_lab.host.webrtc_sctp import (
    ChannelClosed,
    ChannelReset,
    MessageArrived,
    SctpAssociation,
)
from libp2p_lab.host.webrtc_streams import (
    BINARY,
    CONTROL,
    HANDSHAKE,
    CloseChannel,
    ReadingStopped,
    Send,
    WebRtcStreams,
)
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import (
    DataReceived,
    ResetReceived,
    SessionFailed,
    StreamAccepted,
    StreamOpened,
    WriteClosed,
)

HERE = ("192.0.2.1", 1000)

# -- ICE ----------------------------------------------------------------------------------------------------------


def agents() -> tuple[IceAgent, IceAgent, str]:
    ufrag = make_ufrag()
    dialer, listener = (IceAgent(ufrag, is_dialer=one, interval=5.0) for one in (True, False))
    return dialer, listener, ufrag


def test_ask_and_answer() -> None:
    dialer, listener, ufrag = agents()
    assert ufrag.startswith(PREFIX)
    dialer.handle_timer(1.0)
    [question] = dialer.datagrams_to_send()
    assert read_ufrag(question) == ufrag
    assert listener.receive(question, HERE, 1.5) == [Asked()]
    [answer] = listener.datagrams_to_send()
    assert dialer.receive(answer, HERE, 2.0) == [Answered(1.0)]
    assert dialer.is_connected
    assert listener.is_connected
    assert dialer.receive(answer, HERE, 3.0) == [], "an answer counts once"
    assert dialer.timer_at() == 7.0
    assert listener.timer_at() is None, "who is lite does not ask"


def test_an_unanswered_question_is_asked_again_and_less_often() -> None:
    dialer, _, _ = agents()
    now, asked = 0.0, []
    while now < 10.0:
        dialer.handle_timer(now)
        asked += dialer.datagrams_to_send()
        now = dialer.timer_at() or 0.0
    assert len(asked) == 9
    assert len(set(asked)) == 9, "each is a question of its own"


def test_answers_to_nothing_and_with_another_key_are_dropped() -> None:
    dialer, listener, _ = agents()
    _, stranger, _ = agents()
    dialer.handle_timer(0.0)
    [question] = dialer.datagrams_to_send()
    stranger.receive(question, HERE, 0.0)
    assert stranger.datagrams_to_send() == []
    changed = question[:-1] + bytes((question[-1] ^ 1,))
    listener.receive(changed, HERE, 0.0)
    assert listener.datagrams_to_send() == []


@given(st.binary(max_size=100), st.integers(0, 200), st.integers(0, 255))
@example(b"", 172, 0)
def test_stun_garbage_is_dropped(garbage: bytes, place: int, value: int) -> None:
    """The last eight bytes, the fingerprint, stand behind the signature: what is there may be passed over."""
    dialer, listener, _ = agents()
    dialer.handle_timer(0.0)
    [question] = dialer.datagrams_to_send()
    changed = bytearray(question)
    changed[place % (len(question) - 8)] = value
    for data in (garbage, bytes(changed), question + garbage, question[:place]):
        read_ufrag(data)
        if data != question:
            listener.receive(data, HERE, 0.0)
    assert listener.datagrams_to_send() == []


@pytest.mark.parametrize(
    "ufrag", ["libp2p+webrtc+v2/aaaaaaaaaaaa", PREFIX, PREFIX + "x" * 300, PREFIX + "ä" * 20]
)
def test_names_that_break_the_rules(ufrag: str) -> None:
    agent = IceAgent(ufrag, is_dialer=True, interval=5.0)
    agent.handle_timer(0.0)
    [question] = agent.datagrams_to_send()
    assert read_ufrag(question) is None


# -- DTLS ---------------------------------------------------------------------------------------------------------

CERTIFICATES = [self_signed(time.time() - 3600, 86_400.0) for _ in range(2)]


def sessions(cookie: bytes = b"") -> tuple[DtlsSession, DtlsSession]:
    client = DtlsSession(CERTIFICATES[0], is_client=True)
    server = DtlsSession(CERTIFICATES[1], is_client=False, cookie=cookie)
    client.start()
    return client, server


def settle(client: DtlsSession, server: DtlsSession) -> tuple[list[bytes], list[bytes]]:
    found: tuple[list[bytes], list[bytes]] = ([], [])
    moved = True
    while moved:
        moved = False
        for sender, receiver, n in ((client, server, 1), (server, client, 0)):
            for data in sender.datagrams_to_send():
                moved = True
                found[n].extend(receiver.receive(data))
    return found


def test_dtls_both_ways() -> None:
    client, server = sessions(cookie_for(b"secret", HERE))
    assert not server.is_address_proven
    settle(client, server)
    assert client.is_established
    assert server.is_established
    assert server.is_address_proven
    client.send(b"there")
    server.send(b"and back")
    assert settle(client, server) == ([b"and back"], [b"there"])
    client.close()
    settle(client, server)
    assert isinstance(server.failure, ConnectionLost)


def test_a_hello_without_its_cookie_is_answered_with_little() -> None:
    """A forged source would get more than was sent in its name, but for the cookie."""
    client, server = sessions(cookie_for(b"secret", HERE))
    [hello] = client.datagrams_to_send()
    server.receive(hello)
    answers = server.datagrams_to_send()
    assert sum(map(len, answers)) < len(hello)
    assert not server.is_address_proven


def test_each_record_has_a_datagram_of_its_own() -> None:
    client, server = sessions()
    settle(client, server)
    for _ in range(3):
        client.send(b"x" * 100)
    datagrams = client.datagrams_to_send()
    assert len(datagrams) == 3
    assert server.receive(b"".join(datagrams)) == [b"x" * 100] * 3, "and several in one are read"


@given(st.binary(max_size=100), st.integers(0, 300), st.integers(0, 255))
def test_dtls_garbage_raises_nothing(garbage: bytes, place: int, value: int) -> None:
    client, server = sessions()
    [hello] = client.datagrams_to_send()
    changed = bytearray(hello)
    changed[place % len(hello)] = value
    for data in (garbage, bytes(changed), hello[:place]):
        server.receive(data)
        server.datagrams_to_send()
        assert server.failure is None or isinstance(server.failure, HandshakeFailed)
    client, server = sessions()
    settle(client, server)
    assert server.receive(garbage) == []
    client.send(b"still there")
    assert settle(client, server)[1] == [b"still there"]


# -- SCTP ---------------------------------------------------------------------------------------------------------

WINDOW = 64 * 1024


class Pair:
    """Two associations, and what they said."""

    def __init__(self, **limits) -> None:
        self.wire: tuple[list[bytes], list[bytes]] = ([], [])  # by receiver
        settings = Limits(webrtc_window=WINDOW, **limits)
        self.ends = [
            SctpAssociation(self.wire[1 - n].append, settings, is_client=n == 0) for n in (0, 1)
        ]
        self.found: tuple[list, list] = ([], [])
        self.unread = [0, 0]
        for end in self.ends:
            end.connect()
        self.settle()
        assert all(end.is_established for end in self.ends)

    def settle(self) -> None:
        while self.wire[0] or self.wire[1]:
            for n, end in enumerate(self.ends):
                if self.wire[n]:
                    for event in end.receive(self.wire[n].pop(0)):
                        self.found[n].append(event)
                        if isinstance(event, MessageArrived):
                            self.unread[n] += len(event.data)
                    end.set_unread(self.unread[n])

    async def end(self) -> None:
        for end in self.ends:
            end.abort()


async def test_messages_and_the_end_of_a_channel() -> None:
    pair = Pair()
    pair.ends[0].send_message(2, BINARY, b"x" * 5000)
    pair.ends[0].close_channel(2)
    pair.settle()
    assert pair.found[1] == [MessageArrived(2, BINARY, b"x" * 5000), ChannelReset(2)]
    assert pair.found[0] == [ChannelClosed(2)]
    pair.ends[0].send_message(2, BINARY, b"again")
    pair.settle()
    assert pair.found[1][2:] == [MessageArrived(2, BINARY, b"again")]
    pair.ends[1].abort()
    pair.settle()
    assert all(end.is_over for end in pair.ends)


async def test_what_lies_unread_closes_the_window_and_reading_opens_it() -> None:
    pair = Pair()
    for _ in range(100):
        pair.ends[0].send_message(2, BINARY, b"x" * 5000)
        pair.settle()
    assert WINDOW - 5000 < pair.unread[1] < WINDOW + 5000
    assert pair.ends[1].is_full
    assert not pair.ends[0].is_idle
    while not pair.ends[0].is_idle:
        pair.unread[1] = 0
        pair.ends[1].set_unread(0)
        pair.settle()
    assert len(pair.found[1]) == 100
    await pair.end()


async def test_no_more_is_under_way_than_the_limit_says() -> None:
    pair = Pair(webrtc_under_way=10_000)
    for _ in range(30):
        pair.ends[0].send_message(2, BINARY, b"x" * 1000)
    assert sum(map(len, pair.wire[1])) < 14_000
    pair.settle()
    assert len(pair.found[1]) == 30
    await pair.end()


async def test_lost_packets_are_sent_again() -> None:
    pair = Pair()
    for _ in range(20):
        pair.ends[0].send_message(2, BINARY, b"x" * 1000)
        if len(pair.wire[1]) > 3:
            del pair.wire[1][1]
        pair.settle()
    for _ in range(5):
        pair.ends[0].send_message(2, BINARY, b"y" * 1000)
        pair.settle()
    assert pair.found[1][0] == MessageArrived(2, BINARY, b"x" * 1000)
    await pair.end()


async def test_a_message_that_fills_the_whole_window_ends_it() -> None:
    pair = Pair()
    with pytest.raises(ProtocolViolation):
        for _ in range(3):
            pair.ends[0].send_message(2, BINARY, b"x" * 2 * WINDOW)
            for _ in range(500):
                pair.settle()
                pair.ends[0]._t3_expired()  # what a sender does that hears nothing
                await asyncio.sleep(0)
    await pair.end()


async def test_acknowledgements_of_what_was_never_sent() -> None:
    from aiortc.rtcsctptransport import SackChunk

    for gaps, ahead in (([(1, 60_000)], 0), ([], 5), ([(1, 1)] * 300, 0)):
        pair = Pair()
        sack = SackChunk()
        sack.cumulative_tsn = (pair.ends[0]._local_tsn - 1 + ahead) % (1 << 32)
        sack.advertised_rwnd = WINDOW
        sack.gaps = gaps
        await asyncio.wait_for(pair.ends[1]._send_chunk(sack), 1)
        with pytest.raises(ProtocolViolation):
            pair.settle()
        await pair.end()


async def test_sctp_garbage_gives_typed_errors_only() -> None:
    from google_crc32c import value as crc32c

    rng = random.Random(7)
    for _ in range(300):
        pair = Pair()
        tag = pair.ends[1]._local_verification_tag
        kind = rng.choice((0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 14, 130, 192, 200))
        body = rng.randbytes(rng.randrange(40))
        chunk = pack("!BBH", kind, rng.randrange(256), 4 + len(body)) + body
        packet = pack("!HHLL", 5000, 5000, 0 if kind == 1 else tag, 0) + chunk
        packet += bytes(-len(packet) % 4)
        packet = packet[:8] + pack("<L", crc32c(packet)) + packet[12:]
        with contextlib.suppress(ProtocolViolation):
            pair.ends[1].receive(packet)
        await pair.end()


# -- the streams --------------------------------------------------------------------------------------------------


class Streams:
    """Two cores with channels between them that keep their order."""

    def __init__(self, **limits) -> None:
        self.ends = [WebRtcStreams(is_dialer=one, limits=Limits(**limits)) for one in (True, False)]
        self.found: tuple[list, list] = ([], [])

    def settle(self) -> None:
        while any(end.has_commands() for end in self.ends):
            for n, end in enumerate(self.ends):
                other = self.ends[1 - n]
                command = end.next_command()
                match command:
                    case Send(stream_id, protocol, data):
                        # In two pieces, as js-libp2p does with length and message.
                        parts = [data] if protocol == CONTROL else [data[:1], data[1:]]
                        for part in parts:
                            self.found[1 - n].extend(other.receive(stream_id, protocol, part))
                    case CloseChannel(stream_id):
                        self.found[1 - n].extend(other.channel_reset(stream_id))
                        end.channel_closed(stream_id)

    def channels(self) -> list[set[int]]:
        return [set(end._channels) - {HANDSHAKE} for end in self.ends]


def test_a_stream_from_its_opening_to_its_end() -> None:
    pair = Streams()
    alice, bob = pair.ends
    stream_id = alice.open_stream()
    assert stream_id == 2, "0 is the handshake's"
    alice.send(stream_id, b"hello")
    pair.settle()
    assert pair.found[1] == [StreamOpened(2), DataReceived(2, b"hello")]
    assert pair.found[0] == [StreamAccepted(2)]
    alice.close_write(2)
    pair.settle()
    bob.send(2, b"bye")
    bob.close_write(2)
    pair.settle()
    assert pair.found[1][2:] == [WriteClosed(2)]
    assert pair.found[0][1:] == [DataReceived(2, b"bye"), WriteClosed(2)]
    assert pair.channels() == [set(), set()]
    assert bob.open_stream() == 3
    assert alice.open_stream() == 2, "the number is free again"


def test_reset_and_stop() -> None:
    pair = Streams()
    alice, bob = pair.ends
    one, two = alice.open_stream(), alice.open_stream()
    for stream_id in (one, two):
        alice.send(stream_id, b"x")
    pair.settle()
    alice.reset(one)
    bob.stop_reading(two)
    pair.settle()
    assert ResetReceived(one) in pair.found[1]
    assert ReadingStopped(two) in pair.found[0]
    with pytest.raises(StreamReset):
        alice.send(one, b"")
    with pytest.raises(StreamReset):
        alice.send(two, b"")
    bob.send(two, b"the other way still works")
    bob.close_write(two)
    pair.settle()
    assert pair.found[0][-1] == WriteClosed(two)
    assert pair.channels() == [set(), set()]
    assert bob.unread == 0


def test_a_closed_write_half() -> None:
    pair = Streams()
    stream_id = pair.ends[0].open_stream()
    pair.ends[0].close_write(stream_id)
    with pytest.raises(StreamClosed):
        pair.ends[0].send(stream_id, b"more")


def test_a_number_that_is_given_away_before_we_heard_of_its_end() -> None:
    """js-libp2p does that. What we say on the new channel waits until the old one is gone."""
    pair = Streams()
    alice, bob = pair.ends
    alice.open_stream()
    pair.settle()
    assert bob.channel_reset(2) == [ResetReceived(2)]
    assert bob.next_command() == CloseChannel(2)
    assert bob.receive(2, CONTROL, bytes((3,)) + bytes(11)) == [StreamOpened(2)]
    bob.send(2, b"patience")
    assert bob.next_command() is None
    bob.channel_closed(2)
    sent = [bob.next_command(), bob.next_command()]
    assert [(one.protocol, one.data) for one in sent] == [
        (CONTROL, b"\x02"),
        (BINARY, Message(data=b"patience").encode()),
    ]


def test_a_fin_that_nobody_acknowledges() -> None:
    session = WebRtcStreams(is_dialer=True, limits=Limits(webrtc_fin_ack_timeout=10.0))
    stream_id = session.open_stream()
    session.close_write(stream_id)
    session.stop_reading(stream_id)
    while session.next_command(100.0) is not None:
        pass
    session.expire(109.0)
    assert not session.has_commands()
    session.expire(110.0)
    assert session.next_command() == CloseChannel(stream_id)


def test_large_writes_take_turns() -> None:
    pair = Streams()
    alice, _ = pair.ends
    one, two = alice.open_stream(), alice.open_stream()
    alice.send(one, bytes(100_000))
    alice.send(two, bytes(100_000))
    pair.settle()
    order = [event.stream_id for event in pair.found[1] if isinstance(event, DataReceived)]
    assert order[:4] == [one, two, one, two]


def test_what_is_unread_is_counted() -> None:
    pair = Streams()
    alice, bob = pair.ends
    one, two = alice.open_stream(), alice.open_stream()
    alice.send(one, bytes(1000))
    alice.send(two, bytes(500))
    pair.settle()
    assert bob.unread == 1500
    assert bob.hoarder() == one
    bob.consumed(one, 900)
    assert bob.hoarder() == two
    bob.forget(two)
    bob.consumed(two, 500)
    assert bob.unread == 100


@pytest.mark.parametrize(
    ("stream_id", "protocol", "data", "error"),
    [
        (2, BINARY, b"\xff\xff\xff\xff", LimitExceeded),
        (2, CONTROL, bytes((3,)) + bytes(11), ProtocolViolation),  # opened twice
        (3, CONTROL, bytes((3,)) + bytes(11), ProtocolViolation),  # the number is ours
        (4, CONTROL, b"\x03", MalformedMessage),
        (4, CONTROL, b"\x09", MalformedMessage),
        (2, 51, b"text", MalformedMessage),
    ],
)
def test_broken_rules_end_the_session(stream_id, protocol, data, error) -> None:
    pair = Streams()
    pair.ends[0].open_stream()
    pair.settle()
    [failed] = pair.ends[1].receive(stream_id, protocol, data)
    assert isinstance(failed, SessionFailed)
    assert isinstance(failed.error, error)
    assert pair.ends[1].receive(2, BINARY, Message(data=b"x").encode()) == []


def test_more_channels_than_the_limit_are_refused_and_twice_as_many_end_it() -> None:
    session = WebRtcStreams(is_dialer=False, limits=Limits(webrtc_streams=5))
    header = bytes((3,)) + bytes(11)
    found = [session.receive(2 * n, CONTROL, header) for n in range(1, 12)]
    # Channel 0 is there from the start, and counts.
    opened = [events for events in found if events and isinstance(events[0], StreamOpened)]
    assert len(opened) == 4
    assert isinstance(next(e for e in found if e and e not in opened)[0], SessionFailed)


def test_unordered_channels_are_refused() -> None:
    session = WebRtcStreams(is_dialer=False, limits=Limits())
    assert session.receive(2, CONTROL, bytes((3, 0x80)) + bytes(10)) == []
    assert session.next_command() == CloseChannel(2)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(["open", "send", "close", "stop", "reset", "settle", "read"]),
            st.integers(0, 5),
            st.integers(1, 40_000),
        ),
        max_size=40,
    )
)
def test_any_conversation_arrives_whole_and_ends_clean(steps) -> None:
    """What arrives is a beginning of what was sent, and all of it after a clean end; in the end nothing is left."""
    pair = Streams()
    opened: list[int] = []
    sent: dict[tuple[int, int], int] = {}
    for side, what, which, size in steps:
        end = pair.ends[side]
        if what == "open" and end.can_open_stream():
            opened.append(end.open_stream())
            pair.settle()
            continue
        if what == "settle":
            pair.settle()
        if not opened:
            continue
        stream_id = opened[which % len(opened)]
        try:
            match what:
                case "send":
                    end.send(stream_id, bytes(size))
                    sent[side, stream_id] = sent.get((side, stream_id), 0) + size
                case "close":
                    end.close_write(stream_id)
                case "stop":
                    end.stop_reading(stream_id)
                case "reset":
                    end.reset(stream_id)
                case "read":
                    end.consumed(stream_id, size)
        except (StreamClosed, StreamReset):
            pass
    for end in pair.ends:
        for stream_id in opened:
            end.close_write(stream_id)
    pair.settle()
    for end in pair.ends:
        for stream_id in opened:
            end.reset(stream_id)
            end.forget(stream_id)
    pair.settle()
    assert pair.channels() == [set(), set()]
    assert [end.unread for end in pair.ends] == [0, 0]
    for n in (0, 1):
        assert not any(isinstance(event, SessionFailed) for event in pair.found[n])


@given(
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([50, 51, 53, 57]), st.binary(max_size=30))
    )
)
def test_garbage_on_channels_gives_events_only(messages) -> None:
    session = WebRtcStreams(is_dialer=False, limits=Limits())
    for stream_id, protocol, data in messages:
        session.receive(stream_id, protocol, data)
        session.next_command()


def test_flags_are_told_in_words() -> None:
    assert [flag.name for flag in Flag] == ["FIN", "STOP_SENDING", "RESET_STREAM", "FIN_ACK"]
