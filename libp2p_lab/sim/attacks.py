"""The attacks on GossipSub that its authors tried, on router cores in virtual time, with peer scores and the
other defences of version 1.1, and without.

    for kind in ATTACKS:
        print(attack(kind, honest=200, scored=True, seed=1))

Source of the attacks: "GossipSub: Attack-Resilient Message Propagation in the Filecoin and ETH2.0 Networks",
arXiv 2007.02754. There, attackers are Sybils: many identities of one party, which open connections, take places in
meshes, and pass nothing on. Here:

    baseline        nobody attacks
    sybil           as many Sybils as honest peers, on ten addresses, dial into the running network, each to a hundred
                    honest peers, which gives these five links with Sybils for each with honest peers; silent
    degradation     the same, each on an address of its own, and none silent: each holds every message for a second
    cold boot       the same, silent, and there before the honest peers are
    covert flash    the same, at work like everybody, until all fall silent at once
    eclipse         sixty silent Sybils around one peer that comes late; what counts is what reaches that one
    censor          sixty Sybils around one publisher that comes late, who pass on everything but its messages; what
                    counts is who gets those

Left out: bandwidth and processors have no limits, so that what a flood costs does not show.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
from dataclasses import dataclass

from libp2p_lab.errors import LocalError
from libp2p_lab.pubsub.gossipsub import GossipSubRouter
from libp2p_lab.pubsub.parameters import (
    GossipSubParameters,
    ScoreParameters,
    ScoreThresholds,
    TopicScoreParameters,
    decay_after,
)
from libp2p_lab.pubsub.pubsub_messages import RPC
from libp2p_lab.pubsub.score import PeerScore
from libp2p_lab.sim.routers import RouterNetwork, believe, name_of

ATTACKS = ("baseline", "sybil", "degradation", "cold boot", "covert flash", "eclipse", "censor")
TOPIC = "news"
DEGREE = 20  # links of an honest peer to honest ones, on average
SYBIL_LINKS = 100  # links of a Sybil to honest peers
AROUND_ONE = 60  # Sybils of an attack on one peer
ADDRESSES = 10  # on which the plain Sybils live
HOLD = 1.0  # seconds that a degrading Sybil holds each message
RATE = 2  # messages of honest peers in a second
GROWN, SETTLED, MEASURED, AFTER = (
    10.0,
    20.0,
    20.0,
    5.0,
)  # seconds: before the attack, under it, what counts, its end
IN_TIME = 1.0  # seconds within which a message is worth something
VICTIM = 0

#: How peers are judged: a member of the mesh has to bring its part of the messages, or it is worth less than nothing.
JUDGED = ScoreParameters(
    topics={
        TOPIC: TopicScoreParameters(
            time_in_mesh_weight=0.01,
            first_message_deliveries_weight=1.0,
            first_message_deliveries_decay=decay_after(30),
            first_message_deliveries_cap=20.0,
            mesh_message_deliveries_weight=-5.0,
            mesh_message_deliveries_decay=decay_after(20),
            mesh_message_deliveries_threshold=1.5,
            mesh_message_deliveries_cap=20.0,
            mesh_message_deliveries_activation=8.0,
            mesh_message_deliveries_window=0.5,
            mesh_failure_penalty_weight=-5.0,
            mesh_failure_penalty_decay=decay_after(60),
        )
    },
    ip_colocation_threshold=2,
)
#: As version 1.0 was: no places in the mesh are kept for good or for dialed peers, no message goes beyond the mesh.
V1_0 = GossipSubParameters(D_score=0, D_out=0, flood_publish=False)
UNJUDGED = ScoreParameters(ip_colocation_weight=0.0, behaviour_penalty_weight=0.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the honest peers' messages.

    Attributes:
        kind: of the attack.
        honest, sybils: how many.
        scored: whether peers were judged.
        in_time: the share of deliveries within a second.
        delivered: the share within five, gossip included.
        median, p99: seconds, of the deliveries that there were.
        sybil_links: the share of places in honest peers' meshes that Sybils hold at the end.
        copies: of each message, for each honest peer.
    """

    kind: str
    honest: int
    sybils: int
    scored: bool
    in_time: float
    delivered: float
    median: float
    p99: float
    sybil_links: float
    copies: float


