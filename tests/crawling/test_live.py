"""A crawl of live peers: all are found, told, written down; interrupted and resumed; compared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.crawling import CrawledPeer, Reach
from libp2p_lab.crawling.events import CrawlEnded, CrawlStarted, PeerVisited
from libp2p_lab.errors import DialError, LocalError
from libp2p_lab.limits import DEFAULT_LIMITS

QUICK = replace(DEFAULT_LIMITS, crawl_pause=0.0)


@asynccontextmanager
async def network(count: int, agent: str = "lab/1") -> AsyncIterator[list[lab.Host]]:
    """So many peers with a DHT, all of which joined it."""
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(
                lab.Host(listen=["/memory/0"], services=[lab.Identify(agent), lab.KadDHT()])
            )
            for _ in range(count)
        ]
        for host in made[1:]:
            await host.dht.bootstrap([made[0].addrs[0]])
        yield made


def guest(**options: Any) -> lab.Host:
    return lab.Host(services=[lab.Identify()], limits=QUICK, **options)


async def crawl(crawler: lab.Crawler, *seeds: Any, **options: Any) -> dict[lab.PeerId, CrawledPeer]:
    found = [one async for one in crawler.crawl(seeds, **options)]
    assert len({one.peer_id for one in found}) == len(found), "nobody twice"
    return {one.peer_id: one for one in found}


async def test_all_are_found_and_what_they_say_is_told() -> None:
    async with network(12) as peers, guest() as host:
        client = lab.KadDHT(mode="client")
        async with lab.Host(listen=["/memory/0"], services=[lab.Identify(), client]) as user:
            await user.dht.bootstrap([peers[0].addrs[0]])
            told: list[object] = []
            host.trace.listen(lambda e: told.append(e.what) if e.layer == "crawl" else None)
            crawler = lab.Crawler(host)
            found = await crawl(crawler, peers[0].addrs[0])
            assert set(found) == {peer.peer_id for peer in peers}, "the client is in no table"
        for one in found.values():
            assert one.reach is Reach.ANSWERED
            assert one.agent == "lab/1"
            assert "/ipfs/kad/1.0.0" in one.protocols
            assert one.transport == "memory"
            assert 0 < one.named <= 12
            assert 0 < one.questions <= 16
            assert one.why == ""
        assert host.connections == [], "it hung up everywhere"
        now = crawler.progress
        assert now.is_finished
        assert (now.heard, now.visited, now.there, now.waiting, now.visiting) == (12, 12, 12, 0, 0)
        assert now.agents == {"lab/1": 12}
        assert isinstance(told[0], CrawlStarted)
        assert sum(isinstance(one, PeerVisited) for one in told) == 12
        assert isinstance(told[-1], CrawlEnded)


async def test_dead_peers_strangers_and_connections_that_were_there() -> None:
    async with network(6) as peers, guest() as host:
        async with lab.Host(listen=["/memory/0"], services=[lab.Identify("shop/2")]) as stranger:
            await host.connect(peers[1].addrs[0])
            await peers[3].close()
            found = await crawl(
                lab.Crawler(host), lab.PeerInfo(peers[0].peer_id, peers[0].addrs), stranger.addrs[0]
            )
        assert set(found) == {peer.peer_id for peer in peers} | {stranger.peer_id}
        assert found[stranger.peer_id].reach is Reach.CONNECTED
        assert "does not speak" in found[stranger.peer_id].why
        assert found[stranger.peer_id].agent == "shop/2"
        assert found[peers[3].peer_id].reach is Reach.UNREACHED
        assert found[peers[3].peer_id].why
        assert host.peers == [peers[1].peer_id], "what was there before stays"


async def test_interrupted_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "crawls.db"
    async with network(12) as peers, guest() as host:
        with lab.CrawlStore(path) as store:
            crawler = lab.Crawler(host, store=store)
            first: list[CrawledPeer] = []
            async with aclosing(crawler.crawl([peers[0].addrs[0]])) as finding:
                async for one in finding:
                    first.append(one)
                    if len(first) == 4:
                        break
            assert store.unfinished(crawler.protocol) == 1
            assert host.connections == []
        with lab.CrawlStore(path) as store:  # another day
            crawler = lab.Crawler(host, store=store)
            rest = await crawl(crawler, resume=True)
            assert {one.peer_id for one in first}.isdisjoint(rest)
            assert {one.peer_id for one in first} | set(rest) == {p.peer_id for p in peers}
            assert crawler.progress.visited == 12
            assert store.unfinished(crawler.protocol) is None
            assert {one.peer_id for one in store.peers(1)} == {p.peer_id for p in peers}
            with pytest.raises(LocalError, match="somebody to begin with"):
                await crawl(crawler, resume=True)


async def test_a_task_that_is_cancelled_leaves_nothing_behind() -> None:
    async with network(8) as peers, guest() as host:
        with lab.CrawlStore(":memory:") as store:
            crawler = lab.Crawler(host, store=store)
            begun = asyncio.Event()

            async def work() -> None:
                async for _ in crawler.crawl([peers[0].addrs[0]]):
                    begun.set()

            task = asyncio.create_task(work())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(await crawl(crawler, resume=True)) + len(store.peers(1)) >= 8


async def test_churn_between_two_crawls() -> None:
    with lab.CrawlStore(":memory:") as store:
        async with network(6) as peers, guest() as host:
            await crawl(lab.Crawler(host, store=store), peers[0].addrs[0])
            await peers[4].close()
            newcomer = lab.Host(listen=["/memory/0"], services=[lab.Identify(), lab.KadDHT()])
            async with newcomer:
                await newcomer.dht.bootstrap([peers[0].addrs[0]])
                await crawl(lab.Crawler(host, store=store), peers[0].addrs[0])
            changed = store.compare(1, 2)
            assert changed.left == (peers[4].peer_id,)
            assert changed.came == (newcomer.peer_id,)
            assert set(changed.stayed) == {p.peer_id for p in peers if p is not peers[4]}
            assert store.numbers == [1, 2]
            with pytest.raises(LocalError, match="no crawl 3"):
                store.compare(1, 3)


async def test_enough_is_enough() -> None:
    async with network(8) as peers, guest() as host:
        with lab.CrawlStore(":memory:") as store:
            crawler = lab.Crawler(host, store=store, most=3)
            assert len(await crawl(crawler, peers[0].addrs[0])) == 3
            assert store.unfinished(crawler.protocol) == 1, "it can go on"
            assert len(await crawl(crawler, resume=True)) == 3


async def test_a_host_that_is_closed_ends_the_crawl() -> None:
    async with network(5) as peers:
        host = await guest().start()
        finding = lab.Crawler(host).crawl([peers[0].addrs[0]])
        await anext(finding)
        await host.close()
        with pytest.raises(LocalError, match="closed"):
            async for _ in finding:
                pass


async def test_names_are_looked_up() -> None:
    async with network(3) as peers, guest() as host:

        async def look_up(name: str) -> list[str]:
            assert name == "_dnsaddr.seeds.test"
            return [f"dnsaddr={peer.addrs[0]}" for peer in peers[:2]] + ["dnsaddr=nonsense"]

        crawler = lab.Crawler(host, look_up=look_up)
        assert len(await crawl(crawler, "/dnsaddr/seeds.test")) == 3
        bare = peers[0].addrs[0].without_peer()
        assert len(await crawl(lab.Crawler(host), bare)) == 3
        assert host.connections == []


async def test_misuse() -> None:
    async with guest() as host:

        async def nothing(name: str) -> list[str]:
            raise OSError("no such name")

        with pytest.raises(DialError, match="no seed leads anywhere"):
            await crawl(lab.Crawler(host, look_up=nothing), "/dnsaddr/nowhere.test")
        with pytest.raises(LocalError, match="somebody to begin with"):
            await crawl(lab.Crawler(host))
        with pytest.raises(LocalError, match="0 or more"):
            lab.Crawler(host, most=-1)


# -- the file -------------------------------------------------------------------------------------------------------


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear all, this is no data base, whatever its name may be. " * 20)
    with pytest.raises(LocalError, match="store of crawls"):
        lab.CrawlStore(path)
    peers = tmp_path / "peers.db"
    lab.SqlitePeerstore(peers).close()
    with pytest.raises(LocalError, match="store of crawls"):
        lab.CrawlStore(peers)
    with lab.CrawlStore(tmp_path / "one.db") as store:
        assert store.numbers == []
        with pytest.raises(LocalError, match="store of crawls"):
            lab.CrawlStore(tmp_path / "one.db")
    with lab.CrawlStore(tmp_path / "one.db"):
        pass
    with pytest.raises(LocalError, match="store of crawls"):
        lab.CrawlStore(tmp_path)


async def test_a_store_that_was_closed_is_an_error_that_is_told() -> None:
    async with network(3) as peers, guest() as host:
        store = lab.CrawlStore(":memory:")
        finding = lab.Crawler(host, store=store).crawl([peers[0].addrs[0]])
        await anext(finding)
        store.close()
        with pytest.raises(OSError, match="cannot write"):
            async for _ in finding:
                pass
