"""S24 to S31: what a hostile peer may try with the DHT, and what becomes of it.

The attackers are hosts without a DHT of their own, whose handler says what it likes under the DHT's protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.content import MemoryProviderStore, Namespaces, ValueStore
from libp2p_lab.errors import (
    LabError,
    LimitExceeded,
    MalformedMessage,
    ProtocolViolation,
    StreamReset,
)
from libp2p_lab.host.events import DialStarted, HandlerFailed
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.routing import (
    KadMessage,
    MessageType,
    Record,
    RoutingTable,
    closest,
    position,
    public_only,
)
from libp2p_lab.routing.events import LookupEnded, PeerAsked
from libp2p_lab.routing.kad import PROTOCOL_ID
from libp2p_lab.routing.kad_messages import Peer
from libp2p_lab.wire import varint
from tests.content.test_cores import Newest
from tests.hostile.scene import MIB, PATIENCE, bounded_memory, scene
from tests.routing.test_cores import peer_id

pytestmark = pytest.mark.timeout(150)
ADDR = Multiaddr("/ip4/1.2.3.4/tcp/5")
Answer = Callable[[Any, KadMessage], Awaitable[None]]


def dht(**options: Any) -> lab.KadDHT:
    return lab.KadDHT(validators={"n": Newest()}, **options)


@asynccontextmanager
async def hosts(*dhts: lab.KadDHT, **options: Any) -> AsyncIterator[list[lab.Host]]:
    """Hosts with these DHTs, and nothing that dials but them."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                lab.Host(listen=["/memory/0"], services=[lab.Identify(), d], **options)
            )
            for d in dhts
        ]


@asynccontextmanager
async def attacker(answer: Answer | None = None, key: KeyPair | None = None) -> AsyncIterator[Any]:
    """A host that takes requests of the DHT and answers them by `answer`."""
    async with lab.Host(listen=["/memory/0"], services=[lab.Identify()], key=key) as host:

        async def serve(stream: Any) -> None:
            while answer is not None:
                try:
                    request = KadMessage.decode(await stream.read_message(4 * MIB))
                except LabError:
                    return
                await answer(stream, request)

        host.set_handler(PROTOCOL_ID, serve)
        yield host


async def reply(stream: Any, message: KadMessage) -> None:
    await stream.write_message(message.encode())


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


# -- S24 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1 << 32, 4 * MIB + 1], ids=["4 GiB", "4 MiB and 1"])
async def test_s24_a_request_of_absurd_length_is_refused_before_it_is_read(length: int) -> None:
    async with scene(services=[lab.Echo(), lab.Identify(), dht()]) as stage:
        async with attacker() as evil:
            stream = await evil.open_stream(await _connected(evil, stage.host), PROTOCOL_ID)
            with bounded_memory():
                await stream.write(varint.encode(length) + bytes(1000))
                with pytest.raises(StreamReset):
                    await stream.read_exactly(1)
        await stage.refused("LimitExceeded")


async def test_s24_an_answer_of_absurd_length_is_a_peer_that_failed() -> None:
    async def absurd(stream: Any, request: KadMessage) -> None:
        await stream.write(varint.encode(1 << 32) + bytes(1000))

    async with hosts(dht()) as (victim,), attacker(absurd) as evil:
        await victim.connect(evil.addrs[0])
        await until(lambda: evil.peer_id in victim.dht.table)
        with bounded_memory():
            assert await victim.dht.get(b"/n/key") is None
        assert evil.peer_id not in victim.dht.table


# -- S25, S26 -------------------------------------------------------------------------------------------------------


async def test_s25_only_the_sender_is_stored_and_no_more_than_its_share() -> None:
    limits = replace(DEFAULT_LIMITS, dht_provider_records_per_peer=50, dht_provider_records=60)
    async with hosts(dht(), limits=limits) as (victim,), attacker() as evil:
        await _connected(evil, victim)
        store = victim.dht.providers
        assert isinstance(store, MemoryProviderStore)

        async def announce(*messages: KadMessage) -> None:
            """On a stream of its own; wait until the victim has read it to the end, or reset it."""
            stream = await evil.open_stream(victim.peer_id, PROTOCOL_ID)
            try:
                for message in messages:
                    await stream.write_message(message.encode())
                await stream.close_write()
                await stream.read()
            except LabError:
                return

        def record(key: bytes, who: PeerId) -> KadMessage:
            return KadMessage(MessageType.ADD_PROVIDER, key, provider_peers=(Peer(who, (ADDR,)),))

        await announce(record(b"of another", victim.peer_id))
        await announce(record(b"k" * 81, evil.peer_id))
        await announce(record(b"", evil.peer_id))
        assert len(store) == 0
        await announce(*(record(b"key %d" % n, evil.peer_id) for n in range(10_000)))
        assert len(store) == 50
        await announce(record(b"one more", evil.peer_id))
        assert len(store) == 50
        assert store.get(b"one more") == []


