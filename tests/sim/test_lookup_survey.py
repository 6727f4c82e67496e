"""The survey of lookups: how cost grows, what sessions of the published lengths do to tables and to records."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.lookup_survey import (
    EUROPE,
    SESSION_SCALE,
    SESSION_SHAPE,
    finds,
    gone_after,
    stays,
    survey,
    tables,
)


def test_a_thousand_peers_in_the_spec_s_numbers() -> None:
    row = survey(1000, lookups=60)
    assert row.exact > 0.99
    assert row.hops < 3.5
    assert 20 <= row.requests <= 40


def test_a_factor_in_size_is_a_step_in_hops() -> None:
    rows = [survey(count, lookups=40) for count in (100, 1000, 4000)]
    hops = [row.hops for row in rows]
    assert hops == sorted(hops)
    assert all(row.hops < math.log2(row.count) for row in rows)


def test_the_dead_cost_questions_and_time() -> None:
    lively, half = (survey(500, lookups=40, dead=dead) for dead in (0.0, 0.5))
    assert half.requests > lively.requests
    assert half.seconds > 5.0 > lively.seconds
    assert half.exact < lively.exact
    assert half.share > 0.5


def test_connections_that_are_there_already_save_two_of_three_round_trips() -> None:
    cold = survey(300, lookups=20, region=EUROPE)
    warm = survey(300, lookups=20, region=EUROPE, round_trips=1)
    assert 2 < cold.seconds / warm.seconds < 4
    assert warm.soon >= cold.soon


def test_the_sessions_are_those_that_were_published() -> None:
    assert 1 - stays(8) == pytest.approx(0.876)
    assert stays(24) == pytest.approx(0.025)
    assert stays(0) == 1.0


def test_who_is_met_now_leaves_as_the_renewal_theorem_says() -> None:
    """Beside it, drawn by lot: sessions one after the other, and a look at a random moment of them."""
    rng = random.Random(5)
    lengths = [rng.weibullvariate(SESSION_SCALE, SESSION_SHAPE) for _ in range(200_000)]
    met = rng.choices(lengths, lengths, k=50_000)  # a long one is met more often
    left = [length * rng.random() for length in met]  # and somewhere in its middle
    for hours in (0.5, 6.0, 22.0):
        assert gone_after(hours) == pytest.approx(fmean(rest <= hours for rest in left), abs=0.015)
    assert gone_after(0) == 0.0
    assert gone_after(10_000) == pytest.approx(1.0, abs=1e-3)


def test_records_are_found_less_the_longer_ago_they_were_stored() -> None:
    at_once, soon, late = (finds(hours, count=400, lookups=40) for hours in (0, 6, 72))
    assert at_once.holders > 19.5  # who is one of the twenty does not ask itself
    assert at_once.found == 1.0
    assert 20 > soon.holders > late.holders
    assert soon.found >= late.found


def test_the_long_form_names_each_setting() -> None:
    lines = tables(sizes=(50,), deaths=(0.2,), hours=(6,), lookups=5, crowd=60)
    assert sum(line.lstrip().startswith("50 ") for line in lines) == 1
    assert sum(" 20% " in line for line in lines) == 1
    assert lines[-1].split()[0] == "6.00"


def test_misuse() -> None:
    for wrong in (
        lambda: survey(50, lookups=0),
        lambda: survey(50, region="atlantis"),
        lambda: finds(-1.0),
        lambda: finds(1.0, lookups=0),
        lambda: gone_after(-1.0),
    ):
        with pytest.raises(LocalError):
            wrong()
