"""What a rendezvous point remembers: who stands on which list, until when. One table of SQLite.

    number   namespace   peer   sealed record   expires

Each registration gets the next number, one that is renewed too. A cookie is the highest number that was given out:
so it costs the point no memory, and "what is new" is one comparison.

    cookie = the table's birth (8 bytes), number (8 bytes), namespace

In a file the lists outlive the program; ":memory:" forgets them with it.

Spec: rendezvous/README.md#registration-lifetime
"""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from libp2p_lab.content.rendezvous_messages import Register, Status
from libp2p_lab.errors import LabError, LocalError, RemoteError
from libp2p_lab.identity.envelope import PeerRecord
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

VERSION = 1  # of the tables
_TABLES = """
    CREATE TABLE birth (moment INTEGER NOT NULL);
    CREATE TABLE registrations (
        number INTEGER PRIMARY KEY AUTOINCREMENT, namespace TEXT NOT NULL, peer BLOB NOT NULL,
        record BLOB NOT NULL, expires REAL NOT NULL, UNIQUE (peer, namespace)
    );
    CREATE INDEX by_namespace ON registrations (namespace, number);
    CREATE INDEX by_expiry ON registrations (expires);
"""
_COOKIE = struct.Struct(">QQ")
_FRAME = 300  # bytes of one registration in an answer beside its record, at most


class Refused(RemoteError):
    """A rendezvous request that was refused.

    Attributes:
        status: why, as on the wire.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(f"{status.name}: {reason}" if reason else status.name)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        registrations: in the order in which they came; their ttl is what is left of it.
        cookie: asks for what comes after them.
    """

    registrations: tuple[Register, ...]
    cookie: bytes


class Registrations:
    """The lists of one rendezvous point.

    Args:
        path: an SQLite file, which is made if need be; or ":memory:".
        clock: the time in seconds. For a file it must go on when the program ends.
        limits: how much is kept, and for how long.

    Raises: `LocalError` if the file cannot be used.
    """

    def __init__(
        self,
        path: str | Path = ":memory:",
        clock: Callable[[], float] = time.time,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        try:
            [version] = self._db.execute("PRAGMA user_version").fetchone()
            [tables] = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if not version and not tables:
                self._db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
                birth = int(clock() * 1_000_000)
                self._db.execute("INSERT INTO birth VALUES (?)", (birth,))
            elif version != VERSION:
                raise LocalError(f"{path} holds no registrations of version {VERSION}")
            [self._birth] = self._db.execute("SELECT moment FROM birth").fetchone()
        except sqlite3.Error as error:
            self._db.close()
            raise LocalError(f"{path} cannot be used for registrations: {error}") from None
        except LocalError:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file. Can be called again."""
        self._db.close()

    def __len__(self) -> int:
        return self._count("1")

    def _count(self, where: str, *values: object) -> int:
        query = f"SELECT count(*) FROM registrations WHERE {where}"
        count: int = self._db.execute(query, values).fetchone()[0]
        return count

    def register(self, sender: PeerId, request: Register) -> int:
        """Put the sender on a list, or renew its place there.

        Returns: whole seconds until it is forgotten.

        Raises: `Refused`.

        Spec: rendezvous/README.md#recommendations-for-rendezvous-points-configurations
        """
        limits = self._limits
        self._check_namespace(request.namespace)
        if not request.namespace:
            raise Refused(Status.E_INVALID_NAMESPACE, "a registration names its namespace")
        ttl = self._ttl_of(request)
        if len(request.record) > limits.rendezvous_record:
            raise Refused(Status.E_INVALID_SIGNED_PEER_RECORD, "the record is too long")
        try:
            record = PeerRecord.open(request.record)
        except LabError as error:
            raise Refused(Status.E_INVALID_SIGNED_PEER_RECORD, str(error)) from None
        if record.peer_id != sender:
            raise Refused(Status.E_NOT_AUTHORIZED, "a peer registers itself and nobody else")
        self._expire()
        peer, namespace = sender.multihash, request.namespace
        if not self._count("peer = ? AND namespace = ?", peer, namespace):
            if self._count("peer = ?", peer) >= limits.rendezvous_registrations_per_peer:
                raise Refused(Status.E_NOT_AUTHORIZED, "this peer stands on too many lists")
            if self._count("1") >= limits.rendezvous_registrations:
                raise Refused(Status.E_UNAVAILABLE, "there is no room for more")
        self._db.execute(
            "INSERT OR REPLACE INTO registrations (namespace, peer, record, expires) VALUES (?, ?, ?, ?)",
            (namespace, peer, request.record, self._clock() + ttl),
        )
        return ttl

    def unregister(self, sender: PeerId, namespace: str) -> None:
        """Take the sender from a list; nothing happens if it does not stand there."""
        self._db.execute(
            "DELETE FROM registrations WHERE peer = ? AND namespace = ?",
            (sender.multihash, namespace),
        )

    def discover(self, namespace: str, limit: int | None = None, cookie: bytes = b"") -> Page:
        """Who stands on a list, or on any if `namespace` is "", after those of the cookie.

        Raises: `Refused`.
        """
        self._check_namespace(namespace)
        after = self._read_cookie(namespace, cookie) if cookie else 0
        self._expire()
        allowed = self._limits.rendezvous_discovered
        wanted = min(limit, allowed) if limit else allowed  # peers that write every field say 0
        where = "namespace = ? AND number > ?" if namespace else "? = '' AND number > ?"
        rows = self._db.execute(
            f"SELECT number, namespace, record, expires FROM registrations WHERE {where}"
            " ORDER BY number LIMIT ?",
            (namespace, after, wanted),
        )
        found, now = [], self._clock()
        room = self._limits.rendezvous_message - _COOKIE.size - 4 * _FRAME
        for number, of, record, expires in rows.fetchall():
            room -= len(record) + len(of.encode()) + _FRAME
            if room < 0:
                break  # the cookie leads to the rest
            found.append(Register(of, record, max(0, int(expires - now))))
            after = number
        return Page(tuple(found), _COOKIE.pack(self._birth, after) + namespace.encode())

    def _check_namespace(self, namespace: str) -> None:
        if len(namespace.encode()) > self._limits.rendezvous_namespace:
            raise Refused(Status.E_INVALID_NAMESPACE, "the namespace is too long")

    def _ttl_of(self, request: Register) -> int:
        """None and 0 (of peers that write every field) mean the default."""
        limits = self._limits
        ttl = request.ttl or int(limits.rendezvous_ttl)
        if not limits.rendezvous_ttl_min <= ttl <= limits.rendezvous_ttl_max:
            raise Refused(
                Status.E_INVALID_TTL,
                f"{limits.rendezvous_ttl_min:.0f} to {limits.rendezvous_ttl_max:.0f} s, not {ttl}",
            )
        return ttl

    def _read_cookie(self, namespace: str, cookie: bytes) -> int:
        if len(cookie) < _COOKIE.size:
            raise Refused(Status.E_INVALID_COOKIE, "this cookie is none of ours")
        birth, number = _COOKIE.unpack_from(cookie)
        if birth != self._birth or number >= 1 << 63:
            raise Refused(Status.E_INVALID_COOKIE, "this cookie is none of ours")
        if cookie[_COOKIE.size :] != namespace.encode():
            raise Refused(Status.E_INVALID_COOKIE, "this cookie belongs to another namespace")
        return int(number)

    def _expire(self) -> None:
        self._db.execute("DELETE FROM registrations WHERE expires <= ?", (self._clock(),))
