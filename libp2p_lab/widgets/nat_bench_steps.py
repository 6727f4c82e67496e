"""Two homes, told step by step: what the internet said of each packet becomes sentences, with the routers' tables.

    a packet leaves      its router: a mapping that is new, or one that is there
    … and arrives        the other router: let in, and by which rule; or dropped, and by which

`nat_bench_world` hands over what it heard: facts of the internet's trace, each with the tables as they were then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.sim.nat_table import Dependence, NatBehaviour
from libp2p_lab.widgets.nat_bench_model import HOMES, PUBLIC, ROUTERS, Fact, Row, Step, Tables

DIRECT_SHOWN = 8  # packets from home to home that count as worth a look
_KIND = {"datagram": "datagram", "synack": "SYN-ACK", "data": "data"}


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
