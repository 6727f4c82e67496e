"""What a host gives to others, counted: so many connections, streams and bytes, for each scope that pays for them.

Everything is paid for in several scopes at once, and refused when one of them is full:

    a connection    system, transient (with its source) until its peer is proven, then the peer, and its own scope
    a stream        system, the peer, its connection, transient until its protocol is known, then the protocol
    memory          every scope of the connection or stream that it is for

The small scopes keep the large ones free: whoever takes all that one peer may have leaves most of the system to others.

    claim = manager.open_connection("inbound", "192.0.2.1")
    claim.prove(peer)
    stream = claim.open_stream("inbound")
    stream.agree("/echo/1.0.0")
    stream.close(), claim.close()      # and everything is back at zero
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from libp2p_lab.errors import LimitExceeded, LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.multiplexing.connection import StreamDirection

Resource = Literal[
    "connections",
    "connections_inbound",
    "connections_outbound",
    "streams",
    "streams_inbound",
    "streams_outbound",
    "memory",
]
ScopeKind = Literal[
    "system",
    "transient",
    "source",
    "peer",
    "transient peer",
    "protocol",
    "protocol peer",
    "connection",
    "stream",
]
#: For each resource that a scope bounds: the limit's name in limits.py, and its value.
Bounds = Mapping[Resource, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a scope uses now.

    Attributes:
        connections, connections_inbound, connections_outbound: in all, and by who dialed.
        streams, streams_inbound, streams_outbound: in all, and by who opened.
        memory: bytes.
    """

    connections: int = 0
    connections_inbound: int = 0
    connections_outbound: int = 0
    streams: int = 0
    streams_inbound: int = 0
    streams_outbound: int = 0
    memory: int = 0


class Scope:
    """One account: what is used, and how much may be.

    Attributes:
        kind, name: which one.
        bounds: how much may be.
        used: how much is; what is not used is not in it.
    """

    __slots__ = ("bounds", "kind", "name", "used")

    def __init__(self, kind: ScopeKind, name: str, bounds: Bounds) -> None:
        self.kind: ScopeKind = kind
        self.name = name
        self.bounds = bounds
        self.used: dict[Resource, int] = {}

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()

    def excess(self, amounts: Mapping[Resource, int]) -> LimitExceeded | None:
        """The limit that `amounts` more would break, if there is one."""
        for resource, (limit, allowed) in self.bounds.items():
            more = amounts.get(resource, 0)
            if more and (wanted := self.used.get(resource, 0) + more) > allowed:
                return LimitExceeded(limit, wanted, allowed, scope=str(self))
        return None

    def add(self, amounts: Mapping[Resource, int], sign: int = 1) -> None:
        """Count `amounts`, or with a sign of -1 give them back."""
        for resource, amount in amounts.items():
            left = self.used.get(resource, 0) + sign * amount
            if left:
                self.used[resource] = left
            else:
                self.used.pop(resource, None)

    def usage(self) -> Usage:
        """A copy that stays as it is."""
        return Usage(**self.used)


class ResourceManager:
    """All accounts of one host. A core: it counts and refuses, and closes nothing by itself.

    Args:
        limits: how much each scope may use.

    Attributes:
        system, transient: the two scopes that everybody shares.
        refused: how often each limit of each kind of scope refused somebody.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.refused: Counter[tuple[ScopeKind, str]] = Counter()
        self._limits = limits
        self.system = Scope("system", "", _system(limits))
        self.transient = Scope("transient", "", _transient(limits))
        self._named: dict[tuple[ScopeKind, str], Scope] = {}  # only those that are in use
        self._numbers = 0

    def open_connection(self, direction: StreamDirection, source: str = "") -> ConnectionClaim:
        """A connection begins; nobody knows yet whose it is.

        Args:
            direction: "outbound" if we dial.
            source: the address that it comes from, if that shall be bounded too.

        Raises: `LimitExceeded`.
        """
        scopes = [self.system, self.transient]
        if source:
            name = ("max_pending_inbound_per_ip", self._limits.max_pending_inbound_per_ip)
            scopes.append(self.scope("source", source, {"connections_inbound": name}))
        amounts = _one("connections", direction)
        self.take(scopes, amounts)
        self._numbers += 1
        own = Scope("connection", str(self._numbers), _connection(self._limits))
        self.take([own], amounts)
        return ConnectionClaim(self, [*scopes, own], amounts, own, self._limits)

    def usage(self, kind: ScopeKind = "system", name: str = "") -> Usage:
        """What a scope uses now.

        Args:
            kind: which kind of scope.
            name: the peer's id, the protocol's id or the source; "" for the system and the transient scope.
        """
        return next((u for k, n, u in self.scopes() if (k, n) == (kind, name)), Usage())

    def scopes(self) -> list[tuple[ScopeKind, str, Usage]]:
        """Every scope that is in use by kind and name; the system's and the transient one always."""
        return [(scope.kind, scope.name, scope.usage()) for scope in self.accounts()]

    def accounts(self) -> list[Scope]:
        """The same scopes themselves, with what each allows; to look at, not to change."""
        return [self.system, self.transient, *self._named.values()]

    # -- claims call these ------------------------------------------------------------------------------------

    def scope(self, kind: ScopeKind, name: str, bounds: Bounds) -> Scope:
        """The scope of this name: the one in use, or a fresh one."""
        return self._named.get((kind, name)) or Scope(kind, name, bounds)

    def take(self, scopes: list[Scope], amounts: Mapping[Resource, int]) -> None:
        """Count `amounts` in all of `scopes`, or in none.

        Raises: `LimitExceeded`.
        """
        for scope in scopes:
            error = scope.excess(amounts)
            if error is not None:
                self.refused[scope.kind, error.limit] += 1
                raise error
        for scope in scopes:
            scope.add(amounts)
            if scope.name and scope.kind not in ("connection", "stream"):
                self._named[scope.kind, scope.name] = scope

    def give_back(self, scopes: list[Scope], amounts: Mapping[Resource, int]) -> None:
        """The contrary; a scope that nobody uses is forgotten."""
        for scope in scopes:
            scope.add(amounts, -1)
            if not scope.used:
                self._named.pop((scope.kind, scope.name), None)


