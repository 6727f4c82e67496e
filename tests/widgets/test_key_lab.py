"""Each stage from key to id, on the vectors; each poke and what the decoder says to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import KeyPair, LocalError, PeerId, PublicKey
from libp2p_lab.widgets import KeyLab
from libp2p_lab.widgets.fields import covers
from libp2p_lab.widgets.key_anatomy import (
    LENGTH_PADDED,
    SHORTEST,
    TYPE_PADDED,
    Pokes,
    anatomy,
    boundary,
)
from tests.support import load_vectors
from tests.widgets.conftest import Open

PAIRS = [
    vector
    for vector in load_vectors("keys_and_peer_ids.json")["vectors"]
    if {"public_pb", "peer_id_bytes"} <= vector.keys()
]
ED25519 = PublicKey.from_protobuf(bytes.fromhex(PAIRS[0]["public_pb"]))


@pytest.mark.parametrize("vector", PAIRS, ids=[vector["id"] for vector in PAIRS])
def test_the_vectors(vector: dict[str, str]) -> None:
    found = anatomy(PublicKey.from_protobuf(bytes.fromhex(vector["public_pb"])))
    assert found.encoded.data.hex() == vector["public_pb"]
    assert found.multihash.data.hex() == vector["peer_id_bytes"]
    assert found.base58 == found.original == vector["peer_id"]
    assert found.cid_text == vector["peer_id_cid"]
    assert found.is_accepted
    assert found.base58.startswith(found.prefix)


def test_why_every_ed25519_id_begins_alike() -> None:
    found = anatomy(ED25519)
    assert found.prefix == "12D3KooW"
    assert found.fixed == "00 24 08 01 12 20"
    assert found.lowest < found.base58 < found.highest


@given(st.binary(min_size=32, max_size=32))
def test_all_ed25519_ids_lie_between(raw: bytes) -> None:
    found = anatomy(ED25519)
    text = str(PeerId(bytes.fromhex("0024080112 20".replace(" ", "")) + raw))
    assert text.startswith(found.prefix)


@pytest.mark.parametrize(
    "pokes",
    [
        Pokes(varint=TYPE_PADDED),
        Pokes(varint=LENGTH_PADDED),
        Pokes(is_swapped=True),
        Pokes(frozenset({0})),
        Pokes(frozenset({1})),
        Pokes(frozenset({3})),
    ],
)
def test_pokes_that_the_decoder_refuses(pokes: Pokes) -> None:
    found = anatomy(ED25519, pokes)
    assert not found.is_accepted
    assert found.verdict.startswith("Refused")
    assert found.base58 != found.original  # had it been taken, one key would have two names
    assert found.prefix == "12D3KooW"


def test_a_byte_of_the_key_makes_another_peer() -> None:
    found = anatomy(ED25519, Pokes(frozenset({20})))
    assert found.is_accepted
    assert "another key" in found.verdict
    assert found.base58 != found.original
    assert anatomy(ED25519, Pokes().flip(20).flip(20)) == anatomy(ED25519)


pokes = st.builds(
    Pokes,
    st.frozensets(st.integers(0, 120), max_size=4),
    st.sampled_from((SHORTEST, TYPE_PADDED, LENGTH_PADDED)),
    st.booleans(),
)


@given(pokes, st.sampled_from(PAIRS))
def test_every_stage_is_covered_whatever_is_poked(poke: Pokes, vector: dict[str, str]) -> None:
    found = anatomy(PublicKey.from_protobuf(bytes.fromhex(vector["public_pb"])), poke)
    for stage in (found.encoded, found.multihash, found.cid):
        assert covers(stage.fields, 0, len(stage.data))
        if stage.key_start >= 0:
            assert stage.data[stage.key_start :] == found.encoded.data


def test_the_boundary() -> None:
    assert boundary(42)["is_inline"]
    assert boundary(42)["head"] == "00 2a"
    assert not boundary(43)["is_inline"]
    assert boundary(43)["head"] == "12 20"


async def test_the_page_pokes(open_page: Open) -> None:
    page = open_page(KeyLab(ED25519))
    assert page.of("key")[-1]["base58"] == PAIRS[0]["peer_id"]
    page.tell("varint", which="length")
    assert page.of("key")[-1]["is_accepted"] is False
    page.tell("swap", value=True)
    assert page.of("key")[-1]["pokes"] == {"flipped": [], "varint": "length", "is_swapped": True}
    page.tell("reset")
    page.tell("flip", position=30)
    assert page.of("key")[-1]["pokes"]["flipped"] == [30]
    page.tell("length", value=43)
    assert page.of("boundary")[-1]["boundary"]["is_inline"] is False
    before = len(page.of("key"))
    page.tell("key_type", name="secp256k1")
    assert (await page.wait_for("key", before + 1))["base58"].startswith("16Uiu2HA")
    page.tell("key_type", name="dsa")
    page.tell("flip", position="x")


async def test_no_private_key_reaches_the_page(open_page: Open) -> None:
    key = KeyPair.generate()
    page = open_page(KeyLab(key))
    secret = key.to_protobuf()[4:36].hex()
    assert secret not in str(page.sent)


def test_from_python(open_page: Open) -> None:
    lab = KeyLab(ED25519)
    lab.poke(swap=True)
    assert not lab.anatomy.is_accepted
    lab.use(KeyPair.generate("ecdsa"))
    assert lab.anatomy.base58.startswith("Qm")
    with pytest.raises(LocalError):
        lab.poke(varint="both")
    with pytest.raises(LocalError):
        KeyLab("key")  # type: ignore[arg-type]


def test_the_static_form() -> None:
    bundle = KeyLab(ED25519)._repr_mimebundle_()
    assert PAIRS[0]["peer_id"] in bundle["text/plain"]
    assert "08 01 12 20" in bundle["text/plain"]
    assert "lab-run" in bundle["text/html"]
