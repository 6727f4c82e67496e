"""What any answer can get wrong, whatever the exercise: hangs, blocking calls, forgotten awaits, things left behind.

Each is recognised and named, with the student's own line; the rules of one exercise stand with its check instead.
"""

from __future__ import annotations

from libp2p_lab.coursework.checks import Rule

WRONG_TYPE = Rule(
    "wrong-type",
    "Look at the starter text: it says what the answer takes and what it returns.",
)
RAISED = Rule(
    "raised",
    "Your code raised an exception that it was not asked for. The last of your lines above is where to look.",
)
UNWRITTEN = Rule(
    "unwritten",
    "Replace the line that raises NotImplementedError by your own code. `lab.hint` gives a first step.",
)
RECURSION = Rule(
    "recursion",
    "A function calls itself without end: look for the case in which it should return.",
)
ENDLESS = Rule(
    "endless-loop",
    "A loop does not end. Which of its lines brings it nearer to its end, and does that line run every time?",
)
BLOCKED = Rule(
    "blocked",
    "A call waits for something that does not come, and while it waits nothing else can run.",
)
BLOCKING_CALL = Rule(
    "blocking-call",
    "This call stops everything in the process while it waits: every peer, every stream. In a coroutine "
    "write `await asyncio.sleep(…)` or another awaitable form; a function that computes need not wait at all.",
)
NEVER_ENDS = Rule(
    "never-ends",
    "A coroutine still waits when the time is over. Who would wake it, and has that one a reason to?",
)
NOT_AWAITED = Rule(
    "not-awaited",
    "Calling a coroutine function only makes a coroutine; nothing in it runs until it is awaited. "
    "Write `await` before the call.",
)
IS_ASYNC = Rule(
    "is-async",
    "The function is `async def`, so calling it gives a coroutine instead of a value. This exercise asks "
    "for a plain `def`.",
)
NOT_ASYNC = Rule(
    "not-async",
    "This exercise asks for `async def`: the host awaits what your function returns.",
)
MEMORY = Rule(
    "memory",
    "The answer asked for more memory than any right one needs. Look for a list or bytes that only grows, or "
    "a length that is believed before it is checked.",
)
LEFT_BEHIND = Rule(
    "left-behind",
    "What your code starts, it has to end: `async with` closes a peer, a TaskGroup waits for its tasks.",
)
MUTATED = Rule(
    "mutated-input",
    "The caller's value was changed. Work on a copy: the caller still needs it as it was.",
)
DIED = Rule(
    "died",
    "The whole worker process ended at this point. `sys.exit`, `os._exit` and crashes in C code do that.",
)
NOT_SENDABLE = Rule(
    "not-sendable",
    "Answers run in a process of their own, so that nothing in them can stop your notebook. What your function "
    "uses from outside travels with it, and a live peer, a socket or an open file cannot. Hand such things in "
    "as arguments.",
)
PREDICT_FIRST = Rule(
    "predict-first",
    "A prediction made after the experiment is worth little: call `lab.predict` first, then check.",
)
NO_RECORD = Rule(
    "no-record",
    "This exercise is about one particular run: hand in its record with `run=`, as in the starter text.",
)

RULES = (
    WRONG_TYPE,
    RAISED,
    UNWRITTEN,
    RECURSION,
    ENDLESS,
    BLOCKED,
    BLOCKING_CALL,
    NEVER_ENDS,
    NOT_AWAITED,
    IS_ASYNC,
    NOT_ASYNC,
    MEMORY,
    LEFT_BEHIND,
    MUTATED,
    DIED,
    NOT_SENDABLE,
    PREDICT_FIRST,
    NO_RECORD,
)
