"""The checks of chapter 00: reading a run, graphs that survive, and a handler that holds out.

Objectives: 1.0 what libp2p buys, 1.01 peer-to-peer and client-server, 1.02 gains and costs, 1.1 building blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import Any

from libp2p_lab.coursework.chapter_00_echo import ECHO
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.host.events import ConnectionOpened, StreamStarted
from libp2p_lab.trace import Entry

# -- E0.1: what does the trace say? -------------------------------------------------------------------------------


def _dialed(record: Iterable[Entry]) -> list[dict[str, Any]]:
    """What a record says about each connection that was dialled."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in record:
        match entry.what:
            case ConnectionOpened(direction="outbound") as opened:
                found[entry.node, entry.link] = {
                    "node": entry.node,
                    "peer_id": opened.peer,
                    "addr": opened.remote_addr,
                    "local_addr": opened.local_addr,
                    "protocols": {opened.security, opened.muxer},
                }
            case StreamStarted(protocol=protocol):
                connection = found.get((entry.node, entry.link.partition("/")[0]))
                if connection is not None:
                    connection["protocols"].add(protocol)
    return list(found.values())


async def examine_trace(exam: Exam, answer: Any) -> None:
    """E0.1: the dialled peer's id, address and protocols, compared with the run's own record."""
    exam.require(
        isinstance(exam.run, Iterable), "no-record", "there is no record of a run to compare with"
    )
    connections = _dialed(exam.run)  # type: ignore[arg-type]  # an Iterable, as was just made sure
    exam.require(connections, "no-record", "the record holds no connection that was dialled")
    fields = ("peer_id", "addr", "protocols")
    if not isinstance(answer, Mapping) or set(answer) != set(fields):
        exam.reject(
            "wrong-type",
            "the answer is a dict with the keys peer_id, addr and protocols",
            got=shown(answer),
        )
    peer, addr = str(answer["peer_id"]), str(answer["addr"])
    told = next((c for c in connections if c["peer_id"] == peer), None)
    if told is None:
        own = {c["node"] for c in connections}
        exam.reject(
            "own-id" if peer in own else "peer-id",
            "this is the peer that dialled" if peer in own else "no connection leads to this peer",
            got=peer,
            expected="the `peer` of an event ConnectionOpened with direction 'outbound'",
        )
    plain = addr.removesuffix(f"/p2p/{peer}")
    if plain != told["addr"]:
        is_local = plain == told["local_addr"]
        exam.reject(
            "local-addr" if is_local else "addr",
            "this is the near end of the connection"
            if is_local
            else "this is not where it dialled",
            got=addr,
            expected="the `remote_addr` of the same event",
        )
    named = {str(protocol) for protocol in answer["protocols"]}
    invented, missing = named - told["protocols"], told["protocols"] - named
    exam.require(
        not invented,
        "protocols-invented",
        f"{len(invented)} protocol(s) were not agreed on: {', '.join(sorted(invented))}",
        got=shown(sorted(named)),
    )
    exam.require(
        not missing,
        "protocols-missing",
        f"{len(missing)} more protocol(s) were agreed on in this connection",
        got=shown(sorted(named)),
        expected=f"{len(told['protocols'])} protocols",
    )
    exam.count("facts compared with the record", 2 + len(named))


