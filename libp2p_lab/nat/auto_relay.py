"""AutoRelay: finds relays by itself, keeps places at two, and replaces those that die.

Two, since one may go away at any moment, and whoever has our address by it could not reach us. Where to look, in this
order: peers that we were told of, peers that we are connected to, peers that we have heard of, and the DHT. Whoever
says in identify that it speaks the hop protocol is asked.

    short of relays ──▶ ask one candidate after another ──▶ a place ──▶ enough
          ▲                                                              │
          └──────────────── lost, or refused: leave it alone ◀───────────┘

A core decides whom to ask next (`Candidates`); the driver asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LabError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.nat.autonat import AutoNAT
from libp2p_lab.nat.circuit import RelayClient
from libp2p_lab.nat.relay_messages import HOP_PROTOCOL

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef

WANTED = 2  # places; go-libp2p desiredRelays


class Candidates:
    """Who might relay for us, and who failed lately.

    Args:
        limits: how long one that failed is left alone.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._failed: dict[PeerId, tuple[int, float]] = {}  # times, and until when

    def failed(self, peer: PeerId, now: float) -> None:
        """It refused, or went away: each time it is left alone for longer."""
        times = self._failed.pop(peer, (0, 0.0))[0] + 1
        wait = min(
            self._limits.autorelay_backoff * 2 ** min(times - 1, 16),
            self._limits.autorelay_backoff_max,
        )
        self._failed[peer] = times, now + wait
        while len(self._failed) > self._limits.autorelay_candidates:
            del self._failed[next(iter(self._failed))]

    def worked(self, peer: PeerId) -> None:
        """It gave us a place."""
        self._failed.pop(peer, None)

    def choose(
        self,
        groups: Sequence[Iterable[PeerId]],
        held: Iterable[PeerId],
        now: float,
        rng: random.Random,
    ) -> PeerId | None:
        """Whom to ask next: somebody of the first group that has anybody, by chance; None if nobody is left.

        By chance, or else everybody would crowd at the same relays.
        """
        busy = set(held)
        for group in groups:
            free = [
                peer
                for peer in dict.fromkeys(group)
                if peer not in busy and self._failed.get(peer, (0, 0.0))[1] <= now
            ]
            if free:
                return rng.choice(free)
        return None

    def next_chance(self, now: float) -> float | None:
        """Seconds until one that failed may be asked again; None if none failed."""
        waits = [until - now for _, until in self._failed.values() if until > now]
        return min(waits) if waits else None


