"""Sweeps: one experiment, many seeds and settings, on every core of this machine or on a cluster.

    def experiment(seed, loss):                        # at the top level of a module, so that others can import it
        with Internet(seed=seed, loss=loss) as net:
            …
            return {"reached": 17, "seconds": net.now}

    runs = sweep(experiment, seeds=range(100), grid={"loss": [0, 0.01, 0.1]})
    runs.to_frame()                                    # a row for each run
    runs.failures[0].replay()                          # the same seed alone, in this process, under a debugger

`executor` is any `concurrent.futures.Executor`: by default a pool of processes; on a cluster Dask's
`Client.get_executor()`.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LocalError

if TYPE_CHECKING:
    import pandas as pd

#: Takes a seed and settings by name; returns a result, or several by name.
Experiment = Callable[..., Any]
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        experiment: what was run.
        seed: with which seed.
        settings: with which settings.
        result: what it returned; None if it failed.
        error: the error's text with its traceback; "" if it did not fail.
    """

    experiment: Experiment
    seed: int
    settings: Mapping[str, Any]
    result: Any = None
    error: str = ""

    def replay(self) -> Any:
        """Run it once more, alone, in this process."""
        return self.experiment(self.seed, **self.settings)


class Runs(Sequence[Run]):
    """All runs of a sweep, in the order of settings and seeds, whatever order they ended in."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = tuple(runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, index: Any) -> Any:
        return self._runs[index]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        return f"<{len(self)} runs, {len(self.failures)} failed>"

    @property
    def failures(self) -> tuple[Run, ...]:
        """Those that failed."""
        return tuple(run for run in self._runs if run.error)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run: seed, settings, results by name (or as "result"), error."""
        rows = []
        for run in self._runs:
            results = run.result if isinstance(run.result, Mapping) else {"result": run.result}
            rows.append({"seed": run.seed, **run.settings, **results, "error": run.error})
        return rows

    def to_frame(self) -> pd.DataFrame:
        """`rows` as a pandas table.

        Raises: `LocalError` where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise LocalError("a table needs pandas: pip install 'libp2p-lab[lab]'") from None
        return pd.DataFrame(self.rows())


def sweep(
    experiment: Experiment,
    seeds: Iterable[int] = range(100),
    grid: Mapping[str, Sequence[Any]] | None = None,
    executor: concurrent.futures.Executor | None = None,
    progress: Progress | None = None,
) -> Runs:
    """Run `experiment(seed, **settings)` for every seed and every combination of the grid's values.

    Args:
        experiment: a function at the top level of a module that the other processes can import.
        seeds: the seeds.
        grid: for each setting the values to try.
        executor: who runs it; None for a pool of processes that is closed at the end.
        progress: called with (done, failed, all) after each run; None for a line on the terminal or in the cell.

    Returns: all runs. One that raises does not stop the others: its error is kept with its seed.

    Raises: `LocalError` if there is nothing to run.
    """
    names = list(grid or {})
    combinations = list(itertools.product(*(grid[name] for name in names))) if grid else [()]
    jobs = [
        (seed, dict(zip(names, values, strict=True)))
        for values in combinations
        for seed in list(seeds)
    ]
    if not jobs:
        raise LocalError("nothing to run: give seeds, and values for each setting")
    tell = progress if progress is not None else _show
    if executor is not None:
        return _sweep(experiment, jobs, executor, tell)
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
    with concurrent.futures.ProcessPoolExecutor(mp_context=context) as pool:
        return _sweep(experiment, jobs, pool, tell)


def _sweep(
    experiment: Experiment,
    jobs: Sequence[tuple[int, dict[str, Any]]],
    executor: concurrent.futures.Executor,
    tell: Progress,
) -> Runs:
    futures = [executor.submit(_one, experiment, seed, settings) for seed, settings in jobs]
    failed = 0
    runs = []
    for done, (future, (seed, settings)) in enumerate(zip(futures, jobs, strict=True), 1):
        result, error = future.result()
        runs.append(Run(experiment, seed, settings, result, error))
        failed += bool(error)
        tell(done, failed, len(jobs))
    return Runs(runs)


def _one(experiment: Experiment, seed: int, settings: Mapping[str, Any]) -> tuple[Any, str]:
    """One run, in a worker: its result, or its error as text, which travels whatever its class."""
    try:
        return experiment(seed, **settings), ""
    except Exception:  # noqa: BLE001 - a sweep goes on, and keeps what went wrong
        return None, traceback.format_exc()


def _show(done: int, failed: int, total: int) -> None:
    """A bar in one line."""
    width = 30
    bar = "█" * (width * done // total)
    trouble = f", {failed} failed" if failed else ""
    end = "\n" if done == total else ""
    print(f"\r{bar:<{width}} {done}/{total}{trouble}", end=end, file=sys.stderr, flush=True)
