"""The codec: every message comes back as it went, garbage ends in a typed error, and nothing small becomes huge."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import LimitExceeded, MalformedMessage, RemoteError
from libp2p_lab.pubsub.pubsub_messages import (
    MAX_PARTS,
    RPC,
    ControlExtensions,
    ControlGraft,
    ControlIDontWant,
    ControlIHave,
    ControlIWant,
    ControlPrune,
    Message,
    PXPeer,
    SubOpts,
)
from libp2p_lab.wire import protobuf

topics = st.text(max_size=20)
blobs = st.binary(max_size=40)
maybe = st.none() | blobs
ids = st.lists(blobs, max_size=4).map(tuple)
messages = st.builds(Message, topics, blobs, maybe, maybe, maybe, maybe)


def few(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=3).map(tuple)


rpcs = st.builds(
    RPC,
    few(st.builds(SubOpts, st.booleans(), topics)),
    few(messages),
    few(st.builds(ControlIHave, topics, ids)),
    few(st.builds(ControlIWant, ids)),
    few(st.builds(ControlGraft, topics)),
    few(
        st.builds(
            ControlPrune,
            topics,
            few(st.builds(PXPeer, blobs, blobs)),
            st.none() | st.integers(0, 2**64 - 1),
        )
    ),
    few(st.builds(ControlIDontWant, ids)),
    st.none() | st.builds(ControlExtensions, st.booleans()),
    st.booleans(),
)


@given(rpcs)
def test_an_rpc_comes_back(rpc: RPC) -> None:
    assert RPC.decode(rpc.encode()) == rpc


@given(messages)
def test_a_message_comes_back(message: Message) -> None:
    assert Message.decode(message.encode()) == message


@given(st.binary(max_size=200))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    for decode in (RPC.decode, Message.decode):
        with contextlib.suppress(MalformedMessage):
            decode(data)


@given(rpcs, st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_ends_in_a_typed_error(rpc: RPC, at: int, byte: int) -> None:
    data = bytearray(rpc.encode() or b"\0")
    data[at % len(data)] = byte
    with contextlib.suppress(RemoteError):
        RPC.decode(bytes(data))


def test_an_rpc_by_hand() -> None:
    subscribe = protobuf.bytes_field(
        1, protobuf.varint_field(1, 1) + protobuf.bytes_field(2, b"news")
    )
    graft = protobuf.bytes_field(3, protobuf.bytes_field(3, protobuf.bytes_field(1, b"news")))
    rpc = RPC(subscriptions=(SubOpts(True, "news"),), graft=(ControlGraft("news"),))
    assert rpc.encode() == subscribe + graft


def test_the_extension_numbers_are_the_registrys() -> None:
    encoded = RPC(extensions=ControlExtensions(test_extension=True), test_extension=True).encode()
    inner = protobuf.varint_field(6492434, 1)
    control = protobuf.bytes_field(3, protobuf.bytes_field(6, inner))
    assert encoded == control + protobuf.bytes_field(6492434, b"")


def test_unknown_fields_and_extensions_are_skipped() -> None:
    unknown = protobuf.bytes_field(77, b"x" * 10) + protobuf.varint_field(6000000, 3)
    assert RPC.decode(unknown) == RPC()
    control = protobuf.bytes_field(3, protobuf.bytes_field(6, protobuf.varint_field(7654321, 1)))
    assert RPC.decode(control) == RPC(extensions=ControlExtensions())


@pytest.mark.parametrize("number", range(1, 6))
def test_control_that_would_grow_a_hundredfold_is_refused_from_its_bytes(number: int) -> None:
    empty = protobuf.bytes_field(number, b"")  # two bytes; as an object a hundred times that
    data = protobuf.bytes_field(3, empty * 400_000)
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded):
            RPC.decode(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def test_ids_that_would_grow_are_refused_too() -> None:
    ids_field = protobuf.bytes_field(2, b"") * 300_000
    data = protobuf.bytes_field(3, protobuf.bytes_field(1, ids_field))
    with pytest.raises(LimitExceeded):
        RPC.decode(data)


def test_a_big_message_and_five_thousand_ids_are_fine() -> None:
    rpc = RPC(publish=(Message("t", bytes(1_000_000)),))
    assert RPC.decode(rpc.encode()) == rpc
    rpc = RPC(ihave=(ControlIHave("t", tuple(i.to_bytes(20, "big") for i in range(5000))),))
    assert RPC.decode(rpc.encode()) == rpc
    assert MAX_PARTS > 5000