class Claim:
    """What one connection or stream uses, in the scopes that pay for it.

    Attributes:
        is_open: whether it is still counted.
    """

    __slots__ = ("_amounts", "_limits", "_manager", "_scopes", "is_open")

    def __init__(
        self,
        manager: ResourceManager,
        scopes: list[Scope],
        amounts: Mapping[Resource, int],
        limits: Limits,
    ) -> None:
        self._manager = manager
        self._scopes = scopes
        self._amounts: dict[Resource, int] = dict(amounts)
        self._limits = limits
        self.is_open = True

    def reserve_memory(self, n: int) -> None:
        """`n` more bytes are about to be used.

        Raises: `LimitExceeded`, and nothing is counted; `LocalError` after `close`.
        """
        self._check_open()
        self._manager.take(self._scopes, {"memory": n})
        self._amounts["memory"] = self._amounts.get("memory", 0) + n

    def release_memory(self, n: int) -> None:
        """`n` of those bytes are free again.

        Raises: `LocalError` if fewer were reserved.
        """
        self._check_open()
        held = self._amounts.get("memory", 0)
        if n > held:
            raise LocalError(f"{n} bytes to release, but only {held} were reserved")
        self._manager.give_back(self._scopes, {"memory": n})
        self._amounts["memory"] = held - n

    def close(self) -> None:
        """Give everything back. Can be called again."""
        if self.is_open:
            self.is_open = False
            self._manager.give_back(self._scopes, self._amounts)

    def _check_open(self) -> None:
        if not self.is_open:
            raise LocalError("this claim was closed")

    def _move(self, leave: tuple[ScopeKind, ...], enter: list[Scope]) -> None:
        """Let other scopes pay from now on; when one of them is full, nothing changes."""
        self._check_open()
        self._manager.take(enter, self._amounts)
        left = [scope for scope in self._scopes if scope.kind in leave]
        self._manager.give_back(left, self._amounts)
        self._scopes = [scope for scope in self._scopes if scope not in left] + enter


class ConnectionClaim(Claim):
    """What one connection uses."""

    __slots__ = ("_own", "_peer")

    def __init__(
        self,
        manager: ResourceManager,
        scopes: list[Scope],
        amounts: Mapping[Resource, int],
        own: Scope,
        limits: Limits,
    ) -> None:
        super().__init__(manager, scopes, amounts, limits)
        self._own = own
        self._peer: PeerId | None = None

    def prove(self, peer: PeerId) -> None:
        """The peer is proven: it pays from now on, and the connection waits no more.

        Raises: `LimitExceeded`; `LocalError` if it was proven before.
        """
        if self._peer is not None:
            raise LocalError("the peer of this connection is proven already")
        scope = self._manager.scope("peer", str(peer), _peer(self._limits))
        self._move(("transient", "source"), [scope])
        self._peer = peer

    def open_stream(self, direction: StreamDirection) -> StreamClaim:
        """A stream begins on this connection.

        Raises: `LimitExceeded`; `LocalError` before `prove` and after `close`.
        """
        self._check_open()
        if self._peer is None:
            raise LocalError("no streams before the peer is proven")
        manager, limits, peer = self._manager, self._limits, str(self._peer)
        pending = ("max_pending_streams_per_peer", limits.max_pending_streams_per_peer)
        scopes = [
            Scope(
                "stream", "", {"memory": ("max_memory_per_stream", limits.max_memory_per_stream)}
            ),
            self._own,
            manager.scope("transient peer", peer, {"streams": pending}),
            manager.scope("peer", peer, _peer(limits)),
            manager.transient,
            manager.system,
        ]
        amounts = _one("streams", direction)
        manager.take(scopes, amounts)
        return StreamClaim(manager, scopes, amounts, peer, direction, limits)


