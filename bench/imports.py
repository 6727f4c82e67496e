"""How long `import libp2p_lab` takes, in a fresh interpreter each time."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from bench.others import others
from bench.report import Row
from bench.timing import medians

PROGRAM = """
import time
started_at = time.process_time()
import {name}
print(time.process_time() - started_at)
"""


async def measure(quick: bool, alone: bool) -> list[Row]:
    (ours,) = await medians(2 if quick else 9, partial(seconds_to_import, "libp2p_lab"))
    them = await others("imports", 3, alone=alone)
    return [Row("import libp2p_lab", "s", ours, False, js=them.js, py=them.py)]


async def seconds_to_import(name: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(name=name)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
