"""A film of an internet: what there is, and which packets are on their way, at any moment of the recording.

    with lab.sim.film(net) as film:
        net.run_for(10)
    frame = film.frame(3.25)
    frame.machines, frame.boxes, frame.links, frame.packets

Widgets draw from it; it needs nothing but the trace of the internet, and holds the newest `max_packets` packets.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.sim.events import (
    BoxAdded,
    Healed,
    MachineAdded,
    MachineChanged,
    PacketDropped,
    PacketSent,
    Partitioned,
)
from libp2p_lab.trace import Entry

if TYPE_CHECKING:
    from libp2p_lab.sim.internet import Internet


@dataclass(frozen=True, slots=True)
class Flight:
    """A packet on its way.

    Attributes:
        number: of the packet.
        kind: as `PacketSent.kind`.
        source, target: names of machines or boxes.
        size: bytes.
        progress: 0 where it left, 1 where it arrives.
        fate: "" if it arrives, else why it does not.
    """

    number: int
    kind: str
    source: str
    target: str
    size: int
    progress: float
    fate: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment.

    Attributes:
        time: virtual seconds.
        machines: what is known of each, by name.
        states: "up", "crashed" or "frozen", by name.
        boxes: NAT boxes and firewalls, by name.
        cuts: partitions that hold.
        links: pairs of names that exchanged packets so far, and how many bytes.
        packets: on their way now.
    """

    time: float
    machines: dict[str, MachineAdded]
    states: dict[str, str]
    boxes: dict[str, BoxAdded]
    cuts: tuple[Partitioned, ...]
    links: dict[tuple[str, str], int]
    packets: tuple[Flight, ...]


class Film:
    """A bounded recording; use it as a context manager, or call `stop`.

    Attributes:
        dropped: packets that were forgotten to keep the bound.
    """

    def __init__(self, net: Internet, max_packets: int = 200_000) -> None:
        self.dropped = 0
        self._max = max_packets
        self._net = net
        self._sent: deque[tuple[float, PacketSent]] = deque()
        self._fates: dict[tuple[int, str], tuple[float, str]] = {}
        self._scene: list[tuple[float, object]] = []
        self._forgotten_links: dict[tuple[str, str], int] = {}
        for event in net.scene():
            self._scene.append((net.now, event))
        self._stop: Callable[[], None] | None = net.trace.listen(self.take)

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __len__(self) -> int:
        return len(self._sent)

    def stop(self) -> None:
        """Record no more."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def take(self, entry: Entry) -> None:
        """Add one fact: what the trace calls."""
        match entry.what:
            case PacketSent() as sent:
                self._sent.append((entry.time, sent))
                if len(self._sent) > self._max:
                    _, old = self._sent.popleft()
                    self._fates.pop((old.number, old.target), None)
                    key = _pair(old)
                    self._forgotten_links[key] = self._forgotten_links.get(key, 0) + old.size
                    self.dropped += 1
            case PacketDropped(number, where, reason):
                self._fates[number, where] = entry.time, reason
            case what:
                self._scene.append((entry.time, what))

    def frame(self, time: float) -> Frame:
        """The moment `time`."""
        machines: dict[str, MachineAdded] = {}
        states: dict[str, str] = {}
        boxes: dict[str, BoxAdded] = {}
        cuts: dict[int, Partitioned] = {}
        for when, event in self._scene:
            if when > time:
                break
            match event:
                case MachineAdded():
                    machines[event.name] = event
                    states[event.name] = "up"
                case MachineChanged(name, state):
                    states[name] = state
                case BoxAdded():
                    boxes[event.name] = event
                case Partitioned():
                    cuts[event.number] = event
                case Healed(number):
                    cuts.pop(number, None)
        links = dict(self._forgotten_links)
        flights = []
        end = bisect.bisect_right(self._sent, time, key=lambda item: item[0])
        for when, sent in list(self._sent)[:end]:
            links[_pair(sent)] = links.get(_pair(sent), 0) + sent.size
            if sent.arrives_at > time:
                progress = (time - when) / max(sent.arrives_at - when, 1e-9)
                _, fate = self._fates.get((sent.number, sent.target), (0.0, ""))
                flights.append(
                    Flight(
                        sent.number, sent.kind, sent.source, sent.target, sent.size, progress, fate
                    )
                )
        return Frame(time, machines, states, boxes, tuple(cuts.values()), links, tuple(flights))

    @property
    def times(self) -> tuple[float, float]:
        """The first and the last moment with a packet; zeros if there is none."""
        if not self._sent:
            return 0.0, 0.0
        return self._sent[0][0], self._sent[-1][0]


def film(net: Internet, max_packets: int = 200_000) -> Film:
    """Film `net` from now on."""
    return Film(net, max_packets)


def _pair(sent: PacketSent) -> tuple[str, str]:
    return (sent.source, sent.target) if sent.source <= sent.target else (sent.target, sent.source)
