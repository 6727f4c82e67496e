"""What lookups cost, how it grows, whether records are found while peers leave: figures to hold beside published ones.

    survey(10_000, lookups=200, dead=0.3)     one setting: Row(hops=3.1, requests=39.3, …)
    finds(hours=22, lookups=200)              is a record found so long after it was stored?
    python -m libp2p_lab.sim.lookup_survey    the tables of notebook 05, about a minute

All of it is the library's own `Lookup` over the tables of a `LookupNetwork`: no sockets, no handshakes, no load.

How long peers stay is taken from crawls of IPFS: 87.6 % of the sessions are shorter than eight hours, 2.5 % longer than
a day (Trautwein and others, Design and Evaluation of IPFS, SIGCOMM 2022). The one Weibull distribution
with these two properties is drawn from here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from libp2p_lab.errors import LocalError
from libp2p_lab.routing.distance import closest, position
from libp2p_lab.sim.lookups import LookupNetwork, Outcome

EUROPE = "europe"  # of the regions of the world
SOON = 0.5  # seconds: the bound that the published share is measured at
STEPS = 2000  # of the sum that stands for an integral

# S(8 h) = 0.124 and S(24 h) = 0.025, where S(t) = exp(-(t / scale) ** shape).
SESSION_SHAPE = math.log(math.log(0.025) / math.log(0.124)) / math.log(24 / 8)
SESSION_SCALE = 8 / (-math.log(0.124)) ** (1 / SESSION_SHAPE)  # hours


@dataclass(frozen=True, slots=True)
class Row:
    """What came of many lookups in one network.

    Attributes:
        count, dead: peers, and the part of them that does not answer.
        hops, requests: means.
        exact: the part of the lookups that found all of the k closest.
        share: the mean part of the k closest that was found.
        seconds: the median until the end.
        slow_seconds: nine of ten were over by then.
        soon: the part in which one of the k closest, who keep the records, had answered within half a second.
        table: how many peers a table holds, on average.
    """

    count: int
    dead: float
    hops: float
    requests: float
    exact: float
    share: float
    seconds: float
    slow_seconds: float
    soon: float
    table: float


def survey(
    count: int,
    *,
    lookups: int = 200,
    dead: float = 0.0,
    seed: int = 1,
    region: str | None = None,
    round_trips: int = 3,
) -> Row:
    """Many lookups, each for a key of its own, by different peers.

    Args:
        count: peers.
        lookups: how many.
        dead: the part of the peers that stand in tables and do not answer.
        seed: of all chance.
        region: only peers of this region search; of all if not given.
        round_trips: from a dial to an answer; 1 where connections are there already.

    Raises: `LocalError` if there is nothing to search, or nobody who could.
    """
    net = LookupNetwork(count, seed=seed, dead=dead, round_trips=round_trips)
    askers = [number for number in net.alive if region in (None, net.region_of(number))]
    if lookups < 1 or not askers:
        raise LocalError("a survey needs lookups, and peers that make them")
    chosen = [askers[n * 7 % len(askers)] for n in range(lookups)]
    outcomes = [net.lookup(asker, position(b"key %d" % n)) for n, asker in enumerate(chosen)]
    return _row(net, dead, chosen, outcomes)


def _row(net: LookupNetwork, dead: float, askers: list[int], outcomes: list[Outcome]) -> Row:
    times = sorted(outcome.seconds for outcome in outcomes)
    return Row(
        count=len(net.ids),
        dead=dead,
        hops=fmean(outcome.hops for outcome in outcomes),
        requests=fmean(outcome.requests for outcome in outcomes),
        exact=fmean(outcome.is_exact for outcome in outcomes),
        share=fmean(outcome.share for outcome in outcomes),
        seconds=median(times),
        slow_seconds=times[int(0.9 * (len(times) - 1))],
        soon=fmean(outcome.first_seconds <= SOON for outcome in outcomes),
        table=fmean(len(net.table_of(asker)) for asker in askers),
    )


# -- how long peers stay --------------------------------------------------------------------------------------------


def stays(hours: float) -> float:
    """The part of the sessions that are longer than this."""
    return math.exp(-((hours / SESSION_SCALE) ** SESSION_SHAPE))


def gone_after(hours: float) -> float:
    """The part of the peers that are there now, and will have left so many hours from now.

    Who is met now is likelier to be in a long session than in a short one. So this is not `1 - stays(hours)`, but the
    renewal theorem's law: the integral of `stays` from 0 to `hours`, divided by the mean length of a session.

    Raises: `LocalError` for a time before now.
    """
    if hours < 0:
        raise LocalError("how many are gone is asked of the future: hours are not below 0")
    mean = SESSION_SCALE * math.gamma(1 + 1 / SESSION_SHAPE)
    # u = t ** shape makes the steep beginning of the curve even.
    top = hours**SESSION_SHAPE
    total = 0.0
    for n in range(STEPS):
        u = (n + 0.5) / STEPS * top
        t = u ** (1 / SESSION_SHAPE)
        total += stays(t) * u ** (1 / SESSION_SHAPE - 1) / SESSION_SHAPE
    return total * top / STEPS / mean if hours else 0.0


@dataclass(frozen=True, slots=True)
class Finds:
    """Whether records are found some time after they were stored.

    Attributes:
        hours: since then.
        gone: the part of the peers of that time that have left.
        holders: how many of the k that were told are among those whom a lookup finds, on average.
        found: the part of the lookups that find one at least.
    """

    hours: float
    gone: float
    holders: float
    found: float


def finds(hours: float, *, count: int = 1000, lookups: int = 200, seed: int = 1) -> Finds:
    """Store records at the k closest of `count` peers; `hours` later as many have come as have gone. Look for them.

    Tables know those who came and those who left alike: nothing has been cleaned in the meantime, and nothing stored
    anew. So this is the worst case between two announcements.

    Raises: `LocalError` for a time before now, or no lookups.
    """
    gone = gone_after(hours)
    left = round(gone * count)
    if lookups < 1:
        raise LocalError("nothing is found without a lookup")
    net = LookupNetwork(count + left, seed=seed, dead=left / (count + left))
    rng = random.Random(f"{seed}/finds")
    came = {net.ids[number] for number in rng.sample(net.alive, left)}
    old = [peer for peer in net.ids if peer not in came]
    counts = []
    for n in range(lookups):
        target = position(b"record %d" % n)
        told = set(closest(old, target, net.k))
        outcome = net.lookup(net.alive[n * 7 % len(net.alive)], target)
        counts.append(len(told.intersection(outcome.found)))
    return Finds(hours, gone, fmean(counts), fmean(number > 0 for number in counts))


# -- the long form --------------------------------------------------------------------------------------------------


def tables(
    sizes: Sequence[int] = (100, 300, 1000, 3000, 10_000),
    deaths: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    hours: Sequence[float] = (1 / 6, 1, 6, 12, 22, 48),
    *,
    lookups: int = 200,
    crowd: int = 10_000,
) -> list[str]:
    """The tables of notebook 05 as lines of text: growth, dead peers, Europe, records.

    Args:
        sizes: networks, for the growth.
        deaths: parts of dead peers among a thousand.
        hours: after which records are looked for.
        lookups: of each setting.
        crowd: peers of the network that Europe searches in.
    """
    head = (
        "  peers  dead  log2   hops  questions  exact   found  median s   9 of 10  in 0.5 s  table"
    )
    rows = [survey(count, lookups=lookups) for count in sizes]
    rows += [survey(1000, lookups=lookups, dead=dead) for dead in deaths if dead]
    lines = [head, *map(_line, rows), "", "searched from Europe only:", head]
    for dead in (0.0, 0.3):
        lines.append(_line(survey(crowd, lookups=lookups, dead=dead, region=EUROPE)))
    lines += ["", "  hours   gone  holders found  records found"]
    for each in (finds(hour, lookups=lookups) for hour in hours):
        lines.append(f"{each.hours:7.2f} {each.gone:6.1%} {each.holders:14.1f} {each.found:14.1%}")
    return lines


def _line(row: Row) -> str:
    return (
        f"{row.count:7,} {row.dead:5.0%} {math.log2(row.count):5.1f} {row.hops:6.2f} {row.requests:10.1f} "
        f"{row.exact:6.1%} {row.share:7.1%} {row.seconds:9.2f} {row.slow_seconds:9.2f} {row.soon:9.1%} {row.table:6.0f}"
    )


if __name__ == "__main__":
    print("\n".join(tables()))
