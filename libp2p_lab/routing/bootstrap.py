"""Bootstrap: the first peers of all, whose addresses somebody wrote down.

    host = lab.Host(services=[…, lab.KadDHT(), lab.Bootstrap(["/ip4/…/tcp/4001/p2p/12D3…", "/dnsaddr/…/p2p/…"])])
    await host.bootstrap.joined()          somebody of them is connected, and the DHT has been joined through it

        fewer connections than the minimum ──▶ dial as many as are missing, drawn by lot ──▶ enough
             ▲          ▲                               │ failed                              │
             │          └── after a wait, longer each ◀─┘                                     │
             └──────────────────────── a connection is lost ◀────────────────────────────────┘

Misconception: bootstrap peers are servers of the network. They are peers like others, one works as well as the next,
and whoever has come in needs them no more, until it has lost everybody.

Spec: kad-dht/README.md#bootstrap-process
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import DialError, LabError, LocalError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.routing.events import BootstrapFailed, BootstrapRound, Joined
from libp2p_lab.trace import Probe

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host

MINIMUM = 4  # connections; boxo: 4


class Waits:
    """Whom to dial, and who failed lately: a core without a clock of its own.

    Args:
        peers: all of them.
        limits: how long one that failed is left alone.
    """

    def __init__(self, peers: Iterable[PeerId], limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._peers = tuple(dict.fromkeys(peers))
        self._failed: dict[PeerId, tuple[int, float]] = {}  # times, and until when

    def draw(
        self, count: int, without: Iterable[PeerId], now: float, rng: random.Random
    ) -> list[PeerId]:
        """Whom to dial now: up to `count`, drawn by lot, or else everybody would crowd at the first of the list."""
        others = set(without)
        due = [
            peer
            for peer in self._peers
            if peer not in others and self._failed.get(peer, (0, now))[1] <= now
        ]
        return rng.sample(due, min(max(count, 0), len(due)))

    def failed(self, peer: PeerId, now: float, rng: random.Random) -> float:
        """It could not be reached. Returns how many seconds it is left alone: each time twice as many, and some more
        by chance, so that those who were cut off together do not all come back together."""
        limits, times = self._limits, self._failed.get(peer, (0, now))[0]
        wait = min(limits.bootstrap_backoff * 2.0 ** min(times, 30), limits.bootstrap_backoff_max)
        wait *= 1 + rng.random() / 2
        self._failed[peer] = times + 1, now + wait
        return wait

    def worked(self, peer: PeerId) -> None:
        """It is connected: what was before is forgotten."""
        self._failed.pop(peer, None)

    def next_chance(self, now: float) -> float:
        """Seconds until the first of those that failed may be dialed again; infinite if none did."""
        return min((until - now for _, until in self._failed.values()), default=float("inf"))


class Bootstrap:
    """Dials given peers when the host starts, and again whenever it has too few connections.

    Args:
        peers: addresses that end in /p2p, also dnsaddr; or `PeerInfo`s, such as `lab.known_peers()`.
        minimum: peers to be connected to, whoever they are; fewer are too few.

    Raises: `LocalError` for an address that names no peer.
    """

    name = "bootstrap"

    def __init__(
        self, peers: Iterable[PeerInfo | Multiaddr | str], *, minimum: int = MINIMUM
    ) -> None:
        if minimum < 1:
            raise LocalError(f"a minimum of connections is at least 1, not {minimum}")
        self.minimum = minimum
        self._addrs: dict[PeerId, dict[Multiaddr, None]] = {}
        for target in peers:
            peer, addrs = _whom(target)
            self._addrs.setdefault(peer, {}).update(dict.fromkeys(addrs))
        self._wake = asyncio.Event()
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._waits: Waits
        self._host: Host
        self._probe: Probe

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        self._probe = Probe(host.trace, "bootstrap")
        self._waits = Waits(self._addrs, host.limits)
        host.on_start(self._start)
        host.on_disconnect(lambda connection: self._wake.set())

    async def close(self) -> None:
        """As `Service.close`."""
        if self._task is not None:
            self._task.cancel()

    @property
    def peers(self) -> list[PeerId]:
        """Whom we were given."""
        return list(self._addrs)

    async def joined(self) -> None:
        """Wait until one of them was reached, and the DHT, if there is one, was joined through it.

        It waits as long as none can be: put a time limit around it.
        """
        await self._joined.wait()

    # -- the driver -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._task = self._host.create_task(self._run())

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            missing = self.minimum - len(self._host.peers)
            connected = (*self._host.peers, self._host.peer_id)
            drawn = self._waits.draw(missing, connected, clock(), self._host.rng)
            if drawn:
                self._report(BootstrapRound(missing, tuple(map(str, drawn))))
                async with asyncio.TaskGroup() as tasks:
                    for peer in drawn:
                        tasks.create_task(self._dial(peer))
                continue  # those that failed may be replaced by others at once
            wait = self._waits.next_chance(clock()) if missing > 0 else float("inf")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(wait, self._host.limits.bootstrap_interval)):
                    await self._wake.wait()

    async def _dial(self, peer: PeerId) -> None:
        try:
            await self._host.connect(PeerInfo(peer, self._addrs[peer]))
        except (LabError, OSError) as error:
            now = asyncio.get_running_loop().time()
            wait = self._waits.failed(peer, now, self._host.rng)
            self._report(BootstrapFailed(str(peer), f"{type(error).__name__}: {error}", wait))
        else:
            self._waits.worked(peer)
            if not self._joined.is_set():
                await self._join(peer)

    async def _join(self, peer: PeerId) -> None:
        """Somebody is there: look ourselves up in the DHT, if we have one and it serves it."""
        named = (s for s in self._host.services if getattr(s, "name", "") == "dht")
        dht: Any = next(named, None)
        if dht is not None:
            try:
                await dht.bootstrap([PeerInfo(peer, self._addrs[peer])])
            except DialError:
                return  # it serves none; the next one may
        if not self._joined.is_set():
            self._joined.set()
            self._report(Joined(str(peer)))

    def _report(self, event: object) -> None:
        if self._probe.trace.listeners:
            self._probe.emit("event", event)


def _whom(target: PeerInfo | Multiaddr | str) -> tuple[PeerId, tuple[Multiaddr, ...]]:
    if isinstance(target, PeerInfo):
        return target.peer_id, target.addrs
    addr = Multiaddr(target) if isinstance(target, str) else target
    if addr.peer_id is None:
        raise LocalError(f"{addr} names no peer: a bootstrap address ends in /p2p/<id>")
    return addr.peer_id, (addr,)
