"""`libp2p-lab crawl`: a DHT from the command line.

    libp2p-lab crawl /dnsaddr/bootstrap.libp2p.io --store crawls.db --report crawl.html

Interrupted (Ctrl-C), it says how to go on. Progress goes to standard error, what was found to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path

from libp2p_lab.crawling import crawl_metrics, crawl_report, crawl_tables
from libp2p_lab.crawling.crawl_store import CrawlStore
from libp2p_lab.crawling.crawler import Crawler
from libp2p_lab.crawling.findings import Churn, CrawledPeer, Progress, Reach, tally
from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.routing.kad import PROTOCOL_ID

EVERY = 2.0  # seconds between two lines of progress
SHOWN = 8  # names of one kind in the summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "seeds", nargs="*", metavar="multiaddr", help="whom to begin with; /dnsaddr/… is looked up"
    )
    parser.add_argument("--store", type=Path, help="an SQLite file: crawls are kept, and compared")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the last crawl in the store"
    )
    parser.add_argument("--report", type=Path, metavar="out.html", help="a page about the crawl")
    parser.add_argument("--csv", type=Path, metavar="out.csv", help="a line for each peer")
    parser.add_argument(
        "--parquet", type=Path, metavar="out.parquet", help="the same; needs pandas and pyarrow"
    )
    parser.add_argument(
        "--prometheus", type=int, metavar="PORT", help="answer Prometheus there meanwhile"
    )
    parser.add_argument(
        "--limit", type=_count, default=0, metavar="N", help="stop after so many visits"
    )
    parser.add_argument(
        "--at-once",
        type=_count,
        default=DEFAULT_LIMITS.crawl_at_once,
        metavar="N",
        help="visits going on at a time (%(default)s)",
    )
    parser.add_argument(
        "--pause",
        type=float,
        default=DEFAULT_LIMITS.crawl_pause,
        metavar="SECONDS",
        help="between two questions to one peer (%(default)s)",
    )
    parser.add_argument("--protocol", default=PROTOCOL_ID, help="which DHT (%(default)s)")
    parser.add_argument(
        "--private",
        action=argparse.BooleanOptionalAction,
        help="dial private addresses; left out: if a multiaddr above has one",
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def run(given: argparse.Namespace) -> None:
    """Crawl, and write down what was asked for.

    Raises: `LabError`, `OSError`.
    """
    if not given.seeds and not given.resume:
        raise LocalError("whom shall it begin with? Give a multiaddr, or --resume with --store")
    if given.resume and given.store is None:
        raise LocalError("--resume needs --store: there is nothing to go on with")
    if given.parquet is not None:
        crawl_tables.check_parquet()
    limits = replace(DEFAULT_LIMITS, crawl_at_once=given.at_once, crawl_pause=max(0.0, given.pause))
    with CrawlStore(given.store if given.store is not None else ":memory:") as store:
        try:
            asyncio.run(_crawl(given, store, limits))
        except KeyboardInterrupt:
            _write(given, store)
            how = (
                "go on with --resume" if given.store is not None else "with --store it could go on"
            )
            sys.exit(f"libp2p-lab crawl: interrupted; {how}")
        _write(given, store)


async def _crawl(given: argparse.Namespace, store: CrawlStore, limits: Limits) -> None:
    async with Host(services=[Identify(), Ping()], limits=limits) as host:
        crawler = Crawler(
            host, protocol=given.protocol, private=given.private, store=store, most=given.limit
        )
        with ExitStack() as stack:
            if given.prometheus is not None:
                serving = crawl_metrics.serve(lambda: crawler.progress, given.prometheus)
                port = stack.enter_context(serving)
                _say(f"Prometheus: http://127.0.0.1:{port}/metrics")
            clock = asyncio.get_running_loop().time
            told = clock()
            async with aclosing(crawler.crawl(given.seeds, resume=given.resume)) as finding:
                async for _ in finding:
                    if clock() - told >= EVERY:
                        told = clock()
                        _say(line(crawler.progress))
            _say(line(crawler.progress))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def line(now: Progress) -> str:
    """How far a crawl is."""
    return (
        f"{now.seconds:6.1f} s: {now.heard:,} heard of, {now.visited:,} visited, {now.there:,} reached "
        f"({now.share:.0%}), {now.waiting:,} waiting, {now.questions:,} questions"
    )


def _write(given: argparse.Namespace, store: CrawlStore) -> None:
    """What was found: a summary to standard output, and the files that were asked for."""
    if not store.numbers:
        return
    number = store.numbers[-1]
    peers = store.peers(number)
    changed = _since(store, number)
    print(summary(peers, changed))
    if given.report is not None:
        page = crawl_report.html(store.crawl(number), peers, changed)
        given.report.write_text(page, "utf-8")
        print(f"report: {given.report}")
    if given.csv is not None:
        print(f"{crawl_tables.write_csv(given.csv, peers)} peers: {given.csv}")
    if given.parquet is not None:
        print(f"{crawl_tables.write_parquet(given.parquet, peers)} peers: {given.parquet}")


def _since(store: CrawlStore, number: int) -> Churn | None:
    """What changed since the crawl of the same DHT before; None if one of the two is not over."""
    this = store.crawl(number)
    before = [
        one
        for one in map(store.crawl, store.numbers)
        if one.number < number and one.protocol == this.protocol and one.ended is not None
    ]
    return store.compare(before[-1].number, number) if before and this.ended is not None else None


def summary(peers: list[CrawledPeer], changed: Churn | None = None) -> str:
    """A crawl in some lines."""
    now = tally(peers)
    lines = [
        f"{now.heard:,} peers: " + ", ".join(f"{now.reach.get(r, 0):,} {r.value}" for r in Reach)
    ]
    for title, counts in (
        ("programs", now.programs),
        ("transports", now.transports),
        ("protocols", now.protocols),
    ):
        shown = [f"{name} {count:,}" for name, count in [*counts.items()][:SHOWN]]
        if len(counts) > SHOWN:
            shown.append(f"{len(counts) - SHOWN} more names")
        if shown:
            lines.append(f"{title}: {', '.join(shown)}")
    if changed is not None:
        lines.append(f"since the crawl before: {changed}")
    return "\n".join(lines)
