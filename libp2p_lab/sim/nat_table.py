"""What a NAT remembers: the core of a NAT box, without packets, time or chance of its own.

Who is inside sends from an inner endpoint; the NAT gives it an outer one (the *mapping*) and lets some of those outside
answer to it (the *filtering*). RFC 4787 (UDP) and RFC 5382 (TCP) name three ways for each:

                    endpoint-independent    address-dependent            address-and-port-dependent
    mapping         always the same port    another for each remote IP   another for each remote IP and port
    filtering       everybody may answer    IPs that were sent to        IPs and ports that were sent to

The old names: "full cone" maps and filters endpoint-independently; "restricted cone" filters by address, "port
restricted" by address and port; "symmetric" maps and filters by address and port.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.errors import LocalError
from libp2p_lab.sim.packet import Endpoint, Kind

Dependence = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
Ports = Literal["preserve", "random", "sequential"]

_DEPENDENCES = ("endpoint-independent", "address-dependent", "address-and-port-dependent")


@dataclass(frozen=True, slots=True)
class NatBehaviour:
    """How a NAT behaves. The defaults are those of a good home router, and of Linux: port restricted.

    Attributes:
        mapping: when an inner endpoint keeps its outer one.
        filtering: who outside may answer.
        ports: which outer port: the inner one where it is free, a random one, or the next.
        parity: whether an even port gets an even one, and an odd one an odd one (RFC 4787 REQ-4).
        hairpin: whether those inside reach each other by outer addresses (REQ-9).
        udp_timeout: seconds after the last packet out (REQ-5: 120 at least, 300 recommended; Linux: 120).
        refresh_inbound: whether a packet in keeps a UDP mapping alive too (REQ-6).
        tcp_timeout: seconds of an established connection (RFC 5382 REQ-5: 7440 at least).
        tcp_transitory_timeout: seconds of one that is opening or closing (REQ-5: 240 at least).
        simultaneous_open: whether a SYN may answer a SYN (RFC 5382 REQ-2).
        rejects: whether who is not let in is told so, by RST or ICMP; hole punching wants silence (REQ-4).
        rst_closes: whether a RST from outside shuts the door that a SYN has opened, as in Linux.
        translates: False for a firewall, which filters and changes no address.
        blocks_udp: whether no datagram gets out, as in some offices and hotels.
    """

    mapping: Dependence = "endpoint-independent"
    filtering: Dependence = "address-and-port-dependent"
    ports: Ports = "preserve"
    parity: bool = True
    hairpin: bool = True
    udp_timeout: float = 120.0
    refresh_inbound: bool = True
    tcp_timeout: float = 7440.0
    tcp_transitory_timeout: float = 240.0
    simultaneous_open: bool = True
    rejects: bool = False
    rst_closes: bool = False
    translates: bool = True
    blocks_udp: bool = False

    def __post_init__(self) -> None:
        for name, value in (("mapping", self.mapping), ("filtering", self.filtering)):
            if value not in _DEPENDENCES:
                raise LocalError(f"{name} is one of {', '.join(_DEPENDENCES)}, not {value!r}")
        if self.ports not in ("preserve", "random", "sequential"):
            raise LocalError(f"ports is preserve, random or sequential, not {self.ports!r}")

    def __str__(self) -> str:
        if not self.translates:
            return f"firewall, {self.filtering} filtering"
        return f"{self.mapping} mapping, {self.filtering} filtering"


FULL_CONE = NatBehaviour(filtering="endpoint-independent")
RESTRICTED_CONE = NatBehaviour(filtering="address-dependent")
PORT_RESTRICTED = NatBehaviour()
SYMMETRIC = NatBehaviour(mapping="address-and-port-dependent", ports="random", parity=False)
FIREWALL = NatBehaviour(translates=False, hairpin=False)


class Session:
    """What was sent to and fro between one mapping and one remote endpoint."""

    __slots__ = ("expires", "saw_in", "saw_out", "state")

    def __init__(self) -> None:
        self.expires = 0.0
        self.state: Literal["opening", "established", "closing"] = "opening"
        self.saw_in = self.saw_out = False


class Mapping:
    """An inner endpoint and its outer one.

    Attributes:
        inside, outside: the two.
        sessions: by remote endpoint.
        expires: when it ends, unless it is used.
        is_static: made by hand, or asked for by UPnP, NAT-PMP or PCP: everybody may come in.
    """

    __slots__ = ("expires", "inside", "is_static", "key", "outside", "sessions")

    def __init__(self, key: tuple[object, ...], inside: Endpoint, outside: Endpoint) -> None:
        self.key = key
        self.inside = inside
        self.outside = outside
        self.sessions: dict[Endpoint, Session] = {}
        self.expires = 0.0
        self.is_static = False


class NatTable:
    """Every mapping of one box.

    Args:
        behaviour: its rules.
        ips: its outer addresses; with several, one inner address always gets the same one (REQ-2: paired).
        rng: draws ports.
    """

    def __init__(self, behaviour: NatBehaviour, ips: tuple[str, ...], rng: random.Random) -> None:
        self.behaviour = behaviour
        self._ips = ips
        self._rng = rng
        self._by_inside: dict[tuple[object, ...], Mapping] = {}
        self._by_outside: dict[tuple[str, Endpoint], Mapping] = {}
        self._paired: dict[str, str] = {}
        self._next_port = 1024 + rng.randrange(30_000)
        self._purge_at = 1024

    def outbound(
        self, protocol: str, inside: Endpoint, remote: Endpoint, kind: Kind, now: float
    ) -> tuple[Mapping, bool] | None:
        """A packet leaves: its mapping, and whether that was made for it. None if no port is free."""
        key = self._key(protocol, inside, remote)
        mapping = self._by_inside.get(key)
        made = False
        if mapping is None or self._is_over(mapping, now):
            mapping = self._make(protocol, key, inside, now)
            if mapping is None:
                return None
            made = True
        session = mapping.sessions.get(remote)
        is_anew = kind == "syn" and session is not None and session.state == "closing"
        if session is None or session.expires < now or is_anew:
            session = mapping.sessions[remote] = Session()
        session.saw_out = True
        self._refresh(mapping, session, protocol, kind, now)
        return mapping, made

    def inbound(
        self, protocol: str, outside: Endpoint, remote: Endpoint, kind: Kind, now: float
    ) -> Endpoint | str:
        """A packet arrives: the inner endpoint that it is for, or why it is not let in."""
        mapping = self._by_outside.get((protocol, outside))
        if mapping is None or self._is_over(mapping, now):
            return "no mapping"
        session = mapping.sessions.get(remote)
        if session is not None and session.expires < now:
            session = None
        if not mapping.is_static and not self._may_enter(mapping, remote, session, now):
            return "filtered"
        if session is None:
            session = mapping.sessions[remote] = Session()
        if (
            kind == "syn"
            and not self.behaviour.simultaneous_open
            and session.saw_out
            and not session.saw_in
        ):
            return "simultaneous open"
        session.saw_in = session.saw_in or kind != "rst"
        if protocol == "tcp" or self.behaviour.refresh_inbound:
            self._refresh(mapping, session, protocol, kind, now)
        return mapping.inside

    def refused(self, protocol: str, outside: Endpoint, remote: Endpoint) -> None:
        """What was sent from `outside` to `remote` has been refused by a RST."""
        mapping = self._by_outside.get((protocol, outside))
        if mapping is not None and self.behaviour.rst_closes:
            mapping.sessions.pop(remote, None)

    def forward(
        self, protocol: str, port: int, inside: Endpoint, expires: float
    ) -> Endpoint | None:
        """Let everybody in at `port`, until `expires`. Returns the outer endpoint, None if the port is taken."""
        outside = self._outer_ip(inside[0]), port
        held = self._by_outside.get((protocol, outside))
        if held is not None and held.inside != inside:
            return None
        if held is None:
            held = Mapping((protocol, inside), inside, outside)
            self._by_outside[protocol, outside] = held
            self._by_inside[held.key] = held
        held.is_static = True
        held.expires = expires
        return outside

    def remove_forward(self, protocol: str, inside: Endpoint) -> None:
        """Let nobody in there any more."""
        for mapping in [m for m in self._by_outside.values() if m.is_static]:
            if mapping.key[0] == protocol and mapping.inside == inside:
                self._remove(mapping)

    def clear(self) -> None:
        """Forget everything, as a box does that was switched off and on."""
        self._by_inside.clear()
        self._by_outside.clear()
        self._paired.clear()

    def mappings(self, now: float) -> list[Mapping]:
        """All that live."""
        held = tuple(self._by_outside.values())
        return [mapping for mapping in held if not self._is_over(mapping, now)]

    # -- rules ----------------------------------------------------------------------------------------------

    def _key(self, protocol: str, inside: Endpoint, remote: Endpoint) -> tuple[object, ...]:
        static = self._by_inside.get((protocol, inside))
        if static is not None and static.is_static:
            return static.key
        match self.behaviour.mapping:
            case "endpoint-independent":
                return protocol, inside
            case "address-dependent":
                return protocol, inside, remote[0]
            case "address-and-port-dependent":
                return protocol, inside, remote

    def _may_enter(
        self, mapping: Mapping, remote: Endpoint, session: Session | None, now: float
    ) -> bool:
        match self.behaviour.filtering:
            case "endpoint-independent":
                return True
            case "address-dependent":
                return any(
                    known[0] == remote[0] and s.saw_out and s.expires >= now
                    for known, s in mapping.sessions.items()
                )
            case "address-and-port-dependent":
                return session is not None

    def _refresh(
        self, mapping: Mapping, session: Session, protocol: str, kind: Kind, now: float
    ) -> None:
        behaviour = self.behaviour
        timeout = behaviour.udp_timeout
        if protocol == "tcp":
            if kind in ("fin", "rst"):
                session.state = "closing"
            elif kind == "syn":
                session.state = "opening"
            elif session.state == "opening" and session.saw_in and session.saw_out:
                session.state = "established"
            timeout = behaviour.tcp_transitory_timeout
            if session.state == "established":
                timeout = behaviour.tcp_timeout
        session.expires = now + timeout
        if protocol == "udp":
            mapping.expires = max(mapping.expires, session.expires)

    def _is_over(self, mapping: Mapping, now: float) -> bool:
        if mapping.expires >= now:
            return False
        if any(session.expires >= now for session in mapping.sessions.values()):
            return False
        self._remove(mapping)
        return True

    # -- ports ----------------------------------------------------------------------------------------------

    def _make(
        self, protocol: str, key: tuple[object, ...], inside: Endpoint, now: float
    ) -> Mapping | None:
        if len(self._by_outside) > self._purge_at:
            for old in tuple(self._by_outside.values()):
                self._is_over(old, now)
            self._purge_at = 1024 + 2 * len(self._by_outside)
        if not self.behaviour.translates:
            outside: Endpoint | None = inside
        else:
            outside = self._free_port(protocol, inside, now)
        if outside is None:
            return None
        mapping = Mapping(key, inside, outside)
        self._by_inside[key] = mapping
        self._by_outside[protocol, outside] = mapping
        return mapping

    def _remove(self, mapping: Mapping) -> None:
        protocol = str(mapping.key[0])
        if self._by_outside.get((protocol, mapping.outside)) is mapping:
            del self._by_outside[protocol, mapping.outside]
        if self._by_inside.get(mapping.key) is mapping:
            del self._by_inside[mapping.key]

    def _outer_ip(self, inside: str) -> str:
        if len(self._ips) == 1:
            return self._ips[0]
        return self._paired.setdefault(inside, self._rng.choice(self._ips))

    def _free_port(self, protocol: str, inside: Endpoint, now: float) -> Endpoint | None:
        ip = self._outer_ip(inside[0])
        for port in self._candidates(inside[1]):
            held = self._by_outside.get((protocol, (ip, port)))
            if held is None or self._is_over(held, now):
                return ip, port
        return None

    def _candidates(self, inner: int) -> Iterable[int]:
        """Outer ports in the order in which they are tried."""
        step = 2 if self.behaviour.parity else 1
        if self.behaviour.ports == "preserve":
            yield inner
        if self.behaviour.ports == "sequential":
            start = self._next_port
            self._next_port = 1024 + (self._next_port + 1 - 1024) % 64512
        else:
            start = self._rng.randrange(1024, 65536)
        if self.behaviour.parity:
            start += (start ^ inner) & 1
        for offset in range(0, 64512, step):
            yield 1024 + (start - 1024 + offset) % 64512
