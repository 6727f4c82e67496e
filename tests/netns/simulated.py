"""The same small network, simulated: two LANs behind NAT boxes, and a relay outside."""

from __future__ import annotations

import asyncio
from typing import Any

from libp2p_lab.sim import Internet, NatBehaviour
from libp2p_lab.sim.machine import Machine
from tests.netns import probe


async def dial(port: int, remote: tuple[str, int]) -> tuple[asyncio.StreamReader, Any]:
    return await asyncio.open_connection(*remote, local_addr=("0.0.0.0", port))


async def listen(accepted: Any, port: int) -> Any:
    return await asyncio.start_server(accepted, "0.0.0.0", port)


class Lab:
    """The network."""

    def __init__(
        self, a: NatBehaviour | None, b: NatBehaviour | None = None, seed: int = 1
    ) -> None:
        self.net = Internet(seed=seed)
        self.relay = self.net.machine("relay", ip=probe.RELAY)
        self.relay.ips += (probe.OTHER,)
        self.net.network.attach(self.relay, (probe.OTHER,), None)
        self.net.run(self.on(self.relay, probe.relay()))
        self.hosts = {}
        for name, behaviour in (("A", a), ("B", b)):
            if behaviour is None:
                self.hosts[name] = self.net.machine(name)
            else:
                box = self.net.nat(f"router {name}", behaviour)
                self.hosts[name] = self.net.machine(name, nat=box)

    async def on(self, machine: Machine, coroutine: Any) -> Any:
        return await machine.create_task(coroutine)

    def behaviour(self) -> dict[str, Any]:
        return self.net.run(self.on(self.hosts["A"], probe.behaviour("0.0.0.0", dial)))

    def punch(self, kind: str) -> list[dict[str, Any]]:
        async def both() -> list[dict[str, Any]]:
            more = (dial, listen) if kind == "tcp" else ()
            program: Any = probe.punch_tcp if kind == "tcp" else probe.punch_udp
            return await asyncio.gather(
                *(
                    self.on(self.hosts[name], program("0.0.0.0", name, "room", probe.PORT, *more))
                    for name in "AB"
                )
            )

        return self.net.run(both())
