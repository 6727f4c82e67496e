"""Whatever an answer does, the kernel goes on, and the report names it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from libp2p_lab.coursework import process
from libp2p_lab.coursework.checks import Check, CheckResult, Rule
from libp2p_lab.coursework.exam import Exam
from tests.coursework.support import cell

LIMIT = 1.5  # seconds; enough for answers that hang


async def examine_square(exam: Exam, answer: Any) -> None:
    """The answer to 3 is 9, to [1, 2] it is 5, and a negative number is refused."""
    exam.equal(exam.call(answer, 3), 9, "square", "the square of 3 is 9")
    exam.equal(exam.call(answer, [1, 2]), 5, "square", "the sum of the squares of 1 and 2 is 5")
    exam.refuses(answer, -1, rule="negative", problem="-1 was not refused")
    exam.count("numbers", 3)


async def examine_handler(exam: Exam, answer: Any) -> None:
    """The answer is awaited; it must put 9 into the queue."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    async with exam.step(LIMIT / 3, "silent", "nothing was put into the queue", expected="9"):
        await exam.watched(answer)(queue)
        exam.equal(await queue.get(), 9, "square", "the square of 3 is 9")


def check(examine: Any) -> Check:
    rules = tuple(Rule(name, f"hint for {name}") for name in ("square", "negative", "silent"))
    return Check(
        id="99.square",
        exercise="E99.1",
        title="Squares",
        level="L2",
        points=3,
        objectives=("99.a",),
        starter="",
        hints=("", "", ""),
        rules=rules,
        examine=examine,
        seeds=(1, 2),
    )


SQUARE = check(examine_square)
HANDLER = check(examine_handler)
RIGHT = """
def square(x):
    if x == -1:
        raise ValueError("negative")
    return x * x if isinstance(x, int) else sum(y * y for y in x)
"""


