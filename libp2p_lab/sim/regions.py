"""Where machines stand, and how long a packet takes from one region to another.

The numbers of `WORLD` are the one-way delays and the weights (nodes seen in each region) of libp2p's own interop tests
for GossipSub: libp2p/test-plans, gossipsub-interop/network_graph.py. Where that file gives one direction 190 and the
other 195 ms (South America and South Africa), each direction has its own here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from libp2p_lab.errors import LocalError


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the world.

    Attributes:
        name: what it is called.
        latitude, longitude: where to draw it, in degrees.
        weight: how many of a hundred machines, or of any other number, stand there.
    """

    name: str
    latitude: float = 0.0
    longitude: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Geography:
    """Regions and the one-way delays between them.

    Attributes:
        regions: by name.
        delays: seconds from the first region to the second.
        jitter: a packet takes up to this part of the delay longer.
    """

    regions: Mapping[str, Region]
    delays: Mapping[tuple[str, str], float]
    jitter: float = 0.0

    def delay(self, a: str, b: str) -> float:
        """Seconds from region `a` to region `b`.

        Raises: `LocalError` if nobody said.
        """
        found = self.delays.get((a, b), self.delays.get((b, a)))
        if found is None:
            raise LocalError(f"no delay is known between {a!r} and {b!r}")
        return found

    def region(self, name: str) -> Region:
        """The region of this name.

        Raises: `LocalError` if there is none.
        """
        if name not in self.regions:
            raise LocalError(f"no region {name!r}; there are {', '.join(self.regions)}")
        return self.regions[name]


def one_place(delay: float = 0.01, jitter: float = 0.0, name: str = "here") -> Geography:
    """A single region: every packet takes `delay` seconds one way."""
    return Geography({name: Region(name)}, {(name, name): delay}, jitter)


def from_round_trips(
    round_trips: Mapping[tuple[str, str], float], jitter: float = 0.0
) -> Geography:
    """A geography from round-trip times, in seconds; within a region 2 ms unless given."""
    names = dict.fromkeys(name for pair in round_trips for name in pair)
    delays = {pair: rtt / 2 for pair, rtt in round_trips.items()}
    for name in names:
        delays.setdefault((name, name), 0.001)
    return Geography({name: Region(name) for name in names}, delays, jitter)


_PLACES = (
    Region("australia", -33.9, 151.2, 290),
    Region("europe", 50.1, 8.7, 5599),
    Region("east_asia", 35.7, 139.7, 1059),
    Region("west_asia", 25.2, 55.3, 161),
    Region("na_east", 39.0, -77.5, 2894),
    Region("na_west", 37.4, -121.9, 1240),
    Region("south_africa", -26.2, 28.0, 47),
    Region("south_america", -23.5, -46.6, 36),
)

# One way, in milliseconds, in the order of _PLACES.
_MILLISECONDS = (
    (2, 165, 110, 180, 150, 110, 220, 190),
    (165, 2, 125, 60, 70, 110, 95, 140),
    (110, 125, 4, 110, 140, 100, 175, 175),
    (180, 60, 110, 5, 110, 150, 110, 145),
    (150, 70, 140, 110, 2, 60, 130, 100),
    (110, 110, 100, 150, 60, 2, 160, 100),
    (220, 95, 175, 110, 130, 160, 7, 190),
    (190, 140, 175, 145, 100, 100, 195, 7),
)

#: Eight regions of the world.
WORLD = Geography(
    {place.name: place for place in _PLACES},
    {
        (a.name, b.name): _MILLISECONDS[i][j] / 1000
        for i, a in enumerate(_PLACES)
        for j, b in enumerate(_PLACES)
    },
    jitter=0.1,
)
