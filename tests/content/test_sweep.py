"""Announcing many keys region by region: the same peers are told as one by one, for fewer messages."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content.sweep import WHOLE, Coverage, Prefix, in_region
from libp2p_lab.errors import LocalError
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.routing import KadMessage, closest, position
from libp2p_lab.sim.reprovide import compare
from tests.content.test_live import network, until
from tests.routing.test_cores import peer_id

PEERS = [peer_id(n) for n in range(120)]


@given(st.integers(0, 2**256 - 1), st.integers(1, 256))
def test_prefixes(place: int, bits: int) -> None:
    prefix = Prefix.of(place, bits)
    assert place in prefix
    assert place in prefix.parent
    assert place not in prefix.sibling
    assert prefix.start <= place < prefix.end
    assert prefix in prefix.parent.halves
    assert prefix.sibling in prefix.parent.halves
    assert place in WHOLE


@given(st.integers(1, 120), st.integers(2, 8), st.integers(0, 99), st.integers(0, 2**32))
def test_where_there_is_no_gap_the_closest_are_known(
    count: int, k: int, key: int, seed: int
) -> None:
    """With perfect searches, `closest` is right for every place of the region, and soon."""
    peers, rng = PEERS[:count], random.Random(seed)
    coverage, place = Coverage(k), position(b"%d" % key)
    for _ in range(DEFAULT_LIMITS.dht_region_lookups):
        gap = coverage.gap(place, place ^ 1)
        if gap is None:
            break
        target = place if place in gap else rng.randrange(gap.start, gap.end)
        coverage.add(target, closest(peers, target, k))
    else:
        pytest.fail("more searches than a region may cost")
    region = coverage.region(place)
    for other in (place, *(rng.randrange(region.start, region.end) for _ in range(5))):
        assert coverage.closest(other) == closest(peers, other, k)
    assert {*coverage.below(region)} == {p for p in peers if position(p.multihash) in region}


def test_before_anything_is_known() -> None:
    coverage, place = Coverage(3), position(b"somewhere")
    assert coverage.gap(place) == coverage.region(place) == Prefix.of(place, 256)
    assert coverage.closest(place) == []
    coverage.add(place, [])  # nobody is there at all
    assert coverage.gap(place) is None
    assert coverage.region(place) == WHOLE


def test_keys_of_a_region() -> None:
    keys = sorted((b"%d" % n for n in range(40)), key=position)
    first = Prefix.of(position(keys[0]), 1)
    assert in_region(keys, first) == sum(position(key) in first for key in keys)
    assert in_region(keys, WHOLE) == 40


# -- the figures ----------------------------------------------------------------------------------------------


def test_a_sweep_tells_the_same_peers_for_a_tenth_of_the_streams() -> None:
    one, sweep = compare(peers=300, keys=300)
    assert (one.keys, one.lookups, one.announcements) == (300, 300, 6000)
    assert sweep.announcements == one.announcements
    assert one.exact > 0.99
    assert sweep.exact > 0.99
    assert sweep.lookups < one.lookups / 10
    assert sweep.per_key < one.per_key / 10


def test_few_keys_cost_a_sweep_no_more() -> None:
    for keys in (1, 5, 20):
        one, sweep = compare(peers=300, keys=keys)
        assert one.lookups == keys
        assert sweep.lookups <= keys
        assert sweep.exact == 1.0
    with pytest.raises(LocalError):
        compare(keys=0)


# -- live hosts -----------------------------------------------------------------------------------------------


def multihashes(count: int) -> list[bytes]:
    return [b"\x12\x20" + hashlib.sha256(b"%d" % n).digest() for n in range(count)]


async def test_many_keys_are_found_where_they_belong() -> None:
    async with network(12, k=3) as hosts:
        for host in hosts:
            await host.dht.refresh()
        alice, keys = hosts[4], multihashes(60)
        others = [host.peer_id for host in hosts if host is not alice]
        told: list[KadMessage] = []
        alice.trace.listen(
            lambda entry: (
                told.append(entry.what)
                if isinstance(entry.what, KadMessage) and entry.direction == "sent"
                else None
            )
        )
        swept = await alice.dht.provide_many([*keys, keys[0], lab.CID(1, 0x55, keys[1])])
        assert {*swept.told} == {*keys}
        for key, peers in swept.told.items():
            assert list(peers) == closest(others, position(key), 3)
        assert sum(message.type.name == "ADD_PROVIDER" for message in told) == 3 * 60
        assert swept.lookups < 30
        assert swept.regions < 15
        by_id = {host.peer_id: host for host in hosts}
        await until(
            lambda: all(
                by_id[peer].dht.providers.get(key)
                for key, peers in swept.told.items()
                for peer in peers
            )
        )
        found = [peer.peer_id async for peer in hosts[9].dht.find_providers(keys[7])]
        assert found == [alice.peer_id]


async def test_what_is_said_again_is_swept() -> None:
    limits = lab.Limits(dht_republish_interval=0.2, dht_provider_ttl=0.5)
    async with network(4, limits=limits) as hosts:
        keys = multihashes(5)
        await hosts[1].dht.provide_many(keys)
        await hosts[1].dht.provide(b"\x12\x20" + bytes(32))
        hosts[1].dht.stop_providing(keys[0])
        await asyncio.sleep(1.0)
        store = hosts[2].dht.providers
        await until(lambda: all(store.get(key) for key in (*keys[1:], b"\x12\x20" + bytes(32))))
        await until(lambda: not store.get(keys[0]))


async def test_alone_there_is_nobody_to_tell() -> None:
    async with network(1) as [alone]:
        swept = await alone.dht.provide_many(multihashes(3))
        assert set(swept.told.values()) == {()}
        assert (await alone.dht.provide_many([])).told == {}
