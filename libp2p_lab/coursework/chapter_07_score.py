"""E7.5: a score that keeps a network alive under attack, and does not throw out the honest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from libp2p_lab.coursework.chapter_07_arena import HONEST, KINDS, TOPIC, Arena
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slots import swap
from libp2p_lab.host.identify import Identify
from libp2p_lab.pubsub.score import Score
from libp2p_lab.pubsub.services import FloodSub
from libp2p_lab.pubsub.signing import SignaturePolicy
from libp2p_lab.sim import Internet, SimHost

DELIVERY = 0.99
EJECTED = 0.02
_FREE = 0.1  # share of pairs in which attackers of one kind are still free: more is too many
_METHODS = (
    "score",
    "add_peer",
    "remove_peer",
    "graft",
    "prune",
    "arrived",
    "duplicate",
    "decided",
    "invalid",
    "penalize",
    "refresh",
)
_WHAT = {
    "spam": ("spam-lives", "still reads what the peer says that sends invalid messages"),
    "ihave": (
        "ihave-lives",
        "still listens to the gossip of the peer that tells of messages that do not exist",
    ),
    "silent": ("silent-lives", "still has in its mesh those that pass on nothing"),
    "sybil": (
        "sybils-live",
        "still has in its mesh those that share one address, and have now stopped",
    ),
}
_V11 = "pubsub/gossipsub/gossipsub-v1.1.md"


def _maker(exam: Exam, answer: Any) -> Callable[[], Score]:
    make = exam.callable_answer(answer, "a function or class that gives a score")

    def made() -> Score:
        score: Score = make()
        missing = [name for name in _METHODS if not callable(getattr(score, name, None))]
        if missing:
            exam.reject(
                "wrong-type",
                f"a score has the methods {', '.join(_METHODS)}; missing: {', '.join(missing)}",
                got=shown(score),
            )
        return score

    return made


def _in_the_arena(exam: Exam, make: Callable[[], Score]) -> None:
    exam.sent = f"{HONEST} honest peers and {len(KINDS)} attackers, judged by your score"
    outcome = Arena(make, exam.rng).run()
    exam.count("attackers", len(KINDS))
    told = f"{outcome.delivery:.1%} of the messages came in time, {outcome.ejected:.1%} of the honest were ejected"
    exam.note(f"Seed {exam.seed}: {told}.")
    if outcome.delivery < DELIVERY:
        for kind, share in outcome.unseen.items():
            rule, what = _WHAT[kind]
            if share > _FREE:
                exam.reject(
                    rule,
                    f"{share:.0%} of the honest peers {what}",
                    got=told,
                    expected=f"{DELIVERY:.0%} in time",
                )
    exam.require(
        outcome.ejected <= EJECTED,
        "ejects",
        "too many honest peers have a negative score in the eyes of others",
        got=told,
        expected=f"at most {EJECTED:.0%} ejected",
    )
    exam.require(
        outcome.delivery >= DELIVERY,
        "delivery",
        "no attacker can do harm any more, and still messages do not come in time",
        got=told,
        expected=f"{DELIVERY:.0%} in time",
    )


async def _in_the_internet(exam: Exam, make: Callable[[], Score]) -> None:
    """The score in real hosts: five of them on a simulated internet, and a sixth that signs nothing."""
    exam.sent = "five peers with your score on a simulated internet, and one that signs nothing"
    with Internet(seed=exam.seed) as net, swap("peer_score", make) as stack:
        hosts = net.hosts(5, "honest", services=stack.services)
        spammer = net.host("spammer", services=_unsigned)
        got = await net.arun(_scenario(hosts, spammer))
        exam.require(
            all(count == len(hosts) for count in got),
            "live",
            "five messages were published among the honest, and not all came",
            got=f"{', '.join(map(str, got))} at the five",
            expected="5 at each",
        )
        for host in hosts:
            opinions = host.pubsub.scores()
            bad = opinions.get(spammer.peer_id, 0.0)
            exam.require(
                bad < 0,
                "live",
                "a peer sent forty messages without a signature, and its score is not negative",
                got=f"{bad:.2f}",
            )
            worst = min(opinions[other.peer_id] for other in hosts if other is not host)
            exam.require(
                worst >= 0, "live", "an honest peer has a negative score", got=f"{worst:.2f}"
            )
    exam.count("simulated hosts", 6)


def _unsigned() -> list[Any]:
    policy = SignaturePolicy.STRICT_NO_SIGN
    return [Identify(), FloodSub(policy=policy, message_id=lambda message: message.data)]


async def _scenario(hosts: list[SimHost], spammer: SimHost) -> list[int]:
    """All connect and join, one spams, each of the honest publishes once. How many messages each of them got."""
    inboxes = [await host.pubsub.subscribe(TOPIC) for host in hosts]
    await spammer.pubsub.subscribe(TOPIC)
    everybody = [*hosts, spammer]
    for number, host in enumerate(everybody):
        for other in everybody[:number]:
            await host.connect(other.addrs[0])
    await asyncio.sleep(4)
    for number in range(40):
        await spammer.pubsub.publish(TOPIC, b"buy %d" % number)
    await asyncio.sleep(1)
    for host in hosts:
        await host.pubsub.publish(TOPIC, b"hello")
    await asyncio.sleep(2)
    counts = []
    for inbox in inboxes:
        inbox.cancel()
        counts.append(len([message async for message in inbox]))
    return counts


async def examine_score(exam: Exam, answer: Any) -> None:
    """E7.5: the arena for each seed; real hosts for the first."""
    make = _maker(exam, answer)
    _in_the_arena(exam, make)
    if exam.seed == exam.check.seeds[0]:
        await _in_the_internet(exam, make)


STARTER = '''\
from libp2p_lab.pubsub import PeerScore, ScoreParameters, TopicScoreParameters


def my_score():
    """One peer's score of the others. The topic is called "harbour".

    Either set the library's numbers, as here; or return an object of your own class with the methods of
    libp2p_lab.pubsub.Score. What is below 0 is in no mesh, below -10 it hears and tells no gossip, below -80 it is not
    listened to.
    """
    harbour = TopicScoreParameters()  # ← P1 to P4: what it does in the topic
    return PeerScore(ScoreParameters(topics={"harbour": harbour}))  # ← P6, P7: crowds, misbehaviour


await lab.check("07.peer_score", my_score)
'''

PEER_SCORE = Check(
    id="07.peer_score",
    exercise="E7.5",
    title="A score against nine attackers",
    level="L5",
    points=4,
    objectives=("1.43", "X.13", "X.14"),
    starter=STARTER,
    hints=(
        "The check says which attackers are still free. Each kind does one thing that no honest peer does often: "
        "invalid messages, broken promises, nothing at all, a crowd on one address. Which of P1 to P7 sees which?",
        "Silence is seen by P3, which is switched off at first: a threshold that every honest member reaches, a "
        "negative weight, an activation of a few seconds (gossipsub-v1.1.md, mesh message delivery). P6 counts those "
        "on one address: two honest ones share a flat, four attackers share a cellar.",
        "TopicScoreParameters(mesh_message_deliveries_weight=-1, mesh_message_deliveries_threshold=1, "
        "mesh_message_deliveries_cap=50, mesh_message_deliveries_activation=4, mesh_message_deliveries_decay=0.7), and "
        "ScoreParameters(…, ip_colocation_threshold=2, behaviour_penalty_threshold=2, behaviour_penalty_decay=0.97).",
    ),
    rules=(
        Rule(
            "spam-lives",
            "Whoever sends invalid messages must fall below the graylist threshold, so that what it says is not read "
            "at all; above it, each message costs work. P4 counts them, squared.",
            f"{_V11}#p₄-invalid-messages",
        ),
        Rule(
            "ihave-lives",
            "An IHAVE is a promise. Whoever breaks many must fall below the gossip threshold and stay there: look at "
            "P7's threshold and decay.",
            f"{_V11}#spam-protection-measures",
        ),
        Rule(
            "silent-lives",
            "A member that passes on nothing takes a place from one that would. P3 counts what members deliver, and "
            "punishes what is missing.",
            f"{_V11}#p₃-and-p₃b-mesh-message-delivery",
        ),
        Rule(
            "sybils-live",
            "As long as they behave, only one thing gives them away: they come from one address. Afterwards it is too "
            "late: they are the mesh. P6 counts peers on one address.",
            f"{_V11}#overview-of-new-parameters",
        ),
        Rule(
            "ejects",
            "Honest peers share addresses, make a mistake, lose a message. A score must forgive what happens once, and "
            "what does not matter.",
            f"{_V11}#guidelines-for-tuning-the-scoring-function",
        ),
        Rule(
            "delivery",
            "The attackers are out, but so are honest members: is the threshold of P3 above what an honest member "
            "delivers?",
            f"{_V11}#guidelines-for-tuning-the-scoring-function",
        ),
        Rule(
            "live",
            "In the arena it held, among real hosts with real addresses it does not. Does it rest on names, numbers or "
            "times of the arena?",
            f"{_V11}#peer-scoring",
        ),
    ),
    examine=examine_score,
    time_limit=120.0,
    seeds=(1, 2),
)
