"""Unsigned varints against the multiformats vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.wire import varint
from tests.support import load_vectors

VECTORS = load_vectors("varint.json")["vectors"]
GOOD = [row for row in VECTORS if row["valid"]]
BAD = [row for row in VECTORS if not row["valid"]]


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["id"])
def test_vector(row) -> None:
    value, encoded = int(row["value"]), bytes.fromhex(row["hex"])
    assert varint.encode(value) == encoded
    assert varint.decode(encoded) == (value, len(encoded))
    assert varint.decode(b"\xff" + encoded + b"\xff", 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["id"])
def test_invalid_vector(row) -> None:
    with pytest.raises(MalformedMessage):
        varint.decode(bytes.fromhex(row["hex"]))


@pytest.mark.parametrize("value", [-1, 1 << 63, 1 << 200])
def test_values_that_do_not_fit_are_the_callers_fault(value) -> None:
    with pytest.raises(LocalError):
        varint.encode(value)


@given(st.integers(0, varint.MAX_VALUE))
def test_round_trip(value) -> None:
    encoded = varint.encode(value)
    assert varint.decode(encoded) == (value, len(encoded))


@given(st.binary(max_size=12))
def test_what_can_be_read_has_one_encoding(data) -> None:
    try:
        value, end = varint.decode(data)
    except MalformedMessage:
        return
    assert varint.encode(value) == data[:end]
