"""`LookupRace`: the same lookups with other numbers of requests in flight, other buckets, other churn; a lane for each.

Each lane runs the same searches in the same crowd of peers (`xor_bench`: the lab's own lookup and tables, and a clock
with the world's delays). One of them is drawn message by message; all of them are counted.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from statistics import fmean, quantiles
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.routing.distance import BITS
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View
from libp2p_lab.widgets.xor_bench import MAX_ALPHA, MAX_K, MAX_PEERS, MIN_PEERS, Net, Scene
from libp2p_lab.widgets.xor_model import Trail, seconds

MAX_LANES = 6
MAX_LOOKUPS = 200
HEAD = ("lane", "hops", "messages", "time", "9 of 10 within", "no answer", "found of the closest")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one lane's lookups: means, unless said otherwise.

    Attributes:
        scene: the setting.
        lookups: how many.
        hops: the longest chain of namings.
        requests, messages: peers asked; requests and answers.
        failures: requests without an answer.
        seconds: from the first question to the end.
        slow: seconds within which nine of ten are over.
        found: the share of the k really closest that was found.
        trail: the first lookup, step by step.
    """

    scene: Scene
    lookups: int
    hops: float
    requests: float
    messages: float
    failures: float
    seconds: float
    slow: float
    found: float
    trail: Trail

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"α = {self.scene.alpha}, k = {self.scene.k}, {self.scene.gone:.0%} gone"

    def row(self) -> tuple[str, ...]:
        """The numbers, to be read."""
        return (
            self.name,
            f"{self.hops:.1f}",
            f"{self.messages:.0f}",
            seconds(self.seconds),
            seconds(self.slow),
            f"{self.failures:.1f}",
            f"{self.found:.1%}",
        )


def run(scene: Scene, lookups: int) -> Outcome:
    """Search for some keys, each from another peer."""
    rng = random.Random(scene.seed)
    trails, shares = [], []
    net = Net(scene, 0)
    servers = net.servers
    for _ in range(lookups):
        net.target = rng.randrange(2**BITS)
        asker = rng.choice(servers)
        trail, true = net.lookup(asker), net.closest(asker)
        trails.append(trail)
        shares.append(len(set(true) & set(trail.closest)) / max(1, len(true)))
    times = [trail.seconds for trail in trails]
    return Outcome(
        scene,
        lookups,
        fmean(trail.hops for trail in trails),
        fmean(trail.requests for trail in trails),
        fmean(trail.messages for trail in trails),
        fmean(trail.failures for trail in trails),
        fmean(times),
        quantiles(times, n=10, method="inclusive")[-1] if len(times) > 1 else times[0],
        fmean(shares),
        trails[0],
    )


