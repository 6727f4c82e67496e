"""The scenarios with which implementations of GossipSub are compared, replayed with two hundred routers.

Their form: random links, delays between regions of 2 to 220 ms, a fifth of the nodes with 1024 Mbit/s and the others
with 50, five milliseconds to validate a message. What is asked: that everything reaches everybody, in time.
"""

from __future__ import annotations

import random
import statistics

import pytest

from libp2p_lab.pubsub import GossipSubRouter, PeerScore, ScoreParameters
from libp2p_lab.pubsub.gossipsub import V11, V12
from libp2p_lab.pubsub.pubsub_messages import RPC
from libp2p_lab.sim import mbit
from libp2p_lab.sim.routers import RouterNetwork, believe

NODES, LINKS = 200, 20
VALIDATION = 0.005  # seconds
BLOB = 98_304  # bytes


def network(protocols: tuple[str, ...]) -> RouterNetwork:
    def make(number: int, rng: random.Random) -> GossipSubRouter:
        score = PeerScore(ScoreParameters())
        return GossipSubRouter(screen=believe, score=score, rng=rng, protocols=protocols)

    speeds = [mbit(1024) if n % 5 == 0 else mbit(50) for n in range(NODES)]
    net = RouterNetwork(NODES, make, seed=1, upload=speeds)
    while len(net.links) < NODES * LINKS // 2:
        net.connect(*net.rng.sample(range(NODES), 2), delay=net.rng.uniform(0.002, 0.22))
    net.twist = _validate
    return net


def _validate(number: int, rpc: RPC, now: float) -> tuple[RPC, float]:
    """What a node passes on it has looked at first."""
    return rpc, VALIDATION if rpc.publish else 0.0


@pytest.mark.parametrize("versions", [(V11,), (V12, V11)], ids=["1.1", "1.2"])
def test_large_messages_of_one_subnet_reach_everybody(versions: tuple[str, ...]) -> None:
    net = network(versions)
    net.join("blobs")
    net.run_for(10)
    published = []
    for _ in range(4):
        published.append(net.publish(net.rng.randrange(NODES), "blobs", bytes(BLOB)))
        net.run_for(12)
    assert [net.missing(message) for message in published] == [0] * 4
    delays = net.delays()
    assert statistics.median(delays) < 2.0
    assert delays[-1] < 12.0
    duplicates = net.copies / (len(published) * (NODES - 1)) - 1
    assert duplicates < 8, "fewer than a mesh of D_high would bring"


def test_two_topics_with_half_of_the_nodes_each() -> None:
    net = network((V12, V11))
    halves = {"even": range(0, NODES, 2), "odd": range(1, NODES, 2)}
    for topic, numbers in halves.items():
        net.join(topic, numbers)
    net.run_for(10)
    for topic, numbers in halves.items():
        for author in (numbers[3], numbers[3] + 1):  # a member, and one who is not: its fan-out
            message = net.publish(author, topic, bytes(1024))
            net.run_for(6)
            reached = set(net.arrived[message])
            assert reached - {author} == set(numbers) - {author}
            assert net.delays()[-1] < 6.0
