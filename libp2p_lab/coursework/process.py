"""The kernel's side of the worker process: send an answer there, wait without blocking, make a result of the reply.

The process is a plain `subprocess.Popen`, waited for in a thread: asyncio's own subprocesses do not exist on every
event loop that Jupyter uses (on Windows they do not). The answer travels by cloudpickle, so functions and classes
written in notebook cells need no file; modules of the student's own are imported from disk there.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import linecache
import os
import pickle
import re
import subprocess
import sys
from collections import ChainMap
from collections.abc import Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

from libp2p_lab.coursework import misuse
from libp2p_lab.coursework.checks import Check, CheckResult, Finding, Rule
from libp2p_lab.coursework.student_code import StudentCode, place
from libp2p_lab.coursework.worker import Request
from libp2p_lab.errors import LabError, LocalError

MEMORY = 512 << 20  # bytes that an answer may use
START_TIME = 60.0  # seconds for the worker's start on a loaded machine; not counted as the answer's
MAX_SOURCES = 4 << 20  # characters of notebook cells that are sent along for tracebacks

_STACK_LINE = re.compile(r'File "(.+)", line (\d+) in (\S+)')


async def examine(
    check: Check,
    answer: object,
    seeds: Sequence[int],
    *,
    prediction: object = None,
    time_limit: float | None = None,
) -> CheckResult:
    """Run a check in a worker process.

    Args:
        check: the check.
        answer: the student's function, class or value.
        seeds: one run of the check for each.
        prediction: what the student predicted.
        time_limit: seconds in place of the check's own.

    Raises: `LabError` if the check itself breaks; `LocalError` where there is no cloudpickle or no processes.
    """
    packed = pack(answer)
    if isinstance(packed, Finding):
        return result(check, {"finding": packed, "seeds": []})
    return await examine_packed(
        check, packed, seeds, cells(), prediction=prediction, time_limit=time_limit
    )


async def examine_packed(
    check: Check,
    packed: bytes,
    seeds: Sequence[int],
    sources: Mapping[str, str],
    *,
    prediction: object = None,
    time_limit: float | None = None,
    folders: Sequence[str] = (),
) -> CheckResult:
    """The same for an answer that `pack` made into bytes, perhaps elsewhere: it is opened in the worker only.

    Args:
        sources: what `cells` gave where the answer was packed.
        folders: where modules of the student's own are found.
    """
    limit = check.time_limit if time_limit is None else time_limit
    request = Request(check, tuple(seeds), limit, MEMORY, prediction, packed, dict(sources))
    out, err, code = await _run(pickle.dumps(request), START_TIME + limit, folders)
    if out:
        return result(check, json.loads(out))
    return result(check, {"finding": _obituary(check, err, code, limit), "seeds": list(seeds)})


def result(check: Check, reply: dict[str, Any]) -> CheckResult:
    """What the kernel's user gets, from what the exam says."""
    found = reply["finding"]
    finding = Finding(**found) if isinstance(found, dict) else found
    passed = finding is None
    return CheckResult(
        check=check.id,
        exercise=check.exercise,
        title=check.title,
        level=check.level,
        objectives=check.objectives,
        passed=passed,
        points=round(check.points * reply.get("share", 1.0), 2) if passed else 0.0,
        max_points=check.points,
        finding=finding,
        tried=reply.get("tried", {}),
        notes=tuple(reply.get("notes", ())),
        seeds=tuple(reply["seeds"]),
        printed=reply.get("printed", ""),
        seconds=reply.get("seconds", 0.0),
    )


