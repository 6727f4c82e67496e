"""Signatures, policies and names of messages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import ProtocolViolation, RecordInvalid, RemoteError
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.pubsub_messages import Message
from libp2p_lab.pubsub.signing import (
    SignaturePolicy,
    check,
    default_message_id,
    sign,
    signed_bytes,
    verify,
)
from libp2p_lab.wire import protobuf
from tests.support import load_vectors

KEYS = {kind: KeyPair.generate(kind) for kind in ("ed25519", "secp256k1", "ecdsa", "rsa")}
STRICT, NONE = SignaturePolicy.STRICT_SIGN, SignaturePolicy.STRICT_NO_SIGN
LAX, LAX_NONE = SignaturePolicy.LAX_SIGN, SignaturePolicy.LAX_NO_SIGN


def unsigned(kind: str = "ed25519", data: bytes = b"hello") -> Message:
    author = PeerId.from_public_key(KEYS[kind].public)
    return Message("topic", data, author.multihash, (7).to_bytes(8, "big"))


def signed(kind: str = "ed25519", data: bytes = b"hello") -> Message:
    return sign(unsigned(kind, data), KEYS[kind])


@pytest.mark.parametrize("kind", KEYS)
def test_what_is_signed_verifies_whatever_the_key(kind: str) -> None:
    message = signed(kind)
    assert verify(message) == PeerId.from_public_key(KEYS[kind].public)
    assert (message.key is None) == (kind in ("ed25519", "secp256k1")), "the id holds short keys"
    check(message, STRICT)


def test_the_signed_bytes_are_the_prefix_and_four_fields() -> None:
    message = signed()
    assert message.from_peer is not None
    assert message.seqno is not None
    fields = (
        protobuf.bytes_field(1, message.from_peer)
        + protobuf.bytes_field(2, b"hello")
        + protobuf.bytes_field(3, message.seqno)
        + protobuf.bytes_field(4, b"topic")
    )
    assert signed_bytes(message) == b"libp2p-pubsub:" + fields


@given(
    st.sampled_from(["data", "topic", "seqno", "from_peer", "signature", "key"]),
    st.binary(min_size=1, max_size=40),
)
def test_no_field_can_be_changed(name: str, value: bytes) -> None:
    message = signed("rsa")
    new = value.hex() if name == "topic" else value
    if getattr(message, name) == new:
        return
    with pytest.raises(RecordInvalid):
        verify(replace(message, **{name: new}))


def test_another_peers_key_is_refused() -> None:
    stranger = KEYS["secp256k1"]
    forged = replace(unsigned(), signature=stranger.sign(signed_bytes(unsigned())))
    for message in (forged, replace(forged, key=stranger.public.to_protobuf())):
        with pytest.raises(RecordInvalid):
            verify(message)


def test_without_the_prefix_it_does_not_verify() -> None:
    message = unsigned()
    bare = KEYS["ed25519"].sign(message.encode())
    with pytest.raises(RecordInvalid):
        verify(replace(message, signature=bare))


ANONYMOUS = Message("topic", b"hello")


@pytest.mark.parametrize(
    ("policy", "message", "accepted"),
    [
        (STRICT, signed(), True),
        (STRICT, unsigned(), False),
        (STRICT, ANONYMOUS, False),
        (STRICT, replace(signed(), signature=b"x" * 64), False),
        (NONE, ANONYMOUS, True),
        (NONE, signed(), False),
        (NONE, unsigned(), False),
        (NONE, replace(ANONYMOUS, key=b"k"), False),
        (NONE, replace(ANONYMOUS, seqno=b""), False),
        (LAX, signed(), True),
        (LAX, unsigned(), True),
        (LAX, ANONYMOUS, True),
        (LAX, replace(signed(), data=b"other"), False),
        (LAX_NONE, signed(), True),
        (LAX_NONE, ANONYMOUS, True),
        (LAX_NONE, replace(signed(), data=b"other"), False),
    ],
)
def test_policies(policy: SignaturePolicy, message: Message, accepted: bool) -> None:
    if accepted:
        check(message, policy)
    else:
        with pytest.raises(RemoteError):
            check(message, policy)


@pytest.mark.parametrize("seqno", [None, b"", b"1234567", b"123456789"])
def test_a_signed_seqno_has_eight_bytes(seqno: bytes | None) -> None:
    message = sign(replace(unsigned(), seqno=seqno), KEYS["ed25519"])
    with pytest.raises(ProtocolViolation):
        check(message, STRICT)


def test_the_policies_that_sign() -> None:
    assert [p.value for p in SignaturePolicy if p.signs] == ["StrictSign", "LaxSign"]


def test_default_ids_are_author_and_number() -> None:
    (vector,) = load_vectors("pubsub.json")["vectors"]
    key = KeyPair.from_protobuf(bytes.fromhex(vector["private_pb"]))
    author = PeerId.from_public_key(key.public)
    assert str(author) == vector["peer_id"]
    seqno = bytes.fromhex(vector["seqno"])
    message = sign(Message("t", b"", author.multihash, seqno), key)
    check(message, STRICT)
    assert default_message_id(message) == author.multihash + seqno
