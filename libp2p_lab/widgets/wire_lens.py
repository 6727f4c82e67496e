"""`WireLens`: the messages of a connection, each opened layer by layer down to the bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.multiplexing.connection import Connection
from libp2p_lab.recording.recorder import Recording
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.fields import message_as_json
from libp2p_lab.widgets.network_records import short
from libp2p_lab.widgets.resend import MAX_EDITED, copy_of, resend
from libp2p_lab.widgets.static_form import opened, page, table, text_table
from libp2p_lab.widgets.view import Batch, View
from libp2p_lab.widgets.wire_log import Row, WireLog

INTERVAL = 0.05  # seconds: twenty batches a second
MAX_BATCH = 100  # rows; what comes faster is counted, kept, and saved, but not listed
MAX_SNAPSHOT = 1500
STATIC_ROWS = 60
MAX_ANSWERS = 60  # rows of what a scratch peer made of a changed copy

Source = Host | Iterable[Host] | Iterable[Entry]


class WireLens:
    """The messages of one or more hosts' connections, live, or those of a recording.

    It listens from the moment it is made until its cell is cleared or `close` is called.

    Args:
        source: a host, several hosts, or a recording (anything that yields trace entries).
        connection: only this one; a `Connection` or its number.
    """

    def __init__(self, source: Source, connection: Connection | int | str | None = None) -> None:
        self._only = _link_of(connection)
        self._log = WireLog(wanted=self._is_wanted if self._only else None)
        self._nodes: list[str] = []
        self._names: list[str] = []
        self._stops: list[Callable[[], None]] = []
        self._hosts: list[Host] = []
        self._told = 0  # rows up to this number were sent to the page
        self._view = View(
            "wire_lens",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._stop,
            interval=INTERVAL,
        )
        self._epoch = source.epoch if isinstance(source, Recording) else None
        for item in [source] if isinstance(source, Host) else source:
            match item:
                case Host():
                    self._hosts.append(item)
                    self._node(str(item.peer_id))
                case Entry():
                    self._node(item.node)
                    self._log.take(item)
                case _:
                    raise LocalError(
                        f"a lens looks at hosts or at a recording, not at {type(item).__name__}"
                    )
        self._listen()

    def close(self) -> None:
        """Take the lens off the page and listen no more."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    @property
    def entries(self) -> list[Entry]:
        """The entries that it holds, the oldest first."""
        return [row.entry for row in self._log.rows]

    # -- listening --------------------------------------------------------------------------------

    def _listen(self) -> None:
        if not self._stops:
            self._stops = [host.trace.listen(self._take) for host in self._hosts]

    def _stop(self) -> None:
        for stop in self._stops:
            stop()
        self._stops.clear()

    def _take(self, entry: Entry) -> None:
        self._log.take(entry)
        self._view.wake()

    def _is_wanted(self, entry: Entry) -> bool:
        return entry.link.partition("/")[0] == self._only

    def _node(self, node: str) -> int:
        if node not in self._nodes:
            self._nodes.append(node)
            self._names.append(short(node))
        return self._nodes.index(node)

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        self._listen()
        rows = self._log.since(max(0, self._log.next_seq - MAX_SNAPSHOT))
        self._told = self._log.next_seq
        return self._batch("snapshot", rows, 0), []

    def _flush(self) -> Batch | None:
        rows = self._log.since(self._told)
        missed = self._log.next_seq - self._told - len(rows)
        self._told = self._log.next_seq
        skipped = max(0, len(rows) - MAX_BATCH)
        if not rows:
            return None
        return self._batch("rows", rows[skipped:], skipped + missed), []

    def _batch(self, kind: str, rows: list[Row], skipped: int) -> dict[str, Any]:
        return {
            "type": kind,
            "rows": [self._row(row) for row in rows],
            "nodes": self._names,
            "skipped": skipped,
            "dropped": self._log.dropped,
            "is_live": bool(self._hosts),
        }

    def _row(self, row: Row) -> dict[str, Any]:
        entry = row.entry
        return {
            "seq": row.seq,
            "time": round(entry.time, 6),
            "node": self._node(entry.node),
            "layer": entry.layer,
            "link": entry.link,
            "direction": entry.direction,
            "protocol": self._log.protocol_of(row),
            "title": self._log.title(row),
            "size": row.size,
        }

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "open_row", "number": int(number)}:
                self._open_row(number, view)
            case {"type": "resend", "number": int(number), "hex": str(digits)}:
                self._resend(number, digits, view)
            case {"type": "clear"}:
                self._log.clear()
            case {"type": "export", "kind": "jsonl" | "pcapng" as kind}:
                name = f"trace.{kind}"
                file = {"type": "file", "to": view, "name": name}
                self._view.send(file, [self._saved(name)])
            case _:
                pass

    def _open_row(self, number: int, view: str) -> None:
        row = self._log.row(number)
        message = message_as_json(self._log.open(row)) if row is not None else None
        copy = copy_of(self._log, row) if row is not None else None
        offer = {"hex": copy.data.hex(), "note": copy.note} if copy is not None else None
        told = {"type": "message", "to": view, "number": number}
        self._view.send({**told, "message": message, "resend": offer})

    def _resend(self, number: int, digits: str, view: str) -> None:
        """Tell a scratch peer a changed copy of a row, and the page what it answered."""
        answer: dict[str, Any] = {"type": "answer", "to": view, "number": number}

        def failed(problem: str) -> None:
            self._view.send({**answer, "rows": [], "problem": problem})

        row = self._log.row(number)
        copy = copy_of(self._log, row) if row is not None else None
        try:
            data = bytes.fromhex(digits)
        except ValueError as problem:
            return failed(f"these are not pairs of hex digits: {problem}")
        if copy is None or len(data) > MAX_EDITED:
            return failed(f"this cannot be sent again; at most {MAX_EDITED} bytes can be changed")

        async def tell() -> None:
            heard = WireLog()
            for entry in await resend(copy, data):
                heard.take(entry)
            rows = [row for row in heard.rows if row.entry.layer != "transport"]
            shown = [
                {
                    "direction": row.entry.direction,
                    "layer": row.entry.layer,
                    "title": heard.title(row),
                    "message": message_as_json(heard.open(row)),
                }
                for row in rows[:MAX_ANSWERS]
            ]
            self._view.send({**answer, "rows": shown, "problem": ""})

        return self._view.start(tell(), failed)

    def _saved(self, name: str) -> bytes:
        """What the lens holds, as a file."""
        recording = Recording(self.entries, epoch=self._epoch)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            if name.endswith(".pcapng"):
                recording.save_pcapng(path)
            else:
                recording.save(path)
            return path.read_bytes()

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        rows = [row for row in self._log.rows if row.entry.layer != "transport"]
        shown = rows[:STATIC_ROWS]
        head = ("ms", "", "layer", "message", "bytes")
        start = shown[0].entry.time if shown else 0.0
        arrows = {"sent": "→", "received": "←", "event": "·"}
        cells = []
        details = []
        for row in shown:
            entry, message = row.entry, self._log.open(row)
            when = f"{(entry.time - start) * 1000:.1f}"
            size = str(row.size) if row.size else ""
            cells.append((when, arrows[entry.direction], entry.layer, message.title, size))
            if message.data and entry.layer == "security":
                details.append(opened(message))
        rest = len(rows) - len(shown)
        caption = f"{len(rows)} messages" + (f", the first {len(shown)} of them" if rest else "")
        html = table(caption, head, cells) + "".join(details[:12])
        return self._view.mimebundle(page("Wire", html), text_table(head, cells))


def _link_of(connection: Connection | int | str | None) -> str:
    match connection:
        case None:
            return ""
        case int() | str():
            return str(connection)
        case _:
            return str(connection.info.id)
