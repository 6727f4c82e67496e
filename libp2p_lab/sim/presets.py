"""Internets ready to use.

    net = lab.sim.lan(seed=1)           # one room: 0.5 ms, a gigabit
    net = lab.sim.world(seed=1)         # eight regions, home and server bandwidths, a little jitter and loss
    net = lab.sim.lossy_wifi(seed=1)    # 3 % of the packets lost, 30 ms of jitter
    net = lab.sim.mars(seed=1)          # Earth and Mars: 3 to 22 minutes one way

On `mars` nearly every limit of libp2p ends before the first answer can be there. `limits_broken` names those that
do, and `patient` gives the limits with which peers can talk all the same. That is not enough: TCP itself gives up after
127 seconds without an answer to its SYN, whatever libp2p would wait for; `mars(tcp_patience=…)` lends the operating
systems more.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.sim.internet import Internet
from libp2p_lab.sim.pipe import mbit
from libp2p_lab.sim.regions import WORLD, Geography, Region, one_place

#: Light from Earth to Mars, at the least and at the greatest distance: 54.6 and 401 million km.
MARS_NEAR, MARS_FAR = 182.0, 1338.0


def lan(seed: int | str = 0, **options: Any) -> Internet:
    """One local network."""
    return Internet(
        seed, one_place(0.0005, name="lan"), **{"up": mbit(1000), "down": mbit(1000), **options}
    )


def world(seed: int | str = 0, **options: Any) -> Internet:
    """Eight regions; access of 50 Mbit/s each way, as four fifths of the nodes in libp2p's GossipSub interop tests."""
    chosen = {"loss": 0.001, "delay": 0.002, "up": mbit(50), "down": mbit(50), **options}
    return Internet(seed, WORLD, **chosen)


def lossy_wifi(seed: int | str = 0, **options: Any) -> Internet:
    """A room full of people: each host loses packets on its first metres, and waits for its turn."""
    chosen = {"host_loss": 0.03, "jitter": 0.03, "up": mbit(20), "down": mbit(20), **options}
    return Internet(seed, one_place(0.01, name="cafe"), **chosen)


def mars(seed: int | str = 0, one_way: float = 600.0, **options: Any) -> Internet:
    """Two planets.

    Args:
        seed: of all chance.
        one_way: seconds that light takes: 182 to 1338.

    Raises: `LocalError` for a distance that Mars never has.
    """
    if not MARS_NEAR <= one_way <= MARS_FAR:
        raise LocalError(f"light takes {MARS_NEAR:g} to {MARS_FAR:g} s to Mars, not {one_way:g}")
    places = {"earth": Region("earth"), "mars": Region("mars", longitude=180.0)}
    delays = {("earth", "earth"): 0.03, ("mars", "mars"): 0.03, ("earth", "mars"): one_way}
    return Internet(seed, Geography(places, delays), **options)


def limits_broken(one_way: float, limits: Limits = DEFAULT_LIMITS) -> dict[str, float]:
    """The time limits that end before one round trip does, the shortest first: name and seconds."""
    found = {
        field.name: value
        for field in dataclasses.fields(limits)
        if field.name.endswith("_timeout") and (value := getattr(limits, field.name)) < 2 * one_way
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))


def patient(one_way: float, limits: Limits = DEFAULT_LIMITS) -> Limits:
    """Limits for peers so far apart: each time limit twenty round trips longer, and pings as seldom."""
    more = 40 * one_way
    longer = {
        field.name: getattr(limits, field.name) + more
        for field in dataclasses.fields(limits)
        if field.name.endswith("_timeout") or field.name == "keepalive_interval"
    }
    return dataclasses.replace(limits, **longer)
