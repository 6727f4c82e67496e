"""The XX handshake by itself, message by message, and the ciphers that it ends with."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import HandshakeFailed, LabError, LimitExceeded, LocalError
from libp2p_lab.security.noise_xx import (
    MAX_MESSAGE,
    MAX_NONCE,
    TAG_LENGTH,
    XX,
    CipherState,
    NoiseHandshake,
)
from tests.support import load_vectors

VECTORS = load_vectors("noise_xx.json")["vectors"]


def key(data: bytes | str | int) -> X25519PrivateKey:
    if isinstance(data, int):
        data = random.Random(data).randbytes(32)
    raw = bytes.fromhex(data) if isinstance(data, str) else data
    return X25519PrivateKey.from_private_bytes(raw)


def pair(prologues: tuple[bytes, bytes] = (b"", b"")) -> tuple[NoiseHandshake, NoiseHandshake]:
    return (
        NoiseHandshake(is_initiator=True, static=key(1), ephemeral=key(2), prologue=prologues[0]),
        NoiseHandshake(is_initiator=False, static=key(3), ephemeral=key(4), prologue=prologues[1]),
    )


def shake_hands(*sides: NoiseHandshake, payloads: tuple[bytes, ...] = (b"", b"", b"")) -> None:
    for index, payload in enumerate(payloads):
        writer, reader = sides[index % 2], sides[1 - index % 2]
        message = writer.write_message(payload)
        assert reader.read_message(message.encode()).plaintext == payload


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_a_whole_transcript(vector) -> None:
    """Every message of both sides, byte by byte, in the handshake and after it."""
    sides = [
        NoiseHandshake(
            is_initiator=who == "init",
            static=key(vector[f"{who}_static"]),
            ephemeral=key(vector[f"{who}_ephemeral"]),
            prologue=bytes.fromhex(vector[f"{who}_prologue"]),
        )
        for who in ("init", "resp")
    ]
    messages = vector["messages"]
    for index, message in enumerate(messages[: len(XX)]):
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        written = sides[index % 2].write_message(payload)
        assert written.encode() == expected
        read = sides[1 - index % 2].read_message(expected)
        assert read == written
        assert read.plaintext == payload
    if vector.get("handshake_hash"):
        assert {side.symmetric.h.hex() for side in sides} == {vector["handshake_hash"]}
    ciphers = [side.split() for side in sides]
    assert len(messages) > len(XX)
    for index, message in enumerate(messages[len(XX) :], len(XX)):
        encrypt, decrypt = ciphers[index % 2][0], ciphers[1 - index % 2][1]
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        assert encrypt.encrypt(payload) == expected
        assert decrypt.decrypt(expected) == payload


def test_who_knows_what_after_each_message() -> None:
    """The pattern, seen in the fields: e in the clear, s encrypted, payloads encrypted from message 1 on."""
    alice, bob = pair()
    assert (alice.is_our_turn, bob.is_our_turn) == (True, False)
    first = alice.write_message(b"open")
    assert (len(first.ephemeral), first.static, first.payload) == (32, b"", b"open")
    assert bob.remote_ephemeral is None
    bob.read_message(first.encode())
    assert bob.remote_ephemeral is not None
    assert bob.remote_static is None
    second = bob.write_message(b"secret")
    assert (len(second.static), second.payload == b"secret") == (48, False)
    alice.read_message(second.encode())
    assert alice.remote_static is not None
    assert alice.remote_static.public_bytes_raw() == key(3).public_key().public_bytes_raw()
    third = alice.write_message(b"too")
    assert third.ephemeral == b""
    bob.read_message(third.encode())
    assert bob.remote_static is not None
    assert alice.is_finished
    assert bob.is_finished
    assert alice.symmetric.h == bob.symmetric.h


@given(st.tuples(*[st.binary(max_size=200)] * 3), st.binary(max_size=40))
def test_any_payloads_and_prologue(payloads, prologue) -> None:
    alice, bob = pair((prologue, prologue))
    shake_hands(alice, bob, payloads=payloads)
    (forth, from_bob), (back, from_alice) = alice.split(), bob.split()
    assert from_alice.decrypt(forth.encrypt(b"hello")) == b"hello"
    assert from_bob.decrypt(back.encrypt(b"hi")) == b"hi"


def test_another_prologue_is_another_handshake() -> None:
    alice, bob = pair((b"one", b"other"))
    bob.read_message(alice.write_message().encode())
    with pytest.raises(HandshakeFailed, match="tag"):
        alice.read_message(bob.write_message().encode())


def test_calls_at_the_wrong_moment_are_the_callers_fault() -> None:
    alice, bob = pair()
    with pytest.raises(LocalError):
        bob.write_message()
    with pytest.raises(LocalError):
        alice.read_message(bytes(32))
    with pytest.raises(LocalError):
        alice.split()
    shake_hands(alice, bob)
    for side in (alice, bob):
        with pytest.raises(LocalError):
            side.write_message()
        with pytest.raises(LocalError):
            side.read_message(bytes(100))


@given(st.binary(max_size=300), st.integers(0, 2))
def test_garbage_ends_in_a_typed_error(garbage, index) -> None:
    sides = pair()
    for before in range(index):
        message = sides[before % 2].write_message().encode()
        sides[1 - before % 2].read_message(message)
    reader = sides[1 - index % 2]
    try:
        message = reader.read_message(garbage)
    except HandshakeFailed:
        return
    assert index == 0, "a message without a tag was taken"
    assert message.encode() == garbage


@given(st.data())
def test_one_changed_byte_is_noticed_by_the_next_decryption(data) -> None:
    """Message 0 is in the clear: a change in it shows when message 1 does not decrypt."""
    alice, bob = pair()
    index = data.draw(st.integers(0, 2))
    sides = (alice, bob)
    with pytest.raises(HandshakeFailed):
        for now in range(3):
            message = bytearray(sides[now % 2].write_message(b"payload").encode())
            if now == index:
                message[data.draw(st.integers(0, len(message) - 1))] ^= data.draw(
                    st.integers(1, 127)
                )
            sides[1 - now % 2].read_message(bytes(message))


LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
def test_a_key_of_low_order_is_refused(point) -> None:
    """It would make the shared secret known to everybody."""
    _, bob = pair()
    bob.read_message(point)
    with pytest.raises(HandshakeFailed, match="low-order"):
        bob.write_message()


def test_a_message_ends_at_65535_bytes() -> None:
    room = MAX_MESSAGE - 32
    alice, bob = pair()
    assert len(alice.write_message(bytes(room)).encode()) == MAX_MESSAGE
    with pytest.raises(LocalError, match="fit"):
        pair()[0].write_message(bytes(room + 1))
    bob.read_message(pair()[0].write_message().encode())
    assert len(bob.write_message(bytes(room - 48 - TAG_LENGTH)).encode()) == MAX_MESSAGE


def test_the_last_nonce_is_never_used() -> None:
    """By the spec the nonce 2^64-1 is reserved. Once the others are used up the key is dead, both ways."""
    secret = bytes(32)
    sender, receiver = CipherState(secret, MAX_NONCE - 1), CipherState(secret, MAX_NONCE - 1)
    sealed = sender.encrypt(b"the last")
    assert receiver.decrypt(sealed) == b"the last"
    for _ in range(2):
        with pytest.raises(LimitExceeded) as caught:
            sender.encrypt(b"one too many")
        assert caught.value.limit == "noise_nonce"
        with pytest.raises(LimitExceeded):
            sender.encrypt_into(b"x", memoryview(bytearray(17)))
        with pytest.raises(LimitExceeded):
            receiver.decrypt(sealed)


@given(st.lists(st.binary(max_size=100), min_size=2, max_size=6, unique=True), st.data())
def test_messages_out_of_their_order_do_not_decrypt(plaintexts, data) -> None:
    sender, receiver = CipherState(bytes(32)), CipherState(bytes(32))
    sealed = [sender.encrypt(plaintext) for plaintext in plaintexts]
    position = data.draw(st.integers(1, len(sealed) - 1))
    with pytest.raises(LabError):
        receiver.decrypt(sealed[position])


def test_encrypt_into_is_encrypt() -> None:
    target = bytearray(5 + TAG_LENGTH)
    CipherState(bytes(32), 7).encrypt_into(b"hello", memoryview(target))
    assert bytes(target) == CipherState(bytes(32), 7).encrypt(b"hello")
