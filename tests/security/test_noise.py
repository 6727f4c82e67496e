"""libp2p's Noise: payload, choice of the muxer, messages in any cut, and the stream that is made of them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import (
    ConnectionLost,
    HandshakeFailed,
    LimitExceeded,
    MalformedMessage,
    PeerIdMismatch,
    ProtocolViolation,
)
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.security import Noise
from libp2p_lab.security.noise import (
    MAX_PLAINTEXT,
    SIGNATURE_PREFIX,
    HandshakePayload,
    NoiseChannel,
    NoiseMessage,
    SessionKeys,
    choose_muxer,
)
from libp2p_lab.security.noise_xx import MAX_NONCE, CipherState
from libp2p_lab.trace import Entry, Probe, Trace
from libp2p_lab.wire import protobuf
from tests.conformance.byte_stream import pattern
from tests.conformance.pairs import KEYS, PEERS, memory_pair, secure_both
from tests.support import load_vectors

EARLY = load_vectors("early_muxer.json")["vectors"]
PROTOCOLS = st.lists(st.text(max_size=20), max_size=4).map(tuple)


def channels(nonce: int = 0) -> tuple[NoiseChannel, NoiseChannel]:
    """Two ends that share keys."""
    return (
        NoiseChannel(CipherState(b"a" * 32, nonce), CipherState(b"b" * 32, nonce)),
        NoiseChannel(CipherState(b"b" * 32, nonce), CipherState(b"a" * 32, nonce)),
    )


# -- payload ---------------------------------------------------------------------------------------


@given(st.binary(max_size=50), st.binary(max_size=50), PROTOCOLS, st.lists(st.binary(), max_size=3))
def test_payloads_round_trip(identity, signature, muxers, hashes) -> None:
    payload = HandshakePayload(identity, signature, muxers, tuple(hashes))
    assert HandshakePayload.decode(payload.encode()) == payload


def test_the_payload_on_the_wire() -> None:
    """Field numbers as the spec has them: key 1, signature 2, extensions 4 with hashes 1 and muxers 2."""
    by_hand = (
        protobuf.bytes_field(1, b"key")
        + protobuf.bytes_field(2, b"sig")
        + protobuf.bytes_field(
            4, protobuf.bytes_field(1, b"hash") + protobuf.bytes_field(2, b"/yamux/1.0.0")
        )
    )
    payload = HandshakePayload(b"key", b"sig", ("/yamux/1.0.0",), (b"hash",))
    assert payload.encode() == by_hand
    assert HandshakePayload.decode(by_hand) == payload


@given(st.binary(max_size=200))
def test_any_bytes_are_a_payload_or_malformed(data) -> None:
    try:
        payload = HandshakePayload.decode(data)
    except MalformedMessage:
        return
    try:
        payload.verify(bytes(32))
    except HandshakeFailed:
        return
    pytest.fail("a signature made of nothing was believed")


def test_text_that_is_none_is_malformed() -> None:
    bad = protobuf.bytes_field(4, protobuf.bytes_field(2, b"\xff\xfe"))
    with pytest.raises(MalformedMessage):
        HandshakePayload.decode(bad)


@pytest.mark.parametrize("kind", ["ed25519", "secp256k1", "ecdsa", "rsa"])
def test_the_identity_vouches_for_the_static_key(kind) -> None:
    key, static = KeyPair.generate(kind), b"s" * 32
    identity = key.public.to_protobuf()
    good = HandshakePayload(identity, key.sign(SIGNATURE_PREFIX + static))
    assert good.verify(static) == key.public
    for bad in (
        HandshakePayload(identity, key.sign(static)),
        HandshakePayload(identity, b""),
        HandshakePayload(b"", good.identity_sig),
        HandshakePayload(KEYS[0].public.to_protobuf(), good.identity_sig),
    ):
        with pytest.raises(HandshakeFailed):
            bad.verify(static)
    with pytest.raises(HandshakeFailed):
        good.verify(b"t" * 32)


# -- the muxer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", EARLY, ids=lambda row: row["id"])
def test_early_muxer_vectors(row) -> None:
    """For TLS the list is ALPN's, with `libp2p` at its end; the rule is the same."""
    assert not row["handshake_fails"]
    assert choose_muxer(row["initiator"], row["responder"]) == row["result"]


