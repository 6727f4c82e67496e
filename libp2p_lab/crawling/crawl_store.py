"""Crawls in a file: every peer as it is found, so that an interruption costs the visits that were going on, no more.

    with CrawlStore("crawls.db") as store:
        async for found in Crawler(host, store=store).crawl(seeds, resume=True): …
        print(store.compare(*store.numbers[-2:]))        # 812 stayed, 97 came, 104 left, …

Two tables of SQLite: a row for each crawl; a row for each peer of each crawl, without `reach` until it was visited.
One transaction for each visit, its findings and whom it named together, in a write-ahead log: after a crash each visit
is there whole or not at all. ":memory:" keeps all of it in memory.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from libp2p_lab.crawling.findings import Churn, CrawledPeer, Reach, churn
from libp2p_lab.errors import LocalError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId

VERSION = 1  # of the tables
_KIND = int.from_bytes(b"crwl", "big")  # tells these files from others that we write
_TABLES = """
    CREATE TABLE crawls (
        number INTEGER PRIMARY KEY AUTOINCREMENT, protocol TEXT NOT NULL, seeds TEXT NOT NULL,
        private INTEGER NOT NULL, began REAL NOT NULL, ended REAL, seconds REAL NOT NULL
    );
    CREATE TABLE peers (
        crawl INTEGER NOT NULL, peer BLOB NOT NULL, reach TEXT NOT NULL, addrs TEXT NOT NULL,
        addr TEXT NOT NULL, agent TEXT NOT NULL, protocols TEXT NOT NULL, named INTEGER NOT NULL,
        questions INTEGER NOT NULL, seconds REAL NOT NULL, why TEXT NOT NULL,
        UNIQUE (crawl, peer)
    );
"""
_COLUMNS = "peer, reach, addrs, addr, agent, protocols, named, questions, seconds, why"


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl in a store.

    Attributes:
        number: counted from 1.
        protocol: which DHT.
        seeds: whom it began with.
        private: whether private addresses were dialed.
        began, ended: seconds since 1970; `ended` is None while it is not over.
        seconds: that it took, or has taken so far.
    """

    number: int
    protocol: str
    seeds: tuple[str, ...]
    private: bool
    began: float
    ended: float | None
    seconds: float


