"""Distance, table, lookup and messages: vectors, metric laws, models, and whole networks without a network."""

from __future__ import annotations

import contextlib
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import closest, common_prefix_length, distance, position
from libp2p_lab.routing.kad_messages import ConnectionType, KadMessage, MessageType, Peer, Record
from libp2p_lab.routing.lookup import DisjointPeers, Lookup, State, disjoint_lookups
from libp2p_lab.routing.pb import kad_pb2
from libp2p_lab.routing.routing_table import RoutingTable, networks_of
from tests.support import load_vectors

VECTORS = load_vectors("kad.json")["vectors"]


def of_kind(kind: str) -> list[dict[str, object]]:
    return [vector for vector in VECTORS if vector["kind"] == kind]


def peer_id(number: int) -> PeerId:
    return PeerId(b"\x12\x20" + number.to_bytes(32, "big"))


positions = st.integers(0, 2**256 - 1)

# -- distance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", of_kind("kad-key"), ids=lambda v: v["id"])
def test_positions(vector: dict[str, str]) -> None:
    found = position(bytes.fromhex(vector["input"]))
    assert found.to_bytes(32, "big").hex() == vector["key"]
    if "peer_id" in vector:
        assert PeerId.from_text(vector["peer_id"]).multihash.hex() == vector["input"]
        assert common_prefix_length(found, 0) >= int(vector["leading_zero_bits_at_least"])


@pytest.mark.parametrize("vector", of_kind("distance"), ids=lambda v: v["id"])
def test_distances(vector: dict[str, str]) -> None:
    a, b = int(vector["a"], 16), int(vector["b"], 16)
    assert distance(a, b) == int(vector["distance"])


def test_order_by_distance() -> None:
    (vector,) = of_kind("sort")
    target = int(str(vector["target"]), 16)
    keys = [int(key, 16) for key in vector["keys"]]  # type: ignore[attr-defined]
    order = sorted(range(len(keys)), key=lambda n: distance(keys[n], target))
    assert order == vector["order"]


@pytest.mark.parametrize("vector", of_kind("zero-prefix-bits"), ids=lambda v: v["id"])
def test_prefixes(vector: dict[str, object]) -> None:
    data = bytes.fromhex(str(vector["bytes"]))
    padded = int.from_bytes(data.ljust(32, b"\xff"), "big")
    assert min(common_prefix_length(padded, 0), 8 * len(data)) == vector["bits"]


@given(positions, positions, positions)
def test_it_is_a_metric(a: int, b: int, c: int) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert a ^ distance(a, b) == b, "for a point and a distance there is exactly one other"
    assert common_prefix_length(a, b) == 256 - distance(a, b).bit_length()


# -- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", of_kind("message"), ids=lambda v: v["id"])
def test_messages_of_go(vector: dict[str, object]) -> None:
    message = KadMessage.decode(bytes.fromhex(str(vector["message"])))
    assert (message.type.name, message.key.hex()) == (vector["type"], vector["key"])
    if record := vector.get("record"):
        assert message.record is not None
        assert message.record.key.hex() == record["key"]  # type: ignore[index]
        assert message.record.value.hex() == record["value"]  # type: ignore[index]
    else:
        assert message.encode().hex() == vector["message"], "ours are the same bytes"
    if provider := vector.get("provider"):
        (peer,) = message.provider_peers
        assert str(peer.peer_id) == provider["peer_id"]  # type: ignore[index]
        assert [a.to_bytes().hex() for a in peer.addrs] == [provider["addr_bytes"]]  # type: ignore[index]


blobs = st.binary(max_size=40)
addresses = st.sampled_from([Multiaddr("/ip4/1.2.3.4/tcp/5"), Multiaddr("/dns4/a.b/tcp/1/ws")])
peers = st.builds(
    Peer,
    st.integers(0, 50).map(peer_id),
    st.lists(addresses, max_size=3).map(tuple),
    st.sampled_from(ConnectionType),
)
lists = st.lists(peers, max_size=4).map(tuple)
messages = st.builds(
    KadMessage,
    st.sampled_from(MessageType),
    blobs,
    st.none() | st.builds(Record, blobs, blobs, st.text(max_size=10)),
    lists,
    lists,
)


@given(messages)
def test_a_message_comes_back(message: KadMessage) -> None:
    assert KadMessage.decode(message.encode()) == message


@given(st.binary(max_size=100))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        KadMessage.decode(data)


