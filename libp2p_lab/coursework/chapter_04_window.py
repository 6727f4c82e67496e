"""E4.3: one stream's window: what may be sent, who waits for more, and when the other side is told that it may go on.

The answer is stepped by hand, every step a turn of the event loop, so that a wake-up that gets lost is seen at once
and not after a time limit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import StreamReset

METHODS = ("take", "update", "close", "received", "consumed")
FLOW_CONTROL = "yamux/README.md#flow-control"
TURNS = 12  # of the event loop, after which everybody who can go on has gone on
SCRIPTS = 40  # random interleavings of each seed
_Step = tuple[str, int]


async def _settle() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _window(exam: Exam, answer: Any, size: int) -> Any:
    """A fresh window of the student's."""
    window = answer(size)
    missing = [name for name in METHODS if not callable(getattr(window, name, None))]
    exam.require(
        not missing,
        "wrong-type",
        f"a Window has the methods {', '.join(METHODS)}; missing: {', '.join(missing)}",
    )
    return window


class _Run:
    """One script on one window, beside the books of what is right.

    Attributes:
        credit: what may be sent now.
        done: the steps so far, for the report.
    """

    def __init__(self, exam: Exam, answer: Any, size: int) -> None:
        self.exam = exam
        self.window = _window(exam, answer, size)
        self.credit = size
        self.size = size
        self.done: list[_Step] = []
        self._take = exam.watched(self.window.take)
        self._waiting: dict[asyncio.Task[Any], int] = {}

    async def play(self, script: Sequence[_Step]) -> None:
        """Every step, and what must hold after it."""
        try:
            for name, number in script:
                self.done.append((name, number))
                self.exam.sent = f"Window({self.size}): {self.text()}"
                self._step(name, number)
                if name in ("take", "settle"):
                    await _settle()
                    self._look()
            await _settle()
            self._look()
        finally:
            for task in self._waiting:
                task.cancel()
            await asyncio.gather(*self._waiting, return_exceptions=True)

    def _step(self, name: str, number: int) -> None:
        match name:
            case "take":
                self._waiting[asyncio.ensure_future(self._take(number))] = number
            case "update":
                self.credit += number
                self.window.update(number)
            case "cancel" if self._waiting:
                list(self._waiting)[number % len(self._waiting)].cancel()

    def text(self) -> str:
        """The steps, as a reader would write them."""
        return ", ".join(
            f"{name}({number})" if name != "settle" else "…" for name, number in self.done
        )

    def _look(self) -> None:
        """Nobody got what was not there; nobody waits for what is."""
        exam = self.exam
        for task in [task for task in self._waiting if task.done()]:
            asked = self._waiting.pop(task)
            if task.cancelled():
                continue
            if task.exception() is not None:
                return  # remembered already: the worker names it
            got = task.result()
            if isinstance(got, bool) or not isinstance(got, int):
                exam.reject("wrong-type", "take returns how many bytes it took", got=shown(got))
            exam.require(
                0 < got <= asked,
                "amount",
                f"take({asked}) returned {got}",
                got=str(got),
                expected=f"1 to {asked}",
            )
            exam.require(
                got <= self.credit,
                "negative",
                f"take({asked}) returned {got}, and the window had {self.credit} left",
                got=str(got),
                expected=str(min(asked, self.credit)),
            )
            self.credit -= got
        if self.credit and self._waiting:
            was_cancelled = any(name == "cancel" for name, _ in self.done)
            exam.reject(
                "cancelled" if was_cancelled else "lost-wake-up",
                f"{len(self._waiting)} of those who take still wait, and {self.credit} bytes may be sent",
                departure=f"after {self.text()}",
            )


def _script(rng: random.Random, length: int) -> list[_Step]:
    """Steps at random: short scripts come first, so that what is found is short."""
    steps: list[_Step] = [("take", 100)]
    for _ in range(length):
        name = rng.choice(("take", "update", "update", "cancel", "settle"))
        steps.append((name, rng.randint(1, 40)))
    return steps


