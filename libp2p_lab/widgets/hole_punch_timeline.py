"""`HolePunchTimeline`: how two peers got rid of their relay, in three lanes: what was said, measured, dialed when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host import Host
from libp2p_lab.recording.recorder import Recording
from libp2p_lab.trace import Entry
from libp2p_lab.widgets import punch_bench
from libp2p_lab.widgets.punch_bench import MAX_DELAY, MAX_JITTER, ROUTERS, WAITS, Scene
from libp2p_lab.widgets.punch_drawing import drawing
from libp2p_lab.widgets.punch_model import LONG, Mark, Story, last_story, shown
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View

LAYERS = ("dcutr", "relay", "stream", "host")  # of live hosts: what the story is told from
MAX_ENTRIES = 20_000  # of live hosts
HEAD = ("time", "try", "what")


class HolePunchTimeline:
    """One hole punching: A, the relay and B as lanes.

    Without a source it has two homes and a relay of its own in a simulated internet, and they meet again whenever
    something is changed: distances, routers, how long B waits.

    Args:
        source: a recording; or live hosts, whose last hole punching is shown; None for homes of its own.
        scene: what those are up against at first.
        names: what peers are called, by the text of their ids; hosts of a simulated internet have names.
    """

    def __init__(
        self,
        source: object = None,
        scene: Scene | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._scene: Scene | None = None
        self._wanted: Scene | None = None
        self._hosts: list[Host] = []
        self._stop_listening: list[Callable[[], None]] = []
        self._entries: list[Entry] = []
        self._story = Story()
        self._names = dict(names or {})
        self._view = View(
            "hole_punch_timeline",
            on_open=self._snapshot,
            on_message=self._hear,
            on_flush=self._snapshot,
            on_idle=self._stop,
        )
        match source:
            case None:
                self._scene = scene if scene is not None else Scene()
                self._story = _aside(self._scene)
            case Recording():
                self._story = last_story(source, self._names)
            case Host():
                self._watch([source])
            case Iterable():
                self._watch(list(source))
            case _:
                raise LocalError(f"give a recording, hosts or nothing, not {type(source).__name__}")

    @property
    def story(self) -> Story:
        """What is shown."""
        if self._hosts:
            self._story = last_story(self._entries, self._names)
        return self._story

    @property
    def scene(self) -> Scene:
        """What its own homes are up against.

        Raises: `LocalError` if it shows somebody else's.
        """
        if self._scene is None:
            raise LocalError("this has happened: HolePunchTimeline() has homes of its own")
        return self._scene

    def meet(self, **changes: Any) -> Story:
        """Change the scene and let them meet again.

        Args:
            changes: as `Scene`: kind, a, b, a_relay, b_relay, direct, jitter, wait, seed.
        """
        self._scene = replace(self.scene, **changes)
        self._story = _aside(self._scene)
        self._view.send(self._record())
        return self._story

    def close(self) -> None:
        """Take it off the page, and listen no more."""
        self._stop()
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- live hosts -------------------------------------------------------------------------------

    def _watch(self, hosts: list[object]) -> None:
        for host in hosts:
            if not isinstance(host, Host):
                raise LocalError(f"hosts are watched, not {type(host).__name__}")
            self._hosts.append(host)
            name = getattr(host, "name", "")
            if name:
                self._names.setdefault(str(host.peer_id), str(name))
        if not self._hosts:
            raise LocalError("no hosts to watch")
        self._listen()

    def _listen(self) -> None:
        if not self._stop_listening:
            self._stop_listening = [host.trace.listen(self._take) for host in self._hosts]

    def _stop(self) -> None:
        """Nobody looks any more: the hosts' traces are left alone."""
        for stop in self._stop_listening:
            stop()
        self._stop_listening = []

    def _take(self, entry: Entry) -> None:
        if entry.layer not in LAYERS:
            return
        if len(self._entries) >= MAX_ENTRIES:
            del self._entries[: MAX_ENTRIES // 2]
        self._entries.append(entry)
        if entry.layer in ("dcutr", "host"):
            self._view.wake()

    # -- with the page ----------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        self._listen()
        return self._record(), []

    def _record(self) -> dict[str, Any]:
        story, scene = self.story, self._scene
        return {
            "type": "story",
            "summary": story.summary(),
            "outcome": story.outcome,
            "names": list(story.names),
            "attempts": story.attempts,
            "long": LONG,
            "scales": [story.scale(attempt) for attempt in range(story.attempts + 1)],
            "marks": [_mark_as_json(mark) for mark in story.marks],
            "scene": None if scene is None else _scene_as_json(scene),
        }

    def _hear(self, content: dict[str, Any], view: str) -> None:
        if self._scene is None:
            return
        scene = self._wanted or self._scene
        match content:
            case {"type": "kind", "value": ("tcp" | "quic") as kind}:
                scene = replace(scene, kind=kind)
            case {"type": "router", "side": ("a" | "b") as side, "value": str(router)} if (
                router in ROUTERS
            ):
                scene = replace(scene, a=router) if side == "a" else replace(scene, b=router)
            case {"type": "a_relay", "value": int(value)}:
                scene = replace(scene, a_relay=_delay(value))
            case {"type": "b_relay", "value": int(value)}:
                scene = replace(scene, b_relay=_delay(value))
            case {"type": "direct", "value": int(value)}:
                scene = replace(scene, direct=_delay(value))
            case {"type": "jitter", "value": int(value)}:
                scene = replace(scene, jitter=min(max(value / 1000, 0.0), MAX_JITTER))
            case {"type": "wait", "value": int(value)} if 0 <= value < len(WAITS):
                scene = replace(scene, wait=WAITS[value])
            case {"type": "again"}:
                scene = replace(scene, seed=scene.seed + 1)
            case {"type": "reset"}:
                scene = Scene()
            case _:
                return
        is_busy = self._wanted is not None
        self._wanted = scene
        if not is_busy:
            self._view.start(self._meet_wanted(), self._tell)

    async def _meet_wanted(self) -> None:
        """Meet until the last change has been tried: sliders move faster than that."""
        try:
            while self._wanted is not None and self._wanted != self._scene:
                scene = self._wanted
                story = await asyncio.to_thread(punch_bench.run, scene)
                self._scene, self._story = scene, story
                self._view.send(self._record())
        finally:
            self._wanted = None

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        story = self.story
        rows = [_row(mark) for mark in story.marks]
        html = f"<p>{story.summary()}</p>{drawing(story)}{table('', HEAD, rows)}"
        text = f"{story.summary()}\n{text_table(HEAD, rows)}"
        return self._view.mimebundle(page("Hole punching", html), text)


def _aside(scene: Scene) -> Story:
    """Meet in a thread of its own: here an event loop may run."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(punch_bench.run, scene).result()


def _delay(milliseconds: int) -> float:
    return min(max(milliseconds / 1000, 0.001), MAX_DELAY)


def _row(mark: Mark) -> tuple[str, ...]:
    guess = " (about)" if mark.is_guess else ""
    return shown(mark.times[0]) + guess, str(mark.attempt or ""), mark.text


def _mark_as_json(mark: Mark) -> dict[str, Any]:
    return {
        "shape": mark.shape,
        "kind": mark.kind,
        "attempt": mark.attempt,
        "lanes": list(mark.lanes),
        "times": list(mark.times),
        "text": mark.text,
        "bad": mark.is_bad,
        "guess": mark.is_guess,
    }


def _scene_as_json(scene: Scene) -> dict[str, Any]:
    return {
        "kind": scene.kind,
        "a": scene.a,
        "b": scene.b,
        "a_relay": round(1000 * scene.a_relay),
        "b_relay": round(1000 * scene.b_relay),
        "direct": round(1000 * scene.direct),
        "jitter": round(1000 * scene.jitter),
        "wait": WAITS.index(scene.wait),
        "routers": list(ROUTERS),
    }