def test_bad_peers_and_addresses_are_left_out() -> None:
    good = Peer(peer_id(1), (Multiaddr("/ip4/1.2.3.4/tcp/5"),))
    message = KadMessage(MessageType.FIND_NODE, b"k", closer_peers=(good,))
    spoiled = kad_pb2.Message.FromString(message.encode())
    spoiled.closerPeers.add(id=b"nonsense")
    spoiled.closerPeers[0].addrs.append(b"\xff\xff")
    other = Multiaddr("/ip4/9.9.9.9/tcp/1").with_peer(peer_id(2))
    spoiled.closerPeers[0].addrs.append(other.to_bytes())
    assert KadMessage.decode(spoiled.SerializeToString()) == message


# -- the table ----------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=150), st.integers(1, 5))
def test_the_table_against_its_rules(history: list[tuple[bool, int]], k: int) -> None:
    me = peer_id(0)
    table = RoutingTable(me, k)
    first: dict[int, list[PeerId]] = {}
    for add, number in history:
        peer = peer_id(number)
        bucket = first.setdefault(table.bucket_of(peer), [])
        if add:
            was_full = len(bucket) >= k
            placed = table.add(peer)
            assert placed == (peer in bucket or not was_full), "who came first stays"
            if placed and peer not in bucket:
                bucket.append(peer)
        else:
            newcomer = table.remove(peer)
            if peer in bucket:
                bucket.remove(peer)
                if newcomer is not None:
                    bucket.append(newcomer)
        assert set(table.peers) == {p for peers in first.values() for p in peers}
        assert all(size <= k for size in table.bucket_sizes.values())
        target = position(b"%d" % number)
        assert table.closest(target, 5) == closest(table.peers, target, 5)
    assert not table.add(me)


def test_near_buckets_are_emptier() -> None:
    table = RoutingTable(peer_id(0))
    for number in range(1, 10_001):
        table.add(peer_id(number))
    sizes = table.bucket_sizes
    assert [sizes[bucket] for bucket in range(8)] == [20] * 8
    assert sum(sizes.values()) == pytest.approx(199, abs=25)
    assert max(sizes) > 10


def test_waiting_peers_take_the_place_of_those_that_fail() -> None:
    table = RoutingTable(peer_id(0), k=2)
    far = [peer_id(n) for n in range(1, 100) if table.bucket_of(peer_id(n)) == 0][:4]
    assert [table.add(peer) for peer in far] == [True, True, False, False]
    assert table.remove(far[0]) == far[3], "the latest that waited"
    assert table.peers == [far[1], far[3]]
    assert table.remove(far[2]) is None
    assert table.remove(far[1]) is None


@pytest.mark.parametrize(
    ("addr", "networks"),
    [
        ("/ip4/8.8.4.4/tcp/1", ("8.8.0.0/16",)),
        ("/ip6/2600:1901:1:2::1/tcp/1", ("2600:1901::/32",)),
        ("/ip4/127.0.0.1/tcp/1", ()),
        ("/ip4/10.1.2.3/tcp/1", ()),
        ("/dns4/example.org/tcp/1", ()),
    ],
)
def test_networks(addr: str, networks: tuple[str, ...]) -> None:
    assert networks_of([Multiaddr(addr)]) == networks


# -- the lookup -----------------------------------------------------------------------------------------------------


class Network:
    """Peers with tables that answer at once."""

    def __init__(self, count: int, seed: int = 0, k: int = 20) -> None:
        self.rng = random.Random(seed)
        self.peers = [peer_id(self.rng.getrandbits(255)) for _ in range(count)]
        self.tables = {peer: RoutingTable(peer, k) for peer in self.peers}
        for table in self.tables.values():  # each hears of everybody, in an order of its own
            for other in self.rng.sample(self.peers, count):
                table.add(other)
        self.dead: set[PeerId] = set()
        self.liars: dict[PeerId, list[PeerId]] = {}

    def answer(self, peer: PeerId, target: int) -> list[PeerId]:
        return self.liars.get(peer) or self.tables[peer].closest(target)

    def run(self, lookup: Lookup) -> Lookup:
        flying: list[PeerId] = []
        while True:
            flying += lookup.next()
            assert len(flying) <= lookup.alpha
            if not flying:
                return lookup
            peer = flying.pop(self.rng.randrange(len(flying)))
            if peer in self.dead or peer not in self.tables:
                lookup.failed(peer)
            else:
                lookup.answered(peer, self.answer(peer, lookup.target))
            if lookup.is_finished:
                return lookup

    def search(self, start: PeerId, target: int, **options: object) -> Lookup:
        seeds = self.tables[start].closest(target)
        return self.run(Lookup(target, seeds, without={start}, **options))

    def nearest(self, target: int, count: int = 20, without: PeerId | None = None) -> list[PeerId]:
        alive = [p for p in self.peers if p not in self.dead and p != without]
        return closest(alive, target, count)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 120))
