"""Two homes, told step by step: what the internet said of each packet becomes sentences, with the routers' tables.

    a packet leaves      its router: a mapping that is new, or one that is there
    … and arrives        the other router: let in, and by which rule; or dropped, and by which

Nothing here runs anything. `nat_bench_world` runs, and hands over what it heard: facts of the internet's trace, each
with the tables as they were at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from libp2p_lab.errors import LocalError
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.sim.nat_table import Dependence, NatBehaviour
from libp2p_lab.sim.punching import NINE

Speech = Literal["datagrams", "tcp", "quic"]
Level = Literal["hole", "one way", "relay", "nothing"]
Moment = Literal["leaves", "arrives", "dropped", "says"]

HOMES = ("alice", "bob")
ROUTERS = {f"router of {name}": name for name in HOMES}
RELAY, PUBLIC = "relay", "public peer"
RELAY_IP, PUBLIC_IP = "11.9.0.1", "11.9.0.9"
DIRECT_SHOWN = 8  # packets from home to home that count as worth a look

_KIND = {"datagram": "datagram", "synack": "SYN-ACK", "data": "data"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried.

    Attributes:
        home_a, home_b: how the routers of alice and bob behave. Bob calls alice.
        speech: "datagrams": two small programs that send plain datagrams, and agree as DCUtR does; "tcp", "quic":
            the lab's ordinary hosts with relay and DCUtR.
        retries: exchanges before it is given up.
        reuse: whether they punch from the port that the relay has seen, or from another one.
        by_clock: whether they agree on a time of day, instead of measuring a round trip.
        skew: seconds that bob's clock is ahead; it matters with `by_clock` alone.
        slow: seconds that a packet from the relay to bob takes longer than one from bob to the relay.
        silence: seconds without a word after they have met; then they talk again.
        relay_seconds, relay_bytes: how long, and how many bytes each way, the relay serves two peers; 0: no limit.
        seed: of all chance.
    """

    home_a: NatBehaviour = NINE[2]
    home_b: NatBehaviour = NINE[2]
    speech: Speech = "datagrams"
    retries: int = 3
    reuse: bool = True
    by_clock: bool = False
    skew: float = 0.0
    slow: float = 0.1
    silence: float = 0.0
    relay_seconds: float = DEFAULT_LIMITS.relay_duration
    relay_bytes: int = DEFAULT_LIMITS.relay_data
    seed: int = 1

    def __post_init__(self) -> None:
        if self.speech not in ("datagrams", "tcp", "quic"):
            raise LocalError(f"they speak datagrams, tcp or quic, not {self.speech!r}")
        if not 1 <= self.retries <= 10:
            raise LocalError("1 to 10 exchanges")
        if not -3600 <= self.skew <= 3600:
            raise LocalError("clocks differ by at most an hour")
        if not (0 <= self.slow <= 10 and 0 <= self.silence <= 1800):
            raise LocalError("slow: 0 to 10 s; silence: 0 to 1800 s")
        if self.relay_seconds < 0 or self.relay_bytes < 0:
            raise LocalError("a relay's limits are 0 (none) or more")


@dataclass(frozen=True, slots=True)
class Row:
    """A mapping in a router's table.

    Attributes:
        inside, outside: its endpoints, "ip:port".
        protocol: "udp" or "tcp".
        remotes: whom the inside has called, each with the virtual time at which that is forgotten.
        expires: when the mapping itself is.
    """

    inside: str
    outside: str
    protocol: str
    remotes: tuple[tuple[str, float], ...]
    expires: float


Tables = Mapping[str, tuple[Row, ...]]  # by whose router it is


