"""AutoNAT with js-libp2p, each as client and as server, through NATs of a real kernel.

js-libp2p tries nothing that is not at a public address, so there is no way to meet it on one machine's loopback.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from libp2p_lab.foreign import ForeignPeer
from tests.netns.__main__ import PEERS, line
from tests.netns.kernel import KernelLab, Kind, why_not
from tests.netns.test_punching import js_at
from tests.support import require

pytestmark = pytest.mark.timeout(120)
JS_RELAY = "/ip4/1.2.3.10/tcp/4001"
OUTSIDE_A = "/ip4/1.2.3.101/tcp/4001"  # what a router without filters passes on to host A
BEHIND_A = "/ip4/10.1.0.2/tcp/4001"


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelLab]:
    reason = why_not()
    require(not reason, reason)
    with KernelLab() as lab:
        yield lab


@asynccontextmanager
async def js_server(kernel: KernelLab, version: int) -> AsyncIterator[str]:
    """Where it is. It says so itself only once others have reached it there."""
    async with await js_at(
        kernel, "relay", listen=[JS_RELAY], autonat=[version], dial_timeout=2000
    ) as js:
        yield f"{JS_RELAY}/p2p/{js.peer_id}"


async def ask(kernel: KernelLab, where: str, *words: Any) -> list[dict[str, Any]]:
    """What becomes of our questions, one after the other."""
    with kernel.running(where, "asker", *map(str, words), module=PEERS) as us:
        return [await asyncio.to_thread(line, us) for _ in words[1:]]


async def test_js_tries_for_us(kernel: KernelLab) -> None:
    """In the open; at another address than the one that it sees, which costs; and where nobody listens."""
    async with js_server(kernel, 2) as server:
        answers = await ask(
            kernel,
            "wan",
            server,
            "/ip4/1.2.3.20/tcp/4001",
            "/ip4/1.2.3.21/tcp/4001",
            "/ip4/1.2.3.20/tcp/9",
        )
    assert [a.get("reached") for a in answers] == [True, True, False], answers
    assert answers[0]["paid"] == answers[2]["paid"] == []
    [price] = answers[1]["paid"]
    assert 30_000 <= price <= 100_000


@pytest.mark.parametrize(("nat", "reached"), [("full cone", True), ("port restricted", False)])
async def test_js_tries_for_us_behind_a_router(kernel: KernelLab, nat: Kind, reached: bool) -> None:
    kernel.set_nat("A", nat, "nft")
    async with js_server(kernel, 2) as server:
        [answer] = await ask(kernel, "hostA", server, OUTSIDE_A)
    assert answer == {"reached": reached, "paid": []}


async def test_js_asked_by_version_1(kernel: KernelLab) -> None:
    """It refuses where it does not see us.

    Where it does, it cannot answer: js-libp2p 3.3.11 takes the connection that there is for the dial that it was asked
    for, and then closes that. Such a question costs us the connection and a typed error, and nothing is learned.
    """
    async with js_server(kernel, 1) as server:
        addrs = ["/ip4/1.2.3.21/tcp/4001", "/ip4/1.2.3.20/tcp/4001"]
        refused, lost = await ask(kernel, "wan", server, *addrs)
    assert "E_DIAL_REFUSED" in refused["error"]
    assert "reached" not in lost
    assert lost["error"].startswith(("MalformedMessage", "ConnectionLost", "StreamReset"))


async def test_we_try_for_js_by_version_1(kernel: KernelLab) -> None:
    at = "/ip4/1.2.3.20/tcp/4001"
    with kernel.running("relay", "prober", "1.2.3.10", "4001", module=PEERS) as us:
        server = (await asyncio.to_thread(line, us))["addr"]
        async with await js_at(kernel, "wan", listen=[at], autonat=[1]) as js:
            assert not (await own(js))[at]
            await js.dial(server)
            assert await asyncio.to_thread(line, us) == {"answer": "OK"}
            await until_found(js, at)


async def test_we_try_for_js(kernel: KernelLab) -> None:
    at = "/ip4/1.2.3.20/tcp/4001"
    with kernel.running("relay", "prober", "1.2.3.10", "4001", module=PEERS) as us:
        server = (await asyncio.to_thread(line, us))["addr"]
        async with await js_at(kernel, "wan", listen=[at], autonat=[2]) as js:
            assert not (await own(js))[at]
            await js.dial(server)
            assert await asyncio.to_thread(line, us) == {"answer": "OK", "dial": "OK"}
            await until_found(js, at)


@pytest.mark.parametrize(("nat", "reached"), [("full cone", True), ("port restricted", False)])
async def test_we_try_for_js_behind_a_router(kernel: KernelLab, nat: Kind, reached: bool) -> None:
    kernel.set_nat("A", nat, "nft")
    with kernel.running("relay", "prober", "1.2.3.10", "4001", module=PEERS) as us:
        server = (await asyncio.to_thread(line, us))["addr"]
        async with await js_at(kernel, "hostA", listen=[BEHIND_A], autonat=[2]) as js:
            await js.call(
                "map_port",
                inner_ip="10.1.0.2",
                inner_port=4001,
                outer_ip="1.2.3.101",
                outer_port=4001,
            )
            await js.dial(server)
            said = await asyncio.to_thread(line, us)
            assert said == {"answer": "OK", "dial": "OK" if reached else "E_DIAL_ERROR"}
            if reached:
                await until_found(js, OUTSIDE_A)
            else:  # it takes eight such answers until it believes that
                assert not (await own(js))[OUTSIDE_A]


async def own(js: ForeignPeer) -> dict[str, bool]:
    """Its addresses, and whether it takes them for reachable."""
    return {a["addr"]: a["verified"] for a in await js.call("own_addrs")}


async def until_found(js: ForeignPeer, addr: str) -> None:
    async with asyncio.timeout(60):
        while not (await own(js))[addr]:
            await asyncio.sleep(0.1)
