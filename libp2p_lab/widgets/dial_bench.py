"""One peer with six addresses in a simulated internet, and somebody who dials it: the scene of `DialRace`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from libp2p_lab.errors import DialError, LocalError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.host.quic import QUIC
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import Limits
from libp2p_lab.recording.recorder import record
from libp2p_lab.sim.internet import Internet
from libp2p_lab.sim.nat_table import NatBehaviour
from libp2p_lab.transports.dialing import rank
from libp2p_lab.transports.tcp import TCP
from libp2p_lab.transports.websocket import WebSocket
from libp2p_lab.widgets.dial_model import Race, last_race

AT_HOME = (
    "at home"  # alice's address in her own network; where bob is, a printer has it, and sleeps
)

#: The addresses by name. `{4}` and `{6}` are alice's, or those of a machine that is no more.
ADDRESSES = {
    "QUIC, IPv6": "/ip6/{6}/udp/4001/quic-v1",
    "QUIC, IPv4": "/ip4/{4}/udp/4001/quic-v1",
    "TCP, IPv6": "/ip6/{6}/tcp/4001",
    "TCP, IPv4": "/ip4/{4}/tcp/4001",
    "WebSocket": "/ip4/{4}/tcp/8080/ws",
    AT_HOME: "/ip4/192.168.1.7/tcp/4001",
}
STATES = ("works", "refuses", "silent")
ORDERS = ("staggered", "at once", "one by one")
PATIENCE = 5.0  # seconds until an attempt is given up
MAX_DELAY, MAX_LOSS = 0.5, 0.5

_ALICE = {"4": "11.0.0.1", "6": "2a00:11::a1"}
_GONE = {"4": "11.0.9.9", "6": "2a00:11::99"}


@dataclass(frozen=True, slots=True)
class Scene:
    """What the dial is up against.

    Attributes:
        delay: seconds from one peer to the other, one way.
        loss: the part of packets lost on the way, 0 to 0.5.
        is_udp_blocked: whether the dialer's network lets no datagram out.
        order: one of `ORDERS`: with head starts, all at once, or each when the one before has failed.
        broken: addresses by name that "refuses" (nobody listens there) or are "silent" (nobody is there any more).
        seed: of all chance.
    """

    delay: float = 0.05
    loss: float = 0.0
    is_udp_blocked: bool = False
    order: str = "staggered"
    broken: tuple[tuple[str, str], ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= MAX_DELAY or not 0 <= self.loss <= MAX_LOSS:
            raise LocalError(f"delay goes from 0 to {MAX_DELAY} s, loss from 0 to {MAX_LOSS}")
        if self.order not in ORDERS:
            raise LocalError(f"order is one of {', '.join(ORDERS)}, not {self.order!r}")
        for name, state in self.broken:
            if name not in ADDRESSES or name == AT_HOME or state not in STATES:
                names = ", ".join(known for known in ADDRESSES if known != AT_HOME)
                raise LocalError(
                    f"an address is one of {names}, its state one of {', '.join(STATES)}; not {name!r}: {state!r}"
                )

    def state(self, name: str) -> str:
        """One of `STATES`."""
        return "silent" if name == AT_HOME else dict(self.broken).get(name, "works")

    def addr(self, name: str) -> str:
        """The address in this scene."""
        ips = _GONE if self.state(name) == "silent" else _ALICE
        return ADDRESSES[name].replace("{4}", ips["4"]).replace("{6}", ips["6"])

    @property
    def limits(self) -> Limits:
        """The dialer's."""
        match self.order:
            case "at once":
                return Limits(
                    dial_timeout=PATIENCE,
                    dial_attempt_delay=0.0,
                    dial_private_delay=0.0,
                    dial_relay_delay=0.0,
                )
            case "one by one":
                return Limits(
                    dial_timeout=PATIENCE,
                    dial_attempt_delay=PATIENCE,
                    dial_private_delay=PATIENCE,
                    dial_relay_delay=PATIENCE,
                )
            case _:
                return Limits(dial_timeout=PATIENCE)


def run(scene: Scene) -> Race:
    """Let bob dial alice once, in virtual time, and return what his trace tells.

    It takes a part of a real second and must not be called on a running event loop.
    """
    parts: dict[str, Any] = {
        "transports": lambda: [TCP(), QUIC(), WebSocket()],
        "services": list,
        "limits": scene.limits,
    }
    regions = {("here", "there"): 2 * max(scene.delay, 1e-4)}
    with Internet(seed=scene.seed, regions=regions, loss=scene.loss) as net:
        alice = net.host(
            "alice",
            region="there",
            ip=_ALICE["4"],
            ipv6=_ALICE["6"],
            listen=[scene.addr(n) for n in ADDRESSES if n != AT_HOME and scene.state(n) == "works"],
            **parts,
        )
        gone = net.machine("gone", region="there", ip=_GONE["4"], ipv6=_GONE["6"])
        gone.freeze()
        office = net.nat(
            "office",
            NatBehaviour(translates=False, hairpin=False, blocks_udp=scene.is_udp_blocked),
            region="here",
        )
        net.machine("printer", nat=office, ip="192.168.1.7").freeze()
        bob = net.host("bob", nat=office, ipv6=True, listen=[], **parts)
        addrs = [Multiaddr(scene.addr(name)) for name in ADDRESSES]

        async def dial() -> None:
            with contextlib.suppress(DialError):  # the trace tells of it
                await bob.connect(PeerInfo(alice.peer_id, addrs))

        with record(bob) as log:
            net.run(dial())
        return last_race(log, rank(addrs, scene.limits))
