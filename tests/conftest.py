"""What holds for every test: profiles, no silent skip in CI, nothing left running."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import IN_CI

SLOW_MACHINES = [HealthCheck.too_slow]
settings.register_profile(
    "dev", max_examples=60, deadline=None, suppress_health_check=SLOW_MACHINES
)
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, database=None)
settings.register_profile("short", parent=settings.get_profile("ci"), max_examples=15)
settings.register_profile("fuzz", parent=settings.get_profile("dev"), max_examples=5000)
settings.load_profile("ci" if IN_CI else "dev")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI=true a skip is a failure: nobody reads the list of skips there."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as failed under CI: {report.longrepr}"
    return report


def open_sockets() -> set[object]:
    """The sockets of this process, as the kernel names them (Linux; elsewhere nothing is seen)."""
    found: set[object] = set()
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(entry)
        except OSError:
            continue  # closed while we looked
        if target.startswith("socket:"):
            found.add(target)
    return found


def running_threads() -> set[object]:
    # The loop's own pool serves getaddrinfo and ends with the loop.
    return {t for t in threading.enumerate() if not t.name.startswith("asyncio_")}


def running_tasks() -> set[object]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def pending_timers() -> set[object]:
    timers = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return {timer for timer in timers if not timer.cancelled()}


@pytest.fixture
async def _nothing_left_behind() -> AsyncIterator[None]:
    looks = (open_sockets, running_threads, running_tasks, pending_timers)
    before = [look() for look in looks]
    yield
    left: set[object] = set()
    for _ in range(100):  # closing a socket takes a few turns of the loop; a leak outlives them
        left = set().union(*(look() - seen for look, seen in zip(looks, before, strict=True)))
        if not left:
            return
        await asyncio.sleep(0.01)
    pytest.fail("left behind after the test:\n  " + "\n  ".join(sorted(map(str, left))))


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> None:
    """After each asynchronous test: no task, socket, timer or thread that was not there before."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("_nothing_left_behind")
