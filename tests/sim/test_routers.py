"""A network of router cores: the formula of floods, the same twice, and gossip around a mesh that is cut."""

from __future__ import annotations

import random

from libp2p_lab.pubsub import (
    FloodSubRouter,
    GossipSubParameters,
    GossipSubRouter,
    PeerScore,
    ScoreParameters,
)
from libp2p_lab.sim.routers import RouterNetwork, believe

THIN = GossipSubParameters(D=3, D_low=2, D_high=4, D_score=2, D_out=1, flood_publish=False)


def flood(number: int, rng: random.Random) -> FloodSubRouter:
    return FloodSubRouter(screen=believe)


def thin(number: int, rng: random.Random) -> GossipSubRouter:
    return GossipSubRouter(
        screen=believe, score=PeerScore(ScoreParameters()), rng=rng, parameters=THIN
    )


def started(make: object, count: int = 60, degree: int = 10) -> RouterNetwork:
    net = RouterNetwork(count, make, seed=3)  # type: ignore[arg-type]
    net.connect_randomly(degree)
    net.join("t")
    net.run_for(4)
    return net


def test_a_flood_costs_what_the_formula_says() -> None:
    net = started(flood)
    net.publish(5, "t", b"x" * 100)
    net.run_for(2)
    assert net.copies == 2 * len(net.links) - 59
    assert len(net.delays()) == 59
    assert net.size > 100 * net.copies


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        net = started(thin)
        net.publish(5, "t", b"x" * 100)
        net.run_for(3)
        runs.append((net.copies, net.size, net.delays()))
    assert runs[0] == runs[1]


def test_gossip_repairs_what_a_cut_leaves_out() -> None:
    net = started(thin)
    mesh = net.mesh_links("t")
    net.cut(net.rng.sample(mesh, len(mesh) * 2 // 5))
    message_id = net.publish(5, "t", b"x")
    net.run_for(0.5)
    at_once = net.missing(message_id)
    assert at_once > 0, "this cut does not hurt: take another seed"
    net.run_for(5)
    assert net.missing(message_id) == 0
