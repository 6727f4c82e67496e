"""mDNS on a cable of its own: a namespace at each end, ours at one and another implementation at the other.

Both find each other, and each dials the other at the address that it called out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from libp2p_lab import foreign
from libp2p_lab.foreign import ForeignPeer
from tests.interop.peers import HOW, PY_PROGRAM
from tests.netns.__main__ import line
from tests.support import REPOSITORY, require
from tools.install_interop import py_python

pytestmark = pytest.mark.timeout(120)

OURS, THEIRS = "10.9.0.1", "10.9.0.2"
NAMES = [f"lab{os.getpid()}-{end}" for end in ("ours", "theirs")]


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def inside(name: str, *command: str | Path) -> list[str]:
    return ["ip", "netns", "exec", name, *map(str, command)]


@pytest.fixture(scope="module")
def cable() -> Iterator[list[str]]:
    """The names of the namespaces at its ends."""
    require(shutil.which("ip"), "ip is not installed (Debian: apt-get install iproute2)")
    first = subprocess.run(["ip", "netns", "add", NAMES[0]], capture_output=True, check=False)
    require(not first.returncode, "this user may not make network namespaces")
    try:
        ip("netns", "add", NAMES[1])
        ip("-n", NAMES[0], "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", NAMES[1])
        for name, address in zip(NAMES, (OURS, THEIRS), strict=True):
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0")
        yield NAMES
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


async def js(name: str) -> ForeignPeer:
    folder = foreign.js_folder()
    require(folder, f"js-libp2p is not installed: {HOW}")
    assert folder is not None
    return await ForeignPeer.launch(
        *inside(name, await foreign.find_node(folder), folder / "peer.mjs")
    )


async def py(name: str) -> ForeignPeer:
    python = py_python()
    require(python, f"py-libp2p is not installed: {HOW}")
    assert python is not None
    return await ForeignPeer.launch(*inside(name, python, PY_PROGRAM))


@contextlib.asynccontextmanager
async def theirs(launch: Callable[[str], Any], name: str) -> AsyncIterator[ForeignPeer]:
    async with await launch(name) as peer:
        await peer.start(listen=[f"/ip4/{THEIRS}/tcp/4001"], calls=True)
        yield peer


@contextlib.contextmanager
def ours(name: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        inside(name, sys.executable, "-m", "tests.netns.neighbour", OURS),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("we_come_first", [True, False], ids=["we come first", "they come first"])
@pytest.mark.parametrize("launch", [js, py], ids=["js", "py"])
async def test_both_find_and_dial_each_other(
    cable: list[str], launch: Callable[[str], Any], we_come_first: bool
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if we_come_first:
            process = stack.enter_context(ours(cable[0]))
            us = line(process)
            them = await stack.enter_async_context(theirs(launch, cable[1]))
        else:
            them = await stack.enter_async_context(theirs(launch, cable[1]))
            process = stack.enter_context(ours(cable[0]))
            us = line(process)
        told = await them.event("discovered", peer_id=us["peer_id"])
        assert [addr.partition("/p2p/")[0] for addr in told["addrs"]] == [f"/ip4/{OURS}/tcp/4001"]
        found = line(process)
        assert found["found"] == str(them.peer_id)
        assert found["addrs"] == [f"/ip4/{THEIRS}/tcp/4001"]
        assert await them.ping(us["addrs"][0]) >= 0
        assert found["rtt"] > 0
