"""A crawl followed: curves, names, the latest peers, churn; stopped, chosen from, and without a page."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import pytest

import libp2p_lab as lab
from libp2p_lab.crawling import CrawledPeer, Progress, Reach
from libp2p_lab.errors import DialError, LocalError
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.widgets.crawl_model import MAX_RUNS, MAX_SAMPLES, CrawlHistory
from tests.crawling.test_live import guest, network
from tests.routing.test_cores import peer_id
from tests.widgets.conftest import Open


async def test_two_crawls_and_what_changed_between_them(open_page: Open) -> None:
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(network(8, "lab/1"))
        host = await stack.enter_async_context(guest())
        board = lab.widgets.CrawlBoard(lab.Crawler(host), [peers[0].addrs[0]])
        page = open_page(board)
        (empty,) = page.of("board")
        assert empty["can"]
        assert "figures" not in empty
        assert board.churn is None
        found = await board.crawl()
        assert {one.peer_id for one in found} == {peer.peer_id for peer in peers}
        assert board.churn is None
        await peers[5].close()
        await peers[6].close()
        await board.crawl()
        assert board.churn is not None
        assert set(board.churn.left) == {peers[5].peer_id, peers[6].peer_id}
        assert len(board.churn.stayed) == 6
        page.draw()
        page.tell("open")
        last = page.of("board")[-1]
        assert not last["going"]
        assert dict(last["figures"])["reached"] == 6
        assert dict(last["reach"])["unreached"] == 2
        assert last["programs"] == [["lab", 6]]
        assert ["/ipfs/kad/1.0.0", 6] in last["protocols"]
        assert last["transports"] == [["memory", 6]]
        assert last["churn"]["left_count"] == 2
        assert [row[0] for row in last["crawls"]] == ["2", "1"]
        seconds = [sample[0] for sample in last["samples"]]
        assert seconds == sorted(seconds)
        assert last["samples"][-1][1:] == (8, 8, 6)
        page.tell("show", reach="unreached")
        shown = page.of("board")[-1]
        assert {row["reach"] for row in shown["peers"]} == {"unreached"}
        assert len(shown["peers"]) == 2
        assert all(row["why"] for row in shown["peers"])
        page.tell("show", reach="nonsense")
        assert len(page.of("board")[-1]["peers"]) == 8
        board.close()


async def test_the_button_crawls_and_stops(open_page: Open) -> None:
    limits = replace(DEFAULT_LIMITS, crawl_pause=600.0)
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(network(4))
        host = await stack.enter_async_context(lab.Host(services=[lab.Identify()], limits=limits))
        board = lab.widgets.CrawlBoard(lab.Crawler(host), [peers[0].addrs[0]])
        page = open_page(board)
        page.tell("crawl")
        async with asyncio.timeout(30):
            while not any(
                dict(m.get("figures", [])).get("being visited") for m in page.of("board")
            ):
                await asyncio.sleep(0.01)
                page.draw()
        with pytest.raises(LocalError, match="one crawl at a time"):
            await board.crawl()
        page.tell("stop")
        async with asyncio.timeout(30):
            while board.crawler.is_crawling or page.of("board")[-1]["going"]:
                await asyncio.sleep(0.01)
                page.draw()
        assert "is stopped" in page.of("board")[-1]["summary"]
        assert host.connections == []
        board.close()


async def test_a_crawl_that_somebody_else_began_is_followed(open_page: Open) -> None:
    async with AsyncExitStack() as stack:
        peers = await stack.enter_async_context(network(4))
        host = await stack.enter_async_context(guest())
        crawler = lab.Crawler(host)
        board = lab.widgets.CrawlBoard(crawler)
        async with aclosing(crawler.crawl([peers[0].addrs[0]])) as finding:
            await anext(finding)
            assert "going on" in board.summary()
            async for _ in finding:
                pass
        assert "is over" in board.summary()
        assert len(board.peers) == 4
        with pytest.raises(LocalError, match="somebody to begin with"):
            await board.crawl()
        board.close()
        async for _ in crawler.crawl([peers[0].addrs[0]]):
            pass
        assert len(board.peers) == 4, "closed: it follows no more"
        board.close()  # again
        assert "Crawl 1" in board.summary()


async def test_what_goes_wrong_is_said(open_page: Open) -> None:
    async with guest() as host:

        async def nothing(name: str) -> list[str]:
            raise OSError("no such name")

        crawler = lab.Crawler(host, look_up=nothing)
        board = lab.widgets.CrawlBoard(crawler, ["/dnsaddr/nowhere.test"])
        with pytest.raises(DialError, match="no seed"):
            await board.crawl()
        page = open_page(board)
        page.tell("crawl")
        told = await page.wait_for("told")
        assert "no seed leads anywhere" in told["text"]
        board.close()
    with pytest.raises(LocalError, match=r"lab\.Crawler"):
        lab.widgets.CrawlBoard(host)  # type: ignore[arg-type]


async def test_without_a_page() -> None:
    async with network(5, "<b>bold</b>/1") as peers, guest() as host:
        board = lab.widgets.CrawlBoard(lab.Crawler(host), [peers[0].addrs[0]])
        assert "Nothing was crawled yet" in board._repr_mimebundle_()["text/plain"]
        await board.crawl()
        bundle = board._repr_mimebundle_()
        for part in ("5 peers heard of", "5 reached (100%)", "The latest peers", "answered"):
            assert part in bundle["text/plain"]
        assert "&lt;b&gt;bold" in bundle["text/html"]
        assert "<b>bold" not in bundle["text/html"]
        board.close()


def test_a_board_remembers_a_bounded_amount() -> None:
    history = CrawlHistory()
    for number in range(MAX_RUNS + 10):
        history.begin(Progress())
        history.take(CrawledPeer(peer_id(number), Reach.ANSWERED), Progress())
        history.end(Progress(is_finished=True))
    assert len(history.runs) == MAX_RUNS
    assert [bool(run.peers) for run in history.runs[-3:]] == [False, True, True]
    assert history.runs[-1].since is not None
    history.begin(Progress())
    run = history.runs[-1]
    for number in range(10_000):
        run.note(Progress(seconds=float(number), heard=number))
        assert len(run.samples) <= MAX_SAMPLES
    assert run.samples[0][0] == 0.0
    assert run.samples[-1][0] > 9000
    assert [one[0] for one in run.samples] == sorted(one[0] for one in run.samples)