def test_s26_of_ten_thousand_addresses_a_few_are_kept() -> None:
    addrs = tuple(Multiaddr(f"/ip4/1.2.3.4/tcp/{port}") for port in range(1, 10_001))
    message = KadMessage(
        MessageType.ADD_PROVIDER, b"key", provider_peers=(Peer(peer_id(1), addrs),)
    )
    (read,) = KadMessage.decode(message.encode()).provider_peers
    assert len(read.addrs) == 32
    store = MemoryProviderStore(lambda: 0.0)
    store.add(b"key", peer_id(1), peer_id(1), addrs)
    (kept,) = store.get(b"key")
    assert len(kept.addrs) == 8


# -- S27 ------------------------------------------------------------------------------------------------------------

BAD_PUTS = {
    "not valid": (b"/n/key", Record(b"/n/key", b"not a number"), "RecordInvalid"),
    "of no namespace": (b"/who/key", Record(b"/who/key", b"1"), "RecordInvalid"),
    "under another key": (b"/n/key", Record(b"/n/other", b"1"), "MalformedMessage"),
    "without a record": (b"/n/key", None, "MalformedMessage"),
    "of 2 MiB": (b"/n/key", Record(b"/n/key", b"1" * (2 * MIB)), "LimitExceeded"),
}


@pytest.mark.parametrize("name", BAD_PUTS)
async def test_s27_a_bad_value_resets_the_stream_and_is_not_stored(name: str) -> None:
    key, record, error = BAD_PUTS[name]
    async with hosts(dht()) as (victim,), attacker() as evil:
        failures: list[str] = []
        victim.trace.listen(
            lambda e: failures.append(e.what.error) if isinstance(e.what, HandlerFailed) else None
        )
        stream = await evil.open_stream(await _connected(evil, victim), PROTOCOL_ID)
        await stream.write_message(KadMessage(MessageType.PUT_VALUE, key, record).encode())
        with pytest.raises(StreamReset):
            await stream.read_exactly(1)
        assert len(victim.dht.values) == 0
        await until(lambda: failures)
        assert failures[0].startswith(error)


async def test_s27_an_answer_that_is_not_valid_is_never_returned() -> None:
    values = iter([b"not a number", b"9", b"7"])

    async def lie(stream: Any, request: KadMessage) -> None:
        other = Record(b"/n/another", b"5")
        record = Record(request.key, next(values, b"x"))
        await reply(stream, KadMessage(request.type, request.key, record if lies else other))

    lies = True
    async with hosts(dht()) as (victim,), attacker(lie) as evil:
        await victim.connect(evil.addrs[0])
        await until(lambda: evil.peer_id in victim.dht.table)
        assert await victim.dht.get(b"/n/key") is None
        lies = False
        assert await victim.dht.get(b"/n/key") is None


def test_s27_the_store_is_bounded() -> None:
    limits = replace(DEFAULT_LIMITS, dht_values=3)
    store = ValueStore(Namespaces({"n": Newest()}), lambda: 0.0, limits)
    for number in range(3):
        store.put(b"/n/%d" % number, b"1")
    with pytest.raises(LimitExceeded, match="dht_values"):
        store.put(b"/n/3", b"1")
    store.put(b"/n/2", b"2")
    assert len(store) == 3


# -- S28, S31 -------------------------------------------------------------------------------------------------------


def test_s28_one_network_does_not_fill_the_table() -> None:
    table = RoutingTable(peer_id(0))
    for number in range(1, 201):
        addr = Multiaddr(f"/ip4/203.7.{number % 256}.{number % 250}/tcp/4001")
        table.add(peer_id(number), [addr])
    assert len(table) <= 3
    assert max(table.bucket_sizes.values()) <= 2
    for number in range(1001, 1021):
        table.add(peer_id(number), [Multiaddr(f"/ip4/{number - 1000}.7.1.1/tcp/4001")])
    assert len(table) > 15, "others find their places all the same"


def test_s31_who_is_there_and_answers_is_not_pushed_out() -> None:
    table = RoutingTable(peer_id(0), k=2)
    there = [peer_id(n) for n in range(1, 200) if table.add(peer_id(n))]
    for number in range(1000, 3000):
        table.add(peer_id(number))
    assert set(there) <= set(table.peers)
    assert all(size <= 2 for size in table.bucket_sizes.values())
    gone = there[0]
    newcomer = table.remove(gone)
    assert newcomer is not None
    assert table.bucket_of(newcomer) == table.bucket_of(gone)
    assert set(there[1:]) <= set(table.peers)


# -- S29 ------------------------------------------------------------------------------------------------------------


