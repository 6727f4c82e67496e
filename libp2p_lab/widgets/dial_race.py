"""`DialRace`: one dial to many addresses, as lanes over time; break an address and see the race change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host import Host
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.recording.recorder import Recording
from libp2p_lab.trace import Entry
from libp2p_lab.widgets import dial_bench
from libp2p_lab.widgets.dial_bench import ADDRESSES, AT_HOME, ORDERS, STATES, Scene
from libp2p_lab.widgets.dial_drawing import drawing
from libp2p_lab.widgets.dial_model import Lane, Race, last_race
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View

LAYERS = ("host", "negotiation", "security")  # of a live host: what a race is drawn from
MAX_ENTRIES = 5000  # of a live host's last dial
HEAD = ("address", "transport", "starts", "ends", "outcome")


class DialRace:
    """One dial, a lane for each address.

    Without a source it has peers of its own in a simulated internet, and dials whenever something is changed: distance,
    loss, UDP, an address, the order.

    Args:
        source: a host, whose last dial is shown, live; or a recording; None for peers of its own.
        scene: what those are up against at first.
    """

    def __init__(self, source: object = None, scene: Scene | None = None) -> None:
        self._scene: Scene | None = None
        self._wanted: Scene | None = None
        self._host: Host | None = None
        self._stop_listening: Callable[[], None] | None = None
        self._entries: list[Entry] = []
        self._race = Race()
        self._view = View(
            "dial_race",
            on_open=self._snapshot,
            on_message=self._hear,
            on_flush=self._snapshot,
            on_idle=self._stop,
        )
        match source:
            case None:
                self._scene = scene if scene is not None else Scene()
                self._race = _aside(self._scene)
            case Host():
                self._host = source
                self._listen()
            case Recording():
                self._race = last_race(source)
            case _:
                kind = type(source).__name__
                raise LocalError(f"give a host, a recording or nothing, not {kind}")

    @property
    def race(self) -> Race:
        """What is shown."""
        if self._host is not None:
            self._race = last_race(self._entries)
        return self._race

    @property
    def scene(self) -> Scene:
        """What its own peers are up against.

        Raises: `LocalError` if it shows somebody else's dial.
        """
        if self._scene is None:
            raise LocalError("this dial has been made: DialRace() has peers of its own")
        return self._scene

    def dial(self, **changes: Any) -> Race:
        """Change the scene and dial again; arguments as `Scene`: delay, loss, is_udp_blocked, order, broken, seed."""
        self._scene = replace(self.scene, **changes)
        self._race = _aside(self._scene)
        self._show()
        return self._race

    def close(self) -> None:
        """Take it off the page, and listen no more."""
        self._stop()
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- a live host ------------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._host is not None and self._stop_listening is None:
            self._stop_listening = self._host.trace.listen(self._take)

    def _stop(self) -> None:
        """Nobody looks any more: the host's trace is left alone."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None

    def _take(self, entry: Entry) -> None:
        if entry.layer not in LAYERS:
            return
        if len(self._entries) >= MAX_ENTRIES:
            del self._entries[: MAX_ENTRIES // 2]
        self._entries.append(entry)
        if entry.layer == "host":
            self._view.wake()

    # -- with the page ----------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        self._listen()
        return self._record(), []

    def _record(self) -> dict[str, Any]:
        race, scene = self.race, self._scene
        names = {scene.addr(name): name for name in ADDRESSES} if scene is not None else {}
        return {
            "type": "race",
            "summary": race.summary(),
            "seconds": race.seconds,
            "lanes": [_lane_as_json(lane, names.get(lane.addr, "")) for lane in race.lanes],
            "scene": None if scene is None else _scene_as_json(scene),
        }

    def _show(self) -> None:
        self._view.send(self._record())

    def _hear(self, content: dict[str, Any], view: str) -> None:
        if self._scene is None:
            return
        scene = self._wanted or self._scene
        match content:
            case {"type": "delay", "value": int(value)}:
                scene = replace(scene, delay=min(max(value, 0), 500) / 1000)
            case {"type": "loss", "value": int(value)}:
                scene = replace(scene, loss=min(max(value, 0), 50) / 100)
            case {"type": "udp", "value": bool(value)}:
                scene = replace(scene, is_udp_blocked=value)
            case {"type": "order", "value": str(value)} if value in ORDERS:
                scene = replace(scene, order=value)
            case {"type": "lane", "name": str(name), "state": str(state)} if (
                name in ADDRESSES and name != AT_HOME and state in STATES
            ):
                scene = replace(scene, broken=tuple({**dict(scene.broken), name: state}.items()))
            case {"type": "again"}:
                scene = replace(scene, seed=scene.seed + 1)
            case {"type": "reset"}:
                scene = Scene()
            case _:
                return
        is_busy = self._wanted is not None
        self._wanted = scene
        if not is_busy:
            self._view.start(self._dial_wanted(), self._tell)

    async def _dial_wanted(self) -> None:
        """Dial until the last change has been tried: sliders move faster than that."""
        try:
            while self._wanted is not None and self._wanted != self._scene:
                scene = self._wanted
                race = await asyncio.to_thread(dial_bench.run, scene)
                self._scene, self._race = scene, race
                self._show()
        finally:
            self._wanted = None

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        race = self.race
        rows = [_row(lane) for lane in race.lanes]
        html = f"<p>{race.summary()}</p>{drawing(race)}{table('', HEAD, rows)}"
        text = f"{race.summary()}\n{text_table(HEAD, rows)}"
        return self._view.mimebundle(page("Dial", html), text)


def _aside(scene: Scene) -> Race:
    """Dial in a thread of its own: here an event loop may run."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(dial_bench.run, scene).result()


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.0f} ms"


def _row(lane: Lane) -> tuple[str, ...]:
    start = _ms(lane.start) if lane.start is not None else f"({_ms(lane.planned)})"
    outcome = f"{lane.outcome}: {lane.cause}" if lane.cause else lane.outcome
    return str(Multiaddr(lane.addr)), lane.transport, start, _ms(lane.end), outcome


def _lane_as_json(lane: Lane, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "addr": lane.addr,
        "transport": lane.transport,
        "planned": lane.planned,
        "start": lane.start,
        "end": lane.end,
        "outcome": lane.outcome,
        "cause": lane.cause,
        "stages": lane.stages,
    }


def _scene_as_json(scene: Scene) -> dict[str, Any]:
    return {
        "delay": round(1000 * scene.delay),
        "loss": round(100 * scene.loss),
        "udp_blocked": scene.is_udp_blocked,
        "order": scene.order,
        "states": {name: scene.state(name) for name in ADDRESSES if name != AT_HOME},
    }