TRACE = Check(
    id="00.trace",
    exercise="E0.1",
    title="Who was dialled, where, and in which protocols?",
    level="L1",
    points=1,
    objectives=("1.1",),
    starter="""\
# `log` is the record of the run above. Fill in what it says about the peer that was dialled.
answer = {"peer_id": "", "addr": "", "protocols": []}
await lab.check("00.trace", answer, run=log)
""",
    hints=(
        "Entries of layer `host` hold events; print those whose `what` is a ConnectionOpened or a StreamStarted.",
        "A connection agrees on one security protocol and one muxer, and every stream on one protocol more "
        "(connections/README.md, protocol negotiation).",
        "opened = next(e.what for e in log if type(e.what).__name__ == 'ConnectionOpened' and "
        "e.what.direction == 'outbound'); its fields are peer, remote_addr, security and muxer. The streams' "
        "protocols are the `protocol` of each StreamStarted.",
    ),
    rules=(
        Rule(
            "own-id",
            "The `node` of an entry is the peer that tells it. Whom it speaks of stands inside the event.",
        ),
        Rule(
            "peer-id", "Look for the event ConnectionOpened in the layer `host`: it names the peer."
        ),
        Rule(
            "local-addr",
            "A connection has two ends. The port that your own side got is not the one that was dialled.",
        ),
        Rule("addr", "The event ConnectionOpened tells both ends: local_addr and remote_addr."),
        Rule(
            "protocols-invented",
            "What a peer offers is not what was agreed on. An offer that was answered with `na`, or never "
            "made, does not count.",
            "connections/README.md#multistream-select",
        ),
        Rule(
            "protocols-missing",
            "Count again: one for security, one for the muxer, and one for each kind of stream, those that "
            "the library opens by itself included.",
            "connections/README.md#protocol-negotiation",
        ),
    ),
    examine=examine_trace,
    seeds=(1,),
    place="kernel",
)

# -- E0.2: the share of pairs that can still reach each other -----------------------------------------------------

Graph = Mapping[str, Iterable[str]]


def survivors(adjacency: Graph, dead: Iterable[str]) -> float:
    """The reference: of all pairs of living nodes, the share that a path of living nodes joins."""
    gone = set(dead)
    left = set(adjacency) - gone
    pairs = math.comb(len(left), 2)
    if not pairs:
        return 1.0
    return sum(math.comb(size, 2) for size in _components(adjacency, left)) / pairs


def _components(adjacency: Graph, nodes: set[str]) -> list[int]:
    """The sizes of the groups into which `nodes` fall."""
    sizes, unseen = [], set(nodes)
    while unseen:
        group, frontier = set(), {unseen.pop()}
        while frontier:
            group |= frontier
            frontier = {n for node in frontier for n in adjacency[node]} & nodes - group
        unseen -= group
        sizes.append(len(group))
    return sizes


def _direct_only(adjacency: Graph, dead: set[str]) -> float:
    left = set(adjacency) - dead
    links = sum(len(set(adjacency[node]) & left) for node in left) / 2
    return links / math.comb(len(left), 2)


def _through_dead(adjacency: Graph, dead: set[str]) -> float:
    left = set(adjacency) - dead
    reach = {node: _group_of(adjacency, node) for node in left}
    return sum(b in reach[a] for a, b in combinations(left, 2)) / math.comb(len(left), 2)


def _group_of(adjacency: Graph, start: str) -> set[str]:
    group, frontier = set(), {start}
    while frontier:
        group |= frontier
        frontier = {n for node in frontier for n in adjacency[node]} - group
    return group


def _counts_dead(adjacency: Graph, dead: set[str]) -> float:
    sizes = _components(adjacency, set(adjacency) - dead)
    return sum(math.comb(size, 2) for size in sizes) / math.comb(len(adjacency), 2)


def _largest_group(adjacency: Graph, dead: set[str]) -> float:
    left = set(adjacency) - dead
    return max(_components(adjacency, left)) / len(left)


def _with_itself(adjacency: Graph, dead: set[str]) -> float:
    left = set(adjacency) - dead
    return sum(size * size for size in _components(adjacency, left)) / len(left) ** 2


#: What a wrong answer may have computed instead; the first that fits names the mistake.
_MISTAKES: tuple[tuple[str, Callable[[Graph, set[str]], float]], ...] = (
    ("direct-only", _direct_only),
    ("through-dead", _through_dead),
    ("counts-dead", _counts_dead),
    ("with-itself", _with_itself),
    ("largest-group", _largest_group),
)

_STAR = {"hub": ["a", "b", "c", "d"], **{leaf: ["hub"] for leaf in "abcd"}}
_LINE = {"a": ["b"], "b": ["a", "c"], "c": ["b", "d"], "d": ["c"]}


