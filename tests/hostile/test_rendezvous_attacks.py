"""S32: a rendezvous point that somebody tries to fill, and a point that lies."""

from __future__ import annotations

from typing import Any

import libp2p_lab as lab
from libp2p_lab.content.registrations import Refused, Registrations
from libp2p_lab.content.rendezvous_messages import (
    PROTOCOL_ID,
    DiscoverResponse,
    Register,
    Status,
)
from libp2p_lab.limits import DEFAULT_LIMITS
from tests.content.test_rendezvous import HOUR, Clock, Peer, parts, refusal
from tests.hostile.scene import MIB, bounded_memory


def test_s32_the_caps_are_those_that_were_promised() -> None:
    limits = DEFAULT_LIMITS
    assert limits.rendezvous_registrations_per_peer == 32
    assert limits.rendezvous_registrations == 10_000
    assert limits.rendezvous_ttl_max == 72 * HOUR


def test_s32_one_peer_stands_on_32_lists_and_no_more() -> None:
    lists, peer = Registrations(clock=Clock()), Peer()
    for number in range(32):
        lists.register(peer.id, peer.ask(f"list {number}"))
    for number in range(32, 300):
        assert refusal(lists, peer, peer.ask(f"list {number}")) == Status.E_NOT_AUTHORIZED
    lists.register(peer.id, peer.ask("list 0"))  # what it has may be renewed
    assert len(lists) == 32
    lists.close()


def test_s32_a_crowd_fills_the_point_up_to_its_limit() -> None:
    lists = Registrations(clock=Clock(), limits=lab.Limits(rendezvous_registrations=50))
    refused = []
    for _ in range(60):
        peer = Peer()
        try:
            lists.register(peer.id, peer.ask())
        except Refused as error:
            refused.append(error.status)
    assert len(lists) == 50
    assert refused == [Status.E_UNAVAILABLE] * 10
    lists.close()


def test_s32_cookies_cost_the_point_nothing() -> None:
    lists, peer = Registrations(clock=Clock()), Peer()
    lists.register(peer.id, peer.ask())
    with bounded_memory(2 * MIB):
        for number in range(5_000):
            lists.discover(f"nobody is here {number}")
    lists.close()


def test_s32_an_answer_never_outgrows_a_message() -> None:
    limits = lab.Limits(rendezvous_message=4096)
    lists = Registrations(clock=Clock(), limits=limits)
    for _ in range(40):
        peer = Peer()
        lists.register(peer.id, peer.ask())
    seen, cookie = 0, b""
    while (page := lists.discover("app", cookie=cookie)).registrations:
        answer = DiscoverResponse(Status.OK, "", page.registrations, page.cookie)
        assert len(answer.encode()) <= 4096
        seen, cookie = seen + len(page.registrations), page.cookie
    assert seen == 40
    lists.close()


async def test_s32_a_point_that_lies_is_not_believed() -> None:
    honest, forged = Peer(), Peer()
    bad = forged.record[:-1] + bytes([forged.record[-1] ^ 1])

    async def lie(stream: Any) -> None:
        await stream.read_message(4096)
        registrations = tuple(Register("app", record, 9) for record in (honest.record, bad, b""))
        await stream.write_message(DiscoverResponse(Status.OK, "", registrations, b"c").encode())

    async with (
        lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as point,
        lab.Host(services=parts()) as bob,
    ):
        point.set_handler(PROTOCOL_ID, lie)
        found = await bob.rendezvous.discover(point.addrs[0], "app")
        assert [peer.peer_id for peer in found.peers] == [honest.id]
        assert found.dropped == 2
        assert bob.peerstore.addrs(forged.id) == ()
