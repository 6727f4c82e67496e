"""`XorTree`: the peers of a DHT as leaves of a binary tree, the buckets of one of them as sub-trees, and a lookup that
is stepped. Here is what a person can do; networks are in `xor_bench`, lookups in `xor_model`, the static form in
`xor_form`.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, common_prefix_length, position
from libp2p_lab.widgets.view import Batch, View
from libp2p_lab.widgets.xor_bench import Net, Scene
from libp2p_lab.widgets.xor_form import static_form
from libp2p_lab.widgets.xor_live import Live, Source
from libp2p_lab.widgets.xor_model import Trail, expected, occupancy, summary

GONE, CLIENT, SYBIL = 1, 2, 4  # flags of a peer
KINDS = ("asked", "answered", "failed")
NUMBERS = {"peers": int, "k": int, "alpha": int, "gone": float, "clients": float, "sybils": int}
SWITCHES = ("numeric", "clients_in_tables")
POKES = ("gone", "client", "server")  # what may be done to one peer
DEFAULT_KEY = "hello"


class XorTree:
    """The tree of a DHT's peers, and lookups in it.

    Args:
        source: hosts with a DHT, a simulated internet of them, or a recording; None for a network of its own, up to
            ten thousand peers large.
        key: what is searched at first: a text, bytes, or a position.
        scene: what its own network is up against at first.
    """

    def __init__(
        self,
        source: Source | None = None,
        key: str | bytes | int = DEFAULT_KEY,
        scene: Scene | None = None,
    ) -> None:
        self._scene = scene if scene is not None else Scene()
        self._wanted: tuple[Scene, int] | None = None
        self._changed: dict[PeerId, str] = {}
        self._key_text = key if isinstance(key, str) else ""
        self._target = _target(key)
        self._viewer: PeerId | None = None
        self._net: Net | None = None
        self._trail: Trail | None = None
        self._live = None if source is None else Live(source, self._scene.k, self._scene.alpha)
        self._view = View(
            "xor_tree",
            on_open=self._snapshot,
            on_message=self._hear,
            on_flush=self._snapshot,
            on_idle=self._idle,
            interval=0.2,
        )
        if self._live is None:
            self._run(self._scene, self._target)

    # -- for programs -----------------------------------------------------------------------------

    @property
    def scene(self) -> Scene:
        """What its own network is up against.

        Raises: `LocalError` if it shows somebody else's peers.
        """
        if self._live is not None:
            raise LocalError(
                "these peers are not ours to change: XorTree() has a network of its own"
            )
        return self._scene

    @property
    def trail(self) -> Trail | None:
        """The lookup that is shown; None if there was none yet."""
        if self._live is None:
            return self._trail
        trails = self._live.trails
        if self._viewer is not None:
            trails = [trail for trail in trails if trail.asker == self._viewer] or trails
        return trails[-1] if trails else None

    @property
    def peers(self) -> list[PeerId]:
        """Everybody, in the order of their positions."""
        return self._net.peers if self._net is not None else self._live.peers if self._live else []

    @property
    def viewer(self) -> PeerId:
        """From whom the tree is seen."""
        if self._viewer is not None:
            return self._viewer
        if self._live is not None:
            trail = self.trail
            return trail.asker if trail is not None else self._live.first
        return self.peers[0]

    @property
    def bucket_sizes(self) -> dict[int, int]:
        """How many peers the viewer's buckets hold, by common prefix length."""
        found: dict[int, int] = {}
        own = position(self.viewer.multihash)
        for peer in self._table():
            bucket = common_prefix_length(own, position(peer.multihash))
            found[bucket] = found.get(bucket, 0) + 1
        return dict(sorted(found.items()))

    def summary(self) -> str:
        """The lookup in words."""
        trail = self.trail
        if trail is None:
            return f"{len(self.peers)} peers; nobody has searched for anything yet"
        words = summary(trail, self._net.closest(trail.asker) if self._net is not None else None)
        if self._net is not None and self._net.sybils:
            caught = len(self._net.sybils & set(trail.closest))
            words += f" {caught} of those it found are sybils."
        return words

    def look_up(self, key: str | bytes | int) -> Trail | None:
        """Search for something else in its own network. Returns the lookup."""
        self._key_text = key if isinstance(key, str) else ""
        self._run(self.scene, _target(key))
        self._show()
        return self._trail

    def change(self, **changes: Any) -> Trail | None:
        """Change the scene and search again; arguments as for the scene: peers, k, alpha, gone, clients, sybils, …"""
        self._run(replace(self.scene, **changes), self._target)
        self._show()
        return self._trail

    def see_from(self, peer: PeerId | Host) -> XorTree:
        """See the world of another peer. Returns the widget, so that a cell can end with it."""
        peer = peer.peer_id if isinstance(peer, Host) else peer
        if peer not in self.peers:
            raise LocalError(f"there is no peer {peer} here")
        self._viewer = peer
        if self._live is None:
            self._run(self._scene, self._target)
        self._show()
        return self

    def close(self) -> None:
        """Take it off the page, and listen no more."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    # -- its own network --------------------------------------------------------------------------

    def _run(self, scene: Scene, target: int) -> None:
        """Build the network that is wanted, and search in it."""
        if (scene.peers, scene.seed) != (self._scene.peers, self._scene.seed):
            self._changed = {}
        net = Net(scene, target, dict(self._changed))
        viewer = self._viewer
        if viewer is None or viewer not in net.peers:
            servers = net.servers
            viewer = servers[len(servers) * 2 // 3]
        trail = net.lookup(viewer)
        self._net, self._scene, self._target = net, scene, target
        self._viewer, self._trail = viewer, trail

    def _table(self) -> list[PeerId]:
        if self._net is not None:
            return self._net.table(self.viewer).peers
        return self._live.table(self.viewer) if self._live is not None else []

    # -- to the page ------------------------------------------------------------------------------

    def _idle(self) -> None:
        if self._live is not None:
            self._live.unfollow()

    def _show(self) -> None:
        message, buffers = self._record()
        self._view.send(message, buffers)

    def _snapshot(self) -> Batch:
        if self._live is not None:
            self._live.follow(self._view.wake)
        return self._record()

    def _record(self) -> Batch:
        peers, trail, live = self.peers, self.trail, self._live
        place = {peer: at for at, peer in enumerate(peers)}
        target = trail.target if trail is not None else self._target
        sizes = occupancy(self.bucket_sizes)
        scene = self._scene
        k = live.k(self.viewer) if live is not None else scene.k
        servers = len(self._net.servers) if self._net is not None else len(peers)
        record: dict[str, Any] = {
            "type": "state",
            "scene": None if live is not None else _scene_as_json(scene),
            "can_search": live is None or live.can_search(self.viewer),
            "ours": None if live is None else [place[p] for p in peers if live.can_search(p)],
            "names": {place[p]: name for p, name in live.names.items()} if live else {},
            "viewer": place[self.viewer],
            "viewer_id": str(self.viewer),
            "key": self._key_text,
            "target": target / 2**BITS,
            "k": k,
            "table": sorted(place[peer] for peer in self._table() if peer in place),
            "sizes": sizes,
            "expected": expected(servers - 1, k, len(sizes)),
            "ideal": sum(expected(servers - 1, k, BITS)),
            "summary": self.summary(),
            "trail": None if trail is None else _trail_as_json(trail, place),
        }
        spots = array("d", (position(peer.multihash) / 2**BITS for peer in peers))
        return record, [spots.tobytes(), bytes(map(self._flags, peers))]

    def _flags(self, peer: PeerId) -> int:
        if self._net is None:
            live = self._live
            return 0 if live is None else GONE * live.is_gone(peer) | CLIENT * live.is_client(peer)
        net = self._net
        return (
            GONE * (peer in net.gone)
            | CLIENT * (peer in net.clients)
            | SYBIL * (peer in net.sybils)
        )

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, content: dict[str, Any], view: str) -> None:
        scene, target = self._wanted or (self._scene, self._target)
        match content:
            case {"type": "viewer", "peer": int(at)} if 0 <= at < len(self.peers):
                self._viewer = self.peers[at]
                if self._live is not None:
                    self._show()
                    return
            case {"type": "key", "text": str(text)}:
                self._key_text, target = text[:200], _target(text[:200])
            case {"type": "target", "at": float(at) | int(at)} if 0 <= at < 1:
                self._key_text, target = "", min(int(at * 2**BITS), 2**BITS - 1)
            case {"type": "poke", "peer": int(at), "what": str(what)} if 0 <= at < len(self.peers):
                if what not in POKES:
                    return
                if self._live is not None:
                    self._view.start(self._poke_live(self.peers[at], what), self._tell)
                    return
                self._changed = {**self._changed, self.peers[at]: what}
            case {"type": "mend"}:
                self._changed, scene = {}, Scene(scene.peers, scene.k, scene.alpha, seed=scene.seed)
            case {"type": "scene", "changes": dict(changes)} if self._live is None:
                try:
                    scene = replace(scene, **_sane(changes))
                except LocalError as problem:
                    self._tell(str(problem))
                    return
            case _:
                return
        if self._live is not None:
            self._view.start(self._live.search(self.viewer, target, self._key_text), self._tell)
            return
        is_busy = self._wanted is not None
        self._wanted = scene, target
        if not is_busy:
            self._view.start(self._run_wanted(), self._tell)

    async def _poke_live(self, peer: PeerId, what: str) -> None:
        if self._live is not None:
            await self._live.poke(peer, what)
            self._show()

    async def _run_wanted(self) -> None:
        """Search until the last change has been tried: sliders move faster than that."""
        try:
            while self._wanted is not None:
                scene, target = wanted = self._wanted
                await asyncio.to_thread(self._run, scene, target)
                self._show()
                if self._wanted == wanted:
                    return
        finally:
            self._wanted = None

    def _tell(self, problem: str) -> None:
        self._view.send({"type": "problem", "text": problem})

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        sizes = occupancy(self.bucket_sizes)
        k = self._live.k(self.viewer) if self._live is not None else self._scene.k
        html, text = static_form(
            self.peers, self.viewer, self._table(), self.trail, sizes, k, self.summary()
        )
        return self._view.mimebundle(html, text)


def _target(key: str | bytes | int) -> int:
    """Where a key stands."""
    match key:
        case str():
            return position(key.encode())
        case bytes():
            return position(key)
        case int() if 0 <= key < 2**BITS:
            return key
    raise LocalError("a key is a text, bytes, or a position of 256 bits")


def _sane(changes: Mapping[str, object]) -> dict[str, Any]:
    """Those changes that a page may ask for."""
    found: dict[str, Any] = {}
    for name, value in changes.items():
        kind: Callable[[Any], object] | None = NUMBERS.get(name)
        if kind is not None and isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = kind(value)
        elif name in SWITCHES and isinstance(value, bool):
            found[name] = value
    return found


def _scene_as_json(scene: Scene) -> dict[str, Any]:
    return {name: getattr(scene, name) for name in (*NUMBERS, *SWITCHES)}


def _trail_as_json(trail: Trail, place: Mapping[PeerId, int]) -> dict[str, Any]:
    mentioned = sorted(trail.mentioned, key=lambda p: position(p.multihash) ^ trail.target)
    return {
        "asker": place[trail.asker],
        "k": trail.k,
        "alpha": trail.alpha,
        "seeds": [place[peer] for peer in trail.seeds],
        "steps": [
            [
                round(step.time, 4),
                KINDS.index(step.kind),
                place[step.peer],
                step.round,
                step.lane,
                [place[peer] for peer in step.named],
                step.why,
            ]
            for step in trail.steps
        ],
        "order": [place[peer] for peer in mentioned],
        "shared": [common_prefix_length(position(p.multihash), trail.target) for p in mentioned],
        "closest": [place[peer] for peer in trail.closest],
        "hops": trail.hops,
        "seconds": trail.seconds,
    }
