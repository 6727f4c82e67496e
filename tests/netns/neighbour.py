"""One of our hosts that calls out to its local network: `python -m tests.netns.neighbour 10.9.0.1`

It prints one line of JSON when it is ready, and one for each neighbour that it has found and pinged.
"""

from __future__ import annotations

import asyncio
import sys

import libp2p_lab as lab
from tests.netns.peers import at, say


async def main(ip: str) -> None:
    services = [lab.Identify(), lab.Ping(), lab.Echo(), lab.MDNS()]
    async with lab.Host(listen=[at(ip, "tcp")], services=services) as host:
        await host.mdns.ready()
        say(peer_id=str(host.peer_id), addrs=[*map(str, host.addrs)])
        async for found in host.mdns.watch():
            rtt = await host.ping(
                found.peer_id
            )  # at the address that it called out, by nothing but its name
            say(found=str(found.peer_id), addrs=[*map(str, found.addrs)], rtt=rtt)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
