"""E5.4, the reference answer."""

from libp2p_lab.routing import position


class Lookup:
    """One search for the k peers closest to a target."""

    def __init__(self, target, seeds, k, alpha):
        self.target, self.k, self.alpha = target, k, alpha
        self.state = dict.fromkeys(seeds, "heard")

    def by_distance(self, peers):
        return sorted(peers, key=lambda peer: position(peer.multihash) ^ self.target)

    def shortlist(self):
        return self.by_distance(p for p, state in self.state.items() if state != "failed")[: self.k]

    def next(self):
        chosen = []
        under_way = sum(state == "asked" for state in self.state.values())
        for peer in self.shortlist():
            if under_way + len(chosen) < self.alpha and self.state[peer] == "heard":
                chosen.append(peer)
        for peer in chosen:
            self.state[peer] = "asked"
        return chosen

    def answered(self, peer, closer):
        self.state[peer] = "answered"
        new = [other for other in dict.fromkeys(closer) if other not in self.state]
        for other in self.by_distance(new)[:20]:
            self.state[other] = "heard"

    def failed(self, peer):
        self.state[peer] = "failed"

    @property
    def is_finished(self):
        return all(self.state[peer] == "answered" for peer in self.shortlist())

    @property
    def result(self):
        return self.by_distance(p for p, state in self.state.items() if state == "answered")[
            : self.k
        ]


answer = Lookup
