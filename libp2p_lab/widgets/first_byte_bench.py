"""How long until an application's first byte? One connection in a simulated internet, from its first packet on."""

from __future__ import annotations

from typing import Any, Literal

from libp2p_lab.errors import LocalError
from libp2p_lab.host.quic import QUIC
from libp2p_lab.multiplexing.connection import Stream
from libp2p_lab.recording.recorder import Recording, record
from libp2p_lab.security.noise import Noise
from libp2p_lab.security.tls import TLS
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.transports.tcp import TCP

PROTOCOL = "/hello/1.0.0"

_LISTEN = {"tcp": "/ip4/{}/tcp/4001", "quic": "/ip4/{}/udp/4001/quic-v1"}


def first_byte(
    *,
    early_muxers: bool = True,
    optimistic: bool = True,
    known: bool = True,
    transport: Literal["tcp", "quic"] = "tcp",
    security: Literal["noise", "tls"] = "noise",
    rtt: float = 0.1,
    seed: int = 1,
) -> Recording:
    """Let bob dial alice and say hello, and record every packet and message of it.

    Args:
        early_muxers: whether the muxer is settled within the security handshake.
        optimistic: whether proposals are taken as agreed before the answer is there.
        known: whether bob knows beforehand which protocols alice speaks, from an earlier meeting.
        transport: "tcp", or "quic", which has security and muxer of its own.
        security: on TCP.
        rtt: seconds for the way there and back.
        seed: of all chance.

    Returns: the recording, whose times are virtual: show it with `Timeline`.
    """
    if transport not in _LISTEN:
        raise LocalError(f"first bytes go over tcp or quic, not {transport}")
    with Internet(seed=seed, regions={("here", "there"): rtt}) as net:
        channel = Noise if security == "noise" else TLS
        options: dict[str, Any] = {
            "transports": (lambda: [TCP()]) if transport == "tcp" else (lambda: [QUIC()]),
            "security": lambda: [channel(early_muxers=early_muxers)],
            "services": list,
            "optimistic": optimistic,
        }
        alice = net.host(
            "alice",
            region="there",
            ip="11.0.0.1",
            listen=[_LISTEN[transport].format("11.0.0.1")],
            **options,
        )
        bob = net.host("bob", region="here", ip="11.0.0.2", listen=[], **options)

        @alice.handle(PROTOCOL)
        async def answer(stream: Stream) -> None:
            await stream.write(await stream.read(100))
            await stream.close()

        async def hello() -> None:
            stream = await bob.open_stream(alice.addrs[0], PROTOCOL)
            await bob.run(stream.write(b"hello"))
            await bob.run(stream.read(100))

        if known:
            bob.peerstore.set_protocols(alice.peer_id, [PROTOCOL])
        with record(net.trace, bob, alice) as log:
            for event in net.scene():
                log.take(Entry(net.now, "internet", "internet", "", "event", 0, event))
            net.run(hello())
    return log
