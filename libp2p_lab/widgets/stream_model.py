"""What a `StreamScope` shows: connections, their streams, the frames on the wire, and the windows.

Nothing is asked of the muxers: the trace has it all. Of each direction of a stream it tells four numbers,

    written ─▶ sent ─▶ arrived ─▶ taken
    by the     in      in         by the
    writer     frames  frames     reader

and what lies between two of them is what waits there: at the writer, on its way, at the reader. A window update adds
to what may be sent; what may be sent less what was sent is what is left of the window.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened, StreamEnded, StreamStarted
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.multiplexing.mplex_frames import Flag, MplexFrame
from libp2p_lab.multiplexing.muxer import Flow
from libp2p_lab.multiplexing.yamux_frames import (
    SESSION_ID,
    DataFrame,
    Flags,
    GoAway,
    Ping,
    WindowUpdate,
)
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.recording.pairs import ends_of
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.network_records import short

MAX_FRAMES = 1000  # of one connection; the oldest are forgotten
MAX_LANES = 400  # of one connection; the oldest that are over go first
MAX_PANELS = 40  # connections; the oldest that are over go first

ALIVE = ("open", "half closed")  # states of a lane that still moves
_FRAMED = ("/yamux/1.0.0", "/mplex/6.7.0")
_YAMUX = Flags.SYN, Flags.ACK, Flags.FIN, Flags.RST


@dataclass(slots=True)
class Way:
    """One direction of a stream, in bytes since the stream began.

    Attributes:
        written: by the application that writes.
        sent: in frames that left; `None` if that end is not in the trace.
        arrived: in frames that came; `None` if that end is not in the trace.
        taken: by the application that reads.
        allowed: what may be sent in all, as the sender knows; `None` if there are no windows, or nobody knows.
        granted: the same as the receiver knows.
        window: how large the window is.
        end: "FIN" or "RST" once it was seen.
    """

    written: int = 0
    sent: int | None = None
    arrived: int | None = None
    taken: int = 0
    allowed: int | None = None
    granted: int | None = None
    window: int = 0
    end: str = ""

    @property
    def left(self) -> int | None:
        """How many bytes may still be sent."""
        if self.allowed is not None and self.sent is not None:
            return self.allowed - self.sent
        if self.granted is not None and self.arrived is not None:
            return self.granted - self.arrived
        return None

    @property
    def queued(self) -> int | None:
        """Written, and not sent yet."""
        return None if self.sent is None else max(0, self.written - self.sent)

    @property
    def unread(self) -> int | None:
        """Arrived, and not taken yet."""
        return None if self.arrived is None else max(0, self.arrived - self.taken)

    @property
    def moved(self) -> int:
        """Bytes that went this way."""
        return max(self.sent or 0, self.arrived or 0)

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return {
            "left": self.left,
            "window": self.window,
            "queued": self.queued,
            "unread": self.unread,
            "moved": self.moved,
            "end": self.end,
        }


@dataclass(slots=True)
class Lane:
    """One stream; id 0 is yamux's session itself.

    Attributes:
        id: its number.
        ways: from the near end to the far one, and back.
        protocol: what was agreed on; "" until then.
        opener: "dialer", "listener", or "" for the session.
        how: how it ended; "" while it lives.
    """

    id: int
    ways: tuple[Way, Way]
    protocol: str = ""
    opener: str = ""
    how: str = ""
    held: bool = False

    @property
    def state(self) -> str:
        """In words."""
        if self.how:
            return self.how
        ends = [way.end for way in self.ways]
        if "RST" in ends:
            return "reset"
        if all(ends):
            return "closed"
        return "half closed" if any(ends) else "open"

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return {
            "id": self.id,
            "protocol": self.protocol,
            "opener": self.opener,
            "state": self.state,
            "held": self.held,
            "ways": [way.as_json() for way in self.ways],
        }


@dataclass(frozen=True, slots=True)
class Block:
    """One frame, as the near end saw it.

    Attributes:
        number: counted on this connection.
        time: of the entry.
        way: 0 from the near end, 1 to it.
        lane: the stream's id.
        kind: "data", "window", "ping", "go away" or "open".
        flags: "SYN", "ACK", "FIN", "RST", those that are set.
        size: bytes of body; for a window update, how many bytes more may be sent.
        left: what was left of this way's window afterwards, of the other way's for a window update.
        entry: the frame itself.
    """

    number: int
    time: float
    way: int
    lane: int
    kind: str
    flags: str
    size: int
    left: int | None
    entry: Entry

    def as_json(self) -> list[Any]:
        """For the page."""
        time = round(self.time, 6)
        return [self.number, time, self.way, self.lane, self.kind, self.flags, self.size, self.left]


@dataclass(slots=True)
class Panel:
    """One connection.

    Attributes:
        number: among all panels.
        ends: node and link of the near end and, if it is in the trace, of the far one.
        peers: who they are.
        dialer: which end dialed: 0 or 1.
        muxer: its protocol's id.
        closed: why it ended; "" while it lives.
    """

    number: int
    ends: list[tuple[str, str]]
    peers: tuple[str, str]
    dialer: int
    muxer: str
    closed: str = ""
    lanes: dict[int, Lane] = field(default_factory=dict)
    blocks: deque[Block] = field(default_factory=lambda: deque(maxlen=MAX_FRAMES))
    count: int = 0
    touched: set[int] = field(default_factory=set)

    def since(self, number: int) -> list[Block]:
        """The blocks from `number` on."""
        found = []
        for block in reversed(self.blocks):
            if block.number < number:
                break
            found.append(block)
        return found[::-1]


class StreamModel:
    """Takes the entries of one or more nodes, and keeps what a picture of their streams needs.

    Args:
        window: what a yamux stream may send at first.
        room: bytes that a reader under mplex may leave unread.
        only: the number of the one connection that is wanted; "" for all.
    """

    def __init__(
        self,
        window: int = DEFAULT_LIMITS.yamux_initial_window,
        room: int = DEFAULT_LIMITS.mplex_stream_buffer,
        only: str = "",
    ) -> None:
        self.panels: dict[int, Panel] = {}
        self._window = window
        self._room = room
        self._only = only
        self._ends: dict[tuple[str, str], tuple[Panel, int]] = {}  # node, link → panel, which end
        self._lonely: dict[tuple[str, str], Panel] = {}  # addresses of panels without a far end
        self._made = 0

    def take(self, entry: Entry) -> None:
        """Add one entry. Give this to `trace.listen`."""
        link, _, stream = entry.link.partition("/")
        if self._only and link != self._only:
            return
        match entry.what:
            case ConnectionOpened() as opened:
                self._open(entry, opened)
            case ConnectionClosed(reason=reason):
                self._close(entry, reason)
            case DataFrame() | WindowUpdate() | Ping() | GoAway() as frame:
                if entry.direction != "event":
                    panel, end = self._panel(entry, "/yamux/1.0.0")
                    self._yamux(entry, panel, end, frame)
            case MplexFrame() as mplex:
                panel, end = self._panel(entry, "/mplex/6.7.0")
                self._mplex(entry, panel, end, mplex)
            case Flow() as flow if stream:
                self._begin_at(entry, stream, flow)
            case StreamStarted(protocol=protocol) if stream:
                self._lane(entry, stream).protocol = protocol
            case StreamEnded(how=how) if stream:
                lane = self._lane(entry, stream)
                lane.how = lane.how or how
                self._forget_unread(entry, stream)
            case Line(text) as line if stream:
                lane = self._lane(entry, stream)
                if text.startswith("/") and text != PROTOCOL_ID and not lane.protocol:
                    lane.protocol = text
                self._application(entry, stream, len(line.encode()))
            case bytes() as data if stream and entry.layer == "stream":
                self._application(entry, stream, len(data))
            case _:
                pass

    # -- connections ------------------------------------------------------------------------------

    def _open(self, entry: Entry, opened: ConnectionOpened) -> None:
        key = (entry.node, entry.link)
        known = self._ends.get(key)
        if known is not None and not known[0].closed:
            return
        mine = ends_of(entry.node, opened)
        other = self._lonely.pop(mine[::-1], None)
        if other is not None:
            other.ends.append(key)
            self._ends[key] = (other, 1)
            return
        dialer = 0 if opened.direction == "outbound" else 1
        panel = self._add(key, opened.peer, dialer, opened.muxer)
        self._lonely[mine] = panel

    def _add(self, key: tuple[str, str], peer: str, dialer: int, muxer: str) -> Panel:
        panel = Panel(self._made, [key], (key[0], peer), dialer, muxer)
        self._made += 1
        self.panels[panel.number] = panel
        self._ends[key] = (panel, 0)
        if len(self.panels) > MAX_PANELS:
            over = [number for number, one in self.panels.items() if one.closed]
            self._drop(over[0] if over else next(iter(self.panels)))
        return panel

    def _drop(self, number: int) -> None:
        panel = self.panels.pop(number)
        for end in panel.ends:
            self._ends.pop(end, None)
        self._lonely = {key: one for key, one in self._lonely.items() if one is not panel}

    def _close(self, entry: Entry, reason: str) -> None:
        found = self._ends.get((entry.node, entry.link))
        if found is not None:
            panel = found[0]
            panel.touched.add(SESSION_ID)
            panel.closed = panel.closed or reason
            self._lonely = {key: one for key, one in self._lonely.items() if one is not panel}

    def _panel(self, entry: Entry, muxer: str = "") -> tuple[Panel, int]:
        """The panel that an entry belongs to; one whose beginning was missed gets its own."""
        key = (entry.node, entry.link.partition("/")[0])
        found = self._ends.get(key)
        if found is None:
            found = self._add(key, "", _guess_dialer(entry), muxer), 0
        return found

    # -- streams ----------------------------------------------------------------------------------

    def _lane(self, entry: Entry, stream: str) -> Lane:
        panel, _ = self._panel(entry)
        return self._lane_of(panel, int(stream))

    def _lane_of(self, panel: Panel, stream_id: int) -> Lane:
        panel.touched.add(stream_id)
        lane = panel.lanes.get(stream_id)
        if lane is None:
            if len(panel.lanes) >= MAX_LANES:
                over = [one.id for one in panel.lanes.values() if one.state not in ALIVE]
                del panel.lanes[over[0] if over else next(iter(panel.lanes))]
            is_odd = stream_id % 2 == 1
            is_dialers = is_odd != ("quic" in panel.muxer)  # QUIC's dialer has the even ones
            opener = ("listener", "dialer")[is_dialers]
            if "yamux" in panel.muxer and stream_id == SESSION_ID:
                opener = ""
            lane = Lane(stream_id, (Way(), Way()), opener=opener)
            for way in lane.ways:
                if "yamux" in panel.muxer:
                    way.window = self._window
                elif "mplex" in panel.muxer:
                    way.window = self._room
            panel.lanes[stream_id] = lane
        return lane

    def _begin_at(self, entry: Entry, stream: str, flow: Flow) -> None:
        """A stream that was open before anybody looked: its books at one end; all else is counted from here."""
        panel, end = self._panel(entry)
        lane = self._lane_of(panel, int(stream))
        out, back = lane.ways[end], lane.ways[1 - end]
        out.sent, out.written, out.allowed = 0, flow.unsent, flow.may_send
        back.arrived, back.taken, back.granted = 0, -flow.unread, flow.may_come
        back.window = flow.window
        out.window = max(out.window, flow.may_send or 0)

    def _application(self, entry: Entry, stream: str, size: int) -> None:
        """The application, or the negotiation before it, wrote or took bytes."""
        panel, end = self._panel(entry)
        lane = self._lane_of(panel, int(stream))
        way = end if entry.direction == "sent" else 1 - end
        if entry.direction == "sent":
            lane.ways[way].written += size
        else:
            lane.ways[way].taken += size
        if panel.muxer and panel.muxer not in _FRAMED:
            # QUIC's frames are its own affair: what the application wrote and read is drawn instead.
            self._moved(lane, way, entry, size)
            self._block(panel, end, entry, way, lane.id, "data", "", size, None)

    def _forget_unread(self, entry: Entry, stream: str) -> None:
        """A stream that is over at one end has nothing to send there, and nobody who reads."""
        panel, end = self._panel(entry)
        lane = self._lane_of(panel, int(stream))
        if lane.how != "closed":
            out, back = lane.ways[end], lane.ways[1 - end]
            out.written = out.sent or 0
            back.taken = back.arrived or 0

    # -- frames -----------------------------------------------------------------------------------

    def _yamux(
        self, entry: Entry, panel: Panel, end: int, frame: DataFrame | WindowUpdate | Ping | GoAway
    ) -> None:
        # Which way the frame went: 0 from the near end.
        way = end if entry.direction == "sent" else 1 - end
        match frame:
            case Ping(flags=flags, value=value):
                self._lane_of(panel, SESSION_ID)
                self._block(panel, end, entry, way, SESSION_ID, "ping", _flags(flags), value, None)
            case GoAway(code=code):
                self._lane_of(panel, SESSION_ID)
                self._block(panel, end, entry, way, SESSION_ID, "go away", "", code, None)
            case DataFrame(stream_id=number, flags=flags, data=data):
                lane = self._open_windows(panel, number, flags)
                self._moved(lane, way, entry, len(data))
                self._ended(lane, way, flags)
                left = lane.ways[way].left
                self._block(panel, end, entry, way, number, "data", _flags(flags), len(data), left)
            case WindowUpdate(stream_id=number, flags=flags, delta=delta):
                lane = self._open_windows(panel, number, flags)
                self._moved(lane, way, entry, 0)
                self._granted(lane.ways[1 - way], entry, delta)
                self._ended(lane, way, flags)
                left = lane.ways[1 - way].left if delta else None
                self._block(panel, end, entry, way, number, "window", _flags(flags), delta, left)

    def _open_windows(self, panel: Panel, stream_id: int, flags: int) -> Lane:
        """The lane of a stream; its windows are known only to those who saw it begin."""
        lane = self._lane_of(panel, stream_id)
        if flags & Flags.SYN:
            for way in lane.ways:
                if way.allowed is None:
                    way.allowed = way.granted = way.window = self._window
        return lane

    def _granted(self, way: Way, entry: Entry, delta: int) -> None:
        """The reader of this way allows `delta` more."""
        if entry.direction == "sent":
            if way.granted is not None:
                way.granted += delta
                if delta:  # what is granted just now, and what lies unread, is all of it
                    way.window = max(way.window, way.granted - way.taken)
        elif way.allowed is not None:
            way.allowed += delta
            if delta and way.arrived is None:  # the reader's end is not in the trace
                way.window = max(way.window, way.allowed - (way.sent or 0))

    def _moved(self, lane: Lane, way: int, entry: Entry, size: int) -> None:
        one, back = lane.ways[way], lane.ways[1 - way]
        if entry.direction == "sent":
            one.sent = (one.sent or 0) + size
            back.arrived = back.arrived or 0
        else:
            one.arrived = (one.arrived or 0) + size
            if lane.how and lane.how != "closed":
                one.taken += (
                    size  # it was still on its way when the stream was dropped: thrown away
                )
            back.sent = back.sent or 0

    def _ended(self, lane: Lane, way: int, flags: int) -> None:
        if flags & Flags.RST:
            lane.ways[way].end = "RST"
        elif flags & Flags.FIN:
            lane.ways[way].end = lane.ways[way].end or "FIN"

    def _mplex(self, entry: Entry, panel: Panel, end: int, frame: MplexFrame) -> None:
        way = end if entry.direction == "sent" else 1 - end
        by_opener = frame.flag % 2 == 0
        is_dialers = by_opener == (way == panel.dialer)
        number = 2 * frame.stream_id + (1 if is_dialers else 2)
        lane = self._lane_of(panel, number)
        match frame.flag:
            case Flag.NEW_STREAM:
                self._moved(lane, way, entry, 0)
                self._block(panel, end, entry, way, number, "open", "SYN", 0, None)
            case Flag.MESSAGE_RECEIVER | Flag.MESSAGE_INITIATOR:
                self._moved(lane, way, entry, len(frame.data))
                self._block(panel, end, entry, way, number, "data", "", len(frame.data), None)
            case Flag.CLOSE_RECEIVER | Flag.CLOSE_INITIATOR:
                self._ended(lane, way, Flags.FIN)
                self._block(panel, end, entry, way, number, "window", "FIN", 0, None)
            case Flag.RESET_RECEIVER | Flag.RESET_INITIATOR:
                self._ended(lane, way, Flags.RST)
                self._block(panel, end, entry, way, number, "window", "RST", 0, None)

    def _block(
        self,
        panel: Panel,
        end: int,
        entry: Entry,
        way: int,
        lane: int,
        kind: Literal["data", "window", "ping", "go away", "open"],
        flags: str,
        size: int,
        left: int | None,
    ) -> None:
        if end == 0:  # the far end's frames move the gauges, and are drawn once
            block = Block(panel.count, entry.time, way, lane, kind, flags, size, left, entry)
            panel.blocks.append(block)
            panel.count += 1


def title_of(panel: Panel, name: dict[str, str]) -> str:
    """Who talks with whom, the dialer first."""
    peers = [name.get(peer) or short(peer) or "?" for peer in panel.peers]
    return f"{peers[panel.dialer]} → {peers[1 - panel.dialer]}, {panel.muxer or 'muxer unknown'}"


def _flags(flags: int) -> str:
    return " ".join(str(flag.name) for flag in _YAMUX if flags & flag)


def _guess_dialer(entry: Entry) -> int:
    """Who dialed, from the first frame that was seen: the dialer's streams are odd."""
    match entry.what:
        case (
            DataFrame(stream_id=number, flags=flags) | WindowUpdate(stream_id=number, flags=flags)
        ) if flags & Flags.SYN:
            return 0 if (number % 2 == 1) == (entry.direction == "sent") else 1
        case _:
            return 0
