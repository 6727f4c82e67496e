"""Foreign peers for the tests: `async with await js_peer() as js:`, and the same with `py_peer`."""

from __future__ import annotations

from typing import Any

from libp2p_lab import foreign
from libp2p_lab.foreign import ForeignPeer
from tests.support import REPOSITORY, require
from tools.install_interop import py_python

HOW = "run `make interop-peers`"


async def js_peer(**options: Any) -> ForeignPeer:
    """js-libp2p, started. Options: see `ForeignPeer.start`."""
    require(foreign.js_folder(), f"js-libp2p is not installed: {HOW}")
    return await foreign.js_peer(**options)


async def py_peer(**options: Any) -> ForeignPeer:
    """py-libp2p, started. Options: see `ForeignPeer.start`."""
    python = py_python()
    require(python, f"py-libp2p is not installed: {HOW}")
    assert python is not None
    peer = await ForeignPeer.launch(python, REPOSITORY / "tests" / "interop" / "py" / "peer.py")
    try:
        await peer.start(**options)
    except BaseException:
        await peer.close()
        raise
    return peer


PEERS = {"js": js_peer, "py": py_peer}
