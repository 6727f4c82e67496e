"""The messages on WebRTC's data channels, and the certificate hashes in addresses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LimitExceeded, MalformedMessage
from libp2p_lab.host.webrtc_direct import WebRTCDirect, _certhashes
from libp2p_lab.host.webrtc_messages import MAX_DATA, MAX_MESSAGE, Flag, Message, MessageReader
from libp2p_lab.identity import Multiaddr
from libp2p_lab.wire import multibase, multihash, varint
from tests.support import load_vectors

VECTORS = load_vectors("webrtc_webtransport.json")["vectors"]

messages = st.builds(
    Message, st.none() | st.sampled_from(Flag), st.binary(max_size=300)
) | st.builds(Message, data=st.just(b"x" * MAX_DATA))


def kind(name: str) -> list[dict]:
    return [vector for vector in VECTORS if vector["kind"] == name]


@pytest.mark.parametrize("vector", kind("noise-prologue"), ids=lambda vector: vector["id"])
def test_the_prologue_of_the_spec(vector) -> None:
    from libp2p_lab.host.webrtc_link import noise_prologue

    hashes = [
        multihash.encode(multihash.SHA2_256, bytes.fromhex(vector[f"{side}_fingerprint"]))
        for side in ("client", "server")
    ]
    assert noise_prologue(*hashes).hex() == vector["prologue"]


@pytest.mark.parametrize("vector", kind("webrtc-direct-addr"), ids=lambda vector: vector["id"])
def test_addresses_that_can_be_dialed(vector) -> None:
    addr = Multiaddr(vector["multiaddr"])
    assert WebRTCDirect().can_dial(addr)
    assert not WebRTCDirect().can_listen(addr)
    [found] = _certhashes(addr)
    assert multihash.decode(found).digest.hex() == vector["sha256_fingerprint"]


@pytest.mark.parametrize("vector", kind("certhash"), ids=lambda vector: vector["id"])
def test_certificate_hashes(vector) -> None:
    digest = bytes.fromhex(vector["fingerprint_sdp"].replace(":", ""))
    value = multihash.encode(multihash.SHA2_256, digest)
    assert multibase.encode(value, "base64url") == vector["certhash"]


def test_what_cannot_be_dialed() -> None:
    sha512 = multibase.encode(multihash.digest("sha2-512", b""), "base64url")
    bare = "/ip4/127.0.0.1/udp/1/webrtc-direct"
    good = kind("webrtc-direct-addr")[0]["multiaddr"].partition("/p2p/")[0]
    for text in (bare, f"{bare}/certhash/{sha512}", f"{good}/ws", "/ip4/127.0.0.1/udp/1"):
        assert not WebRTCDirect().can_dial(Multiaddr(text))
    assert WebRTCDirect().can_dial(Multiaddr(f"{good}/certhash/{sha512}"))
    assert WebRTCDirect().can_listen(Multiaddr(bare))


def test_known_bytes() -> None:
    assert Message(Flag.FIN).encode() == bytes.fromhex("020800")
    assert Message(Flag.FIN_ACK).encode() == bytes.fromhex("020803")
    assert Message(data=b"hi").encode() == bytes.fromhex("0412026869")
    assert len(Message(Flag.RESET_STREAM, b"x" * MAX_DATA).encode()) <= MAX_MESSAGE


@given(st.lists(messages, max_size=5), st.data())
def test_round_trip_in_any_pieces(sent: list[Message], data) -> None:
    wire = b"".join(message.encode() for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader, found = MessageReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += reader.feed(wire[start:end])
    assert found == sent


@given(st.binary(max_size=200))
def test_garbage_gives_typed_errors_only(garbage: bytes) -> None:
    for step in (1, len(garbage) or 1):
        reader = MessageReader()
        with contextlib.suppress(MalformedMessage, LimitExceeded):
            for start in range(0, len(garbage), step):
                reader.feed(garbage[start : start + step])


def test_a_flag_that_nobody_knows_is_none() -> None:
    assert MessageReader().feed(bytes.fromhex("020809")) == [Message()]


@pytest.mark.parametrize("prefix", [varint.encode(MAX_MESSAGE + 1), b"\xff\xff\xff", b"\x80" * 9])
def test_a_message_too_long_is_refused_from_its_length(prefix: bytes) -> None:
    with pytest.raises(LimitExceeded):
        MessageReader().feed(prefix)
