"""What follows from reachability: who keeps relays, what others are told, and that all of it is looked at again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.sim import FULL_CONE, PORT_RESTRICTED, Internet

pytestmark = pytest.mark.timeout(120)


def test_a_router_that_is_replaced_is_noticed_and_acted_upon() -> None:
    """Public: no relay. Then the router lets nobody in: relays, and its address is told no more. And back."""
    with Internet(seed=8) as net:
        servers = [
            net.host(
                f"server {n}",
                ip=f"11.{n + 9}.0.1",
                listen=[f"/ip4/11.{n + 9}.0.1/tcp/4001"],
                transports=lambda: [lab.TCP()],
                services=lambda: [lab.Identify(), lab.Ping(), lab.AutoNAT(), lab.Relay()],
            )
            for n in range(8)
        ]
        box = net.nat("router", FULL_CONE)
        ip = f"{box.network}2"
        alice = net.host(
            "alice",
            ip=ip,
            nat=box,
            listen=[f"/ip4/{ip}/tcp/4001"],
            transports=lambda: [lab.TCP()],
            services=lambda: [
                lab.Identify(),
                lab.Ping(),
                lab.AutoNAT(),
                lab.RelayClient(),
                lab.AutoRelay(),
            ],
        )

        def told() -> tuple[list[str], int]:
            """The addresses at the router that others are told, and through how many relays."""
            shown = [str(a.without_peer()) for a in alice.addrs if "p2p-circuit" not in a.names]
            public = [a for a in shown if not a.startswith(f"/ip4/{box.network}")]
            return public, len(alice.addrs) - len(shown)

        async def story() -> None:
            for server in servers:
                await alice.connect(server.addrs[0])
                await alice.identify_result(server.peer_id)
            await asyncio.sleep(120)
            assert alice.autonat.reachability == "public"
            outside, relayed = told()
            assert len(outside) == 1
            assert relayed == 0

            box.set_behaviour(PORT_RESTRICTED)
            await asyncio.sleep(2 * 900)
            assert alice.autonat.reachability == "private"
            assert told() == ([], 2)
            hidden = {str(a.without_peer()) for a in alice.candidate_addrs}
            assert set(outside) <= hidden, "it is known, and not told"
            [server] = servers[:1]
            known = server.peerstore.addrs(alice.peer_id)
            assert any("p2p-circuit" in a.names for a in known), "others were told at once"

            box.set_behaviour(FULL_CONE)
            await asyncio.sleep(2 * 900)
            assert alice.autonat.reachability == "public"
            assert told() == (outside, 0)

        net.run(story(), until=10_000)


async def test_what_is_withheld_is_not_told() -> None:
    async with lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as host:
        changes: list[Any] = []
        host.on_change(lambda: changes.append(list(host.addrs)))
        [addr] = [a.without_peer() for a in host.addrs]
        host.withhold("test", [addr])
        assert host.addrs == []
        assert host.listen_addrs == host.candidate_addrs == [addr.with_peer(host.peer_id)]
        host.withhold("test", [addr, Multiaddr("/ip4/1.2.3.4/tcp/1")])
        assert len(changes) == 1, "nothing that others are told has changed"
        host.withhold("test", [])
        assert host.addrs == [addr.with_peer(host.peer_id)]
        assert len(changes) == 2
