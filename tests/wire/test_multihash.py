"""Multihash against every row of the multiformats vectors that Python can compute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.wire import multihash
from tests.support import load_vectors

VECTORS = load_vectors("multihash.json")["vectors"]
# hashlib has SHA-3 as NIST published it, not the older Keccak with its other padding.
NOT_IN_HASHLIB = {"keccak-224", "keccak-256", "keccak-384", "keccak-512"}
ALIASES = {"sha3": "sha3-512"}
GOOD = [row for row in VECTORS if row.get("valid", True)]
COMPUTED = [row for row in GOOD if row["algorithm"] not in NOT_IN_HASHLIB]
PARSED_ONLY = [row for row in GOOD if row["algorithm"] in NOT_IN_HASHLIB]
BAD = [row for row in VECTORS if not row.get("valid", True)]


def test_only_keccak_is_left_out() -> None:
    assert {row["algorithm"] for row in PARSED_ONLY} == NOT_IN_HASHLIB
    assert len(COMPUTED) + len(PARSED_ONLY) + len(BAD) == len(VECTORS) == 279


@pytest.mark.parametrize("row", COMPUTED, ids=lambda row: row["id"])
def test_vector(row) -> None:
    name = ALIASES.get(row["algorithm"], row["algorithm"])
    data, expected = row["input_text"].encode(), bytes.fromhex(row["multihash"])
    length = row["bits"] // 8 if "bits" in row else None
    assert multihash.digest(name, data, length) == expected
    assert multihash.verify(expected, data)
    assert not multihash.verify(expected, data + b"!")
    assert multihash.decode(expected).name == name


@pytest.mark.parametrize("row", PARSED_ONLY, ids=lambda row: row["id"])
def test_vector_that_is_only_parsed(row) -> None:
    data = bytes.fromhex(row["multihash"])
    parsed = multihash.decode(data)
    assert parsed.name == row["algorithm"]
    assert multihash.encode(*parsed) == data
    with pytest.raises(LocalError):
        multihash.verify(data, row["input_text"].encode())


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["id"])
def test_invalid_vector(row) -> None:
    with pytest.raises(MalformedMessage):
        multihash.decode(bytes.fromhex(row["multihash"]))


ABC = [  # of "abc"; FIPS 180, RFC 7693 appendices A and B
    ("sha2-224", "93201c23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    ("blake2s-256", "e0e40220508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),
    (
        "blake2b-512",
        "c0e40240"
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    ),
]


@pytest.mark.parametrize(("name", "expected"), ABC)
def test_functions_without_vectors(name, expected) -> None:
    assert multihash.digest(name, b"abc").hex() == expected


def test_identity_is_no_hash() -> None:
    made = multihash.digest("identity", b"hello")
    assert made == b"\x00\x05hello"
    assert multihash.decode(made).digest == b"hello"
    assert multihash.verify(made, b"hello")


@pytest.mark.parametrize("name", ["sha1", "sha2-256", "sha3-224", "keccak-512", "blake2s-8"])
def test_a_digest_longer_than_its_function_gives(name) -> None:
    code, full, _ = multihash.FUNCTIONS[name]
    assert multihash.decode(multihash.encode(code, bytes(full))).name == name
    with pytest.raises(MalformedMessage, match=name):
        multihash.decode(multihash.encode(code, bytes(full + 1)))


def test_a_function_that_the_table_lacks_may_give_any_length() -> None:
    parsed = multihash.decode(multihash.encode(0xD5, bytes(100)))
    assert (parsed.name, len(parsed.digest)) == ("0xd5", 100)


@pytest.mark.parametrize(("name", "length"), [("nosuch", None), ("sha1", 21), ("sha1", -1)])
def test_wrong_requests(name, length) -> None:
    with pytest.raises(LocalError):
        multihash.digest(name, b"", length)


@given(st.sampled_from(sorted(set(multihash.FUNCTIONS) - NOT_IN_HASHLIB)), st.binary(max_size=99))
def test_round_trip(name, data) -> None:
    made = multihash.digest(name, data)
    assert multihash.decode(made).name == name
    assert multihash.encode(*multihash.decode(made)) == made
    assert multihash.verify(made, data)


@given(st.binary(max_size=80))
def test_any_bytes_end_in_a_value_or_a_remote_error(data) -> None:
    try:
        parsed = multihash.decode(data)
    except MalformedMessage:
        return
    assert multihash.encode(*parsed) == data
