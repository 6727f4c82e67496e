"""`NatBench`: two homes, two routers with their tables, a relay, a stranger; and whether a hole can be punched.

Each change runs it all again in a simulated internet. What is shown are the steps of that run, and the tables as they
were at each step. The matrix holds what came of the pairs that have been run; "Try all" runs those that have not.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.nat_table import NatBehaviour
from libp2p_lab.sim.punching import NINE, short_name
from libp2p_lab.widgets.nat_bench_form import STEPS, bench_page, cells_record, run_record, summary
from libp2p_lab.widgets.nat_bench_model import Level, Plan, Run
from libp2p_lab.widgets.nat_bench_world import run as run_plan
from libp2p_lab.widgets.static_form import text_table
from libp2p_lab.widgets.view import Batch, View

MAX_MATRICES = 6  # kept, so that one can go back and compare
CHOICES: dict[str, tuple[object, ...]] = {
    "mapping": ("endpoint-independent", "address-dependent", "address-and-port-dependent"),
    "filtering": ("endpoint-independent", "address-dependent", "address-and-port-dependent"),
    "ports": ("preserve", "random", "sequential"),
    "rejects": (True, False),
    "rst_closes": (True, False),
    "simultaneous_open": (True, False),
}
NUMBERS: dict[str, type[int] | type[float]] = {
    "retries": int,
    "skew": float,
    "slow": float,
    "silence": float,
    "relay_seconds": float,
    "relay_bytes": int,
}
SWITCHES = ("reuse", "by_clock")

Cell = tuple[int, int]  # alice's behaviour and bob's, by their places in `NINE`


class NatBench:
    """Two homes behind routers of your choice.

    Args:
        plan: what is tried first.
    """

    def __init__(self, plan: Plan | None = None) -> None:
        self._run = run_plan(plan if plan is not None else Plan())
        self._matrices: dict[Plan, dict[Cell, Level]] = {}
        self._remember(self._run)
        self._wanted: Plan | None = None
        self._turn = asyncio.Lock()  # one run at a time
        self._trying = self._is_enough = False
        self._view = View(
            "nat_bench",
            on_open=self._snapshot,
            on_message=self._hear,
            on_flush=lambda: (self._cells(), []),
            on_idle=self.stop,
        )

    # -- for programs -----------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """What is tried."""
        return self._run.plan

    @property
    def run(self) -> Run:
        """What came of it, step by step."""
        return self._run

    @property
    def cells(self) -> dict[Cell, Level]:
        """What came of the pairs that have been run with these settings, by their places in `sim.punching.NINE`."""
        return dict(self._matrices.get(_setting(self.plan), {}))

    @property
    def through(self) -> int:
        """In how many of those pairs a packet of at least one side came through."""
        return sum(level in ("hole", "one way") for level in self.cells.values())

    def change(self, **changes: Any) -> Run:
        """Run it with something else; arguments as `Plan`. Returns what came of it.

        Raises: `LocalError` for values out of range.
        """
        self._take(run_plan(replace(self.plan, **changes)))
        return self._run

    async def try_all(self) -> dict[Cell, Level]:
        """Run every pair of the nine behaviours that has not been run with these settings; pairs done are shown at
        once. Ends early when `stop` is called, or when another setting is chosen.

        Returns: all that have been run.
        """
        self._is_enough = False
        if self._trying:
            return self.cells
        self._trying = True
        setting = _setting(self.plan)
        try:
            for cell in [(a, b) for a in range(len(NINE)) for b in range(len(NINE))]:
                if self._is_enough or setting != _setting(self.plan):
                    break
                if cell not in self._matrices[setting]:
                    plan = _with_pair(setting, cell)
                    async with self._turn:
                        self._remember(await asyncio.to_thread(run_plan, plan))
                    self._view.wake()
        finally:
            self._trying = False
            self._view.send(self._cells())
        return self.cells

    def stop(self) -> None:
        """Try no more pairs."""
        self._is_enough = True

    def close(self) -> None:
        """Take it off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """How the last run went, and how many pairs have been tried, in words."""
        return summary(self._run, self.cells)

    # -- keeping ----------------------------------------------------------------------------------

    def _take(self, done: Run) -> None:
        self._run = done
        self._remember(done)
        self._view.send(self._record())
        self._view.send(self._cells())

    def _remember(self, done: Run) -> None:
        cells = self._matrices.pop(_setting(done.plan), {})
        self._matrices[_setting(done.plan)] = cells  # the newest last
        while len(self._matrices) > MAX_MATRICES:
            del self._matrices[next(iter(self._matrices))]
        cell = _cell(done.plan)
        if cell is not None:
            cells[cell] = done.level

    # -- with the page ----------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        return {**self._record(), "cells": self._cells()}, []

    def _record(self) -> dict[str, Any]:
        return run_record(self._run, self.summary(), _cell(self.plan))

    def _cells(self) -> dict[str, Any]:
        return cells_record(self.cells, self._trying, self.plan.speech, self.summary())

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "all"}:
                self._view.start(self._try_all(), self._tell)
                return
            case {"type": "stop"}:
                self.stop()
                return
        try:
            plan = _changed(self._wanted or self.plan, content)
        except LocalError as problem:
            self._tell(str(problem))
            return
        if plan is None:
            return
        is_busy = self._wanted is not None
        self._wanted = plan
        if not is_busy:
            self._view.start(self._run_wanted(), self._tell)

    async def _try_all(self) -> None:
        await self.try_all()

    async def _run_wanted(self) -> None:
        """Run until the last change has been tried: sliders move faster than that."""
        try:
            while self._wanted is not None:
                plan = self._wanted
                async with self._turn:
                    done = await asyncio.to_thread(run_plan, plan)
                self._take(done)
                if self._wanted == plan:
                    return
        finally:
            self._wanted = None

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        rows = [
            (f"{1000 * step.time:.0f} ms", step.words) for step in self._run.steps if step.is_key
        ]
        text = f"{self.summary()}\n{text_table(STEPS[:2], rows)}"
        return self._view.mimebundle(bench_page(self._run, self.cells, self.summary()), text)


