from __future__ import annotations

from collections import Counter, defaultdict

from libp2p_lab.pubsub import PeerScore, ScoreParameters, TopicScoreParameters, Verdict
from tests.mutants import Mutant

P3 = {
    "mesh_message_deliveries_weight": -1.0,
    "mesh_message_deliveries_threshold": 1.0,
    "mesh_message_deliveries_cap": 50.0,
    "mesh_message_deliveries_activation": 4.0,
    "mesh_message_deliveries_decay": 0.7,
}
OVERALL = {
    "ip_colocation_threshold": 2,
    "behaviour_penalty_threshold": 2.0,
    "behaviour_penalty_decay": 0.97,
}


def numbers(topic=None, **overall):
    """The reference's numbers, with some of them wrong."""

    def make():
        harbour = TopicScoreParameters(**{**P3, **(topic or {})})
        return PeerScore(ScoreParameters({"harbour": harbour}, **{**OVERALL, **overall}))

    return make


class Ledger:
    """Right, and not GossipSub's formula: four plain grudges, each with its own patience."""

    def __init__(self):
        self.homes = {}
        self.crowds = Counter()
        self.junk = Counter()
        self.lies = Counter()
        self.member_since = {}
        self.last_useful = {}
        self.senders = defaultdict(set)
        self.now = 0.0

    def score(self, peer):
        if peer not in self.homes:
            return 0.0
        crowd = max((self.crowds[ip] for ip in self.homes[peer]), default=0)
        verdicts = (
            -100.0 * (crowd > 3),
            -100.0 * (self.junk[peer] > 5),
            -20.0 * (self.lies[peer] > 4),
            -1.0 * self.is_lazy(peer),
        )
        return sum(verdicts)

    def is_lazy(self, peer):
        since = self.member_since.get(peer)
        if since is None:
            return False
        return self.now - max(since, self.last_useful.get(peer, since)) > 3.5

    def add_peer(self, peer, ips):
        self.homes[peer] = {ip for ip in ips if not ip.startswith("127.")}
        self.crowds.update(self.homes[peer])

    def remove_peer(self, peer, now):
        self.crowds.subtract(self.homes.pop(peer, set()))
        self.member_since.pop(peer, None)

    def graft(self, peer, topic, now):
        self.member_since[peer] = now

    def prune(self, peer, topic):
        self.member_since.pop(peer, None)

    def arrived(self, message_id, now):
        self.now = max(self.now, now)

    def duplicate(self, peer, message_id, topic, now):
        if peer not in self.senders[message_id]:
            self.senders[message_id].add(peer)
            self.last_useful[peer] = now

    def decided(self, peer, message_id, topic, verdict, now):
        if verdict is Verdict.ACCEPT:
            self.senders[message_id].add(peer)
            self.last_useful[peer] = now
        elif verdict is Verdict.REJECT:
            self.invalid(peer, topic)

    def invalid(self, peer, topic):
        self.junk[peer] += 1

    def penalize(self, peer, count=1):
        self.lies[peer] += count

    def refresh(self, now):
        self.now = max(self.now, now)


class OnlyPraise(Ledger):
    """By name: knows the arena, and nothing else."""

    def score(self, peer):
        number = int.from_bytes(peer.multihash[2:], "big")
        return -100.0 if 21 < number < 100 else 0.0


def default():
    return PeerScore(ScoreParameters(topics={"harbour": TopicScoreParameters()}))


def half_a_score():
    return object()


ANOTHER = Ledger
MUTANTS = (
    Mutant(default, "silent-lives"),
    Mutant(numbers({"invalid_message_deliveries_weight": 0.0}), "spam-lives"),
    Mutant(numbers(behaviour_penalty_weight=0.0), "ihave-lives"),
    Mutant(numbers({"mesh_message_deliveries_weight": 0.0}), "silent-lives"),
    Mutant(numbers(ip_colocation_threshold=10), "sybils-live"),
    Mutant(numbers(ip_colocation_threshold=1), "ejects"),
    Mutant(numbers({"mesh_message_deliveries_threshold": 15.0}), "delivery"),
    Mutant(OnlyPraise, "live"),
    Mutant(half_a_score, "wrong-type", "missing: score"),
)
