"""How a simulation is run: in the caller's thread, beside a notebook's loop, or in the background at a speed.

One thread at a time runs the internet. The background thread works in slices of a few milliseconds and lets others
in between them, so that a cell or a button can cut a cable while it plays.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import ipaddress
import math
import random
import sys
import threading
import time
from asyncio import events
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from libp2p_lab.errors import LocalError
from libp2p_lab.sim import guard
from libp2p_lab.sim.loop import MACHINE, SimLoop
from libp2p_lab.sim.machine import Machine
from libp2p_lab.sim.waiting import Unfinished, waiting

if TYPE_CHECKING:
    from libp2p_lab.sim.internet import Internet

T = TypeVar("T")

SLICE = 0.01  # seconds of real time that the background thread runs before it lets others in
LONGEST = 86_400.0  # virtual seconds that a scenario may take unless it is told otherwise
CLOSE_TIMEOUT = 60.0  # virtual seconds that tasks have to end

_monotonic = time.monotonic  # the real one, whatever is in its place later


class Player:
    """Runs one internet.

    Args:
        loop: its event loop.
        internet: for its seed.

    Attributes:
        speed: virtual seconds in a real one; 0 when paused.
    """

    def __init__(self, loop: SimLoop, internet: Internet) -> None:
        self.speed = 0.0
        self._loop = loop
        self._internet = internet
        self._global_chance = random.Random(f"{internet.seed}/global")
        self._lock = threading.RLock()
        self._wanted = 0  # threads that want to get in
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._closed = False

    # -- what the fence asks --------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The virtual time."""
        return self._loop.time()

    def random_bytes(self, n: int) -> bytes:
        """Chance of the machine whose code runs, or of the scenario."""
        machine = MACHINE.get()
        rng = machine.rng if machine is not None else self._internet.rng
        return rng.randbytes(n)

    def adapters(self) -> list[Any]:
        """The interfaces of the machine whose code runs, as `ifaddr` describes them."""
        import ifaddr

        machine = MACHINE.get()
        ips = machine.ips if machine is not None else ()
        rows = [
            ifaddr.IP((ip, 0, 0) if ":" in ip else ip, 64 if ":" in ip else 24, "eth0")
            for ip in ips
        ]
        return [
            ifaddr.Adapter("lo", "lo", [ifaddr.IP("127.0.0.1", 8, "lo")], 1),
            ifaddr.Adapter("eth0", "eth0", rows, 2),
        ]

    def routes(self) -> str:
        """The routes of the machine whose code runs, as Linux's `/proc/net/route` shows them."""
        machine = MACHINE.get()
        box = machine.box if machine is not None else None
        if box is None:
            return ""
        number = int.from_bytes(ipaddress.IPv4Address(box.gateway).packed, sys.byteorder)
        return f"Iface Destination Gateway\neth0 00000000 {number:08X} 0003 0 0 0 00000000 0 0 0\n"

    # -- one thread at a time -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The block runs while no other thread runs the internet; at once where it runs already."""
        self._check_open()
        self._wanted += 1
        with self._lock:
            self._wanted -= 1
            yield

    @contextlib.contextmanager
    def inside(self, machine: Machine | None) -> Iterator[None]:
        """The block gets its chance from the seed, as code on `machine` does."""
        with guard.inside(self, self._global_chance):
            token = MACHINE.set(machine)
            try:
                yield
            finally:
                MACHINE.reset(token)

    def _run(self, limit: float | None, must_end: bool = False) -> None:
        """Run the loop in this thread, which may have another loop that waits meanwhile."""
        outer = events._get_running_loop()
        if outer is not None:
            events._set_running_loop(None)
        try:
            with guard.inside(self, self._global_chance):
                contextvars.Context().run(self._loop.run, limit, must_end)
        finally:
            if outer is not None:
                events._set_running_loop(outer)
        self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def fail(self, error: BaseException) -> None:
        """Code on a host raised what nobody caught: stop, and let whoever runs us know."""
        if self._failure is None and not self._closed:
            self._failure = error
            self._loop.stop()

    def _check_open(self) -> None:
        if self._closed:
            raise LocalError("this internet is closed")
        if guard.is_inside() and events._get_running_loop() is not self._loop:
            raise LocalError("another internet runs in this thread")

    # -- running in this thread -----------------------------------------------------------------------------

    def run_until(self, tasks: Sequence[asyncio.Future[Any]] | None, until: float | None) -> None:
        """Run until `tasks` are done, or to the moment `until` if there are none.

        Raises: `Unfinished` if they are not done by then.
        """
        self._check_open()
        if self._loop.is_running():
            raise LocalError("the internet runs already: await what you want in the scenario")
        with self.paused():
            if tasks is None:
                self._run(until)
                return
            left = len(tasks)

            def done(task: asyncio.Future[Any]) -> None:
                nonlocal left
                left -= 1
                if not left:
                    self._loop.stop()

            for task in tasks:
                task.add_done_callback(done, context=contextvars.Context())
            while left:
                self._run(until, must_end=True)
                if left and (until is not None and self._loop.time() >= until):
                    raise Unfinished("the scenario is not over:", until, waiting(self._loop))

    def run_coroutine(self, coro: Coroutine[Any, Any, T], until: float | None) -> T:
        """Run a scenario to its end.

        Raises: as `run_until`; whatever it raises.
        """
        try:
            with self.paused():
                if self._loop.is_running():
                    raise LocalError("the internet runs already: await it instead")
                task = self._loop.create_task(coro, name="scenario", context=contextvars.Context())
                limit = self._loop.time() + LONGEST if until is None else until
        except BaseException:
            coro.close()
            raise
        try:
            self.run_until([task], limit)
        except BaseException:
            task.cancel()
            raise
        return task.result()

    def at(self, when: float, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Call `fn` at the moment `when`, as part of the scenario."""

        def call() -> None:
            result = fn(*args)
            if inspect.iscoroutine(result):
                self._loop.create_task(result, name=f"at {when:g}")

        self._loop.call_at(when, call, context=contextvars.Context())

    # -- running beside a loop ------------------------------------------------------------------------------

    async def run_beside(self, coro: Coroutine[Any, Any, Any] | None, until: float | None) -> Any:
        """As `run_until` and `run_coroutine`, in a thread; the loop of the caller goes on."""
        if coro is None:
            return await asyncio.to_thread(self.run_until, None, until)
        return await asyncio.to_thread(self.run_coroutine, coro, until)

    def play(self, speed: float) -> None:
        """Set the speed of the background thread, which is started when first needed."""
        if math.isnan(speed) or speed < 0:
            raise LocalError(f"a speed is 0 or more, not {speed}")
        self._check_open()
        self.speed = float(speed)
        self._changed.set()
        if speed and self._thread is None:
            self._thread = threading.Thread(
                target=self._play, name="libp2p_lab.sim player", daemon=True
            )
            self._thread.start()

    def _play(self) -> None:
        """The background thread: slice after slice, until `close`."""
        real, virtual, speed = _monotonic(), self._loop.time(), 0.0
        while not self._closed:
            if self.speed != speed:
                real, virtual, speed = _monotonic(), self._loop.time(), self.speed
            if not speed:
                self._changed.wait()
                self._changed.clear()
                continue
            if math.isinf(speed):
                idle = self._slice(None)
            else:
                idle = self._slice(virtual + (_monotonic() - real) * speed)
            if idle or self._wanted:
                self._changed.wait(SLICE)
                self._changed.clear()

    def _slice(self, target: float | None) -> bool:
        """Run for a moment, at most to the virtual time `target`. True if nothing is left to do for now."""
        deadline = _monotonic() + SLICE
        with self._lock:
            while not self._closed and _monotonic() < deadline and not self._wanted:
                upcoming = self._loop.next_time()
                if upcoming is None or (target is not None and upcoming > target):
                    if target is not None:
                        self._run_to(target)
                    return True
                self._run_to(upcoming)
        return False

    def _run_to(self, moment: float) -> None:
        try:
            if moment >= self._loop.time():
                self._run(moment)
        except Exception:  # noqa: BLE001 - it is kept in `failures`, and the show goes on
            self._failure = None

    def step(self, n: int) -> float:
        """Run to the next event, `n` times."""
        with self.paused():
            for _ in range(n):
                upcoming = self._loop.next_time()
                if upcoming is None:
                    break
                self._run(upcoming)
            return self._loop.time()

    def settle(self, fn: Callable[[], Any] | None = None) -> None:
        """Call `fn` as part of the scenario, now, whether it plays or is paused; without one, run to the next event.

        An error is kept in `failures`, as while it plays.
        """
        with self.paused():
            now = self._loop.time()
            if fn is not None:
                self._loop.call_soon(fn, context=contextvars.Context())
                self._run_to(now)
            elif (upcoming := self._loop.next_time()) is not None:
                self._run_to(upcoming)

    # -- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the thread, end every task, close the loop."""
        if self._closed:
            return
        if self._loop.is_running():
            raise LocalError("the internet runs: close it from outside")
        with self.paused():
            self._closed = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join()
        self._loop.set_exception_handler(lambda loop, context: None)
        for machine in self._internet.network.machines.values():
            machine.thaw()  # its tasks can end
        for _ in range(3):  # a task may start others while it ends
            tasks = self._loop.tasks
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            with contextlib.suppress(Unfinished):
                self._end(tasks)
        for machine in self._internet.network.machines.values():
            machine.crash()  # nothing is left open
        self._loop.close()

    def _end(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        left = len(tasks)

        def done(task: asyncio.Task[Any]) -> None:
            nonlocal left
            left -= 1
            if not task.cancelled():
                task.exception()  # looked at: nobody is to complain
            if not left:
                self._loop.stop()

        for task in tasks:
            task.add_done_callback(done, context=contextvars.Context())
        if left:
            self._run(self._loop.time() + CLOSE_TIMEOUT)
