"""What a hand-in leaves for the grader: the answers as bytes, and the workbook's notes as JSON.

`save` runs in the hand-in's own kernel, `load` in the grader's process. What `load` reads was written by a stranger's
program: JSON is looked at with care, and answers stay bytes, which are opened in the worker that examines them and
nowhere else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from libp2p_lab.coursework import process
from libp2p_lab.coursework.checks import Finding
from libp2p_lab.coursework.workbook import Workbook

NOTES = "work.json"
MAX_ANSWER = 16 << 20  # bytes of one packed answer
MAX_NOTES = 32 << 20  # bytes of the notes


@dataclass(frozen=True, slots=True)
class HandedIn:
    """What a run of a hand-in left behind.

    Attributes:
        answers: packed, by check id; for one that could not be packed, the finding that says why.
        results: what checks about live runs answered, by check id, as `CheckResult.to_dict` writes it.
        predictions, tries, hints, chosen: as in the workbook.
        sources: the text of the notebook's cells, for tracebacks.
    """

    answers: dict[str, bytes | Finding] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    predictions: dict[str, Any] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


def save(workbook: Workbook, folder: str | Path) -> None:
    """Write what is in a workbook now; an earlier state in the folder is replaced in one move."""
    target = Path(folder)
    answers: dict[str, Any] = {}
    for number, (check_id, answer) in enumerate(workbook.handed_in.items()):
        packed = process.pack(answer)
        if isinstance(packed, Finding):
            answers[check_id] = {"problem": packed.problem, "rule": packed.rule}
        else:
            (target / f"{number}.answer").write_bytes(packed)
            answers[check_id] = f"{number}.answer"
    notes = {
        "answers": answers,
        "results": {name: result.to_dict() for name, result in workbook.results.items()},
        "predictions": workbook.predictions,
        "tries": workbook.tries,
        "hints": workbook.hints,
        "chosen": workbook.chosen,
        "sources": process.cells(),
    }
    fresh = target / f"{NOTES}.new"
    fresh.write_text(json.dumps(notes, default=repr), "utf-8")
    os.replace(fresh, target / NOTES)


def load(folder: Path) -> HandedIn:
    """What `save` wrote; whatever does not look like it is left out."""
    notes = _read_json(folder / NOTES)
    answers: dict[str, bytes | Finding] = {}
    for check_id, told in _mapping(notes, "answers").items():
        match told:
            case str() as name if (folder / Path(name).name).is_file():
                path = folder / Path(name).name
                if path.stat().st_size <= MAX_ANSWER:
                    answers[check_id] = path.read_bytes()
            case {"problem": str(problem), "rule": str(rule)}:
                answers[check_id] = Finding(rule, problem)
            case _:
                pass
    return HandedIn(
        answers=answers,
        results={k: v for k, v in _mapping(notes, "results").items() if isinstance(v, dict)},
        predictions=_mapping(notes, "predictions"),
        tries={k: v for k, v in _mapping(notes, "tries").items() if isinstance(v, int)},
        hints={k: v for k, v in _mapping(notes, "hints").items() if isinstance(v, int)},
        chosen={k: v for k, v in _mapping(notes, "chosen").items() if isinstance(v, str)},
        sources={k: v for k, v in _mapping(notes, "sources").items() if isinstance(v, str)},
    )


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_NOTES:
            return None
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _mapping(notes: Any, name: str) -> dict[str, Any]:
    found = notes.get(name) if isinstance(notes, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}
