"""Two homes: what happens step by step is what the simulated routers did, and the matrix is what came of running it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

import libp2p_lab as lab
from libp2p_lab.sim import FIREWALL, FULL_CONE, PORT_RESTRICTED, SYMMETRIC, NatBehaviour
from libp2p_lab.sim.punching import NINE, meet, one_gets_through
from libp2p_lab.widgets.nat_bench_model import Plan, Run
from libp2p_lab.widgets.nat_bench_world import run
from tests.widgets.conftest import Open

USUAL, STRICT = NINE[2], NINE[8]


def drops(done: Run) -> list[tuple[str, str]]:
    return [(step.where, step.reason) for step in done.steps if step.moment == "dropped"]


def test_a_hole_step_by_step() -> None:
    done = run(Plan())
    assert done.level == "hole"
    assert done.attempts == 1
    assert done.direct_rtt == pytest.approx(0.062, abs=0.001)
    # The way from the relay to bob is slow, so alice's punch comes too early, and bob's finds the door open.
    assert drops(done) == [("router of bob", "filtered"), ("router of alice", "filtered")]
    first, stranger = (step for step in done.steps if step.moment == "dropped")
    assert "11.9.0.1:4001" in first.rule
    assert first.src in first.rule
    assert stranger.path[0] == "public peer"
    times = [step.time for step in done.steps]
    assert times == sorted(times)


def test_the_tables_are_the_routers() -> None:
    done = run(Plan())
    made = [step for step in done.steps if step.new and step.moment == "leaves"]
    assert [step.path[0] for step in made] == ["alice", "bob", "alice", "bob"]
    for step in made:
        row = next(r for r in step.tables[step.path[0]] if r.outside == step.new)
        assert row.outside == step.src
        assert step.dst in dict(row.remotes)
        assert row.expires == pytest.approx(step.time + USUAL.udp_timeout)
    # A symmetric router gives another port for each remote; the usual one keeps its port.
    held = run(Plan(USUAL, STRICT)).steps[-1].tables
    assert len(held["alice"]) == 1
    assert len(held["bob"]) == 2
    assert len({row.outside for row in held["bob"]}) == 2


def test_every_number_of_the_matrix_is_run() -> None:
    """57 of 81 a packet gets through, 45 can talk: run here, and the first one held beside the rules."""
    levels = {(a, b): run(Plan(a, b)).level for a in NINE for b in NINE}
    assert Counter(levels.values()) == {"hole": 45, "one way": 12, "relay": 24}
    for (a, b), level in levels.items():
        assert (level in ("hole", "one way")) == one_gets_through(a, b)


@pytest.mark.parametrize("speech", ["tcp", "quic"])
@pytest.mark.parametrize(("a", "b"), [(2, 2), (0, 8), (4, 6), (6, 4), (8, 8)])
def test_the_hosts_do_as_ever(speech, a, b) -> None:
    done = run(Plan(NINE[a], NINE[b], speech, slow=0.0))
    assert (done.level == "hole") == meet(NINE[a], NINE[b], kind=speech).worked
    assert (done.level in ("hole", "one way")) == one_gets_through(NINE[a], NINE[b])
    assert done.carried > 1000
    assert any("SYNC" in step.words for step in done.steps)
    assert {"alice", "bob"} <= {step.path[0] for step in done.steps if step.new}


def test_a_call_that_comes_too_early() -> None:
    """A SYN that reaches a listener before SYNC does is taken for an ordinary call: nobody is the client."""
    early = run(Plan(NINE[0], NINE[0], "tcp"))
    assert early.level == "one way"
    syn = next(step for step in early.steps if step.kind == "syn" and step.path[-1] == "bob")
    punch = next(step for step in early.steps if step.words.startswith("bob punches"))
    assert syn.time < punch.time
    assert run(Plan(NINE[0], NINE[0], "tcp", slow=0.0)).level == "hole"


@pytest.mark.parametrize("speech", ["datagrams", "tcp", "quic"])
def test_what_is_not_used_is_forgotten(speech) -> None:
    quick = replace(USUAL, udp_timeout=5.0, tcp_timeout=5.0, tcp_transitory_timeout=5.0)
    plan = Plan(quick, quick, speech)
    assert run(replace(plan, silence=3.0)).later == "heard"
    late = run(replace(plan, silence=12.0))
    assert late.later == "not heard"
    assert "no mapping" in {reason for _, reason in drops(late)}


def test_a_relay_has_limits() -> None:
    stuck = Plan(STRICT, STRICT)
    assert run(replace(stuck, silence=60.0)).later == "heard"
    assert run(replace(stuck, silence=60.0, relay_seconds=30.0)).later == "not heard"
    assert run(replace(stuck, silence=60.0, relay_seconds=0.0)).later == "heard"
    small = run(Plan(relay_bytes=4))
    assert small.level == "relay"
    assert small.attempts == 0
    assert any("passes on no more" in step.words for step in small.steps)
    cut = run(Plan(speech="tcp", relay_bytes=300))
    assert cut.level == "nothing"
    assert "do not even meet" in cut.words


@pytest.mark.parametrize("speech", ["datagrams", "tcp"])
def test_another_port_is_another_mapping(speech) -> None:
    assert run(Plan(speech=speech)).level == "hole"
    assert run(Plan(speech=speech, reuse=False)).level == "relay"
    # Where everybody may come in it does no harm to datagrams; of a TCP port that only dials nobody accepts.
    free = run(Plan(NINE[0], NINE[0], speech, reuse=False)).level
    assert free == ("hole" if speech == "datagrams" else "relay")


def test_clocks() -> None:
    """A router that is silent forgives a wrong moment; who is early or late only waits."""
    right = run(Plan(by_clock=True, slow=0.0))
    assert right.level == "hole"
    assert right.seconds > 3
    assert run(Plan(by_clock=True, skew=-1.0)).seconds == pytest.approx(right.seconds + 1, abs=0.2)
    forgetful = replace(USUAL, udp_timeout=4.0)
    late = Plan(forgetful, forgetful, by_clock=True, skew=-60.0, retries=1)
    assert run(late).level == "relay"
    hosts = [run(Plan(speech="tcp", by_clock=True, skew=skew)).seconds for skew in (0.0, -2.0)]
    assert hosts[1] > hosts[0]


def test_touchy_routers_ask_for_the_right_moment() -> None:
    """Routers that refuse, and take a refusal as the end: the two first packets must cross."""
    touchy = replace(USUAL, rejects=True, rst_closes=True)
    plan = Plan(touchy, touchy, "tcp", slow=0.0, retries=1)
    assert run(plan).level == "hole"
    assert run(replace(plan, slow=0.4)).level != "hole"
    assert run(replace(plan, by_clock=True)).level == "hole"
    assert run(replace(plan, by_clock=True, skew=1.0)).level != "hole"
    assert run(replace(plan, skew=1.0)).level == "hole", "no clocks are compared by DCUtR"


def test_other_boxes() -> None:
    assert run(Plan(FULL_CONE, SYMMETRIC)).level == "hole"
    assert run(Plan(FIREWALL, FIREWALL)).level == "hole"
    office = NatBehaviour(blocks_udp=True)
    assert run(Plan(PORT_RESTRICTED, office)).level == "nothing"
    crossing = replace(PORT_RESTRICTED, simultaneous_open=False)
    done = run(Plan(crossing, crossing, "tcp", slow=0.0))
    assert ("router of bob", "simultaneous open") in drops(done)


def test_wrong_plans() -> None:
    for wrong in (
        {"speech": "smoke"},
        {"retries": 0},
        {"skew": 1e9},
        {"slow": -1.0},
        {"silence": 1e9},
        {"relay_bytes": -1},
    ):
        with pytest.raises(lab.LocalError):
            Plan(**wrong)


async def test_the_page(open_page: Open) -> None:
    bench = lab.widgets.NatBench()
    page = open_page(bench)
    first = page.of("bench")[-1]
    assert first["level"] == "hole"
    assert first["cell"] == (2, 2)
    assert first["places"]["11.9.0.1"] == "relay"
    assert all(step["tables"] < len(first["tables"]) for step in first["steps"])
    page.tell("pair", cell=[8, 8])
    assert (await page.wait_for("bench", 2))["level"] == "relay"
    page.tell("home", who="bob", name="filtering", value="endpoint-independent")
    assert (await page.wait_for("bench", 3))["cell"] == (8, 6)
    page.tell("speech", value="tcp")
    assert (await page.wait_for("bench", 4))["speech"] == "tcp"
    page.tell("speech", value="datagrams")
    page.tell("number", name="retries", value=1)
    page.tell("switch", name="reuse", value=False)
    page.tell("timeout", value=30)
    page.tell("again")
    async with asyncio.timeout(30):
        while bench.plan.seed != 2:
            await asyncio.sleep(0.01)
    assert (bench.plan.retries, bench.plan.reuse, bench.plan.home_b.udp_timeout) == (1, False, 30)
    page.tell("number", name="retries", value=99)
    page.tell("home", who="bob", name="filtering", value="none")
    assert len(page.of("problem")) == 2
    for nonsense in ({"cell": [9, 0]}, {"cell": "x"}):
        page.tell("pair", **nonsense)
    page.tell("switch", name="seed", value=True)
    page.tell("dance")
    await asyncio.sleep(0.05)
    assert bench.plan.seed == 2


async def test_all_pairs(open_page: Open) -> None:
    bench = lab.widgets.NatBench()
    page = open_page(bench)
    page.tell("all")
    async with asyncio.timeout(60):
        while len(bench.cells) < 12:
            await asyncio.sleep(0.005)
            page.draw()
    page.tell("stop")
    while bench._trying:
        await asyncio.sleep(0.005)
    held = len(bench.cells)
    assert 12 <= held < 81
    assert page.of("cells")[-1]["trying"] is False
    cells = await bench.try_all()
    assert len(cells) == 81
    assert bench.through == 57
    assert "57 a packet comes through, in 45 they can talk" in bench.summary()
    bench.change(reuse=False)
    assert len(bench.cells) == 1, "another setting, another matrix"
    bench.change(reuse=True)
    assert bench.through == 57, "and the first is kept"


async def test_another_setting_ends_a_matrix() -> None:
    bench = lab.widgets.NatBench()
    task = asyncio.create_task(bench.try_all())
    while len(bench.cells) < 5:
        await asyncio.sleep(0.005)
    bench.change(retries=1)
    await task
    assert len(bench.cells) == 1


def test_the_static_form() -> None:
    bundle = lab.widgets.NatBench(USUAL, STRICT)._repr_mimebundle_()
    assert "stay on the relay" in bundle["text/plain"]
    assert "Address-and-port-dependent filtering" in bundle["text/html"]
    assert "The tables at the end" in bundle["text/html"]
