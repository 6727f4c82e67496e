"""One network of peers with pubsub, live or simulated: followed, and poked."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.host.service import Service
from libp2p_lab.pubsub import (
    GossipSub,
    GossipSubParameters,
    Message,
    PubSub,
    ReceivedMessage,
    Verdict,
)
from libp2p_lab.sim.host import SimHost
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.mesh_model import STYLES, MeshModel
from libp2p_lab.widgets.mesh_source import Source, hosts_of, kind_of, pubsub_of
from libp2p_lab.widgets.poke import SETTLE, poke

MAX_WAITING = 200_000  # entries that wait to be looked at; the newest
MAX_SETTLES = 300
SPAM = 20  # forged messages at once
SYBILS = 14  # peers on one address; from the eleventh on a score counts them


class World:
    """The peers of one picture.

    Args:
        source: whose.
        services: makes the parts of further peers; None where none can be added.
        is_numbered: whether hosts without names are "peer1" and so on, as in the other network of a pair; otherwise
            they are called by the end of their peer ids.

    Attributes:
        hosts: by name.
        net: the internet that they are in, if it is a simulated one.
        model: what they do.

    Raises: `LocalError` for a source without peers, or with peers that have no pubsub.
    """

    def __init__(
        self,
        source: Source,
        services: Callable[[], Sequence[Service]] | None = None,
        *,
        is_numbered: bool = False,
    ) -> None:
        self.services = services
        self.net = source if isinstance(source, Internet) else None
        self.hosts, entries = hosts_of(source, is_numbered)
        self.model = MeshModel()
        self._entries: deque[Entry] = deque(entries, maxlen=MAX_WAITING)
        self._stops: list[Callable[[], None]] = []
        self._has_missed = False  # more has happened than can wait
        self._wake: Callable[[], None] = _nothing
        self._paused: list[PubSub] = []
        self._published = self._swarms = 0
        for host in self.hosts.values():
            pubsub_of(host)
            if isinstance(host, SimHost) and self.net is None:
                raise LocalError("these hosts are simulated: show their Internet")

    @property
    def title(self) -> str:
        """What spreads the messages here."""
        kinds = {kind_of(host) for host in self.hosts.values()}
        names = {"gossip": "GossipSub", "flood": "FloodSub", "router": "A router of its own"}
        return names[kinds.pop()] if len(kinds) == 1 else "Peers"

    # -- following --------------------------------------------------------------------------------

    @property
    def is_followed(self) -> bool:
        """Whether we listen to the hosts."""
        return bool(self._stops)

    def follow(self, wake: Callable[[], None]) -> None:
        """Note what there is, and listen from here on; `wake` is called with each fact, in any thread."""
        if self._stops:
            return
        self._wake = wake
        for name, host in self.hosts.items():
            self._listen(name, host)
        for host in self.hosts.values():
            self._look_up(host)

    def _listen(self, name: str, host: Host) -> None:
        self._stops.append(host.trace.listen(self._take))
        self.model.member(str(host.peer_id), name, kind_of(host))

    def _take(self, entry: Entry) -> None:
        """Called in whichever thread runs the host."""
        if entry.layer in ("pubsub", "host"):
            self._has_missed = self._has_missed or len(self._entries) == MAX_WAITING
            self._entries.append(entry)
            self._wake()

    def unfollow(self) -> None:
        """Listen no more; hearts of live hosts that stood still beat again."""
        for stop in self._stops:
            stop()
        self._stops.clear()
        if self.net is None:
            self.pause(False)

    def drain(self) -> None:
        """Take in what was heard."""
        for _ in range(len(self._entries)):
            self.model.take(self._entries.popleft())
        for host in self.hosts.values():
            if not host.is_running:
                self.model.gone(str(host.peer_id))
            elif self._has_missed:
                self._look_up(host)
            elif kind_of(host) == "router":  # perhaps it tells nothing of its mesh
                self._look_up_mesh(host)
        self._has_missed = False

    def _look_up(self, host: Host) -> None:
        """What a host has by now, told as if it happened."""
        peer, pubsub = str(host.peer_id), pubsub_of(host)
        if not host.is_running:
            self.model.gone(peer)
            return
        for connection in host.connections:
            self.model.connected(peer, str(connection.id), str(connection.remote_peer))
        for topic in pubsub.topics:
            self.model.wants(peer, topic)
            for other in pubsub.peers(topic):
                self.model.wants(str(other), topic)
        self._look_up_mesh(host)

    def _look_up_mesh(self, host: Host) -> None:
        pubsub, peer = pubsub_of(host), str(host.peer_id)
        if kind_of(host) == "flood":
            return
        for topic in pubsub.topics:
            self.model.set_group("mesh", peer, topic, map(str, pubsub.mesh(topic)))

    # -- time -------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds; 0 for live hosts."""
        return self.net.now if self.net is not None else 0.0

    @property
    def is_playing(self) -> bool:
        """Whether heartbeats come by themselves."""
        return self.net.speed != 0 if self.net is not None else not self._paused

    def pause(self, wanted: bool, speed: float = 1.0) -> None:
        """Let the hearts stand still, or beat. A simulated internet stands still as a whole.

        Args:
            wanted: stand still.
            speed: virtual seconds in a real one, for a simulated internet that goes on.
        """
        if self.net is not None:
            with contextlib.suppress(LocalError):  # it is closed
                self.net.play(0 if wanted else speed)
            return
        for pubsub in self._paused:
            pubsub.is_paused = False
        self._paused = [pubsub_of(host) for host in self.hosts.values()] if wanted else []
        for pubsub in self._paused:
            pubsub.is_paused = True

    async def beat(self) -> None:
        """One heartbeat of everybody, and no more."""
        self.pause(True)
        if self.net is not None:
            intervals = [gossip.parameters.heartbeat_interval for gossip in self.gossips]
            await self._pass(max(intervals, default=1.0))
            return
        for host in self.hosts.values():
            if host.is_running:
                pubsub_of(host).beat()

    async def _pass(self, seconds: float) -> None:
        """Let virtual time pass."""
        if self.net is not None:
            await self.net.arun_for(seconds)
            self.drain()

    # -- pokes ------------------------------------------------------------------------------------

    @property
    def gossips(self) -> list[GossipSub]:
        """The pubsub of those hosts that run GossipSub."""
        found = [pubsub_of(host) for host in self.hosts.values() if host.is_running]
        return [pubsub for pubsub in found if isinstance(pubsub, GossipSub)]

    async def publish(self, name: str, topic: str, size: int) -> None:
        """Let one peer publish a message of about `size` bytes. A paused internet runs until it has been spread."""
        host = self._host(name)
        self._published += 1
        text = f"message {self._published} from {name} ".encode()
        await self._do(host, lambda: host.pubsub.publish(topic, text.ljust(size, b".")))
        if self.net is None or self.net.speed:
            return
        travelled = -1
        for _ in range(MAX_SETTLES):
            if self.model.totals["copies"] == travelled:
                return
            travelled = self.model.totals["copies"]
            await self._pass(SETTLE)

    async def kill(self, name: str) -> None:
        """Close one peer's host."""
        host = self._host(name)
        await self._do(None, host.close)
        self.model.gone(str(host.peer_id))

    async def silence(self, name: str, topic: str) -> bool:
        """Let a peer take messages and pass none on; called again, it is honest again. Returns which it is now.

        Raises: `LocalError` if it has a validator of this topic already, through which this is done.
        """
        host = self._host(name)
        member, pubsub, own = self.model.member(str(host.peer_id)), host.pubsub, host.peer_id

        def validate(message: ReceivedMessage) -> Verdict:
            return Verdict.ACCEPT if message.from_peer == own else Verdict.IGNORE

        if member.is_silent:
            pubsub.remove_validator(topic)
        else:
            pubsub.add_validator(topic, validate)
        member.is_silent = not member.is_silent
        self.model.is_changed = True
        return member.is_silent

    async def spam(self, name: str, topic: str) -> None:
        """Let a peer send forged messages to everybody: the signature is none."""
        host = self._host(name)

        async def forge() -> None:
            pubsub, now = host.pubsub, host.trace.clock()
            for number in range(SPAM):
                seqno = (self._published * SPAM + number).to_bytes(8, "big")
                author = host.peer_id.multihash
                message = Message(topic, b"forged", author, seqno, signature=b"forged")
                pubsub.router.publish(author + seqno, message, now)
            pubsub.beat()  # hands them out

        self._published += 1
        await self._do(host, forge)

    async def cut(self, topic: str, share: float, seed: int) -> int:
        """Disconnect a share of the links that carry whole messages, by lot. Returns how many."""
        rows = [(a, b) for a, b, style in self.model.styles(topic) if STYLES[style] == "mesh"]
        ids = {member.index: member.id for member in self.model.members.values()}
        by_id = {str(host.peer_id): host for host in self.hosts.values() if host.is_running}
        chosen = random.Random(seed).sample(rows, round(share * len(rows)))
        for a, b in chosen:
            host, other = by_id.get(ids[a]), by_id.get(ids[b])
            if host is not None and other is not None:
                await self._do(None, partial(host.disconnect, other.peer_id))
        return len(chosen)

    async def add_sybils(self, name: str, topic: str) -> None:
        """Put many silent peers behind one address, and have all of them connect to one peer.

        Raises: `LocalError` in a network to which nothing can be added.
        """
        net, services, victim = self.net, self.services, self._host(name)
        if net is None or services is None:
            raise LocalError("peers can be added only to the networks that this view made itself")
        self._swarms += 1
        swarm = f"swarm{self._swarms}"

        def make() -> list[SimHost]:
            box = net.nat(swarm)
            prefix = f"sybil{self._swarms}."
            return net.hosts(SYBILS, prefix, nat=box, services=services, security="plaintext")

        made = await asyncio.to_thread(make)
        for one in made:
            self.hosts[one.name] = one
            self._listen(one.name, one)
            await self.silence(one.name, topic)

        async def swarm_in() -> None:
            for one in made:
                await one.run(one.pubsub.subscribe(topic))
                await one.connect(victim.addrs[0])

        await self._do(None, swarm_in)

    async def use(self, **changes: float) -> GossipSubParameters | None:
        """Give every GossipSub peer other parameters; D_score and D_out are lowered where they must be.

        Returns: what they are now; None if nobody runs GossipSub.

        Raises: `LocalError` if they contradict each other.
        """
        gossips = self.gossips
        if not gossips:
            return None
        wanted = dataclasses.asdict(gossips[0].parameters) | changes
        defaults = GossipSubParameters()
        wanted["D_score"] = min(defaults.D_score, wanted["D"])
        wanted["D_out"] = max(0, min(defaults.D_out, wanted["D_low"] - 1, wanted["D"] // 2))
        parameters = GossipSubParameters(**wanted)

        def change() -> None:
            for gossip in gossips:
                gossip.use(parameters)

        if self.net is None:
            change()
        else:
            await asyncio.to_thread(self.net.player.settle, change)
        return parameters

    def _host(self, name: str) -> Host:
        host = self.hosts.get(name)
        if host is None or not host.is_running:
            raise LocalError(f"{name or 'nobody'} is no running peer of this network")
        return host

    async def _do(self, host: Host | None, act: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Do it: here, or in a simulated internet as part of the scenario (on a host's machine, if one is given)."""
        net = self.net
        if net is None:
            await act()
            return
        scene = host
        run = (lambda: scene.run(act())) if isinstance(scene, SimHost) else act
        await poke(net, run, settles=MAX_SETTLES, moved=self.drain)


def _nothing() -> None:
    """What is called while nobody waits for facts."""
