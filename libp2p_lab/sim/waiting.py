"""Who waits for what: what a simulation says when it cannot finish."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LocalError

if TYPE_CHECKING:
    from libp2p_lab.sim.loop import SimLoop

_SHOWN = 20  # tasks in an error's text


@dataclass(frozen=True, slots=True)
class Waiting:
    """One task that waits.

    Attributes:
        host: the machine's name; "" for the scenario.
        task: the task's name.
        where: function, file and line in which it waits.
        wants: what it waits for.
    """

    host: str
    task: str
    where: str
    wants: str

    def __str__(self) -> str:
        return f"{self.host or 'the scenario'}: {self.where} waits for {self.wants} ({self.task})"


class Unfinished(LocalError):
    """A scenario was not over when its time was.

    Attributes:
        time: the virtual time.
        waiting: the tasks that wait, and for what.
    """

    def __init__(self, what: str, time: float, waiting: Sequence[Waiting]) -> None:
        shown = "".join(f"\n  {one}" for one in waiting[:_SHOWN])
        more = f"\n  … and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        super().__init__(f"at {time:.6f} s of virtual time: {what}{shown}{more}")
        self.time = time
        self.waiting = tuple(waiting)


class Deadlock(Unfinished):
    """Nothing is ready and nothing is scheduled: no task can ever run again."""

    def __init__(self, time: float, waiting: Sequence[Waiting]) -> None:
        super().__init__("nothing can ever happen again, and these wait:", time, waiting)


def waiting(loop: SimLoop) -> list[Waiting]:
    """Every task that waits; those of the scenario first, then by machine."""
    rows = []
    for task in loop.tasks:
        where, wants = _innermost(task)
        host = task.machine.name if task.machine is not None else ""
        rows.append(Waiting(host, task.get_name(), where, wants))
    return sorted(rows, key=lambda row: row.host)


def _innermost(task: asyncio.Task[Any]) -> tuple[str, str]:
    """Where a task waits, and for what: along the chain of awaits to its end."""
    where, awaited = "?", task.get_coro()
    while isinstance(awaited, types.CoroutineType | types.GeneratorType):
        frame = awaited.cr_frame if isinstance(awaited, types.CoroutineType) else awaited.gi_frame
        if frame is not None:
            code = frame.f_code
            file = Path(code.co_filename)
            where = f"{code.co_qualname} ({file.parent.name}/{file.name}:{frame.f_lineno})"
        inner: Any = (
            awaited.cr_await if isinstance(awaited, types.CoroutineType) else awaited.gi_yieldfrom
        )
        if inner is None:
            return where, "its turn"
        awaited = inner
    match getattr(task, "_fut_waiter", None):
        case asyncio.Task() as other:
            return where, f"task {other.get_name()}"
        case asyncio.Future():
            return where, "somebody who wakes it"
        case _:
            return where, type(awaited).__name__
