"""What a `Timeline` shows: peers, the messages between them, and how many round trips a connection cost.

Round trips are counted, not computed from times. Each message is given a number: one more than the highest that its
sender had received before on this connection. So the number says how many messages, one the cause of the next, had to
cross the distance until then; half of it are round trips. It is the same on a laptop and across an ocean.

    dialer    0 ─syn─▶ 1        2 ─proposal, e─▶ 3                    4 ─s, se─▶ …
    listener           1 ─synack─▶ 2             3 ─answer, e, ee …─▶ 4
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from libp2p_lab.host.events import ConnectionOpened, DialStarted, StreamStarted
from libp2p_lab.multiplexing.mplex_frames import MplexFrame
from libp2p_lab.multiplexing.yamux_frames import DataFrame, GoAway, Ping, WindowUpdate
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.recording.pairs import join, partners
from libp2p_lab.recording.summary import summary
from libp2p_lab.security.noise_xx import HandshakeMessage
from libp2p_lab.security.plaintext import Exchange
from libp2p_lab.security.tls_records import TlsRecord
from libp2p_lab.sim.events import MachineAdded, PacketDropped, PacketSent
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.wire_log import size_of

Level = Literal["packets", "messages", "frames"]

MAX_ARROWS = 1000  # of one scene; the first
MAX_SETUPS = 20  # dials that are looked at; the first
HANDSHAKE = 22  # the content type of a TLS record
_FRAMES = (DataFrame, WindowUpdate, Ping, GoAway, MplexFrame)
_HANDSHAKES = (HandshakeMessage, Exchange)
_OWN = ("/ipfs/id/", "/ipfs/ping/")  # what hosts do of their own accord is not the application


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message on its way.

    Attributes:
        number: in the order of sending.
        level: "packets" of a simulated internet (or pieces of bytes), "messages" of the protocols, or the muxer's
            "frames".
        sender, receiver: their lanes.
        sent_at: None if the sender is not in the trace.
        received_at: None if it never arrived, or the receiver is not in the trace.
        layer: whose message it is.
        protocol: of the stream, if it belongs to one.
        title: one line.
        size: in bytes.
        link: the connection, as the node says that told of it; "" for packets.
        trips: how often the distance was crossed when it has arrived; 0 where nobody counted.
        entry: what told of it.
        lost: why it never arrived.
    """

    number: int
    level: Level
    sender: int
    receiver: int
    sent_at: float | None
    received_at: float | None
    layer: str
    protocol: str
    title: str
    size: int
    link: str
    trips: int
    entry: Entry
    lost: str = ""

    @property
    def time(self) -> float:
        """When it is first seen."""
        return self.sent_at if self.sent_at is not None else (self.received_at or 0.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a connection that was reached.

    Attributes:
        name: which.
        time: when, on the clock of the trace.
        trips: how often the distance was crossed by then.
        is_measured: False if a part of them left no trace, and was taken from what the protocol says: TCP's own
            handshake on a real machine, or an end that was not recorded.
    """

    name: str
    time: float
    trips: int
    is_measured: bool = True

    @property
    def round_trips(self) -> float:
        """Two crossings are one round trip."""
        return self.trips / 2


@dataclass(slots=True)
class Setup:
    """How one connection came to be, seen by its dialer.

    Attributes:
        node, link: the dialer, and how it calls the connection.
        peer: who was dialed.
        transport, security, muxer: what it is made of.
        stages: the steps in order.
    """

    node: str
    link: str
    peer: str
    transport: str = ""
    security: str = ""
    muxer: str = ""
    stages: list[Stage] = field(default_factory=list)

    def stage(self, name: str) -> Stage | None:
        """The step of this name, if it was reached."""
        return next((one for one in self.stages if one.name == name), None)

    @property
    def round_trips(self) -> float | None:
        """Before the first byte of the application could leave; None if none did."""
        found = self.stage(FIRST_BYTE)
        return found.round_trips if found is not None else None


DIAL, CONNECTED, PROVEN, STREAM = "dial", "transport open", "peer proven", "stream opened"
AGREED, FIRST_BYTE, ARRIVED, ANSWER = (
    "protocol known",
    "first byte leaves",
    "first byte arrives",
    "first answer",
)
STAGES = (DIAL, CONNECTED, PROVEN, STREAM, AGREED, FIRST_BYTE, ARRIVED, ANSWER)


@dataclass(slots=True)
class Scene:
    """A whole picture.

    Attributes:
        lanes: the nodes, in the order in which they first did something.
        arrows: the messages in the order of sending.
        setups: each dialed connection.
        start, end: times of the first and the last thing.
        more: arrows that were left out.
        names: what a simulated internet calls its peers.
    """

    lanes: list[str] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    more: int = 0
    names: dict[str, str] = field(default_factory=dict)

    def entry(self, number: int) -> Entry | None:
        """What told of an arrow."""
        return self.arrows[number].entry if 0 <= number < len(self.arrows) else None

    def main_level(self) -> Level:
        """The level that says most."""
        found = self.levels()
        return "messages" if "messages" in found or not found else found[-1]

    def levels(self) -> list[Level]:
        """The levels of which there is anything."""
        found = {arrow.level for arrow in self.arrows}
        order: tuple[Level, ...] = ("packets", "messages", "frames")
        return [level for level in order if level in found]


def is_wanted(entry: Entry) -> bool:
    """Whether an entry matters for a scene. What only carries others is left out."""
    what = entry.what
    if entry.layer == "security":
        return isinstance(what, _HANDSHAKES) or _is_handshake(what)
    if entry.layer in ("negotiation", "muxer", "stream", "transport", "internet"):
        return True
    return isinstance(what, ConnectionOpened | DialStarted | StreamStarted)


def scene_of(entries: Iterable[Entry], only: str = "") -> Scene:
    """Put a scene together.

    Args:
        entries: of one or more nodes, in the order in which they were told.
        only: the one connection that is wanted, as its dialer calls it; "" for all.
    """
    kept = [entry for entry in entries if is_wanted(entry)]
    if only:
        kept = [one for one in kept if one.link.partition("/")[0] in ("", only)]
    return _Builder(kept).build()


class _Builder:
    """Everything about one list of entries."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._lanes: dict[str, int] = {}
        self._machines: dict[str, str] = {}  # a machine's name → its peer
        self._peers: dict[tuple[str, str], str] = {}  # node, connection → the other peer
        self._protocols: dict[tuple[str, str], str] = {}  # node, stream → protocol
        self._learn()

    def build(self) -> Scene:
        trips, setups = _Counter(self._entries, self._machines).count()
        packets = self._packets()
        arrows = [*packets, *self._shaking_hands(packets), *self._messages(trips)]
        arrows.sort(key=lambda arrow: arrow.time)
        numbered = [_with_number(arrow, at) for at, arrow in enumerate(arrows[:MAX_ARROWS])]
        times = [one.time for one in numbered] + [s.time for one in setups for s in one.stages]
        ends = times + [one.received_at for one in numbered if one.received_at is not None]
        return Scene(
            list(self._lanes),
            numbered,
            setups,
            min(times, default=0.0),
            max(ends, default=0.0),
            max(0, len(arrows) - MAX_ARROWS),
            {peer: name for name, peer in self._machines.items() if peer},
        )

    def _learn(self) -> None:
        """Who is who, and which stream speaks what."""
        homes: dict[str, str] = {}  # an address → the peer that has it
        for entry in self._entries:
            match entry.what:
                case MachineAdded(name=name, peer=peer):
                    self._machines[name] = peer
                case DialStarted(peer=peer):
                    self._peers[entry.node, entry.link] = peer
                    self._lane(entry.node)
                case ConnectionOpened(peer=peer, local_addr=local):
                    self._peers[entry.node, entry.link] = peer
                    self._lane(entry.node)
                    if len(parts := local.split("/")) > 2:
                        homes[parts[2]] = entry.node
                case StreamStarted(protocol=protocol):
                    self._protocols[entry.node, entry.link] = protocol
                case Line(text) if "/" in entry.link and text != PROTOCOL_ID:
                    if text.startswith("/"):
                        self._protocols.setdefault((entry.node, entry.link), text)
                case _:
                    pass
        for entry in self._entries:
            if isinstance(packet := entry.what, PacketSent):
                home = homes.get(packet.src.rpartition(":")[0].strip("[]"), "")
                self._machines[packet.source] = self._machines.get(packet.source) or home

    def _lane(self, node: str) -> int:
        return self._lanes.setdefault(node, len(self._lanes))

    def _packets(self) -> list[Arrow]:
        lost = {
            one.what.number: one.what.reason
            for one in self._entries
            if isinstance(one.what, PacketDropped)
        }
        last = {
            one.what.number: one for one in self._entries if isinstance(one.what, PacketSent)
        }  # the hop on which it was lost, if it was
        found = []
        for entry in self._entries:
            if isinstance(packet := entry.what, PacketSent):
                ends = [
                    self._lane(self._machines.get(name) or name)
                    for name in (packet.source, packet.target)
                ]
                why = lost.get(packet.number, "") if last[packet.number] is entry else ""
                arrives = None if why else packet.arrives_at
                title = f"{packet.kind}, {packet.size:,} bytes"
                found.append(
                    Arrow(0, "packets", ends[0], ends[1], entry.time, arrives, "transport", "",
                          title, packet.size, "", 0, entry, why)
                )  # fmt: skip
        return found

    def _shaking_hands(self, packets: list[Arrow]) -> list[Arrow]:
        """The transport's own handshake, to be drawn among the messages: they begin with it."""
        opened: dict[int, float] = {}  # a lane → when its first QUIC connection was there
        for entry in self._entries:
            if isinstance(one := entry.what, ConnectionOpened) and "quic" in one.transport:
                opened.setdefault(self._lane(entry.node), entry.time)
        found = []
        for arrow in packets:
            kind = arrow.title.partition(",")[0]
            ends = [opened[lane] for lane in (arrow.sender, arrow.receiver) if lane in opened]
            if kind in ("syn", "synack") or (
                kind == "datagram" and ends and arrow.time < min(ends)
            ):
                title = f"{kind}, by the system" if kind != "datagram" else "QUIC's handshake"
                trips = {"syn": 1, "synack": 2}.get(kind, 0)
                found.append(replace(arrow, level="messages", title=title, trips=trips))
        return found

    def _messages(self, trips: dict[int, int]) -> list[Arrow]:
        has_packets = any(isinstance(one.what, PacketSent) for one in self._entries)
        told = [one for one in self._entries if one.layer != "internet"]
        if has_packets:
            told = [one for one in told if one.layer != "transport"]
        found = []
        matched: set[int] = set()
        for pair in join(told):
            sent, received = pair.sent, pair.received
            matched.update(map(id, received))
            level = _level(sent)
            if level is None:
                continue
            to = received[-1].node if received else self._peer(sent)
            if to:
                arrives = received[-1].time if received else None
                number = trips.get(id(sent), 0)
                found.append(self._arrow(sent, level, sent.node, to, sent.time, arrives, number))
        for entry in told:  # told by nobody but the receiver
            level = _level(entry)
            if entry.direction != "received" or id(entry) in matched or level is None:
                continue
            if peer := self._peer(entry):
                found.append(self._arrow(entry, level, peer, entry.node, None, entry.time, 0))
        return found

    def _peer(self, entry: Entry) -> str:
        return self._peers.get((entry.node, entry.link.partition("/")[0]), "")

    def _arrow(
        self,
        entry: Entry,
        level: Level,
        sender: str,
        receiver: str,
        sent_at: float | None,
        received_at: float | None,
        trips: int,
    ) -> Arrow:
        link = entry.link
        match entry.what:
            case DataFrame(stream_id=number) | WindowUpdate(stream_id=number) if number:
                link = f"{link}/{number}"
            case _:
                pass
        return Arrow(
            0,
            level,
            self._lane(sender),
            self._lane(receiver),
            sent_at,
            received_at,
            entry.layer,
            self._protocols.get((entry.node, link), "") if "/" in link else "",
            summary(entry.what),
            size_of(entry.what),
            entry.link,
            trips,
            entry,
        )


class _Counter:
    """Counts how often the distance was crossed, connection by connection.

    Only what a connection waits for is counted: the transport's handshake, the negotiations and handshakes before it
    is usable, and the first stream of the application; other streams go on beside it and hold up nobody.
    """

    def __init__(self, entries: list[Entry], machines: dict[str, str]) -> None:
        self._entries = entries
        self._machines = machines
        self._has_packets = any(isinstance(one.what, PacketSent) for one in entries)
        self._arrivals: dict[int, list[int]] = defaultdict(list)  # a received entry → those sent
        self._trips: dict[int, int] = {}

    def count(self) -> tuple[dict[int, int], list[Setup]]:
        """The trips of each sent entry, by its `id`, and the setups."""
        for pair in join(entry for entry in self._entries if entry.layer != "internet"):
            if pair.received:
                self._arrivals[id(pair.received[-1])].append(id(pair.sent))
        far = partners(self._entries)
        setups: list[Setup] = []
        for entry in self._entries:
            if isinstance(dial := entry.what, DialStarted) and len(setups) < MAX_SETUPS:
                key = (entry.node, entry.link)
                setups.append(self._setup(entry, dial, far.get(key)))
        return self._trips, setups

    def _setup(self, begin: Entry, dial: DialStarted, far: tuple[str, str] | None) -> Setup:
        setup = Setup(begin.node, begin.link, dial.peer)
        dialer, listener = (begin.node, begin.link), far or ("", "")
        stream = self._first_stream(dialer)
        seen = _Seen(setup, begin.time)
        known = self._known(dial.addr)
        if known is None:  # the system shook hands before anybody could tell
            seen.depth = {True: _crossings(dial.addr), False: _crossings(dial.addr) + 1}
        seen.is_joined = far is not None
        is_measured = known is not None and seen.is_joined and not _has_hidden_part(dial.addr)
        is_open = False
        for entry in self._entries:
            connection, slash, number = entry.link.partition("/")
            end = (entry.node, connection)
            if entry.time < begin.time:
                continue
            if isinstance(packet := entry.what, PacketSent):
                if not is_open:
                    self._packet(packet, entry.time, begin, listener[0], seen)
                continue
            if end not in (dialer, listener) or entry is begin:
                continue
            is_ours = end == dialer
            if is_ours and not seen.has(CONNECTED) and entry.direction != "event":
                if known == "tcp":
                    seen.depth = {True: _crossings(dial.addr), False: _crossings(dial.addr) + 1}
                seen.reach(CONNECTED, entry.time, seen.depth[True], is_measured)
            if is_ours and isinstance(opened := entry.what, ConnectionOpened):
                setup.transport, setup.security = opened.transport, opened.security
                setup.muxer, is_open = opened.muxer, True
                if known == "quic":
                    seen.depth = {ours: seen.depth_at(ours, entry.time) for ours in (True, False)}
                seen.reach(CONNECTED, entry.time, seen.depth[True], is_measured)
                seen.reach(PROVEN, entry.time, seen.depth[True], is_measured)
            if slash and number != stream:
                continue
            if entry.layer in ("negotiation", "security", "stream"):
                self._message(entry, is_ours, bool(slash), seen, is_measured)
        return setup

    def _packet(
        self, packet: PacketSent, time: float, begin: Entry, listener: str, seen: _Seen
    ) -> None:
        """The transport's own handshake, where an internet tells of it."""
        source = self._machines.get(packet.source, "")
        target = self._machines.get(packet.target, "")
        if begin.node not in (source, target) or (listener and listener not in (source, target)):
            return
        is_ours = source == begin.node
        if packet.kind == "datagram":
            # QUIC's handshake: who had received what when this left?
            seen.datagrams.append((packet.arrives_at, seen.depth_at(is_ours, time) + 1, is_ours))

    def _known(self, addr: str) -> str | None:
        """Which transport's handshake the entries tell of: "tcp", "quic", "memory" (it has none); None if none."""
        if "/memory/" in addr:
            return "memory"
        if not self._has_packets:
            return None
        return "quic" if "/quic" in addr else "tcp"

    def _message(
        self, entry: Entry, is_ours: bool, in_stream: bool, seen: _Seen, is_measured: bool
    ) -> None:
        if entry.direction == "sent":
            trips = seen.depth[is_ours] + 1
            self._trips[id(entry)] = seen.sent = trips
            if in_stream and is_ours:
                seen.reach(STREAM, entry.time, trips - 1, is_measured)
                if entry.layer == "stream":
                    seen.reach(AGREED, entry.time, trips - 1, is_measured)
                    seen.reach(FIRST_BYTE, entry.time, trips - 1, is_measured)
        elif entry.direction == "received":
            came = [self._trips.get(sent, 0) for sent in self._arrivals.get(id(entry), ())]
            if not came and not seen.is_joined:
                came = [seen.sent + 1]  # whoever is not recorded answers what was sent last
            trips = max(came, default=seen.depth[is_ours])
            seen.depth[is_ours] = max(seen.depth[is_ours], trips)
            if in_stream and entry.layer == "stream":
                name = ANSWER if is_ours else ARRIVED
                if seen.has(FIRST_BYTE):
                    seen.reach(name, entry.time, trips, is_measured)

    def _first_stream(self, dialer: tuple[str, str]) -> str:
        """The number of the first stream on which the application sent anything."""
        spoken: dict[str, str] = {}
        fallback = ""
        for entry in self._entries:
            connection, _, number = entry.link.partition("/")
            if (entry.node, connection) != dialer or not number:
                continue
            if isinstance(started := entry.what, StreamStarted):
                spoken[number] = started.protocol if started.direction == "outbound" else ""
            elif entry.layer == "stream" and entry.direction == "sent" and spoken.get(number):
                if not spoken[number].startswith(_OWN):
                    return number
                fallback = fallback or number
        return fallback


class _Seen:
    """What the counter knows of one connection so far."""

    def __init__(self, setup: Setup, begin: float) -> None:
        self._setup = setup
        self.depth = {True: 0, False: 0}  # of the dialer, of the listener
        self.is_joined = False  # whether both ends are recorded
        self.sent = 0  # the highest that was sent
        self.datagrams: list[tuple[float, int, bool]] = []  # arrival, trips, whether the dialer's
        setup.stages.append(Stage(DIAL, begin, 0))

    def has(self, name: str) -> bool:
        return self._setup.stage(name) is not None

    def reach(self, name: str, time: float, trips: int, is_measured: bool) -> None:
        if not self.has(name):
            self._setup.stages.append(Stage(name, time, trips, is_measured))

    def depth_at(self, is_ours: bool, time: float) -> int:
        """The highest that this side had received by now."""
        came = [trips for at, trips, ours in self.datagrams if ours != is_ours and at <= time]
        return max(came, default=self.depth[is_ours])


def _crossings(addr: str) -> int:
    """How often the distance is crossed before a transport's connection is there, seen by its dialer."""
    if "/quic" in addr:
        return 2  # keys and identities included
    wanted = 2 if "/tcp/" in addr else 0  # syn, synack
    if addr.partition("/p2p/")[0].rstrip("/").endswith(("/ws", "/wss")):
        wanted += 2  # HTTP's upgrade
        if "/wss" in addr or "/tls/" in addr:
            wanted += 2  # TLS below it
    return wanted


def _has_hidden_part(addr: str) -> bool:
    """Whether a part of it is inside TCP's packets, where nobody tells what they are."""
    return "/ws" in addr or "/tls/ws" in addr


def _level(entry: Entry) -> Level | None:
    match entry.layer:
        case "transport":
            return "packets" if isinstance(entry.what, bytes) else None
        case "muxer":
            return "frames" if isinstance(entry.what, _FRAMES) else None
        case "negotiation" | "security" | "stream":
            return "messages" if entry.direction != "event" else None
        case _:
            return None


def _is_handshake(what: object) -> bool:
    return isinstance(what, TlsRecord) and (
        what.record[:1] == bytes([HANDSHAKE]) or not what.plaintext
    )


def _with_number(arrow: Arrow, number: int) -> Arrow:
    return replace(arrow, number=number)