class StreamClaim(Claim):
    """What one stream uses.

    Attributes:
        protocol: what was agreed on; "" before that.
    """

    __slots__ = ("_direction", "_peer", "protocol")

    def __init__(
        self,
        manager: ResourceManager,
        scopes: list[Scope],
        amounts: Mapping[Resource, int],
        peer: str,
        direction: StreamDirection,
        limits: Limits,
    ) -> None:
        super().__init__(manager, scopes, amounts, limits)
        self._peer = peer
        self._direction: StreamDirection = direction
        self.protocol = ""

    def agree(self, protocol: str, most_of_peer: int | None = None) -> None:
        """The protocol is known: it pays from now on.

        Args:
            protocol: its id.
            most_of_peer: how many streams of it one peer may have open with us; None for the limits' value.

        Raises: `LimitExceeded`; `LocalError` if a protocol was agreed on before.
        """
        if self.protocol:
            raise LocalError(f"this stream has its protocol already: {self.protocol}")
        enter = [self._manager.scope("protocol", protocol, _protocol(self._limits))]
        if self._direction == "inbound":
            name = "max_streams_per_protocol_and_peer"
            most = most_of_peer or self._limits.max_streams_per_protocol_and_peer
            both = self._manager.scope("protocol peer", f"{protocol} {self._peer}", {})
            both.bounds = {"streams_inbound": (name, most)}
            enter.append(both)
        self._move(("transient", "transient peer"), enter)
        self.protocol = protocol


def _one(
    what: Literal["connections", "streams"], direction: StreamDirection
) -> dict[Resource, int]:
    if what == "connections":
        by_direction: Resource = (
            "connections_inbound" if direction == "inbound" else "connections_outbound"
        )
    else:
        by_direction = "streams_inbound" if direction == "inbound" else "streams_outbound"
    return {what: 1, by_direction: 1}


# -- which limit bounds what ----------------------------------------------------------------------------------


def _system(limits: Limits) -> Bounds:
    return {
        "connections": ("max_connections", limits.max_connections),
        "connections_inbound": ("max_connections_inbound", limits.max_connections_inbound),
        "connections_outbound": ("max_connections_outbound", limits.max_connections_outbound),
        "streams": ("max_streams", limits.max_streams),
        "streams_inbound": ("max_streams_inbound", limits.max_streams_inbound),
        "streams_outbound": ("max_streams_outbound", limits.max_streams_outbound),
        "memory": ("max_memory", limits.max_memory),
    }


def _transient(limits: Limits) -> Bounds:
    return {
        "connections": ("max_pending", limits.max_pending),
        "connections_inbound": ("max_pending_inbound", limits.max_pending_inbound),
        "connections_outbound": ("max_pending_outbound", limits.max_pending_outbound),
        "streams": ("max_pending_streams", limits.max_pending_streams),
        "streams_inbound": ("max_pending_streams_inbound", limits.max_pending_streams_inbound),
        "streams_outbound": ("max_pending_streams_outbound", limits.max_pending_streams_outbound),
        "memory": ("max_pending_memory", limits.max_pending_memory),
    }


def _peer(limits: Limits) -> Bounds:
    return {
        "connections": ("max_connections_per_peer", limits.max_connections_per_peer),
        "streams": ("max_streams_per_peer", limits.max_streams_per_peer),
        "streams_inbound": ("max_streams_per_peer_inbound", limits.max_streams_per_peer_inbound),
        "streams_outbound": ("max_streams_per_peer_outbound", limits.max_streams_per_peer_outbound),
        "memory": ("max_memory_per_peer", limits.max_memory_per_peer),
    }


def _protocol(limits: Limits) -> Bounds:
    inbound = limits.max_streams_per_protocol_inbound
    outbound = limits.max_streams_per_protocol_outbound
    return {
        "streams": ("max_streams_per_protocol", limits.max_streams_per_protocol),
        "streams_inbound": ("max_streams_per_protocol_inbound", inbound),
        "streams_outbound": ("max_streams_per_protocol_outbound", outbound),
        "memory": ("max_memory_per_protocol", limits.max_memory_per_protocol),
    }


def _connection(limits: Limits) -> Bounds:
    return {
        "streams": ("max_streams_per_connection", limits.max_streams_per_connection),
        "memory": ("max_memory_per_connection", limits.max_memory_per_connection),
    }
