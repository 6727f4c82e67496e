"""Provider records at rest: what the process grows by for 10,000, each of a peer and a key of its own, in a fresh
interpreter each; and how fast they are taken down.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import psutil

from bench.report import Row
from bench.timing import Stopwatch, medians

PORTION = 10_000
MIB = 1024 * 1024


async def measure(quick: bool, alone: bool) -> list[Row]:
    portions, times = (1, 1) if quick else (5, 3)
    (memory, added), (file, written) = [
        await medians(times, partial(_grown, where, portions), partial(_added, where, portions))
        for where in ("memory", "file")
    ]
    return [
        Row("10,000 provider records in memory", "MiB", memory, False),
        Row("10,000 provider records in SQLite", "MiB", file, False),
        Row("provider records taken down in memory", "/s", added, True),
        Row("provider records taken down in SQLite", "/s", written, True),
    ]


async def _grown(where: str, portions: int) -> float:
    return _run(where, portions)[0]


async def _added(where: str, portions: int) -> float:
    return _run(where, portions)[1]


def _run(where: str, portions: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.providers", where, str(portions)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    grown, rate = map(float, done.stdout.split())
    return grown, rate


def fill(where: str, portions: int) -> tuple[float, float]:
    """MiB that this process grows by for each 10,000 records, and records a second."""
    from libp2p_lab import Multiaddr, PeerId
    from libp2p_lab.content import MemoryProviderStore, SqliteProviderStore

    with tempfile.TemporaryDirectory() as folder:
        store = (
            MemoryProviderStore(lambda: 0.0)
            if where == "memory"
            else SqliteProviderStore(Path(folder) / "providers.db")
        )

        def add(number: int) -> None:
            name = hashlib.sha256(b"%d" % number).digest()
            peer = PeerId(b"\x00\x24\x08\x01\x12\x20" + name)
            addrs = [Multiaddr(b"\x04\x0a%c" % n + name[:2] + b"\x06\x0f\xa1") for n in range(4)]
            store.add(b"\x12\x20" + hashlib.sha256(name).digest(), peer, peer, addrs)

        for number in range(500):
            add(number)
        process = psutil.Process()
        before = process.memory_info().rss
        with Stopwatch() as watch:
            for number in range(500, 500 + portions * PORTION):
                add(number)
        grown = process.memory_info().rss - before
        if isinstance(store, SqliteProviderStore):
            store.close()
    return grown / portions / MIB, portions * PORTION / watch.seconds


if __name__ == "__main__":
    print(*fill(sys.argv[1], int(sys.argv[2])))
