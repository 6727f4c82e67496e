"""What a `ResourceMeter` shows: the accounts of a host's resource manager, as rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, get_args

from libp2p_lab.host.resources import Resource, ResourceManager, Scope, ScopeKind

MAX_ROWS = 60  # of one host; the fullest are shown
KINDS: tuple[ScopeKind, ...] = get_args(ScopeKind)


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of one resource a scope uses.

    Attributes:
        resource: which.
        used: how much.
        allowed: how much may be; None if nothing bounds it.
        limit: the limit's name in limits.py.
    """

    resource: str
    used: int
    allowed: int | None
    limit: str

    @property
    def share(self) -> float:
        """How full it is, from 0 to 1."""
        return min(1.0, self.used / self.allowed) if self.allowed else 0.0


@dataclass(frozen=True, slots=True)
class Account:
    """One scope with its meters.

    Attributes:
        kind: "system", "peer", "protocol", …
        name: of the peer, the protocol or the source; "" for those that everybody shares.
        meters: one for each resource that is bounded or used.
    """

    kind: str
    name: str
    meters: tuple[Meter, ...]

    @property
    def share(self) -> float:
        """How full its fullest meter is."""
        return max((meter.share for meter in self.meters), default=0.0)


@dataclass(frozen=True, slots=True)
class Refusal:
    """How often a limit refused somebody."""

    kind: str
    limit: str
    times: int


@dataclass(frozen=True, slots=True)
class Books:
    """All of one host.

    Attributes:
        accounts: the system's and the transient one first, then kind by kind, the fullest first.
        refusals: the most frequent first.
        more: accounts that are left out.
    """

    accounts: tuple[Account, ...]
    refusals: tuple[Refusal, ...]
    more: int

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return asdict(self)


def books_of(manager: ResourceManager, name: Callable[[str], str] = str) -> Books:
    """The accounts of a host as they are now.

    Args:
        manager: whose.
        name: what to call a peer.
    """
    accounts = [_account(scope, name) for scope in manager.accounts()]
    accounts.sort(key=lambda one: (KINDS.index(one.kind), -one.share, one.name))
    refusals = [Refusal(kind, limit, n) for (kind, limit), n in manager.refused.most_common()]
    return Books(tuple(accounts[:MAX_ROWS]), tuple(refusals), max(0, len(accounts) - MAX_ROWS))


def _account(scope: Scope, name: Callable[[str], str]) -> Account:
    meters = []
    resources: tuple[Resource, ...] = get_args(Resource)
    for resource in resources:
        used = scope.used.get(resource, 0)
        limit, allowed = scope.bounds.get(resource, ("", None))
        if used or limit:
            meters.append(Meter(resource, used, allowed, limit))
    return Account(scope.kind, _shown(scope, name), tuple(meters))


def _shown(scope: Scope, name: Callable[[str], str]) -> str:
    match scope.kind:
        case "peer" | "transient peer":
            return name(scope.name)
        case "protocol peer":
            protocol, _, peer = scope.name.rpartition(" ")
            return f"{protocol} {name(peer)}"
        case _:
            return scope.name