async def answered(a_check: Check, source: str, name: str, limit: float = LIMIT) -> CheckResult:
    """The result, while the event loop is watched: it must never stop."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    try:
        result = await process.examine(a_check, cell(source)[name], a_check.seeds, time_limit=limit)
    finally:
        ticking.cancel()
    assert turns > 5
    assert CheckResult.from_dict(result.to_dict()) == result
    return result


async def test_a_right_answer_passes() -> None:
    result = await answered(SQUARE, RIGHT, "square")
    assert result.passed, result.feedback
    assert result.points == result.max_points == 3
    assert result.tried == {"numbers": 6}
    assert result.seeds == (1, 2)
    assert "Passed" in result._repr_html_()


MISUSES: dict[str, tuple[str, str, str]] = {
    "endless": ("while True: pass", "endless-loop", "line 2 of square: `while True: pass`"),
    "stuck in C": ("return sum(iter(int, 1))", "endless-loop", "stuck inside one call"),
    "time.sleep": ("import time; time.sleep(1e6)", "blocking-call", "time.sleep blocks in line 2"),
    "input": ("return int(input())", "blocking-call", "input blocks"),
    "connect": (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "blocking-call",
        "blocks in line 2",
    ),
    "lock": (
        "import threading; threading.Event().wait()",
        "blocked",
        "a call never returns: line 2 of square",
    ),
    "recursion": ("return square(x)", "recursion", "calls itself"),
    "raises": ("return x.nothing", "raised", "AttributeError: 'int' object has no attribute"),
    "starter": ("raise NotImplementedError", "unwritten", "not written yet"),
    "exits": ("import sys; sys.exit('bye')", "raised", "SystemExit: bye"),
    "dies": ("import os; os._exit(7)", "died", "code 7"),
    "crashes": ("import ctypes; return ctypes.string_at(0)", "died", "line 2 of square"),
    "wrong type": ("return str(x * x)", "wrong-type", "a int was expected, a str came back"),
    "bool": ("return True", "wrong-type", "a bool came back"),
    "nothing": ("x * x", "wrong-type", "a NoneType came back"),
    "mutates": (
        "if x == 3: return 9\n    x.append(0); return 5",
        "mutated-input",
        "changed its argument",
    ),
    "never refuses": (
        "return x * x if isinstance(x, int) else sum(y * y for y in x)",
        "negative",
        "-1 was not refused",
    ),
    "refuses by accident": (
        "return 9 if x == 3 else 5 if x == [1, 2] else [][0]",
        "negative",
        "raised IndexError",
    ),
    "prints": (
        "print('x' * 5_000_000); return 0",
        "square",
        "the square of 3 is 9",
    ),
}


@pytest.mark.parametrize("name", MISUSES)
async def test_misuse_is_named(name: str) -> None:
    body, rule, problem = MISUSES[name]
    result = await answered(SQUARE, f"def square(x):\n    {body}\n", "square")
    assert not result.passed
    assert result.points == 0
    assert result.finding is not None
    assert result.finding.rule == rule, result.feedback
    assert problem in result.finding.problem, result.feedback
    assert result.finding.hint
    assert len(result.feedback) < 6000
    if name == "prints":
        assert "4998001 characters more" in result.printed


@pytest.mark.skipif(sys.platform == "win32", reason="nothing bounds memory there")
@pytest.mark.parametrize(
    "body", ["x = bytearray(1 << 40)", "x = []\n    while True: x.append('x' * 9999999)"]
)
async def test_memory_is_bounded(body: str) -> None:
    result = await answered(SQUARE, f"def square(x):\n    {body}\n", "square", limit=20)
    assert result.finding is not None
    assert result.finding.rule == "memory", result.feedback


async def test_an_async_function_where_a_plain_one_is_asked_for() -> None:
    result = await answered(SQUARE, "async def square(x):\n    return x * x", "square")
    assert result.finding is not None
    assert result.finding.rule == "is-async"


async def test_wrong_parameters() -> None:
    result = await answered(SQUARE, "def square(x, y):\n    return x * x", "square")
    assert result.finding is not None
    assert result.finding.rule == "wrong-type"
    assert "missing 1 required positional argument" in result.finding.problem


ASYNC_MISUSES: dict[str, tuple[str, str, str]] = {
    "never ends": (
        "await asyncio.sleep(1e6)",
        "silent",
        "nothing was put into the queue",
    ),
    "forgets await": ("queue.put(9)", "not-awaited", "line 3 of put: `queue.put(9)`"),
    "blocks": ("time.sleep(1e6)", "blocking-call", "time.sleep blocks in line 3 of put"),
    "blocks briefly": ("time.sleep(0.001); queue.put_nowait(9)", "blocking-call", "time.sleep"),
    "swallows": (
        "try: time.sleep(1)\n    except Exception: pass\n    queue.put_nowait(9)",
        "blocking-call",
        "time.sleep",
    ),
    "leaves a task": (
        "queue.put_nowait(9); asyncio.create_task(linger())",
        "left-behind",
        "task(s) of yours still run",
    ),
    "ignores cancellation": (
        "while True:\n        try: await asyncio.sleep(60)\n        except BaseException: pass",
        "never-ends",
        "it waits at line 4 of put",
    ),
    "raises": ("queue.nothing()", "raised", "AttributeError"),
}


@pytest.mark.parametrize("name", ASYNC_MISUSES)
async def test_async_misuse_is_named(name: str) -> None:
    body, rule, problem = ASYNC_MISUSES[name]
    source = (
        f"import asyncio, time\nasync def put(queue):\n    {body}\n"
        "async def linger():\n    await asyncio.sleep(60)\n"
    )
    result = await answered(HANDLER, source, "put")
    assert result.finding is not None
    assert result.finding.rule == rule, result.feedback
    assert problem in result.finding.problem, result.feedback


async def test_waiting_in_a_thread_is_allowed() -> None:
    source = """
        import asyncio, time
        async def put(queue):
            await asyncio.to_thread(time.sleep, 0.01)
            await queue.put(9)
    """
    result = await answered(HANDLER, source, "put")
    assert result.passed, result.feedback


async def test_a_plain_function_where_an_async_one_is_asked_for() -> None:
    result = await answered(HANDLER, "def put(queue):\n    queue.put_nowait(9)", "put")
    assert result.finding is not None
    assert result.finding.rule == "not-async"


async def test_a_coroutine_is_not_a_function() -> None:
    coroutine = cell("async def square(x):\n    return x * x")["square"](3)
    result = await process.examine(SQUARE, coroutine, (1,))
    assert result.finding is not None
    assert result.finding.rule == "wrong-type"
    assert "without calling it" in result.finding.problem


async def test_what_cannot_travel_is_named() -> None:
    names = cell("def square(x):\n    return (x * x, lock)")
    names["lock"] = asyncio.Lock()
    names["lock"]._loop = asyncio.get_running_loop()
    result = await process.examine(SQUARE, names["square"], (1,))
    assert result.finding is not None
    assert result.finding.rule == "not-sendable"
    assert "'lock'" in result.finding.problem


async def test_helpers_and_globals_travel() -> None:
    source = """
        import math
        EXPONENT = 2
        class Helper:
            def power(self, x):
                return round(math.pow(x, EXPONENT))
        def square(x):
            if x == -1:
                raise ValueError
            return Helper().power(x) if isinstance(x, int) else sum(map(Helper().power, x))
    """
    result = await answered(SQUARE, source, "square")
    assert result.passed, result.feedback


async def test_the_report_shows_where_bytes_differ() -> None:
    async def unused(exam: Exam, answer: Any) -> None: ...

    text = (await answered(SQUARE, "def square(x):\n    return 8", "square")).feedback
    for part in ("square(3)", "came back:  8", "expected:   9", "hint for square", "seed=1"):
        assert part in text


async def test_a_broken_check_is_not_the_students_fault() -> None:
    with pytest.raises(Exception, match="the check itself is broken"):
        await process.examine(check(_broken), cell(RIGHT)["square"], (1,))


async def _broken(exam: Exam, answer: Any) -> None:
    raise KeyError("a bug of ours")


async def test_an_interrupted_cell_ends_the_worker() -> None:
    source = "def square(x):\n    while True: pass"
    running = asyncio.create_task(
        process.examine(SQUARE, cell(source)["square"], (1,), time_limit=100)
    )
    await asyncio.sleep(0.5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
