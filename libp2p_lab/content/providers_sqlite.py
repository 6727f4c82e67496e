"""Provider records in a file: a DHT server that restarts still knows who has what.

    with SqliteProviderStore("providers.db") as store:
        async with Host(services=[Identify(), KadDHT(providers=store)]) as host: …

One table, and nothing of it in memory but what SQLite keeps of its file. Each record is written at once, into a
write-ahead log: after a crash it is there whole or not at all.

    number   key   peer   addresses   received

Each record gets the next number, one that is said again too: so the highest is the latest.

Spec: kad-dht/README.md#content-provider-advertisement-and-discovery
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from libp2p_lab.content.providers import (
    SWEEPS,
    ProviderRecord,
    check_key,
    pack_addrs,
    unpack_addrs,
)
from libp2p_lab.errors import LimitExceeded, LocalError, RemoteError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

VERSION = 1  # of the table
CACHE = 256  # KiB of the file that SQLite may keep in memory
_TABLES = """
    CREATE TABLE records (
        number INTEGER PRIMARY KEY, key BLOB NOT NULL, peer BLOB NOT NULL, addrs BLOB NOT NULL,
        received REAL NOT NULL, UNIQUE (key, peer)
    );
    CREATE INDEX by_peer ON records (peer);
    CREATE INDEX by_age ON records (received);
"""


class SqliteProviderStore:
    """A `ProviderStore` in a file. One process at a time may use it.

    Args:
        path: of the file; it is made if it is not there.
        clock: the time, in seconds; it must go on when the program ends.
        limits: how much is kept, and for how long.

    Raises: `LocalError` if the file is no provider store, or another process uses it.
    """

    def __init__(
        self,
        path: str | Path,
        clock: Callable[[], float] = time.time,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        except sqlite3.Error as error:
            raise LocalError(f"{path} cannot be opened: {error}") from None
        try:
            self._open()
            self._count = self._count_where("1")
        except sqlite3.Error as error:
            self.close()
            raise LocalError(f"{path} cannot be used as a provider store: {error}") from None
        except LocalError:
            self.close()
            raise
        self._swept_at = clock()
        self.expire_all()

    def _open(self) -> None:
        db = self._db
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{CACHE}")
        [version] = db.execute("PRAGMA user_version").fetchone()
        [tables] = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not version and not tables:
            db.executescript(f"BEGIN EXCLUSIVE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise LocalError(
                f"{self._path} is no provider store of version {VERSION}: give another path"
            )

    def __enter__(self) -> SqliteProviderStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Can be called again."""
        self._db.close()

    def __len__(self) -> int:
        return self._count

    def _count_where(self, where: str, *values: object) -> int:
        count: int = self._db.execute(
            f"SELECT count(*) FROM records WHERE {where}", values
        ).fetchone()[0]
        return count

    def add(self, key: bytes, sender: PeerId, provider: PeerId, addrs: Sequence[Multiaddr]) -> bool:
        """As `ProviderStore.add`."""
        if provider != sender:
            return False
        check_key(key, self._limits)
        peer = provider.multihash
        is_new = not self._count_where("key = ? AND peer = ?", key, peer)
        if is_new:
            self._make_room(key, peer)
        row = (key, peer, pack_addrs(addrs), self._clock())
        try:
            self._db.execute(
                "INSERT OR REPLACE INTO records (key, peer, addrs, received) VALUES (?, ?, ?, ?)",
                row,
            )
        except sqlite3.Error as error:
            raise OSError(f"cannot write to {self._path}: {error}") from None
        self._count += is_new
        return True

    def _make_room(self, key: bytes, peer: bytes) -> None:
        """Before a record more. Raises `LimitExceeded`."""
        full = self._what_is_full(key, peer)
        now = self._clock()
        if full is not None and now - self._swept_at >= self._limits.dht_provider_ttl / SWEEPS:
            self._swept_at = now
            self.expire_all()
            full = self._what_is_full(key, peer)
        if full is not None:
            raise full

    def _what_is_full(self, key: bytes, peer: bytes) -> LimitExceeded | None:
        limits = self._limits
        of_peer, of_key = self._count_where("peer = ?", peer), self._count_where("key = ?", key)
        for name, value, allowed in (
            ("dht_provider_records", self._count, limits.dht_provider_records),
            ("dht_provider_records_per_peer", of_peer, limits.dht_provider_records_per_peer),
            ("dht_providers_per_key", of_key, limits.dht_providers_per_key),
        ):
            if value >= allowed:
                return LimitExceeded(name, value + 1, allowed)
        return None

    def get(self, key: bytes) -> list[ProviderRecord]:
        """As `ProviderStore.get`."""
        now = self._clock()
        rows = self._db.execute(
            "SELECT peer, addrs, received FROM records WHERE key = ? AND received > ? "
            "ORDER BY number DESC",
            (key, now - self._limits.dht_provider_ttl),
        )
        found = []
        for peer, addrs, received in rows:
            is_fresh = now - received < self._limits.dht_provider_addrs_ttl
            try:
                known = unpack_addrs(addrs) if is_fresh else ()
                found.append(ProviderRecord(PeerId(peer), known, received))
            except RemoteError:
                continue  # somebody else wrote into the file
        return found

    def expire_all(self) -> None:
        """Forget every record that is too old."""
        oldest = self._clock() - self._limits.dht_provider_ttl
        self._db.execute("DELETE FROM records WHERE received <= ?", (oldest,))
        self._count = self._count_where("1")
