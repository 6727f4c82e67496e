"""A hole punched, as a story in three lanes: what the traces of the two peers, the relay and the internet tell of it.

    A       called through the relay; client of what comes of it
    relay   carries CONNECT, CONNECT and SYNC
    B       was called; begins, measures the round trip, waits for half of it

Times are seconds after B's first CONNECT. Packets between the two are in the story if the internet was recorded as well
(`lab.record(net.trace, alice, bob, relay)`); without it the first one of each side is drawn from its dial, at a guess.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened
from libp2p_lab.nat.dcutr_messages import Connect, Sync
from libp2p_lab.nat.events import (
    CircuitOpened,
    PunchDialEnded,
    PunchDialStarted,
    PunchEnded,
    PunchStarted,
    RoundTripMeasured,
)
from libp2p_lab.nat.relay_messages import HopConnect, StopConnect
from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.trace import Entry

Shape = Literal["arrow", "span", "moment"]
Kind = Literal[
    "CONNECT",
    "SYNC",
    "round trip",
    "half",
    "dial",
    "packet",
    "crossing",
    "direct",
    "closed",
    "given up",
]

A, RELAY, B = 0, 1, 2  # lanes
PACKETS = 3  # of each direction that are drawn, in each attempt
LONG = 0.6  # seconds without anything: drawn shorter from there on
_DRAWN = ("syn", "datagram", "rst")


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing in the picture.

    Attributes:
        shape: an arrow between lanes, a stretch of one lane, or a moment.
        kind: what it is.
        attempt: 1 to 3; 0 if it belongs to none.
        lanes: where; of an arrow from and to.
        times: when; of an arrow when it left, passed the relay (if it is known) and arrived; of a crossing when, and
            at which part of the way from A to B.
        text: what it is, in a sentence.
        is_bad: whether something ended here that should have gone on.
        is_guess: whether its times are not in the record.
    """

    shape: Shape
    kind: Kind
    attempt: int
    lanes: tuple[int, ...]
    times: tuple[float, ...]
    text: str
    is_bad: bool = False
    is_guess: bool = False

    @property
    def moments(self) -> tuple[float, ...]:
        """Its times; of a crossing the first of the two numbers alone."""
        return self.times[:1] if self.shape == "moment" else self.times


@dataclass(slots=True)
class Story:
    """What happened.

    Attributes:
        names: of A, the relay and B.
        marks: in the order of time.
        attempts: exchanges that were begun.
        outcome: "punched", "failed", "dialed", or "" while it is not known.
        cause: why it failed.
    """

    names: tuple[str, str, str] = ("A", "relay", "B")
    marks: list[Mark] = field(default_factory=list)
    attempts: int = 0
    outcome: str = ""
    cause: str = ""

    def of(self, kind: Kind, attempt: int | None = None) -> list[Mark]:
        """The marks of a kind, of one attempt or of all."""
        return [m for m in self.marks if m.kind == kind and attempt in (None, m.attempt)]

    @property
    def rtt(self) -> float | None:
        """The round trip that was measured last, in seconds."""
        spans = self.of("round trip")
        return spans[-1].times[1] - spans[-1].times[0] if spans else None

    def summary(self) -> str:
        """What happened, in a sentence or two."""
        if not self.marks:
            return "Nobody has tried to punch a hole yet."
        exchanges = f"{self.attempts} exchange{'s' if self.attempts != 1 else ''}"
        trip = f", a round trip of {shown(self.rtt)} through the relay" if self.rtt else ""
        match self.outcome:
            case "punched":
                direct = max((m.times[0] for m in self.of("direct")), default=None)
                when = f" {shown(direct)} after the first CONNECT" if direct is not None else ""
                return f"Punched after {exchanges}{trip}; both have the direct connection{when}."
            case "failed":
                return f"Not punched: {exchanges}{trip}. They stay on the relay."
            case "dialed":
                return "No hole was needed: one of the two could be dialed."
        return f"Under way: {exchanges} so far{trip}."

    def scale(self, attempt: int = 0) -> list[tuple[float, float]]:
        """Where moments stand in the picture, from 0 to 1: pairs to draw straight lines between.

        Long waits are cut short.

        Args:
            attempt: only this one; 0 for all.
        """
        marks = [mark for mark in self.marks if attempt in (0, mark.attempt)]
        times = sorted({time for mark in marks for time in mark.moments})
        if not times:
            return []
        at, places = 0.0, [(times[0], 0.0)]
        for before, time in itertools.pairwise(times):
            gap = time - before
            at += gap if gap <= LONG else LONG + 0.02 * (gap - LONG)
            places.append((time, at))
        return [(time, place / (at or 1.0)) for time, place in places]


