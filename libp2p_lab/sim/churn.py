"""Churn: hosts that come and go. Measured sessions of peer-to-peer networks are many short and a few very long ones.

    churn(net, hosts, session=weibull(3600, shape=0.5), pause=exponential(600))

Every host stays for a session, crashes (or leaves politely), is away for a pause, and starts again with its old key.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.host import SimHost

if TYPE_CHECKING:
    from libp2p_lab.sim.internet import Internet

#: Draws a length of time, in seconds.
Distribution = Callable[[random.Random], float]


def exponential(mean: float) -> Distribution:
    """No memory: who has stayed long leaves as soon as anybody."""
    return lambda rng: rng.expovariate(1 / mean)


def weibull(mean: float, shape: float = 0.5) -> Distribution:
    """With a shape below 1, who has stayed long will stay long."""
    scale = mean / math.gamma(1 + 1 / shape)
    return lambda rng: rng.weibullvariate(scale, shape)


def fixed(length: float) -> Distribution:
    """Always the same."""
    return lambda rng: length


def churn(
    net: Internet,
    hosts: Sequence[SimHost],
    *,
    session: Distribution,
    pause: Distribution,
) -> Callable[[], None]:
    """Let `hosts` come and go from now on. Returns the function that ends it; who is away then stays away.

    Args:
        net: their internet.
        hosts: who.
        session: how long one stays.
        pause: how long it is away.

    Raises: `LocalError` if there is nobody, or a host has parts that a restart cannot make anew.
    """
    if not hosts:
        raise LocalError("churn needs hosts")
    for host in hosts:
        host.check_restartable()
    is_over = False

    def leave(host: SimHost, rng: random.Random) -> None:
        if not is_over and host.state != "crashed":
            host.crash()
            net.at(net.now + pause(rng), come, host, rng)

    def come(host: SimHost, rng: random.Random) -> None:
        if not is_over and host.state == "crashed":
            host.restart()
            net.at(net.now + session(rng), leave, host, rng)

    for host in hosts:
        rng = random.Random(f"{net.seed}/churn/{host.name}")
        net.at(net.now + session(rng), leave, host, rng)

    def end() -> None:
        nonlocal is_over
        is_over = True

    return end