class CrawlStore:
    """Crawls in an SQLite file. One process at a time may use it.

    Args:
        path: of the file, which is made if it is not there; ":memory:" for none.
        clock: gives seconds since 1970.

    Raises: `LocalError` if the file is no store of crawls, or another process uses it.
    """

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        try:
            self._db = sqlite3.connect(path, timeout=1.0)
        except sqlite3.Error as error:
            raise LocalError(f"{path} cannot be used as a store of crawls: {error}") from None
        try:
            self._open()
        except sqlite3.Error as error:
            self._db.close()
            raise LocalError(f"{path} cannot be used as a store of crawls: {error}") from None
        except LocalError:
            self._db.close()
            raise

    def _open(self) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN EXCLUSIVE")
        [version] = db.execute("PRAGMA user_version").fetchone()
        [kind] = db.execute("PRAGMA application_id").fetchone()
        [tables] = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not version and not tables:
            db.executescript(
                f"{_TABLES} PRAGMA user_version = {VERSION}; PRAGMA application_id = {_KIND};"
            )
        elif (version, kind) != (VERSION, _KIND):
            raise LocalError(
                f"{self._path} is no store of crawls of version {VERSION}: give another path"
            )
        db.commit()

    def __enter__(self) -> CrawlStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Can be called again."""
        self._db.close()

    # -- writing: what a crawler calls ------------------------------------------------------------------------

    def begin(self, protocol: str, seeds: Sequence[str], private: bool) -> int:
        """A new crawl. Returns its number."""
        with self._writing() as db:
            made = db.execute(
                "INSERT INTO crawls (protocol, seeds, private, began, seconds) VALUES (?, ?, ?, ?, 0)",
                (protocol, json.dumps(seeds), private, self._clock()),
            )
            return made.lastrowid or 0

    def heard(self, number: int, peers: Iterable[tuple[PeerId, Sequence[Multiaddr]]]) -> None:
        """These peers shall be visited."""
        with self._writing() as db:
            self._hear(db, number, peers)

    def visited(
        self,
        number: int,
        found: CrawledPeer,
        heard: Iterable[tuple[PeerId, Sequence[Multiaddr]]],
        seconds: float,
    ) -> None:
        """A visit is over, and these peers are new because of it.

        Args:
            seconds: that the crawl has taken so far.
        """
        row = (
            number,
            found.peer_id.multihash,
            found.reach.value,
            _addrs_to_text(found.addrs),
            str(found.addr) if found.addr is not None else "",
            found.agent,
            json.dumps(found.protocols),
            found.named,
            found.questions,
            found.seconds,
            found.why,
        )
        marks = ", ".join("?" * len(row))
        with self._writing() as db:
            db.execute(f"INSERT OR REPLACE INTO peers (crawl, {_COLUMNS}) VALUES ({marks})", row)
            self._hear(db, number, heard)
            db.execute("UPDATE crawls SET seconds = ? WHERE number = ?", (seconds, number))

    def _hear(
        self,
        db: sqlite3.Connection,
        number: int,
        peers: Iterable[tuple[PeerId, Sequence[Multiaddr]]],
    ) -> None:
        db.executemany(
            f"INSERT INTO peers (crawl, {_COLUMNS}) VALUES (?, ?, '', ?, '', '', '[]', 0, 0, 0, '')"
            " ON CONFLICT (crawl, peer) DO UPDATE SET addrs = excluded.addrs WHERE reach = ''",
            [(number, peer.multihash, _addrs_to_text(addrs)) for peer, addrs in peers],
        )

    def end(self, number: int) -> None:
        """Nobody is left to visit."""
        with self._writing() as db:
            db.execute("UPDATE crawls SET ended = ? WHERE number = ?", (self._clock(), number))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                yield self._db
        except sqlite3.Error as error:
            raise OSError(f"cannot write to the store of crawls {self._path}: {error}") from None

    # -- reading ----------------------------------------------------------------------------------------------

    @property
    def numbers(self) -> list[int]:
        """The crawls, the oldest first."""
        return [
            number for (number,) in self._db.execute("SELECT number FROM crawls ORDER BY number")
        ]

    def crawl(self, number: int) -> Crawl:
        """When, from where. Raises: `LocalError` if there is no such crawl."""
        row = self._db.execute(
            "SELECT number, protocol, seeds, private, began, ended, seconds FROM crawls WHERE number = ?",
            (number,),
        ).fetchone()
        if row is None:
            raise LocalError(f"{self._path} has no crawl {number}: it has {self.numbers}")
        number, protocol, seeds, private, began, ended, seconds = row
        return Crawl(
            number, protocol, tuple(json.loads(seeds)), bool(private), began, ended, seconds
        )

    def unfinished(self, protocol: str) -> int | None:
        """The last crawl of this DHT, if it is not over."""
        row = self._db.execute(
            "SELECT number, ended FROM crawls WHERE protocol = ? ORDER BY number DESC LIMIT 1",
            (protocol,),
        ).fetchone()
        return row[0] if row is not None and row[1] is None else None

    def peers(self, number: int) -> list[CrawledPeer]:
        """Whom a crawl found, in the order in which they were first heard of or visited again."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM peers WHERE crawl = ? AND reach != '' ORDER BY rowid",
            (number,),
        )
        return [_peer_from(row) for row in rows]

    def waiting(self, number: int) -> list[tuple[PeerId, tuple[Multiaddr, ...]]]:
        """Whom a crawl has yet to visit."""
        rows = self._db.execute(
            "SELECT peer, addrs FROM peers WHERE crawl = ? AND reach = '' ORDER BY rowid", (number,)
        )
        return [(PeerId(peer), _addrs_from(addrs)) for peer, addrs in rows]

    def compare(self, before: int, after: int) -> Churn:
        """What changed from one crawl to another."""
        self.crawl(before), self.crawl(after)
        return churn(self.peers(before), self.peers(after))


def _addrs_to_text(addrs: Iterable[Multiaddr]) -> str:
    return json.dumps([str(addr) for addr in addrs])


def _addrs_from(text: str) -> tuple[Multiaddr, ...]:
    return tuple(map(Multiaddr, json.loads(text)))


def _peer_from(row: Sequence[object]) -> CrawledPeer:
    peer, reach, addrs, addr, agent, protocols, named, questions, seconds, why = row
    return CrawledPeer(
        PeerId(peer),  # type: ignore[arg-type]
        Reach(reach),
        _addrs_from(str(addrs)),
        Multiaddr(str(addr)) if addr else None,
        str(agent),
        tuple(json.loads(str(protocols))),
        int(str(named)),
        int(str(questions)),
        float(str(seconds)),
        str(why),
    )
