"""What is made of a crawl: tables, a page, metrics, and the command that does it all."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import importlib.util
import signal
import sys
import urllib.request
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from pathlib import Path

import pytest

import libp2p_lab as lab
from libp2p_lab.cli import main
from libp2p_lab.crawling import CrawledPeer, Reach, crawl_metrics, crawl_report, crawl_tables, tally
from libp2p_lab.crawling.crawl_store import Crawl
from libp2p_lab.crawling.findings import OTHERS, Churn
from libp2p_lab.errors import LocalError
from libp2p_lab.identity.multiaddr import Multiaddr
from tests.routing.test_cores import peer_id
from tests.support import REPOSITORY

CRAWL = Crawl(1, "/ipfs/kad/1.0.0", ("/memory/1",), True, 1_700_000_000.0, 1_700_000_060.0, 60.0)
EVIL = "<script>alert(1)</script>"
ADDR = Multiaddr("/ip4/1.2.3.4/tcp/5")
PEERS = [
    CrawledPeer(peer_id(1), Reach.ANSWERED, (ADDR,), ADDR, "kubo/0.30", ("/a b", "/c"), 7, 5, 0.25),
    CrawledPeer(peer_id(2), Reach.CONNECTED, (ADDR,), ADDR, EVIL, (EVIL,), why=f"says {EVIL}"),
    CrawledPeer(peer_id(3), Reach.UNREACHED, (ADDR, ADDR), why="=cmd(): refused"),
    CrawledPeer(peer_id(4), Reach.UNDIALED),
]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert crawl_tables.write_csv(path, PEERS) == 4
    with path.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [row["peer_id"] for row in rows] == [str(found.peer_id) for found in PEERS]
    assert rows[0]["protocols"].split(" ") == ["/a␣b", "/c"]
    assert (rows[0]["named"], rows[0]["seconds"], rows[0]["transport"]) == ("7", "0.25", "tcp")
    assert rows[1]["agent"] == EVIL
    assert rows[2]["why"] == "'=cmd(): refused", "no spreadsheet shall carry that out"
    assert rows[2]["addrs"] == f"{ADDR} {ADDR}"


def test_frame_where_pandas_is() -> None:
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(LocalError, match="pip install pandas"):
            crawl_tables.to_frame(PEERS)
        return
    frame = crawl_tables.to_frame(PEERS)
    assert [*frame["reach"]] == ["answered", "connected", "unreached", "undialed"]
    assert frame["named"].sum() == 7


def test_parquet_where_it_can_be_written_and_a_clear_word_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.parquet"
    if importlib.util.find_spec("pyarrow") is not None:
        import pandas as pd

        assert crawl_tables.write_parquet(path, PEERS) == 4
        assert [*pd.read_parquet(path)["agent"]] == ["kubo/0.30", EVIL, "", ""]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LocalError, match="pip install pandas pyarrow"):
        crawl_tables.write_parquet(tmp_path / "never.parquet", PEERS)
    with pytest.raises(LocalError, match="pip install pandas"):
        crawl_tables.to_frame(PEERS)
    assert not (tmp_path / "never.parquet").exists()


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href"}, "nothing is loaded"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def test_the_report_says_it_all_in_words_and_escapes_strangers() -> None:
    changed = Churn((peer_id(1),), (), (peer_id(2),), ((peer_id(2), "old", EVIL),))
    page = Page(crawl_report.html(CRAWL, PEERS, changed))
    assert page.open == [], "every tag is closed"
    assert "script" not in page.tags
    text = " ".join(page.text)
    assert EVIL in text
    for part in (
        "kubo",
        "66.7%",
        "2023-11-14",
        "share reached",
        "1 stayed, 1 came, 0 left",
        "/a b",
    ):
        assert part in text, part
    empty = Page(crawl_report.html(CRAWL, []))
    assert empty.open == []


def test_metrics() -> None:
    text = crawl_metrics.expose(tally(PEERS))
    assert 'libp2p_crawl_peers{reach="answered"} 1.0' in text
    assert "libp2p_crawl_questions_total 5.0" in text
    assert "libp2p_crawl_heard 4.0" in text
    many = [CrawledPeer(peer_id(n), Reach.ANSWERED, addr=ADDR, agent=f"p{n}/1") for n in range(100)]
    lines = [x for x in crawl_metrics.expose(tally(many)).splitlines() if "crawl_programs{" in x]
    assert len(lines) == crawl_metrics.SERIES + 1
    assert f'libp2p_crawl_programs{{program="{OTHERS}"}} 70.0' in lines


async def test_metrics_are_served() -> None:
    progress = tally([])

    def read(port: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    with crawl_metrics.serve(lambda: progress, 0) as port:
        assert "libp2p_crawl_heard 0.0" in await asyncio.to_thread(read, port)
        progress = tally(PEERS)
        assert "libp2p_crawl_heard 4.0" in await asyncio.to_thread(read, port)
        with pytest.raises(OSError), crawl_metrics.serve(lambda: progress, port):
            pass
    with pytest.raises(OSError):
        await asyncio.to_thread(read, port)


# -- the command ----------------------------------------------------------------------------------------------------


async def command(*arguments: object) -> tuple[int, str, str]:
    """Run `libp2p-lab crawl` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "libp2p_lab.cli", "crawl", *map(str, arguments),
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(120):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return process.returncode or 0, out.decode(), err.decode()


