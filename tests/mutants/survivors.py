from __future__ import annotations

import time
from itertools import combinations

from tests.mutants import Mutant


def by_union(adjacency, dead):
    """Disjoint sets instead of a search."""
    parent = {node: node for node in adjacency if node not in dead}

    def root(node):
        while parent[node] != node:
            node = parent[node]
        return node

    for node in parent:
        for other in adjacency[node]:
            if other in parent:
                parent[root(node)] = root(other)
    pairs = list(combinations(parent, 2))
    return sum(root(a) == root(b) for a, b in pairs) / len(pairs) if pairs else 1


def _groups(adjacency, nodes, through):
    unseen = set(nodes)
    while unseen:
        group, todo = set(), [unseen.pop()]
        while todo:
            node = todo.pop()
            group.add(node)
            todo += [n for n in adjacency[node] if n in through and n not in group]
        unseen -= group
        yield group & set(nodes)


def _pairs(n):
    return n * (n - 1) / 2


def direct_only(adjacency, dead):
    alive = set(adjacency) - set(dead)
    links = sum(n in alive for node in alive for n in adjacency[node]) / 2
    return links / _pairs(len(alive)) if len(alive) > 1 else 1.0


def through_dead(adjacency, dead):
    alive = set(adjacency) - set(dead)
    if len(alive) < 2:
        return 1.0
    return sum(_pairs(len(g)) for g in _groups(adjacency, alive, set(adjacency))) / _pairs(
        len(alive)
    )


def counts_dead(adjacency, dead):
    alive = set(adjacency) - set(dead)
    return sum(_pairs(len(g)) for g in _groups(adjacency, alive, alive)) / _pairs(len(adjacency))


def with_itself(adjacency, dead):
    alive = set(adjacency) - set(dead)
    if len(alive) < 2:
        return 1.0
    return sum(len(g) ** 2 for g in _groups(adjacency, alive, alive)) / len(alive) ** 2


def largest_group(adjacency, dead):
    alive = set(adjacency) - set(dead)
    if len(alive) < 2:
        return 1.0
    return max(len(g) for g in _groups(adjacency, alive, alive)) / len(alive)


def divides_by_zero(adjacency, dead):
    alive = set(adjacency) - set(dead)
    return sum(_pairs(len(g)) for g in _groups(adjacency, alive, alive)) / _pairs(len(alive))


def nobody_is_nothing(adjacency, dead):
    alive = set(adjacency) - set(dead)
    return by_union(adjacency, dead) if len(alive) > 1 else 0.0


def rounds(adjacency, dead):
    return round(by_union(adjacency, dead), 1)


def removes_in_place(adjacency, dead):
    for node in dead:
        del adjacency[node]
    return 1.0


def loops(adjacency, dead):
    todo = list(adjacency)
    while todo:
        todo += adjacency[todo[0]]
        todo = todo[1:]
    return 1.0


def waits(adjacency, dead):
    time.sleep(0.5)
    return by_union(adjacency, dead)


async def asynchronous(adjacency, dead):
    return by_union(adjacency, dead)


ANOTHER = by_union
MUTANTS = (
    Mutant(direct_only, "direct-only"),
    Mutant(through_dead, "through-dead"),
    Mutant(counts_dead, "counts-dead"),
    Mutant(with_itself, "with-itself"),
    Mutant(largest_group, "largest-group"),
    Mutant(divides_by_zero, "nobody-left", "ZeroDivisionError"),
    Mutant(nobody_is_nothing, "nobody-left"),
    Mutant(rounds, "share"),
    Mutant(removes_in_place, "mutated-input"),
    Mutant(loops, "endless-loop", "loops"),
    Mutant(waits, "blocking-call", "time.sleep(0.5)"),
    Mutant(asynchronous, "is-async"),
    Mutant(0.5, "wrong-type"),
)
