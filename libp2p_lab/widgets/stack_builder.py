"""`StackBuilder`: the layers of a peer as tiles. Look into each; take one out, and dial."""

from __future__ import annotations

import ast
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.fields import Field, Message, message_as_json
from libp2p_lab.widgets.key_anatomy import multihash_of
from libp2p_lab.widgets.protobuf_fields import PUBLIC_KEY, dissect
from libp2p_lab.widgets.stack import BY_NAME, SLOTS, Outcome, Slot, Step, dial_without, source_of
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View
from libp2p_lab.widgets.wire_log import Row, WireLog

INTERVAL = 0.5  # seconds
ADDRESSING = "addressing/README.md#multiaddr-basics"
EMPTY = "nothing yet: dial, or ping, and look again"


class StackBuilder:
    """The eight layers of a live peer.

    Args:
        host: the peer; its trace is followed while the widget is shown, and dials go to it.
    """

    def __init__(self, host: Host) -> None:
        if not isinstance(host, Host):
            raise LocalError(f"give a host, not {type(host).__name__}")
        self._host = host
        self._log = WireLog(max_rows=1000, max_bytes=1 << 20)
        self._outcomes: dict[str, Outcome] = {}
        self._selected = ""
        self._shown = -1  # the row on the page
        self._stop_listening = host.trace.listen(self._take)
        self._is_listening = True
        self._view = View(
            "stack_builder",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._stop,
            interval=INTERVAL,
        )

    async def dial(self, without: str = "") -> Outcome:
        """Dial the peer from a scratch peer that lacks one layer.

        Args:
            without: the slot's name ("muxer", say); "" for a whole stack.

        Raises: `LocalError` for an unknown slot, or if the peer does not listen.
        """
        outcome = await dial_without(self._host, without)
        self._outcomes[without] = outcome
        self._view.send({"type": "outcome", **_outcome_record(outcome)})
        return outcome

    def close(self) -> None:
        """Take it off the page and listen no more."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- with the page ----------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        self._log.take(entry)
        if self._selected:
            self._view.wake()

    def _stop(self) -> None:
        self._stop_listening()
        self._is_listening = False

    def _snapshot(self) -> Batch:
        if not self._is_listening:
            self._stop_listening = self._host.trace.listen(self._take)
            self._is_listening = True
        slots = [_slot_record(slot) for slot in SLOTS]
        return {"type": "stack", "slots": slots, "peer": self._host.peer_id.short()}, []

    def _flush(self) -> Batch | None:
        row = self._latest(self._selected)
        if row is None or row.seq == self._shown:
            return None
        return {"type": "bytes", **self._bytes(self._selected)}, []

    def _hear(self, content: dict[str, Any], view: str) -> None:
        match content:
            case {"type": "look", "slot": str(name)} if name in BY_NAME:
                self._selected = name
                path, text = source_of(BY_NAME[name])
                self._view.send(
                    {
                        "type": "slot",
                        "to": view,
                        "path": path,
                        "source": text,
                        "about": ast.get_docstring(ast.parse(text)) or "",
                        **self._bytes(name),
                    }
                )
            case {"type": "dial", "without": str(without)}:
                self._view.start(self._dial(without), self._tell)
            case {"type": "open_step", "without": str(without), "slot": str(name)}:
                self._open_step(without, name, view)
            case _:
                pass

    async def _dial(self, without: str) -> None:
        await self.dial(without)

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    def _open_step(self, without: str, name: str, view: str) -> None:
        outcome = self._outcomes.get(without)
        step = next((s for s in outcome.steps if s.slot == name), None) if outcome else None
        if outcome is None or step is None or step.row is None:
            return
        message = message_as_json(outcome.log.open(step.row))
        self._view.send({"type": "message", "to": view, "slot": name, "message": message})

    # -- bytes of a layer -------------------------------------------------------------------------

    def _bytes(self, name: str) -> dict[str, Any]:
        """The layer's latest message."""
        message = self._own_bytes(name)
        when = ""
        if message is None:
            row = self._latest(name)
            if row is not None:
                message = self._log.open(row)
                when = row.entry.direction
                self._shown = row.seq
        record = message_as_json(message) if message is not None else None
        return {"slot": name, "message": record, "when": when, "empty": EMPTY}

    def _own_bytes(self, name: str) -> Message | None:
        """Layers that are names: their bytes are the peer's own."""
        match name:
            case "identity":
                encoded = self._host.key.public.to_protobuf()
                stage = multihash_of(encoded, dissect(encoded, PUBLIC_KEY))
                title = f"Peer id {self._host.peer_id}"
                return Message(title, "identity", stage.data, stage.fields)
            case "address" if self._host.is_running and self._host.addrs:
                return address_message(self._host.addrs[0])
            case _:
                return None

    def _latest(self, name: str) -> Row | None:
        for row in reversed(self._log.rows):
            layer = row.entry.layer
            match name:
                case "protocol":
                    if layer == "stream" and "/id/" not in self._log.protocol_of(row):
                        return row
                case _ if layer == name and row.size:
                    return row
                case "identify" if layer == "identify":
                    return row
        return None

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        head = ("layer", "part", "what it is for", "module", "spec")
        rows = [(s.name, s.part, s.task, f"libp2p_lab.{s.module}", s.spec) for s in reversed(SLOTS)]
        html = table("From the top down", head, rows)
        for without, outcome in self._outcomes.items():
            what = f"Dialed without {without}" if without else "Dialed with all layers"
            steps = [(step.slot, step.state, step.text) for step in outcome.steps]
            html += table(what, ("layer", "state", "what happened"), steps)
        title = f"Stack of {self._host.peer_id.short()}"
        return self._view.mimebundle(page(title, html), text_table(head, rows))


