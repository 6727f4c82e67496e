"""Lookups side by side: more requests in flight are faster, churn is dear, lanes are kept."""

from __future__ import annotations

import pytest

import libp2p_lab as lab
from tests.widgets.conftest import Open


def test_alpha_buys_time_with_messages() -> None:
    one, three, ten = lab.widgets.LookupRace(300, lookups=6).outcomes
    assert one.seconds > three.seconds > ten.seconds
    assert one.messages <= ten.messages
    assert min(one.found, three.found, ten.found) > 0.95


def test_churn_costs_time_outs() -> None:
    race = lab.widgets.LookupRace(200, alphas=(10,), lookups=4)
    calm = race.outcomes[0]
    churned = race.race(gone=0.3)
    assert churned.failures > 0
    assert churned.seconds > calm.seconds + 2
    assert race.outcomes == [churned]


def test_a_lane_is_kept() -> None:
    race = lab.widgets.LookupRace(100, alphas=(3,), lookups=2)
    race.keep()
    race.race(k=5)
    assert [one.scene.k for one in race.outcomes] == [20, 5]
    race.race(peers=50)  # a race of different crowds would be none
    assert {one.scene.peers for one in race.outcomes} == {50}
    for _ in range(9):
        race.keep()
    assert len(race.outcomes) == 6


def test_what_is_no_race() -> None:
    for wrong in ({"lookups": 0}, {"alphas": ()}, {"alphas": (0,)}, {"k": 99}):
        with pytest.raises(lab.LocalError):
            lab.widgets.LookupRace(100, **wrong)  # type: ignore[arg-type]


async def test_the_page(open_page: Open) -> None:
    race = lab.widgets.LookupRace(100, alphas=(1, 10), lookups=2)
    page = open_page(race)
    assert [len(lane["row"]) for lane in page.of("race")[-1]["lanes"]] == [7, 7]
    for kind, value, name, wanted in (
        ("alpha", 5, "alpha", 5),
        ("k", 999, "k", 40),
        ("gone", 30, "gone", 0.3),
        ("peers", 1, "peers", 10),
    ):
        before = len(page.of("race"))
        page.tell(kind, value=value)
        told = await page.wait_for("race", before + 1)
        assert told["scene"][name] == wanted
    page.tell("keep")
    assert len(race.outcomes) == 3
    page.tell("alpha", value="many")
    page.tell("dance")
    assert race.outcomes[-1].scene.alpha == 5


def test_the_static_form() -> None:
    bundle = lab.widgets.LookupRace(50, lookups=2)._repr_mimebundle_()
    assert "Fastest" in bundle["text/plain"]
    assert "α = 10" in bundle["text/html"]
