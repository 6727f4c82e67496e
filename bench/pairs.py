"""Two hosts of ours, connected, both in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import libp2p_lab as lab

TCP_ADDR = "/ip4/127.0.0.1/tcp/0"


@asynccontextmanager
async def two_hosts() -> AsyncIterator[tuple[lab.Host, lab.Host]]:
    """Alice listens, Bob is connected to her, and both have been identified."""
    services = [lab.Identify(), lab.Ping(), lab.Echo()]
    async with lab.Host(listen=[TCP_ADDR], services=services) as alice, lab.Host() as bob:
        await bob.connect(alice.addrs[0])
        await bob.identify_result(alice.peer_id)
        await alice.identify_result(bob.peer_id)
        yield alice, bob
