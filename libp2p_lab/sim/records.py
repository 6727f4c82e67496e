"""How long does a record live at strangers'? Peers come and go around a key; the k closest keep what they are told.

    life(session=12, republish=22, expiry=48, days=30, seed=1)

Around the key stand k places: the k closest peers at any time. A peer stays for a session (an exponential length, so
that it can be calculated beside it), and takes with it what it kept; somebody new takes its place, and knows nothing.
The provider stores its record at the k closest every `republish` hours, while it is there. Time is in hours.

Left out: peers that come back with what they kept, and lookups that find fewer than the k closest.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from libp2p_lab.errors import LocalError
from libp2p_lab.routing.routing_table import K

STEP = 0.25  # hours between two looks


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one record.

    Attributes:
        found: the part of the looks at which somebody had the record while its provider was there.
        stale: the part of the looks at which somebody had it although its provider was gone.
        messages: ADD_PROVIDER messages a day, while the provider was there.
    """

    found: float
    stale: float
    messages: float


def life(
    *,
    session: float,
    republish: float,
    expiry: float,
    k: int = K,
    days: float = 30.0,
    provider_session: float = math.inf,
    provider_pause: float = 24.0,
    seed: int = 0,
) -> Life:
    """Let time pass, and look every quarter of an hour whether the record is found.

    Args:
        session: hours that a holder stays, on average.
        republish: hours between two announcements.
        expiry: hours after which a holder forgets.
        k: holders.
        days: how long.
        provider_session, provider_pause: hours that the provider itself stays, and is away, on average.
        seed: of all chance.

    Raises: `LocalError` for lengths that are not above 0.
    """
    if min(session, republish, expiry, days, provider_session, provider_pause) <= 0 or k < 1:
        raise LocalError("sessions, intervals and k are above 0")
    rng = random.Random(f"{seed}/records")
    stored = [-math.inf] * k  # when each of the k places was last told
    leaves = [rng.expovariate(1 / session) for _ in range(k)]
    is_there, changes = True, _draw(rng, provider_session)
    due, told = 0.0, 0
    present = found = absent = stale = 0
    for step in range(int(days * 24 / STEP)):
        now = step * STEP
        while now >= changes:
            is_there = not is_there
            changes += _draw(rng, provider_session if is_there else provider_pause)
            if is_there:
                due = now  # back again: it says so at once
        for place in range(k):
            while now >= leaves[place]:
                leaves[place] += rng.expovariate(1 / session)
                stored[place] = -math.inf
        if is_there and now >= due:
            stored = [now] * k
            told += k
            due = now + republish
        has = any(now - at < expiry for at in stored)
        present += is_there
        found += has and is_there
        absent += not is_there
        stale += has and not is_there
    hours = max(present, 1) * STEP
    return Life(found / max(present, 1), stale / max(absent, 1), told / hours * 24)


def _draw(rng: random.Random, mean: float) -> float:
    return math.inf if math.isinf(mean) else rng.expovariate(1 / mean)


def availability(*, session: float, republish: float, expiry: float, k: int = K) -> float:
    """The same as `Life.found`, calculated: the chance that one of the k told is there still, averaged over the time
    between two announcements.

    After t hours each is there with the chance e^(-t/session); that all k are gone has the chance (1 - that)^k.
    """
    steps = max(1, int(republish / STEP))
    total = 0.0
    for step in range(steps):
        t = (step + 0.5) * republish / steps
        total += 0.0 if t >= expiry else 1 - (1 - math.exp(-t / session)) ** k
    return total / steps
