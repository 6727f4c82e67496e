"""Networks of routing tables: who is in them, and that the library's lookup finds its way through thousands."""

from __future__ import annotations

import statistics

import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.routing import closest, common_prefix_length, position
from libp2p_lab.sim.lookups import LookupNetwork


def test_a_table_holds_k_of_each_bucket_or_all_there_are() -> None:
    net = LookupNetwork(500, k=5, seed=3)
    me = position(net.ids[7].multihash)
    there: dict[int, int] = {}
    for n, peer in enumerate(net.ids):
        if n != 7:
            bucket = common_prefix_length(me, position(peer.multihash))
            there[bucket] = there.get(bucket, 0) + 1
    held: dict[int, int] = {}
    for n in net.table_of(7):
        bucket = common_prefix_length(me, position(net.ids[n].multihash))
        held[bucket] = held.get(bucket, 0) + 1
    assert held == {bucket: min(count, 5) for bucket, count in there.items()}
    assert 7 not in net.table_of(7)


def test_lookups_are_exact_and_grow_with_the_logarithm() -> None:
    hops = []
    for count in (100, 1000, 4000):
        net = LookupNetwork(count, seed=1)
        outcomes = [net.lookup(n, position(b"key %d" % n)) for n in range(0, 60, 3)]
        assert all(outcome.is_exact for outcome in outcomes)
        assert all(outcome.most_in_flight <= 10 for outcome in outcomes)
        hops.append(statistics.mean(outcome.hops for outcome in outcomes))
    assert hops == sorted(hops)
    assert hops[-1] < 3.5


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [LookupNetwork(200, seed=4, dead=0.3).lookup(0, position(b"x")) for _ in range(2)]
    assert runs[0] == runs[1]


def test_the_dead_cost_time_and_are_not_found() -> None:
    net = LookupNetwork(400, seed=2, dead=0.4)
    target = position(b"x")
    asker = net.alive[3]
    outcome = net.lookup(asker, target)
    alive = {net.ids[n] for n in net.alive}
    assert set(outcome.found) <= alive
    assert outcome.failed > 0
    assert outcome.seconds > 5.0
    assert net.closest(target) == closest(alive, target, net.k)


def test_misuse() -> None:
    with pytest.raises(LocalError):
        LookupNetwork(1)
    with pytest.raises(LocalError):
        LookupNetwork(10, dead=1.0)
