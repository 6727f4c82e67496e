"""Two hundred peers of the virtual internet: all are found, though some are dead, slow, or lie."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.crawling import CrawledPeer, Reach
from libp2p_lab.errors import LabError
from libp2p_lab.host.events import DialStarted
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.routing.kad import PROTOCOL_ID
from libp2p_lab.routing.kad_messages import KadMessage, Peer
from libp2p_lab.sim import Internet, SimHost
from tests.routing.test_cores import peer_id

LIMITS = replace(DEFAULT_LIMITS, dial_timeout=5.0)


def serving() -> Sequence[Any]:
    return [lab.Identify("lab/1"), lab.KadDHT()]


def only_identify() -> Sequence[Any]:
    return [lab.Identify()]


def build(net: Internet, count: int) -> list[SimHost]:
    """Peers whose tables are as they are after a while: everybody was met in some order, not all found a place.

    Each is in a network of its own: tables take few peers of one.
    """
    networks = [n for n in range(20, 224) if n != 127]  # that one is the loopback
    made = [
        net.host(f"peer{n}", ip=f"{networks[n]}.7.0.1", services=serving, security="plaintext")
        for n in range(count)
    ]
    rng = random.Random(1)
    for host in made:
        for other in rng.sample(made, min(len(made), 100)):
            if other is not host and host.dht.table.add(other.peer_id, other.addrs):
                host.peerstore.add_addrs(other.peer_id, [a.without_peer() for a in other.addrs])
    return made


def crawl(
    net: Internet, seeds: Sequence[Any], limits: lab.Limits = LIMITS, **options: Any
) -> tuple[dict[lab.PeerId, CrawledPeer], lab.Crawler, list[str]]:
    """Found, by whom, and every address that was dialed."""
    guest = net.host(
        "guest", ip="9.9.9.9", services=only_identify, security="plaintext", limits=limits
    )
    dialed: list[str] = []
    guest.trace.listen(
        lambda e: dialed.append(e.what.addr) if isinstance(e.what, DialStarted) else None
    )
    crawler = lab.Crawler(guest, **options)

    async def scenario() -> list[CrawledPeer]:
        return [found async for found in crawler.crawl(seeds)]

    found = net.run(scenario(), until=4000)
    assert guest.connections == []
    assert crawler.progress.is_finished
    return {one.peer_id: one for one in found}, crawler, dialed


def lying(answer: Callable[[KadMessage], Sequence[Peer]]) -> Callable[[SimHost], None]:
    """A host that answers like this, whatever it is asked."""

    def setup(host: SimHost) -> None:
        async def serve(stream: Any) -> None:
            while True:
                try:
                    request = KadMessage.decode(await stream.read_message(1 << 20))
                except LabError:
                    return
                named = tuple(answer(request))
                await stream.write_message(
                    KadMessage(request.type, request.key, closer_peers=named).encode()
                )

        host.set_handler(PROTOCOL_ID, serve)

    return setup


def test_all_two_hundred_are_found() -> None:
    with Internet(seed=5) as net:
        peers = build(net, 200)
        assert max(len(peer.dht.table) for peer in peers) < 150, "nobody knows all"
        found, crawler, dialed = crawl(net, [peers[0].addrs[0]])
        assert set(found) == {peer.peer_id for peer in peers}
        assert all(one.reach is Reach.ANSWERED for one in found.values())
        for peer in peers:
            assert found[peer.peer_id].named == len(peer.dht.table), "every bucket, whole"
        assert len(dialed) == 200, "one dial for each"
        assert crawler.progress.questions < 200 * 10


def test_the_dead_and_the_slow_hold_up_nobody() -> None:
    with Internet(seed=6) as net:
        peers = build(net, 60)
        dead, frozen = peers[5:15], peers[20:25]
        for peer in dead:
            peer.crash()
        for peer in frozen:
            peer.freeze()
        found, crawler, _ = crawl(net, [peers[0].addrs[0]])
        gone = {peer.peer_id for peer in (*dead, *frozen)}
        assert set(found) == {peer.peer_id for peer in peers}
        for who, one in found.items():
            assert one.reach is (Reach.UNREACHED if who in gone else Reach.ANSWERED)
        assert crawler.progress.share == pytest.approx(45 / 60)
        assert crawler.progress.seconds < 120


def test_who_falls_silent_after_some_answers_has_answered_those() -> None:
    with Internet(seed=7) as net:
        peers = build(net, 12)
        count = 0

        def fall_silent(request: KadMessage) -> Sequence[Peer]:
            nonlocal count
            count += 1
            if count == 2:
                liar.freeze()
            return [Peer(peer_id(9000 + count), (Multiaddr(f"/ip4/150.{count}.0.1/tcp/4001"),))]

        liar = net.host(
            "half",
            ip="99.1.1.1",
            services=only_identify,
            security="plaintext",
            setup=lying(fall_silent),
        )
        found, _, _ = crawl(net, [liar.addrs[0], peers[0].addrs[0]])
        half = found[liar.peer_id]
        assert half.reach is Reach.ANSWERED
        assert half.named >= 1
        assert half.why
        assert {peer.peer_id for peer in peers} < set(found)


def test_private_addresses_are_dialed_only_for_a_private_seed() -> None:
    inside = Multiaddr("/ip4/192.168.1.77/tcp/22")
    loopback = Multiaddr("/ip6/::1/tcp/22")
    named = [Peer(peer_id(500), (inside, loopback)), Peer(peer_id(501), (inside,))]
    with Internet(seed=8) as net:
        liar = net.host(
            "liar", services=only_identify, security="plaintext", setup=lying(lambda _: named)
        )
        found, _, dialed = crawl(net, [liar.addrs[0]])
        assert dialed == [str(liar.addrs[0].without_peer())]
        assert found[peer_id(500)].reach is found[peer_id(501)].reach is Reach.UNDIALED
    with Internet(seed=8) as net:
        liar = net.host(
            "liar", services=only_identify, security="plaintext", setup=lying(lambda _: named)
        )
        found, _, dialed = crawl(net, [liar.addrs[0]], private=True)
        assert str(inside) in dialed
        assert found[peer_id(501)].reach is Reach.UNREACHED
