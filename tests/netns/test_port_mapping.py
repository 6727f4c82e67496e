"""A router of a real kernel opens ports: miniupnpd, as it runs on many of them, by its three protocols."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.netns.__main__ import PEERS, line
from tests.netns.kernel import KernelLab, why_no_upnp, why_not
from tests.support import require

pytestmark = pytest.mark.timeout(120)
OUTSIDE = "/ip4/1.2.3.101"


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelLab]:
    reason = why_not() or why_no_upnp()
    require(not reason, reason)
    with KernelLab() as lab:
        yield lab


HOW = {"PCP": 4001, "NAT-PMP": 4002, "UPnP": 4003}
SETTLED = 4  # seconds: RFC 6887 takes two clocks that differ by less for the same


def test_peers_behind_a_router_become_public(kernel: KernelLab) -> None:
    """Asked for, judged by AutoNAT, dialed from another home, opened again after a restart, given back."""
    kernel.set_nat("A", "symmetric", "nft")
    kernel.set_nat("B", "symmetric", "nft")
    with ExitStack() as stack:
        relay = stack.enter_context(kernel.running("relay", "relay", module=PEERS))
        helper = line(relay)["tcp"]
        restart = stack.enter_context(kernel.opening_ports("A"))
        peers = [
            stack.enter_context(
                kernel.running("hostA", "mapped", how, str(port), helper, module=PEERS)
            )
            for how, port in HOW.items()
        ]
        for peer, (how, port) in zip(peers, HOW.items(), strict=True):
            told = line(peer)
            assert told["how"] == how
            tcp, quic = sorted(told["addrs"])
            assert tcp.startswith(f"{OUTSIDE}/tcp/{port}/p2p/")
            assert quic.startswith(f"{OUTSIDE}/udp/{port}/quic-v1/p2p/")
            assert line(peer) == {"reachability": "public", "each": [True, True]}
            with kernel.running("hostB", "direct", tcp, quic, module=PEERS) as bob:
                assert line(bob) == {"transport": "tcp", "echoed": True}
                assert line(bob) == {"transport": "quic-v1", "echoed": True}
        assert len(kernel.open_ports("A")) == 2 * len(HOW)
        time.sleep(SETTLED)
        restart()
        assert [line(peer) for peer in peers] == [{"restarted": True}] * len(HOW)
        assert len(kernel.open_ports("A")) == 2 * len(HOW)
        for peer in peers:
            assert peer.stdin is not None
            peer.stdin.write("\n")
            peer.stdin.flush()
            assert line(peer) == {"closed": True}
        assert kernel.open_ports("A") == []