@dataclass(frozen=True, slots=True)
class Fact:
    """What was heard while it ran.

    Attributes:
        time: virtual seconds.
        what: a fact of the internet; or a text: who says what.
        who: of a text: whose; of a packet: what its sender says of it, "" if nothing.
        tables: as they were then.
    """

    time: float
    what: PacketSent | PacketDropped | str
    who: str
    tables: Tables


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens.

    Attributes:
        time: virtual seconds.
        moment: a packet "leaves", "arrives" or is "dropped"; or somebody "says" something.
        number: the packet's; 0 without one.
        kind: the packet's, or "".
        path: the places that it passes, from its sender on: "alice", "router of alice", "relay", …
        where: at which of them it is now; of what is said, who says it.
        src, dst: its addresses on the wire.
        words: it all, in a sentence or two.
        rule: the rule by which a router let it in or dropped it, or gave it its address; "" if none was asked.
        reason: of a drop, in a word or two: "filtered", "no mapping", …
        new: outer endpoint of the mapping that was made for it, or got a new remote; "" if none.
        is_key: whether it changes a table, is dropped, opens a connection, or is one of the first from home to home.
        tables: after it.
    """

    time: float
    moment: Moment
    number: int
    kind: str
    path: tuple[str, ...]
    where: str
    src: str
    dst: str
    words: str
    rule: str = ""
    reason: str = ""
    new: str = ""
    is_key: bool = True
    tables: Tables = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a plan.

    Attributes:
        plan: what was tried.
        level: "hole": both hear each other without the relay; "one way": a packet of one came through and no talk came
            of it; "relay": they have the relay alone; "nothing": not even that.
        attempts: exchanges that it took.
        seconds: from the call to the hole; None without one.
        relay_rtt, direct_rtt: round trips in seconds; None for those that were not made.
        carried: bytes that the relay passed on between the two.
        later: what became of a word after the silence: "heard", "not heard", or "" if there was none.
        cause: why not.
        steps: all of it.
    """

    plan: Plan
    level: Level
    attempts: int
    seconds: float | None
    relay_rtt: float | None
    direct_rtt: float | None
    carried: int
    later: str
    cause: str
    steps: tuple[Step, ...]

    @property
    def words(self) -> str:
        """How it went, in a few sentences."""
        tries = f"{self.attempts} exchange{'s' if self.attempts != 1 else ''}"
        said = ""
        match self.level:
            case "hole":
                said = f"A hole: they talk directly, after {tries}"
                if self.seconds is not None:
                    said += f" and {1000 * self.seconds:.0f} ms"
                if self.relay_rtt is not None and self.direct_rtt is not None:
                    said += (
                        f". A round trip takes {1000 * self.direct_rtt:.0f} ms; "
                        f"through the relay it takes {1000 * self.relay_rtt:.0f} ms"
                    )
            case "one way":
                said = f"A packet of one came through, but no talk came of it in {tries}: they stay on the relay"
            case "relay":
                said = f"No packet came through in {tries}: they stay on the relay"
            case "nothing":
                said = f"They do not even meet at the relay: {self.cause}"
        if self.later:
            said += f". After {self.plan.silence:g} s of silence a word is {self.later}"
        return said + "."


# -- facts become steps -------------------------------------------------------------------------------------------


def steps_of(facts: Sequence[Fact], homes: Mapping[str, NatBehaviour]) -> tuple[Step, ...]:
    """Tell what happened.

    Args:
        facts: in the order in which they were heard.
        homes: how the router of each behaves, by who lives behind it.
    """
    sent: dict[int, PacketSent] = {}
    told: list[Step] = []
    arrivals: list[Step] = []
    before: Tables = dict.fromkeys(homes, ())
    for fact in facts:
        match fact.what:
            case str(text):
                told.append(_said(fact, text))
            case PacketSent() as packet if packet.number not in sent:
                sent[packet.number] = packet
                step = _leaves(fact, packet, before, homes)
                told.append(step)
                if packet.target not in ROUTERS:
                    arrivals.append(_arrives_in_the_open(packet, step))
            case PacketSent() as packet:
                told.append(_let_in(fact, sent[packet.number], packet, before, homes))
            case PacketDropped() as drop:
                told.append(_dropped(fact, sent.get(drop.number), drop, before, homes))
        before = fact.tables
    return _in_order(told, arrivals)


