"""What a crawl finds: one peer at a time, the sum of all, and what changed since the last time.

    ANSWERED     told us whom it knows
    CONNECTED    is there, but does not serve this DHT, or did not answer
    UNREACHED    no address led to it
    UNDIALED     nobody named an address of it that we may dial

What peers say of themselves is text of strangers: it is cut to a length when it comes, and nothing is counted under
more names than the limits say.

No time, chance or network in here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

OTHERS = "others"  # the name of whatever comes after the first `crawl_names`
UNNAMED = "did not say"


class Reach(Enum):
    """How far we got with one peer."""

    ANSWERED = "answered"
    CONNECTED = "connected"
    UNREACHED = "unreached"
    UNDIALED = "undialed"

    @property
    def is_there(self) -> bool:
        """Whether it proved who it is: somebody holds this name, and can be called."""
        return self in (Reach.ANSWERED, Reach.CONNECTED)


@dataclass(frozen=True, slots=True)
class CrawledPeer:
    """One peer, as a crawl found it.

    Attributes:
        peer_id: who.
        reach: how far we got.
        addrs: where others say that it is.
        addr: where it answered; None if nowhere.
        agent: its program, as it says; "" if it does not.
        protocols: what it speaks, as it says.
        named: how many peers it named.
        questions: how many it was asked.
        seconds: from the first dial until there was a connection; 0 if there is none, or was before.
        why: what went wrong; "" for nothing.
    """

    peer_id: PeerId
    reach: Reach
    addrs: tuple[Multiaddr, ...] = ()
    addr: Multiaddr | None = None
    agent: str = ""
    protocols: tuple[str, ...] = ()
    named: int = 0
    questions: int = 0
    seconds: float = 0.0
    why: str = ""

    @property
    def transport(self) -> str:
        """How it was reached, as the address has it: "tcp", "quic-v1", "ws", …; "" if it was not."""
        return transport_of(self.addr) if self.addr is not None else ""

    @property
    def program(self) -> str:
        """The agent without its version: what stands before the first "/"."""
        return self.agent.partition("/")[0] or UNNAMED


def transport_of(addr: Multiaddr) -> str:
    """The name of the transport that an address is for: its last part that names one."""
    names = [n for n in addr.names if n in _TRANSPORTS]
    if "tls" in addr.names and "ws" in names:
        return "wss"
    return names[-1] if names else addr.names[0] if addr.names else ""


_TRANSPORTS = (
    "memory", "unix", "tcp", "quic", "quic-v1", "ws", "wss", "webtransport", "webrtc-direct", "webrtc",
    "p2p-circuit",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a crawl is.

    Attributes:
        seconds: since it began, interruptions left out.
        heard: peers that it knows of.
        waiting: peers to be visited.
        visiting: peers that are being visited.
        reach: how many of each kind.
        agents, programs, protocols, transports: how many peers that are there, by name, the most frequent first.
        questions: how many were asked.
        refused: peers not taken in because there were too many.
        is_finished: whether it is over.
    """

    seconds: float = 0.0
    heard: int = 0
    waiting: int = 0
    visiting: int = 0
    reach: Mapping[Reach, int] = field(default_factory=dict)
    agents: Mapping[str, int] = field(default_factory=dict)
    programs: Mapping[str, int] = field(default_factory=dict)
    protocols: Mapping[str, int] = field(default_factory=dict)
    transports: Mapping[str, int] = field(default_factory=dict)
    questions: int = 0
    refused: int = 0
    is_finished: bool = False

    @property
    def visited(self) -> int:
        """How many were visited, successfully or not."""
        return sum(self.reach.values()) - self.reach.get(Reach.UNDIALED, 0)

    @property
    def there(self) -> int:
        """How many were reached."""
        return sum(count for reach, count in self.reach.items() if reach.is_there)

    @property
    def share(self) -> float:
        """The part of the visited that was reached, 0 to 1."""
        return self.there / self.visited if self.visited else 0.0


class Tally:
    """Counts peers as they are found."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._names = limits.crawl_names
        self.reach: Counter[Reach] = Counter()
        self.agents: Counter[str] = Counter()
        self.programs: Counter[str] = Counter()
        self.protocols: Counter[str] = Counter()
        self.transports: Counter[str] = Counter()
        self.questions = 0

    def add(self, found: CrawledPeer) -> None:
        """One more."""
        self.reach[found.reach] += 1
        self.questions += found.questions
        if found.reach.is_there:
            self._count(self.agents, found.agent or UNNAMED)
            self._count(self.programs, found.program)
            self._count(self.transports, found.transport)
            for protocol in dict.fromkeys(found.protocols):
                self._count(self.protocols, protocol)

    def _count(self, counter: Counter[str], name: str) -> None:
        if name not in counter and len(counter) >= self._names:
            name = OTHERS
        counter[name] += 1

    def progress(self, **more: float) -> Progress:
        """The sums so far; `more` are the attributes of `Progress` that are not counted here."""
        return Progress(
            reach=dict(self.reach),
            agents=dict(self.agents.most_common()),
            programs=dict(self.programs.most_common()),
            protocols=dict(self.protocols.most_common()),
            transports=dict(self.transports.most_common()),
            questions=self.questions,
            **more,  # type: ignore[arg-type]
        )


def tally(peers: Iterable[CrawledPeer], limits: Limits = DEFAULT_LIMITS) -> Progress:
    """The sums of a crawl that is over."""
    counted = Tally(limits)
    for found in peers:
        counted.add(found)
    return counted.progress(heard=sum(counted.reach.values()), is_finished=True)


@dataclass(frozen=True, slots=True)
class Churn:
    """Two crawls beside each other. Who is there, is who was reached.

    Attributes:
        came: there now, not before.
        left: there before, not now.
        stayed: there both times.
        changed: those of `stayed` who run another program: (who, agent before, agent now).
    """

    came: tuple[PeerId, ...]
    left: tuple[PeerId, ...]
    stayed: tuple[PeerId, ...]
    changed: tuple[tuple[PeerId, str, str], ...]

    def __str__(self) -> str:
        return (
            f"{len(self.stayed)} stayed, {len(self.came)} came, {len(self.left)} left, "
            f"{len(self.changed)} run another program"
        )


def churn(before: Iterable[CrawledPeer], after: Iterable[CrawledPeer]) -> Churn:
    """What changed between two crawls."""
    old = {found.peer_id: found.agent for found in before if found.reach.is_there}
    new = {found.peer_id: found.agent for found in after if found.reach.is_there}
    stayed = tuple(peer for peer in new if peer in old)
    return Churn(
        tuple(peer for peer in new if peer not in old),
        tuple(peer for peer in old if peer not in new),
        stayed,
        tuple((p, old[p], new[p]) for p in stayed if old[p] and new[p] and old[p] != new[p]),
    )
