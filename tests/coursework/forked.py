"""Worker processes that begin as copies of one that has loaded everything: a fifth of a second each instead of a whole.

For the hundreds of answers in test_checks.py; what a learner's check starts is a new interpreter (test_process.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext

from libp2p_lab.coursework.catalogue import CHECKS

# Text, as what the kernel starts is: a frame of this file on the worker's stack would be taken for the student's.
BEGIN = """
import os
from libp2p_lab.coursework.worker import main

for number, pipe in enumerate(pipes):
    os.dup2(pipe.fileno(), number)
    pipe.close()
main()
"""


def context() -> ForkServerContext:
    """Where copies come from. The original loads each chapter's checks, and runs nothing."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(sorted({check.examine.__module__ for check in CHECKS}))
    return made


async def run(request: bytes, time_limit: float, folders: Sequence[str]) -> tuple[bytes, str, int]:
    """Stands where `process._run` stood."""
    return await asyncio.to_thread(_talk, request, time_limit)


def _talk(request: bytes, time_limit: float) -> tuple[bytes, str, int]:
    forks = context()
    pipes = [forks.Pipe(duplex=False) for _ in range(3)]
    (source, to_worker), (from_worker, reply), (from_crash, crash) = pipes
    process = forks.Process(target=exec, args=(BEGIN, {"pipes": (source, reply, crash)}))
    process.start()
    for end in (source, reply, crash):
        end.close()
    with contextlib.suppress(BrokenPipeError):
        _write(to_worker, request)
    to_worker.close()
    process.join(time_limit)
    process.kill()
    process.join()
    out, err = (_read(pipe) for pipe in (from_worker, from_crash))
    code = process.exitcode
    process.close()
    return out, err.decode(errors="replace"), code if code is not None else -9


def _write(pipe: Connection, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe.fileno(), view) :]


def _read(pipe: Connection) -> bytes:
    """All of it: a pipe holds 64 KiB, more than any reply."""
    with open(os.dup(pipe.fileno()), "rb") as file:
        pipe.close()
        return file.read()
