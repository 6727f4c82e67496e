"""The cores of a crawl: keys that open buckets, tables laid open by few questions, whom to visit and whom to spare."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.crawling.crawl_store import CrawlStore
from libp2p_lab.crawling.findings import (
    OTHERS,
    UNNAMED,
    CrawledPeer,
    Reach,
    Tally,
    churn,
    tally,
    transport_of,
)
from libp2p_lab.crawling.frontier import Frontier, site_of
from libp2p_lab.crawling.table_walk import DEPTH, BucketKeys, TableWalk
from libp2p_lab.errors import LabError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.routing.distance import common_prefix_length, position
from libp2p_lab.routing.kad_messages import Peer
from libp2p_lab.routing.routing_table import K, RoutingTable
from tests.identity.test_multiaddr import nearly_addresses
from tests.routing.test_cores import peer_id

DIALER = lab.Crawler(lab.Host())  # never started: it says which addresses it would dial
KEYS = BucketKeys()  # numbers that were tried once serve all of these tests


def addr(number: int, port: int = 4001) -> Multiaddr:
    return Multiaddr(f"/ip4/11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/tcp/{port}")


# -- keys -----------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(0, 2**256 - 1), st.integers(0, 12))
def test_a_key_shares_exactly_so_many_bits(to: int, bucket: int) -> None:
    key = KEYS.key(to, bucket)
    assert common_prefix_length(position(key), to) == bucket
    assert PeerId(key).multihash == key, "other implementations take peer ids only"


def test_the_deepest_key_and_the_same_once_more() -> None:
    keys = BucketKeys()
    to = position(b"somewhere")
    key = keys.key(to, DEPTH - 1)
    assert common_prefix_length(position(key), to) == DEPTH - 1
    assert keys.key(to, DEPTH - 1) == key == BucketKeys().key(to, DEPTH - 1)


# -- one table ------------------------------------------------------------------------------------------------------


def ask(table: RoutingTable, key: bytes) -> list[Peer]:
    """What an honest peer with this table answers."""
    return [Peer(p) for p in table.closest(position(key), K)]


@settings(max_examples=30)
@given(st.integers(0, 700), st.integers(0, 10_000))
def test_a_table_is_laid_open_whole(size: int, seed: int) -> None:
    rng = random.Random(seed)
    me = peer_id(rng.getrandbits(200))
    table = RoutingTable(me)
    for _ in range(size):
        table.add(peer_id(rng.getrandbits(200)))
    walk = TableWalk(me, KEYS)
    told: list[Peer] = []
    while (key := walk.next_key()) is not None:
        told += walk.answered(ask(table, key))
    assert {p.peer_id for p in told} == set(table.peers) == set(walk.named)
    assert len(told) == len(walk.named), "nobody twice"
    if table.bucket_sizes:
        assert walk.questions <= max(table.bucket_sizes) + 2
    else:
        assert walk.questions == 1


def test_a_peer_that_says_the_same_again_is_asked_twice() -> None:
    walk = TableWalk(peer_id(0), KEYS)
    same = [Peer(peer_id(1))]
    assert walk.next_key()
    assert walk.answered(same) == same
    assert walk.next_key()
    assert walk.answered(same) == []
    assert walk.next_key() is None


def test_a_peer_that_makes_up_peers_for_ever_is_asked_sixteen_times() -> None:
    walk = TableWalk(peer_id(0), KEYS)
    position_of = position(peer_id(0).multihash)
    near = [  # nobody far away: the table never seems to be open
        p
        for p in map(peer_id, range(1, 20_000))
        if position(p.multihash) >> 247 == position_of >> 247
    ]
    named = 0
    while walk.next_key() is not None:
        named += len(walk.answered([Peer(p) for p in near] + [Peer(peer_id(0))]))
        near = near[K:] or [peer_id(10**6 + walk.questions)]
    assert walk.questions <= DEPTH
    assert named == len(walk.named) <= DEPTH * K
    flood = TableWalk(peer_id(0), KEYS, most=3)
    asked = 0
    while flood.next_key() is not None:
        start = 10_000 * asked
        asked += 1
        assert len(flood.answered([Peer(peer_id(start + n + 1)) for n in range(10_000)])) <= K
    assert asked <= 3


def test_a_peer_that_names_itself_has_named_nobody() -> None:
    walk = TableWalk(peer_id(0), KEYS)
    walk.next_key()
    assert walk.answered([Peer(peer_id(0))] * 30) == []
    assert walk.is_finished


# -- the frontier ---------------------------------------------------------------------------------------------------


def test_everybody_once() -> None:
    frontier = Frontier(without=[peer_id(0)])
    assert not frontier.hear(peer_id(0), [addr(0)]), "we do not visit ourselves"
    assert frontier.hear(peer_id(1), [addr(1)])
    assert not frontier.hear(peer_id(1), [addr(1)])
    assert frontier.hear(peer_id(1), [addr(2)]), "another address is news"
    (visit,) = frontier.next()
    assert visit.addrs == (addr(1), addr(2))
    assert not frontier.hear(peer_id(1), [addr(3)])
    assert frontier.next() == []
    assert not frontier.is_finished
    frontier.finished(peer_id(1), addr(1))
    assert frontier.is_finished
    assert not frontier.hear(peer_id(1), [addr(3)])
    assert len(frontier) == 1


def test_an_address_that_comes_later_will_do() -> None:
    def public(one: Multiaddr) -> bool:
        return one.value_of("ip4") != "192.168.1.1"

    frontier = Frontier(allowed=public)
    private = Multiaddr("/ip4/192.168.1.1/tcp/1")
    assert frontier.hear(peer_id(1), [private])
    assert frontier.hear(peer_id(2), [private])
    assert frontier.next() == []
    assert frontier.is_finished
    assert frontier.hear(peer_id(1), [private, addr(1)])
    assert [visit.addrs for visit in frontier.next()] == [(addr(1),)]
    frontier.finished(peer_id(1), None)
    assert frontier.undialed() == [(peer_id(2), ())]


def test_addresses_of_absurd_length_are_not_kept() -> None:
    frontier = Frontier()
    long = Multiaddr("/dns4/" + "x" * 600 + "/tcp/1")
    frontier.hear(peer_id(1), [long, addr(1)])
    assert frontier.addrs(peer_id(1)) == (addr(1),)


def test_a_thousand_names_at_one_address_delay_nobody_and_are_left_alone() -> None:
    limits = replace(
        DEFAULT_LIMITS, crawl_at_once=8, crawl_at_once_per_ip=2, crawl_failures_per_ip=10
    )
    frontier = Frontier(limits)
    victim = addr(77)
    for number in range(1000):
        frontier.hear(peer_id(number), [addr(77, port=number + 1)])
    for number in range(1000, 1020):
        frontier.hear(peer_id(number), [addr(number)])
    dialed = Counter[str]()
    honest: list[int] = []
    turns = 0
    while visits := frontier.next():
        turns += 1
        sites = Counter(site_of(visit.addrs[0]) for visit in visits)
        assert sites[site_of(victim)] <= 2
        assert len(visits) <= 8
        dialed += sites
        for visit in visits:
            number = int.from_bytes(visit.peer.multihash[2:], "big")
            if number >= 1000:
                honest.append(turns)
            frontier.finished(visit.peer, visit.addrs[0] if number >= 1000 else None)
    assert len(honest) == 20
    assert max(honest) <= 4, "they had their turns from the beginning"
    assert dialed[site_of(victim)] <= 12
    assert len(frontier.undialed()) == 1000 - dialed[site_of(victim)]
    assert not frontier.may_dial(victim)


def test_who_proves_who_he_is_clears_his_address_and_no_other() -> None:
    limits = replace(DEFAULT_LIMITS, crawl_failures_per_ip=2, crawl_at_once=1)
    frontier = Frontier(limits)
    home, victim = addr(1), addr(2)
    for number in range(5):
        frontier.hear(peer_id(number), [home, victim])
    seen = []
    while visits := frontier.next():
        (visit,) = visits
        seen.append(visit.addrs)
        frontier.finished(visit.peer, home)
    assert seen == [(home, victim)] * 2 + [(home,)] * 3


@pytest.mark.parametrize(
    ("one", "site"),
    [
        ("/ip4/1.2.3.4/udp/5/quic-v1", "1.2.3.4"),
        ("/ip6/2001:db8:1:2:3::4/tcp/5", "2001:db8:1:2::/64"),
        ("/dns4/Example.org/tcp/5", "example.org"),
        ("/memory/7", "/memory/7"),
    ],
)
def test_sites(one: str, site: str) -> None:
    assert site_of(Multiaddr(one)) == site


addresses = st.integers(0, 5).flatmap(lambda n: st.integers(1, 3).map(lambda port: addr(n, port)))
heard = st.tuples(st.integers(0, 40), st.lists(addresses, max_size=20))


@given(st.lists(heard, max_size=60), st.randoms(use_true_random=False))
def test_whatever_is_said_stays_within_the_limits(
    said: list[tuple[int, list[Multiaddr]]], rng: random.Random
) -> None:
    limits = replace(
        DEFAULT_LIMITS, crawl_at_once=4, crawl_at_once_per_ip=2, crawl_peers=20, crawl_addrs=3,
        crawl_failures_per_ip=3,
    )  # fmt: skip
    frontier = Frontier(limits, without=[peer_id(0)])
    going: list[PeerId] = []
    visited: list[PeerId] = []
    for number, addrs in said:
        frontier.hear(peer_id(number), addrs)
        for visit in frontier.next():
            assert 0 < len(visit.addrs) <= 3
            going.append(visit.peer)
        assert frontier.visiting == len(going) <= 4
        assert len(frontier) <= 20
        if going and rng.random() < 0.7:
            peer = going.pop(rng.randrange(len(going)))
            visited.append(peer)
            frontier.finished(peer, rng.choice([None, addr(1)]))
    while going:
        visited.append(going[0])
        frontier.finished(going.pop(0), None)
        going += [visit.peer for visit in frontier.next()]
    assert frontier.is_finished
    assert len(set(visited)) == len(visited)
    assert {*visited} | {p for p, _ in frontier.undialed()} == {
        peer_id(n) for n, _ in said if n
    } or frontier.refused


# -- findings -------------------------------------------------------------------------------------------------------


def found(number: int, reach: Reach = Reach.ANSWERED, agent: str = "") -> CrawledPeer:
    return CrawledPeer(peer_id(number), reach, (addr(number),), addr(number), agent, ("/a", "/a"))


def test_counted() -> None:
    peers = [
        found(1, agent="kubo/0.30.0"),
        found(2, agent="kubo/0.29.0"),
        found(3, Reach.CONNECTED),
        found(4, Reach.UNREACHED, agent="not heard"),
        found(5, Reach.UNDIALED),
    ]
    counted = tally(peers)
    assert counted.agents == {"kubo/0.30.0": 1, "kubo/0.29.0": 1, UNNAMED: 1}
    assert counted.programs == {"kubo": 2, UNNAMED: 1}
    assert counted.protocols == {"/a": 3}
    assert counted.transports == {"tcp": 3}
    assert (counted.heard, counted.visited, counted.there) == (5, 4, 3)
    assert counted.share == 0.75
    assert tally([]).share == 0.0


def test_two_thousand_names_are_counted_under_a_few() -> None:
    counting = Tally(replace(DEFAULT_LIMITS, crawl_names=10))
    for number in range(2000):
        counting.add(found(number, agent=f"liar{number}/1"))
    agents = counting.progress().agents
    assert len(agents) == 11
    assert agents[OTHERS] == 1990


def test_what_changed() -> None:
    before = [found(1, agent="a/1"), found(2, agent="a/1"), found(3), found(4, Reach.UNREACHED)]
    after = [
        found(2, agent="a/2"),
        found(1, agent="a/1"),
        found(3, Reach.UNREACHED),
        found(4),
        found(5),
    ]
    changed = churn(before, after)
    assert changed.came == (peer_id(4), peer_id(5))
    assert changed.left == (peer_id(3),)
    assert set(changed.stayed) == {peer_id(1), peer_id(2)}
    assert changed.changed == ((peer_id(2), "a/1", "a/2"),)
    assert str(changed) == "2 stayed, 2 came, 1 left, 1 run another program"


@pytest.mark.parametrize(
    ("one", "transport"),
    [
        ("/ip4/1.2.3.4/tcp/5", "tcp"),
        ("/ip4/1.2.3.4/udp/5/quic-v1", "quic-v1"),
        ("/ip4/1.2.3.4/udp/5/quic-v1/webtransport", "webtransport"),
        ("/ip4/1.2.3.4/tcp/5/tls/ws", "wss"),
        ("/ip4/1.2.3.4/tcp/5/ws", "ws"),
        ("/memory/1", "memory"),
    ],
)
def test_transports(one: str, transport: str) -> None:
    assert transport_of(Multiaddr(one)) == transport


@given(nearly_addresses())
def test_whatever_address_a_stranger_names_is_borne(data: bytes) -> None:
    try:
        one = Multiaddr(data)
    except LabError:
        return
    site_of(one)
    transport_of(one)
    frontier = Frontier(allowed=partial(DIALER._may_dial, private=False))
    frontier.hear(peer_id(1), [one])
    frontier.next()
    with CrawlStore(":memory:") as store:
        number = store.begin("/x", (), True)
        store.heard(number, [(peer_id(1), [one])])
        assert store.waiting(number) == [(peer_id(1), (one,))]
        found = CrawledPeer(peer_id(1), Reach.ANSWERED, (one,), one, "a", ("/b",), 1, 2, 3.5, "why")
        store.visited(number, found, (), 1.0)
        assert store.peers(number) == [found]
