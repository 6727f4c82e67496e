"""The benchmark runs and prints its table. The figures are not looked at: machines differ, and so do minutes."""

from __future__ import annotations

import re
import subprocess
import sys

from bench.report import HEADINGS, Row, table
from tests.support import REPOSITORY


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_a_short_run_prints_one_row_for_each_figure() -> None:
    done = run("--quick", "--alone", "ping", "connections")
    assert done.returncode == 0, done.stderr
    heading, rule, *rows = done.stdout.splitlines()
    assert [cell.strip() for cell in re.split(r"  +", heading)] == HEADINGS
    assert set(rule) == {"-", " "}
    starts = ("ping, round trip", "new connections", "new connections, identified")
    assert len(rows) == len(starts)
    for row, start in zip(rows, starts, strict=True):
        assert re.match(rf"{start} +[\d.,]+ (µs|/s)  +[\d.]+( x|%)", row), row


def test_a_part_that_does_not_exist_is_named() -> None:
    done = run("pong")
    assert done.returncode == 2
    assert "no part is called 'pong'" in done.stderr


def test_a_row_says_how_many_times_better() -> None:
    faster = Row("rate", "/s", 300.0, True, limit=600.0, limit_is="bare", js=100.0)
    smaller = Row("size", "KiB", 20.0, False, limit=10.0, limit_is="bare", py=50.0)
    assert faster.cells() == ["rate", "300 /s", "50% of 600 (bare)", "100: 3.0 x better", ""]
    assert smaller.cells() == ["size", "20 KiB", "2.0 x 10 (bare)", "", "50: 2.5 x better"]
    assert len(table([faster, smaller]).splitlines()) == 4
