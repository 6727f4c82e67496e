"""The small protocols against the others: identify push, perf and fetch, each side once as the one that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from libp2p_lab.errors import NegotiationError
from tests.interop.meeting import DIALERS, FETCHED, Meeting, MiB, meet
from tests.interop.peers import PEERS

OUR_NEWS, THEIR_NEWS = "/news/ours/1.0.0", "/news/theirs/1.0.0"

pytestmark = [
    pytest.mark.parametrize("dialer", DIALERS),
    pytest.mark.parametrize("kind", PEERS),
]


async def until(look: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await look():
            await asyncio.sleep(0.05)


async def test_identify_push(kind, dialer):
    async with meet(kind) as m:
        await m.connect(dialer)
        await we_push(m)
        await they_push(m)


async def we_push(m: Meeting) -> None:
    async def known() -> Any:
        return await m.theirs.call("known_protocols", peer_id=str(m.host.peer_id))

    async def has_news() -> bool:
        return OUR_NEWS in await known()

    async def answer(stream: Any) -> None:
        await stream.close()

    await until(known)
    await m.host.identify_result(m.theirs.peer_id)  # so we know that it takes pushes
    assert not await has_news()
    m.host.set_handler(OUR_NEWS, answer)
    await until(has_news)


async def they_push(m: Meeting) -> None:
    async def told() -> bool:
        found = await m.host.identify_result(m.theirs.peer_id)
        return THEIR_NEWS in found.protocols

    assert not await told()
    await m.theirs.call("serve", protocol=THEIR_NEWS)
    await until(told)
    assert THEIR_NEWS in m.host.peerstore.protocols(m.theirs.peer_id)
    stream = await m.host.open_stream(m.theirs.peer_id, THEIR_NEWS)
    await stream.write(b"hello")
    await stream.close_write()
    assert await stream.read() == b"hello"
    await stream.close()


async def test_perf_and_fetch(kind, dialer):
    async with meet(kind) as m:
        await m.connect(dialer)
        me = str(m.host.peer_id)
        result = await m.host.perf.measure(m.theirs.peer_id, upload=3 * MiB, download=2 * MiB)
        assert (result.uploaded, result.downloaded) == (3 * MiB, 2 * MiB)
        told = await m.theirs.call("perf", upload=MiB, download=2 * MiB, peer_id=me)
        assert (told["uploaded"], told["downloaded"]) == (MiB, 2 * MiB)
        if kind == "js":
            await they_fetch(m, me)
            await we_fetch(m)
        else:  # py-libp2p 0.8.1 has no fetch
            with pytest.raises(NegotiationError):
                await m.host.fetch.get(m.theirs.peer_id, b"/theirs/here")


async def we_fetch(m: Meeting) -> None:
    values = {"/theirs/here": "00ff", "/theirs/empty": ""}
    await m.theirs.call("serve_fetch", prefix="/theirs/", values=values)
    for key, value in values.items():
        assert await m.host.fetch.get(m.theirs.peer_id, key.encode()) == bytes.fromhex(value)
    assert await m.host.fetch.get(m.theirs.peer_id, b"/theirs/none") is None


async def they_fetch(m: Meeting, me: str) -> None:
    for key, data in FETCHED.items():
        assert await m.theirs.call("fetch", key=key.decode(), peer_id=me) == data.hex()
    assert await m.theirs.call("fetch", key="/ours/none", peer_id=me) is None
