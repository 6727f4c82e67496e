"""Whom to visit next: everybody that a crawl has heard of, and what became of them.

    heard ──▶ waiting ──▶ visiting ──▶ visited
       └─ without an address that may be dialed: heard only, until somebody names a better one

Peers are strangers, and what they say of others is hearsay. A liar can name any number of peers that do not exist, at
the address of somebody who has nothing to do with it: then it would be the crawler that attacks. So

    - visits are dealt out by IP address in turn, a few at once to each: a thousand names at one address delay nobody;
    - an address at which many have failed and nobody has proven who he is, is left alone;
    - of one peer a few addresses are kept, and of peers as many as the limits say.

No time, chance or network in here.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Visit:
    """One peer to be visited.

    Attributes:
        peer: who.
        addrs: where, according to others.
    """

    peer: PeerId
    addrs: tuple[Multiaddr, ...]


class Frontier:
    """The state of one crawl.

    Args:
        limits: how many peers, addresses, visits at once.
        allowed: whether an address may be dialed.
        without: peers that are not visited, whoever names them: ourselves.

    Attributes:
        refused: peers that were not taken in because there were too many.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        allowed: Callable[[Multiaddr], bool] = lambda _: True,
        without: Iterable[PeerId] = (),
    ) -> None:
        self.refused = 0
        self._limits = limits
        self._allowed = allowed
        self._without = set(without)
        # Of those not visited yet. As bytes: parsed, they take several times as much memory.
        self._addrs: dict[PeerId, tuple[bytes, ...]] = {}
        self._waiting: OrderedDict[str, deque[PeerId]] = OrderedDict()  # by site, which take turns
        self._visiting: dict[PeerId, tuple[str, Visit]] = {}  # with the site whose turn it was
        self._visited: set[PeerId] = set()
        self._at_site: Counter[str] = Counter()  # visits going on
        self._failures: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._addrs) + len(self._visiting) + len(self._visited)

    @property
    def waiting(self) -> int:
        """How many will be visited, as far as is known."""
        return sum(map(len, self._waiting.values()))

    @property
    def visiting(self) -> int:
        """How many are being visited."""
        return len(self._visiting)

    @property
    def is_finished(self) -> bool:
        """Whether nobody is waiting or being visited."""
        return not self._visiting and not self._waiting

    # -- hearing ------------------------------------------------------------------------------------------------

    def hear(self, peer: PeerId, addrs: Iterable[Multiaddr]) -> bool:
        """Somebody named `peer`. Returns whether anything new was learned that will be of use."""
        if peer in self._without or peer in self._visited or peer in self._visiting:
            return False
        known = self._addrs.get(peer)
        if known is None and len(self) >= self._limits.crawl_peers:
            self.refused += 1
            return False
        usable = (addr.without_peer().to_bytes() for addr in addrs if self._allowed(addr))
        short = (data for data in usable if len(data) <= self._limits.crawl_addr)
        merged = tuple(dict.fromkeys((*(known or ()), *short)))[: self._limits.crawl_addrs]
        if merged == known:
            return False
        self._addrs[peer] = merged
        if merged and not known:
            self._waiting.setdefault(site_of(Multiaddr(merged[0])), deque()).append(peer)
        return True

    def addrs(self, peer: PeerId) -> tuple[Multiaddr, ...]:
        """Where `peer`, who was not visited yet, is said to be."""
        return tuple(map(Multiaddr, self._addrs.get(peer, ())))

    def skip(self, peer: PeerId) -> None:
        """`peer` was visited before this crawl was interrupted."""
        self._visited.add(peer)

    # -- visiting -----------------------------------------------------------------------------------------------

    def next(self, most: int | None = None) -> list[Visit]:
        """Whom to visit now, `most` at most; each must be reported by `finished`."""
        chosen: list[Visit] = []
        room = self._limits.crawl_at_once - len(self._visiting)
        room = room if most is None else min(room, most)
        busy = 0  # sites in a row that have as many visits as they may
        while busy < len(self._waiting) and len(chosen) < room:
            site, line = self._waiting.popitem(last=False)
            visit = None
            if self._at_site[site] < self._limits.crawl_at_once_per_ip:
                visit = self._take(site, line)
            if line:
                self._waiting[site] = line  # to the end: the others have their turn
            if visit is not None:
                chosen.append(visit)
                busy = 0
            elif line:
                busy += 1
        return chosen

    def _take(self, site: str, line: deque[PeerId]) -> Visit | None:
        """The next peer in a site's line that can be visited."""
        while line:
            peer = line.popleft()
            usable = tuple(a for a in self.addrs(peer) if not self._is_left_alone(a))
            if usable:
                del self._addrs[peer]
                visit = Visit(peer, usable)
                self._visiting[peer] = site, visit
                self._at_site[site] += 1
                return visit
        return None

    def may_dial(self, addr: Multiaddr) -> bool:
        """Whether an address is one that we dial, and not one at which too many have failed."""
        return self._allowed(addr) and not self._is_left_alone(addr)

    def _is_left_alone(self, addr: Multiaddr) -> bool:
        return self._failures[site_of(addr)] >= self._limits.crawl_failures_per_ip

    def finished(
        self, peer: PeerId, addr: Multiaddr | None, tried: Sequence[Multiaddr] | None = None
    ) -> None:
        """The visit is over.

        Args:
            peer: who was visited.
            addr: where it proved who it is; None if nowhere.
            tried: where it was dialed, names resolved; None for the addresses of the visit.
        """
        site, visit = self._visiting.pop(peer)
        self._visited.add(peer)
        self._at_site[site] -= 1
        if not self._at_site[site]:
            del self._at_site[site]
        there = site_of(addr) if addr is not None else None
        for one in dict.fromkeys(map(site_of, visit.addrs if tried is None else tried)):
            if one == there:
                self._failures.pop(one, None)
            else:
                self._failures[one] += 1

    def undialed(self) -> list[tuple[PeerId, Sequence[Multiaddr]]]:
        """At the end: those who were not visited, and the addresses that were left alone."""
        return [(peer, self.addrs(peer)) for peer in self._addrs]


def site_of(addr: Multiaddr) -> str:
    """Whom a dial there burdens: an IPv4 address, a /64 of IPv6, a name; or that address alone."""
    ip = addr.value_of("ip4")
    if ip is None and (ip6 := addr.value_of("ip6")) is not None:
        ip = str(ipaddress.ip_network((ip6.partition("%")[0], 64), strict=False))
    if ip is not None:
        return ip
    first = addr.parts[0] if addr.parts else None
    if first is not None and first.name.startswith("dns"):
        return str(first.value).lower()
    return str(addr)
