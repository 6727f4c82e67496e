"""`CheckPanel`: what has been solved, objective by objective; the exercises, and their hints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from libp2p_lab.errors import LabError
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View


class Table(Protocol):
    """Progress: one row an objective."""

    @property
    def rows(self) -> tuple[tuple[str | float, ...], ...]:
        """Objective, checks passed, checks, points, of, questions right, questions, hints used."""
        ...

    def to_csv(self) -> str:
        """The rows, below their heading."""
        ...


class Book(Protocol):
    """What the panel shows: a workbook. It is handed in, for widgets know nothing of coursework."""

    def progress(self) -> Table:
        """What has been done so far."""
        ...

    def overview(self) -> Sequence[dict[str, Any]]:
        """Every check with what was done about it."""
        ...

    def hint(self, check_id: str, /) -> object:
        """The next step of a check's hints; prints as text."""
        ...

    def listen(self, changed: Callable[[], None], /) -> Callable[[], None]:
        """Have `changed` called when something was done."""
        ...


HEAD = ("objective", "points", "checks passed", "questions right", "hints used")
CHECK_HEAD = ("exercise", "title", "level", "points", "tries", "hints used", "state")


class CheckPanel:
    """Progress by learning objective, the exercises with their hints, and all of it as CSV.

    It follows the workbook until its cell is cleared or `close` is called. Nothing that is graded lives here.

    Args:
        book: the workbook; in a notebook `lab.workbook`.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._hints: dict[str, str] = {}  # the last one given here, by check id
        self._stop_listening: Callable[[], None] | None = None
        self._view = View(
            "check_panel",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._stop,
        )

    def close(self) -> None:
        """Take the panel off the page and listen no more."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def _stop(self) -> None:
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    # -- with the page ----------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        if self._stop_listening is None:
            self._stop_listening = self._book.listen(self._view.wake)
        return self._record(), []

    def _flush(self) -> Batch:
        return self._record(), []

    def _record(self) -> dict[str, Any]:
        return {
            "type": "progress",
            "objectives": [list(row) for row in self._book.progress().rows],
            "checks": list(self._book.overview()),
            "hints": self._hints,
        }

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "hint", "check": str(check_id)}:
                try:
                    self._hints[check_id] = str(self._book.hint(check_id))
                except LabError as problem:
                    self._view.send({"type": "problem", "to": view, "text": str(problem)})
                    return
                self._view.send(self._record())
            case {"type": "export"}:
                file = {"type": "file", "to": view, "name": "progress.csv"}
                self._view.send(file, [self._book.progress().to_csv().encode()])
            case _:
                pass

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        rows = [
            (
                str(name),
                f"{points:g} of {of:g}",
                f"{passed} of {checks}",
                f"{right} of {asked}",
                f"{hints}",
            )
            for name, passed, checks, points, of, right, asked, hints in self._book.progress().rows
        ]
        checks = [
            (
                check["exercise"],
                check["title"],
                check["level"],
                f"{check['points']:g} of {check['of']}",
                str(check["tries"]),
                str(check["hints"]),
                state(check),
            )
            for check in self._book.overview()
        ]
        html = table("By learning objective", HEAD, rows) + table("Exercises", CHECK_HEAD, checks)
        text = f"{text_table(HEAD, rows)}\n\n{text_table(CHECK_HEAD, checks)}"
        return self._view.mimebundle(page("Progress", html), text)


def state(check: dict[str, Any]) -> str:
    """Where an exercise stands, in a word or two."""
    if check["passed"]:
        return "solved" if check["points"] == check["of"] else "solved, not the best"
    return "not yet" if check["tries"] else "not tried"
