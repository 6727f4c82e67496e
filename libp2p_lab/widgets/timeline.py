"""`Timeline`: peers side by side, time from top to bottom, an arrow for each message between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from html import escape
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.multiplexing.connection import Connection
from libp2p_lab.recording.recorder import Recording
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.annotate import annotate
from libp2p_lab.widgets.fields import message_as_json
from libp2p_lab.widgets.sources import Source, Sources
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.timeline_drawing import drawing
from libp2p_lab.widgets.timeline_model import STAGES, Arrow, Scene, Setup, is_wanted, scene_of
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.5  # seconds: a picture is put together as a whole
MAX_ENTRIES = 6000  # of one panel that are kept while it listens; the first
STATIC_ROWS = 60
NOTE = (
    "* A part of them left no trace (the transport's own handshake, or an end that was not recorded): "
    "it was taken from what the protocol says."
)


class Timeline:
    """A space-time diagram: a lane for each peer, an arrow for each message; and the round trips, counted.

    Live, it listens from the moment it is made until its cell is cleared or `close` is called.

    Args:
        source: a host, several hosts, a mapping from names to hosts, a simulated internet, or a recording. A mapping
            from titles to recordings is shown as several diagrams on one scale, to be compared.
        connection: only this one; a `Connection` or its number.
        names: what else to call peers: names to hosts or peer ids, for a recording.
    """

    def __init__(
        self,
        source: Source | Mapping[str, Recording],
        connection: Connection | int | str | None = None,
        *,
        names: Mapping[str, object] | None = None,
    ) -> None:
        match connection:
            case None:
                only = ""
            case int() | str():
                only = str(connection)
            case _:
                only = str(connection.info.id)
        self._panels = [
            _Panel(title, Sources(one, names), only) for title, one in _titled(source).items()
        ]
        for panel in self._panels:
            if isinstance(source, Internet):
                panel.entries.extend(
                    Entry(source.now, "internet", "internet", "", "event", 0, event)
                    for event in source.scene()
                )
        self._view = View(
            "timeline",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._stop,
            interval=INTERVAL,
        )
        self._listen()

    def close(self) -> None:
        """Take the diagram off the page and listen no more."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    @property
    def setups(self) -> list[Setup]:
        """How each connection came to be: its stages, with times and round trips, as measured."""
        return [setup for panel in self._panels for setup in panel.scene().setups]

    @property
    def round_trips(self) -> dict[str, float]:
        """Round trips before the first byte of the application left: for each diagram, by its title."""
        found: dict[str, float] = {}
        for panel in self._panels:
            for setup in panel.scene().setups:
                if setup.round_trips is not None:
                    found.setdefault(panel.title, setup.round_trips)
        return found

    def summary(self) -> str:
        """One sentence: how many peers and messages."""
        scenes = [panel.scene() for panel in self._panels]
        arrows = sum(arrow.level == "messages" for scene in scenes for arrow in scene.arrows)
        peers = max((len(scene.lanes) for scene in scenes), default=0)
        return f"{peers} peers, {arrows:,} messages"

    # -- listening --------------------------------------------------------------------------------

    def _listen(self) -> None:
        for panel in self._panels:
            panel.sources.listen(self._taker(panel))

    def _stop(self) -> None:
        for panel in self._panels:
            panel.sources.stop()

    def _taker(self, panel: _Panel) -> Any:
        def take(entry: Entry) -> None:
            panel.take(entry)
            self._view.wake()

        return take

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        self._listen()
        return self._message("snapshot"), []

    def _flush(self) -> Batch | None:
        if not any(panel.is_new for panel in self._panels):
            return None
        return self._message("update"), []

    def _message(self, kind: str) -> dict[str, Any]:
        return {
            "type": kind,
            "summary": self.summary(),
            "stages": STAGES,
            "panels": [panel.as_json() for panel in self._panels],
        }

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "open_arrow", "panel": int(number), "arrow": int(arrow)}:
                entry = None
                if 0 <= number < len(self._panels):
                    entry = self._panels[number].scene().entry(arrow)
                message = message_as_json(annotate(entry)) if entry is not None else None
                told = {"type": "message", "to": view, "panel": number, "arrow": arrow}
                self._view.send({**told, "message": message})
            case {"type": "clear"}:
                for panel in self._panels:
                    panel.clear()
                self._view.wake()
            case _:
                pass

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        html, text = "", ""
        if rows := self._comparison():
            head = ("", *(panel.title or "round trips" for panel in self._panels))
            caption = "Round trips until then, and the time"
            note = NOTE if any("*" in cell for row in rows for cell in row) else ""
            html += table(caption, head, rows) + f"<p>{note}</p>"
            text += f"{text_table(head, rows)}\n{note}\n"
        span = max((scene.end - scene.start for scene in self._scenes()), default=0.0)
        for panel in self._panels:
            scene = panel.scene()
            cells = [
                panel.row(arrow) for arrow in scene.arrows if arrow.level == scene.main_level()
            ]
            head = ("ms", "from", "to", "arrives", "layer", "message", "round trips")
            names = [panel.name(node) for node in scene.lanes]
            if panel.title:
                html += f'<p class="lab-title">{escape(panel.title)}</p>'
            html += drawing(scene, panel.title, names, span)
            html += table(f"Messages {panel.title}", head, cells[:STATIC_ROWS])
            text += f"{panel.title}\n{text_table(head, cells[:STATIC_ROWS])}\n\n"
        return self._view.mimebundle(page(f"Timeline: {self.summary()}", html), text.strip())

    def _scenes(self) -> list[Scene]:
        return [panel.scene() for panel in self._panels]

    def _comparison(self) -> list[tuple[str, ...]]:
        """A row for each stage, a column for each panel: of its first connection that got furthest."""
        firsts = [panel.main_setup() for panel in self._panels]
        rows = []
        for name in STAGES:
            cells = []
            for setup in firsts:
                stage = setup.stage(name) if setup is not None else None
                if stage is None or setup is None:
                    cells.append("")
                    continue
                after = (stage.time - setup.stages[0].time) * 1000
                told = "" if stage.is_measured else "*"
                cells.append(f"{stage.round_trips:g}{told}, {after:.1f} ms")
            if any(cells):
                rows.append((name, *cells))
        return rows


