"""Answers as a notebook makes them: defined in `__main__`, their text known to `linecache` only."""

from __future__ import annotations

import linecache
from itertools import count
from textwrap import dedent
from typing import Any

_cells = count(1)


def cell(source: str) -> dict[str, Any]:
    """Run the source of a cell; its names."""
    text = dedent(source).lstrip("\n")
    name = f"/tmp/ipykernel_0/{next(_cells)}.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), names)
    return names
