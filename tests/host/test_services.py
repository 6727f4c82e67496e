"""The small protocols on live hosts: identify and push, ping, echo, perf, fetch; and the memory of others."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import Host
from libp2p_lab.errors import (
    ConnectionLost,
    LimitExceeded,
    MalformedMessage,
    ProtocolViolation,
    RemoteError,
    StreamReset,
)
from libp2p_lab.host import Echo, Fetch, Identify, Peerstore, Perf, Ping
from libp2p_lab.host.events import Identified
from libp2p_lab.host.fetch import FetchRequest, FetchResponse, Status
from libp2p_lab.host.identify import PROTOCOL_VERSION, PUSH_PROTOCOL_ID, IdentifyMessage
from libp2p_lab.host.perf import PerfRequest
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId, PeerRecord
from libp2p_lab.limits import Limits
from libp2p_lab.wire import protobuf
from tests.host.test_host import TCP_ADDR, events_of, kinds, until

ADDRS = [Multiaddr(f"/ip4/192.0.2.1/tcp/{n + 1}") for n in range(100)]
KEY = KeyPair.generate()
PEER = PeerId.from_public_key(KEY.public)


# -- identify --------------------------------------------------------------------------------------

BYTES, TEXT = st.binary(max_size=30), st.text(max_size=20)


@given(
    st.builds(
        IdentifyMessage,
        BYTES,
        st.lists(BYTES).map(tuple),
        st.lists(TEXT).map(tuple),
        BYTES,
        TEXT,
        TEXT,
        BYTES,
    )
)
def test_identify_messages_round_trip(message) -> None:
    assert IdentifyMessage.decode(message.encode()) == message
    joined = b"".join(part.encode() for part in message.parts())
    assert IdentifyMessage.decode(joined) == message


@given(st.binary(max_size=100))
def test_any_bytes_are_an_identify_message_or_malformed(data) -> None:
    try:
        message = IdentifyMessage.decode(data)
    except MalformedMessage:
        return
    assert IdentifyMessage.decode(message.encode()) == message


def test_field_numbers_of_identify() -> None:
    by_hand = (
        protobuf.bytes_field(1, b"key")
        + protobuf.bytes_field(2, b"addr")
        + protobuf.bytes_field(3, b"/a")
        + protobuf.bytes_field(4, b"observed")
        + protobuf.bytes_field(5, b"version")
        + protobuf.bytes_field(6, b"agent")
        + protobuf.bytes_field(8, b"record")
    )
    message = IdentifyMessage(
        b"key", (b"addr",), ("/a",), b"observed", "version", "agent", b"record"
    )
    assert IdentifyMessage.decode(by_hand) == message


def test_a_long_message_is_split_before_its_record() -> None:
    message = IdentifyMessage(protocols=("/x" * 2000,), signed_peer_record=b"r" * 1000)
    assert [bool(part.signed_peer_record) for part in message.parts()] == [False, True]


async def test_both_sides_identify_themselves() -> None:
    async with (
        Host(listen=[TCP_ADDR], services=[Identify("alice/1"), Echo()]) as alice,
        Host(listen=[TCP_ADDR]) as bob,
    ):
        connection = await bob.connect(alice.addrs[0])
        info = await bob.identify_result(alice.peer_id)
        assert (info.agent, info.protocol_version) == ("alice/1", PROTOCOL_VERSION)
        assert info.protocols == alice.protocols
        assert "/echo/1.0.0" in info.protocols
        assert [addr.with_peer(alice.peer_id) for addr in info.listen_addrs] == alice.addrs
        assert info.observed_addr == connection.local_addr
        assert info.record is not None
        assert info.record.peer_id == alice.peer_id
        assert bob.peerstore.agent(alice.peer_id) == "alice/1"
        other = await alice.identify_result(bob.peer_id)
        assert [addr.with_peer(bob.peer_id) for addr in other.listen_addrs] == bob.addrs
        assert alice.peerstore.envelope(bob.peer_id) == bob.signed_record


@pytest.mark.parametrize("kind", ["secp256k1", "ecdsa", "rsa"])
async def test_every_kind_of_key_identifies_itself(kind) -> None:
    async with Host(KeyPair.generate(kind), listen=[TCP_ADDR]) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        info = await bob.identify_result(alice.peer_id)
        assert info.record is not None
        assert info.record.peer_id == alice.peer_id


async def acquaint(alice: Host, bob: Host) -> None:
    """Connect, and wait until each knows what the other speaks."""
    await bob.connect(alice.addrs[0])
    await until(lambda: alice.connections)
    await asyncio.gather(bob.identify_result(alice.peer_id), alice.identify_result(bob.peer_id))


async def test_changes_are_pushed() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        events = events_of(bob)
        await acquaint(alice, bob)
        alice.set_handler("/new", _nothing)
        await until(lambda: "/new" in bob.peerstore.protocols(alice.peer_id))
        [where] = await alice.listen("/memory/0")
        await until(lambda: where.without_peer() in bob.peerstore.addrs(alice.peer_id))
        alice.remove_handler("/new")
        await until(lambda: "/new" not in bob.peerstore.protocols(alice.peer_id))
        assert len(kinds(events, Identified)) == 4
        assert (await bob.identify_result(alice.peer_id)).record.seq == 2


async def test_changes_while_others_are_pushed_are_not_lost() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        await bob.connect(alice.addrs[0])
        for n in range(50):  # from before they know each other until long after
            alice.set_handler(f"/new/{n}", _nothing)
            for _ in range(n % 7):
                await asyncio.sleep(0)
        await until(lambda: "/new/49" in bob.peerstore.protocols(alice.peer_id))


async def _nothing(stream) -> None:
    pass


async def test_changes_in_one_go_are_pushed_once() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        await acquaint(alice, bob)
        events = events_of(bob)
        for n in range(10):
            alice.set_handler(f"/new/{n}", _nothing)
        await until(lambda: "/new/9" in bob.peerstore.protocols(alice.peer_id))
        assert len(kinds(events, Identified)) == 1


async def test_a_push_with_one_field_leaves_the_others() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        await acquaint(alice, bob)
        before = await alice.identify_result(bob.peer_id)
        stream = await bob.open_stream(alice.peer_id, PUSH_PROTOCOL_ID)
        await stream.write_message(IdentifyMessage(agent_version="new").encode())
        await stream.close_write()
        await stream.read()
        after = await alice.identify_result(bob.peer_id)
        assert after.agent == "new"
        assert after.protocols == before.protocols
        assert after.record == before.record


# -- ping ------------------------------------------------------------------------------------------


async def test_many_round_trips_on_one_stream() -> None:
    async with Host(listen=[TCP_ADDR]) as alice, Host() as bob:
        stream = await bob.open_stream(alice.addrs[0], "/ipfs/ping/1.0.0")
        for _ in range(20):
            assert 0 < await bob.service(Ping).round_trip(stream) < 60
        await stream.close()


async def test_a_pong_with_other_bytes() -> None:
    async with Host(listen=[TCP_ADDR], services=[]) as alice, Host() as bob:

        @alice.handle("/ipfs/ping/1.0.0")
        async def lie(stream) -> None:
            await stream.write(bytes(reversed(await stream.read_exactly(32))))
            await stream.read(1)

        await bob.connect(alice.addrs[0])
        with pytest.raises(ProtocolViolation, match="other bytes"):
            await bob.ping(alice.peer_id)


async def test_no_pong() -> None:
    async with (
        Host(listen=[TCP_ADDR], services=[]) as alice,
        Host(limits=Limits(ping_timeout=0.1)) as bob,
    ):

        @alice.handle("/ipfs/ping/1.0.0")
        async def sleep(stream) -> None:
            await stream.read()
            await stream.read()

        await bob.connect(alice.addrs[0])
        with pytest.raises(ConnectionLost, match="no pong"):
            await bob.ping(alice.peer_id)


# -- echo, perf, fetch -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
async def test_echo(size) -> None:
    async with Host(listen=[TCP_ADDR], services=[Echo()]) as alice, Host() as bob:
        stream = await bob.open_stream(alice.addrs[0], "/echo/1.0.0")
        data = bytes(range(256)) * (size // 256 + 1)
        reading = asyncio.create_task(stream.read())
        await stream.write(data[:size])
        await stream.close_write()
        assert await reading == data[:size]


@pytest.mark.parametrize(("upload", "download"), [(0, 0), (1, 1), (300_000, 0), (0, 300_000)])
async def test_perf_measures_what_was_asked(upload, download) -> None:
    async with (
        Host(listen=[TCP_ADDR], services=[Perf()]) as alice,
        Host(services=[Perf()]) as bob,
    ):
        result = await bob.perf.measure(alice.addrs[0], upload=upload, download=download)
        assert (result.uploaded, result.downloaded) == (upload, download)
        assert result.upload_time >= 0
        assert result.download_time >= 0


async def test_perf_notices_another_number() -> None:
    async with (
        Host(listen=[TCP_ADDR], services=[]) as alice,
        Host(services=[Perf()]) as bob,
    ):

        @alice.handle("/perf/1.0.0")
        async def lie(stream) -> None:
            await stream.read()
            await stream.write(b"short")

        with pytest.raises(ProtocolViolation, match="received 5"):
            await bob.perf.measure(alice.addrs[0], download=6)


@given(st.integers(0, (1 << 64) - 1))
def test_perf_requests_round_trip(wanted) -> None:
    assert PerfRequest.decode(PerfRequest(wanted).encode()) == PerfRequest(wanted)


async def look_up(key: bytes) -> bytes | None:
    return {b"a": b"value", b"empty": b""}.get(key)


async def test_fetch_found_empty_and_not_found() -> None:
    async with (
        Host(listen=[TCP_ADDR], services=[Fetch(look_up)]) as alice,
        Host(services=[Fetch()], listen=[TCP_ADDR]) as bob,
    ):
        assert await bob.fetch.get(alice.addrs[0], b"a") == b"value"
        assert await bob.fetch.get(alice.peer_id, b"empty") == b""
        assert await bob.fetch.get(alice.peer_id, b"b") is None
        assert await alice.fetch.get(bob.peer_id, b"a") is None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (FetchResponse(Status.ERROR).encode(), RemoteError),
        (b"\xff\xff", MalformedMessage),
        (b"\x08\x07", MalformedMessage),
    ],
)
async def test_fetch_answers_that_are_none(said, error) -> None:
    async with Host(listen=[TCP_ADDR], services=[]) as alice, Host(services=[Fetch()]) as bob:

        @alice.handle("/libp2p/fetch/0.0.1")
        async def answer(stream) -> None:
            await stream.write_message(said)

        with pytest.raises(error):
            await bob.fetch.get(alice.addrs[0], b"a")


async def test_fetch_messages_are_bounded() -> None:
    limits = Limits(fetch_message=100)
    async with (
        Host(listen=[TCP_ADDR], services=[Fetch(look_up)], limits=limits) as alice,
        Host(services=[Fetch()], limits=limits) as bob,
    ):
        with pytest.raises(StreamReset):
            await bob.fetch.get(alice.addrs[0], bytes(101))

        @bob.handle("/libp2p/fetch/0.0.1")
        async def answer(stream) -> None:
            await stream.write_message(FetchResponse(Status.OK, bytes(101)).encode())

        with pytest.raises(LimitExceeded):
            await alice.fetch.get(bob.peer_id, b"a")


@given(st.binary(max_size=50))
def test_any_bytes_are_a_fetch_message_or_malformed(data) -> None:
    for kind in (FetchRequest, FetchResponse):
        try:
            message = kind.decode(data)
        except MalformedMessage:
            continue
        assert kind.decode(message.encode()) == message


# -- the memory of others --------------------------------------------------------------------------


def test_the_latest_address_comes_first_and_the_oldest_goes() -> None:
    store = Peerstore(Limits(identify_addresses_after=3, identify_addresses=5))
    store.add_addrs(PEER, ADDRS[:4])
    assert store.addrs(PEER) == (ADDRS[3], ADDRS[2], ADDRS[1])
    store.add_addrs(PEER, [ADDRS[2].with_peer(PEER)])
    assert store.addrs(PEER)[0] == ADDRS[2]
    store.set_connected(PEER, True)
    store.add_addrs(PEER, ADDRS[:10])
    assert len(store.addrs(PEER)) == 5
    store.set_connected(PEER, False)
    assert len(store.addrs(PEER)) == 3


def test_peers_that_left_are_forgotten_the_oldest_first() -> None:
    store = Peerstore(Limits(peerstore_peers=3))
    peers = [PeerId.from_public_key(KeyPair.generate().public) for _ in range(5)]
    store.set_connected(peers[0], True)
    for peer in peers[1:]:
        store.add_addrs(peer, ADDRS[:1])
    assert len(store) == 3
    assert peers[0] in store
    assert set(store.peers) == {peers[0], peers[3], peers[4]}
    store.forget(peers[0])
    assert peers[0] not in store
    assert store.addrs(peers[0]) == ()
    assert store.protocols(peers[0]) == ()
    assert store.agent(peers[0]) == ""
    assert store.record(peers[0]) is None
    assert store.envelope(peers[0]) == b""


def test_only_a_newer_record_is_taken() -> None:
    store = Peerstore()
    records = {seq: PeerRecord(PEER, seq, (ADDRS[seq],)) for seq in (1, 2, 3)}
    assert store.add_record(records[2], b"two")
    assert not store.add_record(records[1], b"one")
    assert not store.add_record(records[2], b"again")
    assert store.envelope(PEER) == b"two"
    assert store.add_record(records[3], b"three")
    assert store.record(PEER) == records[3]
    assert ADDRS[3] in store.addrs(PEER)
    assert ADDRS[1] not in store.addrs(PEER)
