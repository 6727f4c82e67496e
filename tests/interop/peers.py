"""Foreign peers for the tests: `async with await js_peer() as js:`, and the same with `py_peer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from libp2p_lab import foreign
from libp2p_lab.foreign import ForeignError, ForeignPeer
from tests.support import REPOSITORY, require
from tools.install_interop import py_python

HOW = "run `make interop-peers`"
PY_PROGRAM = REPOSITORY / "tests" / "interop" / "py" / "peer.py"


async def js_peer(**options: Any) -> ForeignPeer:
    """js-libp2p, started. Options: see `ForeignPeer.start`."""
    require(foreign.js_folder(), f"js-libp2p is not installed: {HOW}")
    return await foreign.js_peer(**options)


async def py_peer(**options: Any) -> ForeignPeer:
    """py-libp2p, started. Options: see `ForeignPeer.start`."""
    python = py_python()
    require(python, f"py-libp2p is not installed: {HOW}")
    assert python is not None
    peer = await ForeignPeer.launch(python, PY_PROGRAM)
    try:
        await peer.start(**options)
    except BaseException:
        await peer.close()
        raise
    return peer


PEERS = {"js": js_peer, "py": py_peer}

# What runs at the other end. Where one of these changes, look at the tables of what it cannot do again.
VERSIONS = {
    "js": ("js-libp2p", "3.3.11"),
    "py": ("py-libp2p", "0.8.1"),
    "browser": ("js-libp2p", "3.3.11", "in a browser"),
}
AGENTS = {"js": "js-libp2p/3.3.11 node/", "py": "py-libp2p/0.8.1"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The exact error with which another implementation fails.

    Attributes:
        name: the class of its error.
        text: the message; "…" stands for peer ids and the like, which differ from run to run.
        beneath: the same of the innermost cause, or None where there is none.
    """

    name: str
    text: str
    beneath: Refusal | None = None

    def assert_same(self, error: ForeignError) -> None:
        assert (error.name, _fits(self.text, error.text)) == (self.name, True), str(error)
        innermost = error
        while innermost.causes:
            innermost = innermost.causes[0]
        if self.beneath is None:
            assert innermost is error, str(error)
        else:
            self.beneath.assert_same(innermost)


def _fits(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern` with something in the place of each "…"."""
    first, *rest = pattern.split("…")
    if not text.startswith(first):
        return False
    at = len(first)
    for part in rest:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return at == len(text) or pattern.endswith("…")
