"""What a scope makes of a trace: lanes, frames, windows; from one end, from both, and without the beginning."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened, StreamEnded, StreamStarted
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.mplex import MplexSession
from libp2p_lab.multiplexing.mplex_frames import Flag, MplexFrame
from libp2p_lab.multiplexing.muxer import DataReceived
from libp2p_lab.multiplexing.yamux import YamuxSession
from libp2p_lab.multiplexing.yamux_frames import DataFrame, Flags, GoAway, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.widgets.stream_drawing import drawing
from libp2p_lab.widgets.stream_model import MAX_FRAMES, MAX_LANES, MAX_PANELS, StreamModel, title_of

ADDRS = ("/ip4/127.0.0.1/tcp/50001", "/ip4/127.0.0.1/tcp/4001")
LIMITS = Limits()


def opened(end: int, muxer: str = "/yamux/1.0.0") -> ConnectionOpened:
    """What the dialer (0) or the listener (1) tells of the connection."""
    directions = ("outbound", "inbound")
    return ConnectionOpened(
        "ab"[1 - end],
        directions[end],
        ADDRS[end],
        ADDRS[1 - end],
        "tcp",
        "/noise",
        muxer,  # type: ignore[arg-type]
    )


class Pair:
    """Two sessions with a trace each, and a model that hears of both or of one."""

    def __init__(self, kind: type[YamuxSession] | type[MplexSession], heard: str = "ab") -> None:
        self.model = StreamModel()
        clock = count()
        traces = [Trace(name, lambda: float(next(clock))) for name in "ab"]
        self.sides = [
            kind(is_dialer=end == 0, probe=Probe(trace, "muxer", "1"), limits=LIMITS)
            for end, trace in enumerate(traces)
        ]
        self.streams = [Probe(trace, "stream", "1/1") for trace in traces]
        self.muxer = "/yamux/1.0.0" if kind is YamuxSession else "/mplex/6.7.0"
        for end, trace in enumerate(traces):
            if trace.node in heard:
                trace.listen(self.model.take)
                Probe(trace, "host", "1").emit("event", opened(end, self.muxer))

    def write(self, end: int, stream: int, data: bytes) -> None:
        probe = self.streams[end]
        if probe.trace.listeners:
            probe.emit("sent", data)
        self.sides[end].send(stream, data)

    def carry(self) -> int:
        """Everything that either side has to say; returns how many bytes of streams arrived."""
        arrived = 0
        for _ in range(50):
            for end in (0, 1):
                events = self.sides[1 - end].receive_data(self.sides[end].data_to_send())
                arrived += sum(len(one.data) for one in events if isinstance(one, DataReceived))
        return arrived

    def take(self, end: int, stream: int, n: int) -> None:
        probe = self.streams[end]
        if probe.trace.listeners:
            probe.emit("received", bytes(n))
        self.sides[end].consumed(stream, n)


@pytest.mark.parametrize("heard", ["ab", "a", "b"])
def test_the_gauges_are_the_sessions_own_books(heard: str) -> None:
    pair = Pair(YamuxSession, heard)
    stream = pair.sides[0].open_stream()
    pair.write(0, stream, bytes(300_000))
    pair.carry()
    books = [side._streams[stream] for side in pair.sides]  # type: ignore[union-attr]
    (panel,) = pair.model.panels.values()
    lane = panel.lanes[stream]
    way = lane.ways[0 if heard != "b" else 1]  # from the dialer to the listener
    assert (way.left, way.window) == (0, LIMITS.yamux_initial_window)
    if "a" in heard:
        assert (way.left, way.queued) == (books[0].send_window, books[0].unsent)
    if "b" in heard:
        assert (way.left, way.unread) == (books[1].allowance, books[1].unread)
    pair.take(1, stream, 200_000)
    pair.carry()
    if "a" in heard:
        assert (way.left, way.queued) == (books[0].send_window, 0)
    if "b" in heard:
        assert (way.left, way.unread) == (books[1].allowance, books[1].unread)
    assert way.left == 200_000 - (300_000 - LIMITS.yamux_initial_window)
    assert lane.opener == "dialer"
    assert panel.dialer == (0 if heard != "b" else 1)
    assert title_of(panel, {"a": "ann"}) == "ann → b, /yamux/1.0.0"


def test_both_ends_of_a_connection_are_one_panel_and_each_frame_is_drawn_once() -> None:
    pair = Pair(YamuxSession)
    stream = pair.sides[0].open_stream()
    pair.write(0, stream, b"hello")
    pair.sides[0].close_write(stream)
    pair.carry()
    (panel,) = pair.model.panels.values()
    assert panel.ends == [("a", "1"), ("b", "1")]
    kinds = [(block.way, block.kind, block.flags, block.size) for block in panel.blocks]
    assert kinds == [(0, "data", "SYN", 5), (0, "window", "FIN", 0), (1, "window", "ACK", 0)]
    assert panel.lanes[stream].state == "half closed"
    pair.sides[1].close_write(stream)
    pair.carry()
    assert panel.lanes[stream].state == "closed"
    assert panel.since(3)[0].flags == "FIN"
    assert panel.blocks[0].entry.what == DataFrame(1, Flags.SYN, b"hello")


def test_mplex_has_no_windows_only_what_lies_unread() -> None:
    pair = Pair(MplexSession)
    ours = pair.sides[0].open_stream()
    theirs = pair.sides[1].open_stream()
    pair.write(0, ours, bytes(100_000))
    pair.sides[1].send(theirs, b"back")
    pair.carry()
    (panel,) = pair.model.panels.values()
    assert panel.lanes.keys() == {ours, theirs} == {1, 2}
    way = panel.lanes[ours].ways[0]
    assert (way.left, way.unread, way.window) == (None, 100_000, LIMITS.mplex_stream_buffer)
    assert panel.lanes[theirs].ways[1].moved == 4
    assert [panel.lanes[one].opener for one in (ours, theirs)] == ["dialer", "listener"]
    pair.write(0, ours, bytes(LIMITS.mplex_stream_buffer))
    pair.carry()
    assert panel.lanes[ours].state == "reset", "nobody took it, and nobody could say so"
    assert "RST" in {block.flags for block in panel.blocks}


def tell(
    model: StreamModel,
    what: object,
    link: str = "1",
    direction: str = "sent",
    layer: str = "muxer",
    node: str = "a",
) -> None:
    model.take(Entry(0.0, node, layer, link, direction, 0, what))  # type: ignore[arg-type]


def test_a_recording_that_began_late_shows_what_it_can() -> None:
    model = StreamModel()
    tell(model, DataFrame(4, 0, b"abc"), direction="received")
    tell(model, WindowUpdate(4, 0, 100_000))
    (panel,) = model.panels.values()
    lane = panel.lanes[4]
    assert lane.ways[1].left is None, "nobody saw how much was sent before"
    assert lane.ways[1].moved == 3
    assert title_of(panel, {}) == "a → ?, /yamux/1.0.0"
    tell(model, WindowUpdate(6, Flags.SYN, 0), direction="received")
    assert panel.lanes[6].ways[1].left == LIMITS.yamux_initial_window


def test_who_dialed_is_guessed_from_the_first_stream() -> None:
    for number, direction, dialer in ((1, "sent", 0), (1, "received", 1), (2, "sent", 1)):
        model = StreamModel()
        tell(model, DataFrame(number, Flags.SYN, b""), direction=direction)
        assert model.panels[0].dialer == dialer


def test_protocols_ends_and_what_ends_with_the_stream() -> None:
    model = StreamModel()
    tell(model, opened(0), layer="host", direction="event")
    tell(model, DataFrame(1, Flags.SYN, bytes(40)))
    tell(model, Line(PROTOCOL_ID), "1/1", layer="negotiation")
    tell(model, Line("/first/1"), "1/1", layer="negotiation")
    lane = model.panels[0].lanes[1]
    assert lane.protocol == "/first/1"
    tell(model, StreamStarted("b", "/second/1", "outbound"), "1/1", "event", "host")
    assert lane.protocol == "/second/1"
    tell(model, bytes(50_000), "1/1", layer="stream")
    assert lane.ways[0].queued == 50_000 + len(Line(PROTOCOL_ID).encode()) + 10 - 40
    tell(model, StreamEnded("b", "/second/1", "reset by us", 0, 50_000), "1/1", "event", "host")
    assert (lane.state, lane.ways[0].queued) == ("reset by us", 0)
    tell(model, DataFrame(1, 0, bytes(9)), direction="received")
    assert lane.ways[1].unread == 0, "it was on its way, and nobody takes it"
    tell(model, Ping(Flags.SYN, 7))
    tell(model, GoAway(0), direction="received")
    session = model.panels[0].lanes[0]
    assert (session.opener, session.protocol) == ("", "")
    tell(model, ConnectionClosed("b", "closed"), layer="host", direction="event")
    assert model.panels[0].closed == "closed"
    # The same number again is another connection: its host was started anew.
    tell(model, opened(0), layer="host", direction="event")
    assert len(model.panels) == 2


def test_quic_shows_what_the_application_wrote_and_read() -> None:
    model = StreamModel()
    tell(model, opened(0, "/quic-v1"), layer="host", direction="event")
    tell(model, b"hello", "1/4", layer="stream")
    tell(model, b"back", "1/4", "received", "stream")
    lane = model.panels[0].lanes[4]
    assert [(block.way, block.size) for block in model.panels[0].blocks] == [(0, 5), (1, 4)]
    assert (lane.opener, lane.ways[0].left, lane.ways[0].moved) == ("dialer", None, 5)


def test_only_one_connection_if_wanted() -> None:
    model = StreamModel(only="2")
    tell(model, DataFrame(1, Flags.SYN, b""), "1")
    tell(model, DataFrame(1, Flags.SYN, b""), "2")
    assert [panel.ends for panel in model.panels.values()] == [[("a", "2")]]


def test_memory_is_bounded() -> None:
    model = StreamModel()
    for number in range(MAX_FRAMES + 10):
        tell(model, DataFrame(2 * number + 1, Flags.SYN, b""))
    (panel,) = model.panels.values()
    assert (len(panel.blocks), panel.count) == (MAX_FRAMES, MAX_FRAMES + 10)
    assert len(panel.lanes) == MAX_LANES
    assert 2 * (MAX_FRAMES + 9) + 1 in panel.lanes, "the newest are kept"
    for link in range(2, MAX_PANELS + 10):
        tell(model, DataFrame(1, Flags.SYN, b""), str(link))
    assert len(model.panels) == MAX_PANELS


def test_the_drawing_escapes_what_peers_choose() -> None:
    model = StreamModel()
    tell(model, opened(0), layer="host", direction="event")
    tell(model, DataFrame(1, Flags.SYN, bytes(1000)))
    tell(model, StreamStarted("b", "/<script>", "outbound"), "1/1", "event", "host")
    tell(model, WindowUpdate(1, Flags.RST, 0))
    svg = drawing(model.panels[0], "a & b", 10)
    assert "<script>" not in svg
    assert "a &amp; b" in svg
    assert "1,000" in svg
    assert drawing(StreamModel()._add(("a", "1"), "b", 0, ""), "", 10) == ""


FRAMES = st.one_of(
    st.builds(DataFrame, st.integers(0, 9), st.integers(0, 15), st.binary(max_size=20)),
    st.builds(WindowUpdate, st.integers(0, 9), st.integers(0, 15), st.integers(0, 1000)),
    st.builds(Ping, st.integers(0, 3), st.integers(0, 9)),
    st.builds(GoAway, st.integers(0, 3)),
    st.builds(MplexFrame, st.integers(0, 5), st.sampled_from(Flag), st.binary(max_size=20)),
    st.builds(Line, st.sampled_from([PROTOCOL_ID, "/x/1", "na"])),
    st.binary(max_size=20),
    st.sampled_from(
        [opened(0), opened(1), opened(0, "/mplex/6.7.0"), ConnectionClosed("b", "lost")]
    ),
    st.builds(
        StreamEnded,
        st.just("b"),
        st.just("/x"),
        st.sampled_from(["closed", "lost"]),
        st.just(0),
        st.just(0),
    ),
)
ENTRIES = st.builds(
    Entry,
    st.floats(0, 9),
    st.sampled_from("ab"),
    st.sampled_from(["muxer", "stream", "negotiation", "host"]),
    st.sampled_from(["1", "1/1", "1/2", "2", ""]),
    st.sampled_from(["sent", "received"]),
    st.integers(0, 3),
    FRAMES,
)


@given(st.lists(ENTRIES, max_size=40))
def test_any_trace_can_be_shown(entries: list[Entry]) -> None:
    model = StreamModel()
    for entry in entries:
        model.take(entry)
    for panel in model.panels.values():
        assert drawing(panel, title_of(panel, {}), 20) or not panel.lanes
        for lane in panel.lanes.values():
            told = lane.as_json()
            assert all(way["queued"] is None or way["queued"] >= 0 for way in told["ways"])
        assert [block.number for block in panel.since(0)] == list(range(panel.count))


@pytest.mark.parametrize("kind", [YamuxSession, MplexSession])
def test_streams_that_were_open_before_are_counted_from_the_sessions_books(
    kind: type[YamuxSession] | type[MplexSession],
) -> None:
    pair = Pair(kind, heard="")
    stream = pair.sides[0].open_stream()
    pair.write(0, stream, bytes(300_000))
    pair.carry()
    pair.take(1, stream, 10_000)
    for end, name in enumerate("ab"):
        tell(pair.model, opened(end, pair.muxer), layer="host", direction="event", node=name)
        tell(pair.model, pair.sides[end].flow(stream), f"1/{stream}", "event", node=name)
        probe = pair.sides[end].probe
        probe.trace.listen(pair.model.take)
    pair.take(1, stream, 150_000)
    pair.carry()
    flows = [side.flow(stream) for side in pair.sides]
    assert flows[0] is not None
    assert flows[1] is not None
    way = pair.model.panels[0].lanes[stream].ways[0]
    assert (way.queued, way.unread, way.left) == (
        flows[0].unsent,
        flows[1].unread,
        flows[0].may_send,
    )
    assert way.window == flows[1].window
    assert pair.sides[0].flow(99) is None
