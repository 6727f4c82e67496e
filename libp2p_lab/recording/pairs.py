"""Two nodes' traces, joined: item n sent at one end is item n received at the other.

Nothing on the wire says which item is which, and nothing needs to. The two ends of a connection know each other by
their addresses, turned round; the streams on it have the same numbers at both ends; and the protocols count their
items by themselves. Bytes are counted one by one: a piece that was sent may arrive in several, and with others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libp2p_lab.host.events import ConnectionOpened
from libp2p_lab.trace import Entry

#: Layers whose items are pieces of bytes, numbered by the offset of their first byte.
BYTE_LAYERS = ("transport", "stream")

#: One end of a connection: node, and link.
End = tuple[str, str]

#: Where items are counted: node, layer, link.
Lane = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """An item that was sent, and how it arrived.

    Attributes:
        sent: at the one end.
        received: at the other: one entry, for bytes one or more; none if it is not in the recording (lost, still on
            its way, or the other node was not recorded).
    """

    sent: Entry
    received: tuple[Entry, ...]

    @property
    def delay(self) -> float | None:
        """Seconds until all of it was there; None if it never was. Both nodes must share a clock."""
        return self.received[-1].time - self.sent.time if self.received else None


def join(entries: Iterable[Entry]) -> list[Pair]:
    """Every item that was sent, in the order of sending, with what became of it."""
    entries = tuple(entries)
    far = partners(entries)
    counted: dict[tuple[Lane, int], list[Entry]] = defaultdict(list)
    pieces: dict[Lane, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.direction == "received":
            lane = (entry.node, entry.layer, entry.link)
            if entry.layer in BYTE_LAYERS:
                pieces[lane].append(entry)
            else:
                counted[lane, entry.number].append(entry)
    pairs = []
    for entry in entries:
        if entry.direction == "sent":
            connection, slash, stream = entry.link.partition("/")
            node, link = far.get((entry.node, connection), ("", ""))
            lane = (node, entry.layer, link + slash + stream)
            if entry.layer in BYTE_LAYERS:
                received = _overlapping(pieces[lane], entry)
            else:
                # Two negotiations on one connection both count from 0: each number is taken in turn.
                waiting = counted[lane, entry.number]
                received = (waiting.pop(0),) if waiting else ()
            pairs.append(Pair(entry, received))
    return pairs


def partners(entries: Iterable[Entry]) -> dict[End, End]:
    """The other end of each connection of which both ends are in `entries`."""
    ends: dict[tuple[str, str], list[End]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry.what, ConnectionOpened):
            ends[ends_of(entry.node, entry.what)].append((entry.node, entry.link))
    found: dict[End, End] = {}
    for (local, remote), here in ends.items():
        # An address may be used again when its connection is gone: the first belongs to the first.
        found.update(zip(here, ends.get((remote, local), ()), strict=False))
    return found


def ends_of(node: str, opened: ConnectionOpened) -> tuple[str, str]:
    """The two ends of a connection, ours first; turned round they are what the other node says.

    They are the two addresses. But a socket that dials everybody over UDP does not know from which of its machine's
    addresses a datagram leaves: there the dialer's end is its port and who it is.
    """
    local, remote = opened.local_addr, opened.remote_addr
    if "/quic" not in local:
        return local, remote
    if opened.direction == "outbound":
        return f"{_port(local)} {node}", remote
    return local, f"{_port(remote)} {opened.peer}"


def _port(addr: str) -> str:
    """An address without its host."""
    return "/".join(addr.split("/")[3:])


def _overlapping(pieces: Sequence[Entry], sent: Entry) -> tuple[Entry, ...]:
    """The pieces that hold bytes of `sent`; they follow each other without gaps."""
    begin, end = sent.number, sent.number + len(sent.payload())
    first = max(0, bisect_right(pieces, begin, key=_offset) - 1)
    found = []
    for piece in pieces[first:]:
        if piece.number >= end:
            break
        if piece.number + len(piece.payload()) > begin:
            found.append(piece)
    return tuple(found)


def _offset(entry: Entry) -> int:
    return entry.number
