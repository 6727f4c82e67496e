"""When the time is over: what is the answer doing, and at which of its lines?

the main thread is in the student's code, and computes    an endless loop
… and sleeps                                             a call that waits for something that does not come
the event loop is idle, a student's coroutine waits      a coroutine that nobody wakes
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import FrameType
from typing import Any

from libp2p_lab.coursework import misuse
from libp2p_lab.coursework.checks import Rule
from libp2p_lab.coursework.student_code import StudentCode, frame_place

_LOOKS = 10
_PAUSE = 0.02  # seconds between two looks
_BUSY = 0.1  # share of the processor above which a thread computes; a waiting one uses none


def describe(
    main_thread: int, loop: asyncio.AbstractEventLoop, students: StudentCode
) -> tuple[Rule, str]:
    """Name what the main thread has been doing too long. Called from another thread."""
    places: list[str] = []
    pause = threading.Event()  # time.sleep is replaced in the worker
    used, since = time.process_time(), time.monotonic()
    for _ in range(_LOOKS):
        frame = next(students.frames(sys._current_frames().get(main_thread)), None)
        if frame is not None:
            places.append(frame_place(frame))
        pause.wait(_PAUSE)
    busy = (time.process_time() - used) / (time.monotonic() - since) > _BUSY
    if places and busy:
        return misuse.ENDLESS, f"a loop does not end: {_most_frequent(places)}"
    if places:
        return misuse.BLOCKED, f"a call never returns: {_most_frequent(places)}"
    places = [students_place(task, students) for task in asyncio.all_tasks(loop)]
    waiting = [place for place in places if place]
    if waiting:
        return misuse.NEVER_ENDS, f"a coroutine never ends: it waits at {waiting[-1]}"
    return misuse.NEVER_ENDS, "nothing happens any more, and the answer is not finished"


def students_place(task: asyncio.Task[Any], students: StudentCode) -> str:
    """Where the student's innermost coroutine in this task waits; empty if the task runs none."""
    found = ""
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(
            awaited, "ag_frame", None
        )
        if frame is not None and students.is_in(frame.f_code.co_filename):
            found = frame_place(frame)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return found


def _most_frequent(places: list[str]) -> str:
    return max(places, key=places.count)
