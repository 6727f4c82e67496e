"""What the page of `NatBench` is told, and what stands there without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libp2p_lab.sim.nat_table import NatBehaviour
from libp2p_lab.sim.punching import NINE, short_name
from libp2p_lab.widgets.nat_bench_model import (
    HOMES,
    PUBLIC,
    PUBLIC_IP,
    RELAY,
    RELAY_IP,
    ROUTERS,
    Level,
    Run,
    Step,
    Tables,
)
from libp2p_lab.widgets.static_form import page, table

STEPS = ("time", "what happens", "by which rule")
TABLE = ("router of", "inside", "seen outside as", "has called", "forgotten at")
MARKS: dict[Level, str] = {"hole": "●", "one way": "◐", "relay": "·", "nothing": "×"}
MAX_ROWS = 60

Cells = Mapping[tuple[int, int], Level]


def summary(run: Run, cells: Cells) -> str:
    """The run and the matrix in words."""
    plan = run.plan
    pair = f"Alice {short_name(plan.home_a)}, bob {short_name(plan.home_b)}. {run.words}"
    return f"{pair} {counts(cells)}"


def counts(cells: Cells) -> str:
    """What has been tried, counted."""
    held = [*cells.values()]
    through = sum(level in ("hole", "one way") for level in held)
    return (
        f"{len(held)} of {len(NINE) ** 2} pairs tried: in {through} a packet comes through, "
        f"in {held.count('hole')} they can talk."
    )


# -- for the page -------------------------------------------------------------------------------------------------


def run_record(run: Run, words: str, cell: tuple[int, int] | None) -> dict[str, Any]:
    """A run: its steps, and the tables, each told once."""
    plan = run.plan
    kept: list[Tables] = []
    steps = []
    for step in run.steps:
        if not kept or kept[-1] != step.tables:
            kept.append(step.tables)
        steps.append(_step(step, len(kept) - 1))
    return {
        "type": "bench",
        "summary": words,
        "words": run.words,
        "level": run.level,
        "cell": cell,
        "speech": plan.speech,
        "carried": run.carried,
        "plan": {
            "retries": plan.retries,
            "reuse": plan.reuse,
            "by_clock": plan.by_clock,
            "skew": plan.skew,
            "slow": plan.slow,
            "silence": plan.silence,
            "relay_seconds": plan.relay_seconds,
            "relay_bytes": plan.relay_bytes,
            "timeout": (
                plan.home_a.tcp_timeout if plan.speech == "tcp" else plan.home_a.udp_timeout
            ),
        },
        "homes": {
            name: _home(one) for name, one in zip(HOMES, (plan.home_a, plan.home_b), strict=True)
        },
        "places": _places(run),
        "steps": steps,
        "tables": [_tables(one) for one in kept],
    }


def _places(run: Run) -> dict[str, str]:
    """Who has which address outside."""
    found = {RELAY_IP: RELAY, PUBLIC_IP: PUBLIC}
    for step in run.steps:
        if step.moment == "leaves" and step.where in ROUTERS:
            found.setdefault(step.src.rpartition(":")[0], f"{ROUTERS[step.where]}'s router")
    return found


def _home(behaviour: NatBehaviour) -> dict[str, Any]:
    names = ("mapping", "filtering", "ports", "rejects", "rst_closes", "simultaneous_open")
    return {name: getattr(behaviour, name) for name in names}


def _step(step: Step, tables: int) -> dict[str, Any]:
    return {
        "time": round(step.time, 6),
        "moment": step.moment,
        "number": step.number,
        "kind": step.kind,
        "path": step.path,
        "where": step.where,
        "src": step.src,
        "dst": step.dst,
        "words": step.words,
        "rule": step.rule,
        "reason": step.reason,
        "new": step.new,
        "key": step.is_key,
        "tables": tables,
    }


def _tables(tables: Tables) -> dict[str, Any]:
    return {
        name: [
            {
                "inside": row.inside,
                "outside": row.outside,
                "protocol": row.protocol,
                "remotes": [[remote, round(until, 3)] for remote, until in row.remotes],
                "expires": round(row.expires, 3),
            }
            for row in rows
        ]
        for name, rows in tables.items()
    }


def cells_record(cells: Cells, trying: bool, speech: str, words: str) -> dict[str, Any]:
    """The matrix: what is known of each pair, alice's behaviour down, bob's across."""
    return {
        "type": "cells",
        "names": [short_name(one) for one in NINE],
        "words": [str(one) for one in NINE],
        "levels": [[cells.get((a, b), "") for b in range(len(NINE))] for a in range(len(NINE))],
        "counts": counts(cells),
        "summary": words,
        "trying": trying,
        "speech": speech,
    }


# -- without a page -----------------------------------------------------------------------------------------------


def bench_page(run: Run, cells: Cells, words: str) -> str:
    """The static form."""
    steps = [
        (f"{1000 * step.time:.0f} ms", step.words, step.rule)
        for step in run.steps
        if step.is_key
    ][:MAX_ROWS]  # fmt: skip
    last = run.steps[-1].tables if run.steps else {}
    rows = [
        (
            name,
            row.inside,
            row.outside,
            ", ".join(remote for remote, _ in row.remotes),
            f"{row.expires:.0f} s",
        )
        for name, held in last.items()
        for row in held
    ]
    names = [short_name(one) for one in NINE]
    matrix = [
        (name, *(MARKS[cells[a, b]] if (a, b) in cells else "" for b in range(len(NINE))))
        for a, name in enumerate(names)
    ]
    legend = "● they can talk, ◐ a packet comes through, · none does, × they do not meet"
    body = (
        f"<p>{words}</p>{table('What happened', STEPS, steps)}"
        f"{table('The tables at the end', TABLE, rows)}"
        f"{table(f'Alice down, bob across: {legend}', ('', *names), matrix)}"
    )
    return page("Two homes", body)
