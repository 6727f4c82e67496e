"""Two simulated internets that differ in one thing: how messages are spread."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from libp2p_lab.host.identify import Identify
from libp2p_lab.host.service import Service
from libp2p_lab.pubsub import (
    FloodSub,
    GossipSub,
    GossipSubParameters,
    ScoreParameters,
    TopicScoreParameters,
)
from libp2p_lab.sim.host import SimHost
from libp2p_lab.sim.internet import Internet

PEERS, DEGREE = 20, 12
#: Smaller than the defaults, so that twenty peers have links left over for gossip.
PARAMETERS = GossipSubParameters(D=4, D_low=3, D_high=5)
HEARTBEATS = 3.0  # virtual seconds for meshes to be made


Services = Callable[[], Sequence[Service]]


def twins(
    topic: str, peers: int = PEERS, degree: int = DEGREE, seed: int = 7
) -> list[tuple[Internet, Services]]:
    """GossipSub's internet and FloodSub's: the same peers, the same connections, everybody subscribed.

    Args:
        topic: what all of them want.
        peers: how many.
        degree: connections of each, about.
        seed: of all chance.

    Returns: each with what makes the parts of its peers.
    """

    def gossip() -> Sequence[Service]:
        score = ScoreParameters(topics={topic: TopicScoreParameters()})
        return [Identify(), GossipSub(PARAMETERS, score=score, first_seqno=lambda: 1)]

    def flood() -> Sequence[Service]:
        return [Identify(), FloodSub(first_seqno=lambda: 1)]

    return [
        (_internet(topic, peers, degree, seed, services), services) for services in (gossip, flood)
    ]


def _internet(topic: str, peers: int, degree: int, seed: int, services: Services) -> Internet:
    net = Internet(seed, jitter=0.02)
    hosts = net.hosts(peers, "peer", services=services, security="plaintext")
    chance = random.Random(seed)

    async def begin() -> None:
        for number, host in enumerate(hosts):
            await host.run(host.pubsub.subscribe(topic))
            for other in _neighbours(number, hosts, degree, chance):
                if other.peer_id not in host.peers:
                    await host.connect(other.addrs[0])

    net.run(begin())
    net.run_for(HEARTBEATS)
    return net


def _neighbours(
    number: int, hosts: Sequence[SimHost], degree: int, chance: random.Random
) -> list[SimHost]:
    """The next on a ring, so that all are reached, and some by lot."""
    following = hosts[(number + 1) % len(hosts)]
    others = chance.sample([host for host in hosts if host is not hosts[number]], degree // 2 - 1)
    return [following, *others]
