"""`StreamScope`: the streams of a connection as lanes, their frames as blocks, their windows as gauges."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.connection import Connection
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.annotate import annotate
from libp2p_lab.widgets.fields import message_as_json
from libp2p_lab.widgets.sources import Source, Sources
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.stream_drawing import drawing
from libp2p_lab.widgets.stream_model import ALIVE, Block, Panel, StreamModel, title_of
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.1  # seconds: ten pictures a second
MAX_BATCH = 200  # frames; what comes faster is counted and not drawn
MAX_SNAPSHOT = 400  # frames of one connection
MAX_SHOWN = 60  # lanes of one connection
STATIC_LANES = 24  # of one connection
BURST = 300  # streams that one poke opens; 256 may wait for an ACK
BURST_TIMEOUT = 5.0  # seconds that they may take
BURST_TIME = 3.0  # seconds until they are reset
HELLO = Line(PROTOCOL_ID).encode()  # how a negotiation begins; more is not said
POKES = ("stop", "go", "fin", "rst", "burst")
GAUGES = ("bytes", "window left", "window", "queued", "unread")

Work = Callable[[], Coroutine[Any, Any, str]]


class Bench(Protocol):
    """What sets up the peers that a scope shows, and can set them up anew."""

    @property
    def settings(self) -> dict[str, Any]:
        """`window` and `frame` in bytes, and the `windows` and `frames` that may be chosen."""
        ...

    async def change(self, window: int, frame: int) -> None:
        """Set up again, with other sizes."""
        ...

    def stop(self) -> None:
        """Let the slow readers read no more."""
        ...

    def go(self) -> None:
        """Let them read on."""
        ...


class StreamScope:
    """The streams of one or more connections: live, of a simulated internet, or of a recording.

    It listens from the moment it is made until its cell is cleared or `close` is called.

    Args:
        source: a host, several hosts, a mapping from names to hosts, a simulated internet, or a recording.
        connection: only this one; a `Connection` or its number.
        names: what else to call peers: names to hosts or peer ids, for a recording.
        limits: what the peers were given, if not the defaults: how large a window is at first.
        bench: what sets up the peers, if that can be changed from the page.
    """

    def __init__(
        self,
        source: Source,
        connection: Connection | int | str | None = None,
        *,
        names: Mapping[str, object] | None = None,
        limits: Limits | None = None,
        bench: Bench | None = None,
    ) -> None:
        self._only = _link_of(connection)
        self._bench = bench
        self._sources = Sources(source, names)
        self._model = self._new_model(limits)
        self._told: dict[int, int] = {}  # panel → the block that comes next
        self._held: dict[MuxedStream, str] = {}  # and the node that reads it
        self._lock = threading.RLock()  # a simulated internet may play in another thread
        self._results: deque[str] = deque(maxlen=50)
        self._view = View(
            "stream_scope",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._stop,
            interval=INTERVAL,
        )
        self._sources.listen(self._take)

    def _new_model(self, limits: Limits | None) -> StreamModel:
        """What there is by now."""
        first = next(iter(self._sources.hosts.values()), None)
        given = limits or (first.limits if first is not None else DEFAULT_LIMITS)
        model = StreamModel(given.yamux_initial_window, given.mplex_stream_buffer, self._only)
        for entry in self._sources.entries or self._sources.open_already():
            model.take(entry)
        return model

    def show(self, source: Source, limits: Limits | None = None) -> None:
        """Look at something else from now on; arguments as of the class."""
        self._stop()
        self._sources = Sources(source)
        with self._lock:
            self._model = self._new_model(limits)
            self._told.clear()
            self._held.clear()
        message, buffers = self._snapshot()
        self._view.send(message, buffers)

    def close(self) -> None:
        """Take the scope off the page, let every reader go on, and listen no more."""
        for stream, node in self._held.items():
            with contextlib.suppress(LabError):  # a host that is closed reads nothing any more
                self._sources.act(node, _releasing(stream))
        self._held.clear()
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """One sentence: how many connections, streams and frames."""
        panels = list(self._model.panels.values())
        streams = sum(1 for panel in panels for number in panel.lanes if number)
        frames = sum(panel.count for panel in panels)
        return f"{_count(len(panels), 'connection')}, {_count(streams, 'stream')}, {_count(frames, 'frame')}"

    def to_rows(self) -> list[dict[str, Any]]:
        """Every stream with both directions' gauges, as plain rows: what the table shows."""
        with self._lock:
            return [row for panel in self._model.panels.values() for row in self._rows(panel)]

    # -- listening --------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._sources.stop()

    def _take(self, entry: Entry) -> None:
        with self._lock:
            self._model.take(entry)
        self._view.wake()

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        self._sources.listen(self._take)
        with self._lock:
            panels = []
            for panel in self._model.panels.values():
                blocks = list(panel.blocks)[-MAX_SNAPSHOT:]
                lanes = list(panel.lanes)[-MAX_SHOWN:]
                panels.append(self._panel(panel, blocks, lanes))
                self._told[panel.number] = panel.count
                panel.touched.clear()
        return {"type": "snapshot", "panels": panels, **self._common()}, []

    def _flush(self) -> Batch | None:
        with self._lock:
            panels = [
                self._news(panel) for panel in self._model.panels.values() if self._is_new(panel)
            ]
        if not panels:
            return None
        return {"type": "update", "panels": panels, **self._common()}, []

    def _is_new(self, panel: Panel) -> bool:
        return bool(panel.touched) or self._told.get(panel.number) != panel.count

    def _news(self, panel: Panel) -> dict[str, Any]:
        """What the page does not know yet of a connection."""
        told = self._told.get(panel.number, 0)
        blocks = panel.since(told)[-MAX_BATCH:]
        lanes = [number for number in panel.touched if number in panel.lanes][-MAX_SHOWN:]
        skipped = panel.count - told - len(blocks)
        panel.touched.clear()
        self._told[panel.number] = panel.count
        return self._panel(panel, blocks, lanes, skipped)

    def _common(self) -> dict[str, Any]:
        return {
            "summary": self.summary(),
            "is_live": bool(self._sources.hosts),
            "present": list(self._model.panels),
            "bench": self._bench.settings if self._bench is not None else None,
        }

    def _panel(
        self, panel: Panel, blocks: list[Block], lanes: list[int], skipped: int = 0
    ) -> dict[str, Any]:
        return {
            "number": panel.number,
            "title": title_of(panel, self._sources.names),
            "peers": [self._sources.name(peer) if peer else "?" for peer in panel.peers],
            "muxer": panel.muxer,
            "closed": panel.closed,
            "frames": panel.count,
            "streams": sum(1 for number in panel.lanes if number),
            "skipped": max(0, skipped),
            "can_poke": self._connection(panel) is not None,
            "blocks": [block.as_json() for block in blocks],
            "lanes": [panel.lanes[number].as_json() for number in lanes if number in panel.lanes],
        }

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "open_block", "panel": int(number), "block": int(block)}:
                self._open_block(number, block, view)
            case {"type": "poke", "panel": int(number), "lane": int(lane), "what": str(what)}:
                end = content.get("end")
                self.poke(what, lane, number, end if end in (0, 1) else None)
            case {"type": "bench", "what": "stop" | "go" as what} if self._bench is not None:
                (self._bench.stop if what == "stop" else self._bench.go)()
            case {"type": "bench", "window": int(window), "frame": int(frame)} if self._bench:
                self._view.start(
                    self._bench.change(window, frame), lambda text: self._tell(0, False, text)
                )
            case _:
                pass

    def _open_block(self, number: int, block: int, view: str) -> None:
        panel = self._model.panels.get(number)
        found = next((one for one in panel.blocks if one.number == block), None) if panel else None
        message = message_as_json(annotate(found.entry)) if found is not None else None
        told = {"type": "block", "to": view, "panel": number, "block": block, "message": message}
        self._view.send(told)

    # -- pokes ------------------------------------------------------------------------------------

    def poke(self, what: str, stream: int = 0, panel: int = 0, end: int | None = None) -> None:
        """Do to a live stream or connection what the buttons do. It happens at once, or as soon as the loop turns.

        Args:
            what: "stop" or "go" (the application that reads), "fin", "rst", or "burst" (open many streams at once).
            stream: the stream's number; "burst" needs none.
            panel: the connection's number on the page, counted from 0.
            end: at which end: 0 for the one named first, 1 for the other. None for the one that reads most ("stop",
                "go"), or for the first that is live.
        """
        shown = self._model.panels.get(panel)
        try:
            if shown is None:
                raise LocalError(f"there is no connection {panel} here")
            if what not in POKES:
                raise LocalError(f"no such poke: {what}; there are {', '.join(POKES)}")
            at = self._end(shown, what, stream) if end is None else end
            node, link = shown.ends[at]
            if what == "burst":
                connection = self._sources.connection(node, link)
                if connection is None:
                    raise LocalError("this connection is not live: nothing to poke")
                work = self._burst(shown, connection)
            else:
                found = self._sources.stream(node, f"{link}/{stream}")
                if found is None:
                    raise LocalError(f"stream {stream} is not live at {self._sources.name(node)}")
                work = self._poke_stream(shown, what, found, node)
            self._act(shown, node, work)
        except (LocalError, IndexError) as problem:
            self._tell(panel, False, str(problem))

    def poke_all(self, what: str, protocol: str) -> None:
        """Poke every live stream of a protocol, as `poke` does."""
        with self._lock:
            found = [
                (lane.id, panel.number)
                for panel in self._model.panels.values()
                for lane in panel.lanes.values()
                if lane.protocol == protocol and lane.state in ALIVE and not panel.closed
            ]
        for stream, panel in found:
            self.poke(what, stream, panel)

    def _end(self, panel: Panel, what: str, stream: int) -> int:
        """At which end a poke is meant."""
        live = [at for at, (node, _) in enumerate(panel.ends) if node in self._sources.hosts]
        if not live:
            raise LocalError("this connection is not live: nothing to poke")
        lane = panel.lanes.get(stream)
        if what in ("stop", "go") and lane is not None:
            reader = 1 if lane.ways[0].moved >= lane.ways[1].moved else 0
            if reader in live:
                return reader
        return live[0]

    def _act(self, panel: Panel, node: str, work: Work) -> None:
        async def guarded() -> None:
            try:
                self._tell(panel.number, True, await work())
            except (LabError, OSError, TimeoutError) as problem:
                self._tell(panel.number, False, f"{type(problem).__name__}: {problem}")
            self._view.wake()

        self._sources.act(node, guarded)

    def _poke_stream(self, panel: Panel, what: str, stream: MuxedStream, node: str) -> Work:
        where = f"stream {stream.id} at {self._sources.name(node)}"
        lane = panel.lanes.get(stream.id)

        async def work() -> str:
            match what:
                case "stop":
                    stream.hold()
                    self._held = {one: at for one, at in self._held.items() if one.is_open}
                    self._held[stream] = node
                    done = f"nobody reads {where} any more"
                case "go":
                    stream.release()
                    self._held.pop(stream, None)
                    done = f"{where} is read again"
                case "fin":
                    await stream.close_write()
                    done = f"{where} sends no more"
                case _:
                    await stream.reset()
                    done = f"{where} is reset"
            if lane is not None:
                lane.held = stream.is_held
                panel.touched.add(stream.id)
            return done

        return work

    def _burst(self, panel: Panel, connection: MuxedConnection) -> Work:
        """Open streams and say nothing on them: nobody takes them, and the backlog fills."""

        async def work() -> str:
            opened: list[MuxedStream] = []
            try:
                async with asyncio.timeout(BURST_TIMEOUT):
                    while len(opened) < BURST:
                        stream = await connection.open_stream()
                        opened.append(stream)
                        await stream.write(HELLO)
            except TimeoutError:
                pass
            refused = BURST - len(opened)
            told = f"{len(opened)} streams opened"
            if refused:
                told += f", {refused} more wait for an ACK: the backlog is full"
            self._tell(panel.number, True, told)
            await asyncio.sleep(BURST_TIME)
            lost = sum(1 for stream in opened if not stream.is_open)
            for stream in opened:
                await stream.reset()
            return f"{told}; {lost} were reset by the other side, the rest by us after {BURST_TIME:g} s"

        return work

    def _connection(self, panel: Panel) -> MuxedConnection | None:
        found = (self._sources.connection(*end) for end in panel.ends)
        return next((one for one in found if one is not None), None)

    def _tell(self, panel: int, ok: bool, text: str) -> None:
        self._results.append(text)
        self._view.send({"type": "result", "panel": panel, "ok": ok, "text": text})

    @property
    def results(self) -> list[str]:
        """What the pokes so far came to, the oldest first."""
        return list(self._results)

    # -- without a page ---------------------------------------------------------------------------

    def _rows(self, panel: Panel) -> list[dict[str, Any]]:
        names = [self._sources.name(peer) if peer else "?" for peer in panel.peers]
        return [
            {
                "connection": title_of(panel, self._sources.names),
                "stream": lane.id,
                "protocol": lane.protocol,
                "opened by": names[panel.dialer if lane.opener == "dialer" else 1 - panel.dialer],
                "state": lane.state,
                "from": names[way],
                "to": names[1 - way],
                "bytes": lane.ways[way].moved,
                "window left": lane.ways[way].left,
                "window": lane.ways[way].window if lane.ways[way].left is not None else None,
                "queued": lane.ways[way].queued,
                "unread": lane.ways[way].unread,
            }
            for lane in panel.lanes.values()
            if lane.id
            for way in (0, 1)
        ]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        html, text = "", ""
        with self._lock:
            panels = list(self._model.panels.values())
        for panel in panels:
            title = title_of(panel, self._sources.names)
            rows = self._rows(panel)[: 2 * STATIC_LANES]
            head = ("stream", "protocol", "state", "from", "to", *GAUGES)
            cells = [tuple(_shown(row[name]) for name in head) for row in rows]
            html += drawing(panel, title, STATIC_LANES) + table(title, head, cells)
            text += f"{title}: {_count(panel.count, 'frame')}\n{text_table(head, cells)}\n\n"
        return self._view.mimebundle(
            page(f"Streams: {self.summary()}", html), text or self.summary()
        )


def _releasing(stream: MuxedStream) -> Callable[[], Coroutine[Any, Any, None]]:
    async def release() -> None:
        stream.release()

    return release


def _shown(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _link_of(connection: Connection | int | str | None) -> str:
    match connection:
        case None:
            return ""
        case int() | str():
            return str(connection)
        case _:
            return str(connection.info.id)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
