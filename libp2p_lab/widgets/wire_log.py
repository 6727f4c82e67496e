"""A bounded log of entries in which each message can be opened, through all layers that carried it.

One entry alone does not always say what it carries: a yamux frame may begin in one Noise message
and end in the next, and a stream's bytes mean nothing without its protocol. But the layers lay the
same bytes one behind the other:

    on the wire     | line | line | handshake | Noise message | Noise message |
    decrypted                                 | frame | frame      | frame    |
    of a stream                               | line | line | bytes | bytes …

Each row is a *lane*, kept for each connection (or stream) and direction, and each entry knows where
in its lane it begins. To open a message is to look which entries of the lane above it lie on its
bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from libp2p_lab.host.events import ConnectionClosed, StreamEnded, StreamStarted
from libp2p_lab.multiplexing.mplex_frames import MplexFrame
from libp2p_lab.multiplexing.yamux_frames import (
    HEADER_LENGTH,
    DataFrame,
    GoAway,
    Ping,
    WindowUpdate,
)
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.tls_records import TlsRecord
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.annotate import annotate, raw
from libp2p_lab.widgets.fields import Field, Message
from libp2p_lab.widgets.noise_fields import noise_message, plain_fields
from libp2p_lab.widgets.stream_fields import protocol_fields, stream_fields
from libp2p_lab.widgets.tls_fields import tls_record
from libp2p_lab.widgets.yamux_fields import frame

#: node, link, direction, and which of the rows drawn above.
LaneKey = tuple[str, str, str, str]


@dataclass(slots=True)
class Row:
    """One entry in the log.

    Attributes:
        seq: its number in the log, which never changes.
        entry: the entry.
        size: bytes on the wire of its layer.
        start: where it begins in its lane.
        inner: where what it carries begins in the lane above.
        is_first: whether it holds the first bytes of a stream's protocol.
    """

    seq: int
    entry: Entry
    size: int
    start: int = 0
    inner: int = 0
    is_first: bool = False


@dataclass(slots=True)
class Lane:
    """Entries whose bytes lie one behind the other."""

    rows: deque[Row] = field(default_factory=deque)
    end: int = 0
    negotiated: int = 0  # where a stream's negotiation ends
    begun: bool = False  # a stream's protocol has sent its first bytes


class WireLog:
    """The newest entries of one or more traces.

    Args:
        max_rows: how many are kept; the oldest are dropped first, and counted in `dropped`.
        max_bytes: how many bytes of messages are kept.
        wanted: which entries are taken at all.
    """

    def __init__(
        self,
        max_rows: int = 5_000,
        max_bytes: int = 16 << 20,
        wanted: Callable[[Entry], bool] | None = None,
    ) -> None:
        self.rows: deque[Row] = deque()
        self.dropped = 0
        self.protocols: dict[tuple[str, str], str] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        self._secured: set[tuple[str, str, str]] = set()
        self._next = 0
        self._bytes = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._wanted = wanted

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def next_seq(self) -> int:
        """The number that the next entry will get."""
        return self._next

    def take(self, entry: Entry) -> None:
        """Add one entry. Give this to `trace.listen`."""
        if self._wanted is not None and not self._wanted(entry):
            return
        row = Row(self._next, entry, size_of(entry.what))
        self._next += 1
        self._place(row)
        self.rows.append(row)
        self._bytes += row.size
        while len(self.rows) > self._max_rows or self._bytes > self._max_bytes:
            self._drop_oldest()

    def clear(self) -> None:
        """Forget every entry; numbers go on, and lanes keep their place."""
        while self.rows:
            self._drop_oldest()
        self.dropped = 0

    def row(self, seq: int) -> Row | None:
        """The row with that number, if it is still there."""
        if not self.rows or not self.rows[0].seq <= seq < self._next:
            return None
        return self.rows[seq - self.rows[0].seq]

    def since(self, seq: int) -> list[Row]:
        """The rows from that number on."""
        if not self.rows:
            return []
        first = max(0, seq - self.rows[0].seq)
        return [self.rows[index] for index in range(first, len(self.rows))]

    def protocol_of(self, row: Row) -> str:
        """The protocol of the stream that a row belongs to; "" if it belongs to none."""
        entry = row.entry
        link = entry.link
        if isinstance(entry.what, DataFrame | WindowUpdate):
            link = f"{link}/{entry.what.stream_id}"
        return self.protocols.get((entry.node, link), "")

    def title(self, row: Row) -> str:
        """One line for a list. Bytes on the wire are not opened for it."""
        if row.entry.layer == "transport" and isinstance(row.entry.what, bytes):
            return raw(row.entry.what, "transport").title
        if isinstance(row.entry.what, DataFrame):
            return frame(row.entry.what, _closed).title  # its header says it all
        return self.open(row).title

    def open(self, row: Row) -> Message:
        """The entry taken apart, down through all layers that it carries."""
        entry = row.entry
        match entry.what:
            case NoiseMessage() as what:
                return noise_message(
                    what, entry.number, lambda data: self._cut(data, row, "plain", plain_fields)
                )
            case TlsRecord() as what:
                return tls_record(
                    what, entry.number, lambda data: self._cut(data, row, "plain", plain_fields)
                )
            case DataFrame() as what:
                link = f"{entry.link}/{what.stream_id}"
                return frame(what, lambda data: self._stream_body(data, row, link))
            case bytes() as data if entry.layer == "transport":
                fields = self._cut(data, row, "wire", lambda rest: raw(rest, "transport").fields)
                return Message(raw(data, "transport").title, "transport", data, fields)
            case bytes() as data if entry.layer == "stream":
                protocol = self.protocol_of(row)
                fields = protocol_fields(data, protocol, is_start=row.is_first)
                return Message(raw(data, "").title, "stream", data, fields)
            case _:
                return annotate(entry)

    # -- lanes ------------------------------------------------------------------------------------

    def _lane(self, entry: Entry, kind: str, link: str | None = None) -> Lane:
        key = (entry.node, entry.link if link is None else link, entry.direction, kind)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) > 4 * self._max_rows:
                del self._lanes[next(iter(self._lanes))]
            lane = self._lanes[key] = Lane()
        return lane

    def _place(self, row: Row) -> None:
        entry = row.entry
        where = (entry.node, entry.link)
        match entry.what:
            case Line(text):
                if "/" in entry.link:
                    if text.startswith("/") and text != PROTOCOL_ID:
                        self.protocols[where] = text
                    lane = self._append(row, "stream")
                    lane.negotiated = lane.end
                else:
                    is_secured = (*where, entry.direction) in self._secured
                    self._append(row, "plain" if is_secured else "wire")
            case HandshakeMessage():
                self._secured.add((*where, entry.direction))
                self._append(row, "wire")
            case NoiseMessage(plaintext=plaintext):
                self._secured.add((*where, entry.direction))
                self._append(row, "wire")
                row.inner = self._count(entry, "plain bytes", entry.link, len(plaintext))
            case TlsRecord(plaintext=plaintext):
                self._secured.add((*where, entry.direction))
                self._append(row, "wire")
                row.inner = self._count(entry, "plain bytes", entry.link, len(plaintext))
            case DataFrame(stream_id=stream_id, data=data):
                self._append(row, "plain")
                link = f"{entry.link}/{stream_id}"
                row.inner = self._count(entry, "body bytes", link, len(data))
            case WindowUpdate() | Ping() | GoAway() | MplexFrame():
                self._append(row, "plain")
            case Exchange():
                self._append(row, "wire")
            case bytes() if entry.layer == "transport":
                row.inner = self._count(entry, "wire bytes", entry.link, row.size)
            case bytes() if entry.layer == "stream":
                lane = self._append(row, "stream")
                row.is_first = not lane.begun
                lane.begun = True
            case StreamStarted(protocol=protocol):
                self.protocols[where] = protocol
            case _:
                pass

    def _append(self, row: Row, kind: str) -> Lane:
        lane = self._lane(row.entry, kind)
        row.start = lane.end
        lane.end += row.size
        lane.rows.append(row)
        return lane

    def _count(self, entry: Entry, kind: str, link: str, size: int) -> int:
        lane = self._lane(entry, kind, link)
        start = lane.end
        lane.end += size
        return start

    def _drop_oldest(self) -> None:
        row = self.rows.popleft()
        self._bytes -= row.size
        self.dropped += 1
        entry = row.entry
        for kind in ("wire", "plain", "stream"):
            lane = self._lanes.get((entry.node, entry.link, entry.direction, kind))
            if lane is not None and lane.rows and lane.rows[0] is row:
                lane.rows.popleft()
        if isinstance(entry.what, StreamEnded | ConnectionClosed):
            self._forget(entry.node, entry.link)

    def _forget(self, node: str, link: str) -> None:
        """Nothing in the log speaks of this link any more."""
        self.protocols.pop((node, link), None)
        for direction in ("sent", "received"):
            self._secured.discard((node, link, direction))
            for kind in ("wire", "plain", "stream", "plain bytes", "body bytes", "wire bytes"):
                self._lanes.pop((node, link, direction, kind), None)

    # -- opening ----------------------------------------------------------------------------------

    def _stream_body(self, data: bytes, row: Row, link: str) -> tuple[Field, ...]:
        """A frame's body: lines of the stream's negotiation, then what its protocol says.

        How the application read its bytes says nothing about them, so they are not cut there.
        """
        entry = row.entry
        protocol = self.protocols.get((entry.node, link), "")
        lane = self._lanes.get((entry.node, link, entry.direction, "stream"))
        negotiated = lane.negotiated if lane is not None else 0
        if not negotiated:  # its negotiation was before this log, or is still to come
            return stream_fields(data, protocol)
        cut = max(0, negotiated - row.inner)
        lines = self._cut(data[:cut], row, "stream", stream_fields, link)
        is_start = row.inner <= negotiated
        rest = protocol_fields(data[cut:], protocol, is_start=is_start)
        return (*lines, *(item.moved(cut) for item in rest))

    def _cut(
        self,
        data: bytes,
        row: Row,
        kind: str,
        otherwise: Callable[[bytes], tuple[Field, ...]],
        link: str | None = None,
    ) -> tuple[Field, ...]:
        """`data`, which begins at `row.inner` of a lane, cut at the entries that lie on it.

        Where the lane does not fit (it began before the log did), `data` is taken apart by itself.
        """
        entry = row.entry
        key = (entry.node, entry.link if link is None else link, entry.direction, kind)
        lane = self._lanes.get(key)
        if lane is None or not data:
            return otherwise(data)
        begin, end = row.inner, row.inner + len(data)
        found: list[Field] = []
        position = 0
        for item in _overlapping(lane.rows, begin, end):
            piece = self._piece(item, data, begin)
            if piece is None:
                return otherwise(data)
            if piece.start > position:
                found += (gap.moved(position) for gap in otherwise(data[position : piece.start]))
            found.append(piece)
            position = piece.end
        if position < len(data):
            found += (gap.moved(position) for gap in otherwise(data[position:]))
        return tuple(found)

    def _piece(self, item: Row, data: bytes, begin: int) -> Field | None:
        """What of `item` lies on `data`; None if their bytes differ."""
        message = self.open(item)
        skipped = max(0, begin - item.start)
        start = max(0, item.start - begin)
        shared = message.data[skipped : skipped + len(data) - start]
        end = start + len(shared)
        if not shared or data[start:end] != shared:
            return None
        if len(shared) == len(message.data):
            parts = tuple(part.moved(start) for part in message.fields)
            return Field(
                _kind(item), start, end, message.title, message.note, "", message.layer, parts
            )
        meaning = f"Bytes {skipped:,} to {skipped + len(shared):,} of {len(message.data):,}."
        name = f"part of a {_kind(item)}"
        return Field(name, start, end, message.title, meaning, "", message.layer)


def _overlapping(rows: Iterable[Row], begin: int, end: int) -> Iterable[Row]:
    for row in rows:
        if row.start >= end:
            return
        if row.start + row.size > begin and row.size:
            yield row


def _kind(row: Row) -> str:
    match row.entry.what:
        case Line():
            return "line"
        case HandshakeMessage():
            return "handshake message"
        case NoiseMessage():
            return "Noise message"
        case TlsRecord():
            return "TLS record"
        case Exchange():
            return "exchange"
        case DataFrame() | WindowUpdate() | Ping() | GoAway() | MplexFrame():
            return "frame"
        case _:
            return "bytes"


def size_of(what: object) -> int:
    """Bytes on the wire, counted without making them."""
    match what:
        case bytes():
            return len(what)
        case NoiseMessage(ciphertext=ciphertext):
            return 2 + len(ciphertext)
        case TlsRecord(record=record):
            return len(record)
        case MplexFrame() | Exchange():
            return len(what.encode())
        case DataFrame(data=data):
            return HEADER_LENGTH + len(data)
        case WindowUpdate() | Ping() | GoAway():
            return HEADER_LENGTH
        case HandshakeMessage() | Line():
            return len(what.encode()) + (2 if isinstance(what, HandshakeMessage) else 0)
        case _:
            return 0


def _closed(data: bytes) -> tuple[Field, ...]:
    """Bytes that nobody looks into."""
    return (Field("data", 0, len(data)),)
