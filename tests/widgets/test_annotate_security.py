"""TLS records, the plaintext exchange and mplex frames, taken apart."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import TLS, Host, Mplex, Ping, Plaintext, record
from libp2p_lab.multiplexing.mplex_frames import Flag, MplexFrame
from libp2p_lab.recording.json_lines import load, save
from libp2p_lab.recording.summary import summary
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.tls_records import TlsRecord
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.annotate import annotate
from libp2p_lab.widgets.wire_log import WireLog
from tests.widgets.test_annotate import entry, named, walk, whole


def test_a_record_is_type_version_length_and_what_is_inside() -> None:
    record_ = TlsRecord(bytes.fromhex("1703030019") + bytes(25), b"12345678")
    message = annotate(entry(record_, number=4))
    assert [(f.name, f.start, f.end) for f in message.fields] == [
        ("type", 0, 1),
        ("version", 1, 3),
        ("length", 3, 5),
        ("message", 5, 30),
    ]
    assert named(message, "type").value == "23 (application data)"
    assert named(message, "length").value == "25"
    assert message.title == "TLS record 4: 8 bytes inside"


def test_an_mplex_frame_is_header_length_and_body() -> None:
    frame = MplexFrame(17, Flag.MESSAGE_INITIATOR, b"hello")
    message = annotate(entry(frame, "muxer"))
    assert message.data == bytes.fromhex("8a0105") + b"hello"
    assert [(f.name, f.start, f.end) for f in message.fields] == [
        ("header", 0, 2),
        ("length", 2, 3),
        ("body", 3, 8),
    ]
    assert message.title == "mplex message initiator stream 17, 5 bytes"


@given(st.binary(max_size=100), st.binary(max_size=50))
def test_whatever_stands_in_a_record(data, plaintext) -> None:
    assert whole(annotate(entry(TlsRecord(data, plaintext))))


@given(st.integers(0, 1 << 40), st.sampled_from(Flag), st.binary(max_size=50))
def test_whatever_stands_in_an_mplex_frame(stream_id, flag, data) -> None:
    assert whole(annotate(entry(MplexFrame(stream_id, flag, data), "muxer")))


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_whatever_stands_in_an_exchange(peer_id, key) -> None:
    assert whole(annotate(entry(Exchange(peer_id, key))))


async def recorded_ping(**parts) -> list[Entry]:
    """What two hosts tell of one ping."""
    async with (
        Host(listen=["/ip4/127.0.0.1/tcp/0"], services=[Ping()], **parts) as bob,
        Host(services=[Ping()], **parts) as alice,
    ):
        with record(alice, bob) as log:
            await alice.connect(bob.addrs[0])
            await alice.ping(bob.peer_id)
            await asyncio.sleep(0.01)
    return list(log)


STACKS = {
    "tls, yamux": {"security": (TLS,)},
    "tls, mplex": {"security": (TLS,), "muxers": (Mplex,)},
    "plaintext, mplex": {"security": (Plaintext,), "muxers": (Mplex,)},
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
async def test_a_live_recording_is_taken_apart_and_kept(stack, tmp_path) -> None:
    parts = {name: [kind() for kind in kinds] for name, kinds in stack.items()}
    entries = await recorded_ping(**parts)
    log = WireLog()
    for each in entries:
        log.take(each)
    for row in log.rows:
        assert whole(log.open(row)), row.entry
        assert summary(row.entry.what)
    save(tmp_path / "log", entries, epoch=0.0, dropped=0)
    again, _, _ = load(tmp_path / "log")
    assert [each.payload() for each in again] == [each.payload() for each in entries]


async def test_inside_a_record_stand_the_muxers_frames() -> None:
    log = WireLog()
    for each in await recorded_ping(security=[TLS()]):
        log.take(each)
    opened = [log.open(row) for row in log.rows if isinstance(row.entry.what, TlsRecord)]
    names = {item.name for message in opened for item in walk(message.fields)}
    assert {"stream id", "flags", "delta"} & names
