"""E5.3, the reference answer."""

from libp2p_lab.routing import common_prefix_length, position


class Table:
    """The peers that `me` knows: at most k for each length of the prefix that they share with it."""

    def __init__(self, me, k):
        self.me, self.k = me, k
        self.used = {}  # prefix length: peers
        self.waiting = {}

    def bucket(self, peer):
        return common_prefix_length(position(self.me.multihash), position(peer.multihash))

    def add(self, peer):
        if peer == self.me:
            return
        used = self.used.setdefault(self.bucket(peer), [])
        waiting = self.waiting.setdefault(self.bucket(peer), [])
        if peer in used:
            return
        if len(used) < self.k:
            used.append(peer)
        elif peer not in waiting:
            waiting.append(peer)
            del waiting[: -self.k]

    def remove(self, peer):
        used = self.used.get(self.bucket(peer), [])
        waiting = self.waiting.get(self.bucket(peer), [])
        if peer in waiting:
            waiting.remove(peer)
        if peer in used:
            used.remove(peer)
            if waiting:
                used.append(waiting.pop())

    def closest(self, to, count):
        return sorted(self.peers(), key=lambda peer: position(peer.multihash) ^ to)[:count]

    def peers(self):
        return [peer for used in self.used.values() for peer in used]


answer = Table
