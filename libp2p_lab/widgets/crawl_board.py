"""`CrawlBoard`: a crawl as it goes on; and once there are two of them, who came and who left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from libp2p_lab.crawling.crawler import Crawler, Seed
from libp2p_lab.crawling.findings import Churn, CrawledPeer, Reach
from libp2p_lab.errors import LocalError
from libp2p_lab.widgets.crawl_form import NAMES, crawl_rows, static_form
from libp2p_lab.widgets.crawl_model import CrawlHistory, CrawlRun
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.2  # seconds: five pictures a second
ROWS = 60  # peers in the page's table
LISTED = 24  # peers that came or left, by name


class CrawlBoard:
    """A crawl as it goes on: counts over time, what the peers run and speak, the latest of them, and churn.

    It follows its crawler from the moment that it is made until `close`, shown or not, whoever has it crawl. The peers
    of the last two crawls are kept.

    Args:
        crawler: who crawls.
        seeds: whom to begin with, for the button and for `crawl`.
    """

    def __init__(self, crawler: Crawler, seeds: Iterable[Seed] = ()) -> None:
        if not isinstance(crawler, Crawler):
            raise LocalError(
                f"the board follows a lab.Crawler, {type(crawler).__name__} is none: "
                "lab.widgets.CrawlBoard(lab.Crawler(host), seeds)"
            )
        self.crawler = crawler
        self.seeds = [*seeds]
        self._history = CrawlHistory()
        self._run = 0
        self._reach: Reach | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = crawler.on_found(self._take)
        self._view = View(
            "crawl_board",
            on_open=self._snapshot,
            on_flush=self._snapshot,
            on_message=self._hear,
            interval=INTERVAL,
        )

    def close(self) -> None:
        """Take it off the page, and follow the crawler no more; a crawl of its own ends."""
        self._stop()
        self.stop()
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- for programs -----------------------------------------------------------------------------

    async def crawl(self) -> list[CrawledPeer]:
        """Crawl once, from the board's seeds. Returns the peers that were found, up to `stop`.

        Raises: `LocalError` if it is crawling, or there are no seeds; `DialError`, as `Crawler.crawl`.
        """
        if self.crawler.is_crawling or self._task is not None:
            raise LocalError("one crawl at a time: wait for this one, or stop it")
        self._task = asyncio.create_task(self._crawl())
        try:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()
        finally:
            self._task.cancel()
            self._task = None
            self._view.wake()
        return self.peers

    async def _crawl(self) -> None:
        async with aclosing(self.crawler.crawl(self.seeds)) as finding:
            async for _ in finding:
                pass

    def stop(self) -> None:
        """End the crawl that `crawl` or the button began. What was found stays."""
        if self._task is not None:
            self._task.cancel()

    @property
    def peers(self) -> list[CrawledPeer]:
        """Whom the last crawl found, in the order in which they were visited."""
        run = self._history.now
        return [*run.peers.values()] if run is not None else []

    @property
    def churn(self) -> Churn | None:
        """What changed between the last two crawls; None unless both came to their end."""
        run = self._history.now
        return run.since if run is not None else None

    def summary(self) -> str:
        """The state of things in words."""
        run = self._history.now
        if run is None:
            return "Nothing was crawled yet."
        now = run.progress
        state = "going on" if self._is_going else "over" if now.is_finished else "stopped"
        text = (
            f"Crawl {run.number} is {state} after {now.seconds:.1f} s: {now.heard:,} peers heard of, "
            f"{now.visited:,} visited, {now.there:,} reached ({now.share:.0%}), {now.questions:,} questions."
        )
        return f"{text} Since the crawl before: {run.since}." if run.since is not None else text

    # -- following --------------------------------------------------------------------------------

    @property
    def _is_going(self) -> bool:
        return self.crawler.is_crawling and self._run == self.crawler.runs

    def _take(self, found: CrawledPeer | None) -> None:
        """Called by the crawler."""
        progress = self.crawler.progress
        if self._run != self.crawler.runs:
            self._run = self.crawler.runs
            self._history.begin(progress)
        elif found is None:
            self._history.end(progress)
        if found is not None:
            self._history.take(found, progress)
        self._view.wake()

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        return self._record(), []

    def _record(self) -> dict[str, Any]:
        run = self._history.now
        record: dict[str, Any] = {
            "type": "board",
            "going": self._is_going or self._task is not None,
            "can": bool(self.seeds),
            "summary": self.summary(),
            "shown": self._reach.value if self._reach is not None else "",
        }
        if run is None:
            return record
        now = run.progress
        return record | {
            "figures": [
                ["heard of", now.heard],
                ["waiting", now.waiting],
                ["being visited", now.visiting],
                ["visited", now.visited],
                ["reached", now.there],
                ["questions", now.questions],
            ],
            "reach": [[one.value, now.reach.get(one, 0)] for one in Reach],
            "there": now.there,
            "programs": _most(now.programs),
            "protocols": _most(now.protocols),
            "transports": _most(now.transports),
            "samples": run.samples,
            "peers": [_row(found) for found in self._latest(run)],
            "crawls": crawl_rows(self._history)[:10],
            "churn": self._churn_record(run),
        }

    def _latest(self, run: CrawlRun) -> list[CrawledPeer]:
        """The newest peers of the kind that is shown."""
        latest: list[CrawledPeer] = []
        for found in reversed(run.peers.values()):
            if self._reach is None or found.reach is self._reach:
                latest.append(found)
                if len(latest) == ROWS:
                    break
        return latest

    def _churn_record(self, run: CrawlRun) -> dict[str, Any] | None:
        since = run.since
        if since is None:
            return None
        return {
            "stayed": len(since.stayed),
            "came": [peer.short() for peer in since.came[:LISTED]],
            "came_count": len(since.came),
            "left": [peer.short() for peer in since.left[:LISTED]],
            "left_count": len(since.left),
            "changed": [[peer.short(), old, new] for peer, old, new in since.changed[:LISTED]],
        }

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "crawl"} if self._task is None and not self.crawler.is_crawling:
                self._view.start(self._crawl_again(), self._tell)
            case {"type": "stop"}:
                self.stop()
            case {"type": "show", "reach": str(reach)}:
                self._reach = next((one for one in Reach if one.value == reach), None)
                self._view.send(self._record())

    async def _crawl_again(self) -> None:
        await self.crawl()

    def _tell(self, text: str) -> None:
        self._view.send({"type": "told", "text": text})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        html, text = static_form(self.summary(), self._history, self._history.now)
        return self._view.mimebundle(html, text)


def _most(counts: Any) -> list[list[Any]]:
    """The most frequent names, and how many others there are."""
    items = [*counts.items()]
    rest = sum(count for _, count in items[NAMES:])
    shown = [[name, count] for name, count in items[:NAMES]]
    return [*shown, [f"{len(items) - NAMES} more", rest]] if rest else shown


def _row(found: CrawledPeer) -> dict[str, Any]:
    return {
        "id": str(found.peer_id),
        "name": found.peer_id.short(),
        "reach": found.reach.value,
        "agent": found.agent,
        "transport": found.transport,
        "addr": str(found.addr or ""),
        "named": found.named,
        "questions": found.questions,
        "protocols": [*found.protocols],
        "why": found.why,
    }
