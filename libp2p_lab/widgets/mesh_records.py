"""What a picture of a mesh is made of: peers, what they decided, and the way of a message."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

MAX_DECISIONS = 60  # of one peer, the last
MAX_ROWS = 20_000  # copies of one message that are drawn; all are counted


@dataclass(frozen=True, slots=True)
class Decision:
    """Something that a peer decided, and why.

    Attributes:
        beat: the heartbeat in which, or before which, it did.
        kind: "graft", "prune", "refuse", "promise" or "message".
        peer: the name of the other.
    """

    time: float
    beat: int
    kind: str
    topic: str
    peer: str
    why: str

    def __str__(self) -> str:
        did = {
            "graft": "grafted",
            "prune": "pruned",
            "refuse": "refused the graft of",
            "promise": "punished",
            "message": "refused a message from",
        }[self.kind]
        where = f" in {self.topic}" if self.topic else ""
        return f"{did} {self.peer}{where}: {self.why}"


@dataclass(slots=True)
class Member:
    """One peer.

    Attributes:
        kind: "gossip", "flood", "router" (some other one), or "remote": we do not follow its trace.
        state: "up" or "gone".
        topics: what it wants.
        beat: the number of its last heartbeat.
        sizes: the size of its meshes after that.
        decisions: the last things that it decided.
        received: messages that reached it, duplicates included.
    """

    index: int
    id: str
    name: str
    kind: str
    state: str = "up"
    is_silent: bool = False
    topics: set[str] = field(default_factory=set)
    beat: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    decisions: deque[Decision] = field(default_factory=lambda: deque(maxlen=MAX_DECISIONS))
    received: int = 0
    duplicates: int = 0
    bytes_sent: int = 0

    @property
    def latest(self) -> list[Decision]:
        """What it decided in its last heartbeat, and since."""
        return [one for one in self.decisions if one.beat >= self.beat]

    def told(self, topic: str) -> dict[str, Any]:
        """What the page draws of it."""
        return {
            "index": self.index,
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "state": "silent" if self.is_silent and self.state == "up" else self.state,
            "wants": topic in self.topics,
            "mesh": self.sizes.get(topic),
            "received": self.received,
            "duplicates": self.duplicates,
        }


@dataclass(slots=True)
class Wave:
    """The way of one message.

    Attributes:
        key: its name here.
        origin: the number of the peer that sent it first.
        time: when.
        size: bytes of one copy, as it travels in an RPC of its own.
        hops: by peer, how many links the message had come when it arrived first.
        rows: copies: from, to, first (1) or duplicate (0), hop, milliseconds since the beginning.
        copies, duplicates: counted, also those that have no row.
        last: seconds after the beginning at which it reached somebody new.
    """

    key: str
    topic: str
    origin: int
    time: float
    size: int
    hops: dict[int, int] = field(default_factory=dict)
    rows: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    copies: int = 0
    duplicates: int = 0
    last: float = 0.0
    told: int = 0  # rows that the page has

    def __post_init__(self) -> None:
        self.hops[self.origin] = 0

    def copy(self, sender: int, receiver: int, time: float) -> bool:
        """A copy arrived. Returns whether it was the first there."""
        is_first = receiver not in self.hops
        hop = self.hops.get(sender, 0) + 1
        self.copies += 1
        if is_first:
            self.hops[receiver] = hop
            self.last = max(self.last, time - self.time)
        else:
            self.duplicates += 1
        if len(self.rows) < MAX_ROWS:
            after = max(0, round((time - self.time) * 1000))
            self.rows.append((sender, receiver, int(is_first), hop, after))
        return is_first

    @property
    def reached(self) -> int:
        """Peers that it came to, beside the one that sent it first."""
        return len(self.hops) - 1

    @property
    def depth(self) -> int:
        """The most hops that a first copy has come."""
        return max(self.hops.values())

    def record(self) -> dict[str, Any]:
        """What the page has not been told yet."""
        at, rows, self.told = self.told, self.rows[self.told :], len(self.rows)
        return {
            "key": self.key,
            "topic": self.topic,
            "origin": self.origin,
            "size": self.size,
            "copies": self.copies,
            "duplicates": self.duplicates,
            "reached": self.reached,
            "depth": self.depth,
            "last": round(self.last * 1000, 1),
            "at": at,
            "rows": [value for row in rows for value in row],
        }
