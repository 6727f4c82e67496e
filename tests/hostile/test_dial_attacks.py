"""What somebody may try with the addresses that he gives us: S57 and S58 of the list of security statements."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from libp2p_lab import Host
from libp2p_lab.errors import DialError, LimitExceeded
from libp2p_lab.host import PeerInfo
from libp2p_lab.host.events import DialStarted
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.transports import TCP
from libp2p_lab.transports.dns import resolve
from tests.hostile.scene import bounded_memory, scene

NOBODY = PeerId.from_public_key(KeyPair.generate().public)
START = Multiaddr("/dnsaddr/start.example")


class Resolver:
    """Makes up the records of any name; counts how often it is asked."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, name: str) -> list[str]:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer(name.removeprefix("_dnsaddr."))


async def attempts(resolver: Resolver) -> list[BaseException]:
    with bounded_memory(), pytest.raises(DialError) as caught:
        await resolve(START, look_up=resolver)
    return [cause for _, cause in caught.value.attempts]


# -- S57: names ------------------------------------------------------------------------------------


async def test_s57_a_name_that_leads_to_itself() -> None:
    resolver = Resolver(lambda name: ["dnsaddr=/dnsaddr/start.example"] * 10_000)
    assert await resolve(START, look_up=resolver) == []
    assert resolver.asked == 1


async def test_s57_names_that_lead_on_for_ever() -> None:
    resolver = Resolver(lambda name: [f"dnsaddr=/dnsaddr/x{len(name)}.{name[-200:]}"[:250]])
    [cause] = await attempts(resolver)
    assert isinstance(cause, LimitExceeded)
    assert resolver.asked <= DEFAULT_LIMITS.dns_recursion + 1


async def test_s57_a_tree_of_names() -> None:
    """A hundred names in each, and nothing but names: without a bound for all together this is 100^32 look-ups."""
    number = itertools.count()
    resolver = Resolver(lambda name: [f"dnsaddr=/dnsaddr/n{next(number)}" for _ in range(100)])
    causes = await attempts(resolver)
    assert all(isinstance(cause, LimitExceeded) for cause in causes)
    assert resolver.asked <= DEFAULT_LIMITS.dns_look_ups


async def test_s57_ten_thousand_records() -> None:
    resolver = Resolver(lambda name: [f"dnsaddr=/ip4/192.0.2.1/tcp/{n}" for n in range(10_000)])
    with bounded_memory():
        found = await resolve(START, look_up=resolver)
    assert len(found) == DEFAULT_LIMITS.max_addresses_dialed


async def test_s57_bad_names_do_not_spoil_a_good_one() -> None:
    def answer(name: str) -> list[str]:
        if name == "start.example":
            return ["dnsaddr=/dnsaddr/bad", "dnsaddr=/dnsaddr/start.example", "dnsaddr=/memory/1"]
        raise OSError(f"{name} does not exist")

    assert await resolve(START, look_up=Resolver(answer)) == [Multiaddr("/memory/1")]


async def test_s57_a_host_that_dials_such_a_name_gives_up() -> None:
    number = itertools.count()
    resolver = Resolver(lambda name: [f"dnsaddr=/dnsaddr/n{next(number)}" for _ in range(100)])
    async with scene() as stage:
        stage.host._swarm._look_up = resolver
        with pytest.raises(DialError, match="LimitExceeded"):
            await stage.host.connect(PeerInfo(NOBODY, [START]))


# -- S58: addresses of a victim --------------------------------------------------------------------


async def test_s58_ten_thousand_addresses_of_one_victim() -> None:
    """At most 25 are dialed, however many the attacker named."""
    limits = Limits(dial_attempt_delay=0.001)
    addrs = [Multiaddr(f"/ip4/127.0.0.1/tcp/{n % 60 + 1}/p2p/{NOBODY}") for n in range(60)]
    async with Host(transports=[TCP()], limits=limits) as host:
        dialed: list[str] = []
        host.trace.listen(
            lambda entry: (
                dialed.append(entry.what.addr) if isinstance(entry.what, DialStarted) else None
            )
        )
        host.peerstore.set_connected(NOBODY, True)
        for start in range(0, 10_000, 1000):
            host.peerstore.add_addrs(
                NOBODY, [Multiaddr(f"/ip4/127.0.0.1/tcp/{start + n + 1}") for n in range(1000)]
            )
        assert len(host.peerstore.addrs(NOBODY)) <= limits.identify_addresses
        with pytest.raises(DialError) as caught:
            await host.connect(PeerInfo(NOBODY, addrs))
        assert len(dialed) <= limits.max_addresses_dialed
        assert len(caught.value.attempts) <= limits.max_addresses_dialed


async def test_s58_names_that_never_resolve_do_not_hold_up_a_dial() -> None:
    async def silent(name: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    names = [Multiaddr(f"/dnsaddr/{n}.example") for n in range(50)]
    limits = Limits(dial_timeout=0.5)
    async with (
        Host(listen=["/memory/0"]) as alice,
        Host(limits=limits, look_up=silent) as bob,
    ):
        with pytest.raises(DialError):
            await asyncio.wait_for(bob.connect(PeerInfo(NOBODY, names)), 60)
        found = await bob.connect(PeerInfo(alice.peer_id, [*alice.addrs, *names]))
        assert found.remote_peer == alice.peer_id
