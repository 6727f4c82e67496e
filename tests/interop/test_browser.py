"""What these two transports are for: js-libp2p in a browser dials us, by WebRTC-direct and by WebTransport."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Error, Page, async_playwright

import libp2p_lab as lab
from libp2p_lab import foreign
from libp2p_lab.errors import StreamReset
from libp2p_lab.host.events import StreamEnded
from tests.interop import matrix
from tests.interop.matrix import BROWSER_ROWS, WORKS
from tests.interop.meeting import MiB, echo, our_host
from tests.interop.peers import HOW
from tests.support import require

CHROMIUM = Path("/usr/bin/chromium")
# A page from anywhere may dial peers on this machine: what a person would be asked about, once.
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebRTC,"
    "LocalNetworkAccessChecksWebTransport",
)
TRANSPORTS: dict[str, Any] = {
    "webrtc-direct": lab.WebRTCDirect,
    "webtransport": lab.WebTransport,
}
COMMITTED = {row: matrix.expected(row) for row in BROWSER_ROWS}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """js-libp2p and our page's program, in one file."""
    folder = foreign.js_folder()
    require(folder, f"js-libp2p is not installed: {HOW}")
    require(CHROMIUM.exists(), f"{CHROMIUM} is missing (Debian: apt-get install chromium)")
    assert folder is not None
    modules = folder / "node_modules"
    output = tmp_path_factory.mktemp("bundle") / "peer.js"
    node = asyncio.run(foreign.find_node(folder))
    program = Path(__file__).parent / "browser" / "peer.mjs"
    subprocess.run(
        [
            node,
            modules / "esbuild" / "bin" / "esbuild",
            program,
            "--bundle",
            "--format=iife",
            "--log-level=error",
            f"--outfile={output}",
        ],
        env={**os.environ, "NODE_PATH": str(modules)},
        check=True,
    )
    return output


@asynccontextmanager
async def page_with(bundle: Path) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=FLAGS, timeout=60_000
        )
        try:
            page = await browser.new_page()
            page.set_default_timeout(60_000)
            # Only a page from a secure place may use these transports; localhost is one. Nobody listens there.
            await page.route(
                "**/*", lambda route: route.fulfill(body="<html>", content_type="text/html")
            )
            await page.goto("http://localhost:1/")
            await page.add_script_tag(path=bundle)
            yield page
        finally:
            await browser.close()


@pytest.mark.parametrize("row", BROWSER_ROWS, ids=str)
async def test_row(row, bundle) -> None:
    step = ["start"]
    try:
        async with asyncio.timeout(100):
            await everything(row, bundle, step)
        cell = WORKS
    except Error as error:  # of the page
        cell = f"{step[-1]}: {error.message.splitlines()[0]}"
    line = row.line("browsers do not listen", cell)
    matrix.refresh(row, line)
    assert line == COMMITTED[row], "MATRIX.md has changed: look at the difference and commit it"


async def everything(row, bundle: Path, step: list[str]) -> None:
    listen = [matrix.TRANSPORTS[row.transport]]
    entries: list[lab.Entry] = []
    async with (
        our_host(listen=listen, transports=[TRANSPORTS[row.transport]()]) as host,
        page_with(bundle) as page,
    ):
        host.trace.listen(entries.append)
        theirs = lab.PeerId.from_text(await page.evaluate("peer.start()"))
        ours = str(host.peer_id)
        step.append("dial")
        await page.evaluate("addr => peer.dial(addr)", str(host.addrs[0]))
        step.append("identify")
        assert "browser" in (await host.identify_result(theirs)).agent
        await page.evaluate("id => peer.identify(id)", ours)
        step.append("ping")
        await page.evaluate("id => peer.ping(id)", ours)
        await host.ping(theirs)
        step.append("a large transfer from them")
        assert await page.evaluate("([id, size]) => peer.echo(id, size)", [ours, MiB])
        step.append("a large transfer from us")
        assert await echo(await host.open_stream(theirs, "/echo/1.0.0"), MiB)
        step.append("100 streams of theirs")
        assert await page.evaluate("id => peer.streams(id, 100)", ours) == 100
        step.append("100 streams of ours")
        assert await many(host, theirs) == 100
        step.append("reset")
        await resets(host, theirs, page, entries)
        step.append("close")
        await host.disconnect(theirs)
        await page.wait_for_function("peer.connections() === 0")
        await page.evaluate("peer.stop()")


async def many(host: lab.Host, theirs: lab.PeerId) -> int:
    async def one() -> bool:
        return await echo(await host.open_stream(theirs, "/echo/1.0.0"), 1024)

    return sum(await asyncio.gather(*(one() for _ in range(100))))


async def resets(host: lab.Host, theirs: lab.PeerId, page: Page, entries: list) -> None:
    """Each side drops a stream; the connection lives on."""
    stream = await host.open_stream(theirs, "/echo/1.0.0")
    await stream.write(b"before")
    assert await stream.read_exactly(6) == b"before"
    await stream.reset()
    with pytest.raises(StreamReset):
        await stream.read()
    entries.clear()
    await page.evaluate("id => peer.reset(id)", str(host.peer_id))
    while "reset by peer" not in [e.what.how for e in entries if isinstance(e.what, StreamEnded)]:
        await asyncio.sleep(0.01)
    await host.ping(theirs)
