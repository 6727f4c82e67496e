"""The published attacks on GossipSub, on a small network: what scores change, and what they cannot."""

from __future__ import annotations

import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.attacks import attack


def test_nobody_attacks() -> None:
    calm = attack("baseline", honest=40, scored=True, seed=3)
    assert (calm.delivered, calm.in_time, calm.sybil_links) == (1.0, 1.0, 0.0)
    assert 1 < calm.copies < 13, "no more than the mesh is wide"
    assert attack("baseline", honest=40, scored=True, seed=3) == calm, "the same seed, the same run"


def test_a_cold_boot_needs_scores() -> None:
    """Who is there first fills every mesh; only judging peers by what they bring gets them out."""
    plain, scored = (
        attack("cold boot", honest=40, scored=is_so, seed=3) for is_so in (False, True)
    )
    assert plain.sybil_links > 0.5 > scored.sybil_links
    assert plain.median > 2 * scored.median
    assert plain.p99 > 2 * scored.p99
    assert plain.delivered == scored.delivered == 1.0, "gossip brings late what the mesh did not"


def test_a_publisher_among_censors_is_heard() -> None:
    scored = attack("censor", honest=40, scored=True, seed=3)
    assert scored.in_time == 1.0


def test_an_attack_that_is_not_known() -> None:
    with pytest.raises(LocalError, match="there are baseline, sybil"):
        attack("charm", scored=True)
    with pytest.raises(LocalError, match="too few"):
        attack("baseline", honest=20, scored=True)
