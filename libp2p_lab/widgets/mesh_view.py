"""`MeshView`: who sends whom what, by flood and by gossip. Publish, watch the wave, stop the hearts, break things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.internet import Internet
from libp2p_lab.widgets.mesh_card import PARTS, card, decided
from libp2p_lab.widgets.mesh_form import static_form
from libp2p_lab.widgets.mesh_model import PULSES, STYLES
from libp2p_lab.widgets.mesh_source import Source
from libp2p_lab.widgets.mesh_twins import twins
from libp2p_lab.widgets.mesh_world import SPAM, SYBILS, World
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.1  # seconds: ten pictures a second
LARGE, LARGE_INTERVAL = 200, 0.5  # two for so many peers
TOPIC = "news"  # where nobody has named one
CUT = 0.4  # the part of the mesh's links that one click cuts
SIZES = (1, 1_000_000)  # bytes of a message that a person may publish
SLIDERS = ("D", "D_low", "D_high", "D_lazy", "heartbeat_interval", "gossip_factor")
SWITCHES = ("flood_publish", "idontwant_message_threshold")


class MeshView:
    """Peers with pubsub: mesh links, fan-out, links for gossip only, and the way of each message.

    It follows the hosts from the moment that it is made, until `close` or until its last view is gone, so it knows
    what happened before it was shown.

    Args:
        source: one host, several, a mapping from names to hosts, a simulated internet, or a recording. None makes two
            internets that are the same but for this: one runs GossipSub, the other FloodSub.
        topic: which topic; "" for the first that anybody wants.
        beside: a second network, drawn next to the first; what a peer publishes in one, the peer of the same name
            (or, of two lists, in the same place) publishes in the other.
        speed: virtual seconds in a real one, for simulated internets that are played.

    Raises: `LocalError` for a source without peers, or with peers that have no pubsub.
    """

    def __init__(
        self,
        source: Source | None = None,
        topic: str = "",
        *,
        beside: Source | None = None,
        speed: float = 1.0,
    ) -> None:
        if not speed > 0:
            raise LocalError(f"a speed to play with is above 0, not {speed}")
        made = twins(topic or TOPIC) if source is None else []
        self._made = [net for net, _ in made]
        self._worlds = [World(net, services) for net, services in made]
        self._worlds += [
            World(one, is_numbered=beside is not None)
            for one in (source, beside)
            if one is not None
        ]
        self._topic = topic
        self._speed = float(speed)
        self._selected = (0, "")
        self._told = ""  # the clocks, as the page knows them
        self._cuts = 0
        self._is_watched = False  # somebody reads what each peer decides
        peers = max(len(world.hosts) for world in self._worlds)
        self._view = View(
            "mesh_view",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._unfollow,
            interval=INTERVAL if peers <= LARGE else LARGE_INTERVAL,
        )
        self._follow()

    def close(self) -> None:
        """Take it off the page and listen to nobody any more. Networks that were handed in stay as they are."""
        self._view.close()
        for net in self._made:
            net.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    @property
    def nets(self) -> list[Internet]:
        """The simulated internets that it shows."""
        return [world.net for world in self._worlds if world.net is not None]

    @property
    def topic(self) -> str:
        """The topic that is shown."""
        topics = [topic for world in self._worlds for topic in world.model.topics]
        return self._topic or (topics[0] if topics else TOPIC)

    def summary(self) -> str:
        """One sentence for each network."""
        self._drain()
        topic = self.topic
        return "; ".join(f"{one.title}: {one.model.summary(topic)}" for one in self._worlds)

    async def publish(self, name: str, size: int = 100) -> None:
        """Let the peer of this name publish a message, in each network that is shown.

        Args:
            name: who.
            size: bytes of its data, about.

        Raises: `LocalError` if no peer of this name runs.
        """
        size = min(max(size, SIZES[0]), SIZES[1])
        worlds = [world for world in self._worlds if name in world.hosts]
        if not worlds:
            raise LocalError(f"there is no peer {name!r} here")
        topic = self.topic
        for world in worlds:
            await world.publish(name, topic, size)
        self._view.wake()

    async def beat(self) -> None:
        """One heartbeat of everybody; then hearts (and simulated time) stand still."""
        for world in self._worlds:
            await world.beat()
        self._view.wake()

    # -- following --------------------------------------------------------------------------------

    def _follow(self) -> None:
        for world in self._worlds:
            world.follow(self._view.wake)

    def _unfollow(self) -> None:
        for world in self._worlds:
            world.unfollow()
            if world.net is not None:
                world.pause(True)

    def _drain(self) -> None:
        for world in self._worlds:
            world.drain()

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        self._follow()
        self._drain()
        for world in self._worlds:
            for wave in world.model.waves.values():
                wave.told = 0
            world.model.is_changed = True
        message = self._record()
        message |= {
            "type": "snapshot",
            "styles": STYLES,
            "pulse_names": PULSES,
            "parts": PARTS,
            "wanted": self._speed,
            "parameters": self._parameters(),
        }
        return message, []

    def _flush(self) -> Batch | None:
        self._drain()
        if any(world.net is not None and world.is_playing for world in self._worlds):
            asyncio.get_running_loop().call_soon(self._view.wake)  # time passes: show it
        return {"type": "update", **self._record()}, []

    def _record(self) -> dict[str, Any]:
        topic = self.topic
        number, name = self._selected
        return {
            "topic": topic,
            "topics": sorted({one for world in self._worlds for one in world.model.topics}),
            "worlds": [self._world_record(world, topic) for world in self._worlds],
            "selected": [number, name],
            "card": card(self._worlds[number], name, topic) if name else None,
        }

    def _world_record(self, world: World, topic: str) -> dict[str, Any]:
        model = world.model
        record: dict[str, Any] = {
            "title": world.title,
            "simulated": world.net is not None,
            "live": bool(world.hosts),
            "grows": world.services is not None,
            "now": world.now,
            "playing": world.is_playing,
            "totals": dict(model.totals),
            "pulses": [value for pulse in model.take_pulses() for value in pulse],
            "waves": [
                wave.record()
                for wave in model.waves.values()
                if wave.topic == topic and (wave.told < len(wave.rows) or not wave.told)
            ],
        }
        if model.is_changed:
            record |= model.record(topic)
            if self._is_watched:
                record["decided"] = decided(world, topic)
            model.is_changed = False
        return record

    def _parameters(self) -> dict[str, float] | None:
        """What the sliders show; None if nobody runs GossipSub."""
        for world in self._worlds:
            for gossip in world.gossips:
                now = gossip.parameters
                return {
                    "D": now.D,
                    "D_low": now.D_low,
                    "D_high": now.D_high,
                    "D_lazy": now.D_lazy,
                    "heartbeat_interval": now.heartbeat_interval,
                    "gossip_factor": now.gossip_factor,
                    "flood_publish": now.flood_publish,
                    "idontwant_message_threshold": now.idontwant_message_threshold,
                }
        return None

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        name = str(content.get("name") or "")
        number = content.get("world")
        chosen = number if isinstance(number, int) and 0 <= number < len(self._worlds) else 0
        match content.get("type"):
            case "select":
                self._selected = chosen, name
            case "watch":
                self._is_watched = bool(content.get("decisions"))
                for world in self._worlds:
                    world.model.is_changed = True
            case "topic":
                self._topic = str(content.get("topic") or "")
                for world in self._worlds:
                    world.model.is_changed = True
                    for wave in world.model.waves.values():
                        wave.told = 0
            case "publish":
                self._do(f"{name} published", self._published(name, content.get("size")))
            case "play":
                self._play(content.get("speed"))
            case "pause":
                for world in self._worlds:
                    world.pause(True)
            case "beat":
                self._do("one heartbeat of everybody", self.beat())
            case "kill":
                self._do(f"{name} is gone", self._each(name, lambda world: world.kill(name)))
            case "spam":
                work = self._each(name, lambda world: world.spam(name, self.topic))
                self._do(f"{name} sent {SPAM} forged messages to everybody", work)
            case "sybils":
                work = self._each(name, lambda world: world.add_sybils(name, self.topic))
                self._do(f"{SYBILS} peers behind one address have connected to {name}", work)
            case "cut":
                self._do("", self._cut())
            case "silence":
                self._do("", self._silenced(name))
            case "use":
                self._do("", self._used(content.get("parameters")))
        self._view.wake()

    async def _published(self, name: str, size: object) -> None:
        await self.publish(name, size if isinstance(size, int) else 100)

    async def _each(self, name: str, act: Callable[[World], Coroutine[Any, Any, object]]) -> None:
        """Do it in each network in which such a peer runs."""
        for world in self._worlds:
            if name in world.hosts and world.hosts[name].is_running:
                await act(world)

    async def _cut(self) -> None:
        """Cut the share of each network's mesh that the chapter speaks of, other links each time."""
        self._cuts += 1
        cut = [await world.cut(self.topic, CUT, self._cuts) for world in self._worlds]
        self._tell(
            True, f"{' and '.join(map(str, cut))} links were cut: publish, then let hearts beat"
        )

    async def _silenced(self, name: str) -> None:
        topic = self.topic
        for world in self._worlds:
            if name in world.hosts:
                is_silent = await world.silence(name, topic)
                words = "takes and gives nothing" if is_silent else "passes messages on again"
                self._tell(True, f"{name} {words}")

    async def _used(self, wanted: object) -> None:
        """Other parameters for all peers that run GossipSub."""
        if not isinstance(wanted, dict):
            return
        before = self._parameters() or {}
        changes: dict[str, float] = {}
        for key in (*SLIDERS, *SWITCHES):
            value = wanted.get(key)
            if key in before and isinstance(value, int | float):
                changes[key] = type(before[key])(value)
        try:
            for world in self._worlds:
                await world.use(**changes)
            self._tell(True, "in force from the next heartbeat on")
        finally:
            self._view.send({"type": "parameters", "parameters": self._parameters()})

    def _play(self, speed: object) -> None:
        if isinstance(speed, int | float) and speed > 0:
            self._speed = float(speed)
        for world in self._worlds:
            world.pause(False, self._speed)

    def _do(self, done: str, work: Coroutine[Any, Any, None]) -> None:
        """One poke after the other; what goes wrong is told."""

        async def run() -> None:
            await work
            if done:
                self._tell(True, done)
            self._view.wake()

        self._view.start(run(), lambda problem: self._tell(False, problem))

    def _tell(self, ok: bool, text: str) -> None:
        self._view.send({"type": "result", "ok": ok, "text": text})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        summary = self.summary()
        html, text = static_form(self._worlds, self.topic)
        return self._view.mimebundle(html, f"{summary}\n\n{text}")
