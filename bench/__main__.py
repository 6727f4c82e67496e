"""`python -m bench [--quick] [--alone] [part …]`: prints one table.

Parts: throughput, stacks, ping, streams, connections, crowds, imports, memory, hosts, pubsub, routing,
providers, fetch, relay, sim, widgets. Without a name all run.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from bench import (
    connections,
    crowds,
    fetch,
    hosts,
    imports,
    memory,
    ping,
    providers,
    pubsub,
    relay,
    routing,
    sim,
    stacks,
    streams,
    throughput,
    widgets,
)
from bench.report import Row, table

PARTS: dict[str, Callable[[bool, bool], Awaitable[list[Row]]]] = {
    "throughput": throughput.measure,
    "stacks": stacks.measure,
    "ping": ping.measure,
    "streams": streams.measure,
    "connections": connections.measure,
    "crowds": crowds.measure,
    "imports": imports.measure,
    "memory": memory.measure,
    "hosts": hosts.measure,
    "pubsub": pubsub.measure,
    "routing": routing.measure,
    "providers": providers.measure,
    "fetch": fetch.measure,
    "relay": relay.measure,
    "sim": sim.measure,
    "widgets": widgets.measure,
}


async def run(names: list[str], quick: bool, alone: bool) -> list[Row]:
    rows = []
    for name in names:
        rows += await PARTS[name](quick, alone)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a short form: figures mean little")
    parser.add_argument("--alone", action="store_true", help="without js-libp2p and py-libp2p")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part is called {unknown[0]!r}; there are {', '.join(PARTS)}")
    names = arguments.parts or list(PARTS)
    print(table(asyncio.run(run(names, arguments.quick, arguments.alone))))


if __name__ == "__main__":
    main()
