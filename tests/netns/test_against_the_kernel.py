"""The simulated NAT boxes and those of a real kernel are asked the same questions, and agree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from libp2p_lab.sim import FULL_CONE, PORT_RESTRICTED, SYMMETRIC
from tests.netns.kernel import KernelLab, why_not
from tests.netns.simulated import Lab
from tests.support import require

KINDS = {"port restricted": PORT_RESTRICTED, "symmetric": SYMMETRIC, "full cone": FULL_CONE}
TOOLS = ("nft", "iptables")
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2))


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelLab]:
    reason = why_not()
    require(not reason, reason)
    with KernelLab() as lab:
        lab.start_relay()
        yield lab


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_both_behave_alike(kernel: KernelLab, kind, tool) -> None:
    kernel.set_nat("A", kind, tool)
    simulated = Lab(KINDS[kind])
    found = simulated.behaviour()
    simulated.net.close()
    assert kernel.behaviour() == found


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda kind: str(kind).replace(" ", "-"))
def test_the_same_holes_can_be_punched(kernel: KernelLab, a, b, tool, protocol) -> None:
    kernel.set_nat("A", a, tool)
    kernel.set_nat("B", b, tool)
    simulated = Lab(KINDS[a], KINDS[b])
    punched = simulated.punch(protocol)
    simulated.net.close()
    assert kernel.punch(protocol, f"{a} {b} {tool} {protocol}") == punched
