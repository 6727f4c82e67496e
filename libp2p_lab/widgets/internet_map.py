"""`InternetMap`: a simulated internet as a picture. Let its time pass, stop it, and break it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.sim.host import SimHost
from libp2p_lab.sim.internet import Internet
from libp2p_lab.sim.machine import Machine
from libp2p_lab.sim.nat_box import NatBox
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.internet_model import KINDS, InternetModel
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.05  # seconds: twenty pictures a second
MAX_WAITING = 20_000  # packets that wait to be told of; the newest
STEP_EVENTS = 1000  # that one step looks through for a packet
MAX_ROWS = 200  # of the static form


@dataclass(frozen=True, slots=True)
class Deed:
    """Something done to the internet through the map.

    Attributes:
        time: virtual seconds.
        action: "crash", "restart", "freeze", "thaw", "cut", "heal" or "drop".
        name: of the machine or box.
        other: from whom it is cut off; "" for everybody.
        number: of the cut that is mended.
    """

    time: float
    action: str
    name: str = ""
    other: str = ""
    number: int = 0


class InternetMap:
    """A map of a simulated internet: regions, machines, NAT boxes, and the packets on their way.

    It listens to the internet only while it is shown, and runs it only when somebody presses play or step.

    Args:
        net: the internet; or a function that makes it, its events included: with one the map can go back in time.
            The same seed gives the same run, so it makes the internet again, runs it to the moment that was asked
            for, and does on the way what was done to the first one through the map.
        speed: virtual seconds in a real one, for the button that plays.

    Attributes:
        net: the internet that is shown; another one after each going back, which closes the one before.

    Raises: `LocalError` for something that is no internet, or a speed that is not above 0.
    """

    def __init__(self, net: Internet | Callable[[], Internet], speed: float = 0.1) -> None:
        self._again = net if callable(net) else None
        if callable(net):
            net = net()
        if not isinstance(net, Internet):
            raise LocalError(f"this map shows an Internet, not {type(net).__name__}")
        if not speed > 0:
            raise LocalError(f"a speed to play with is above 0, not {speed}")
        self.net = net
        self._speed = float(speed)
        self._model = InternetModel()
        self._facts: deque[Entry] = deque()  # filled by the thread that runs the internet
        self._packets: deque[Entry] = deque(maxlen=MAX_WAITING)
        self._heals: dict[int, Callable[[], None]] = {}
        self._deeds: list[Deed] = []  # what was done through the map, in the order of time
        self._selected = ""
        self._told = (-1.0, -1.0)  # the time and the speed that the page knows
        self._is_new = False  # another internet than the page knows
        self._stop: Callable[[], None] | None = None
        self._view = View(
            "internet_map",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=self._hear,
            on_idle=self._unfollow,
            interval=INTERVAL,
        )

    def close(self) -> None:
        """Take the map off the page. The internet stays as it is."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """One sentence: how many machines, boxes and cuts, and what time it is."""
        return f"{self._current().summary()}, {self.net.now:.3f} s"

    # -- following --------------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        """Called in whichever thread runs the internet: keep it, and look at it in the kernel's."""
        is_packet = isinstance(entry.what, PacketSent | PacketDropped)
        (self._packets if is_packet else self._facts).append(entry)
        self._view.wake()

    def _unfollow(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _current(self) -> InternetModel:
        """What there is now: followed, or looked up afresh."""
        if self._stop is not None:
            self._drain()
            return self._model
        model = InternetModel()
        for event in self.net.scene():
            model.take(self.net.now, event)
        return model

    def _drain(self) -> None:
        for waiting in (self._facts, self._packets):
            for _ in range(len(waiting)):
                entry = waiting.popleft()
                self._model.take(entry.time, entry.what)

    # -- to the page ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        if self._stop is None:
            self._facts.clear()
            self._packets.clear()
            self._stop = self.net.trace.listen(self._take)
            self._model = InternetModel()
            for event in self.net.scene():
                self._model.take(self.net.now, event)
        self._drain()
        message, rows = self._model.changes(everything=True)
        regions = self.net.network.geography.regions.values()
        message["regions"] = [[one.name, one.latitude, one.longitude] for one in regions]
        message["kinds"] = KINDS
        message["wanted"] = _plain(self._speed)
        message["can_go_back"] = self._again is not None
        return {"type": "snapshot", **message, **self._clock()}, [rows]

    def _flush(self) -> Batch | None:
        if self._is_new:
            self._is_new = False
            return self._snapshot()
        self._drain()
        message, rows = self._model.changes()
        clock = self._clock()
        if self.net.speed:  # time passes, and that is to be shown, whatever else happens
            asyncio.get_running_loop().call_soon(self._view.wake)
        now = (self.net.now, self.net.speed)
        is_new = rows or message["places"] or message["lost"] or "cuts" in message
        if not is_new and now == self._told:
            return None
        self._told = now
        if place := self._model.places.get(self._selected):
            message["card"] = place.card()
        return {"type": "update", **message, **clock}, [rows]

    def _clock(self) -> dict[str, Any]:
        return {
            "now": self.net.now,
            "speed": _plain(self.net.speed),
            "summary": self._model.summary(),
            "failures": list(self._model.failures),
            "mine": list(self._heals),
        }

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        name = str(content.get("name") or "")
        match content.get("type"):
            case "select":
                self._selected = name if name in self._model.places else ""
                if place := self._model.places.get(self._selected):
                    self._view.send({"type": "card", "to": view, "card": place.card()})
            case "play":
                self._play(content.get("speed"))
            case "step":
                self.net.pause()
                self._do("stepped to the next packet", self._step)
            case "seek":
                self._seek(content.get("time"))
            case "drop":
                self._deed("the next packet will be lost", "drop")
            case "crash" | "restart" | "freeze" | "thaw" as action:
                if problem := self._why_not(str(action), name):
                    self._tell(False, problem)
                else:
                    self._deed(f"{name}: {action}", str(action), name)
            case "cut":
                self._deed(f"{name} is cut off", "cut", name, str(content.get("other") or ""))
            case "heal":
                number = int(content.get("number") or 0)
                if number in self._heals:
                    self._deed("the cable is mended", "heal", number=number)

    def _play(self, speed: object) -> None:
        """Play at this many virtual seconds a second; 0 pauses, below 0 is as fast as possible."""
        if not isinstance(speed, int | float) or isinstance(speed, bool) or math.isnan(speed):
            return
        try:
            self.net.play(math.inf if speed < 0 else speed)
        except LocalError as problem:  # it is closed
            self._tell(False, str(problem))
        self._view.wake()

    def _step(self) -> None:
        """To the next moment at which a packet moves."""
        before = len(self._packets)
        for _ in range(STEP_EVENTS):
            self.net.player.settle()
            if len(self._packets) != before:
                return

    def _why_not(self, action: str, name: str) -> str:
        """What keeps a machine from being switched; "" for nothing."""
        host = self.net.hosts_by_name.get(name)
        if host is None:
            return f"{name or 'nobody'} has no peer to {action}"
        if action == "restart" and host.state != "crashed":
            return f"{name} is running: crash it first"
        return ""

    def _deed(
        self, done: str, action: str, name: str = "", other: str = "", number: int = 0
    ) -> None:
        """Do something to the internet, and remember it for a run that repeats this one."""

        def act() -> None:
            with self.net.player.paused():
                deed = Deed(self.net.now, action, name, other, number)
                _perform(self.net, deed, self._heals)
                self._deeds.append(deed)

        self._do(done, act)

    def _seek(self, time: object) -> None:
        """Show the moment `time`: by running on, or by running again from the beginning."""
        if not isinstance(time, int | float) or isinstance(time, bool) or not math.isfinite(time):
            return
        moment = max(0.0, float(time))
        self.net.pause()
        if moment >= self.net.now:
            self._do(f"it is {moment:g} s", lambda: self.net.run(until=moment))
        elif self._again is None:
            self._tell(
                False, "only a map that can make its internet again goes back: give it a function"
            )
        else:
            self._do(f"run again, to {moment:g} s", lambda: self._run_again(moment))

    def _run_again(self, moment: float) -> None:
        assert self._again is not None
        before, net, heals = self.net, self._again(), dict[int, Callable[[], None]]()
        kept = [deed for deed in self._deeds if deed.time <= moment]
        try:
            for deed in kept:
                net.run(until=deed.time)
                _perform(net, deed, heals)
            net.run(until=moment)
        except BaseException:
            net.close()
            raise
        was_followed = self._stop is not None
        self._unfollow()
        self.net, self._heals, self._deeds = net, heals, kept
        before.close()
        if was_followed:
            self._is_new = True

    def _do(self, done: str, act: Callable[[], None]) -> None:
        """Do it in a thread: it may have to wait for the one that runs the internet."""

        async def run() -> None:
            await asyncio.to_thread(act)
            self._model.tell_cuts()  # again: by now it is known which ones can be mended from here
            self._tell(True, done)
            self._view.wake()

        self._view.start(run(), lambda problem: self._tell(False, problem))

    def _tell(self, ok: bool, text: str) -> None:
        self._view.send({"type": "result", "ok": ok, "text": text})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        model = self._current()
        head = ("name", "kind", "region", "behind", "addresses", "state")
        rows = [
            (one.name, one.kind, one.region, one.box, " ".join(one.ips), one.state)
            for one in list(model.places.values())[:MAX_ROWS]
        ]
        html = table("Machines and boxes", head, rows)
        text = f"{self.summary()}\n\n{text_table(head, rows)}"
        if more := len(model.places) - len(rows):
            html += f"<p>… and {more:,} more</p>"
            text += f"\n… and {more:,} more"
        if model.cuts:
            cut_head = ("one side", "the other")
            cuts = [(", ".join(a), ", ".join(b) or "all others") for a, b in model.cuts.values()]
            html += table("Cables that are cut", cut_head, cuts)
            text += f"\n\n{text_table(cut_head, cuts)}"
        return self._view.mimebundle(page(f"Internet: {self.summary()}", html), text)


def _perform(net: Internet, deed: Deed, heals: dict[int, Callable[[], None]]) -> None:
    """Do to `net` what was done, now.

    Raises: `LocalError` if there is no such machine.
    """
    match deed.action:
        case "drop":
            net.drop_next()
        case "heal":
            heals.pop(deed.number)()
        case "cut":
            places: dict[str, Machine | NatBox] = {**net.network.boxes, **net.network.machines}
            if deed.name not in places or (deed.other and deed.other not in places):
                raise LocalError("no such machine on this map")
            heal = net.partition(places[deed.name], places[deed.other] if deed.other else None)
            heals[net.network.cuts[-1].number] = heal
        case action:
            host = net.hosts_by_name[deed.name]
            if action == "restart":
                host.check_restartable()
            net.player.settle(_switch_of(host, action))


def _switch_of(host: SimHost, action: str) -> Callable[[], Any]:
    """The method behind a button. `restart` gives a task, which goes on by itself."""
    match action:
        case "crash":
            return host.crash
        case "freeze":
            return host.freeze
        case "thaw":
            return host.thaw
        case _:
            return host.restart


def _plain(speed: float) -> float:
    """A speed as JSON has it: -1 for as fast as possible."""
    return -1.0 if math.isinf(speed) else speed
