"""The memory of other peers in a file: what a host knew, it knows again after a restart.

    with SqlitePeerstore("peers.db") as store:
        async with Host(key=KeyPair.load("key"), peerstore=store) as host:
            await host.connect(peer)      # by its id alone, if it was known

Everything is read once and then kept in memory as well; each change is written at once. The file is SQLite with a
write-ahead log: whatever was written before a crash is there, and what was being written is there whole or not at all.
Signatures are verified again when they are read: a file is no reason to believe anything.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from libp2p_lab.errors import LocalError, RemoteError
from libp2p_lab.host.peerstore import Known, KnownAddr, Peerstore
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

VERSION = 1  # of the tables
_TABLES = """
    CREATE TABLE peers (
        peer BLOB PRIMARY KEY, used INTEGER NOT NULL, agent TEXT NOT NULL, protocols TEXT NOT NULL,
        metadata TEXT NOT NULL, envelope BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE addrs (
        peer BLOB NOT NULL, position INTEGER NOT NULL, addr BLOB NOT NULL, expires REAL NOT NULL,
        provenance TEXT NOT NULL, PRIMARY KEY (peer, position)
    ) WITHOUT ROWID;
"""


class SqlitePeerstore(Peerstore):
    """A `Peerstore` whose memory is a file. One process at a time may use it.

    Args:
        path: of the file; it is made if it is not there.
        limits: as of `Peerstore`; what is too much in the file is forgotten.
        clock: gives seconds since 1970.

    Raises: `LocalError` if the file is no peer store, or another process uses it.
    """

    def __init__(
        self,
        path: str | Path,
        limits: Limits = DEFAULT_LIMITS,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(limits, clock=clock)
        self._path = path
        self._used = 0  # counts uses: the peers' order
        self._db: sqlite3.Connection | None = None
        try:
            self._db = sqlite3.connect(path, timeout=1.0)
            self._open(self._db)
        except (sqlite3.Error, ValueError, RemoteError) as error:
            self.close()
            raise LocalError(f"{path} cannot be used as a peer store: {error}") from None
        except LocalError:
            self.close()
            raise

    def _open(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN EXCLUSIVE")
        [version] = db.execute("PRAGMA user_version").fetchone()
        [tables] = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not version and not tables:
            db.executescript(f"{_TABLES} PRAGMA user_version = {VERSION};")
        elif version != VERSION:
            raise LocalError(
                f"{self._path} is no peer store of version {VERSION}: give another path"
            )
        db.commit()
        self._read(db)

    def __enter__(self) -> SqlitePeerstore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Can be called again; what changes afterwards is not written."""
        if self._db is not None:
            self._db.close()
            self._db = None

    # -- reading ----------------------------------------------------------------------------------------------

    def _read(self, db: sqlite3.Connection) -> None:
        """Everything in the file, within the limits."""
        rows = db.execute(
            "SELECT peer, used, agent, protocols, metadata, envelope FROM peers ORDER BY used"
        ).fetchall()
        surplus = len(rows) - self._limits.peerstore_peers
        for row, (peer, used, agent, protocols, metadata, envelope) in enumerate(rows):
            self._used = used
            if row < surplus:
                self._drop(PeerId(peer))
                continue
            known = Known(agent=agent, protocols=tuple(json.loads(protocols)))
            known.metadata = json.loads(metadata)
            self._read_record(PeerId(peer), known, envelope)
            self._peers[PeerId(peer)] = known
        for peer, addr, expires, provenance in db.execute(
            "SELECT peer, addr, expires, provenance FROM addrs ORDER BY peer, position"
        ):
            entry = KnownAddr(Multiaddr(addr), expires, provenance)
            if PeerId(peer) in self._peers:
                self._peers[PeerId(peer)].addrs[entry.addr] = entry
        for known in self._peers.values():
            self._trim_addrs(known)

    def _read_record(self, peer: PeerId, known: Known, envelope: bytes) -> None:
        """A signed record, if it is there and still valid."""
        if envelope:
            try:
                record = PeerRecord.open(envelope)
            except RemoteError:
                return
            if record.peer_id == peer:
                known.record, known.envelope = record, envelope

    # -- writing ----------------------------------------------------------------------------------------------

    def _save(self, peer: PeerId, known: Known) -> None:
        if self._db is None:
            return
        self._used += 1
        who = peer.multihash
        # If we crash, a connected peer has left without a word.
        least = 0.0
        if known.connected:
            least = self._clock() + self._limits.peerstore_addr_ttl_recent
        about = (
            who,
            self._used,
            known.agent,
            json.dumps(known.protocols),
            json.dumps(known.metadata),
            known.envelope,
        )
        addrs = [
            (who, position, bytes(entry.addr), max(entry.expires, least), entry.provenance)
            for position, entry in enumerate(known.addrs.values())
        ]
        try:
            with self._db:
                self._db.execute("INSERT OR REPLACE INTO peers VALUES (?, ?, ?, ?, ?, ?)", about)
                self._db.execute("DELETE FROM addrs WHERE peer = ?", (who,))
                self._db.executemany("INSERT INTO addrs VALUES (?, ?, ?, ?, ?)", addrs)
        except sqlite3.Error as error:
            raise OSError(f"cannot write to the peer store {self._path}: {error}") from None

    def _drop(self, peer: PeerId) -> None:
        if self._db is None:
            return
        try:
            with self._db:
                self._db.execute("DELETE FROM addrs WHERE peer = ?", (peer.multihash,))
                self._db.execute("DELETE FROM peers WHERE peer = ?", (peer.multihash,))
        except sqlite3.Error as error:
            raise OSError(f"cannot write to the peer store {self._path}: {error}") from None