class AutoRelay:
    """The service. It needs a `RelayClient` on the same host.

    Args:
        relays: to be asked first: addresses, or peers.
        wanted: how many places to keep.
        is_needed: whether relays are wanted at all: False for a peer that others can dial directly.
            Call `look` when its answer has changed. None: until an `AutoNAT` of the host finds that it is public.
    """

    name = "auto_relay"

    def __init__(
        self,
        relays: Sequence[Multiaddr | PeerInfo | str] = (),
        *,
        wanted: int = WANTED,
        is_needed: Callable[[], bool] | None = None,
    ) -> None:
        self._given: tuple[PeerRef, ...] = tuple(relays)
        self.wanted = wanted
        self._is_needed = is_needed
        self._host: Host
        self._client: RelayClient
        self._candidates: Candidates
        self._ours: set[PeerId] = set()  # relays that we chose
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._candidates = Candidates(host.limits)
        host.on_start(self._start)
        host.on_connect(self._on_connect)

    def _on_connect(self, connection: MuxedConnection) -> None:
        if not connection.relayed and len(self._ours) < self.wanted:
            self._host.create_task(self._look_at(connection.remote_peer))

    async def _look_at(self, peer: PeerId) -> None:
        """Somebody new: a relay, perhaps."""
        with contextlib.suppress(LabError):
            if HOP_PROTOCOL in (await self._host.identify_result(peer)).protocols:
                self.look()

    async def close(self) -> None:
        """As `Service.close`."""
        if self._task is not None:
            self._task.cancel()

    @property
    def relays(self) -> list[PeerId]:
        """Where we have a place now."""
        return [relay for relay in self._client.reservations if relay in self._ours]

    def _start(self) -> None:
        self._client = self._host.service(RelayClient)
        self._client.on_lost.append(self._on_lost)
        if self._is_needed is None:
            self._follow_reachability()
        for ref in self._given:
            peer, addrs = self._host.resolve(ref)
            self._host.peerstore.add_addrs(peer, reversed(addrs), provenance="given")
        self._task = self._host.create_task(self._run())

    def _follow_reachability(self) -> None:
        autonat = next((s for s in self._host.services if isinstance(s, AutoNAT)), None)
        if autonat is not None:
            self._is_needed = lambda: autonat.reachability != "public"
            autonat.on_change(lambda _: self.look())

    def look(self) -> None:
        """Something changed: look again whether we have enough."""
        self._wake.set()

    def _on_lost(self, relay: PeerId) -> None:
        if relay in self._ours:
            self._ours.discard(relay)
            self._candidates.failed(relay, asyncio.get_running_loop().time())
            self._host.create_task(self._let_go(relay))
            self._wake.set()

    async def _let_go(self, relay: PeerId) -> None:
        with contextlib.suppress(LabError):
            await self._client.release(relay)

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            if self._is_needed is not None and not self._is_needed():
                for relay in [*self._ours]:
                    self._ours.discard(relay)
                    await self._let_go(relay)
            elif len(self._ours) < self.wanted:
                await self._fill(clock)
            wait = self._host.limits.autorelay_interval
            if len(self._ours) < self.wanted:
                wait = min(wait, max(self._candidates.next_chance(clock()) or wait, 1.0))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _fill(self, clock: Callable[[], float]) -> None:
        """Ask candidates until there are enough places, or nobody is left."""
        while len(self._ours) < self.wanted:
            held = (*self._client.listeners, self._host.peer_id)
            relay = self._candidates.choose(self._groups(), held, clock(), self._host.rng)
            if relay is None and not await self._discover():
                return
            if relay is None:
                held = (*self._client.listeners, self._host.peer_id)
                relay = self._candidates.choose(self._groups(), held, clock(), self._host.rng)
                if relay is None:
                    return
            try:
                await self._client.reserve(relay)
            except (LabError, OSError):
                self._candidates.failed(relay, clock())
            else:
                self._candidates.worked(relay)
                self._ours.add(relay)

    def _groups(self) -> list[list[PeerId]]:
        """Candidates: told of, connected, heard of."""
        host, store = self._host, self._host.peerstore
        return [
            [host.resolve(ref)[0] for ref in self._given],
            [
                c.remote_peer
                for c in host.connections
                if not c.relayed and HOP_PROTOCOL in store.protocols(c.remote_peer)
            ],
            [
                peer
                for peer in store.peers
                if HOP_PROTOCOL in store.protocols(peer) and store.addrs(peer)
            ],
        ]

    async def _discover(self) -> bool:
        """Meet more peers through the DHT, if there is one: whoever is met identifies itself.

        Returns: whether anybody is new.
        """
        named = (s for s in self._host.services if getattr(s, "name", "") == "dht")
        dht: Any = next(named, None)
        if dht is None:
            return False
        before = {c.remote_peer for c in self._host.connections}
        with contextlib.suppress(LabError, OSError, TimeoutError):
            async with asyncio.timeout(self._host.limits.kad_lookup_timeout):
                for peer in await dht.closest_peers(self._host.rng.randbytes(32)):
                    if peer not in before and peer != self._host.peer_id:
                        with contextlib.suppress(LabError, OSError):
                            await self._host.connect(peer)
                            await self._host.identify_result(peer)
        return bool({c.remote_peer for c in self._host.connections} - before)
