"""Live hosts with a DHT, or a recording of them, as `XorTree` sees them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import BITS, position
from libp2p_lab.routing.kad import Kademlia
from libp2p_lab.routing.routing_table import K
from libp2p_lab.sim.host import SimHost
from libp2p_lab.sim.internet import Internet
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.poke import poke
from libp2p_lab.widgets.xor_model import Trail, trails_of

Source = Host | Internet | Mapping[str, Host] | Iterable[Host] | Iterable[Entry]
MAX_ENTRIES = 20_000  # the latest
TRIES = 4096  # keys tried to hit a place
MAX_SETTLES = 1200


class Live:
    """Whose tables and lookups are shown.

    Args:
        source: hosts, an internet, or a recording.
        k, alpha: what a recording's hosts use; live hosts are asked.

    Raises: `LocalError` for a source without a DHT.
    """

    def __init__(self, source: Source, k: int, alpha: int) -> None:
        self._k, self._alpha = k, alpha
        self._net = source if isinstance(source, Internet) else None
        self._hosts: dict[PeerId, Host] = {}
        self._names: dict[PeerId, str] = {}
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._stops: list[Callable[[], None]] = []
        named: list[tuple[str, object]]
        match source:
            case Internet():
                found = source.hosts_by_name.items()
                named = [(name, host) for name, host in found if _dht(host) is not None]
            case Host():
                named = [("", source)]
            case Mapping():
                named = [(str(name), host) for name, host in source.items()]
            case _:
                named = [("", one) for one in source]
        for name, one in named:
            if isinstance(one, Entry):
                self._entries.append(one)
            elif isinstance(one, Host) and _dht(one) is not None:
                self._hosts[one.peer_id] = one
                if name:
                    self._names[one.peer_id] = name
            else:
                raise LocalError("this shows hosts with a DHT, an Internet or a recording")
        if not self._hosts and not self.trails:
            raise LocalError("there is no peer with a DHT to show, and no lookup")
        self.follow(_nothing)

    # -- following --------------------------------------------------------------------------------

    def follow(self, wake: Callable[[], None]) -> None:
        """Listen to the hosts' lookups; `wake` is called with each fact, in any thread."""
        self.unfollow()

        def take(entry: Entry) -> None:
            if entry.layer == "kad" and entry.direction == "event":
                self._entries.append(entry)
                wake()

        self._stops = [host.trace.listen(take) for host in self._hosts.values()]

    def unfollow(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
        self._stops = []

    # -- what there is ----------------------------------------------------------------------------

    @property
    def trails(self) -> list[Trail]:
        """The lookups so far."""
        trails = trails_of(list(self._entries), self._k, self._alpha)
        for trail in trails:
            host = self._hosts.get(trail.asker)
            dht = _dht(host) if host is not None else None
            if dht is not None:
                trail.k, trail.alpha = dht.k, dht.alpha
        return trails

    @property
    def peers(self) -> list[PeerId]:
        """Everybody that runs or is spoken of, in the order of their positions."""
        found = set(self._hosts)
        for host in self._hosts.values():
            dht = _dht(host)
            found.update(dht.table.peers if dht is not None else ())
        for trail in self.trails:
            found.update(trail.mentioned)
        return sorted(found, key=lambda peer: position(peer.multihash))

    @property
    def names(self) -> dict[PeerId, str]:
        """What some of them are called."""
        return self._names

    @property
    def first(self) -> PeerId:
        """From whom to look at first."""
        return next(iter(self._hosts)) if self._hosts else self.trails[-1].asker

    def k(self, peer: PeerId) -> int:
        """The size of a peer's buckets."""
        host = self._hosts.get(peer)
        dht = _dht(host) if host is not None else None
        return dht.k if dht is not None else self._k or K

    def table(self, peer: PeerId) -> list[PeerId]:
        """Whom a peer knows; of a recording's, those that it began its last lookup with."""
        host = self._hosts.get(peer)
        dht = _dht(host) if host is not None else None
        if dht is not None:
            return dht.table.peers
        for trail in reversed(self.trails):
            if trail.asker == peer:
                return list(trail.seeds)
        return []

    def is_gone(self, peer: PeerId) -> bool:
        """Whether we know that it runs no longer."""
        host = self._hosts.get(peer)
        return host is not None and not host.is_running

    def is_client(self, peer: PeerId) -> bool:
        """Whether we know that it only asks."""
        host = self._hosts.get(peer)
        dht = _dht(host) if host is not None else None
        return dht is not None and dht.mode == "client"

    def can_search(self, peer: PeerId) -> bool:
        """Whether this peer can be told to do something: it runs here, or in an internet that we were given."""
        host = self._hosts.get(peer)
        is_ours = not isinstance(host, SimHost) or self._net is not None
        return host is not None and host.is_running and is_ours

    # -- doing ------------------------------------------------------------------------------------

    async def search(self, peer: PeerId, target: int, text: str) -> None:
        """Let a live peer search for a text, or for a key near a place: keys are hashed, so one is found by trial.

        Raises: `LocalError` for peers of a recording, or that run no longer.
        """
        _, dht = self._able(peer)
        key = text.encode() if text else key_near(target)
        await self._do(peer, lambda: dht.closest_peers(key))

    async def poke(self, peer: PeerId, what: str) -> None:
        """Close a peer's host ("gone"), or let its DHT answer others ("server") or no more ("client").

        Raises: `LocalError` for peers that are not ours to change.
        """
        host, dht = self._able(peer)

        async def change() -> None:
            dht.set_mode("client" if what == "client" else "server")

        await self._do(peer, host.close if what == "gone" else change)

    def _able(self, peer: PeerId) -> tuple[Host, Kademlia]:
        host = self._hosts.get(peer)
        dht = _dht(host) if host is not None else None
        if host is None or dht is None or not self.can_search(peer):
            raise LocalError("only peers that run can be told to do something")
        return host, dht

    async def _do(self, peer: PeerId, act: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Do it: here, or on a simulated machine; a paused internet runs until it is done."""
        net, host = self._net, self._hosts[peer]
        if net is None or not isinstance(host, SimHost):
            await act()
            return
        await poke(net, lambda: host.run(act()), settles=MAX_SETTLES)


def key_near(target: int) -> bytes:
    """A key whose hash begins with about a dozen bits as `target` does."""
    rng = random.Random(target)
    keys = (rng.randbytes(16) for _ in range(TRIES))
    return min(keys, key=lambda key: abs(position(key) - target) % 2**BITS)


def _dht(host: Host) -> Kademlia | None:
    return next((one for one in host.services if isinstance(one, Kademlia)), None)


def _nothing() -> None:
    """What is called while nobody looks."""
