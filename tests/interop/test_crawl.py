"""A crawl of a network of ours, js-libp2p and py-libp2p: all are found through each other, and say what they are."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.crawling import CrawledPeer, Reach
from libp2p_lab.foreign import ForeignPeer
from tests.interop.meeting import our_host
from tests.interop.peers import AGENTS, PEERS

pytestmark = pytest.mark.timeout(180)
KINDS = ("js", "py", "js")


def services() -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.KadDHT()]


async def test_a_mixed_network_is_found_whole() -> None:
    """A chain: each joined through the one before, so that nobody is told of all of them."""
    async with AsyncExitStack() as stack:
        ours = [await stack.enter_async_context(our_host(services=services())) for _ in range(3)]
        started = await asyncio.gather(*(PEERS[kind](dht=True) for kind in KINDS))
        theirs = [await stack.enter_async_context(peer) for peer in started]
        chain: list[Any] = [ours[0], theirs[0], ours[1], theirs[1], ours[2], theirs[2]]
        for one, other in zip(chain[1:], chain, strict=False):
            if isinstance(one, ForeignPeer):
                await one.call("dht_join", addr=str(other.addrs[0]))
            else:
                await one.dht.bootstrap([other.addrs[0]])

        guest = await stack.enter_async_context(our_host(listen=[], services=[lab.Identify()]))
        for seed in (chain[0], chain[-1]):  # from either end
            crawler = lab.Crawler(guest)
            found: dict[lab.PeerId, CrawledPeer] = {}
            async for one in crawler.crawl([seed.addrs[0]]):
                found[one.peer_id] = one
            assert set(found) == {peer.peer_id for peer in chain}
            for peer in chain:
                one = found[peer.peer_id]
                assert one.reach is Reach.ANSWERED, one
                assert one.why == ""
                assert 0 < one.named < len(chain), one
                assert one.questions <= 4, "few peers, few questions"
            for kind, peer in zip(KINDS, theirs, strict=True):
                assert found[peer.peer_id].agent.startswith(AGENTS[kind])
            assert guest.connections == []