async def _run(request: bytes, time_limit: float, folders: Sequence[str]) -> tuple[bytes, str, int]:
    """The worker's reply, what it wrote about its own death, and its exit code."""
    start = (
        f"import sys; sys.path[:] = {[*sys.path, *folders]!r}; "
        "from libp2p_lab.coursework.worker import main; main()"
    )
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 (waiting is done in a thread)
            [sys.executable, "-P", "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as problem:
        raise LocalError(
            f"no process can be started here, so nothing can be checked: {problem}"
        ) from problem

    def talk() -> tuple[bytes, bytes]:
        try:
            return process.communicate(request, time_limit)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()

    try:
        out, err = await asyncio.to_thread(talk)
    finally:
        process.kill()  # the cell was interrupted; does nothing if the process has ended
    return out, err.decode(errors="replace"), process.returncode


def pack(answer: object) -> bytes | Finding:
    """The answer as bytes, or why it cannot travel."""
    try:
        import cloudpickle  # noqa: F401
    except ImportError:
        raise LocalError(
            "checks need the package cloudpickle: pip install 'libp2p-lab[lab]'"
        ) from None
    if inspect.iscoroutine(answer):
        answer.close()
        return _finding(
            misuse.WRONG_TYPE,
            f"this is a coroutine: hand in the function itself, {answer.__name__}, without calling it",
        )
    try:
        return _dumps(answer)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as problem:
        return _finding(
            misuse.NOT_SENDABLE,
            f"the answer cannot be sent to the process in which it would run: {_culprit(answer, problem)}",
        )


def _dumps(answer: object) -> bytes:
    """Pickle an answer by value, and let its code say where it stands.

    cloudpickle 3.1.2 and later put "<dynamic-code>" in the place of each file name: then no report could show a
    student's own lines.
    """
    import cloudpickle

    reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]

    def with_its_file(code: CodeType) -> tuple[Any, ...]:
        made, parts, *rest = reduce_code(code)
        kept = tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)
        return made, kept, *rest

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        # The table is read when a pickler is made: setting it afterwards has no effect.
        dispatch_table = ChainMap({CodeType: with_its_file}, cloudpickle.Pickler.dispatch_table)

        def reducer_override(self, part: Any) -> Any:
            """Name a compiled class by where it can be imported from (its own module may exist in name only)."""
            home = _home(part)
            if home is None:
                return super().reducer_override(part)
            return getattr, (home, part.__name__)

    out = io.BytesIO()
    Pickler(out).dump(answer)
    return out.getvalue()


def _home(part: object) -> ModuleType | None:
    """A module that has a class under its name, where the one that the class names is no module.

    `ChaCha20Poly1305` is one of those: cryptography's compiled part holds it. By value it would lose its methods.
    """
    if not isinstance(part, type) or part.__module__ in sys.modules:
        return None
    for name, module in list(sys.modules.items()):
        if name.startswith(part.__module__.partition(".")[0]):
            found = getattr(module, part.__name__, None)
            if found is part:
                return module
    return None


def _culprit(answer: object, problem: Exception) -> str:
    """Which of the names that a function uses cannot be sent."""
    import cloudpickle

    function = inspect.unwrap(answer) if callable(answer) else None
    if inspect.isfunction(function):
        used = inspect.getclosurevars(function)
        for name, value in (*used.nonlocals.items(), *used.globals.items()):
            try:
                cloudpickle.dumps(value)
            except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
                return f"it uses {name!r} from outside, which is a {type(value).__name__}"
    return str(problem)


def cells() -> dict[str, str]:
    """The text of code that is in no file: the notebook's cells, the latest first, as far as there is room."""
    found: dict[str, str] = {}
    room = MAX_SOURCES
    for name, entry in reversed(list(linecache.cache.items())):
        if len(entry) != 4 or name.startswith("<") or os.path.exists(name):
            continue
        text = "".join(entry[2])
        room -= len(text)
        if room < 0:
            break
        found[name] = text
    return found


def _obituary(check: Check, err: str, code: int, limit: float) -> Finding:
    """Why a worker ended without a reply: stuck inside a C function, crashed, or left by `os._exit`.

    Raises: `LabError` if it was our own code that broke.
    """
    if code == 3 and "Traceback" in err:
        raise LabError(f"the check itself is broken, not your answer:\n{err}")
    students = StudentCode(check.examine.__code__.co_filename)
    lines = [
        place(filename, int(number), function)
        for filename, number, function in _STACK_LINE.findall(err)
        if students.is_in(filename)
    ]
    where = f": {lines[0]}" if lines else ""
    if "Timeout" in err or (code < 0 and not err):
        return _finding(
            misuse.ENDLESS if lines else misuse.BLOCKED,
            f"the interpreter is stuck inside one call{where} (time limit {limit:g} s)",
        )
    return _finding(misuse.DIED, f"the process ended with code {code}{where}")


def _finding(rule: Rule, problem: str) -> Finding:
    return Finding(rule=rule.name, problem=problem, hint=rule.hint, spec=rule.spec)
