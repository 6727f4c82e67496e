"""StreamScope: what a page is told, what its buttons do to live streams, here and in a simulated internet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libp2p_lab import Host, LocalError, Mplex, Multiaddr, Recording, Yamux, record
from libp2p_lab.multiplexing.connection import Stream
from libp2p_lab.sim import Internet
from libp2p_lab.widgets import StreamScope, slow_reader
from libp2p_lab.widgets.slow_reader_bench import BULK, SlowReader
from tests.widgets.conftest import Open, Page

SINK = "/sink/1.0.0"


async def sink(stream: Stream) -> None:
    async for _ in stream:
        pass


@pytest.fixture(params=["yamux", "mplex"])
async def peers(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Host, Host]]:
    muxer = {"yamux": Yamux, "mplex": Mplex}[request.param]
    async with (
        Host(listen=["/memory/0"], muxers=[muxer()], services=[]) as alice,
        Host(muxers=[muxer()], services=[]) as bob,
    ):
        alice.set_handler(SINK, sink)
        yield alice, bob


def lanes(page: Page) -> dict[int, dict[str, Any]]:
    """What the page knows of each stream by now."""
    told = page.of("snapshot") + page.of("update")
    return {
        lane["id"]: lane
        for message in told
        for panel in message["panels"]
        for lane in panel["lanes"]
    }


async def until(page: Page, is_so: Any) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)
            page.draw()


async def test_frames_and_gauges_reach_the_page_and_a_reader_is_stopped(
    peers: tuple[Host, Host], open_page: Open
) -> None:
    alice, bob = peers
    scope = StreamScope({"alice": alice, "bob": bob})
    page = open_page(scope)
    assert page.of("snapshot")[0]["panels"] == []
    stream = await bob.open_stream(alice.addrs[0], SINK)
    await stream.write(bytes(5000))
    await until(page, lambda: lanes(page).get(stream.id, {}).get("protocol") == SINK)
    panel = page.of("update")[0]["panels"][0]
    assert panel["title"].startswith("bob → alice")
    assert panel["can_poke"]
    assert panel["blocks"][0][4] in ("data", "open")

    page.tell("poke", panel=0, lane=stream.id, what="stop")
    await until(page, lambda: page.of("result"))
    assert page.of("result")[0]["text"] == f"nobody reads stream {stream.id} at alice any more"
    writing = asyncio.create_task(stream.write(bytes(100_000)))
    # One piece may have been on its way into the reader's hands.
    await until(
        page,
        lambda: (
            lanes(page)[stream.id]["ways"][0]["unread"]
            + lanes(page)[stream.id]["ways"][1]["unread"]
            > 60_000
        ),
    )
    assert lanes(page)[stream.id]["held"]
    page.tell("poke", panel=0, lane=stream.id, what="go")
    await writing
    await until(page, lambda: not any(way["unread"] for way in lanes(page)[stream.id]["ways"][:1]))

    # The header of a frame, field by field.
    page.tell("open_block", panel=0, block=0)
    (block,) = page.of("block")
    assert "stream" in block["message"]["title"]
    page.tell("open_block", panel=0, block=10_000)
    assert page.of("block")[1]["message"] is None

    page.tell("poke", panel=0, lane=stream.id, what="fin", end=0)
    await until(page, lambda: len(page.of("result")) == 3)
    page.tell("poke", panel=0, lane=stream.id, what="rst")
    await until(page, lambda: len(page.of("result")) == 4)
    for content in (
        {"panel": 0, "lane": 99, "what": "fin"},
        {"panel": 7, "lane": 1, "what": "fin"},
        {"panel": 0, "lane": 1, "what": "tickle"},
    ):
        page.tell("poke", **content)
    assert [one["ok"] for one in page.of("result")][4:] == [False, False, False]
    scope.close()
    assert not alice.trace.listeners


async def test_many_streams_at_once_fill_the_backlog(
    peers: tuple[Host, Host], open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libp2p_lab.widgets.stream_scope.BURST_TIME", 0.2)
    alice, bob = peers
    await bob.connect(alice.addrs[0])
    scope = StreamScope([bob, alice])
    page = open_page(scope)
    assert page.of("snapshot")[0]["panels"][0]["can_poke"], "the connection was there before"
    scope.poke("burst")
    await until(page, lambda: any("reset by the other side" in one for one in scope.results))
    refused = re.search(r"(\d+) were reset by the other side", scope.results[-1])
    assert refused is not None
    assert int(refused[1]) == 300 - 256
    assert len(lanes(page)) > 20
    assert not bob.connections[0].streams


async def test_a_held_reader_is_let_go_when_the_scope_is_closed(peers: tuple[Host, Host]) -> None:
    alice, bob = peers
    scope = StreamScope([alice, bob])
    stream = await bob.open_stream(alice.addrs[0], SINK)
    await stream.write(b"x")
    (other,) = alice.connections[0].streams.values()
    scope.poke("stop", stream.id)
    async with asyncio.timeout(30):
        while not other.is_held:
            await asyncio.sleep(0.01)
        scope.close()
        while other.is_held:
            await asyncio.sleep(0.01)


async def test_a_recording_is_shown_without_a_page_and_cannot_be_poked(
    peers: tuple[Host, Host],
) -> None:
    alice, bob = peers
    with record(alice, bob) as log:
        stream = await bob.open_stream(alice.addrs[0], SINK)
        await stream.write(bytes(3000))
        await stream.close()
    scope = StreamScope(log, names={"ann": alice, "<b>": str(bob.peer_id)})
    (row, *_) = [row for row in scope.to_rows() if row["from"] == "<b>"]
    assert (row["stream"], row["protocol"], row["to"]) == (1, SINK, "ann")
    assert row["bytes"] > 3000
    bundle = scope._repr_mimebundle_()
    assert "&lt;b&gt;" in bundle["text/html"]
    assert "<b>" not in bundle["text/html"]
    assert "<svg" in bundle["text/html"]
    assert SINK in bundle["text/plain"]
    scope.poke("rst", 1)
    assert scope.results == ["this connection is not live: nothing to poke"]
    only = StreamScope(log, connection=7)
    assert only.summary() == "0 connections, 0 streams, 0 frames"
    assert only._repr_mimebundle_()["text/plain"] == only.summary()
    for widget in (scope, only):
        widget.close()


async def test_a_simulated_internet_is_shown_and_poked() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        alice.set_handler(SINK, sink)
        scope = StreamScope(net)

        async def send() -> Any:
            stream = await bob.open_stream(alice.addrs[0], SINK)
            await bob.run(stream.write(bytes(1000)))
            return stream

        stream = net.run(send())
        assert "bob → alice" in scope._repr_mimebundle_()["text/plain"]
        scope.poke("stop", stream.id)
        net.run(bob.run(stream.write(bytes(50_000))))
        net.run_for(1)
        (row,) = [
            one for one in scope.to_rows() if one["protocol"] == SINK and one["from"] == "bob"
        ]
        assert row["unread"] > 30_000, scope.results
        scope.poke("rst", stream.id)
        net.run_for(1)
        assert not [
            one for one in scope.to_rows() if one["protocol"] == SINK and one["state"] == "open"
        ]
        hosts_alone = StreamScope([alice, bob])
        hosts_alone.poke("burst")
        assert "show its internet" in hosts_alone.results[0]
        for widget in (scope, hosts_alone):
            widget.close()


def test_other_things_are_refused() -> None:
    with pytest.raises(LocalError, match="hosts or a recording"):
        StreamScope([1, 2])  # type: ignore[list-item]
    with pytest.raises(LocalError, match="hosts or a recording"):
        StreamScope({"x": Multiaddr("/memory/1")})  # type: ignore[dict-item]
    assert StreamScope(Recording()).to_rows() == []


async def test_the_bench_a_slow_reader_stops_alone_or_is_dropped(open_page: Open) -> None:
    bench = await slow_reader(rate=4_000_000)
    try:
        page = open_page(bench.scope)
        assert page.of("snapshot")[0]["bench"]["window"] == 256 * 1024
        async with asyncio.timeout(60):
            while min(bench.heard.values()) < 1:
                await asyncio.sleep(0.01)
        page.tell("bench", what="stop")

        def of(writer: str) -> dict[str, Any]:
            (row,) = [
                one
                for one in bench.scope.to_rows()
                if one["protocol"] == BULK and one["from"] == writer
            ]
            return row

        await until(page, lambda: of("carol")["state"].startswith("reset"))
        await until(page, lambda: of("alice")["window left"] == 0 and of("alice")["queued"] > 0)
        assert of("alice")["state"] == "open"
        before = dict(bench.heard)
        await until(page, lambda: all(bench.heard[name] > count for name, count in before.items()))
        page.tell("bench", what="go")
        moved = of("alice")["bytes"]
        await until(page, lambda: of("alice")["bytes"] > moved + 300_000)

        page.tell("bench", window=65536, frame=1024)
        await until(page, lambda: page.of("snapshot")[-1]["bench"]["window"] == 65536)
        await until(
            page,
            lambda: (
                "alice" in bench.hosts and len(bench.heard) == 2 and min(bench.heard.values()) > 0
            ),
        )
        assert (
            max(
                one["window"]
                for one in bench.scope.to_rows()
                if one["connection"].endswith("yamux/1.0.0")
            )
            == 65536
        )
    finally:
        await bench.close()
    assert not bench.hosts


async def test_the_bench_refuses_sizes_that_make_no_sense() -> None:
    for wrong in ({"window": 1}, {"frame": 1 << 30}, {"rate": 0}):
        with pytest.raises(LocalError):
            SlowReader(**wrong)
