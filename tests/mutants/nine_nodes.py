from __future__ import annotations

from itertools import combinations

from tests.mutants import Mutant

RING = [(i, (i + 1) % 9) for i in range(9)]
# Two groups of four and five that hang together by two nodes only, though everybody has three neighbours.
TWO_CLIQUES = [*combinations((0, 1, 2, 3, 4), 2), *combinations((3, 4, 5, 6, 7, 8), 2)]

#: The complete bipartite graph K(3,6): three nodes in the middle, 18 links.
K_3_6 = [(hub, leaf) for hub in (0, 1, 2) for leaf in range(3, 9)]

#: The wheel without a hub: a ring with the chords of a Möbius ladder, closed by one more.
ANOTHER = [{a, b} for a, b in RING] + [{0, 4}, {1, 5}, {2, 6}, {3, 7}, {8, 3}]

MUTANTS = (
    Mutant(RING, "two-neighbours", "1 and 8 die, 0 is alone"),
    Mutant([(0, i) for i in range(1, 9)], "two-neighbours"),
    Mutant([*RING, (0, 4), (1, 5), (2, 6), (3, 7)], "two-neighbours", "8 is alone"),
    Mutant(TWO_CLIQUES, "cut", "when 3 and 4 die"),
    Mutant([*RING, (0, 2), (1, 3), (4, 6), (5, 7), (8, 1)], "cut", "cannot reach"),
    Mutant([*RING, (0, 9)], "bad-link", "(0, 9)"),
    Mutant([*RING, (4, 4)], "self-link"),
    Mutant([1, 2, 3], "bad-link"),
    Mutant("ring", "wrong-type"),
    Mutant([], "two-neighbours", "node 0 has 0"),
)
