"""What a person does to a simulated internet from a widget, as part of its scenario."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from typing import Any

from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.sim.internet import Internet

SETTLE = 0.1  # virtual seconds in which a message in a paused internet moves on


async def poke(
    net: Internet,
    act: Callable[[], Coroutine[Any, Any, object]],
    *,
    settles: int,
    moved: Callable[[], None] = lambda: None,
) -> None:
    """Do something in a simulated internet, as part of its scenario; a paused one runs until it is done.

    Args:
        net: the internet.
        act: what to do.
        settles: how often it is waited, `SETTLE` seconds each time.
        moved: called whenever virtual time was let pass for it.

    Raises: what `act` raises; `LocalError` if it takes too long.
    """
    finished: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def guarded() -> None:
        try:
            await act()
        except (LabError, OSError, TimeoutError) as problem:
            finished.set_exception(problem)
        else:
            finished.set_result(None)

    def start() -> None:
        net.loop.create_task(guarded(), name="poke")

    await asyncio.to_thread(net.player.settle, start)
    for _ in range(settles):
        if net.speed:
            await asyncio.wait([asyncio.wrap_future(finished)], timeout=SETTLE)
        else:
            await net.arun_for(SETTLE)
            moved()
        if finished.done():
            finished.result()
            return
    raise LocalError("this takes too long: let time pass, and look again")
