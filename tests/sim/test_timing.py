"""Punching where a packet that is early does harm: from which difference on it fails, and what helps."""

from __future__ import annotations

import pytest

from libp2p_lab.coursework.chapter_08_timing import EARLIEST, LATEST
from libp2p_lab.sim import PORT_RESTRICTED, Internet
from libp2p_lab.sim.punching import TOUCHY, meet
from libp2p_lab.sim.timing import FARTHEST, NEAREST, meeting, success, uneven

pytestmark = pytest.mark.timeout(120)


def test_success_falls_with_the_difference_and_passes_a_half_where_the_exercise_says() -> None:
    assert success(0.0, n=3) == 1.0
    assert success(EARLIEST, n=8) >= 0.5
    assert success(LATEST, n=8) < 0.5
    assert success(2.2 * FARTHEST, n=3) == 0.0


def test_the_two_syns_must_cross() -> None:
    """Wrong by half of the difference; the direct way must be longer than that."""
    for direct, asymmetry, works in ((0.06, 0.09, True), (0.06, 0.15, False), (0.09, 0.15, True)):
        for slow_back in (False, True):
            met = meeting(asymmetry, direct=direct, slow_back=slow_back)
            assert met.worked == works, (direct, asymmetry, slow_back)


def test_boxes_that_keep_silent_do_not_mind() -> None:
    met = meet(
        PORT_RESTRICTED, PORT_RESTRICTED, regions=uneven(NEAREST, 0.3, 0.0), at=("b", "a", "relay")
    )
    assert met.worked
    assert met.attempts == 1


def test_later_tries_at_other_moments_help() -> None:
    def wait(rtt: float, attempt: int) -> float:
        return rtt / 2 + (0.0, 0.08, -0.08)[attempt - 1]

    assert success(0.16, wait, n=4) > success(0.16, n=4) + 0.4


def test_a_refusal_closes_the_door_that_was_opened() -> None:
    with Internet() as net:
        box = net.nat("home", TOUCHY)
        inside, remote = ("192.168.1.2", 7), ("198.51.100.9", 7)
        mapping, _ = box.table.outbound("tcp", inside, remote, "syn", 0.0)  # type: ignore[misc]
        assert box.table.inbound("tcp", mapping.outside, remote, "syn", 1.0) == inside
        box.table.refused("tcp", mapping.outside, remote)
        assert isinstance(box.table.inbound("tcp", mapping.outside, remote, "syn", 2.0), str)
        again, _ = box.table.outbound("tcp", inside, remote, "syn", 3.0)  # type: ignore[misc]
        assert box.table.inbound("tcp", again.outside, remote, "syn", 4.0) == inside
