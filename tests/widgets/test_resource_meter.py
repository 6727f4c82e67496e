"""ResourceMeter: the accounts as rows, told when something happens, and what was refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libp2p_lab import Host, LimitExceeded, Limits, LocalError, PeerId, Recording
from libp2p_lab.host.resources import ResourceManager
from libp2p_lab.sim import Internet
from libp2p_lab.widgets import ResourceMeter
from libp2p_lab.widgets.resource_model import MAX_ROWS, books_of
from tests.conformance.pairs import PEERS
from tests.widgets.conftest import Open


def meters(manager: ResourceManager, kind: str, **names: str) -> dict[str, tuple[int, int | None]]:
    """What one scope uses and may use."""
    (account,) = [one for one in books_of(manager).accounts if one.kind == kind]
    return {meter.resource: (meter.used, meter.allowed) for meter in account.meters}


def test_every_account_has_its_meters() -> None:
    limits = Limits(max_streams_per_protocol_and_peer=1)
    manager = ResourceManager(limits)
    claim = manager.open_connection("inbound", "192.0.2.1")
    assert meters(manager, "source") == {
        "connections": (1, None),
        "connections_inbound": (1, limits.max_pending_inbound_per_ip),
    }
    claim.prove(PEERS[0])
    stream = claim.open_stream("inbound")
    stream.agree("/echo/1.0.0")
    stream.reserve_memory(1000)
    assert meters(manager, "system")["connections"] == (1, limits.max_connections)
    assert meters(manager, "system")["memory"] == (1000, limits.max_memory)
    assert meters(manager, "protocol")["streams"] == (1, limits.max_streams_per_protocol)
    names = {
        one.kind: one.name for one in books_of(manager, lambda peer: f"<{peer[-3:]}>").accounts
    }
    assert names["peer"] == f"<{str(PEERS[0])[-3:]}>"
    assert names["protocol peer"] == f"/echo/1.0.0 <{str(PEERS[0])[-3:]}>"
    with pytest.raises(LimitExceeded):
        claim.open_stream("inbound").agree("/echo/1.0.0")
    (refusal,) = books_of(manager).refusals
    assert (refusal.kind, refusal.limit, refusal.times) == (
        "protocol peer",
        "max_streams_per_protocol_and_peer",
        1,
    )
    claim.close()
    stream.close()


def test_the_fullest_come_first_and_not_all_of_a_crowd() -> None:
    manager = ResourceManager()
    for number in range(100):
        manager.open_connection("outbound").prove(PeerId(bytes([0, 1, number])))
    busy = manager.open_connection("outbound")
    busy.prove(PeerId(bytes([0, 1, 50])))
    books = books_of(manager)
    assert [one.kind for one in books.accounts[:3]] == ["system", "transient", "peer"]
    assert books.accounts[2].name == str(PeerId(bytes([0, 1, 50])))
    assert len(books.accounts) == MAX_ROWS
    assert books.more == 102 - MAX_ROWS


async def test_a_page_is_told_when_something_happens(open_page: Open) -> None:
    limits = Limits(max_connections_inbound=1)
    async with Host(listen=["/memory/0"], limits=limits) as alice, Host() as bob, Host() as carol:
        meter = ResourceMeter({"alice": alice, "bob": bob})
        page = open_page(meter)

        def used(kind: str, resource: str) -> int:
            (host,) = [one for one in page.of("books")[-1]["hosts"] if one["name"] == "alice"]
            found = [one for one in host["accounts"] if one["kind"] == kind]
            return sum(
                m["used"] for one in found for m in one["meters"] if m["resource"] == resource
            )

        async def until(is_so: Any) -> None:
            async with asyncio.timeout(60):
                while not is_so():
                    await asyncio.sleep(0.01)
                    page.draw()

        assert used("system", "connections") == 0
        connection = await bob.connect(alice.addrs[0])
        await until(lambda: used("peer", "connections") == 1)
        names = [one["name"] for host in page.of("books")[-1]["hosts"] for one in host["accounts"]]
        assert "bob" in names
        with pytest.raises(Exception, match="cannot reach"):
            await carol.connect(alice.addrs[0])
        await until(lambda: page.of("books")[-1]["hosts"][0]["refusals"])
        assert "2 hosts, refused" in page.of("books")[-1]["summary"]
        bundle = meter._repr_mimebundle_()
        assert "max_connections_inbound" in bundle["text/plain"]
        assert "1 of 1,024" in bundle["text/html"]
        await connection.close()
        await until(lambda: used("system", "connections") == 0)
        page.tell("close")
        assert not alice.trace.listeners


def test_a_simulated_internet_has_counters_too_and_a_recording_none() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice"), net.host("bob")
        net.run(bob.connect(alice.addrs[0]))
        net.run_for(1)
        meter = ResourceMeter(net)
        assert "peer bob" in meter._repr_mimebundle_()["text/plain"]
        meter.close()
    with pytest.raises(LocalError, match="live hosts"):
        ResourceMeter(Recording())
