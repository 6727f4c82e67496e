"""Recordings: bounds, filters, pairs across nodes, lines of JSON, pcapng that others can read, tables."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import LocalError
from libp2p_lab.host import Echo, Identify, Ping
from libp2p_lab.host.events import ConnectionOpened
from libp2p_lab.multiplexing.yamux_frames import DataFrame, GoAway, WindowUpdate
from libp2p_lab.negotiation import Line
from libp2p_lab.recording import Recording
from libp2p_lab.recording.json_lines import CLASSES
from libp2p_lab.recording.pairs import partners
from libp2p_lab.recording.summary import summary
from libp2p_lab.security.noise import NoiseMessage, SessionKeys
from libp2p_lab.trace import LAYERS, Entry, Trace

TCP_ADDR = "/ip4/127.0.0.1/tcp/0"


@pytest.fixture
async def talk() -> Recording:
    """Two hosts: identify, a ping and an echo, recorded with secrets."""
    services = lambda: [Identify(), Ping(), Echo()]  # noqa: E731
    async with (
        lab.Host(listen=[TCP_ADDR], services=services()) as alice,
        lab.Host(services=services()) as bob,
    ):
        with lab.record(alice, [bob], secrets=True) as log:
            await bob.connect(alice.addrs[0])
            await bob.identify_result(alice.peer_id)
            await bob.ping(alice.peer_id)
            stream = await bob.open_stream(alice.peer_id, "/echo/1.0.0")
            await stream.write(b"hello")
            await stream.close_write()
            assert await stream.read() == b"hello"
            await bob.disconnect(alice.peer_id)
    return log


def entry(what: object, number: int = 0, **fields: object) -> Entry:
    given = {"node": "alice", "layer": "muxer", "link": "1", "direction": "sent", **fields}
    return Entry(time=float(number), number=number, what=what, **given)


# -- what is taken ---------------------------------------------------------------------------------


async def test_every_layer_is_there(talk) -> None:
    assert {entry.layer for entry in talk} >= {*LAYERS, "ping", "identify"}
    assert not talk.is_running
    assert talk.dropped == 0


async def test_times_never_go_back_and_numbers_count(talk) -> None:
    for node in {entry.node for entry in talk}:
        times = [entry.time for entry in talk if entry.node == node]
        assert times == sorted(times)
        for direction in ("sent", "received"):
            frames = talk.filter(layer="muxer", node=node, direction=direction)
            assert [entry.number for entry in frames] == list(range(len(frames)))


async def test_what_one_sent_the_other_received(talk) -> None:
    pairs = talk.pairs()
    assert len(pairs) > 20
    for pair in pairs:
        if pair.sent.layer == "identify":
            continue  # counted by nobody
        assert pair.received, pair.sent
        assert pair.delay is not None
        assert pair.delay >= 0
        assert {one.node for one in pair.received} != {pair.sent.node}
        if pair.sent.layer in ("muxer", "security", "negotiation"):
            assert pair.received[0].payload() == pair.sent.payload()


async def test_a_quic_connections_two_ends_find_each_other() -> None:
    async with (
        lab.Host(listen=["/ip4/127.0.0.1/udp/0/quic-v1"]) as alice,
        lab.Host() as bob,
        lab.Host() as carol,
    ):
        with lab.record(alice, bob, carol) as log:
            await bob.ping(alice.addrs[0])
            await carol.ping(alice.addrs[0])
    # The dialer's socket is bound to no address: what it says of itself is a port.
    opened = [entry for entry in log if isinstance(entry.what, ConnectionOpened)]
    assert len(partners(log)) == len(opened) == 4
    arrived = [pair for pair in log.pairs() if pair.sent.layer == "stream" and pair.received]
    assert {pair.received[0].node for pair in arrived} == {
        str(one.peer_id) for one in (alice, bob, carol)
    }


def test_the_oldest_make_room() -> None:
    by_count = Recording(max_entries=3)
    by_size = Recording(max_bytes=5000)
    for number in range(10):
        by_count.take(entry(b"x", number))
        by_size.take(entry(bytes(1000), number))
    assert [one.number for one in by_count] == [7, 8, 9]
    assert by_count.dropped == 7
    assert 1 <= len(by_size) <= 4
    assert by_size[-1].number == 9
    assert by_size.dropped == 10 - len(by_size)
    by_count.clear()
    assert (len(by_count), by_count.dropped) == (0, 0)


def test_only_what_is_wanted() -> None:
    trace = Trace("alice")
    with lab.record(trace, wanted=lambda one: one.layer == "host") as log:
        for layer in ("host", "muxer"):
            trace.listeners[0](entry("x", layer=layer))
    assert [one.layer for one in log] == ["host"]
    assert trace.listeners == ()
    with pytest.raises(LocalError, match="nothing to record"):
        lab.record()


async def test_secrets_are_recorded_only_when_asked_for(talk) -> None:
    assert talk.filter(kind=SessionKeys)
    async with lab.Host(listen=[TCP_ADDR]) as alice, lab.Host() as bob:
        with lab.record(alice, bob) as log:
            await bob.connect(alice.addrs[0])
            await bob.ping(alice.peer_id)
    assert log.filter(kind=NoiseMessage)
    assert not log.filter(kind=SessionKeys)


async def test_filters(talk) -> None:
    nodes = sorted({one.node for one in talk})
    assert len(talk.filter(node=nodes[0])) + len(talk.filter(node=nodes[1])) == len(talk)
    assert {one.link.partition("/")[0] for one in talk.filter(link="1")} == {"1"}
    assert all(one.link == "1/1" for one in talk.filter(link="1/1"))
    assert all(one.link == "" for one in talk.filter(link=""))
    assert {type(one.what) for one in talk.filter(kind=(Line, DataFrame))} == {Line, DataFrame}
    long = talk.filter(lambda one: len(one.payload()) > 100, layer=("muxer", "security"))
    assert all(len(one.payload()) > 100 for one in long)


# -- kept ------------------------------------------------------------------------------------------


async def test_saved_and_read_again(talk, tmp_path) -> None:
    talk.save(tmp_path / "talk.jsonl")
    again = Recording.load(tmp_path / "talk.jsonl")
    assert again.entries == talk.entries
    assert (again.epoch, again.dropped) == (talk.epoch, talk.dropped)
    lines = (tmp_path / "talk.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == len(talk) + 1
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert [pair.received != () for pair in again.pairs()] == [
        pair.received != () for pair in talk.pairs()
    ]


PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=10), st.binary(max_size=9)
)


@given(st.lists(PLAIN, max_size=5), st.integers(0, 100))
def test_any_plain_value_survives(values, dropped) -> None:
    import tempfile
    from pathlib import Path

    recording = Recording([entry(value, n) for n, value in enumerate(values)])
    recording.dropped = dropped
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jsonl"
        recording.save(path)
        assert Recording.load(path).entries == recording.entries


@pytest.mark.parametrize(
    "text",
    ["", "{}\n", "nonsense\n", '{"format": "libp2p_lab trace", "version": 99}\n', "[1]\n"],
)
def test_what_is_no_recording_is_refused(text, tmp_path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(LocalError):
        Recording.load(path)


async def test_a_line_that_is_cut_off_is_named(talk, tmp_path) -> None:
    path = tmp_path / "x.jsonl"
    talk.save(path)
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:5], lines[5][:20]]))
    with pytest.raises(LocalError, match="6"):
        Recording.load(path)


# -- pcapng ----------------------------------------------------------------------------------------


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """The file's blocks, by the format's rules and nobody else's code."""
    found = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        found.append((kind, data[8 : length - 4]))
        data = data[length:]
    return found


