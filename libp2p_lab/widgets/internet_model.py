"""What an internet's trace says, as a map draws it: places with numbers, packets as rows of numbers."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.sim.events import (
    BoxAdded,
    Healed,
    HostFailure,
    MachineAdded,
    MachineChanged,
    PacketDropped,
    PacketSent,
    Partitioned,
)

KINDS = ("data", "ack", "syn", "synack", "fin", "rst", "datagram")
MAX_PACKETS = 4000  # that one batch tells of; the newest
MAX_DROPS = 200
MAX_FAILURES = 20


@dataclass(slots=True)
class Place:
    """A machine or a box.

    Attributes:
        index: its number on the map.
        kind: "machine" or "box".
        about: its peer id, or its behaviour in words.
        state: "up", "crashed" or "frozen".
    """

    index: int
    name: str
    kind: str
    region: str = ""
    box: str = ""
    ips: tuple[str, ...] = ()
    about: str = ""
    state: str = "up"
    sent: int = 0
    dropped: int = 0

    def told(self) -> dict[str, Any]:
        """What the page needs of it."""
        return {
            "index": self.index,
            "name": self.name,
            "kind": self.kind,
            "region": self.region,
            "box": self.box,
            "state": self.state,
        }

    def card(self) -> dict[str, Any]:
        """All of it."""
        return {
            **self.told(),
            "ips": self.ips,
            "about": self.about,
            "sent": self.sent,
            "dropped": self.dropped,
        }


@dataclass(slots=True)
class InternetModel:
    """What there is, and what has not been told yet.

    Attributes:
        places: by name.
        cuts: by number: the names on both sides; the second is empty where it is everybody else.
        drops: packets by the reason for which they went no further.
        failures: the last errors that nobody caught on a host.
    """

    places: dict[str, Place] = field(default_factory=dict)
    cuts: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    drops: Counter[str] = field(default_factory=Counter)
    failures: deque[str] = field(default_factory=lambda: deque(maxlen=MAX_FAILURES))
    _changed: dict[str, Place] = field(default_factory=dict)
    _cuts_changed: bool = True
    _flights: deque[tuple[float, ...]] = field(default_factory=lambda: deque(maxlen=MAX_PACKETS))
    _lost: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=MAX_DROPS))

    def take(self, time: float, event: object) -> None:
        """One fact; told twice, it changes nothing but the counts of packets."""
        match event:
            case PacketSent():
                self._send(time, event)
            case PacketDropped(_, where, reason):
                self.drops[reason] += 1
                if place := self.places.get(where):
                    place.dropped += 1
                    self._lost.append((place.index, reason))
            case MachineAdded(name, ips, region, box, peer):
                self._put(name, "machine", region, box, ips, peer)
            case BoxAdded(name, ips, region, box, behaviour):
                self._put(name, "box", region, box, ips, behaviour)
            case MachineChanged(name, state):
                place = self._place(name)
                place.state = state
                self._changed[name] = place
            case Partitioned(number, a, b):
                self.cuts[number] = a, b
                self._cuts_changed = True
            case Healed(number):
                self._cuts_changed = self.cuts.pop(number, None) is not None or self._cuts_changed
            case HostFailure(host, error):
                self.failures.append(f"{host or 'the scenario'} at {time:.3f} s: {error}")

    def changes(self, *, everything: bool = False) -> tuple[dict[str, Any], bytes]:
        """What is new since the last call, or all: a message, and its packets as rows of six doubles.

        A row is source, target, kind, the moments of leaving and of arriving, bytes.
        """
        told = self.places.values() if everything else self._changed.values()
        message: dict[str, Any] = {
            "places": [place.told() for place in told],
            "drops": dict(self.drops),
            "lost": list(self._lost),
        }
        if everything or self._cuts_changed:
            message["cuts"] = [
                {"number": number, "a": a, "b": b} for number, (a, b) in self.cuts.items()
            ]
        rows = array("d", [value for flight in self._flights for value in flight])
        self._changed.clear()
        self._flights.clear()
        self._lost.clear()
        self._cuts_changed = False
        return message, rows.tobytes()

    def tell_cuts(self) -> None:
        """Let the next message hold the cuts, changed or not."""
        self._cuts_changed = True

    def summary(self) -> str:
        """One sentence: how many of what."""
        kinds = Counter(place.kind for place in self.places.values())
        states = Counter(place.state for place in self.places.values())
        parts = [_count(kinds["machine"], "machine")]
        if kinds["box"]:
            parts.append(_count(kinds["box"], "box", "boxes"))
        parts += [f"{states[state]} {state}" for state in ("crashed", "frozen") if states[state]]
        if self.cuts:
            parts.append(_count(len(self.cuts), "cut"))
        return ", ".join(parts)

    def _place(self, name: str) -> Place:
        if name not in self.places:
            self.places[name] = Place(len(self.places), name, "machine")
        return self.places[name]

    def _put(
        self, name: str, kind: str, region: str, box: str, ips: tuple[str, ...], about: str
    ) -> None:
        place = self._place(name)
        place.kind, place.region, place.box, place.ips = kind, region, box, ips
        place.about = about
        self._changed[name] = place

    def _send(self, time: float, sent: PacketSent) -> None:
        source, target = self.places.get(sent.source), self.places.get(sent.target)
        if source is None or target is None:
            return
        source.sent += 1
        kind = KINDS.index(sent.kind) if sent.kind in KINDS else 0
        self._flights.append((source.index, target.index, kind, time, sent.arrives_at, sent.size))


def _count(number: int, noun: str, several: str = "") -> str:
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"
