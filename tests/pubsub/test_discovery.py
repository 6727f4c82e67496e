"""Peers of a topic that know nobody of it find each other: through a DHT, and through a rendezvous point."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.content.registrations import Registrations
from libp2p_lab.pubsub.discovery import namespace_of
from libp2p_lab.pubsub.events import TopicSearched

READERS = 8


def through_a_dht(net: Any) -> tuple[Any, Callable[[], list[Any]], Callable[[Any], Any]]:
    def services() -> list[Any]:
        return [lab.Identify(), lab.KadDHT(k=4)]

    first = net.host("first", services=services)

    def reader() -> list[Any]:
        dht = lab.KadDHT(k=4)
        return [lab.Identify(), dht, lab.GossipSub(discovery=dht)]

    async def join(host: Any) -> None:
        await host.dht.bootstrap([first.addrs[0]])

    return first, reader, join


def through_a_point(net: Any) -> tuple[Any, Callable[[], list[Any]], Callable[[Any], Any]]:
    lists = Registrations(clock=net.loop.time)
    point = net.host("point", services=lambda: [lab.Identify(), lab.Rendezvous(lists)])

    def reader() -> list[Any]:
        rendezvous = lab.Rendezvous()
        gossip = lab.GossipSub(discovery=rendezvous.at(point.addrs[0]))
        return [lab.Identify(), rendezvous, gossip]

    async def join(host: Any) -> None: ...

    return point, reader, join


@pytest.mark.parametrize("way", [through_a_dht, through_a_point])
def test_readers_of_a_topic_find_each_other(way: Any) -> None:
    net = lab.sim.Internet(seed=8)
    middle, reader, join = way(net)
    readers = [net.host(f"reader {n}", services=reader) for n in range(READERS)]
    searched: list[TopicSearched] = []
    readers[0].trace.listen(
        lambda e: searched.append(e.what) if isinstance(e.what, TopicSearched) else None
    )

    async def story() -> None:
        subscriptions = []
        for host in readers:
            await join(host)
            subscriptions.append(await host.pubsub.subscribe("news"))
        await asyncio.sleep(120)
        for host in readers:
            known = set(host.pubsub.peers("news"))
            assert known <= {h.peer_id for h in readers}
            assert len(known) >= host.pubsub.parameters.D_low
        assert searched[0].missing == readers[0].pubsub.parameters.D_low
        quiet = len(searched)
        await readers[0].pubsub.publish("news", b"hello")
        for subscription in subscriptions:
            assert (await subscription.get()).data == b"hello"
        await asyncio.sleep(300)
        assert len(searched) == quiet, "who has enough does not look"

        subscriptions[0].cancel()  # and is found no more, once the point knows
        await asyncio.sleep(30)
        if way is through_a_point:
            found = await readers[1].rendezvous.discover(middle.addrs[0], namespace_of("news"))
            assert readers[0].peer_id not in [peer.peer_id for peer in found.peers]

    net.run(story(), until=2000.0)
    net.close()
    if way is through_a_point:
        middle.rendezvous.registrations.close()


def test_alone_it_looks_less_and_less_often() -> None:
    net = lab.sim.Internet(seed=9)
    point, reader, _ = through_a_point(net)
    alone = net.host("alone", services=reader)
    times: list[float] = []
    alone.trace.listen(
        lambda e: times.append(e.time) if isinstance(e.what, TopicSearched) else None
    )

    async def story() -> None:
        await alone.pubsub.subscribe("news")
        await asyncio.sleep(4000)

    net.run(story(), until=5000.0)
    net.close()
    point.rendezvous.registrations.close()
    assert 10 < len(times) < 25
    assert times[-1] - times[-2] >= 300
