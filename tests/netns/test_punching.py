"""Relaying and hole punching through NATs of a real kernel: the scenarios of libp2p's hole-punch interop tests.

There the network also delays; here it does not, and timing is the simulator's business.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

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
    with kernel.running("relay", "relay", module="tests.netns.peers") as process:
        yield line(process)


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, process.communicate()[1]
    found: dict[str, Any] = json.loads(said)
    return found


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
    peers = "tests.netns.peers"
    with kernel.running("hostA", "called", kind, relay[kind], module=peers) as alice:
        addr = line(alice)["addr"]
        with kernel.running("hostB", "caller", kind, addr, module=peers) as bob:
            ended, told = line(alice), line(bob)
    assert ended["outcome"] == outcome, ended
    assert told["relayed"]
    assert told["echoed"]
    assert told["transport"] == (
        "" if outcome == "failed" else {"tcp": "tcp", "quic": "quic-v1"}[kind]
    )