def _random_graph(exam: Exam) -> tuple[dict[str, list[str]], set[str]]:
    names = [f"n{i}" for i in range(exam.rng.randint(3, 11))]
    graph: dict[str, list[str]] = {name: [] for name in names}
    share = exam.rng.choice((0.15, 0.25, 0.4))
    for one, other in combinations(names, 2):
        if exam.rng.random() < share:
            graph[one].append(other)
            graph[other].append(one)
    return graph, set(exam.rng.sample(names, exam.rng.randint(0, len(names) - 2)))


async def examine_survivors(exam: Exam, answer: Any) -> None:
    """E0.2: small graphs that show one mistake each, then generated ones."""
    function = exam.callable_answer(answer, "a function survivors(adjacency, dead)")
    cases: list[tuple[dict[str, list[str]], set[str]]] = [
        (_LINE, set()),
        (_STAR, set()),
        (_STAR, {"a"}),
        (_LINE, {"b"}),
        (_STAR, {"hub"}),
        (_STAR, {"hub", "a", "b", "c"}),
        (_STAR, set(_STAR)),
        *(_random_graph(exam) for _ in range(40)),
    ]
    for graph, dead in cases:
        expected = survivors(graph, dead)
        if len(graph) - len(dead) < 2:
            exam.explain = {ArithmeticError: "nobody-left", ValueError: "nobody-left"}
        got = exam.call(function, graph, dead)
        if isinstance(got, bool) or not isinstance(got, int | float):
            exam.reject("wrong-type", "a number from 0 to 1 is asked for", got=shown(got))
        exam.explain = {}
        exam.count("graphs")
        if not math.isclose(got, expected, abs_tol=1e-9):
            exam.reject(
                _mistake(graph, dead, got),
                f"{len(graph)} nodes, {len(dead)} of them dead: the share is wrong",
                got=shown(got),
                expected=shown(expected),
            )


def _mistake(graph: Graph, dead: set[str], got: float) -> str:
    if len(set(graph) - dead) < 2:
        return "nobody-left"
    fits = (name for name, wrong in _MISTAKES if math.isclose(got, wrong(graph, dead)))
    return next(fits, "share")


SURVIVORS = Check(
    id="00.survivors",
    exercise="E0.2",
    title="Who can still talk when nodes die?",
    level="L2",
    points=2,
    objectives=("1.01", "1.02"),
    starter='''\
def survivors(adjacency, dead):
    """The share (0.0 to 1.0) of pairs of living nodes that can still reach each other.

    adjacency: dict from each node to the list of its neighbours; links go both ways.
    dead: set of the nodes that died. They carry nothing any more. With fewer than two nodes left the share is 1.0.
    """
    raise NotImplementedError


await lab.check("00.survivors", survivors)
''',
    hints=(
        "Draw a star of five nodes and kill the hub: how many pairs are left, and how many of them can talk?",
        "A path may use living nodes only. Two nodes can talk if they are in the same connected component of "
        "what is left, and a component of n nodes has n·(n−1)/2 pairs.",
        "Start at any living node not seen yet, collect all that can be reached over living neighbours, remember "
        "how many they are, repeat. The share is the sum of n·(n−1)/2 over the groups, divided by the same "
        "for all living nodes.",
    ),
    rules=(
        Rule(
            "direct-only", "Two nodes can also talk over others: follow neighbours of neighbours."
        ),
        Rule("through-dead", "A dead node carries nothing. Paths must not lead through it."),
        Rule(
            "counts-dead",
            "The dead are not among those who want to talk: count pairs of the living.",
        ),
        Rule("with-itself", "A node and itself are no pair, and a pair counts once, not twice."),
        Rule(
            "largest-group",
            "Smaller groups can talk among themselves as well; add up the pairs of every group.",
        ),
        Rule("nobody-left", "With fewer than two nodes left there is no pair: the share is 1.0."),
        Rule("share", "Count by hand for the graph above: which pairs are there, which can talk?"),
    ),
    examine=examine_survivors,
)

