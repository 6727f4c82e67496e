"""E0.2, the reference answer."""


def survivors(adjacency, dead):
    """The share (0.0 to 1.0) of pairs of living nodes that can still reach each other."""
    alive = [node for node in adjacency if node not in dead]
    if len(alive) < 2:
        return 1.0
    seen = set()
    talking = 0
    for start in alive:
        if start in seen:
            continue
        group = {start}
        to_visit = [start]
        while to_visit:
            for neighbour in adjacency[to_visit.pop()]:
                if neighbour not in dead and neighbour not in group:
                    group.add(neighbour)
                    to_visit.append(neighbour)
        seen |= group
        talking += len(group) * (len(group) - 1) // 2
    return talking / (len(alive) * (len(alive) - 1) // 2)


answer = survivors
