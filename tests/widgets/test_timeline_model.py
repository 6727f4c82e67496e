"""Round trips, counted: against the clock of a simulated internet, for every way to make a connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import DialError, Host, LocalError, Recording
from libp2p_lab.host.events import ConnectionOpened, DialStarted, StreamStarted
from libp2p_lab.multiplexing.yamux_frames import DataFrame
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.sim import Internet
from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.trace import Entry
from libp2p_lab.widgets import first_byte
from libp2p_lab.widgets.timeline_drawing import drawing
from libp2p_lab.widgets.timeline_model import (
    ANSWER,
    ARRIVED,
    CONNECTED,
    DIAL,
    FIRST_BYTE,
    MAX_ARROWS,
    PROVEN,
    is_wanted,
    scene_of,
)
from tests.widgets.trace_samples import Conversation

WAYS: list[tuple[dict[str, Any], float]] = [
    # syn and synack; e, and e, ee, s, es; then everything leaves with s, se.
    ({}, 2),
    ({"early_muxers": False}, 3),
    ({"optimistic": False}, 4),
    ({"early_muxers": False, "optimistic": False}, 5),
    ({"known": False}, 3),
    ({"security": "tls"}, 2),
    ({"security": "tls", "early_muxers": False, "optimistic": False}, 5),
    ({"transport": "quic"}, 1),
    ({"transport": "quic", "optimistic": False}, 2),
]


@pytest.mark.parametrize(("options", "expected"), WAYS)
def test_what_is_counted_is_what_the_clock_says(options: dict[str, Any], expected: float) -> None:
    rtt = 0.08
    scene = scene_of(first_byte(rtt=rtt, **options))
    (setup,) = scene.setups
    assert setup.round_trips == expected
    names = [stage.name for stage in setup.stages]
    assert names[0] == DIAL
    assert names[-1] == ANSWER
    for stage in setup.stages:
        assert stage.is_measured
        assert (stage.time - setup.stages[0].time) / rtt == pytest.approx(
            stage.round_trips, abs=0.02
        ), stage.name


def test_two_messages_in_a_row_are_no_round_trip() -> None:
    scene = scene_of(first_byte())
    lines = [arrow for arrow in scene.arrows if arrow.level == "messages"]
    by_trips: dict[int, list[str]] = {}
    for arrow in lines:
        by_trips.setdefault(arrow.trips, []).append(arrow.title)
    assert list(by_trips) == [1, 2, 3, 4, 5, 6]
    assert (by_trips[1], by_trips[2]) == (["syn, by the system"], ["synack, by the system"])
    assert by_trips[3] == [PROTOCOL_ID, "/noise", "handshake: e"]
    assert by_trips[5][0] == "handshake: s, se"
    assert by_trips[5][-1] == "5 bytes", (
        "the first byte rides with the last message of the handshake"
    )
    packets = [arrow.title.split(",")[0] for arrow in scene.arrows if arrow.level == "packets"]
    assert packets[:3] == ["syn", "synack", "ack"]
    assert [scene.names[node] for node in scene.lanes] == ["bob", "alice"]


async def test_a_live_connection_counts_what_left_no_trace() -> None:
    async with Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice, Host() as bob:
        log = Recording()
        log.attach(bob.trace)
        log.attach(alice.trace)
        await bob.ping(alice.addrs[0])
        log.stop()
    (setup,) = scene_of(log).setups
    connected, proven = setup.stage(CONNECTED), setup.stage(PROVEN)
    assert connected is not None
    assert proven is not None
    assert (connected.round_trips, connected.is_measured) == (1, False)
    assert (proven.round_trips, setup.transport, setup.security) == (2, "tcp", "/noise")
    assert setup.round_trips == 3, "ping was not known to be spoken: its answer is awaited"
    arrived = setup.stage(ARRIVED)
    assert arrived is not None
    assert arrived.round_trips == 3.5


async def test_memory_needs_no_handshake_of_its_own() -> None:
    async with Host(listen=["/memory/0"]) as alice, Host() as bob:
        log = Recording()
        log.attach(bob.trace)
        log.attach(alice.trace)
        await bob.ping(alice.addrs[0])
        log.stop()
    (setup,) = scene_of(log).setups
    one_sided = [entry for entry in log if entry.node == str(bob.peer_id)]
    (alone,) = scene_of(one_sided).setups
    assert [stage.trips for stage in alone.stages] == [
        stage.trips for stage in setup.stages if stage.name != ARRIVED
    ]
    assert not alone.stages[-1].is_measured
    stages = {stage.name: (stage.round_trips, stage.is_measured) for stage in setup.stages}
    assert (stages[CONNECTED], stages[PROVEN]) == ((0, True), (1, True))
    assert (stages[FIRST_BYTE], stages[ANSWER]) == ((2, True), (3, True))


async def test_a_dial_that_fails_has_no_first_byte() -> None:
    async with Host() as bob:
        log = Recording()
        log.attach(bob.trace)
        with pytest.raises(DialError):
            await bob.connect(f"/ip4/127.0.0.1/tcp/1/p2p/{Host().peer_id}")
        log.stop()
    setups = scene_of(log).setups
    assert setups
    assert all(setup.round_trips is None for setup in setups)
    assert all([stage.name for stage in setup.stages] == [DIAL] for setup in setups)


def test_one_end_alone_is_enough_to_draw() -> None:
    conversation = Conversation()
    conversation.connect()
    mine = [entry for entry in conversation.entries if entry.node == conversation.names[0]]
    mine.insert(
        0,
        Entry(
            0.0,
            mine[0].node,
            "host",
            "1",
            "event",
            0,
            DialStarted(conversation.names[1], "/ip4/1.2.3.4/tcp/1"),
        ),
    )
    scene = scene_of(mine)
    arrows = [arrow for arrow in scene.arrows if arrow.level == "messages"]
    assert len(arrows) == 4 + 3
    assert {(arrow.sender, arrow.sent_at is None) for arrow in arrows} == {(0, False), (1, True)}
    assert all(arrow.received_at is None for arrow in arrows if arrow.sender == 0)
    assert scene.entry(arrows[0].number) is arrows[0].entry
    assert scene.entry(len(scene.arrows)) is None
    svg = drawing(scene, "<one>", ["ann", "b & b"], scene.end)
    assert "b &amp; b" in svg
    assert "<one>" not in svg


def test_a_lost_packet_does_not_arrive_and_only_one_connection_is_counted_if_wanted() -> None:
    told = [
        Entry(
            0.0,
            "internet",
            "internet",
            "",
            "event",
            0,
            PacketSent(1, "data", "x", "y", "1.1.1.1:1", "2.2.2.2:2", 60, 1.0),
        ),
        Entry(0.5, "internet", "internet", "", "event", 0, PacketDropped(1, "", "lost")),
    ]
    scene = scene_of(told)
    (arrow,) = scene.arrows
    assert (arrow.received_at, arrow.lost) == (None, "lost")
    assert scene.lanes == ["x", "y"]
    log = list(first_byte())
    assert len(scene_of(log, "1").setups) == 1
    assert scene_of(log, "7").setups == []


def test_what_only_carries_others_is_left_out() -> None:
    carrier = Entry(
        0.0, "a", "security", "1", "sent", 0, NoiseMessage(ciphertext=b"x", plaintext=b"y")
    )
    assert not is_wanted(carrier)
    assert is_wanted(Entry(0.0, "a", "negotiation", "1", "sent", 0, Line("/noise")))
    assert scene_of([carrier]).arrows == []
    assert scene_of([]).main_level() == "messages"


def test_a_long_trace_is_cut() -> None:
    opened = ConnectionOpened(
        "b", "outbound", "/memory/1", "/memory/2", "memory", "/noise", "/yamux/1.0.0"
    )
    entries = [Entry(0.0, "a", "host", "1", "event", 0, opened)]
    entries += [
        Entry(1.0, "a", "muxer", "1", "sent", n, DataFrame(1, 0, b"x"))
        for n in range(MAX_ARROWS + 7)
    ]
    scene = scene_of(entries)
    assert (len(scene.arrows), scene.more) == (MAX_ARROWS, 7)


def test_first_bytes_refuse_what_they_do_not_know() -> None:
    with pytest.raises(LocalError, match="tcp or quic"):
        first_byte(transport="pigeon")  # type: ignore[arg-type]


def test_nat_boxes_get_lanes_and_retransmissions_do_not_count() -> None:
    with Internet(seed=3, regions={("here", "there"): 0.1}) as net:
        box = net.nat("home", region="here")
        alice, bob = net.host("alice", region="there"), net.host("bob", nat=box)
        log = Recording()
        for trace in (net.trace, alice.trace, bob.trace):
            log.attach(trace)
        for event in net.scene():
            log.take(Entry(0.0, "internet", "internet", "", "event", 0, event))
        net.drop_next()
        net.run(bob.connect(alice.addrs[0]))
        log.stop()
    scene = scene_of(log)
    assert "home" in scene.lanes
    connected = scene.setups[0].stage(CONNECTED)
    assert connected is not None
    assert connected.round_trips == 1
    assert connected.time > 0.5, "the first syn was lost, and TCP waited"


WHATS = st.one_of(
    st.builds(Line, st.sampled_from([PROTOCOL_ID, "/x/1", "na"])),
    st.builds(DataFrame, st.integers(0, 5), st.integers(0, 15), st.binary(max_size=8)),
    st.binary(max_size=8),
    st.sampled_from(
        [
            DialStarted("b", "/ip4/127.0.0.1/tcp/1"),
            DialStarted("a", "/memory/1"),
            StreamStarted("b", "/x/1", "outbound"),
            ConnectionOpened("b", "outbound", "/memory/1", "/memory/2", "memory", "", ""),
            ConnectionOpened("a", "inbound", "/memory/2", "/memory/1", "memory", "", ""),
            ConnectionOpened("a", "inbound", "", "", "", "", ""),
            PacketSent(1, "ack", "x", "y", "1.1.1.1:1", "2.2.2.2:2", 60, 1.0),
            PacketSent(2, "datagram", "x", "y", "bad", "worse", 60, 1.0),
        ]
    ),
)
ENTRIES = st.builds(
    Entry,
    st.floats(0, 9),
    st.sampled_from(["a", "b", "internet"]),
    st.sampled_from(
        ["negotiation", "muxer", "stream", "transport", "host", "security", "internet"]
    ),
    st.sampled_from(["1", "1/1", "2", ""]),
    st.sampled_from(["sent", "received", "event"]),
    st.integers(0, 3),
    WHATS,
)


@given(st.lists(ENTRIES, max_size=40))
def test_any_trace_can_be_drawn(entries: list[Entry]) -> None:
    scene = scene_of(entries)
    for arrow in scene.arrows:
        assert 0 <= arrow.sender < len(scene.lanes) > arrow.receiver >= 0
    assert drawing(scene, "", scene.lanes, scene.end - scene.start) or not scene.arrows
