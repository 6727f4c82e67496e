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
from tests.netns.kernel import KernelLab, Kind, why_not
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


# js dials from a fresh port each time, never from the one at which it listens. So its dials open no box for ours, and
# ours none for its: between two boxes that look at ports there is no hole to be had with it. Where one of the two lets
# everybody in, one dial is enough, if it is the one that goes there.
JS_LISTENS = {"tcp": "/ip4/10.2.0.2/tcp/4001", "quic": "/ip4/10.2.0.2/udp/4001/quic-v1"}
JS_IS_SEEN = {"tcp": "/ip4/1.2.3.102/tcp/4001", "quic": "/ip4/1.2.3.102/udp/4001/quic-v1"}
NAMES = {"tcp": "tcp", "quic": "quic-v1"}


def between(kernel: KernelLab, ours: Kind, theirs: Kind) -> None:
    """Our box, and that of js."""
    kernel.set_nat("A", ours, "nft")
    kernel.set_nat("B", theirs, "nft")


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "outcome"),
    [
        ("tcp", "full cone", "port restricted", "punched"),
        ("quic", "full cone", "port restricted", "punched"),
        ("tcp", "full cone", "symmetric", "punched"),
        ("tcp", "port restricted", "full cone", "dialed"),
        ("quic", "symmetric", "full cone", "dialed"),
        ("tcp", "port restricted", "port restricted", "failed"),
        ("quic", "symmetric", "symmetric", "failed"),
    ],
    ids=lambda value: value.replace(" ", "-"),
)
async def test_js_calls_us(
    kernel: KernelLab, relay: dict[str, str], kind: str, ours: Kind, theirs: Kind, outcome: str
) -> None:
    """We begin the exchange, and js answers. Where it says that it is public and is, no hole is needed."""
    between(kernel, ours, theirs)
    with kernel.running("hostA", "called", kind, relay[kind], module=PEERS) as us:
        addr = (await asyncio.to_thread(line, us))["addr"]
        # It does not find out by itself where it is seen.
        places = {"listen": [JS_LISTENS[kind]], "announce": [JS_IS_SEEN[kind]]}
        async with await js_at(kernel, "hostB", **places) as js:
            await js.dial(addr)
            ended = await asyncio.to_thread(line, us)
            assert ended["outcome"] == outcome, ended
            us_id = addr.rpartition("/")[2]
            size, limited = (1000, True) if outcome == "failed" else (300_000, False)
            answer = await js.call("echo", size=size, limited=limited, peer_id=us_id)
            assert answer["sha256"] == answer["sent_sha256"]
            assert answer["count"] == size


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "works"),
    [
        ("tcp", "full cone", "port restricted", True),
        ("quic", "full cone", "port restricted", True),
        ("tcp", "port restricted", "full cone", True),
        ("quic", "symmetric", "full cone", True),
        ("tcp", "port restricted", "port restricted", False),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else str(value),
)
async def test_we_call_js(
    kernel: KernelLab, relay: dict[str, str], kind: str, ours: Kind, theirs: Kind, works: bool
) -> None:
    """js begins the exchange, and we answer."""
    between(kernel, ours, theirs)
    places = {"listen": [JS_LISTENS[kind]], "announce": [JS_IS_SEEN[kind]]}
    async with await js_at(kernel, "hostB", **places) as js:
        await js.call("reserve", addr=relay[kind])
        addr = f"{relay[kind]}/p2p-circuit/p2p/{js.peer_id}"
        with kernel.running("hostA", "caller", kind, addr, module=PEERS) as us:
            told = await asyncio.to_thread(line, us)
    transport = NAMES[kind] if works else ""
    assert told == {"relayed": True, "transport": transport, "echoed": True}


async def test_js_is_called_and_dials_us_back(kernel: KernelLab, relay: dict[str, str]) -> None:
    """We are public, and say so: js reverses the connection."""
    kernel.set_nat("B", "symmetric", "nft")
    async with await js_at(kernel, "hostB", listen=["/ip4/10.2.0.2/tcp/4001"]) as js:
        await js.call("reserve", addr=relay["tcp"])
        addr = f"{relay['tcp']}/p2p-circuit/p2p/{js.peer_id}"
        with kernel.running("relay", "caller", "tcp", addr, "1.2.3.11", module=PEERS) as us:
            told = await asyncio.to_thread(line, us)
        assert told == {"relayed": True, "transport": "tcp", "echoed": True}