@given(PROTOCOLS, PROTOCOLS)
def test_the_choice_is_the_initiators_first_that_both_have(initiator, responder) -> None:
    common = [one for one in initiator if one in responder]
    if not initiator or not responder:
        assert choose_muxer(initiator, responder) is None
    elif common:
        assert choose_muxer(initiator, responder) == common[0]
    else:
        with pytest.raises(HandshakeFailed, match="no common muxer"):
            choose_muxer(initiator, responder)


# -- messages --------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=60), max_size=5), st.data())
def test_any_cut_of_the_wire_gives_the_same(pieces, data) -> None:
    sender, receiver = channels()
    wire = b"".join(bytes(sender.seal(piece)) for piece in pieces)
    got = []
    while wire:
        cut = data.draw(st.integers(1, len(wire)))
        got += receiver.open(wire[:cut])
        wire = wire[cut:]
    assert got == [piece for piece in pieces if piece]
    assert not receiver.holds_partial_message


def test_byte_by_byte() -> None:
    sender, receiver = channels()
    wire = bytes(sender.seal(b"first")) + bytes(sender.seal(b"second"))
    got = [part for n in range(len(wire)) for part in receiver.open(wire[n : n + 1])]
    assert got == [b"first", b"second"]


@pytest.mark.parametrize("size", [1, 65518, 65519, 65520, 2 * 65519, 200_000])
def test_long_writes_are_split_at_65535(size) -> None:
    sender, receiver = channels()
    data = pattern(size)
    wire = bytes(sender.seal(data))
    lengths, position = [], 0
    while position < len(wire):
        lengths.append(int.from_bytes(wire[position : position + 2], "big"))
        position += 2 + lengths[-1]
    assert position == len(wire)
    assert max(lengths) <= 65535
    assert len(lengths) == -(-size // MAX_PLAINTEXT)
    assert b"".join(receiver.open(wire)) == data


def test_an_empty_write_is_no_message() -> None:
    assert channels()[0].seal(b"") == b""


def test_an_empty_message_is_taken_and_gives_nothing_to_read() -> None:
    """Others may send one: 16 bytes of tag and nothing inside."""
    _, receiver = channels()
    sealed = CipherState(b"a" * 32).encrypt(b"")
    assert receiver.open(NoiseMessage(sealed, b"").encode()) == [b""]


@pytest.mark.parametrize("length", range(16))
@pytest.mark.parametrize("step", [1, 100])
def test_a_message_shorter_than_its_tag(length, step) -> None:
    _, receiver = channels()
    wire = length.to_bytes(2, "big") + bytes(length)
    with pytest.raises(ProtocolViolation, match="shorter"):
        for start in range(0, len(wire), step):
            receiver.open(wire[start : start + step])


@given(st.binary(min_size=18, max_size=200), st.integers(1, 20))
def test_garbage_is_refused_or_waited_for(garbage, step) -> None:
    _, receiver = channels()
    try:
        for start in range(0, len(garbage), step):
            assert receiver.open(garbage[start : start + step]) == []
    except ProtocolViolation:
        return
    assert receiver.holds_partial_message
    assert int.from_bytes(garbage[:2], "big") > len(garbage) - 2


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_message_gives_nothing(plaintext, data) -> None:
    sender, receiver = channels()
    wire = bytearray(sender.seal(plaintext))
    position = data.draw(st.integers(2, len(wire) - 1))
    wire[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ProtocolViolation, match="message 0"):
        receiver.open(bytes(wire))


@pytest.mark.parametrize("order", [(0, 0), (1, 0), (0, 2), (1,)])
def test_replayed_reordered_and_lost_messages(order) -> None:
    sender, receiver = channels()
    sealed = [bytes(sender.seal(b"%d" % n)) for n in range(3)]
    with pytest.raises(ProtocolViolation, match="repeated, lost or out of order"):
        for n in order:
            receiver.open(sealed[n])


def test_used_up_nonces_end_the_channel() -> None:
    sender, receiver = channels(MAX_NONCE - 1)
    wire = bytes(sender.seal(b"the last"))
    assert receiver.open(wire) == [b"the last"]
    with pytest.raises(LimitExceeded):
        sender.seal(b"one too many")
    with pytest.raises(LimitExceeded):
        receiver.open(wire)


# -- the stream ------------------------------------------------------------------------------------


async def test_the_stream_below_ends_within_a_message() -> None:
    async with memory_pair() as raw:
        one, other = await secure_both(raw, (Noise(), Noise()))
        await raw[0].write(bytes(one._channel.seal(b"whole")) + b"\x00\x20abc")
        await raw[0].close_write()
        assert await other.read(100) == b"whole"
        with pytest.raises(ConnectionLost, match="within a Noise message"):
            await other.read(100)


async def test_both_sides_have_the_same_handshake_hash() -> None:
    async with memory_pair() as raw:
        one, other = await secure_both(raw, (Noise(), Noise()))
        assert one.handshake_hash == other.handshake_hash
        assert len(one.handshake_hash) == 32


@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)])
async def test_the_muxer_is_agreed_early_if_both_can(sides) -> None:
    async with memory_pair() as raw:
        ends = await secure_both(raw, (Noise(early_muxers=sides[0]), Noise(early_muxers=sides[1])))
        expected = "/yamux/1.0.0" if all(sides) else None
        assert [end.muxer for end in ends] == [expected] * 2


