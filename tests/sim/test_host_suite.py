"""The host's own tests, unchanged, on one simulated machine: its loopback stands in for the real one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from libp2p_lab.sim import Internet
from tests.host import test_host, test_services

#: It counts what was read when the stream ends, and on this network data and end arrive at the same moment.
ELSEWHERE = ("test_streams_tell_how_they_ended",)

#: Those that need no fixture and no parameter.
TESTS = [
    function
    for module in (test_host, test_services)
    for name, function in sorted(vars(module).items())
    if name.startswith("test_")
    and name not in ELSEWHERE
    and inspect.iscoroutinefunction(function)
    and not inspect.signature(function).parameters
]


def test_there_are_many() -> None:
    assert len(TESTS) > 20


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_it_passes_on_the_simulated_network(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with Internet(seed=1) as net:
        machine = net.machine("one", ipv6=True)

        async def scenario() -> None:
            await machine.create_task(test())

        net.run(scenario())
