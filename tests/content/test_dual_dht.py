"""Two DHTs on one host, in a simulated world: public peers, and two that share a home."""

from __future__ import annotations

import asyncio
from typing import Any

import libp2p_lab as lab
from libp2p_lab.content import CID, DualDHT
from libp2p_lab.routing.kad import LAN_PROTOCOL_ID, PROTOCOL_ID
from tests.content.test_cores import Newest


def services(mode: Any) -> list[Any]:
    return [lab.Identify(), DualDHT(mode=mode, validators={"n": Newest()})]


def test_the_wan_and_the_lan_are_kept_apart_and_asked_together() -> None:
    net = lab.sim.Internet(seed=5)
    public = [net.host(f"public {n}", services=services("server")) for n in range(4)]
    router = net.nat("router")
    home = [net.host(f"home {n}", nat=router, services=services("client")) for n in range(2)]

    async def story() -> None:
        for host in public[1:]:
            await host.dht.bootstrap([public[0].addrs[0]])
        alice, bob = home
        await alice.dht.bootstrap([public[0].addrs[0]])
        await bob.connect(alice.addrs[0])
        await bob.dht.bootstrap([alice.addrs[0]])
        assert len(alice.dht.wan.table) >= 3
        assert alice.dht.lan.table.peers == [bob.peer_id]
        assert bob.dht.lan.table.peers == [alice.peer_id]
        assert not any(h.dht.lan.table.peers for h in public)
        assert alice.peer_id not in public[0].dht.wan.table
        protocols = public[0].peerstore.protocols(alice.peer_id)
        assert LAN_PROTOCOL_ID in protocols
        assert PROTOCOL_ID not in protocols

        in_both = CID.of(b"in both")
        await bob.dht.lan.provide(in_both)
        await public[1].dht.provide(in_both)
        found = {p.peer_id async for p in alice.dht.find_providers(in_both)}
        assert found == {bob.peer_id, public[1].peer_id}
        await bob.dht.lan.put(b"/n/key", b"1")
        await public[2].dht.put(b"/n/key", b"2")
        assert await alice.dht.get(b"/n/key") == b"2"
        assert await alice.dht.get(b"/n/nothing") is None
        alice.dht.set_mode("server")
        assert alice.dht.wan.mode == "server"

    net.run(story(), until=600.0)
    net.close()


def test_without_anybody_outside_the_house_stores_for_itself() -> None:
    net = lab.sim.Internet(seed=6)
    router = net.nat("router")
    alice, bob = (net.host(n, nat=router, services=services("client")) for n in ("alice", "bob"))

    async def story() -> None:
        await bob.dht.bootstrap([alice.addrs[0]])
        assert await bob.dht.put(b"/n/key", b"7") == [alice.peer_id]
        assert await alice.dht.get(b"/n/key") == b"7"
        await bob.dht.provide(CID.of(b"x"))
        assert [p.peer_id async for p in alice.dht.find_providers(CID.of(b"x"))] == [bob.peer_id]

    net.run(story(), until=600.0)
    net.close()


def test_namespaces_are_advertised_until_they_are_not() -> None:
    """Records expire, and who is still there says again that it is: three hours as one minute."""
    net = lab.sim.Internet(seed=7)
    limits = lab.Limits(dht_provider_ttl=80.0, dht_advertise_interval=60.0)

    def here() -> list[Any]:
        dht = DualDHT(mode="server", clock=net.loop.time)
        return [lab.Identify(), dht]

    hosts = [net.host(f"host {n}", services=here, limits=limits) for n in range(4)]
    found: list[set[lab.PeerId]] = []

    async def story() -> None:
        for host in hosts[1:]:
            await host.dht.bootstrap([hosts[0].addrs[0]])
        for host in hosts[1:3]:
            await host.dht.advertise("chess")
        for minutes in (1.5, 3, 3):
            await asyncio.sleep(minutes * 60)
            found.append({p.peer_id async for p in hosts[0].dht.find_peers("chess")})
            hosts[1].dht.stop_advertising("chess")

    net.run(story(), until=1000.0)
    net.close()
    both, one = {host.peer_id for host in hosts[1:3]}, {hosts[2].peer_id}
    assert found == [both, one, one]
