"""Where do others see us? Each peer tells, in identify; here is what we make of it.

Behind a NAT nobody knows the own address: others see the NAT's. One peer may be wrong, or lie; so an address counts as
ours only when observers at several different places say the same. What one IP address says counts once, however many
peers are behind it.

    we listen at      /ip4/192.168.1.5/tcp/4001
    and dial from there: four peers elsewhere see us at
                      /ip4/203.0.113.9/tcp/31337         that is an address of ours, too

Only connections from or to a port at which we listen say anything: the address of any other port leads to nobody.

The same observations tell what kind of NAT it is. If most peers see one port of ours at the same outer address, the NAT
maps by our end alone (endpoint-independent), and holes can be punched. If each sees another one, it does not.

A core: it asks nobody and waits for nothing. Spec: identify/README.md#observedaddr
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.identity.multiaddr import Multiaddr, Part
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.transports.public import NAT64

NatKind = Literal["unknown", "endpoint-independent", "endpoint-dependent"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What one connection's remote says.

    Attributes:
        local: our end: IP address and port.
        seen: where the remote sees it: the same.
        observer: whom this counts for: an IPv4 address, or the /56 of an IPv6 one, which is one household's.
    """

    local: Multiaddr
    seen: Multiaddr
    observer: str


class ObservedAddrs:
    """What is observed on each open connection.

    Args:
        limits: how many observers it takes.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._by_connection: dict[int, Observation] = {}
        # How many connections of each observer say so, by our end and where it is seen.
        self._seen: dict[tuple[Multiaddr, Multiaddr], Counter[str]] = {}

    def observe(
        self,
        connection: int,
        local: Multiaddr,
        remote: Multiaddr,
        seen: Multiaddr,
        listening: Sequence[Multiaddr],
    ) -> bool:
        """Note what the remote of a connection says, in place of what it said before.

        Args:
            connection: the host's number for it.
            local, remote: its two ends, as we see them.
            seen: our end, as the remote sees it.
            listening: where we listen.

        Returns: whether `confirmed` may be another one now. Much is of no use: loopback, relayed and other transports'
            addresses, and where a port is seen at which we do not listen.
        """
        forgotten = self.forget(connection)
        observed, ours, theirs = _endpoint(seen), _endpoint(local), _endpoint(remote)
        if observed is None or ours is None or theirs is None or "p2p-circuit" in seen.names:
            return forgotten
        ip = ipaddress.ip_address(observed.parts[0].value)
        if ip.is_loopback or ip.is_unspecified or (ip.version == 6 and ip in NAT64):
            return forgotten
        if ours.names != observed.names or not any(_is_same(ours, addr) for addr in listening):
            return forgotten
        one = self._by_connection[connection] = Observation(ours, observed, observer_of(theirs))
        observers = self._seen.setdefault((ours, observed), Counter())
        observers[one.observer] += 1
        return forgotten or self._is_enough(len(observers))

    def forget(self, connection: int) -> bool:
        """A connection is gone, and what it said with it. Returns as `observe`."""
        one = self._by_connection.pop(connection, None)
        if one is None:
            return False
        observers = self._seen[one.local, one.seen]
        before = len(observers)
        observers[one.observer] -= 1
        if not observers[one.observer]:
            del observers[one.observer]
        if not observers:
            del self._seen[one.local, one.seen]
        return self._is_enough(before)

    def _is_enough(self, observers: int) -> bool:
        return observers >= self._limits.observed_addr_confirmations

    def observers(self) -> dict[tuple[Multiaddr, Multiaddr], int]:
        """How many observers see each end of ours at each address."""
        return {key: len(observers) for key, observers in self._seen.items()}

    def confirmed(self, listening: Sequence[Multiaddr]) -> list[Multiaddr]:
        """The addresses that several observers agree on, for each address at which we listen.

        What listens at the same port as well, WebTransport beside QUIC for one, is seen through the same hole.

        Args:
            listening: where we listen.

        Returns: the best observed first, a few for each; none at which we listen anyway.
        """
        return self._agreed(listening, self._limits.observed_addr_confirmations)

    def candidates(self, listening: Sequence[Multiaddr]) -> list[Multiaddr]:
        """As `confirmed`, but one observer is enough: good enough for a try, as hole punching is, and no more."""
        return self._agreed(listening, 1)

    def _agreed(self, listening: Sequence[Multiaddr], least: int) -> list[Multiaddr]:
        counted = [(n, *key) for key, n in self.observers().items() if n >= least]
        counted.sort(key=lambda entry: (-entry[0], bytes(entry[2])))
        found: dict[Multiaddr, None] = {}
        for addr in listening:
            matching = [seen for _, local, seen in counted if _is_same(local, addr)]
            for seen in dict.fromkeys(matching[: self._limits.observed_addrs_per_listener]):
                found[Multiaddr.of((*seen.parts, *addr.parts[2:]))] = None
        return [addr for addr in found if addr not in listening]

    def nat_kind(self, protocol: Literal["tcp", "udp"]) -> NatKind:
        """How the NAT before us, if there is one, gives out ports; "unknown" before enough is seen.

        As in go-libp2p: with nine observers, the three outer addresses that most of them see must hold half of all.
        """
        counts = [n for (_, seen), n in self.observers().items() if protocol in seen.names]
        top = self._limits.observed_addrs_per_listener
        if sum(counts) < 3 * top:
            return "unknown"
        most = sum(sorted(counts, reverse=True)[:top])
        return "endpoint-independent" if 2 * most >= sum(counts) else "endpoint-dependent"


def observer_of(addr: Multiaddr) -> str:
    """Whom an observation from there counts for."""
    ip = ipaddress.ip_address(addr.parts[0].value)
    if ip.version == 6:
        return str(ipaddress.ip_network((ip, 56), strict=False))
    return str(ip)


def _endpoint(addr: Multiaddr) -> Multiaddr | None:
    """IP address and port of an address; None if it does not begin so."""
    parts: tuple[Part, ...] = addr.parts[:2]
    names = tuple(part.name for part in parts)
    if names[:1] in (("ip4",), ("ip6",)) and names[1:] in (("tcp",), ("udp",)):
        return Multiaddr.of(parts)
    return None


def _is_same(end: Multiaddr, listening: Multiaddr) -> bool:
    """Whether an end of ours is where we listen. A wildcard is any address of its kind."""
    where = _endpoint(listening)
    if where is None or where.names != end.names or where.parts[1] != end.parts[1]:
        return False
    ips = end.parts[0].value, where.parts[0].value
    return ips[0] == ips[1] or any(ipaddress.ip_address(ip).is_unspecified for ip in ips)