async def test_no_common_muxer_ends_the_handshake() -> None:
    async with memory_pair() as raw:

        def side(n: int, muxer: str):
            return Noise().secure(
                raw[n],
                key=KEYS[n],
                is_dialer=n == 0,
                expected_peer=None,
                muxers=[muxer],
                probe=Probe(),
            )

        results = await asyncio.gather(
            side(0, "/yamux/1.0.0"), side(1, "/mplex/6.7.0"), return_exceptions=True
        )
        assert [type(result) for result in results] == [HandshakeFailed] * 2


async def test_the_wrong_peer_does_not_learn_who_dialed() -> None:
    """The dialer hangs up after message 1: its identity is in message 2, which never leaves."""
    told: list[Entry] = []
    trace = Trace("dialer")
    trace.listen(told.append)
    async with memory_pair() as raw:
        listening = asyncio.create_task(
            Noise().secure(
                raw[1],
                key=KEYS[1],
                is_dialer=False,
                expected_peer=None,
                muxers=(),
                probe=Probe(),
            )
        )
        with pytest.raises(PeerIdMismatch):
            await Noise().secure(
                raw[0],
                key=KEYS[0],
                is_dialer=True,
                expected_peer=PEERS[0],
                muxers=(),
                probe=Probe(trace, "security"),
            )
        await raw[0].close()
        with pytest.raises(HandshakeFailed, match="message 2"):
            await listening
    assert [entry.direction for entry in told] == ["sent", "received"]


async def test_keys_are_told_only_to_those_who_ask_for_secrets() -> None:
    told: dict[bool, list[object]] = {True: [], False: []}
    trace = Trace("dialer")
    for secrets in told:
        trace.listen(lambda entry, s=secrets: told[s].append(entry.what), secrets=secrets)
    async with memory_pair() as raw:
        other = asyncio.create_task(
            Noise().secure(
                raw[1],
                key=KEYS[1],
                is_dialer=False,
                expected_peer=None,
                muxers=(),
                probe=Probe(),
            )
        )
        stream = await Noise().secure(
            raw[0],
            key=KEYS[0],
            is_dialer=True,
            expected_peer=None,
            muxers=(),
            probe=Probe(trace, "security"),
        )
        await (await other).write(b"hello")
        assert await stream.read(5) == b"hello"
    assert not any(isinstance(what, SessionKeys) for what in told[False])
    [keys] = [what for what in told[True] if isinstance(what, SessionKeys)]
    [message] = [what for what in told[False] if isinstance(what, NoiseMessage)]
    assert CipherState(keys.receive).decrypt(message.ciphertext) == b"hello"


async def test_the_signature_is_made_once_and_the_payload_is_still_right() -> None:
    noise = Noise()
    for key in (*KEYS, KEYS[0]):
        async with memory_pair() as raw:
            other = asyncio.create_task(
                Noise().secure(
                    raw[1],
                    key=KEYS[1],
                    is_dialer=False,
                    expected_peer=None,
                    muxers=(),
                    probe=Probe(),
                )
            )
            await noise.secure(
                raw[0], key=key, is_dialer=True, expected_peer=None, muxers=(), probe=Probe()
            )
            assert (await other).remote_peer == PeerId.from_public_key(key.public)
    assert len(noise._payloads) == 2
