"""Records that age: republished, expired, lost with their holders, poisoned, forged."""

from __future__ import annotations

import pytest

import libp2p_lab as lab
from libp2p_lab.widgets.provider_bench import Plan
from tests.widgets.conftest import Open


def test_records_expire_unless_they_are_renewed() -> None:
    still = lab.widgets.ProviderMap(peers=60, providers=1, session=0, republish=168, expiry=48)
    assert still.records == 20
    still.pass_hours(47.9)
    assert (still.records, still.find().live) == (20, 1)
    still.pass_hours(0.2)
    assert (still.records, still.find().live) == (0, 0)
    renewed = lab.widgets.ProviderMap(peers=60, providers=1, session=0, republish=22, expiry=48)
    renewed.pass_hours(160)
    assert renewed.records == 20
    assert renewed.liveness == 1.0


def test_churn_takes_records_along() -> None:
    often, seldom = (
        lab.widgets.ProviderMap(peers=100, providers=1, session=4, republish=hours)
        for hours in (6, 96)
    )
    for one in (often, seldom):
        one.pass_hours(168)
    assert often.liveness > seldom.liveness
    assert often.messages_per_record_day > seldom.messages_per_record_day


def test_who_has_left_is_still_spoken_of() -> None:
    card = lab.widgets.ProviderMap(peers=60, providers=1, session=0)
    card.provider_leaves()
    answer = card.find()
    assert (answer.live, answer.stale) == (0, 1)
    card.pass_hours(49)
    assert card.find().stale == 0


def test_only_ones_own_word_is_taken() -> None:
    card = lab.widgets.ProviderMap(peers=60, providers=1, session=0)
    before = card.records
    assert card.forge() == 0
    assert card.records == before
    card.poison()  # in its own name: nobody can tell
    assert card.records == before + 20
    assert card.find().false == 1
    card.change(quorum=2)
    card.poison()
    assert card.find().live == 1


def test_a_holder_leaves() -> None:
    crash, polite = (lab.widgets.ProviderMap(peers=60, providers=1, session=0) for _ in range(2))
    crash.holder_leaves()
    polite.holder_leaves(polite=True)
    assert crash.records == 19
    assert polite.records == 20


def test_what_is_no_plan() -> None:
    for wrong in ({"k": 0}, {"republish": 0.0}, {"quorum": 99}, {"peers": 3}, {"providers": 0}):
        with pytest.raises(lab.LocalError):
            Plan(**wrong)  # type: ignore[arg-type]
    with pytest.raises(lab.LocalError):
        lab.widgets.ProviderMap(peers=20).pass_hours(1000)


def test_the_same_seed_the_same_days() -> None:
    days = []
    for _ in range(2):
        card = lab.widgets.ProviderMap(peers=50, seed=4)
        card.pass_hours(50)
        days.append(card.summary())
    assert days[0] == days[1]


async def test_the_page(open_page: Open) -> None:
    card = lab.widgets.ProviderMap(peers=60)
    page = open_page(card)
    first = page.of("map")[-1]
    assert sum(peer["close"] for peer in first["peers"]) == 20
    page.tell("pass", hours=30)
    told = await page.wait_for("map", 2)
    assert told["hours"] == 30
    assert len(told["samples"]) == 31
    for what in ("republish", "provider leaves", "holder crashes", "holder leaves politely"):
        page.tell("poke", what=what)
    page.tell("poke", what="poison")
    assert {one["state"] for one in page.of("map")[-1]["providers"]} == {"up", "gone", "liar"}
    page.tell("poke", what="forge")
    assert page.of("told")[-1]["text"].startswith("0 of 20")
    page.tell("plan", changes={"quorum": 4})
    assert (card.plan.quorum, card.hours) == (4, 30)  # the days go on
    page.tell("plan", changes={"expiry": 12})
    assert (card.plan.expiry, card.hours) == (12, 0)
    for kind, content in (
        ("plan", {"changes": {"k": 9999}}),
        ("plan", {"changes": {"seed": "x"}}),
        ("pass", {"hours": -1}),
        ("pass", {"hours": "long"}),
        ("poke", {"what": "dance"}),
    ):
        page.tell(kind, **content)
    assert card.plan.k == 20


def test_the_static_form() -> None:
    bundle = lab.widgets.ProviderMap(peers=30)._repr_mimebundle_()
    assert "provider 1 0 h" in bundle["text/plain"]
    assert "Providers of bafkrei" in bundle["text/html"]
