"""Every transport of the library keeps the rules of `Transport`."""

from __future__ import annotations

import pytest

from libp2p_lab.transports import TCP, Memory, MemoryNetwork, WebSocket
from tests.conformance.certificates import tls_contexts
from tests.conformance.transport import TRANSPORT_CHECKS

TRANSPORTS = {
    "memory": lambda: (Memory(MemoryNetwork()), "/memory/0"),
    "memory of the process": lambda: (Memory(), "/memory/0"),
    "tcp over ip4": lambda: (TCP(), "/ip4/127.0.0.1/tcp/0"),
    "tcp over ip6": lambda: (TCP(), "/ip6/::1/tcp/0"),
    "websocket": lambda: (WebSocket(), "/ip4/127.0.0.1/tcp/0/ws"),
    "websocket over ip6": lambda: (WebSocket(), "/ip6/::1/tcp/0/ws"),
    "websocket over tls": lambda: (
        WebSocket(*tls_contexts()),
        "/ip4/127.0.0.1/tcp/0/tls/ws",
    ),
    "wss": lambda: (WebSocket(*tls_contexts()), "/ip4/127.0.0.1/tcp/0/wss"),
}


@pytest.mark.parametrize("make", TRANSPORTS.values(), ids=TRANSPORTS.keys())
@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
async def test_transport(check, make) -> None:
    await check(*make())
