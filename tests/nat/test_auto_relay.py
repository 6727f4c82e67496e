"""AutoRelay: whom to ask, and whole networks in which relays come and go."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.nat.auto_relay import AutoRelay, Candidates
from libp2p_lab.sim import Internet
from tests.nat.test_relay_cores import peer

pytestmark = pytest.mark.timeout(120)


def test_the_first_group_with_anybody_is_asked_and_nobody_twice():
    it, rng = Candidates(), random.Random(1)
    groups = [[peer(1)], [peer(2), peer(3)], [peer(4)]]
    assert it.choose(groups, [], 0, rng) == peer(1)
    assert it.choose(groups, [peer(1)], 0, rng) in (peer(2), peer(3))
    assert it.choose(groups, [peer(1), peer(2), peer(3)], 0, rng) == peer(4)
    assert it.choose(groups, map(peer, range(5)), 0, rng) is None
    assert it.choose([], [], 0, rng) is None


def test_who_failed_is_left_alone_longer_each_time():
    it, rng = Candidates(), random.Random(1)
    it.failed(peer(1), 0)
    assert it.choose([[peer(1)]], [], 59, rng) is None
    assert it.next_chance(59) == pytest.approx(1)
    assert it.choose([[peer(1)]], [], 60, rng) == peer(1)
    it.failed(peer(1), 60)
    assert it.choose([[peer(1)]], [], 179, rng) is None
    it.worked(peer(1))
    assert it.choose([[peer(1)]], [], 100, rng) == peer(1)


@given(st.lists(st.tuples(st.integers(0, 600), st.floats(0, 10)), max_size=700))
def test_what_is_remembered_is_bounded(failures):
    it = Candidates()
    for number, now in failures:
        it.failed(peer(number), now)
    assert len(it._failed) <= DEFAULT_LIMITS.autorelay_candidates


def relays(net: Internet, n: int, **options: Any) -> list[Any]:
    services = lambda: [lab.Identify(), lab.Ping(), lab.Relay()]  # noqa: E731
    return net.hosts(n, "relay", services=services, **options)


def client(net: Internet, name: str, **options: Any) -> Any:
    return net.host(
        name,
        nat=net.nat(f"router of {name}"),
        services=lambda: [lab.Identify(), lab.Ping(), lab.RelayClient(), AutoRelay(**options)],
    )


def circuit_addrs(host: Any) -> list[Any]:
    return [addr for addr in host.addrs if "p2p-circuit" in addr.names]


def test_two_places_among_those_that_it_meets():
    with Internet(seed=2) as net:
        some = relays(net, 5)
        plain = net.host("plain")
        alice, bob = client(net, "alice"), client(net, "bob")

        async def scenario() -> None:
            await alice.connect(plain.addrs[0])
            for one in some:
                await alice.connect(one.addrs[0])
            await asyncio.sleep(5)
            assert len(alice.service(AutoRelay).relays) == 2
            assert len(circuit_addrs(alice)) == 2
            assert sum(len(one.relay.places) for one in some) == 2
            await bob.connect(circuit_addrs(alice)[0])

        net.run(scenario())


def test_a_dead_relay_is_replaced():
    with Internet(seed=3) as net:
        some = relays(net, 4)
        alice = client(net, "alice", relays=[one.addrs[0] for one in some])

        async def scenario() -> None:
            await asyncio.sleep(10)
            held = alice.service(AutoRelay).relays
            assert len(held) == 2
            dead = next(one for one in some if one.peer_id == held[0])
            dead.crash()
            await asyncio.sleep(240)
            now = alice.service(AutoRelay).relays
            assert len(now) == 2
            assert dead.peer_id not in now
            assert not [a for a in circuit_addrs(alice) if str(dead.peer_id) in str(a)]

        net.run(scenario())


def test_full_relays_are_passed_over():
    with Internet(seed=4) as net:
        full = relays(net, 3, limits=lab.Limits(relay_reservations=0))
        [free] = net.hosts(1, "free", services=lambda: [lab.Identify(), lab.Ping(), lab.Relay()])
        told = [one.addrs[0] for one in [*full, free]]
        alice = client(net, "alice", relays=told, wanted=1)

        async def scenario() -> None:
            await asyncio.sleep(20)
            assert alice.service(AutoRelay).relays == [free.peer_id]

        net.run(scenario())


def test_relays_from_the_dht():
    with Internet(seed=5) as net:
        services = lambda: [lab.Identify(), lab.Ping(), lab.Relay(), lab.KadDHT()]  # noqa: E731
        some = net.hosts(8, "relay", services=services)
        alice = net.host(
            "alice",
            nat=net.nat("home"),
            services=lambda: [
                lab.Identify(),
                lab.Ping(),
                lab.RelayClient(),
                lab.KadDHT(),
                AutoRelay(),
            ],
        )
        plain = net.host("plain", services=lambda: [lab.Identify(), lab.Ping(), lab.KadDHT()])

        async def scenario() -> None:
            for one in some:
                await one.run(one.dht.bootstrap([plain.addrs[0]]))
            await alice.run(alice.dht.bootstrap([plain.addrs[0]]))
            await asyncio.sleep(120)
            assert len(alice.service(AutoRelay).relays) == 2

        net.run(scenario())


def test_a_public_peer_wants_none_and_gives_back_what_it_has():
    with Internet(seed=6) as net:
        some = relays(net, 3)
        needed = [True]
        alice = client(
            net, "alice", relays=[one.addrs[0] for one in some], is_needed=lambda: needed[0]
        )

        async def scenario() -> None:
            await asyncio.sleep(10)
            assert len(circuit_addrs(alice)) == 2
            needed[0] = False
            alice.service(AutoRelay).look()
            await asyncio.sleep(1)
            assert not circuit_addrs(alice)
            assert not alice.relay_client.listeners

        net.run(scenario())
