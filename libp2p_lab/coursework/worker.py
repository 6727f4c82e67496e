"""The process in which a student's answer runs: started for one check, gone afterwards.

A process, and not a thread, because only a process can be stopped whatever it does: `while True: pass`, a blocking
call, a C function that never gives up the interpreter, memory without end, `sys.exit`. The notebook's kernel, its
peers and its event loop feel nothing.

    kernel ── request, pickled (stdin) ──►  worker
           ◄── reply, JSON (stdout) ──────
           ◄── faulthandler (stderr) ─────   only when the interpreter itself is stuck or crashes

The limits, honestly: this protects from accidents, not from malice; a worker may write files as its user may.
Memory is bounded on Linux (address space) and macOS (resident size, looked at ten times a second), not on Windows.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import io
import json
import linecache
import os
import pickle
import re
import socket
import sys
import threading
import time
import warnings
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, SupportsIndex

from libp2p_lab.coursework import hangs, misuse
from libp2p_lab.coursework.checks import Check, Finding, Rule
from libp2p_lab.coursework.exam import Exam, Rejected
from libp2p_lab.coursework.student_code import StudentCode, frame_place, place
from libp2p_lab.host.host import Host

STUCK_GRACE = (
    2.0  # seconds beyond the time limit after which faulthandler speaks for a stuck interpreter
)
MAX_PRINTED = 2000  # characters of the answer's own printing that are kept
_LOOK_INTERVAL = 0.1  # seconds between two looks at the memory

#: Audit events of calls that wait; see the table in Python's documentation.
_WAITING_CALLS = {
    "socket.connect": "socket.connect",
    "socket.getaddrinfo": "a look-up of a host name",
    "urllib.Request": "urllib",
    "subprocess.Popen": "subprocess",
    "builtins.input": "input",
}


@dataclass(frozen=True)
class Request:
    """What the kernel asks for.

    Attributes:
        answer: the student's answer, pickled by cloudpickle.
        sources: text of the notebook's cells by file name, so that tracebacks can show lines.
        memory: bytes that the answer may use beyond what the worker needs itself.
    """

    check: Check
    seeds: tuple[int, ...]
    time_limit: float
    memory: int
    prediction: object
    answer: bytes
    sources: dict[str, str]


class BlockingCall(BaseException):
    """A call that waits, made where waiting stops everything. A BaseException: answers must not swallow it."""


class BoundedText(io.TextIOBase):
    """Keeps the beginning of what is printed, counts the rest."""

    def __init__(self, limit: int) -> None:
        self._kept: list[str] = []
        self._room = limit
        self.dropped = 0

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        kept = text[: self._room]
        if kept:
            self._kept.append(kept)
            self._room -= len(kept)
        self.dropped += len(text) - len(kept)
        return len(text)

    def text(self) -> str:
        """What was kept, and how much was not."""
        more = f"\n… and {self.dropped} characters more" if self.dropped else ""
        return "".join(self._kept).rstrip("\n") + more


class Worker:
    """One check of one answer. `run` never returns: the process ends with the reply."""

    def __init__(self, request: Request, reply_fd: int) -> None:
        self.request = request
        self.exam = Exam(request.check, request.seeds[0], prediction=request.prediction)
        self.students = StudentCode(request.check.examine.__code__.co_filename)
        self.printed = BoundedText(MAX_PRINTED)
        self.loop = asyncio.new_event_loop()
        self.main_thread = threading.get_ident()
        self.misused: list[Finding] = []  # seen on the way, whatever the exam says
        self._reply_fd = reply_fd
        self._reply_lock = threading.Lock()
        self._tried: dict[str, int] = {}
        self._seeds: list[int] = []
        self._started = time.monotonic()

    def run(self) -> NoReturn:
        """Examine, reply, end."""
        self.prepare()
        self.reply(self.supervised())

    # -- the surroundings -----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Watch for what answers do by accident."""
        for name, text in self.request.sources.items():
            lines = text.splitlines(keepends=True)
            linecache.cache[name] = (len(text), None, lines, name)
        sys.stdout = sys.stderr = self.printed
        sys.stdin = io.StringIO()
        sys.set_coroutine_origin_tracking_depth(8)
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = self.on_warning
        time.sleep = self.sleep  # before 3.13 it raises no audit event
        sys.addaudithook(self.on_audit)
        limit_address_space(self.request.memory)
        threading.Thread(target=self.watch, name="watch", daemon=True).start()
        self._started = time.monotonic()

    def watch(self) -> None:
        """In a thread: end the process when its time or memory is used up."""
        allowed = (resident_size() or 0) + self.request.memory
        deadline = self._started + self.request.time_limit
        wait = threading.Event().wait
        while (left := deadline - time.monotonic()) > 0:
            wait(min(left, _LOOK_INTERVAL))
            used = resident_size()
            if used is not None and used > allowed:
                self.reply(self.finding(misuse.MEMORY, f"the memory grew to {used >> 20} MiB"))
        rule, problem = hangs.describe(self.main_thread, self.loop, self.students)
        self.reply(
            self.finding(rule, f"{problem} (time limit {self.request.time_limit:g} s)"),
        )

    def on_audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Called by Python for each event of its audit table: stop calls that wait."""
        if event in _WAITING_CALLS:
            if event == "socket.connect":
                endpoint = args[0]
                if isinstance(endpoint, socket.socket) and endpoint.gettimeout() == 0:
                    return  # it does not wait: that is how asyncio connects
            self.refuse_waiting(_WAITING_CALLS[event])

    def sleep(self, seconds: float | SupportsIndex, /) -> None:
        """Stands where `time.sleep` stood."""
        self.refuse_waiting("time.sleep")
        threading.Event().wait(float(seconds))

    def refuse_waiting(self, call: str) -> None:
        """Raises: `BlockingCall` if the student's code made this call on the thread that runs the event loop."""
        if threading.get_ident() != self.main_thread:
            return
        frame = next(self.students.frames(sys._getframe(2)), None)
        if frame is None:
            return
        problem = f"{call} blocks in {frame_place(frame)}"
        self.misused.append(self.finding(misuse.BLOCKING_CALL, problem))
        raise BlockingCall(call)

    def on_warning(self, message: Warning | str, *_rest: object, **_more: object) -> None:
        """Called with each warning: only a forgotten `await` in the student's own line matters."""
        text = str(message)
        if "was never awaited" not in text:
            return
        created = re.findall(r'File "(.+)", line (\d+), in (\S+)', text)
        theirs = [entry for entry in created if self.students.is_in(entry[0])]
        if theirs:
            filename, number, function = theirs[-1]
            where = place(filename, int(number), function)
            what = text.split(" was never", maxsplit=1)[0]
            self.misused.append(
                self.finding(misuse.NOT_AWAITED, f"{what} was made and never awaited: {where}")
            )

    # -- the exam -------------------------------------------------------------------------------------------------

    def supervised(self) -> Finding | None:
        """Examine the answer; the one place where whatever it raises is caught and named."""
        try:
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self.examine())
        except Rejected as rejected:
            return self.first_misuse() or self.raised_aside() or rejected.finding
        except BaseException as problem:  # noqa: BLE001 (answers may raise anything, SystemExit too)
            return self.first_misuse() or self.raised_aside() or self.raised(problem)
        return self.first_misuse() or self.raised_aside()

    async def examine(self) -> None:
        """Run the check, seed by seed."""
        answer = pickle.loads(self.request.answer)
        for seed in self.request.seeds:
            self._seeds.append(seed)
            self.exam = Exam(self.request.check, seed, prediction=self.request.prediction)
            self.exam.tried = self._tried
            await self.request.check.examine(self.exam, answer)
            await asyncio.sleep(0)
        await self.look_for_leftovers()

    async def look_for_leftovers(self) -> None:
        """Name the student's tasks that still run when the check is over."""
        for _ in range(10):
            await asyncio.sleep(0)
        left = [
            where
            for task in asyncio.all_tasks()
            if task is not asyncio.current_task()
            and (where := hangs.students_place(task, self.students))
        ]
        if left:
            self.exam.reject(
                "left-behind",
                f"{len(left)} task(s) of yours still run when everything is over; one waits at {left[0]}",
            )
        peers = [found for found in gc.get_objects() if type(found) is Host and found.is_running]
        if peers:
            names = ", ".join(peer.peer_id.short() for peer in peers[:3])
            self.exam.reject("left-behind", f"{len(peers)} peer(s) were never closed: {names}")

    def first_misuse(self) -> Finding | None:
        """What was seen on the way: it explains a failure better than the failure does."""
        return self.misused[0] if self.misused else None

    def raised_aside(self) -> Finding | None:
        """Name an exception in a coroutine that the check did not await itself."""
        if not self.exam.raised:
            return None
        problem = self.exam.raised[0]
        return problem.finding if isinstance(problem, Rejected) else self.raised(problem)

    def raised(self, problem: BaseException) -> Finding:
        """Name an exception of the student's."""
        lines = self.students.traceback(problem.__traceback__)
        text = f"{type(problem).__name__}: {problem}" if str(problem) else type(problem).__name__
        match problem:
            case NotImplementedError() if lines:
                return self.finding(misuse.UNWRITTEN, "this is not written yet", lines)
            case RecursionError():
                return self.finding(misuse.RECURSION, "a function calls itself without end", lines)
            case MemoryError():
                return self.finding(misuse.MEMORY, "the answer ran out of memory", lines)
            case TypeError() if not lines and self.exam.sent:
                return self.finding(
                    misuse.WRONG_TYPE, f"your function cannot be called like this: {problem}"
                )
            case ModuleNotFoundError() if not lines:
                return self.finding(
                    misuse.NOT_SENDABLE, f"the answer needs a module that is not there: {problem}"
                )
        if not lines:
            raise problem  # not the student's: the check itself is broken
        if rule := self.exam.rule_for(problem):
            asked = "this was to be refused by ValueError, but " if self.exam.must_refuse else ""
            return self.finding(rule, f"{asked}your code raised {text}", lines)
        return self.finding(misuse.RAISED, f"your code raised {text}", lines)

    def finding(self, rule: Rule, problem: str, traceback: str = "") -> Finding:
        """A finding about what the exam is busy with."""
        return Finding(
            rule=rule.name,
            problem=problem,
            hint=rule.hint,
            spec=rule.spec,
            sent=self.exam.sent,
            seed=self.exam.seed,
            traceback=traceback,
        )

    def reply(self, finding: Finding | None) -> NoReturn:
        """Write the reply and end the process, whatever else still runs in it."""
        self._reply_lock.acquire()  # never given back: the first reply is the only one
        text = json.dumps(
            {
                "finding": asdict(finding) if finding else None,
                "share": self.exam.share,
                "tried": self._tried,
                "notes": self.exam.notes,
                "seeds": self._seeds,
                "printed": self.printed.text(),
                "seconds": round(time.monotonic() - self._started, 3),
            }
        )
        with os.fdopen(self._reply_fd, "wb") as out:
            out.write(text.encode())
        os._exit(0)


def resident_size() -> int | None:
    """Bytes of memory in use now (Linux) or at most so far (macOS); None where that is not known."""
    if sys.platform.startswith("linux"):
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    elif sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    else:
        return None


def limit_address_space(memory: int) -> None:
    """On Linux: let an allocation beyond `memory` more bytes fail with MemoryError."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    with open("/proc/self/statm", "rb") as statm:
        mapped = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mapped + memory
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def main() -> None:
    """Read the request from stdin, examine, reply on stdout.

    Both are moved out of the way first: what the answer prints or reads goes nowhere near them.
    """
    request_fd, reply_fd, crash_fd = os.dup(0), os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    with os.fdopen(request_fd, "rb") as source:
        request: Request = pickle.load(source)
    faulthandler.enable(crash_fd)
    faulthandler.dump_traceback_later(request.time_limit + STUCK_GRACE, exit=True, file=crash_fd)
    try:
        Worker(request, reply_fd).run()
    except BaseException:  # noqa: BLE001 (a broken check must say so)
        import traceback

        os.write(crash_fd, traceback.format_exc().encode())
        os._exit(3)