async def peers_at_loopback(stack: AsyncExitStack, count: int) -> list[lab.Host]:
    made = [
        await stack.enter_async_context(
            lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=[lab.Identify(), lab.KadDHT()])
        )
        for _ in range(count)
    ]
    for host in made[1:]:
        await host.dht.bootstrap([made[0].addrs[0]])
    return made


@pytest.mark.timeout(400)
async def test_the_command_writes_everything_and_compares_the_next_time(tmp_path: Path) -> None:
    store, report, table = (tmp_path / name for name in ("crawls.db", "crawl.html", "crawl.csv"))
    async with AsyncExitStack() as stack:
        peers = await peers_at_loopback(stack, 5)
        seed = peers[0].addrs[0]
        code, out, err = await command(
            seed, "--store", store, "--report", report, "--csv", table, "--prometheus", 0
        )
        assert code == 0, err
        assert "5 peers: 5 answered" in out
        assert "libp2p_lab 5" in out
        assert "Prometheus: http://127.0.0.1:" in err
        assert "5 heard of, 5 visited, 5 reached (100%)" in err
        assert report.read_text("utf-8").startswith("<!doctype html>")
        assert len(table.read_text("utf-8").splitlines()) == 6
        await peers[4].close()
        code, out, err = await command(seed, "--store", store)
        assert code == 0, err
        assert "4 stayed, 0 came, 1 left" in out


@pytest.mark.timeout(400)
async def test_the_command_is_interrupted_and_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "crawls.db"
    async with AsyncExitStack() as stack:
        peers = await peers_at_loopback(stack, 5)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "libp2p_lab.cli", "crawl", str(peers[0].addrs[0]),
            "--store", str(store), "--pause", "600",
            cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(120):
            while not any(_has_guest(peer, peers) for peer in peers):
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
        assert process.returncode == 1
        assert b"interrupted; go on with --resume" in err
        code, out, text = await command("--store", store, "--resume")
        assert code == 0, text
        assert "5 peers: 5 answered" in out


def _has_guest(peer: lab.Host, peers: list[lab.Host]) -> bool:
    """Whether somebody is connected who is none of us."""
    known = {one.peer_id for one in peers}
    return any(c.remote_peer not in known for c in peer.connections)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "whom shall it begin with"),
        (("--resume",), "--resume needs --store"),
        (("--store", "{here}", "/memory/1"), "store of crawls"),
        (("/memory/999999999",), "no seed leads anywhere|cannot reach"),
        (("/nonsense/1",), "nonsense"),
    ],
)
def test_misuse(tmp_path: Path, arguments: tuple[str, ...], what: str) -> None:
    with pytest.raises(SystemExit, match=what):
        main(["crawl", *(one.format(here=tmp_path) for one in arguments)])