# -- plans --------------------------------------------------------------------------------------------------------


def _changed(plan: Plan, content: dict[str, Any]) -> Plan | None:
    """The plan as a person changed it; None for what is no change.

    Raises: `LocalError` for values out of range.
    """
    changes: dict[str, Any]
    match content:
        case {"type": "home", "who": "alice" | "bob" as who, "name": str(name), "value": value}:
            return _with_home(plan, who, name, value)
        case {"type": "timeout", "value": int(value)} if 1 <= value <= 7200:
            return _with_timeout(plan, float(value))
        case {"type": "pair", "cell": [int(a), int(b)]} if {a, b} <= set(range(len(NINE))):
            return _with_pair(plan, (a, b))
        case {"type": "speech", "value": "datagrams" | "tcp" | "quic" as speech}:
            return replace(plan, speech=speech)
        case {"type": "number", "name": str(name), "value": int(value) | float(value)} if (
            name in NUMBERS
        ):
            changes = {name: NUMBERS[name](value)}
        case {"type": "switch", "name": str(name), "value": bool(value)} if name in SWITCHES:
            changes = {name: value}
        case {"type": "again"}:
            changes = {"seed": plan.seed + 1}
        case _:
            return None
    return replace(plan, **changes)


def _setting(plan: Plan) -> Plan:
    """The plan without what the matrix goes through."""
    first = NINE[0]
    return replace(
        plan,
        home_a=replace(plan.home_a, mapping=first.mapping, filtering=first.filtering),
        home_b=replace(plan.home_b, mapping=first.mapping, filtering=first.filtering),
    )


def _cell(plan: Plan) -> Cell | None:
    """Its place in the matrix; None for a firewall, which maps nothing."""
    if not (plan.home_a.translates and plan.home_b.translates):
        return None
    names = [short_name(one) for one in NINE]
    return names.index(short_name(plan.home_a)), names.index(short_name(plan.home_b))


def _with_pair(plan: Plan, cell: Cell) -> Plan:
    a, b = (NINE[place] for place in cell)
    return replace(
        plan,
        home_a=replace(plan.home_a, mapping=a.mapping, filtering=a.filtering),
        home_b=replace(plan.home_b, mapping=b.mapping, filtering=b.filtering),
    )


def _with_home(plan: Plan, who: str, name: str, value: object) -> Plan:
    if value not in CHOICES.get(name, ()):
        raise LocalError(f"a router has no {name} {value!r}")
    changes: dict[str, Any] = {name: value}
    if who == "alice":
        return replace(plan, home_a=replace(plan.home_a, **changes))
    return replace(plan, home_b=replace(plan.home_b, **changes))


def _with_timeout(plan: Plan, seconds: float) -> Plan:
    """Both routers forget what was not used for so long, UDP and TCP."""

    def use(behaviour: NatBehaviour) -> NatBehaviour:
        return replace(
            behaviour,
            udp_timeout=seconds,
            tcp_timeout=seconds,
            tcp_transitory_timeout=min(seconds, 240.0),
        )

    return replace(plan, home_a=use(plan.home_a), home_b=use(plan.home_b))