async def _sending(exam: Exam, answer: Any) -> None:
    """What is written down first: simple cases, each with the mistake that it shows."""
    await _Run(exam, answer, 10).play([("take", 4), ("take", 6)])
    await _Run(exam, answer, 10).play([("take", 4), ("take", 100), ("take", 5), ("update", 3)])
    await _Run(exam, answer, 5).play(
        [("take", 5), ("take", 1), ("take", 1), ("take", 1), ("update", 3)]
    )
    await _Run(exam, answer, 5).play(
        [("take", 5), ("take", 2), ("take", 2), ("update", 2), ("cancel", 0)]
    )
    exam.count("written scripts", 4)
    for number in range(SCRIPTS):
        run = _Run(exam, answer, exam.rng.randint(1, 30))
        await run.play(_script(exam.rng, 3 + number // 3))
        exam.count("random interleavings")


async def _closing(exam: Exam, answer: Any) -> None:
    """A stream that is gone: nobody goes on waiting for it."""
    window = _window(exam, answer, 3)
    exam.sent = "Window(3): take(3), two takes that wait, then close()"
    await window.take(3)
    waiting = [asyncio.ensure_future(window.take(1)) for _ in range(2)]
    await _settle()
    window.close()
    await _settle()
    late = asyncio.ensure_future(window.take(1))
    await _settle()
    tasks = [*waiting, late]
    outcomes = [type(task.exception()) if task.done() else None for task in tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    names = [kind.__name__ if kind is not None else "still waits" for kind in outcomes]
    exam.require(
        all(kind is StreamReset for kind in outcomes),
        "close",
        "the stream is gone, and not everybody who waits for its window hears of it",
        got=", ".join(names),
        expected="StreamReset, three times",
    )
    exam.count("closed windows")


def _receiving(exam: Exam, answer: Any) -> None:
    """The other direction: bytes come, the application takes them, updates go back now and then."""
    size = exam.rng.choice((1000, 4096, 256 * 1024))
    window = _window(exam, answer, size)
    exam.sent = f"Window({size}): bytes arrive, the application takes a few at a time"
    allowed, unread, owed, updates, total = size, 0, 0, 0, 0
    while total < 8 * size:
        arriving = min(allowed, exam.rng.randint(1, size))
        exam.require(
            arriving or unread, "stalls", "the sender may not go on, and nothing is unread"
        )
        if arriving:
            window.received(arriving)
            allowed -= arriving
            unread += arriving
        for _ in range(exam.rng.randint(1, 20)):
            n = min(unread, max(1, size // 50))
            if not n:
                break
            unread -= n
            owed += n
            total += n
            delta = window.consumed(n)
            if isinstance(delta, bool) or not isinstance(delta, int):
                exam.reject(
                    "wrong-type", "consumed returns the delta of an update, or 0", got=shown(delta)
                )
            exam.require(
                0 <= delta <= owed,
                "gives-away",
                f"an update of {delta}, but the application has taken {owed} since the last one",
                got=str(delta),
                expected=f"at most {owed}",
            )
            allowed += delta
            owed -= delta
            updates += delta > 0
            exam.require(
                owed < size - size // 4,
                "stalls",
                f"the application has taken {owed} of {size} bytes, and the sender was not told",
            )
    most = total // (size // 4)
    exam.require(
        updates <= most,
        "batched",
        f"{updates} updates for {total} bytes through a window of {size}",
        got=str(updates),
        expected=f"{total // (size // 2)}, say; at most {most}",
    )
    exam.count("bytes received", total)
    exam.sent = f"Window({size}): {size} bytes arrive, then one more"
    window = _window(exam, answer, size)
    window.received(size)
    try:
        window.received(1)
    except REFUSALS:
        exam.count("overruns refused")
        return
    exam.reject("overrun", "one byte more than the window allows was accepted")


async def examine_window(exam: Exam, answer: Any) -> None:
    """E4.3: sending, by hand and by chance; closing; receiving."""
    make = exam.callable_answer(answer, "a class Window")
    await _sending(exam, make)
    await _closing(exam, make)
    _receiving(exam, make)


WINDOW = Check(
    id="04.window",
    exercise="E4.3",
    title="A window that loses nobody",
    level="L3",
    points=3,
    objectives=("X.7",),
    starter='''\
from libp2p_lab import ProtocolViolation, StreamReset


class Window:
    """The flow control of one stream, both directions; each begins with `size` bytes."""

    def __init__(self, size):
        raise NotImplementedError

    # what we send

    async def take(self, wanted):
        """Take up to `wanted` bytes of what may be sent, and return how many: at least one, so wait while it is none.

        StreamReset once the window is closed.
        """
        raise NotImplementedError

    def update(self, delta):
        """The other side allows `delta` bytes more."""
        raise NotImplementedError

    def close(self):
        """The stream is gone: whoever waits in `take` gets StreamReset."""
        raise NotImplementedError

    # what we receive

    def received(self, n):
        """`n` bytes came; ProtocolViolation if that is more than the other side may send."""
        raise NotImplementedError

    def consumed(self, n):
        """The application took `n` bytes. The delta of the window update that is due, or 0 for none yet."""
        raise NotImplementedError


await lab.check("04.window", Window)
''',
    hints=(
        "Two directions, two numbers: what we may send, and what the other side may. Who changes each of them, and "
        "who must hear of it?",
        "Several tasks may wait in take at once. After an update each of them has to look again; and one that is "
        "cancelled must take nothing with it. An update is worth sending when half of the window is free "
        "(yamux/README.md, flow control).",
        "take: while not self.credit: self.more.clear(); await self.more.wait() (an asyncio.Event); then "
        "n = min(wanted, self.credit); self.credit -= n; return n. update: add, then self.more.set(). consumed: "
        "self.freed += n; if 2 * self.freed < self.size: return 0; otherwise give back all that is freed.",
    ),
    rules=(
        Rule(
            "negative",
            "The window went below zero: after waiting, look again how much there is, for somebody else may have been "
            "quicker; then take at most that.",
            FLOW_CONTROL,
        ),
        Rule(
            "amount",
            "take(n) returns between 1 and n. Nothing to send with is a reason to wait, not to return 0.",
        ),
        Rule(
            "lost-wake-up",
            "There is room, and somebody still waits for it. An update must wake everybody who waits, and whoever is "
            "woken looks again.",
            FLOW_CONTROL,
        ),
        Rule(
            "cancelled",
            "One of those who waited was cancelled, and what it would have got, or its wake-up, is lost for the "
            "others. Hand nothing out in advance: wake all, and let each take for itself.",
        ),
        Rule(
            "close",
            "A window that is closed will never open: wake everybody who waits, and raise StreamReset, also for those "
            "who come later.",
        ),
        Rule(
            "gives-away",
            "An update allows what the application has taken since the last update, and no more: it is a difference.",
            "yamux/README.md#length-field",
        ),
        Rule(
            "stalls",
            "The sender is never told that it may go on, or too late: half of the window free is a good moment.",
            FLOW_CONTROL,
        ),
        Rule(
            "batched",
            "Each update costs a frame. Gather what was taken until it is worth one: half of the window.",
            FLOW_CONTROL,
        ),
        Rule(
            "overrun",
            "A sender that goes beyond the window breaks the protocol, and your memory with it: ProtocolViolation.",
            FLOW_CONTROL,
        ),
    ),
    examine=examine_window,
    seeds=(1, 2),
)
