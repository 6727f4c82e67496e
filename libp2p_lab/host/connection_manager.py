"""Keeps the number of connections between two water marks, and some connections alive.

Past the high mark connections are closed until the low mark is reached: first those to the peers that are worth least.
What a peer is worth, its tags say: services give them, each its own. Some connections are spared:

- those to protected peers,
- those that are younger than the grace time: nobody can know yet what they are good for,
- those on which streams run, unless the high mark cannot be kept otherwise.

And the contrary: a peer that shall be kept is dialed again when its connection is lost, each time after a longer wait.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef


@dataclass(frozen=True, slots=True)
class Candidate:
    """One connection, as far as trimming looks at it.

    Attributes:
        id: the host's number of the connection.
        peer: to whom.
        opened_at: seconds.
        streams: how many are open on it.
        value: the sum of the peer's tags.
        protected: whether the peer is.
    """

    id: int
    peer: PeerId
    opened_at: float
    streams: int
    value: int
    protected: bool


def choose(
    connections: Iterable[Candidate], *, low: int, high: int, grace: float, now: float
) -> list[int]:
    """Which connections to close, those worth least first; () while there are no more than `high`.

    Args:
        connections: all of them.
        low, high: the water marks.
        grace: seconds for which a connection is spared after it was opened.
        now: seconds.
    """
    every = list(connections)
    if len(every) <= high:
        return []
    old = [c for c in every if not c.protected and now - c.opened_at >= grace]
    idle = sorted((c for c in old if not c.streams), key=_worth)
    busy = sorted((c for c in old if c.streams), key=_worth)
    chosen = idle[: len(every) - low]
    left = len(every) - len(chosen)
    if left > high:
        chosen += busy[: left - high]
    return [candidate.id for candidate in chosen]


def _worth(candidate: Candidate) -> tuple[int, int, float, int]:
    """The order of closing: of equal worth the one with fewer streams, then the older."""
    return candidate.value, candidate.streams, candidate.opened_at, candidate.id


def redial_delay(failures: int, limits: Limits, rng: random.Random) -> float:
    """Seconds until a kept peer is dialed again: doubled by each failure, and up to half as long again by chance."""
    wait = limits.keep_backoff * 2.0 ** min(failures, 30)
    return min(wait, limits.keep_backoff_max) * (1 + rng.random() / 2)


class ConnectionManager:
    """The service. `Host(services=[…, ConnectionManager()])`.

    Args:
        low: trimming goes on until so few connections are left; go-libp2p: 160.
        high: more than so many are trimmed; go-libp2p: 192.
        grace: seconds for which a new connection is spared; kubo: 20 s, go-libp2p: 1 min.

    Raises: `LocalError` for marks in the wrong order.
    """

    def __init__(self, low: int = 160, high: int = 192, grace: float = 20.0) -> None:
        if not 0 <= low <= high or grace < 0:
            raise LocalError(
                f"water marks of {low} and {high} with {grace} s of grace make no sense"
            )
        self.low = low
        self.high = high
        self.grace = grace
        self._host: Host
        self._tags: dict[PeerId, dict[str, int]] = {}
        self._protected: dict[PeerId, set[str]] = {}
        self._kept: dict[PeerId, asyncio.Task[None]] = {}
        self._lost: dict[PeerId, asyncio.Event] = {}
        self._timer: asyncio.TimerHandle | None = None

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.on_connect(self._connected)
        host.on_disconnect(self._disconnected)

    async def close(self) -> None:
        """As `Service.close`."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._kept.values():
            task.cancel()
        self._kept.clear()

    # -- what peers are worth -------------------------------------------------------------------------------

    def tag(self, peer: PeerId, name: str, value: int) -> None:
        """Give `peer` a tag, in place of the one of the same name. Tags last until they are taken away."""
        self._tags.setdefault(peer, {})[name] = value

    def untag(self, peer: PeerId, name: str) -> None:
        """Take a tag away, if it is there."""
        tags = self._tags.get(peer, {})
        tags.pop(name, None)
        if not tags:
            self._tags.pop(peer, None)

    def value(self, peer: PeerId) -> int:
        """The sum of the peer's tags."""
        return sum(self._tags.get(peer, {}).values())

    def protect(self, peer: PeerId, reason: str) -> None:
        """Never trim connections to `peer`, as long as any reason stands."""
        self._protected.setdefault(peer, set()).add(reason)

    def unprotect(self, peer: PeerId, reason: str) -> bool:
        """This reason stands no more. Returns whether another does."""
        reasons = self._protected.get(peer, set())
        reasons.discard(reason)
        if not reasons:
            self._protected.pop(peer, None)
        return bool(reasons)

    def is_protected(self, peer: PeerId) -> bool:
        """Whether connections to `peer` are never trimmed."""
        return peer in self._protected

    # -- trimming -------------------------------------------------------------------------------------------

    def trim(self) -> list[MuxedConnection]:
        """Close what is too much, now. Returns what will be closed."""
        now = asyncio.get_running_loop().time()
        open_now = {c.id: c for c in self._host.connections if not c.is_ending}
        candidates = [
            Candidate(
                c.id,
                c.remote_peer,
                c.info.opened_at,
                len(c.streams),
                self.value(c.remote_peer),
                self.is_protected(c.remote_peer),
            )
            for c in open_now.values()
        ]
        chosen = choose(candidates, low=self.low, high=self.high, grace=self.grace, now=now)
        closing = [open_now[number] for number in chosen]
        for connection in closing:
            connection.is_ending = True  # it is counted no more, and takes no new streams
            self._host.create_task(connection.close())
        return closing

    def _connected(self, connection: MuxedConnection) -> None:
        lost = self._lost.get(connection.remote_peer)
        if lost is not None:
            lost.clear()
        if len(self._host.connections) > self.high:
            self._look_soon(0.0)

    def _look_soon(self, delay: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        """Trim; and look again when the youngest have had their grace, if it is still too many."""
        self._timer = None
        if not self._host.is_running:
            return
        self.trim()
        if sum(not c.is_ending for c in self._host.connections) > self.high:
            self._look_soon(max(self.grace / 2, self._host.limits.trim_interval))

    # -- keeping --------------------------------------------------------------------------------------------

    def keep(self, peer: PeerRef) -> None:
        """Stay connected to `peer`: dial it now, and again whenever its connection is lost. It is protected too.

        An address given here is remembered for ever: with a peer store that outlives the process the id is enough
        after a restart.

        Raises: `LocalError` for something that names no peer, or a host that does not run.
        """
        who, addrs = self._host.resolve(peer)
        if addrs:
            store = self._host.peerstore
            store.add_addrs(who, reversed(addrs), ttl=math.inf, provenance="given")
        if who not in self._kept:
            self.protect(who, "kept")
            lost = self._lost[who] = asyncio.Event()
            self._kept[who] = self._host.create_task(self._keep(who, lost))

    def let_go(self, peer: PeerId) -> None:
        """Keep `peer` no longer. Its connection stays as it is."""
        task = self._kept.pop(peer, None)
        if task is not None:
            task.cancel()
            self._lost.pop(peer, None)
            self.unprotect(peer, "kept")

    @property
    def kept(self) -> list[PeerId]:
        """Whom we stay connected to."""
        return list(self._kept)

    async def _keep(self, peer: PeerId, lost: asyncio.Event) -> None:
        host = self._host
        failures = 0
        while True:
            try:
                await host.connect(peer)
            except (LabError, OSError):
                await asyncio.sleep(redial_delay(failures, host.limits, host.rng))
                failures += 1
                continue
            if host.is_connected(peer):
                lost.clear()
                since = asyncio.get_running_loop().time()
                await lost.wait()
                if asyncio.get_running_loop().time() - since >= host.limits.keep_backoff:
                    failures = 0
            # One that hangs up at once is not dialed without pause either.
            await asyncio.sleep(redial_delay(failures, host.limits, host.rng))
            failures += 1

    def _disconnected(self, connection: MuxedConnection) -> None:
        lost = self._lost.get(connection.remote_peer)
        if lost is not None and not self._host.is_connected(connection.remote_peer):
            lost.set()