# -- E0.3: nine nodes, any two may die ----------------------------------------------------------------------------

NODES = 9
FEWEST_LINKS = 14  # each node needs three neighbours, and 9 · 3 / 2 = 13.5


async def examine_nine_nodes(exam: Exam, answer: Any) -> None:
    """E0.3: all 36 pairs of nodes die, one pair at a time."""
    links = _links(exam, answer)
    graph: dict[str, list[str]] = {str(node): [] for node in range(NODES)}
    for one, other in sorted(tuple(sorted(link)) for link in links):
        graph[str(one)].append(str(other))
        graph[str(other)].append(str(one))
    exam.sent = f"{len(links)} links among {NODES} nodes"
    for node, neighbours in graph.items():
        if len(neighbours) <= 2:
            exam.reject(
                "two-neighbours",
                f"node {node} has {len(neighbours)} neighbour(s)",
                departure=f"when {' and '.join(neighbours) or 'any two'} die, {node} is alone",
            )
    for pair in combinations(graph, 2):
        exam.count("pairs of deaths")
        left = set(graph) - set(pair)
        if len(_components(graph, left)) > 1:
            group = sorted(_group_of({n: set(graph[n]) & left for n in left}, min(left)))
            others = sorted(left - set(group))
            exam.reject(
                "cut",
                f"when {pair[0]} and {pair[1]} die, the others fall apart",
                departure=f"{', '.join(group)} cannot reach {', '.join(others)}",
            )
    if len(links) > FEWEST_LINKS:
        exam.share = max(0.25, 1 - 0.125 * (len(links) - FEWEST_LINKS))
        exam.note(f"It holds, with {len(links)} links; it can be done with fewer.")
    else:
        exam.note(f"{len(links)} links: with fewer some node would have only two neighbours.")


def _links(exam: Exam, answer: Any) -> set[frozenset[int]]:
    exam.sent = shown(answer)
    if not isinstance(answer, list | tuple | set | frozenset):
        exam.reject("wrong-type", "the answer is a list of pairs of nodes", got=shown(answer))
    links = set()
    for link in answer:
        pair = tuple(link) if isinstance(link, list | tuple | set | frozenset) else ()
        known = all(type(node) is int and 0 <= node < NODES for node in pair)
        if len(pair) != 2 or not known:
            exam.reject("bad-link", f"{shown(link)} is not a pair of nodes from 0 to {NODES - 1}")
        if pair[0] == pair[1]:
            exam.reject("self-link", f"node {pair[0]} is linked to itself")
        links.add(frozenset(pair))
    return links


NINE_NODES = Check(
    id="00.nine_nodes",
    exercise="E0.3",
    title="Nine nodes of which any two may die",
    level="L5",
    points=4,
    objectives=("1.01", "1.02"),
    starter="""\
# Pairs of nodes from 0 to 8, as few as you can. Any two nodes may die; all others must still reach each other.
links = []
await lab.check("00.nine_nodes", links)
""",
    hints=(
        "Begin with a ring. Which two deaths hurt it?",
        "A node with two neighbours is alone when both die, so every node needs three: 9 · 3 / 2 = 13.5, so "
        "14 links at least.",
        "A ring of nine has nine links; add five long chords, each from a node to one about halfway around, so that "
        "every node gets one (one node gets two).",
    ),
    rules=(
        Rule(
            "bad-link",
            "Nodes are the numbers 0 to 8, and a link is a pair of them, such as (0, 1).",
        ),
        Rule("self-link", "A link joins two different nodes."),
        Rule(
            "two-neighbours",
            "Whoever kills all neighbours of a node cuts it off. How many neighbours does each node need?",
        ),
        Rule(
            "cut",
            "Every node has three neighbours, and still two nodes hold the net together: the chords are too "
            "short. Join parts of the ring that are far apart.",
        ),
    ),
    examine=examine_nine_nodes,
    seeds=(1,),
)

CHECKS: tuple[Check, ...] = (TRACE, SURVIVORS, NINE_NODES, ECHO)
