"""js-libp2p and py-libp2p at the same task, where they are installed, each with both ends in one process.

`foreign/js.mjs` and `foreign/py.py` take the name of a task and its numbers, and print one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from libp2p_lab import foreign
from tools.install_interop import py_python

PROGRAMS = Path(__file__).parent / "foreign"
PATIENCE = 300.0  # seconds for one task


@dataclass(frozen=True, slots=True)
class Others:
    """Figures of the other two; None where one is not installed, or failed at the task."""

    js: float | None = None
    py: float | None = None


async def others(task: str, *numbers: int, alone: bool = False) -> Others:
    """The medians of both at `task`.

    Args:
        task: a name that both programs know.
        numbers: sizes and counts, as the task wants them.
        alone: do not ask, and return nothing.
    """
    if alone:
        return Others()
    arguments = [task, *map(str, numbers)]
    return Others(js=await _js(arguments), py=await _py(arguments))


async def _js(arguments: list[str]) -> float | None:
    folder = foreign.js_folder()
    if folder is None:
        return None
    # Given as text and run in its folder, the program finds the packages that are installed there.
    program = (PROGRAMS / "js.mjs").read_text("utf-8")
    node = await foreign.find_node(folder)
    flags = ["--expose-gc", "--input-type=module", "--eval", program]
    return await _run(folder, str(node), *flags, "--", *arguments)


async def _py(arguments: list[str]) -> float | None:
    python = py_python()
    if python is None:
        return None
    return await _run(PROGRAMS, str(python), "-W", "ignore", str(PROGRAMS / "py.py"), *arguments)


async def _run(folder: Path, *command: str) -> float | None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        return None
    values: list[float] = json.loads(output.splitlines()[-1])
    return statistics.median(values)