async def test_pcapng_by_its_own_rules(talk, tmp_path) -> None:
    talk.save_pcapng(tmp_path / "talk.pcapng")
    found = blocks((tmp_path / "talk.pcapng").read_bytes())
    kinds = [kind for kind, _ in found]
    layers = {one.layer for one in talk}
    assert kinds[0] == 0x0A0D0D0A
    assert kinds[1 : 1 + len(layers)] == [1] * len(layers)
    assert kinds[1 + len(layers) :] == [6] * len(talk)
    assert struct.unpack_from("<IHH", found[0][1]) == (0x1A2B3C4D, 1, 0)
    packets = [body for kind, body in found if kind == 6]
    assert any(b"hello" in body for body in packets), "what was encrypted stands in the clear"
    for body in packets:
        interface, _, _, captured, original = struct.unpack_from("<IIIII", body)
        assert interface < len(layers)
        assert captured <= original <= 1 << 20


async def test_wireshark_reads_it(talk, tmp_path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        return  # the format's rules are checked above
    talk.save_pcapng(tmp_path / "talk.pcapng")
    command = [tshark, "-r", tmp_path / "talk.pcapng"]
    shown = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True
    )
    assert len(shown.stdout.splitlines()) == len(talk)


# -- shown -----------------------------------------------------------------------------------------


async def test_a_table(talk) -> None:
    pandas = pytest.importorskip("pandas")
    frame = talk.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(talk)
    assert frame["time"].min() == 0
    assert set(frame["layer"]) == {one.layer for one in talk}
    assert (frame["size"] >= 0).all()
    assert len(Recording().to_frame()) == 0


async def test_everything_has_a_summary_of_one_line(talk) -> None:
    for one in talk:
        text = summary(one.what)
        assert text
        assert "\n" not in text
        assert len(text) < 400
    assert summary(DataFrame(3, 1, b"abc")) == "data on stream 3 (SYN): 3 bytes"
    assert summary(WindowUpdate(3, 0, 7)) == "window of stream 3: +7"
    assert summary(GoAway(1)) == "go away: 1"


def test_every_class_that_can_be_read_again_is_named_once() -> None:
    names = [f"{one.__module__.rpartition('.')[2]}.{one.__name__}" for one in CLASSES]
    assert len(names) == len(set(names))
    assert ConnectionOpened in CLASSES
