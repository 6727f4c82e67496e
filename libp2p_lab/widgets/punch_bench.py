"""Two homes and a relay at distances of one's choice, and what they do: the scene of `HolePunchTimeline`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from libp2p_lab.errors import LocalError
from libp2p_lab.nat.coordination import Coordination, Punch
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.nat.dcutr_messages import PunchMessage
from libp2p_lab.recording.recorder import record
from libp2p_lab.sim.nat_table import (
    FULL_CONE,
    PORT_RESTRICTED,
    RESTRICTED_CONE,
    SYMMETRIC,
)
from libp2p_lab.sim.punching import TOUCHY, Street
from libp2p_lab.sim.regions import Geography, Region
from libp2p_lab.widgets.punch_model import Story, last_story

ROUTERS = {
    "home router": PORT_RESTRICTED,
    "home router that refuses": TOUCHY,
    "restricted cone": RESTRICTED_CONE,
    "full cone": FULL_CONE,
    "symmetric": SYMMETRIC,
}
KINDS = ("tcp", "quic")
WAITS = (0.0, 0.5, 1.0)  # parts of the round trip for which B may wait
MAX_DELAY, MAX_JITTER = 0.4, 0.1
AFTERWARDS = 4.0  # seconds after the meeting: until the relayed connection is closed


@dataclass(frozen=True, slots=True)
class Scene:
    """What the two are up against.

    Attributes:
        kind: "tcp" or "quic".
        a, b: their routers, of `ROUTERS`; A calls.
        a_relay, b_relay, direct: seconds one way between A and the relay, B and the relay, A and B.
        jitter: seconds that a packet may take longer.
        wait: the part of the measured round trip for which B waits before it dials; right is a half.
        seed: of all chance.
    """

    kind: Literal["tcp", "quic"] = "tcp"
    a: str = "home router"
    b: str = "home router"
    a_relay: float = 0.06
    b_relay: float = 0.08
    direct: float = 0.05
    jitter: float = 0.0
    wait: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        for delay in (self.a_relay, self.b_relay, self.direct):
            if not 0 < delay <= MAX_DELAY:
                raise LocalError(f"a way takes more than 0 and at most {MAX_DELAY} s, not {delay}")
        if not 0 <= self.jitter <= MAX_JITTER:
            raise LocalError(f"jitter goes from 0 to {MAX_JITTER} s, not {self.jitter}")
        if self.kind not in KINDS or self.wait not in WAITS:
            raise LocalError(f"kind is one of {KINDS}, wait one of {WAITS}")
        for router in (self.a, self.b):
            if router not in ROUTERS:
                raise LocalError(f"a router is one of {', '.join(ROUTERS)}, not {router!r}")


def run(scene: Scene) -> Story:
    """Let the two meet through the relay, and punch."""
    places = {name: Region(name) for name in ("a", "b", "relay")}
    delays = {
        ("a", "relay"): scene.a_relay,
        ("b", "relay"): scene.b_relay,
        ("a", "b"): scene.direct,
        **{(name, name): 0.001 for name in places},
    }
    street = Street(
        ROUTERS[scene.b],  # who is called
        ROUTERS[scene.a],
        kind=scene.kind,
        seed=scene.seed,
        regions=Geography(places, delays),
        at=("b", "a", "relay"),
        dcutr=lambda: DCUtR(coordination=_waiting(scene.wait)),
        jitter=scene.jitter,
    )
    names = {
        str(street.bob.peer_id): "A",
        str(street.alice.peer_id): "B",
        str(street.relay.peer_id): "relay",
    }
    with street.net as net, record(net.trace, street.alice, street.bob, street.relay) as log:
        net.run(street.meet())
        net.run_for(AFTERWARDS)
        return last_story(log, names)


def _waiting(part: float) -> type[Coordination]:
    """An exchange after which B waits for another part of the round trip."""

    class Waiting(Coordination):
        """Waits as long as it was told."""

        def receive(
            self, message: PunchMessage, now: float
        ) -> tuple[PunchMessage | None, Punch | None]:
            answer, punch = super().receive(message, now)
            if punch is not None and punch.rtt is not None:
                punch = replace(punch, delay=punch.rtt * part)
            return answer, punch

    return Waiting
