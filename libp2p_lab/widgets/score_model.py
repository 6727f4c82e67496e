"""Scores over time: what each of a few peers thought of its neighbours, heartbeat by heartbeat. No drawing, no loop."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from libp2p_lab.pubsub import ScoreParts

MAX_SAMPLES = 600  # heartbeats of one judge: ten minutes
MAX_PEERS = 64  # judged by one peer; those seen first


@dataclass(frozen=True, slots=True)
class Sample:
    """One score at one heartbeat."""

    time: float
    beat: int
    score: ScoreParts


@dataclass(slots=True)
class ScoreHistory:
    """The scores that several peers gave. Bounded.

    Attributes:
        samples: by judge and by who is judged, the oldest first.
    """

    samples: dict[str, dict[str, deque[Sample]]] = field(default_factory=dict)

    def take(self, judge: str, time: float, beat: int, scores: dict[str, ScoreParts]) -> None:
        """What one judge thinks at one heartbeat."""
        books = self.samples.setdefault(judge, {})
        for peer, score in scores.items():
            if peer in books or len(books) < MAX_PEERS:
                book = books.setdefault(peer, deque(maxlen=MAX_SAMPLES))
                book.append(Sample(time, beat, score))

    def of(self, judge: str, peer: str) -> list[Sample]:
        """What one thought of the other."""
        return list(self.samples.get(judge, {}).get(peer, ()))

    def judged(self, judge: str) -> list[str]:
        """Whom it has judged: the worst of now first."""
        books = self.samples.get(judge, {})
        return sorted(books, key=lambda peer: books[peer][-1].score.total)
