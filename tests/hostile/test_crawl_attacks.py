"""S30 and its like for a crawler: peers that invent peers, point at third parties, or say what they should not.

Whoever crawls asks everybody, liars too, and believes what nobody can check until it has been dialed. So the damage is
counted here in dials, and in memory.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.crawling import CrawledPeer, Reach
from libp2p_lab.host.events import DialStarted
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.routing import KadMessage, MessageType
from libp2p_lab.routing.kad_messages import Peer
from libp2p_lab.sim import Internet
from libp2p_lab.wire import varint
from tests.crawling.test_simulated import lying, only_identify
from tests.hostile.scene import MIB, bounded_memory
from tests.hostile.test_dht_attacks import attacker, reply
from tests.routing.test_cores import peer_id

pytestmark = pytest.mark.timeout(150)
LIMITS = replace(DEFAULT_LIMITS, crawl_pause=0.0, kad_request_timeout=1.0)


async def crawl(
    evil: Any, limits: lab.Limits = LIMITS
) -> tuple[dict[lab.PeerId, CrawledPeer], list[str], lab.Crawler]:
    """Crawl from the attacker; what is found, what was dialed."""
    async with lab.Host(services=[lab.Identify()], limits=limits) as host:
        dialed: list[str] = []
        host.trace.listen(
            lambda e: dialed.append(e.what.addr) if isinstance(e.what, DialStarted) else None
        )
        crawler = lab.Crawler(host)
        found = {one.peer_id: one async for one in crawler.crawl([evil.addrs[0]])}
        assert not host.connections
    return found, dialed, crawler


def naming(peers: Callable[[], Sequence[Peer]]) -> Callable[[Any, KadMessage], Awaitable[None]]:
    async def answer(stream: Any, request: KadMessage) -> None:
        closer = tuple(peers())
        await reply(stream, KadMessage(request.type, request.key, closer_peers=closer))

    return answer


async def test_s30_ten_thousand_invented_peers_cost_a_bounded_number_of_dials() -> None:
    numbers = itertools.count(1)

    def invent() -> Sequence[Peer]:
        some = list(itertools.islice(numbers, 1000))
        return [Peer(peer_id(n), (Multiaddr(f"/memory/{10**6 + n}"),)) for n in some]

    async with attacker(naming(invent)) as evil:
        with bounded_memory(24 * MIB):  # our attacker's thousands, too, live in this process
            found, dialed, crawler = await crawl(evil)
    assert len(found) <= 1 + 16 * 20
    assert len(dialed) <= len(found)
    assert found[evil.peer_id].questions <= 16
    assert crawler.progress.is_finished


async def test_s30_a_crawl_takes_in_no_more_peers_than_the_limit() -> None:
    numbers = itertools.count(1)

    def invent() -> Sequence[Peer]:
        return [
            Peer(peer_id(n), (Multiaddr(f"/memory/{10**6 + n}"),))
            for n in itertools.islice(numbers, 20)
        ]

    limits = replace(LIMITS, crawl_peers=10)
    async with attacker(naming(invent)) as evil:
        found, dialed, crawler = await crawl(evil, limits)
    assert len(found) == len(dialed) == 10
    assert crawler.progress.refused > 0
    assert crawler.progress.heard == 10


async def test_s30_ourselves_the_teller_and_what_nobody_can_dial() -> None:
    relayed = f"/ip4/1.2.3.4/tcp/1/p2p/{peer_id(9)}/p2p-circuit"
    async with lab.Host(services=[lab.Identify()], limits=LIMITS) as host:
        me = Peer(host.peer_id, (Multiaddr("/memory/1"),))
        strange = Peer(peer_id(7), (Multiaddr("/ip4/1.2.3.4/udp/5"), Multiaddr(relayed)))

        def mislead() -> Sequence[Peer]:
            return [me, Peer(evil.peer_id, tuple(evil.addrs)), strange, Peer(peer_id(8))]

        async with attacker(naming(mislead)) as evil:
            crawler = lab.Crawler(host)
            found = {one.peer_id: one async for one in crawler.crawl([evil.addrs[0]])}
    assert set(found) == {evil.peer_id, peer_id(7), peer_id(8)}
    assert found[evil.peer_id].reach is Reach.ANSWERED
    assert found[peer_id(7)].reach is found[peer_id(8)].reach is Reach.UNDIALED


def test_s30_a_third_party_is_dialed_a_few_times_and_then_left_alone() -> None:
    numbers = itertools.count(1)
    ports = itertools.count(1)

    def point(_request: KadMessage) -> Sequence[Peer]:
        """Made-up peers at one address, as many as anybody listens to."""
        return [
            Peer(peer_id(n), (Multiaddr(f"/ip4/50.1.1.1/tcp/{next(ports)}"),))
            for n in itertools.islice(numbers, 20)
        ]

    limits = replace(DEFAULT_LIMITS, crawl_failures_per_ip=10, crawl_at_once_per_ip=2)
    with Internet(seed=1) as net:
        net.machine("victim", ip="50.1.1.1")
        liars = [
            net.host(
                f"liar{n}",
                ip=f"60.{n}.1.1",
                services=only_identify,
                security="plaintext",
                setup=lying(point),
            )
            for n in range(5)
        ]
        guest = net.host("guest", services=only_identify, security="plaintext", limits=limits)
        dialed = Counter[str]()

        def count(entry: lab.Entry) -> None:
            if isinstance(entry.what, DialStarted):
                dialed[lab.Multiaddr(entry.what.addr).value_of("ip4") or ""] += 1

        guest.trace.listen(count)
        crawler = lab.Crawler(guest)

        async def scenario() -> list[CrawledPeer]:
            return [one async for one in crawler.crawl([liar.addrs[0] for liar in liars])]

        found = net.run(scenario(), until=4000)
    named = [one for one in found if one.reach is not Reach.ANSWERED]
    assert len(named) > 100, "that many were named there"
    assert dialed["50.1.1.1"] <= 10 + 2
    left = [one for one in named if one.reach is Reach.UNDIALED]
    assert len(left) == len(named) - dialed["50.1.1.1"]
    assert all("too many others" in one.why for one in left)


async def _garbage(stream: Any, request: KadMessage) -> None:
    await stream.write_message(b"\xff" * 100)


async def _absurd(stream: Any, request: KadMessage) -> None:
    await stream.write(varint.encode(1 << 32) + bytes(1000))


async def _large(stream: Any, request: KadMessage) -> None:
    await stream.write_message(bytes(DEFAULT_LIMITS.crawl_answer + 1))


async def _silent(stream: Any, request: KadMessage) -> None:
    await stream.read(1)


async def _other(stream: Any, request: KadMessage) -> None:
    await reply(stream, KadMessage(MessageType.PING, request.key))


async def _reset(stream: Any, request: KadMessage) -> None:
    await stream.reset()


BAD_ANSWERS = {
    "garbage": (_garbage, "MalformedMessage"),
    "4 GiB": (_absurd, "LimitExceeded"),
    "too large": (_large, "LimitExceeded"),
    "silence": (_silent, "TimeoutError"),
    "of another kind": (_other, "MalformedMessage"),
    "a reset": (_reset, "StreamReset"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_s24_a_bad_answer_ends_the_visit_and_nothing_else(name: str) -> None:
    answer, error = BAD_ANSWERS[name]
    async with attacker(answer) as evil:
        found, _, crawler = await crawl(evil)
    (one,) = found.values()
    assert one.reach is Reach.CONNECTED
    assert one.why.startswith(error)
    assert crawler.progress.is_finished


async def test_what_strangers_say_is_cut_and_obeyed_by_no_terminal() -> None:
    agent = "\x1b[2Jcleared\r\n" + "x" * 5000
    async with lab.Host(listen=["/memory/0"], services=[lab.Identify(agent)]) as evil:
        evil.set_handler("/\x1b]0;title\x07", _nothing)
        found, _, _ = await crawl(evil)
    (one,) = found.values()
    assert one.agent.startswith("\N{REPLACEMENT CHARACTER}[2Jcleared")
    assert len(one.agent) == DEFAULT_LIMITS.crawl_agent
    assert all(text.isprintable() for text in (one.agent, *one.protocols))


async def _nothing(stream: Any) -> None:
    pass
