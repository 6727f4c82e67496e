"""Peer ids in all their forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity import KeyPair, PeerId, PublicKey
from libp2p_lab.wire import multibase, multihash
from tests.support import load_vectors

VECTORS = load_vectors("keys_and_peer_ids.json")["vectors"]
NAMED = [row for row in VECTORS if "peer_id" in row and row.get("valid", True)]
BAD = [row for row in VECTORS if "peer_id" in row and not row.get("valid", True)]
ED25519 = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

peer_ids = st.one_of(
    st.binary(min_size=1, max_size=42).map(lambda key: bytes((0, len(key))) + key),
    st.binary(min_size=32, max_size=32).map(lambda digest: b"\x12\x20" + digest),
).map(PeerId)


@pytest.mark.parametrize("row", NAMED, ids=lambda row: row["id"])
def test_vector(row) -> None:
    peer_id = PeerId.from_text(row["peer_id"])
    assert str(peer_id) == row["peer_id"]
    if "peer_id_bytes" in row:
        assert bytes(peer_id) == peer_id.multihash == bytes.fromhex(row["peer_id_bytes"])
    if "peer_id_cid" in row:
        assert peer_id.to_cid() == row["peer_id_cid"]
        assert PeerId.from_text(row["peer_id_cid"]) == peer_id
    if "multihash" in row:
        assert multihash.decode(peer_id.multihash).name == row["multihash"]


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["id"])
def test_invalid_vector(row) -> None:
    with pytest.raises(LocalError):
        PeerId.from_text(row["peer_id"])


@pytest.mark.parametrize(
    ("name", "inside", "start"),
    [
        ("ed25519", True, "12D3KooW"),
        ("secp256k1", True, "16Uiu2HA"),
        ("ecdsa", False, "Qm"),
        ("rsa", False, "Qm"),
    ],
)
def test_short_keys_stand_in_the_id(name, inside, start) -> None:
    public = KeyPair.generate(name).public
    peer_id = PeerId.from_public_key(public)
    assert str(peer_id).startswith(start)
    assert peer_id.public_key() == (public if inside else None)
    assert multihash.verify(peer_id.multihash, public.to_protobuf())


def test_the_border_between_key_and_hash() -> None:
    """A key of 42 bytes stands in the id, one of 43 is hashed."""
    public = KeyPair.generate().public
    for length, first in ((38, 0x00), (39, 0x12)):
        key = PublicKey(public.type, bytes(length))  # no key, but of the right length
        assert len(key.to_protobuf()) == length + 4
        assert PeerId.from_public_key(key).multihash[0] == first


def test_an_id_that_holds_no_key() -> None:
    with pytest.raises(MalformedMessage):
        PeerId(b"\x00\x05hello").public_key()


def test_comparing_and_printing() -> None:
    one, two = PeerId.from_text(ED25519), PeerId(b"\x12\x20" + bytes(32))
    assert one == PeerId(one.multihash)
    assert one != two
    assert one != ED25519
    assert len({one, PeerId.from_text(ED25519), two}) == 2
    assert sorted([two, one]) == [one, two]  # by their bytes
    assert one.short() == "12D3KooW…7R3pq"
    assert PeerId(b"\0\x01x").short() == str(PeerId(b"\0\x01x"))
    assert repr(one) == f"PeerId('{ED25519}')"
    with pytest.raises(AttributeError):
        one.multihash = two.multihash  # type: ignore[misc]


@given(peer_ids, st.sampled_from([base.name for base in multibase.BASES]))
def test_every_form_is_read_again(peer_id, base) -> None:
    assert PeerId.from_text(str(peer_id)) == peer_id
    assert PeerId.from_text(peer_id.to_cid(base)) == peer_id
    assert PeerId(bytes(peer_id)) == peer_id


@given(st.binary(max_size=60))
def test_any_bytes_end_in_an_id_or_a_remote_error(data) -> None:
    try:
        peer_id = PeerId(data)
    except MalformedMessage:
        return
    assert PeerId.from_text(str(peer_id)).multihash == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00\x2b" + bytes(43),  # one byte more than may stand in an id
        b"\x12\x1f" + bytes(31),
        b"\x12\x21" + bytes(33),
        b"\x12\x20" + bytes(31),
        b"\x11\x14" + bytes(20),  # sha1
        b"\x80\x00\x01x",  # a padded code
    ],
)
def test_bytes_that_are_no_id(data) -> None:
    with pytest.raises(MalformedMessage):
        PeerId(data)


@given(st.one_of(st.text(max_size=80), st.text(alphabet="1Qm2zbkf", max_size=80)))
def test_any_text_ends_in_an_id_or_a_local_error(text) -> None:
    try:
        peer_id = PeerId.from_text(text)
    except LocalError:
        return
    assert PeerId.from_text(str(peer_id)) == peer_id


@pytest.mark.parametrize(
    "text",
    [
        ED25519 + "0",
        ED25519[:-1],
        "Qm",
        "1",
        multibase.encode(b"\x01\x55\x12\x20" + bytes(32)),  # a CID of raw bytes
        multibase.encode(b"\x00\x72\x12\x20" + bytes(32)),  # CID version 0
        multibase.encode(b"\x01\x72\x11\x14" + bytes(20)),  # sha1
        "z" * 100_000,
        "1" * 100_000,
    ],
)
def test_text_that_is_no_id(text) -> None:
    with pytest.raises(LocalError) as caught:
        PeerId.from_text(text)
    assert len(str(caught.value)) < 1000
