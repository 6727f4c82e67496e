"""What if half of the round trip is the wrong time to wait? Hole punching where a packet that is early does harm.

    success(0.0)                        both ways through the relay take as long: 1.0
    success(0.2)                        one of them takes 200 ms longer than the other
    success(0.2, wait)                  … and B waits as long as `wait(rtt, attempt)` says

Most routers drop what they do not expect, and nothing is lost: the next SYN comes by itself. Some refuse it by a RST,
and some close the door that their own peer has opened as soon as a RST comes in (Linux does, for ten seconds). Between
two such boxes the two SYNs must cross: each must leave before the other is there. Half of a round trip is wrong by half
of the difference between its two ways; and that must be less than the direct way takes.

Clocks that differ do no harm at all, for none is compared with another. A clock that runs fast does not either: in a
tenth of a second it is wrong by microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from libp2p_lab.nat.coordination import Coordination, Punch
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.nat.dcutr_messages import PunchMessage
from libp2p_lab.sim.punching import TOUCHY, Meeting, meet
from libp2p_lab.sim.regions import Geography, Region

NEAREST, FARTHEST = 0.02, 0.1  # seconds of the direct way; the meetings are spread evenly between
LEG = 0.05  # seconds from each of the two to the relay, at least

#: How long B waits after SYNC: (the round trip that it has measured, which try this is) → seconds.
Wait = Callable[[float, int], float]


def half(rtt: float, attempt: int) -> float:
    """What the spec says."""
    return rtt / 2


def uneven(direct: float, there: float, back: float) -> Geography:
    """Two homes and a relay: from B through the relay to A takes `there` longer than it must, the way back `back`."""
    places = {name: Region(name) for name in ("a", "b", "relay")}
    delays = {
        ("relay", "a"): LEG + there,
        ("a", "relay"): LEG + back,
        ("b", "relay"): LEG,
        ("a", "b"): direct,
        **{(name, name): 0.001 for name in places},
    }
    return Geography(places, delays)


def meeting(
    asymmetry: float,
    wait: Wait = half,
    *,
    direct: float = 0.06,
    slow_back: bool = False,
    seed: int = 0,
) -> Meeting:
    """One meeting between two touchy boxes.

    Args:
        asymmetry: seconds by which one way through the relay is longer than the other.
        wait: how long B waits after SYNC.
        direct: seconds of the direct way.
        slow_back: whether the way from A to B is the longer one.
        seed: of all chance.
    """
    there, back = (0.0, asymmetry) if slow_back else (asymmetry, 0.0)
    return meet(
        TOUCHY,
        TOUCHY,
        seed=seed,
        regions=uneven(direct, there, back),
        at=("b", "a", "relay"),
        jitter=0.004,
        dcutr=lambda: DCUtR(coordination=waiting(wait)),
    )


def success(asymmetry: float, wait: Wait = half, *, n: int = 12, seed: int = 0) -> float:
    """The part of `n` meetings that end in a direct connection; direct ways are spread evenly, near to far.

    Args:
        asymmetry: seconds by which one way through the relay is longer; there and back by turns.
        wait: how long B waits after SYNC.
        n: how many.
        seed: of all chance.
    """
    step = (FARTHEST - NEAREST) / n
    worked = 0
    for number in range(n):
        direct = NEAREST + (number + 0.5) * step
        slow_back = bool((number + seed) % 2)
        met = meeting(
            asymmetry, wait, direct=direct, slow_back=slow_back, seed=seed * 1000 + number
        )
        worked += met.worked
    return worked / n


def waiting(wait: Wait) -> type[Coordination]:
    """An exchange after which B waits as long as it is told. It counts its tries: one such class for each host."""
    tries = 0

    class Waiting(Coordination):
        """Waits as long as `wait` says."""

        def receive(
            self, message: PunchMessage, now: float
        ) -> tuple[PunchMessage | None, Punch | None]:
            nonlocal tries
            answer, punch = super().receive(message, now)
            if punch is not None and punch.rtt is not None:
                tries += 1
                punch = replace(punch, delay=max(0.0, wait(punch.rtt, tries)))
            return answer, punch

    return Waiting