def _in_order(told: Iterable[Step], arrivals: Iterable[Step]) -> tuple[Step, ...]:
    """By time; who arrives in the open changes no table, so it gets the tables of what was before it."""
    merged = sorted([*arrivals, *told], key=lambda step: step.time)  # who arrives, then answers
    found: list[Step] = []
    direct: dict[int, None] = {}
    for step in merged:
        if not step.tables and found:
            step = replace(step, tables=found[-1].tables)
        if step.path[0] in HOMES and step.path[-1] in HOMES and step.number:
            direct.setdefault(step.number, None)
            if len(direct) <= DIRECT_SHOWN:
                step = replace(step, is_key=True)
        found.append(step)
    return tuple(found)


def _said(fact: Fact, text: str) -> Step:
    return Step(
        fact.time, "says", 0, "", (fact.who,), fact.who, "", "", text, tables=dict(fact.tables)
    )


def _path(source: str, target: str) -> tuple[str, ...]:
    """All places from who sends to who gets it."""
    first = (ROUTERS[source], source) if source in ROUTERS else (source,)
    last = (target, ROUTERS[target]) if target in ROUTERS else (target,)
    return first + last


def _leaves(
    fact: Fact, packet: PacketSent, before: Tables, homes: Mapping[str, NatBehaviour]
) -> Step:
    path = _path(packet.source, packet.target)
    sender, name = path[0], _KIND.get(packet.kind, packet.kind.upper())
    says = f": {fact.who}" if fact.who else ""
    words = f"{_subject(sender)} sends a {name} to {packet.dst}{says}."
    rule = new = ""
    is_key = packet.kind in ("syn", "synack", "rst")
    if packet.source in ROUTERS:
        row = _row(fact.tables.get(sender, ()), packet.src)
        old = _row(before.get(sender, ()), packet.src)
        if row is not None:
            words += f" The router replaces {row.inside} by {row.outside}."
            rule = _mapping_rule(homes[sender], row, old is None, packet.dst)
            if old is None or packet.dst not in dict(old.remotes):
                new, is_key = row.outside, True
    return Step(
        fact.time,
        "leaves",
        packet.number,
        packet.kind,
        path,
        packet.source,
        packet.src,
        packet.dst,
        words,
        rule,
        new=new,
        is_key=is_key or bool(fact.who),
        tables=dict(fact.tables),
    )


def _arrives_in_the_open(packet: PacketSent, step: Step) -> Step:
    name = _KIND.get(packet.kind, packet.kind.upper())
    return Step(
        packet.arrives_at,
        "arrives",
        packet.number,
        packet.kind,
        step.path,
        packet.target,
        packet.src,
        packet.dst,
        f"The {packet.target} gets the {name}, and sees it come from {packet.src}.",
        is_key=step.is_key,
    )


def _let_in(
    fact: Fact,
    first: PacketSent,
    packet: PacketSent,
    before: Tables,
    homes: Mapping[str, NatBehaviour],
) -> Step:
    """It was at a router, and that sent it on, inside."""
    home = ROUTERS.get(packet.source, "")
    row = _row(before.get(home, ()), first.dst)
    rule = _passing_rule(homes[home], row, first.src) if home and row is not None else ""
    path = _path(first.source, first.target)
    name = _KIND.get(packet.kind, packet.kind.upper())
    return Step(
        fact.time,
        "arrives",
        packet.number,
        packet.kind,
        path,
        packet.target,
        packet.src,
        packet.dst,
        f"{_subject(home)}'s router lets the {name} from {first.src} in, to {packet.dst}.",
        rule,
        new=first.dst if row is not None and fact.tables.get(home) != before.get(home) else "",
        is_key=packet.kind in ("syn", "synack", "rst") or path[0] == PUBLIC,
        tables=dict(fact.tables),
    )