class LookupRace:
    """Lookups side by side.

    Args:
        peers: how many there are, 10 to 10,000.
        k: places in a bucket, and how many are wanted.
        alphas: a lane for each number of requests in flight; the last is the one that sliders change.
        gone: the share of peers that are in tables still and have left.
        lookups: how many searches each lane makes.
        seed: of all chance.

    Raises: `LocalError` for values out of range.
    """

    def __init__(
        self,
        peers: int = 1000,
        *,
        k: int = 20,
        alphas: tuple[int, ...] = (1, 3, 10),
        gone: float = 0.0,
        lookups: int = 12,
        seed: int = 1,
    ) -> None:
        if not 1 <= lookups <= MAX_LOOKUPS or not 1 <= len(alphas) <= MAX_LANES:
            raise LocalError(f"1 to {MAX_LOOKUPS} lookups in 1 to {MAX_LANES} lanes")
        self._lookups = lookups
        scenes = [Scene(peers, k, alpha, gone, seed=seed) for alpha in alphas]
        self._outcomes = [run(scene, lookups) for scene in scenes]
        self._wanted: Scene | None = None
        self._view = View("lookup_race", on_open=self._snapshot, on_message=self._hear)

    @property
    def outcomes(self) -> list[Outcome]:
        """What came of each lane; the last is the one that sliders change."""
        return list(self._outcomes)

    def race(self, **changes: Any) -> Outcome:
        """Change the last lane and run it; arguments: peers, k, alpha, gone, seed. Returns what came of it."""
        outcome = run(replace(self._outcomes[-1].scene, **changes), self._lookups)
        self._replace(outcome)
        self._show()
        return outcome

    def keep(self) -> None:
        """Leave the last lane as it is; what is changed from now on gets a lane of its own."""
        self._outcomes = [*self._outcomes, self._outcomes[-1]][-MAX_LANES:]
        self._show()

    def close(self) -> None:
        """Take it off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def summary(self) -> str:
        """The fastest and the most thrifty lane in words."""
        fast = min(self._outcomes, key=lambda one: one.seconds)
        thrifty = min(self._outcomes, key=lambda one: one.messages)
        return (
            f"{fast.scene.peers:,} peers, {self._lookups} lookups in each lane. Fastest: {fast.name}, "
            f"{seconds(fast.seconds)}. Fewest messages: {thrifty.name}, {thrifty.messages:.0f}."
        )

    # -- with the page ----------------------------------------------------------------------------

    def _replace(self, outcome: Outcome) -> None:
        """The last lane has another outcome; another crowd or churn is for all lanes, so that they can be compared."""
        scene = outcome.scene
        kept = []
        for one in self._outcomes[:-1]:
            same = replace(one.scene, peers=scene.peers, seed=scene.seed)
            kept.append(one if same == one.scene else run(same, self._lookups))
        self._outcomes = [*kept, outcome]

    def _snapshot(self) -> Batch:
        return self._record(), []

    def _show(self) -> None:
        self._view.send(self._record())

    def _record(self) -> dict[str, Any]:
        scene = self._outcomes[-1].scene
        return {
            "type": "race",
            "summary": self.summary(),
            "head": HEAD,
            "scene": {name: getattr(scene, name) for name in ("peers", "k", "alpha", "gone")},
            "can_keep": len(self._outcomes) < MAX_LANES,
            "lanes": [
                {
                    "name": one.name,
                    "row": one.row(),
                    "mean": one.seconds,
                    "messages": one.messages,
                    "hops": one.hops,
                    "found": one.found,
                    "seconds": one.trail.seconds,
                    "steps": _requests(one.trail),
                }
                for one in self._outcomes
            ],
        }

    def _hear(self, content: dict[str, Any], view: str) -> None:
        scene = self._wanted or self._outcomes[-1].scene
        match content:
            case {"type": "peers", "value": int(value)}:
                scene = replace(scene, peers=min(max(value, MIN_PEERS), MAX_PEERS))
            case {"type": "k", "value": int(value)}:
                scene = replace(scene, k=min(max(value, 1), MAX_K))
            case {"type": "alpha", "value": int(value)}:
                scene = replace(scene, alpha=min(max(value, 1), MAX_ALPHA))
            case {"type": "gone", "value": int(value)}:
                scene = replace(scene, gone=min(max(value, 0), 80) / 100)
            case {"type": "again"}:
                scene = replace(scene, seed=scene.seed + 1)
            case {"type": "keep"}:
                self.keep()
                return
            case _:
                return
        is_busy = self._wanted is not None
        self._wanted = scene
        if not is_busy:
            self._view.start(self._race_wanted(), self._tell)

    async def _race_wanted(self) -> None:
        """Race until the last change has been tried: sliders move faster than that."""
        try:
            while self._wanted is not None:
                scene = self._wanted
                outcome = await asyncio.to_thread(run, scene, self._lookups)
                await asyncio.to_thread(self._replace, outcome)
                self._show()
                if self._wanted == scene:
                    return
        finally:
            self._wanted = None

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        rows = [one.row() for one in self._outcomes]
        html = f"<p>{self.summary()}</p>{table('', HEAD, rows)}"
        return self._view.mimebundle(
            page("Lookups side by side", html), f"{self.summary()}\n{text_table(HEAD, rows)}"
        )


def _requests(trail: Trail) -> list[list[float]]:
    """Each request: its lane, when it left, when it was over, its hop, and 1 if it failed."""
    left: dict[object, tuple[int, float]] = {}
    found: list[list[float]] = []
    for step in trail.steps:
        if step.kind == "asked":
            left[step.peer] = step.lane, step.time
            continue
        lane, start = left.pop(step.peer, (step.lane, 0.0))
        failed = float(step.kind == "failed")
        found.append([lane, round(start, 4), round(step.time, 4), step.round, failed])
    for lane, start in left.values():  # nobody waited for these in the end
        found.append([lane, round(start, 4), round(trail.seconds, 4), 0, 0])
    return found
