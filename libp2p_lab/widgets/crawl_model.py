"""What `CrawlBoard` shows: one crawl as it grows, and the one before for comparison."""

from __future__ import annotations

from dataclasses import dataclass, field

from libp2p_lab.crawling.findings import Churn, CrawledPeer, Progress, churn
from libp2p_lab.identity.peer_id import PeerId

MAX_SAMPLES = 240  # points of the curves; when there are more, every other goes
MAX_RUNS = 50  # crawls in the table of crawls


@dataclass(slots=True)
class CrawlRun:
    """One crawl.

    Attributes:
        number: counted from 1, in this board.
        peers: whom it found, in the order in which they were visited.
        samples: (seconds, heard of, visited, reached).
        progress: the last sums.
        since: what changed since the crawl before; None while it is not over.
    """

    number: int
    peers: dict[PeerId, CrawledPeer] = field(default_factory=dict)
    samples: list[tuple[float, int, int, int]] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    since: Churn | None = None
    _every: int = 1
    _seen: int = 0

    def take(self, found: CrawledPeer, progress: Progress) -> None:
        """One more peer."""
        self.peers[found.peer_id] = found
        self.note(progress)

    def note(self, progress: Progress) -> None:
        """A point of the curves; when there are many, every other is let go and fewer are taken from then on."""
        self.progress = progress
        self._seen += 1
        if self._seen % self._every:
            return
        sample = (round(progress.seconds, 3), progress.heard, progress.visited, progress.there)
        self.samples.append(sample)
        if len(self.samples) > MAX_SAMPLES:
            del self.samples[1:-1:2]
            self._every *= 2


class CrawlHistory:
    """The crawls that a board has seen. The peers of the last two are kept, of those before the sums."""

    def __init__(self) -> None:
        self.runs: list[CrawlRun] = []
        self._count = 0

    @property
    def now(self) -> CrawlRun | None:
        """The last one."""
        return self.runs[-1] if self.runs else None

    @property
    def before(self) -> CrawlRun | None:
        """The one before it."""
        return self.runs[-2] if len(self.runs) > 1 else None

    def begin(self, progress: Progress) -> None:
        """A new crawl."""
        self._count += 1
        self.runs.append(CrawlRun(self._count))
        self.runs[-1].note(progress)
        for old in self.runs[:-2]:
            old.peers.clear()
            old.samples.clear()
        del self.runs[:-MAX_RUNS]

    def take(self, found: CrawledPeer, progress: Progress) -> None:
        """One more peer."""
        if self.runs:
            self.runs[-1].take(found, progress)

    def end(self, progress: Progress) -> None:
        """The crawl is over, or was stopped."""
        run = self.now
        if run is None:
            return
        run.note(progress)
        if self.before is not None and progress.is_finished and self.before.progress.is_finished:
            run.since = churn(self.before.peers.values(), run.peers.values())
