"""`CrawlBoard` without a page: the same numbers as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libp2p_lab.crawling.findings import CrawledPeer, Reach
from libp2p_lab.widgets.crawl_model import CrawlHistory, CrawlRun
from libp2p_lab.widgets.static_form import page, table, text_table

SHOWN = 12  # peers
NAMES = 8  # of programs, protocols, transports
CRAWLS = ("crawl", "seconds", "heard of", "reached", "came", "left", "stayed")
PEERS = ("peer", "reach", "agent", "transport", "named", "what went wrong")


def crawl_rows(history: CrawlHistory) -> list[tuple[str, ...]]:
    """A row for each crawl, the latest first."""
    rows: list[tuple[str, ...]] = []
    for run in reversed(history.runs):
        since, now = run.since, run.progress
        changes = (
            (str(len(since.came)), str(len(since.left)), str(len(since.stayed)))
            if since is not None
            else ("", "", "")
        )
        head = (str(run.number), f"{now.seconds:.1f}", f"{now.heard:,}", f"{now.there:,}")
        rows.append((*head, *changes))
    return rows


def peer_rows(peers: Sequence[CrawledPeer]) -> list[tuple[str, ...]]:
    """A row for each peer."""
    return [
        (p.peer_id.short(), p.reach.value, p.agent, p.transport, str(p.named), p.why) for p in peers
    ]


def name_rows(counts: Mapping[str, int], whole: int) -> list[tuple[str, ...]]:
    """Name, number, share: of the most frequent."""
    return [
        (name, f"{count:,}", f"{count / whole:.0%}" if whole else "")
        for name, count in [*counts.items()][:NAMES]
    ]


def static_form(summary: str, history: CrawlHistory, run: CrawlRun | None) -> tuple[str, str]:
    """HTML and text."""
    if run is None:
        return page("Crawl", f"<p>{summary}</p>"), summary
    now = run.progress
    reach = [(one.value, f"{now.reach.get(one, 0):,}") for one in Reach]
    newest = [*run.peers.values()][-SHOWN:][::-1]
    parts: list[tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]] = [
        ("Crawls", CRAWLS, crawl_rows(history)),
        ("Peers, by how far we got with them", ("reach", "peers"), reach),
        ("Programs", ("name", "peers", "share"), name_rows(now.programs, now.there)),
        ("Protocols", ("name", "peers", "share"), name_rows(now.protocols, now.there)),
        ("The latest peers", PEERS, peer_rows(newest)),
    ]
    html = "".join(table(caption, head, rows) for caption, head, rows in parts if rows)
    text = "\n\n".join(
        f"{caption}\n{text_table(head, rows)}" for caption, head, rows in parts if rows
    )
    return page("Crawl", f"<p>{summary}</p>{html}"), f"{summary}\n\n{text}"