class _Panel:
    """One diagram.

    Args:
        title: what it is called.
        sources: what it shows.
        only: the one connection that is wanted.
    """

    def __init__(self, title: str, sources: Sources, only: str) -> None:
        self.title = title
        self.sources = sources
        self.entries: deque[Entry] = deque(filter(is_wanted, sources.entries))
        self.dropped = 0
        self._only = only
        self._scene = Scene()
        self._built = -1  # how many entries the scene was made of
        self._told = -1

    def take(self, entry: Entry) -> None:
        """One more entry; the first ones are kept, for they tell how a connection came to be."""
        if not is_wanted(entry):
            return
        if len(self.entries) >= MAX_ENTRIES:
            self.dropped += 1
        else:
            self.entries.append(entry)

    def clear(self) -> None:
        """Begin anew."""
        self.entries.clear()
        self.dropped = 0
        self._built = self._told = -1

    def scene(self) -> Scene:
        """The picture of what there is by now."""
        count = len(self.entries)
        if count != self._built:
            self._built = count
            known = [self.entries[at] for at in range(count)]
            self._scene = scene_of(known, self._only)
        return self._scene

    @property
    def is_new(self) -> bool:
        """Whether there is more than the page knows."""
        return len(self.entries) != self._told

    def name(self, node: str) -> str:
        """What to call a lane."""
        known = self.sources.names.get(node) or self.scene().names.get(node)
        return known or self.sources.name(node)

    def main_setup(self) -> Setup | None:
        """The connection that got furthest; of several the first."""
        setups = self.scene().setups
        return max(setups, key=lambda one: len(one.stages), default=None)

    def row(self, arrow: Arrow) -> tuple[str, ...]:
        """An arrow as a row of the table."""
        scene = self.scene()
        arrives = arrow.lost or "?"
        if arrow.received_at is not None:
            arrives = _ms(arrow.received_at - scene.start)
        names = [self.name(scene.lanes[at]) for at in (arrow.sender, arrow.receiver)]
        sent = "?" if arrow.sent_at is None else _ms(arrow.sent_at - scene.start)
        trips = f"{arrow.trips / 2:g}" if arrow.trips else ""
        what = f"{arrow.title} {arrow.protocol}".strip()
        return (sent, names[0], names[1], arrives, arrow.layer, what, trips)

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        scene = self.scene()
        self._told = self._built
        return {
            "title": self.title,
            "lanes": [self.name(node) for node in scene.lanes],
            "start": scene.start,
            "end": scene.end,
            "more": scene.more + self.dropped,
            "levels": scene.levels(),
            "level": scene.main_level(),
            "is_live": self.sources.is_live,
            "arrows": [_arrow(arrow, scene.start) for arrow in scene.arrows],
            "setups": [self._setup(setup) for setup in scene.setups],
            "main": next(
                (at for at, one in enumerate(scene.setups) if one is self.main_setup()), None
            ),
        }

    def _setup(self, setup: Setup) -> dict[str, Any]:
        parts = filter(None, (setup.transport, setup.security, setup.muxer))
        peer = self.name(setup.peer) if setup.peer else "?"
        return {
            "title": f"{self.name(setup.node)} → {peer}: {', '.join(parts) or 'did not succeed'}",
            "stages": [
                [one.name, one.time - self.scene().start, one.trips, one.is_measured]
                for one in setup.stages
            ],
        }


def _arrow(arrow: Arrow, start: float) -> list[Any]:
    sent = None if arrow.sent_at is None else round(arrow.sent_at - start, 7)
    received = None if arrow.received_at is None else round(arrow.received_at - start, 7)
    return [
        arrow.number,
        arrow.level,
        arrow.sender,
        arrow.receiver,
        sent,
        received,
        arrow.layer,
        arrow.protocol,
        arrow.title,
        arrow.size,
        arrow.trips,
        arrow.lost,
    ]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _titled(source: Source | Mapping[str, Recording]) -> dict[str, Source]:
    """The diagrams by their titles: one, or one for each recording of a mapping."""
    match source:
        case Mapping():
            recordings: dict[str, Source] = {}
            hosts: dict[str, Host] = {}
            for title, one in source.items():
                if isinstance(one, Recording):
                    recordings[str(title)] = one
                else:
                    hosts[str(title)] = one
            if recordings and hosts:
                raise LocalError("a mapping holds hosts, or recordings to compare, and not both")
            return recordings or {"": hosts}
        case _:
            return {"": source}