def address_message(addr: Multiaddr) -> Message:
    """A multiaddr taken apart, part by part."""
    data = b""
    found = []
    for part in addr.parts:
        encoded = part.encode()
        start, end = len(data), len(data) + len(encoded)
        value_start = end - len(part.value_bytes)
        code = Field(
            "code", start, value_start, str(part.code), f"The protocol {part.name}.", ADDRESSING
        )
        if part.value_bytes and len(encoded) - len(part.value_bytes) > _code_length(part.code):
            middle = start + _code_length(part.code)
            size = str(len(part.value_bytes))
            code = Field("code", start, middle, str(part.code), code.meaning, ADDRESSING)
            length = Field("length", middle, value_start, size, "Bytes of value.", ADDRESSING)
            heads: tuple[Field, ...] = (code, length)
        else:
            heads = (code,)
        value = Field("value", value_start, end, part.value, "", ADDRESSING)
        parts = (*heads, value) if part.value_bytes else heads
        meaning = "One protocol of the address, with its value."
        found.append(Field(part.name, start, end, str(part), meaning, ADDRESSING, "address", parts))
        data += encoded
    return Message(str(addr), "address", data, tuple(found))


def _code_length(code: int) -> int:
    return (max(code.bit_length(), 1) + 6) // 7


def _slot_record(slot: Slot) -> dict[str, str]:
    return {
        "name": slot.name,
        "part": slot.part,
        "task": slot.task,
        "module": slot.module,
        "spec": slot.spec,
        "layer": slot.layer,
    }


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    def record(step: Step) -> dict[str, Any]:
        row = step.row if step.row is not None and step.row.size else None
        title = outcome.log.title(row) if row is not None else ""
        direction = row.entry.direction if row is not None else ""
        return {
            "slot": step.slot,
            "state": step.state,
            "text": step.text,
            "title": title,
            "direction": direction,
        }

    return {
        "without": outcome.without,
        "error": outcome.error,
        "remote": outcome.remote,
        "steps": [record(step) for step in outcome.steps],
    }
