"""Yamux frames: the vectors, round trips, garbage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.multiplexing.yamux_frames import (
    HEADER,
    HEADER_LENGTH,
    DataFrame,
    Flags,
    FrameType,
    GoAway,
    Ping,
    WindowUpdate,
    decode,
    decode_header,
)
from tests.support import load_vectors

VECTORS = load_vectors("yamux_frames.json")["vectors"]
TYPES = {
    "data": FrameType.DATA,
    "window-update": FrameType.WINDOW_UPDATE,
    "ping": FrameType.PING,
    "go-away": FrameType.GO_AWAY,
}
U32 = st.integers(0, (1 << 32) - 1)
FLAGS = st.integers(0, 15)
FRAMES = st.one_of(
    st.builds(DataFrame, U32, FLAGS, st.binary(max_size=50)),
    st.builds(WindowUpdate, U32, FLAGS, U32),
    st.builds(Ping, FLAGS, U32),
    st.builds(GoAway, U32),
)


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["id"])
def test_header_vectors(row) -> None:
    data = bytes.fromhex(row["hex"])
    kind, flags, stream_id, length = decode_header(data)
    assert kind is TYPES[row["type"]]
    assert {flag.name for flag in Flags if flags & flag} == set(row["flags"])
    assert (stream_id, length) == (row["stream_id"], row["length"])
    assert HEADER.pack(0, kind, flags, stream_id, length) == data
    if kind is not FrameType.DATA:
        assert decode(data).encode() == data


@given(FRAMES)
def test_frames_round_trip(frame) -> None:
    assert decode(frame.encode()) == frame


@given(st.binary(max_size=40))
def test_any_bytes_are_a_frame_or_malformed(data) -> None:
    try:
        frame = decode(data)
    except MalformedMessage:
        return
    assert decode(frame.encode()) == frame
    assert len(frame.encode()) == len(data)


@pytest.mark.parametrize("length", range(HEADER_LENGTH))
def test_a_header_cut_off(length) -> None:
    with pytest.raises(MalformedMessage):
        decode(Ping(1, 7).encode()[:length])


@pytest.mark.parametrize("data", [b"\x01" + bytes(11), b"\x00\x04" + bytes(10), b"\xff" * 12])
def test_other_versions_and_types(data) -> None:
    with pytest.raises(MalformedMessage):
        decode_header(data)
