"""The life of a record: simulation beside calculation, and what each number does."""

from __future__ import annotations

import statistics

import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.records import availability, life


@pytest.mark.parametrize(("session", "republish", "k"), [(12, 22, 20), (4, 22, 20), (12, 22, 3)])
def test_simulation_and_calculation_agree_within_five_points(
    session: float, republish: float, k: int
) -> None:
    options = {"session": session, "republish": republish, "expiry": 48, "k": k}
    seen = statistics.mean(life(**options, days=60, seed=seed).found for seed in range(4))
    assert abs(seen - availability(**options)) < 0.05


def test_what_each_number_does() -> None:
    usual = {"session": 6.0, "republish": 22.0, "expiry": 48.0, "k": 20}
    at_first = availability(**usual)
    assert availability(**{**usual, "republish": 11.0}) > at_first
    assert availability(**{**usual, "k": 5}) < at_first
    assert availability(**{**usual, "session": 2.0}) < at_first
    assert availability(**{**usual, "expiry": 5.0}) < at_first
    often = life(**{**usual, "republish": 11.0}, days=20)
    assert often.messages == pytest.approx(2 * life(**usual, days=20).messages, rel=0.1)


def test_who_leaves_leaves_stale_records_behind() -> None:
    away = {"session": 200.0, "republish": 22.0, "provider_session": 24.0, "provider_pause": 48.0}
    soon, late = (life(**away, expiry=hours, days=200, seed=1) for hours in (24.0, 72.0))
    assert 0 < soon.stale < late.stale
    assert life(**away, expiry=24.0, days=50, seed=1) == life(**away, expiry=24.0, days=50, seed=1)


def test_misuse() -> None:
    with pytest.raises(LocalError):
        life(session=0, republish=1, expiry=1)
