"""Where a topic's peers come from, when we know too few of them.

    dht = lab.KadDHT()
    lab.Host(services=[…, dht, lab.GossipSub(discovery=dht)])

Pubsub itself finds nobody: it speaks with whoever is connected. So for each topic that we want we say so, somewhere
where others look (a DHT, a rendezvous point), and while fewer than `D_low` peers of it are known we look there and
dial whom we find.

The namespace of the topic "news" is "floodsub:news", whatever the router: go-libp2p-pubsub began with it.

Spec: rendezvous/README.md#rendezvous-and-pubsub
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Protocol

from libp2p_lab.errors import LabError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.events import TopicSearched
from libp2p_lab.trace import Probe

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host


class Discovery(Protocol):
    """Something that knows who belongs to a namespace: a `KadDHT`, a `DualDHT`, `Rendezvous.at(point)`."""

    async def advertise(self, namespace: str) -> object:
        """Say that we belong to it until `stop_advertising`. What is returned is false if nobody has heard it."""
        ...

    def stop_advertising(self, namespace: str) -> None:
        """Say it no more."""
        ...

    def find_peers(self, namespace: str, count: int = 20) -> AsyncGenerator[PeerInfo]:
        """Who belongs to it, up to `count` of them."""
        ...


def namespace_of(topic: str) -> str:
    """What the peers of a topic call themselves."""
    return f"floodsub:{topic}"


class TopicSearch:
    """Advertises our topics, and finds peers for those that have too few.

    Args:
        discovery: where.
        wanted: topics that we want now.
        peers: the peers of a topic that we know.
        enough: how many of them are enough; asked each time.
    """

    def __init__(
        self,
        discovery: Discovery,
        wanted: Callable[[], list[str]],
        peers: Callable[[str], list[PeerId]],
        enough: Callable[[], int],
    ) -> None:
        self._discovery = discovery
        self._wanted = wanted
        self._peers = peers
        self._enough = enough
        self._said: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, host: Host) -> None:
        """Begin; the host owns the task."""
        self._task = host.create_task(self._run(host))

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    def wake(self) -> None:
        """Our topics have changed: look again."""
        self._wake.set()

    async def _run(self, host: Host) -> None:
        """For ever; after a look that found nobody new the next one comes later, up to a limit."""
        probe = Probe(host.trace, "pubsub")
        limits, in_vain = host.limits, 0
        while True:
            self._wake.clear()
            await self._advertise()
            new = 0
            for topic in self._wanted():
                missing = self._enough() - len(self._peers(topic))
                if missing > 0:
                    found, joined = await self._look(host, topic, missing)
                    new += joined
                    if probe.trace.listeners:
                        probe.emit("event", TopicSearched(topic, missing, found, joined))
            in_vain = 0 if new else in_vain + 1
            wait = limits.pubsub_search_interval * 2.0 ** min(in_vain, 10)
            wait = min(wait, limits.pubsub_search_interval_max) * (1 + host.rng.random() / 2)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                    in_vain = 0

    async def _advertise(self) -> None:
        wanted = set(self._wanted())
        for topic in self._said - wanted:
            self._discovery.stop_advertising(namespace_of(topic))
            self._said.discard(topic)
        for topic in sorted(wanted - self._said):
            with contextlib.suppress(LabError, OSError):  # a TimeoutError is an OSError
                if await self._discovery.advertise(namespace_of(topic)):
                    self._said.add(topic)

    async def _look(self, host: Host, topic: str, missing: int) -> tuple[int, int]:
        """Returns how many were found, and how many of them are newly connected."""
        found = joined = 0
        with contextlib.suppress(LabError, OSError):
            looking = self._discovery.find_peers(
                namespace_of(topic), host.limits.pubsub_search_peers
            )
            async with contextlib.aclosing(looking):
                async for info in looking:
                    found += 1
                    if info.peer_id == host.peer_id or host.is_connected(info.peer_id):
                        continue
                    with contextlib.suppress(LabError, OSError):
                        await host.connect(info)
                        joined += 1
                    if joined >= missing:
                        break
        return found, joined