def attack(kind: str, honest: int = 200, *, scored: bool, seed: int = 0) -> Outcome:
    """Run one attack.

    Args:
        kind: one of `ATTACKS`.
        honest: how many honest peers.
        scored: whether they speak version 1.1 and judge their peers, or do neither.
        seed: of all chance.

    Raises: `LocalError` for an attack that is not known, or fewer than thirty honest peers.
    """
    if kind not in ATTACKS:
        raise LocalError(f"no such attack: {kind!r}; there are {', '.join(ATTACKS)}")
    if honest <= DEGREE + 9:
        raise LocalError(f"{honest} honest peers are too few for {DEGREE} links each")
    is_on_one = kind in ("eclipse", "censor")
    sybils = 0 if kind == "baseline" else AROUND_ONE if is_on_one else honest
    rng = random.Random(f"{seed}/{kind}")

    def make(number: int, own: random.Random) -> GossipSubRouter:
        is_judge = scored and number < honest
        return GossipSubRouter(
            screen=believe,
            score=PeerScore(JUDGED if is_judge else UNJUDGED),
            rng=own,
            parameters=GossipSubParameters() if scored else V1_0,
            thresholds=ScoreThresholds(),
        )

    net = RouterNetwork(honest + sybils, make, seed)
    if kind == "sybil":
        net.ips = {n: f"192.0.2.{n % ADDRESSES}" for n in range(honest, honest + sybils)}
    hostile = range(honest, honest + sybils)

    def come() -> None:
        net.join(TOPIC, hostile)
        for n in hostile:
            links = min(SYBIL_LINKS, honest - 1)
            if is_on_one:
                net.connect(n, VICTIM)
                links = 5 if kind == "censor" else 0  # from whom it has what it passes on
            for other in rng.sample(range(1, honest), links):
                net.connect(n, other)

    victim = name_of(VICTIM).multihash
    quiet_from = GROWN + SETTLED if kind == "covert flash" else 0.0

    def twist(number: int, rpc: RPC, now: float) -> tuple[RPC, float]:
        if number < honest or now < quiet_from:
            return rpc, 0.0
        if kind == "degradation":
            return rpc, HOLD if rpc.publish else 0.0
        if kind == "censor":
            kept = tuple(message for message in rpc.publish if message.from_peer != victim)
            return dataclasses.replace(rpc, publish=kept, ihave=()), 0.0
        return dataclasses.replace(rpc, publish=(), ihave=()), 0.0

    net.twist = twist
    if kind == "cold boot":
        come()
    net.connect_randomly_among(range(honest), DEGREE)
    net.join(TOPIC, range(1 if is_on_one else 0, honest))
    net.run_for(GROWN)
    if kind not in ("cold boot", "baseline"):
        come()
    if is_on_one:
        net.run_for(1.0)
        net.join(TOPIC, [VICTIM])
    _talk(net, rng, honest, SETTLED, None)
    author = VICTIM if kind == "censor" else None
    copies = net.copies
    ids = _talk(net, rng, honest, MEASURED, author)
    copies = net.copies - copies
    net.run_for(AFTER)
    return _judge(net, kind, honest, sybils, scored, ids, copies)


def _talk(
    net: RouterNetwork, rng: random.Random, honest: int, seconds: float, author: int | None
) -> list[tuple[int, bytes]]:
    """Honest peers publish, for so long; who said what."""
    said = []
    for _ in range(int(seconds * RATE)):
        number = rng.randrange(1, honest) if author is None else author
        said.append((number, net.publish(number, TOPIC, rng.randbytes(100))))
        net.run_for(1 / RATE)
    return said


def _judge(
    net: RouterNetwork,
    kind: str,
    honest: int,
    sybils: int,
    scored: bool,
    ids: list[tuple[int, bytes]],
    copies: int,
) -> Outcome:
    delays: list[float] = []
    wanted = 0
    for author, message_id in ids:
        arrivals = net.arrived[message_id]
        start = arrivals[author]
        readers = [VICTIM] if kind == "eclipse" else [n for n in range(honest) if n != author]
        wanted += len(readers)
        delays += [arrivals[n] - start for n in readers if n in arrivals]
    delays = sorted(delay for delay in delays if delay <= AFTER)
    places = [other for n in range(honest) for other in net.mesh_of(n, TOPIC)]
    if kind in ("eclipse", "censor"):
        places = net.mesh_of(VICTIM, TOPIC)
    return Outcome(
        kind,
        honest,
        sybils,
        scored,
        in_time=sum(delay <= IN_TIME for delay in delays) / wanted,
        delivered=len(delays) / wanted,
        median=statistics.median(delays) if delays else float("nan"),
        p99=delays[int(len(delays) * 0.99)] if delays else float("nan"),
        sybil_links=sum(other >= honest for other in places) / max(1, len(places)),
        copies=copies / len(ids) / honest,
    )