def test_a_lookup_finds_exactly_the_closest(seed: int, count: int) -> None:
    network = Network(count, seed)
    start, target = network.peers[0], position(seed.to_bytes(8, "big"))
    lookup = network.search(start, target)
    assert lookup.is_finished
    assert lookup.result == network.nearest(target, without=start)


def test_rounds_grow_with_the_logarithm() -> None:
    hops = {}
    for count in (50, 400):
        network = Network(count, 1, k=4)
        found = [network.search(network.peers[n], position(b"%d" % n), k=4).hops for n in range(30)]
        hops[count] = sum(found) / len(found)
    assert hops[50] < hops[400] < hops[50] + math.log2(400 / 50)


def test_dead_peers_are_struck_off() -> None:
    network = Network(200, 2)
    network.dead = set(network.rng.sample(network.peers[1:], 80))
    for number in range(20):
        target = position(b"%d" % number)
        lookup = network.search(network.peers[0], target)
        exact = network.nearest(target, without=network.peers[0])
        assert exact[0] in lookup.result
        assert len(set(lookup.result) & set(exact)) >= 10, "tables are full of the dead"
        assert not set(lookup.result) & network.dead


def test_a_liar_cannot_keep_a_lookup_from_ending() -> None:
    network = Network(60, 3)
    liar = network.peers[5]
    network.liars[liar] = [peer_id(10**6 + n) for n in range(10_000)]
    lookup = network.search(network.peers[0], position(b"x"))
    invented = [c for c in lookup.candidates if c.named_by == liar]
    assert len(invented) <= 20
    assert all(c.state is not State.ANSWERED for c in invented)
    exact = network.nearest(position(b"x"), without=network.peers[0])
    assert len(set(lookup.result) & set(exact)) >= 19


def test_the_asker_and_failures_stay_out() -> None:
    me, a = peer_id(1), peer_id(2)
    lookup = Lookup(0, [me, a], without={me})
    assert lookup.next() == [a]
    assert lookup.next() == []
    assert lookup.answered(a, [me, a]) == []
    assert lookup.is_finished
    assert (lookup.result, lookup.requests, lookup.hops) == ([a], 1, 1)
    assert Lookup(0, []).is_finished


def test_stopping_early() -> None:
    lookup = Lookup(0, [peer_id(n) for n in range(50)], alpha=3)
    asked = lookup.next()
    lookup.answered(asked[0], [])
    lookup.stop()
    assert lookup.is_finished
    assert lookup.next() == []
    assert lookup.result == [asked[0]]


def test_disjoint_paths_share_nobody() -> None:
    network = Network(120, 4)
    target = position(b"t")
    seeds = network.tables[network.peers[0]].closest(target)
    lookups = disjoint_lookups(target, seeds, 4, without={network.peers[0]})
    shared, asked = DisjointPeers(), [set() for _ in lookups]
    for path, lookup in enumerate(lookups):
        while not lookup.is_finished:
            for peer in lookup.next():
                if shared.claim(peer, path):
                    asked[path].add(peer)
                    lookup.answered(peer, network.answer(peer, target))
                else:
                    lookup.failed(peer)
    for one in range(4):
        assert asked[one]
        for other in range(one):
            assert not asked[one] & asked[other]


def test_s29_disjoint_paths_outlive_sybils_around_a_key() -> None:
    """Sybils name only each other. The plain lookup is lost; of four paths some still find an honest peer."""
    network = Network(200, 5)
    target = position(b"victim")
    sybils = closest([peer_id(10**9 + n) for n in range(4000)], target, 40)
    for sybil in sybils:
        network.liars[sybil] = sybils
        network.tables[sybil] = RoutingTable(sybil)
    honest = network.nearest(target, without=network.peers[0])
    for peer in network.peers[1:60]:  # part of the network has taken the sybils in
        network.liars[peer] = sybils[:20]
    plain = network.search(network.peers[0], target)
    assert not set(plain.result) & set(honest), "all that it finds are sybils"
    seeds = network.tables[network.peers[0]].closest(target)
    found: set[PeerId] = set()
    shared = DisjointPeers()
    for path, lookup in enumerate(disjoint_lookups(target, seeds, 8, without={network.peers[0]})):
        while not lookup.is_finished:
            for peer in lookup.next():
                if shared.claim(peer, path):
                    lookup.answered(peer, network.answer(peer, target))
                else:
                    lookup.failed(peer)
        found.update(lookup.result)
    assert found & set(honest)


def test_misuse() -> None:
    with pytest.raises(LocalError):
        lab.KadDHT(k=0)