def _dropped(
    fact: Fact,
    first: PacketSent | None,
    drop: PacketDropped,
    before: Tables,
    homes: Mapping[str, NatBehaviour],
) -> Step:
    if first is None:  # it did not get out of the house, or nobody has that address
        home = ROUTERS.get(drop.where, drop.where)
        words = f"A packet goes no further: {drop.reason}."
        path = (home, drop.where) if home != drop.where else (home or "alice",)
        return Step(
            fact.time,
            "dropped",
            drop.number,
            "",
            path,
            drop.where or path[0],
            "",
            "",
            words,
            drop.reason,
            drop.reason,
            tables=dict(fact.tables),
        )
    home = ROUTERS.get(drop.where, "")
    rule = drop.reason
    if home:
        row = _row(before.get(home, ()), first.dst)
        rule = _dropping_rule(homes[home], row, first, drop.reason, fact.time)
    name = _KIND.get(first.kind, first.kind.upper())
    by = f"{_subject(home)}'s router" if home else _subject(drop.where or "network")
    return Step(
        fact.time,
        "dropped",
        drop.number,
        first.kind,
        _path(first.source, first.target),
        drop.where or first.source,
        first.src,
        first.dst,
        f"{by} drops the {name} from {first.src} to {first.dst}: {drop.reason}.",
        rule,
        drop.reason,
        tables=dict(fact.tables),
    )


def _subject(who: str) -> str:
    return who.capitalize() if who in HOMES else f"The {who}"


def _row(rows: Iterable[Row], outside: str) -> Row | None:
    return next((row for row in rows if row.outside == outside), None)


# -- the rules, in words ------------------------------------------------------------------------------------------

_MAPPING: dict[Dependence, str] = {
    "endpoint-independent": "one for all whom this port calls",
    "address-dependent": "another one for each address that is called",
    "address-and-port-dependent": "another one for each address and port that is called",
}
_WHO: dict[Dependence, str] = {
    "endpoint-independent": "anybody may come in",
    "address-dependent": "only addresses that were called may come in",
    "address-and-port-dependent": "only addresses and ports that were called may come in",
}


def _mapping_rule(behaviour: NatBehaviour, row: Row, is_new: bool, remote: str) -> str:
    if not behaviour.translates:
        return f"A firewall: no address is changed; {remote} is noted as called."
    which = "A new mapping" if is_new else "The mapping that is there"
    return f"{behaviour.mapping.capitalize()} mapping: {_MAPPING[behaviour.mapping]}. {which}, {row.outside}."


def _passing_rule(behaviour: NatBehaviour, row: Row, src: str) -> str:
    why = ""
    match behaviour.filtering:
        case "endpoint-independent":
            why = f"{row.outside} is mapped, and that is enough"
        case "address-dependent":
            why = f"{_ip(src)} was called from {row.outside}"
        case "address-and-port-dependent":
            why = f"{src} was called from {row.outside}"
    return f"{behaviour.filtering.capitalize()} filtering: {_WHO[behaviour.filtering]}; {why}."


def _dropping_rule(
    behaviour: NatBehaviour, row: Row | None, packet: PacketSent, reason: str, now: float
) -> str:
    match reason:
        case "filtered" if row is not None:
            called = sorted(
                {remote if behaviour.filtering != "address-dependent" else _ip(remote)
                 for remote, until in row.remotes if until >= now}
            )  # fmt: skip
            who = ", ".join(called) or "nobody any more"
            which = packet.src if behaviour.filtering != "address-dependent" else _ip(packet.src)
            return (
                f"{behaviour.filtering.capitalize()} filtering: {_WHO[behaviour.filtering]}. "
                f"{row.outside} has called {who}; {which} is not among them."
            )
        case "no mapping":
            old = "its mapping has timed out" if row is not None else "nobody inside has this port"
            return f"No mapping for {packet.dst}: {old}. A packet without one has nowhere to go."
        case "simultaneous open":
            return "This router lets no SYN answer a SYN (RFC 5382 REQ-2 asks that it does)."
        case _:
            return reason


def _ip(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]
