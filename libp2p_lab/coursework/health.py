"""How well are the exercises themselves? Which checks there are, which wrong answers each is known to reject, and, from
graded hand-ins, how often they are tried, solved and hinted at.

The wrong answers (mutants) stand in the repository's `tests/mutants`, one module for each check; they are not installed
with the package, so outside a checkout their column says `?`.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libp2p_lab.coursework.catalogue import CHECKS
from libp2p_lab.coursework.checks import Check
from libp2p_lab.coursework.render import table_as_text
from libp2p_lab.errors import LocalError

HEAD = (
    "check",
    "exercise",
    "level",
    "points",
    "objectives",
    "seeds",
    "rules",
    "mutants",
    "hints",
    "handed in",
    "solved",
    "mean tries",
    "mean hints",
)


@dataclass(frozen=True, slots=True)
class Health:
    """One check, seen from above.

    Attributes:
        mutants: the rule that each known wrong answer breaks; None where they are not installed.
        unproven: rules that no mutant breaks: nobody has seen the check find them.
        handed_in, solved: hand-ins; None without reports.
        tries, hints: means over the hand-ins in which the check was tried at all.
    """

    check: Check
    mutants: tuple[str, ...] | None
    unproven: tuple[str, ...]
    handed_in: int | None = None
    solved: int | None = None
    tries: float = 0.0
    hints: float = 0.0

    @property
    def worries(self) -> list[str]:
        """What somebody should look at, in words."""
        found = []
        if self.mutants is not None and len(self.mutants) < 3:
            found.append(f"{self.check.id}: {len(self.mutants)} mutants, three are the least")
        if self.unproven:
            found.append(f"{self.check.id}: no mutant breaks {', '.join(self.unproven)}")
        if len([hint for hint in self.check.hints if hint]) != 3:
            found.append(f"{self.check.id}: the hint ladder has not three steps")
        if self.handed_in and not self.solved:
            found.append(f"{self.check.id}: handed in {self.handed_in} times, never solved")
        return found

    def row(self) -> tuple[object, ...]:
        """One row of the table."""
        check = self.check
        from_reports = (
            (self.handed_in, self.solved, f"{self.tries:.1f}", f"{self.hints:.1f}")
            if self.handed_in is not None
            else ("", "", "", "")
        )
        return (
            check.id,
            check.exercise,
            check.level,
            check.points,
            " ".join(check.objectives),
            len(check.seeds),
            len(check.rules),
            "?" if self.mutants is None else len(self.mutants),
            len(check.hints),
            *from_reports,
        )


def look(
    chapters: Iterable[str] = (), repository: Path | None = None, reports: Path | None = None
) -> list[Health]:
    """Look at the checks of these chapters, or at all.

    Args:
        repository: a checkout, for its mutants.
        reports: a folder of what `grade` wrote.

    Raises: `LocalError` if there are no reports in that folder, or one is broken.
    """
    wanted = {chapter.strip().zfill(2) for chapter in chapters}
    told = read_reports(reports) if reports is not None else None
    return [
        _health(check, mutants_of(check, repository), told)
        for check in CHECKS
        if not wanted or check.chapter in wanted
    ]


def mutants_of(check: Check, repository: Path | None) -> tuple[str, ...] | None:
    """The rules that this check's mutants break; None without a checkout."""
    name = check.id.partition(".")[2]
    if repository is None or not (repository / "tests" / "mutants" / f"{name}.py").is_file():
        return None
    if str(repository) not in sys.path:
        sys.path.append(str(repository))
    module = importlib.import_module(f"tests.mutants.{name}")
    return tuple(mutant.rule for mutant in module.MUTANTS)


def read_reports(folder: Path) -> list[Mapping[str, Any]]:
    """The reports that `grade` wrote."""
    found: list[Mapping[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        try:
            report = json.loads(path.read_text("utf-8"))
            found.append({key: report[key] for key in ("results", "tries", "hints")})
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise LocalError(f"{path} is no report of a graded hand-in: {problem}") from problem
    if not found:
        raise LocalError(f"no reports in {folder}: give the folder that `grade` wrote them to")
    return found


def _health(
    check: Check, mutants: tuple[str, ...] | None, told: list[Mapping[str, Any]] | None
) -> Health:
    unproven = () if mutants is None else tuple({r.name for r in check.rules} - set(mutants))
    if told is None:
        return Health(check, mutants, tuple(sorted(unproven)))
    tried = [report for report in told if report["tries"].get(check.id)]
    solved = sum(
        result["check"] == check.id and result["passed"]
        for report in told
        for result in report["results"]
    )
    count = max(len(tried), 1)
    return Health(
        check,
        mutants,
        tuple(sorted(unproven)),
        handed_in=len(tried),
        solved=solved,
        tries=sum(report["tries"][check.id] for report in tried) / count,
        hints=sum(report["hints"].get(check.id, 0) for report in tried) / count,
    )


def as_text(found: Iterable[Health]) -> str:
    """The table, and below it what somebody should look at."""
    checks = list(found)
    rows = [health.row() for health in checks]
    width = len(HEAD) if any(health.handed_in is not None for health in checks) else len(HEAD) - 4
    lines = [table_as_text(HEAD[:width], [row[:width] for row in rows]), ""]
    mutants = [health.mutants for health in checks if health.mutants is not None]
    if mutants:
        lines.append(
            f"{len(checks)} checks, {sum(map(len, mutants))} mutants, "
            f"{sum(health.check.points for health in checks)} points"
        )
    else:
        lines.append(f"{len(checks)} checks; the mutants are in the repository's tests/mutants")
    worries = [worry for health in checks for worry in health.worries]
    return "\n".join([*lines, *(worries or ["Nothing to worry about."])])
