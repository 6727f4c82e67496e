"""Relaying and hole punching through NATs of a real kernel: the scenarios of libp2p's hole-punch interop tests.

There the network also delays; here it does not, and timing is the simulator's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from libp2p_lab import foreign
from libp2p_lab.foreign import ForeignPeer
from tests.netns.__main__ import PEERS, line
from tests.netns.kernel import KernelLab, why_not
from tests.support import require

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelLab]:
    reason = why_not()
    require(not reason, reason)
    with KernelLab() as lab:
        yield lab


@pytest.fixture(scope="module")
def relay(kernel: KernelLab) -> Iterator[dict[str, str]]:
    with kernel.running("relay", "relay", module=PEERS) as process:
        yield line(process)


@pytest.mark.parametrize("kind", ["tcp", "quic"])
@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        ("port restricted", "port restricted", "punched"),
        ("full cone", "symmetric", "punched"),
        ("symmetric", "full cone", "punched"),
        ("symmetric", "symmetric", "failed"),
    ],
    ids=lambda value: value.replace(" ", "-"),
)
def test_two_of_us(kernel: KernelLab, relay: dict[str, str], a, b, outcome, kind) -> None:
    """A is called, and B calls; what cannot be punched stays on the relay and is usable."""
    kernel.set_nat("A", a, "nft")
    kernel.set_nat("B", b, "nft")
    with kernel.running("hostA", "called", kind, relay[kind], module=PEERS) as alice:
        addr = line(alice)["addr"]
        with kernel.running("hostB", "caller", kind, addr, module=PEERS) as bob:
            ended, told = line(alice), line(bob)
    assert ended["outcome"] == outcome, ended
    assert told["relayed"]
    assert told["echoed"]
    assert told["transport"] == (
        "" if outcome == "failed" else {"tcp": "tcp", "quic": "quic-v1"}[kind]
    )


async def js_at(kernel: KernelLab, where: str, **options: Any) -> ForeignPeer:
    """js-libp2p on one of the machines."""
    folder = foreign.js_folder()
    require(folder, "js-libp2p is not installed: run `make interop-peers`")
    assert folder is not None
    node = await foreign.find_node(folder)
    words = kernel.on(where, str(node), str(folder / "peer.mjs"))
    peer = await ForeignPeer.launch(*words)
    try:
        await peer.start(circuit=True, punches=True, **options)
    except BaseException:
        await peer.close()
        raise
    return peer


async def test_js_calls_and_we_punch(kernel: KernelLab, relay: dict[str, str]) -> None:
    """We are called. js dials from a fresh port each time, so our box must not look at ports."""
    kernel.set_nat("A", "full cone", "nft")
    kernel.set_nat("B", "port restricted", "nft")
    with kernel.running("hostA", "called", "tcp", relay["tcp"], module=PEERS) as us:
        addr = (await asyncio.to_thread(line, us))["addr"]
        # It does not find out by itself where it is seen.
        seen = "/ip4/1.2.3.102/tcp/4001"
        at = "/ip4/10.2.0.2/tcp/4001"
        async with await js_at(kernel, "hostB", listen=[at], announce=[seen]) as js:
            await js.dial(addr)
            ended = await asyncio.to_thread(line, us)
            assert (ended["outcome"], ended["attempts"]) == ("punched", 1), ended


async def test_js_is_called_and_dials_us_back(kernel: KernelLab, relay: dict[str, str]) -> None:
    """We are public, and say so: js reverses the connection."""
    kernel.set_nat("B", "symmetric", "nft")
    async with await js_at(kernel, "hostB", listen=["/ip4/10.2.0.2/tcp/4001"]) as js:
        await js.call("reserve", addr=relay["tcp"])
        addr = f"{relay['tcp']}/p2p-circuit/p2p/{js.peer_id}"
        with kernel.running("relay", "caller", "tcp", addr, "1.2.3.11", module=PEERS) as us:
            told = await asyncio.to_thread(line, us)
        assert told == {"relayed": True, "transport": "tcp", "echoed": True}
