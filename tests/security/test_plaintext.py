"""The plaintext exchange."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import Host
from libp2p_lab.errors import DialError, HandshakeFailed, MalformedMessage
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.security import Noise, Plaintext
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.wire import varint
from tests.conformance.pairs import KEYS, PEERS, memory_pair
from tests.conformance.secure_channel import Wire, one_side


def body(exchange: Exchange) -> bytes:
    data = exchange.encode()
    length, start = varint.decode(data)
    assert length == len(data) - start
    return data[start:]


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_round_trip(peer_id, key) -> None:
    exchange = Exchange(peer_id, key)
    assert Exchange.decode(body(exchange)) == exchange


@given(st.binary(max_size=200))
def test_garbage_gives_typed_errors_only(data) -> None:
    try:
        exchange = Exchange.decode(data)
    except MalformedMessage:
        return
    with pytest.raises(HandshakeFailed):
        exchange.identify()


def test_a_name_and_the_key_of_another() -> None:
    key = KeyPair.generate().public
    with pytest.raises(HandshakeFailed, match="another"):
        Exchange(bytes(PEERS[0]), key.to_protobuf()).identify()
    with pytest.raises(HandshakeFailed):
        Exchange(b"", key.to_protobuf()).identify()
    mine = Exchange(bytes(PeerId.from_public_key(key)), key.to_protobuf())
    assert mine.identify() == PeerId.from_public_key(key)


async def test_anybody_may_take_anybodys_name() -> None:
    """What the exchange does not prove, shown: Mallory says that she is Alice, and is believed."""
    async with memory_pair() as (mallory, bob):
        listening = asyncio.create_task(one_side(Plaintext(), bob, 1))
        claim = Exchange(bytes(PEERS[0]), KEYS[0].public.to_protobuf())
        await mallory.write(claim.encode())
        assert (await listening).remote_peer == PEERS[0]


async def test_everybody_reads_along() -> None:
    wire = Wire()
    async with wire.joined() as raw, asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(one_side(Plaintext(), raw[1], 1))
        ours = await one_side(Plaintext(), raw[0], 0, PEERS[1])
        await ours.write(b"a secret")
        assert await (await listening).read(100) == b"a secret"
    assert b"a secret" in wire.seen[0]


async def test_it_is_refused_unless_asked_for() -> None:
    at = "/ip4/127.0.0.1/tcp/0"
    async with Host(listen=[at]) as usual, Host(security=[Plaintext()]) as careless:
        with pytest.raises(DialError, match="none of /plaintext"):
            await careless.connect(usual.addrs[0])
    async with (
        Host(listen=[at], security=[Noise(), Plaintext()]) as bob,
        Host(security=[Plaintext()]) as careless,
    ):
        assert (await careless.connect(bob.addrs[0])).security == "/plaintext/2.0.0"
        assert await careless.ping(bob.peer_id) > 0
