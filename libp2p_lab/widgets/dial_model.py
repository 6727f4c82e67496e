"""A dial as a race: one lane for each address, told by the dialer's own trace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from libp2p_lab.host.events import ConnectionOpened, DialFailed, DialStarted
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.trace import Entry
from libp2p_lab.transports.dialing import Start

#: What a lane does after its start, in this order: the words for the picture.
REACHING = "reaching"  # packets to somebody, and nothing agreed on yet
SECURING = "securing"  # negotiation and handshake
SECURE_LAYERS = ("negotiation", "security", "muxer")


@dataclass(slots=True)
class Lane:
    """One address of a race. Times are seconds after the race began.

    Attributes:
        addr: the address.
        planned: when it would start if nobody has won by then; None if that is not known.
        start: when it did; None for never.
        secured_from: when the first line of a negotiation was sent; None for none (QUIC needs none).
        end: when it was over; None while it runs.
        outcome: "won", "failed", "called off" (somebody else won), "not needed" (it never started) or "running".
        cause: why it failed.
    """

    addr: str
    planned: float | None = None
    start: float | None = None
    secured_from: float | None = None
    end: float | None = None
    outcome: str = "not needed"
    cause: str = ""

    @property
    def transport(self) -> str:
        """Its name for people: "QUIC", "TCP", …"""
        names = Multiaddr(self.addr).names
        for name, word in (("quic-v1", "QUIC"), ("ws", "WebSocket"), ("wss", "WebSocket")):
            if name in names:
                return word
        return {"tcp": "TCP", "memory": "memory"}.get(names[-1], names[-1])

    @property
    def stages(self) -> list[tuple[str, float, float]]:
        """(stage, from, to), one behind the other."""
        if self.start is None or self.end is None:
            return []
        if self.secured_from is None:
            return [(REACHING, self.start, self.end)]
        return [
            (REACHING, self.start, self.secured_from),
            (SECURING, self.secured_from, self.end),
        ]


@dataclass(slots=True)
class Race:
    """One dial.

    Attributes:
        lanes: its addresses, those that start first on top.
        seconds: how long it took; so far, while it runs.
        is_over: whether it does not run any more.
    """

    lanes: list[Lane] = field(default_factory=list)
    seconds: float = 0.0
    is_over: bool = False

    @property
    def winner(self) -> Lane | None:
        """The lane that won."""
        return next((lane for lane in self.lanes if lane.outcome == "won"), None)

    @property
    def attempts(self) -> int:
        """How many addresses were dialed."""
        return sum(lane.start is not None for lane in self.lanes)

    def summary(self) -> str:
        """What happened, in a sentence."""
        if not self.lanes:
            return "Nobody has been dialed yet."
        failed = sum(lane.outcome == "failed" for lane in self.lanes)
        count = f"{self.attempts} of {len(self.lanes)} addresses dialed, {failed} failed"
        if not self.is_over:
            return f"Under way: {count} so far."
        if self.winner is None:
            return f"Nobody reached in {_time(self.seconds)}: {count}."
        return f"Connected in {_time(self.seconds)} by {self.winner.addr}: {count}."


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def last_race(entries: Iterable[Entry], planned: Sequence[Start] = ()) -> Race:
    """The last dial that a record tells of; without one, a race without lanes.

    Args:
        entries: what one or more hosts told, the oldest first.
        planned: which addresses were to start when, where that is known.
    """
    race, began, links = Race(), 0.0, dict[tuple[str, str], Lane]()
    dialer = ""
    for entry in entries:
        now = entry.time - began
        lane = links.get((entry.node, entry.link.partition("/")[0]))
        match entry.what:
            case DialStarted(addr=addr):
                if race.is_over or not race.lanes or entry.node != dialer:
                    race, began, links, dialer, now = Race(), entry.time, {}, entry.node, 0.0
                    race.lanes = [Lane(str(s.addr), s.delay) for s in planned]
                started = _lane(race, addr)
                links[entry.node, entry.link] = started
                if started.start is None:
                    started.start = now
                started.outcome, started.end = "running", None
            case DialFailed(addr=addr, cause=cause) if entry.node == dialer:
                failed = _lane(race, addr)
                failed.outcome, failed.cause, failed.end = "failed", cause, now
                race.is_over = all(one.outcome == "failed" for one in race.lanes)
            case ConnectionOpened(direction="outbound") if lane is not None and not race.is_over:
                lane.outcome, lane.end = "won", now
                race.is_over = True
                _call_off(race, now)
            case _ if lane is not None and entry.layer in SECURE_LAYERS and not race.is_over:
                if lane.secured_from is None:
                    lane.secured_from = now
        if lane is not None or entry.layer == "host":
            race.seconds = race.seconds if race.is_over and race.seconds else now
    if race.is_over:
        race.seconds = max((one.end or 0.0 for one in race.lanes), default=0.0)
    return race


def _lane(race: Race, addr: str) -> Lane:
    for lane in race.lanes:
        if lane.addr == addr:
            return lane
    race.lanes.append(Lane(addr))
    return race.lanes[-1]


def _call_off(race: Race, now: float) -> None:
    for lane in race.lanes:
        if lane.outcome == "running":
            lane.outcome, lane.end = "called off", now
