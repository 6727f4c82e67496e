"""An asyncio event loop whose clock jumps: when nothing is ready, it is at once the time of the next timer.

An hour in which nothing happens takes no time at all. What asyncio leaves open is settled by the seed, so that the
same seed gives the same run: callbacks of one machine run in the order in which they were asked for, as asyncio
promises; in which order the machines have their turn, when several are ready at one moment, is drawn.

Three traps that this loop closes. asyncio holds tasks weakly, and a garbage collection may take one that waits: here
they are held. Sets of tasks iterate in the order of their addresses in memory: here a task's hash is its number. And
garbage is collected at fixed steps of the run instead of whenever memory was asked for.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import heapq
import itertools
import random
from asyncio import base_events, events
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from libp2p_lab.errors import NotSimulated
from libp2p_lab.sim.waiting import Deadlock, Unfinished, waiting

if TYPE_CHECKING:
    from libp2p_lab.sim.machine import Machine

T = TypeVar("T")

#: On which machine the running code runs; None for the scenario itself.
MACHINE: ContextVar[Machine | None] = ContextVar("libp2p_lab.sim.machine", default=None)

GRAIN = 1e-7  # seconds: no timer ends sooner, as on no real machine
STEPS_BETWEEN_COLLECTIONS = 100_000  # callbacks
MAX_STEPS_AT_ONE_MOMENT = 5_000_000  # callbacks without time passing: somebody waits by looking


class SimTask(asyncio.Task[T]):
    """A task whose place in a set does not depend on its address."""

    __slots__ = ("machine", "number")

    def __init__(self, coro: Coroutine[Any, Any, T], *, loop: SimLoop, **options: Any) -> None:
        self.number = next(loop.numbers)
        context: contextvars.Context | None = options.get("context")
        self.machine = MACHINE.get() if context is None else context.get(MACHINE)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future[T]):
    """A future whose place in a set does not depend on its address."""

    __slots__ = ("number",)

    def __init__(self, *, loop: SimLoop) -> None:
        self.number = next(loop.numbers)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimLoop(base_events.BaseEventLoop):
    """The loop. It runs in one thread at a time, which may be another one each time.

    Args:
        rng: draws the order of machines that are ready at the same moment.

    Attributes:
        steps: callbacks run so far.
        frozen: machines whose code does not run for now.
        limit: the moment at which `run` stops, if it comes to that.
    """

    _ready: deque[Any]  # asyncio's own: handles that run next
    dials_from_listeners = True  # see transports/tcp.py

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self.steps = 0
        self.frozen: set[Machine] = set()
        self.limit: float | None = None
        self._now = 0.0
        self._must_end = True
        self._rng = rng
        self._timers: list[tuple[float, float, int, Any, Any]] = []
        self._cancelled = 0  # of the timers
        self._steps_here = 0  # since time last moved
        self._next_collection = STEPS_BETWEEN_COLLECTIONS
        self._held: list[SimTask[Any]] = []
        self._purge_at = 1024
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]
        self.slow_callback_duration = float("inf")

    # -- time and order -------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds of virtual time since the beginning."""
        return self._now

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As in asyncio."""
        # Time has a grain: else who waits for what is lost in rounding would wait at one moment for ever.
        when = max(when, self._now + GRAIN)
        handle: Any = events.TimerHandle(when, callback, args, self, context)
        handle._scheduled = True  # so that we are told when it is cancelled
        machine = MACHINE.get() if context is None else context.get(MACHINE)
        tie = machine.tie if machine is not None else 0.5
        heapq.heappush(self._timers, (when, tie, next(self.numbers), handle, None))
        return handle  # type: ignore[no-any-return]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As in asyncio."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def at(self, when: float, tie: float, action: Callable[[Any], None], argument: object) -> None:
        """For the network: at `when` call `action(argument)`, outside of every machine; cannot be cancelled."""
        heapq.heappush(self._timers, (when, tie, next(self.numbers), action, argument))

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if not handle._scheduled:
            return
        self._cancelled += 1
        if self._cancelled > 1000 and self._cancelled * 2 > len(self._timers):
            self._timers[:] = [entry for entry in self._timers if not _is_cancelled(entry)]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def next_time(self) -> float | None:
        """When something happens next; None if nothing ever does."""
        if self._ready:
            return self._now
        timers = self._timers
        while timers and _is_cancelled(timers[0]):
            heapq.heappop(timers)
            self._cancelled -= 1
        return timers[0][0] if timers else None

    def _run_once(self) -> None:
        ready = self._ready
        if not ready and not self._stopping and not self._advance():
            return
        due: list[Any] = self._timers
        now = self._now
        while due and due[0][0] <= now:
            entry = heapq.heappop(due)
            action = entry[3]
            if not isinstance(action, events.TimerHandle):
                self.steps += 1
                action(entry[4])
            elif _is_cancelled(entry):
                self._cancelled -= 1
            else:
                entry[3]._scheduled = False
                ready.append(action)
        count = len(ready)
        if count > 1:
            self._draw_order(count)
        self._count(count)
        frozen = self.frozen
        for _ in range(count):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            if frozen and (machine := handle._context.get(MACHINE)) in frozen:
                assert machine is not None
                machine.parked.append(handle)
                continue
            handle._run()

    def _advance(self) -> bool:
        """Move the clock to the next timer. False if there is none before the limit."""
        when = self.next_time()
        if when is None and self._must_end:
            raise Deadlock(self._now, waiting(self))
        if when is None or (self.limit is not None and when > self.limit):
            assert self.limit is not None
            self._now = max(self._now, self.limit)
            self._stopping = True
            return False
        if when > self._now:
            self._now = when
            self._steps_here = 0
        return True

    def _draw_order(self, count: int) -> None:
        """Let the machines have their turns in a drawn order; each keeps its own callbacks' order."""
        ready = self._ready
        groups: dict[Machine | None, list[asyncio.Handle]] = {}
        for _ in range(count):
            handle = ready.popleft()
            groups.setdefault(handle._context.get(MACHINE), []).append(handle)
        order = list(groups.values())
        if len(order) > 1:
            self._rng.shuffle(order)
        for group in order:
            ready.extend(group)

    def _count(self, count: int) -> None:
        self.steps += count
        self._steps_here += count
        if self._steps_here > MAX_STEPS_AT_ONE_MOMENT:
            self._steps_here = 0
            raise Unfinished(
                f"{MAX_STEPS_AT_ONE_MOMENT:,} callbacks ran and no time passed: somebody looks again and again",
                self._now,
                waiting(self),
            )
        if self.steps >= self._next_collection:
            self._next_collection = self.steps + STEPS_BETWEEN_COLLECTIONS
            gc.collect(1)

    def run(self, limit: float | None, must_end: bool) -> None:
        """Run until it is stopped, or to the moment `limit`, in this thread.

        Args:
            limit: the moment; None for none.
            must_end: whether somebody waits for the loop to be stopped.

        Raises: `Deadlock` if `must_end` and nothing can ever happen again.
        """
        self.limit = limit
        self._must_end = must_end or limit is None
        collects = gc.isenabled()
        gc.disable()
        try:
            self.run_forever()
        finally:
            self.limit = None
            if collects:
                gc.enable()

    def _check_closed(self) -> None:
        """Tasks that are collected after the end may still call; nobody hears them. `Player` refuses to run again."""

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...

    # -- tasks ----------------------------------------------------------------------------------------------

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], **options: Any
    ) -> SimTask[T]:
        task = SimTask(coro, loop=self, **options)
        self._held.append(task)
        if len(self._held) > self._purge_at:
            self._held = [held for held in self._held if not held.done()]
            self._purge_at = 1024 + 2 * len(self._held)
        return task

    def create_future(self) -> asyncio.Future[Any]:
        """As in asyncio."""
        return SimFuture(loop=self)

    def tasks_of(self, machine: Machine | None) -> list[SimTask[Any]]:
        """The tasks of one machine that are not over, the oldest first; None for the scenario's own."""
        return [task for task in self._held if task.machine is machine and not task.done()]

    @property
    def tasks(self) -> list[SimTask[Any]]:
        """All tasks that are not over, the oldest first."""
        return [task for task in self._held if not task.done()]

    def cancel_timers_of(self, machine: Machine) -> None:
        """Forget what the code of a machine has asked to be called at."""
        entries: list[Any] = self._timers
        for entry in entries:
            handle = entry[3]
            if isinstance(handle, events.TimerHandle) and _machine_of(handle) is machine:
                handle.cancel()

    def resume(self, parked: Sequence[asyncio.Handle]) -> None:
        """Run callbacks that waited while their machine was frozen."""
        self._ready.extend(parked)

    # -- what a simulation has not --------------------------------------------------------------------------

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Refused: how long a thread takes is no matter of the seed."""
        raise NotSimulated(
            f"a thread for {getattr(func, '__qualname__', func)}: how long it takes depends on the real machine. "
            "Call the function directly"
        )

    # -- the network: what runs on a machine uses that machine's sockets -----------------------------------

    def _machine(self) -> Machine:
        machine = MACHINE.get()
        if machine is None:
            raise NotSimulated(
                "the network was asked for outside of every machine: use a host's own methods, "
                "or run the coroutine there with `await host.run(coroutine)`"
            )
        return machine

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        """As in asyncio, from the internet's own names."""
        return await self._machine().look_up(host, port, family, type)

    async def create_connection(self, factory: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """As in asyncio, over the simulated network."""
        return await self._machine().connect(factory, *args, **options)

    async def create_server(self, factory: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """As in asyncio, over the simulated network."""
        return await self._machine().serve(factory, *args, **options)

    async def create_datagram_endpoint(self, factory: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """As in asyncio, over the simulated network."""
        return await self._machine().open_datagram(factory, *args, **options)


def _machine_of(handle: Any) -> Machine | None:
    machine: Machine | None = handle._context.get(MACHINE)
    return machine


def _is_cancelled(entry: Sequence[Any]) -> bool:
    handle = entry[3]
    return type(handle) is events.TimerHandle and handle._cancelled
