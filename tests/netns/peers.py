"""Whole hosts for the small network: `python -m tests.netns.peers relay`, `called tcp <relay>`, `caller tcp <address>`,
`mapped UPnP 4001 <relay>`, `direct <address>`, `prober <ip> <port>`, `asker <server> <address> …`.

Each prints one line of JSON when it is ready, and one with what became of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

import libp2p_lab as lab
from libp2p_lab.nat import autonat_v1
from libp2p_lab.nat.autonat_messages import DialDataRequest, DialResponse
from libp2p_lab.nat.events import PortMapped, RouterRestarted
from libp2p_lab.nat.gateway import default_gateway
from libp2p_lab.nat.port_control import PortControl
from libp2p_lab.nat.upnp import Upnp

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
    services = [lab.Identify(), lab.Ping(), lab.Relay(), lab.AutoNAT()]
    async with lab.Host(listen=listen, services=services) as host:
        say(tcp=str(host.addrs[0]), quic=str(host.addrs[1]))
        await asyncio.Event().wait()


def mapper(how: str) -> list[Any] | None:
    """One way to ask the router; None for whatever works."""
    if how == "UPnP":
        return [Upnp()]
    if how == "NAT-PMP":
        return [PortControl(default_gateway(), rng=random.Random(), speaks="NAT-PMP")]
    return None


def restart(told: list[Any]) -> int:
    """Where the router was found to have restarted; the end if it was not."""
    found = (n for n, what in enumerate(told) if isinstance(what, RouterRestarted))
    return next(found, len(told))


async def mapped(how: str, port: str, helper: str) -> None:
    """Ask the router for ports, and others whether they lead here."""
    # A router that was switched off and on is noticed within a second.
    limits = lab.Limits(port_map_look=1.0, port_map_restart=1.0)
    services = [lab.Identify(), lab.Ping(), lab.Echo(), lab.AutoNAT(servers=1)]
    mapping = lab.PortMapping(mappers=mapper(how))
    listen = [at("0.0.0.0", kind, int(port)) for kind in ("tcp", "quic")]
    async with lab.Host(listen=listen, services=[*services, mapping], limits=limits) as host:
        told: list[Any] = []
        host.trace.listen(lambda entry: told.append(entry.what))
        while len(mapping.addrs) < 2:
            await asyncio.sleep(0.05)
        addrs = [str(addr.with_peer(host.peer_id)) for addr in mapping.addrs]
        say(how=mapping.mapper.name, addrs=addrs)
        each = [(await host.autonat.ask(helper, [addr])).reached for addr in mapping.addrs]
        say(reachability=host.autonat.reachability, each=each)
        while sum(isinstance(what, PortMapped) for what in told[restart(told) :]) < 2:
            await asyncio.sleep(0.05)
        say(restarted=True)
        await asyncio.to_thread(sys.stdin.readline)
    say(closed=True)


async def direct(*addrs: str) -> None:
    """Dial each address, and have it echo."""
    for addr in addrs:
        async with lab.Host(services=[lab.Identify(), lab.Ping()]) as host:
            connection = await host.connect(addr)
            stream = await host.open_stream(connection.remote_peer, ECHO)
            reading = asyncio.create_task(stream.read())
            await stream.write(bytes(MORE))
            await stream.close_write()
            say(transport=connection.transport, echoed=len(await reading) == MORE)


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


# -- reachability -----------------------------------------------------------------------------------------------


async def prober(ip: str, port: str) -> None:
    """Tries for others, and says what it answered them."""
    limits = lab.Limits(autonat_dial_timeout=2.0)  # nothing is far away here
    services = [lab.Identify(), lab.AutoNAT(automatic=False)]
    listen = [at(ip, "tcp", int(port))]
    async with lab.Host(listen=listen, services=services, limits=limits) as host:

        def report(entry: lab.Entry) -> None:
            if entry.direction == "sent":
                match entry.what:
                    case DialResponse(status, _, dial):
                        say(answer=status.name, dial=dial.name)
                    case autonat_v1.DialResponse(status):
                        say(answer=status.name)

        host.trace.listen(report)
        say(addr=str(host.addrs[0]))
        await asyncio.Event().wait()


async def asker(server: str, *addrs: str) -> None:
    """Listens everywhere at port 4001, and asks one server about addresses of its own, one after the other."""
    services = [lab.Identify(), lab.AutoNAT(automatic=False)]
    async with lab.Host(listen=[at("0.0.0.0", "tcp")], services=services) as host:
        for addr in addrs:
            paid: list[int] = []
            host.trace.listen(
                lambda e, paid=paid: (
                    paid.append(e.what.size) if isinstance(e.what, DialDataRequest) else None
                )
            )
            try:
                verdict = await host.autonat.ask(server, [addr])
                say(reached=verdict.reached, paid=paid)
            except lab.LabError as error:
                say(error=f"{type(error).__name__}: {error}", paid=paid)


if __name__ == "__main__":
    programs = {
        "relay": relay,
        "called": called,
        "caller": caller,
        "mapped": mapped,
        "direct": direct,
        "prober": prober,
        "asker": asker,
    }
    asyncio.run(programs[sys.argv[1]](*sys.argv[2:]))
