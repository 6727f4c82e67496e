"""Multibase against every row of the multiformats vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError
from libp2p_lab.wire import multibase
from tests.support import load_vectors

VECTORS = load_vectors("multibase.json")["vectors"]
NAMES = [base.name for base in multibase.BASES]


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["id"])
def test_vector(row) -> None:
    data = bytes.fromhex(row["decoded_hex"])
    assert multibase.decode(row["encoded"]) == data
    if not row["decode_only"]:
        assert multibase.encode(data, row["encoding"]) == row["encoded"]


def test_the_vectors_cover_every_base() -> None:
    assert set(NAMES) == {row["encoding"] for row in VECTORS}


def test_alphabets_are_whole() -> None:
    for base in multibase.BASES:
        assert len(set(base.alphabet)) == len(base.alphabet), base.name
    assert [len(base.alphabet) for base in multibase.BASES] == [
        *(2, 8, 10, 16, 16),
        *[32] * 9,
        *(36, 36, 58, 58),
        *[64] * 4,
        256,
    ]


@given(st.binary(max_size=200), st.sampled_from(NAMES))
def test_round_trip(data, name) -> None:
    assert multibase.decode(multibase.encode(data, name)) == data


@given(st.sampled_from([base.prefix for base in multibase.BASES]), st.text(max_size=60))
def test_any_text_ends_in_bytes_or_a_local_error(prefix, rest) -> None:
    try:
        multibase.decode(prefix + rest)
    except LocalError:
        return


@given(st.sampled_from([b for b in multibase.BASES if not b.any_case]), st.data())
def test_one_text_for_the_same_bytes(base, data) -> None:
    text = base.prefix + data.draw(st.text(alphabet=base.alphabet + "=", max_size=40))
    try:
        decoded = multibase.decode(text)
    except LocalError:
        return
    assert multibase.encode(decoded, base.name) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "?", "?abc", "b0", "zI0Ol", "f0", "fxx", "babc=", "cmy", "cmy=====", "ub===", "b a"),
        *("bmz", "uZh", "9a", "kä", "z" + "1" * 5000, "12D3KooW"),
    ],
)
def test_bad_text(text) -> None:
    with pytest.raises(LocalError):
        multibase.decode(text)


def test_an_unknown_base_is_named() -> None:
    with pytest.raises(LocalError, match="base59"):
        multibase.encode(b"", "base59")


@given(st.binary(max_size=60))
def test_base58_without_prefix(data) -> None:
    text = multibase.base58_encode(data)
    assert multibase.base58_decode(text) == data
    assert multibase.encode(data, "base58btc") == "z" + text