def sybil_keys(target: int, count: int, nearer_than: int) -> list[KeyPair]:
    """So many keys whose peer ids are nearer to `target` than a distance."""
    found: list[KeyPair] = []
    while len(found) < count:
        key = KeyPair.generate()
        if position(PeerId.from_public_key(key.public).multihash) ^ target < nearer_than:
            found.append(key)
    return found


@pytest.mark.parametrize(("paths", "is_found"), [(1, False), (4, True)])
async def test_s29_disjoint_paths_pass_by_sybils_at_the_closest_ids(
    paths: int, is_found: bool
) -> None:
    k, key = 3, b"/n/wanted"
    target = position(key)
    async with AsyncExitStack() as stack:
        network = hosts(*(dht(k=k) for _ in range(12)))
        honest = await stack.enter_async_context(network)
        seeking = dht(k=k, paths=paths, mode="client", table=RoutingTable)  # it knows them all
        (asker,) = await stack.enter_async_context(hosts(seeking))
        for host in honest[1:]:
            await host.dht.bootstrap([honest[0].addrs[0]])
        await honest[1].dht.put(key, b"1")
        holders = closest([h.peer_id for h in honest], target, k)
        nearest = position(holders[0].multihash) ^ target
        evil: list[Any] = []

        async def name_friends(stream: Any, request: KadMessage) -> None:
            friends = tuple(Peer(e.peer_id, tuple(e.addrs)) for e in evil)
            await reply(stream, KadMessage(request.type, request.key, closer_peers=friends))

        for sybil in sybil_keys(target, k, nearest):
            evil.append(await stack.enter_async_context(attacker(name_friends, sybil)))
        for host in [*honest, asker]:
            for sybil in evil:
                await host.connect(sybil.addrs[0])
        without_record = [h for h in honest if h.dht.values.get(key) is None]
        for host in without_record:
            await asker.connect(host.addrs[0])
        await until(lambda: len(asker.dht.table) == len(evil) + len(without_record))
        found = await asker.dht.get(key)
        assert (found == b"1") is is_found


# -- S30 ------------------------------------------------------------------------------------------------------------


async def test_s30_ten_thousand_closer_peers_cost_no_more_than_k_dials() -> None:
    many = tuple(Peer(peer_id(n), (Multiaddr(f"/memory/{10**6 + n}"),)) for n in range(10_000))

    async def flood(stream: Any, request: KadMessage) -> None:
        await reply(stream, KadMessage(request.type, request.key, closer_peers=many))

    async with hosts(dht(k=5)) as (victim,), attacker(flood) as evil:
        await victim.connect(evil.addrs[0])
        await until(lambda: evil.peer_id in victim.dht.table)
        seen: list[object] = []
        with lab.record(victim) as log:
            await victim.dht.closest_peers(b"key")
        seen = [entry.what for entry in log]
        assert sum(isinstance(what, PeerAsked) for what in seen) <= 1 + 20
        assert sum(isinstance(what, DialStarted) for what in seen) <= 1 + 20
        assert sum(isinstance(what, LookupEnded) for what in seen) == 1


async def test_s30_ourselves_loops_and_private_addresses_are_passed_over() -> None:
    async def mislead(stream: Any, request: KadMessage) -> None:
        own = Peer(victim.peer_id, tuple(victim.addrs))
        loop = Peer(evil.peer_id, tuple(evil.addrs))
        private = Peer(peer_id(1), (Multiaddr("/ip4/192.168.1.1/tcp/22"),))
        closer = (own, loop, private, own)
        await reply(stream, KadMessage(request.type, request.key, closer_peers=closer))

    async with hosts(dht()) as (victim,), attacker(mislead) as evil:
        await victim.connect(evil.addrs[0])
        await until(lambda: evil.peer_id in victim.dht.table)
        victim.dht._accept = public_only  # as in the WAN's DHT, once the attacker has slipped in
        with lab.record(victim) as log:
            assert await victim.dht.closest_peers(victim.peer_id.multihash) == [evil.peer_id]
        asked = [entry.what.peer for entry in log if isinstance(entry.what, PeerAsked)]
        assert asked == [str(evil.peer_id)]
        assert not victim.peerstore.addrs(peer_id(1))


async def test_an_answer_of_another_kind_or_of_garbage_is_a_peer_that_failed() -> None:
    async def confuse(stream: Any, request: KadMessage) -> None:
        if garbage:
            await stream.write_message(b"\xff\xff\xff")
        else:
            await reply(stream, KadMessage(MessageType.PING))

    async with hosts(dht()) as (victim,), attacker(confuse) as evil:
        await victim.connect(evil.addrs[0])
        for garbage in (False, True):  # noqa: B007 - the attacker reads it
            with pytest.raises((MalformedMessage, ProtocolViolation)):
                await victim.dht.request(evil.peer_id, KadMessage(MessageType.FIND_NODE, b"k"))


async def _connected(evil: Any, victim: Any) -> PeerId:
    await evil.connect(victim.addrs[0])
    return victim.peer_id
