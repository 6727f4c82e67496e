"""What others say of whether we can be called, put together; and how often we look for others. Cores.

Both versions of AutoNAT end in the same: a server has tried one address, and got there or not. One server can lie, or
be behind the same NAT as we; so more than three must agree.

Spec: autonat/autonat-v1.md#autonat-protocol
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import Limits

Reachability = Literal["unknown", "public", "private"]
SERVERS = 4  # that must agree: "more than 3"
REMEMBERED = 64  # addresses that were judged, and servers that spoke of one


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one server found out.

    Attributes:
        server: who tried.
        addr: which address.
        reached: whether the server got there, and our own nonce arrived.
    """

    server: PeerId
    addr: Multiaddr
    reached: bool


class Judge:
    """What several servers say of each address, put together. A core.

    Args:
        servers: how many must agree.

    A server that changes its mind counts as it spoke last.
    """

    def __init__(self, servers: int = SERVERS) -> None:
        self._servers = servers
        self._said: OrderedDict[Multiaddr, dict[PeerId, bool]] = OrderedDict()

    def add(self, verdict: Verdict) -> None:
        """One more."""
        said = self._said.setdefault(verdict.addr, {})
        said.pop(verdict.server, None)
        said[verdict.server] = verdict.reached
        if len(said) > REMEMBERED:
            del said[next(iter(said))]
        self._said.move_to_end(verdict.addr)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)

    def of(self, addr: Multiaddr) -> Reachability:
        """Whether an address is reachable, as far as enough of them agree."""
        said = self._said.get(addr, {})
        yes = sum(said.values())
        no = len(said) - yes
        if max(yes, no) < self._servers or yes == no:
            return "unknown"
        return "public" if yes > no else "private"

    def has_heard(self, addr: Multiaddr, server: PeerId) -> bool:
        """Whether this server has spoken of this address."""
        return server in self._said.get(addr, {})

    def overall(self, addrs: Sequence[Multiaddr]) -> Reachability:
        """Public with one public address; private if all that there are, are."""
        found = {self.of(addr) for addr in addrs}
        if "public" in found:
            return "public"
        return "private" if found == {"private"} else "unknown"


class RateLimit:
    """How often a server does it: in a minute, for everybody and for each. A core."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._times: deque[tuple[float, PeerId]] = deque()

    def allows(self, peer: PeerId, now: float) -> bool:
        """Whether one more is due; then it counts."""
        while self._times and now - self._times[0][0] >= 60.0:
            self._times.popleft()
        of_peer = sum(other == peer for _, other in self._times)
        limits = self._limits
        if (
            len(self._times) >= limits.autonat_requests
            or of_peer >= limits.autonat_requests_per_peer
        ):
            return False
        self._times.append((now, peer))
        return True
