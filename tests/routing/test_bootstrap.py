"""Bootstrap: the waits as a core, and hosts in a simulated world that come in, are cut off and come back."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import LocalError
from libp2p_lab.routing.bootstrap import Waits
from libp2p_lab.routing.events import BootstrapFailed, BootstrapRound, Joined

PEERS = [lab.PeerId(b"\x12\x20" + bytes((n,)) * 32) for n in range(6)]
LIMITS = lab.Limits(bootstrap_backoff=10.0, bootstrap_backoff_max=60.0)


def test_whoever_failed_is_left_alone_longer_each_time() -> None:
    waits, rng = Waits(PEERS, LIMITS), random.Random(1)
    assert waits.next_chance(0.0) == float("inf")
    last = 0.0
    for n, least in enumerate((10.0, 20.0, 40.0, 60.0, 60.0)):
        wait = waits.failed(PEERS[0], 1000.0 * n, rng)
        assert least <= wait <= 1.5 * least
        assert wait != last, "by chance"
        last = wait
        assert waits.next_chance(1000.0 * n) == pytest.approx(wait)
        assert PEERS[0] not in waits.draw(9, (), 1000.0 * n + wait - 0.1, rng)
        assert PEERS[0] in waits.draw(9, (), 1000.0 * n + wait + 0.1, rng)
    waits.worked(PEERS[0])
    assert 10.0 <= waits.failed(PEERS[0], 0.0, rng) <= 15.0


def test_who_is_dialed_is_drawn_by_lot() -> None:
    waits = Waits([*PEERS, PEERS[0]], LIMITS)
    drawn = [waits.draw(2, PEERS[:2], 0.0, random.Random(seed)) for seed in range(50)]
    assert all(len({*pair}) == 2 for pair in drawn)
    assert {peer for pair in drawn for peer in pair} == {*PEERS[2:]}
    assert len(waits.draw(99, (), 0.0, random.Random(1))) == len(PEERS)
    assert waits.draw(0, (), 0.0, random.Random(1)) == []
    assert waits.draw(-3, (), 0.0, random.Random(1)) == []


def test_addresses_name_their_peer() -> None:
    with pytest.raises(LocalError, match="names no peer"):
        lab.Bootstrap(["/ip4/10.0.0.1/tcp/4001"])
    with pytest.raises(LocalError, match="minimum"):
        lab.Bootstrap([], minimum=0)
    first = f"/dnsaddr/example.org/p2p/{PEERS[0]}"
    made = lab.Bootstrap([first, f"/ip4/10.0.0.1/tcp/4001/p2p/{PEERS[0]}", *lab.known_peers()])
    assert made.peers == [PEERS[0], *(peer.peer_id for peer in lab.known_peers())]


def events(host: Any, kind: type) -> list[Any]:
    found: list[Any] = []
    host.trace.listen(lambda e: found.append((e.time, e.what)) if type(e.what) is kind else None)
    return found


def with_dht() -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.KadDHT()]


def test_coming_in_and_the_dht_is_joined() -> None:
    net = lab.sim.Internet(seed=3)
    others = [net.host(f"other {n}", services=with_dht) for n in range(5)]

    def services() -> list[Any]:
        return [*with_dht(), lab.Bootstrap([others[0].addrs[0], others[1].addrs[0]], minimum=2)]

    async def story() -> None:
        for host in others[1:]:
            await host.dht.bootstrap([others[0].addrs[0]])
        newcomer = net.host("newcomer", services=services)
        joined = events(newcomer, Joined)
        async with asyncio.timeout(60):
            await newcomer.bootstrap.joined()
        assert {o.peer_id for o in others} == {*newcomer.peers}, "it looked itself up, and met all"
        assert len(joined) == 1

    net.run(story(), until=120.0)
    net.close()


def test_while_nobody_is_there_it_tries_again_and_again_and_then_comes_in() -> None:
    net = lab.sim.Internet(seed=4)
    first = net.host("first")
    addr = first.addrs[0]

    async def story() -> None:
        first.crash()
        alice = net.host("alice", services=lambda: [lab.Identify(), lab.Bootstrap([addr])])
        failed, rounds = events(alice, BootstrapFailed), events(alice, BootstrapRound)
        await asyncio.sleep(1000)
        waits = [what.wait for _, what in failed]
        assert 4 <= len(waits) <= 9
        assert all(later > wait for wait, later in itertools.pairwise(waits))
        assert len(rounds) == len(failed), "one dial a round, none in between"
        for (time, what), (later, _) in itertools.pairwise(failed):
            assert later - time >= what.wait
        await first.restart()
        await asyncio.sleep(1000)
        assert alice.is_connected(first.peer_id)
        before = len(rounds)
        await first.disconnect(alice.peer_id)
        await asyncio.sleep(60)
        assert alice.is_connected(first.peer_id), "it noticed, and did not wait for long"
        assert len(rounds) == before + 1

    net.run(story(), until=4000.0)
    net.close()


def test_who_has_enough_dials_nobody() -> None:
    net = lab.sim.Internet(seed=5)
    friend, spare = net.host("friend"), net.host("spare")
    given = [friend.addrs[0], spare.addrs[0]]

    async def story() -> None:
        services = [lab.Identify(), lab.Bootstrap(given, minimum=1)]
        alice = net.host("alice", services=lambda: services)
        async with asyncio.timeout(60):
            await alice.bootstrap.joined()
        await asyncio.sleep(300)
        assert len(alice.peers) == 1

    net.run(story(), until=600.0)
    net.close()


async def test_nothing_is_left_when_the_host_closes() -> None:
    async with (
        lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as first,
        lab.Host(services=[lab.Identify(), lab.Bootstrap([first.addrs[0]])]) as alice,
    ):
        async with asyncio.timeout(30):
            await alice.bootstrap.joined()
        assert alice.peers == [first.peer_id]
        gone = first.addrs[0]
    async with lab.Host(services=[lab.Bootstrap([gone])]) as nobody:  # closed while it dials
        assert nobody.bootstrap.peers == [gone.peer_id]
