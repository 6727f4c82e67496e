"""CIDs, values and provider records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.content import (
    CID,
    Codec,
    Namespaces,
    PublicKeyValidator,
    ValueStore,
)
from libp2p_lab.errors import LabError, LimitExceeded, LocalError, MalformedMessage, RecordInvalid
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from tests.support import load_vectors

CIDS = load_vectors("cid.json")["vectors"]
ADDR = Multiaddr("/ip4/1.2.3.4/tcp/5")


@pytest.mark.parametrize("vector", CIDS, ids=lambda v: v["id"])
def test_vectors(vector: dict[str, object]) -> None:
    text, data = vector.get("text"), bytes.fromhex(str(vector.get("bytes", "")))
    if not vector.get("valid", True):
        with pytest.raises(LabError):
            _ = CID.from_text(str(text)) if text is not None else CID.decode(data)
        return
    cid = CID.from_text(str(text))
    assert cid.version == vector["version"]
    if "codec" in vector:
        assert Codec(cid.codec).name.lower().replace("_", "-") == vector["codec"]
    if data:
        assert cid.encode() == data
        assert CID.decode(data) == cid
    assert cid.to_v1().multihash == cid.multihash
    if "as_v1" in vector:  # the name of "abc", and not of the same bytes as the vector's text
        assert CID.from_text(str(vector["as_v1"])) == CID.of(b"abc", Codec.DAG_PB)
    if "text_base16" in vector:
        assert CID.from_text(str(vector["text_base16"])) == cid
        assert cid.to_text("base16") == vector["text_base16"]


@given(
    st.binary(max_size=64),
    st.sampled_from(Codec),
    st.sampled_from(["base32", "base58btc", "base36", "base64url"]),
)
def test_a_cid_comes_back(data: bytes, codec: Codec, base: str) -> None:
    cid = CID.of(data, codec)
    assert CID.from_text(cid.to_text(base)) == cid
    assert CID.decode(cid.encode()) == cid
    assert cid.matches(data)
    assert not cid.matches(data + b"x")


@given(st.binary(max_size=60))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    try:
        cid = CID.decode(data)
    except MalformedMessage:
        return
    assert cid.encode() == data
    assert isinstance(cid.matches(b"x"), bool)


def test_short_digests_prove_nothing() -> None:
    assert not CID.decode(b"\x01\x55\x12\x00").matches(b"anything")
    assert CID.decode(b"\x01\x55\x00\x02hi").matches(b"hi")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Newest:
    """Values are numbers; the highest wins."""

    def validate(self, key: bytes, value: bytes) -> None:
        if not value.isdigit():
            raise RecordInvalid("not a number")

    def select(self, key: bytes, values: list[bytes]) -> int:
        return max(range(len(values)), key=lambda n: int(values[n]))


def test_public_keys_under_their_names() -> None:
    for kind in ("ed25519", "rsa"):
        key = KeyPair.generate(kind).public
        name = b"/pk/" + PeerId.from_public_key(key).multihash
        spaces = Namespaces({"pk": PublicKeyValidator()})
        spaces.validate(name, key.to_protobuf())
        stranger = KeyPair.generate().public.to_protobuf()
        for bad_key, value in ((name, stranger), (name, b""), (b"/pk/nobody", key.to_protobuf())):
            with pytest.raises(RecordInvalid):
                spaces.validate(bad_key, value)


@pytest.mark.parametrize("key", [b"", b"pk", b"/pk", b"/no/x", b"x/pk/y", b"/\xff/x"])
def test_keys_without_a_validator(key: bytes) -> None:
    with pytest.raises(RecordInvalid):
        Namespaces({"pk": PublicKeyValidator()}).validate(key, b"v")


def test_values_get_better_and_older() -> None:
    clock = Clock()
    store = ValueStore(Namespaces({"n": Newest()}), clock, Limits(dht_values=2, dht_value=20))
    store.put(b"/n/a", b"5")
    with pytest.raises(RecordInvalid):
        store.put(b"/n/a", b"4")
    with pytest.raises(RecordInvalid):
        store.put(b"/n/a", b"x")
    with pytest.raises(LimitExceeded):
        store.put(b"/n/a", b"9" * 20)
    clock.now += 10
    assert store.put(b"/n/a", b"5").received_at == clock.now, "saying it again keeps it alive"
    store.put(b"/n/b", b"1")
    with pytest.raises(LimitExceeded):
        store.put(b"/n/c", b"1")
    clock.now += Limits().dht_value_ttl
    assert store.get(b"/n/a") is None
    store.put(b"/n/c", b"1")
    assert len(store) == 1


def test_misuse_of_cids() -> None:
    for text in ("", "Qm", "nonsense", "z" * 600, "f0155122"):
        with pytest.raises(LocalError):
            CID.from_text(text)
    with pytest.raises(LocalError):
        CID(0, Codec.RAW, b"\x12\x20" + bytes(32))
    with pytest.raises(LocalError):
        CID(2, Codec.RAW, b"")
    assert issubclass(LocalError, LabError)