def shown(seconds: float | None) -> str:
    """A time for people."""
    if seconds is None:
        return "?"
    return f"{seconds:.2f} s" if abs(seconds) >= 1 else f"{1000 * seconds:.0f} ms"


def last_story(entries: Iterable[Entry], names: Mapping[str, str] | None = None) -> Story:
    """The last hole punching that a record tells of; without one, a story without marks.

    Args:
        entries: what the peers (and the relay, and the internet) told, the oldest first.
        names: what peers are called, by the text of their ids.
    """
    told = list(entries)
    begun = _begun(told)
    if begun is None:
        return Story()
    return _Teller(told, *begun, names or {}).story()


def _begun(told: Sequence[Entry]) -> tuple[str, str, float] | None:
    """Who began the last exchanges, on which relayed connection, and when."""
    answered: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], float] = {}
    for entry in told:
        if not isinstance(entry.what, Connect):
            continue
        where = (entry.node, entry.link.partition("/")[0])
        if entry.direction == "sent" and where not in answered:
            found.setdefault(where, entry.time)
        elif entry.direction == "received" and where not in found:
            answered.add(where)
    if not found:
        return None
    (node, link), began = list(found.items())[-1]
    return node, link, began


class _Teller:
    """Reads one story out of a record.

    Args:
        told: the record.
        b, link, began: who began, on which connection, when.
        names: what peers are called.
    """

    def __init__(
        self, told: Sequence[Entry], b: str, link: str, began: float, names: Mapping[str, str]
    ) -> None:
        self.told = [entry for entry in told if entry.time >= began]
        self.before = [entry for entry in told if entry.time < began]
        self.began = began
        self.b, self.b_link = b, link
        self.a, self.a_link = self._caller()
        self.relay, self.relay_links = self._relay()
        called = [names.get(peer, "") for peer in (self.a, self.relay, self.b)]
        whole = [name or word for name, word in zip(called, ("A", "relay", "B"), strict=True)]
        self._story = Story(names=(whole[0], whole[1], whole[2]))
        self._ips: dict[int, set[str]] = {A: set(), B: set()}
        self._begins: list[float] = []  # of each exchange
        self._is_net_recorded = any(isinstance(entry.what, PacketSent) for entry in self.told)

    def _caller(self) -> tuple[str, str]:
        for entry in self.told:
            received = isinstance(entry.what, Connect) and entry.direction == "received"
            if received and entry.node != self.b:
                return entry.node, entry.link.partition("/")[0]
        for entry in self.told:  # A was not recorded
            if entry.node == self.b and isinstance(entry.what, RoundTripMeasured | PunchStarted):
                return entry.what.peer, ""
        return "", ""

    def _relay(self) -> tuple[str, dict[int, str]]:
        """Who carried it, and by which of its streams it heard from A and from B."""
        links: dict[int, str] = {}
        relay = ""
        for entry in (*self.before, *self.told):
            match entry.what:
                case HopConnect() if entry.layer == "relay" and entry.direction == "received":
                    links[A] = entry.link
                case StopConnect() if entry.layer == "relay" and entry.direction == "sent":
                    links[B] = entry.link
                case CircuitOpened(source=source, target=target) if {source, target} == {
                    self.a,
                    self.b,
                }:
                    relay = entry.node
        return relay, links if relay else {}

    def _at(self, time: float) -> float:
        return time - self.began

    def _lane(self, node: str) -> int:
        return B if node == self.b else A

    def _name(self, lane: int) -> str:
        return self._story.names[lane]

    def story(self) -> Story:
        """All of it."""
        story = self._story
        self._exchanges()
        self._dials()
        for attempt in range(1, story.attempts + 1):
            self._packets(attempt)
        self._ends()
        story.marks.sort(key=lambda mark: (mark.times[0], mark.times[-1]))
        return story

    def _add(
        self,
        shape: Shape,
        kind: Kind,
        attempt: int,
        lanes: tuple[int, ...],
        times: tuple[float, ...],
        text: str,
        **more: bool,
    ) -> None:
        self._story.marks.append(Mark(shape, kind, attempt, lanes, times, text, **more))

    # -- through the relay --------------------------------------------------------------------------------------------

    def _exchanges(self) -> None:
        heard: dict[tuple[int, str], list[float]] = {}
        for entry in self.told:
            if isinstance(entry.what, Connect | Sync) and entry.direction == "received":
                key = (self._lane(entry.node), type(entry.what).__name__)
                heard.setdefault(key, []).append(self._at(entry.time))
        asked = measured = 0.0
        for entry in self.told:
            what, now, lane = entry.what, self._at(entry.time), self._lane(entry.node)
            match what:
                case Connect(addrs) if entry.direction == "sent":
                    self._ips[lane] |= {str(addr.parts[0].value) for addr in addrs if addr.parts}
                    if lane == B:
                        self._story.attempts += 1
                        self._begins.append(now)
                        asked = now
                    self._carried("CONNECT", lane, now, heard)
                case Connect() if lane == B:
                    measured = now
                    self._add(
                        "span",
                        "round trip",
                        self._story.attempts,
                        (B,),
                        (asked, now),
                        f"{self._name(B)} has measured a round trip: {shown(now - asked)}",
                    )
                case Sync() if entry.direction == "sent":
                    self._carried("SYNC", lane, now, heard)
                case PunchStarted(role="initiator", attempt=attempt):
                    half = (measured - asked) / 2
                    self._add(
                        "span",
                        "half",
                        attempt,
                        (B,),
                        (measured, now),
                        f"{self._name(B)} waits for {shown(now - measured)}; half of the round trip is {shown(half)}",
                    )
                case PunchEnded(outcome=outcome, cause=cause) if lane == B:
                    self._story.outcome, self._story.cause = outcome, cause
                case _:
                    pass

    def _carried(
        self, kind: Kind, lane: int, now: float, heard: dict[tuple[int, str], list[float]]
    ) -> None:
        other = A + B - lane
        queue = heard.get((other, kind.capitalize()), [])
        while queue and queue[0] < now:
            queue.pop(0)
        arrived = queue.pop(0) if queue else None
        text = f"{kind} from {self._name(lane)} to {self._name(other)}"
        if arrived is None:
            text += ", not seen to arrive" if self.a_link else "; the other side was not recorded"
            self._add(
                "arrow",
                kind,
                self._story.attempts,
                (lane, other),
                (now, now + 0.05),
                text,
                is_guess=True,
            )
            return
        passed = self._passed(lane, now, arrived)
        times = (now, arrived) if passed is None else (now, passed, arrived)
        self._add(
            "arrow",
            kind,
            self._story.attempts,
            (lane, other),
            times,
            f"{text}: {shown(arrived - now)} on the way",
        )

    def _passed(self, lane: int, left: float, arrived: float) -> float | None:
        """When the relay had it in its hands."""
        link = self.relay_links.get(lane)
        for entry in self.told:
            now = self._at(entry.time)
            is_heard = entry.layer == "stream" and entry.direction == "received"
            if (
                is_heard
                and (entry.node, entry.link) == (self.relay, link)
                and left <= now < arrived
            ):
                return now
        return None

    # -- between the two ----------------------------------------------------------------------------------------------

    def _dials(self) -> None:
        running: dict[tuple[int, int, str], float] = {}
        for entry in self.told:
            now, lane = self._at(entry.time), self._lane(entry.node)
            match entry.what:
                case PunchDialStarted(attempt=attempt, addr=addr):
                    running[lane, attempt, addr] = now
                case PunchDialEnded(attempt=attempt, addr=addr, cause=cause):
                    since = running.pop((lane, attempt, addr), now)
                    verb = "dials" if "/udp/" not in addr or lane == A else "sends datagrams to"
                    how = f": {cause}" if cause else ", and is through"
                    self._add(
                        "span",
                        "dial",
                        attempt,
                        (lane,),
                        (since, now),
                        f"{self._name(lane)} {verb} {addr} for {shown(now - since)}{how}",
                        is_bad=bool(cause) and cause != "another was first",
                    )
                case _:
                    pass
        for (lane, attempt, addr), since in running.items():
            self._add(
                "span", "dial", attempt, (lane,), (since, since), f"{self._name(lane)} dials {addr}"
            )

    def _started(self, attempt: int) -> dict[int, float]:
        return {
            self._lane(entry.node): self._at(entry.time)
            for entry in self.told
            if isinstance(entry.what, PunchStarted) and entry.what.attempt == attempt
        }

    def _packets(self, attempt: int) -> None:
        started = self._started(attempt)
        if not started:
            return
        until = min(self._started(attempt + 1).values(), default=float("inf"))
        found = self._recorded(min(started.values()), until)
        if not self._is_net_recorded and len(started) == 2:
            found = self._guessed(started)
        for lane in (A, B):
            for kind, left, arrived, fate, guess in found[lane][:PACKETS]:
                other = A + B - lane
                word = {"syn": "SYN", "rst": "RST: a refusal"}.get(kind, kind)
                end = (
                    f", {fate} there"
                    if fate
                    else f": {shown(arrived - left)} on the way"
                    if not guess
                    else ", at a guess"
                )
                self._add(
                    "arrow",
                    "packet",
                    attempt,
                    (lane, other),
                    (left, arrived),
                    f"{word} from {self._name(lane)} to {self._name(other)}{end}",
                    is_bad=bool(fate) or kind == "rst",
                    is_guess=guess,
                )
        if found[A] and found[B]:
            self._cross(attempt, found[A][0], found[B][0])

    def _recorded(self, since: float, until: float) -> dict[int, list[_Packet]]:
        found: dict[int, list[_Packet]] = {A: [], B: []}
        fates = {
            e.what.number: e.what.reason for e in self.told if isinstance(e.what, PacketDropped)
        }
        for entry in self.told:
            now, what = self._at(entry.time), entry.what
            if (
                not isinstance(what, PacketSent)
                or what.kind not in _DRAWN
                or not since <= now < until
            ):
                continue
            source, target = what.src.rpartition(":")[0], what.dst.rpartition(":")[0]
            for lane in (A, B):
                if source in self._ips[lane] and target in self._ips[A + B - lane]:
                    fate = fates.get(what.number, "")
                    found[lane].append((what.kind, now, self._at(what.arrives_at), fate, False))
        return found

    def _guessed(self, started: dict[int, float]) -> dict[int, list[_Packet]]:
        """Nobody saw the packets: as if the direct way took half of the round trip through the relay."""
        way = (self._story.rtt or 0.1) / 2
        return {lane: [("packet", left, left + way, "", True)] for lane, left in started.items()}

    def _cross(self, attempt: int, one: _Packet, other: _Packet) -> None:
        _, left_a, there_a, _, guess = one
        _, left_b, there_b, _, _ = other
        if left_b > there_a or left_a > there_b:
            early, late = (A, B) if left_b > there_a else (B, A)
            when = max(left_a, left_b)
            self._add(
                "moment",
                "crossing",
                attempt,
                (late,),
                (when,),
                f"They do not cross: the first packet of {self._name(early)} was there before the first of "
                f"{self._name(late)} left",
                is_bad=True,
                is_guess=guess,
            )
            return
        # Where the two lines meet: at the share s of A's way and 1 - s of B's.
        way_a, way_b = there_a - left_a, there_b - left_b
        share = (left_b + way_b - left_a) / ((way_a + way_b) or 1.0)
        when = left_a + share * way_a
        self._add(
            "moment",
            "crossing",
            attempt,
            (A, B),
            (when, share),
            f"The first packets cross {shown(when)} after CONNECT; they left {shown(abs(left_a - left_b))} apart",
            is_guess=guess,
        )

    # -- how it ends --------------------------------------------------------------------------------------------------

    def _ends(self) -> None:
        direct: set[int] = set()
        for entry in self.told:
            now, lane = self._at(entry.time), self._lane(entry.node)
            links = {self.a: self.a_link, self.b: self.b_link}
            others = {self.a: self.b, self.b: self.a}
            match entry.what:
                case ConnectionOpened(peer=peer) if peer == others.get(entry.node):
                    if lane not in direct and entry.link != links[entry.node]:
                        direct.add(lane)
                        attempt = sum(began <= now for began in self._begins)
                        text = f"{self._name(lane)} has the direct connection"
                        self._add("moment", "direct", attempt, (lane,), (now,), text)
                case ConnectionClosed() if entry.node in links and entry.link == links[entry.node]:
                    self._add(
                        "moment",
                        "closed",
                        0,
                        (lane,),
                        (now,),
                        f"{self._name(lane)}: the relayed connection is closed",
                    )
                case PunchEnded(outcome="failed", attempts=attempts) if entry.node in links:
                    self._add(
                        "moment",
                        "given up",
                        attempts,
                        (lane,),
                        (now,),
                        f"{self._name(lane)} gives up after {attempts} exchanges",
                        is_bad=True,
                    )
                case _:
                    pass


#: kind, when it left, when it arrives, what became of it, whether that is a guess
_Packet = tuple[str, float, float, str, bool]
