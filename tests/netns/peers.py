"""Whole hosts for the small network: `python -m tests.netns.peers relay`, `called tcp <relay>`, `caller tcp <address>`.

Each prints one line of JSON when it is ready, and one with what became of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import libp2p_lab as lab

ECHO = "/echo/1.0.0"
MORE = 300_000  # bytes: more than a relay carries


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def at(ip: str, kind: str, port: int = 4001) -> str:
    return f"/ip4/{ip}/tcp/{port}" if kind == "tcp" else f"/ip4/{ip}/udp/{port}/quic-v1"


def end(kind: str, ip: str = "") -> lab.Host:
    services = [lab.Identify(), lab.Ping(), lab.Echo(), lab.RelayClient(), lab.DCUtR()]
    # A second for the dials of one try: nothing is far away here.
    limits = lab.Limits(dcutr_dial_timeout=1.0)
    return lab.Host(listen=[at(ip or "0.0.0.0", kind)], services=services, limits=limits)


async def relay() -> None:
    listen = [at("1.2.3.10", kind) for kind in ("tcp", "quic")]
    services = [lab.Identify(), lab.Ping(), lab.Relay()]
    async with lab.Host(listen=listen, services=services) as host:
        say(tcp=str(host.addrs[0]), quic=str(host.addrs[1]))
        await asyncio.Event().wait()


async def called(kind: str, relay_addr: str) -> None:
    async with end(kind) as host:
        await host.relay_client.reserve(relay_addr)
        family = "tcp" if kind == "tcp" else "udp"
        say(addr=next(str(a) for a in host.addrs if {"p2p-circuit", family} <= {*a.names}))
        while not host.dcutr.results:
            await asyncio.sleep(0.05)
        [ended] = host.dcutr.results.values()
        say(outcome=ended.outcome, attempts=ended.attempts, cause=ended.cause)
        await asyncio.Event().wait()


async def caller(kind: str, addr: str, ip: str = "") -> None:
    async with end(kind, ip) as host:
        connection = await host.connect(addr)
        peer = connection.remote_peer
        relayed = connection.relayed
        try:
            direct = await host.dcutr.direct(peer)
            transport = direct.transport
        except lab.DialError:
            transport = ""
        size = MORE if transport else 1000
        stream = await host.open_stream(peer, ECHO, allow_limited=not transport)
        reading = asyncio.create_task(stream.read())
        await stream.write(bytes(size))
        await stream.close_write()
        say(relayed=relayed, transport=transport, echoed=len(await reading) == size)


if __name__ == "__main__":
    programs = {"relay": relay, "called": called, "caller": caller}
    asyncio.run(programs[sys.argv[1]](*sys.argv[2:]))
