"""E7.3: a FloodSub router. It must cost exactly what the formula says, and never go round in circles."""

from __future__ import annotations

from typing import Any

from libp2p_lab.coursework.chapter_07_network import Network, Solo, made_router, random_links, told
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.floodsub import PROTOCOL_ID
from libp2p_lab.pubsub.pubsub_messages import RPC, Message, SubOpts
from libp2p_lab.pubsub.score import Verdict

TOPIC, OTHER = "harbour", "market"
FLOODSUB = "pubsub/gossipsub/gossipsub-v1.0.md#in-the-beginning-was-floodsub"
THE_RPC = "pubsub/README.md#the-rpc"
SOLO_PEERS = 4


def _says(solo: Solo, peer: PeerId) -> list[SubOpts]:
    return [change for rpc in solo.sent.get(peer, ()) for change in rpc.subscriptions]


def _topics(exam: Exam, answer: Any) -> None:
    """Greeting, joining, leaving: everybody must know what we want."""
    solo = Solo(exam, answer, PROTOCOL_ID)
    early = solo.add(2)
    solo.join(TOPIC)
    for peer in early:
        exam.require(
            _says(solo, peer) == [SubOpts(True, TOPIC)],
            "tells",
            "it joined a topic, and a connected peer was not told so",
            got=", ".join(map(told, solo.sent[peer])) or "nothing",
            expected=f"+{TOPIC}",
        )
    (late,) = solo.add(1)
    exam.require(
        _says(solo, late) == [SubOpts(True, TOPIC)],
        "greets",
        "a peer came after the topic was joined, and was not told of it",
        got=", ".join(map(told, solo.sent[late])) or "nothing",
        expected=f"+{TOPIC}",
    )
    solo.taken()
    solo.leave(TOPIC)
    for peer in (*early, late):
        exam.require(
            _says(solo, peer) == [SubOpts(False, TOPIC)],
            "tells",
            "it left a topic, and a connected peer was not told so",
            got=", ".join(map(told, solo.sent[peer])) or "nothing",
            expected=f"-{TOPIC}",
        )
    exam.count("peers told what is wanted", 4)


def _got(solo: Solo, message: Message) -> set[PeerId]:
    """Who was sent this message; forgets it."""
    return {
        peer
        for peer, rpcs in solo.taken().items()
        if any(one.seqno == message.seqno for rpc in rpcs for one in rpc.publish)
    }


def _passes_on(exam: Exam, answer: Any) -> None:
    """One message comes in: to whom does it go?"""
    solo = Solo(exam, answer, PROTOCOL_ID)
    a, b, c, d = solo.add(SOLO_PEERS, [TOPIC])
    (stranger,) = solo.add(1, [OTHER])
    solo.join(TOPIC)
    solo.taken()
    message = solo.message(TOPIC)
    arrivals = solo.say(a, RPC(publish=(message,)))
    exam.require(
        [arrival.message for arrival in arrivals] == [message],
        "not-new",
        "a message came that it had never seen, and receive did not return it",
        got=f"{len(arrivals)} arrivals",
        expected="1 arrival",
    )
    got = _got(solo, message)
    exam.require(a not in got, "back", "the message went back to the peer that it came from")
    exam.require(
        stranger not in got, "unwanted", f"the message went to a peer that only wants {OTHER!r}"
    )
    exam.require(
        got == {b, c, d},
        "no-forward",
        f"the message reached {len(got)} of the 3 other peers that want it",
    )
    again = solo.say(b, RPC(publish=(message,)))
    exam.require(not again, "not-new", "the same message came again, and was taken as new")
    exam.require(not _got(solo, message), "loops", "the same message came again, and was passed on")
    own = solo.publish(TOPIC)
    exam.require(
        _got(solo, own) == {a, b, c, d},
        "no-forward",
        "it published, and not everybody who wants the topic was sent the message",
    )
    back = solo.say(a, RPC(publish=(own,)))
    exam.require(
        not back,
        "own",
        "its own message came back from another, and was taken as new",
        got="1 arrival",
    )
    exam.count("messages followed", 3)


def _keeps_out(exam: Exam, answer: Any) -> None:
    """What is not wanted, not valid, or not here any more."""
    solo = Solo(exam, answer, PROTOCOL_ID)
    a, b, c, _ = solo.add(SOLO_PEERS, [TOPIC, OTHER])
    solo.join(TOPIC)
    solo.taken()
    alien = solo.message(OTHER)
    arrivals = solo.say(a, RPC(publish=(alien,)))
    exam.require(
        not arrivals and not _got(solo, alien),
        "not-ours",
        f"a message of {OTHER!r} came, a topic that it has not joined, and it was taken",
    )
    bad = solo.message(TOPIC)
    for arrival in solo.hear(a, RPC(publish=(bad,))):
        solo.router.decide(arrival, Verdict.REJECT, solo.now)
    solo.collect()
    exam.require(not _got(solo, bad), "refused", "a message was rejected, and it was passed on")
    solo.say(b, RPC(subscriptions=(SubOpts(False, TOPIC),)))
    solo.router.remove_peer(c, solo.now)
    message = solo.message(TOPIC)
    solo.say(a, RPC(publish=(message,)))
    got = _got(solo, message)
    exam.require(b not in got, "left", "a peer had left the topic, and was still sent a message")
    exam.require(c not in got, "left", "a peer was gone, and a message was still sent to it")
    exam.require(
        list(solo.router.peers(TOPIC)).count(a) == 1,
        "left",
        "peers(topic) does not name a peer that wants it",
    )
    exam.count("messages kept out", 3)


def _costs(exam: Exam, answer: Any, count: int, degree: int) -> None:
    """A whole network: everybody once, at exactly the price of the formula."""
    net = Network(exam, in_order=True)
    for _ in range(count):
        net.add(made_router(exam, answer, exam.rng))
    for a, b in random_links(exam.rng, count, degree):
        net.connect(a, b)
    for number in range(count):
        net.join(number, TOPIC)
    for _ in range(3):
        before, publisher = net.copies, exam.rng.randrange(count)
        exam.sent = f"{count} of your routers, {net.edges} links; number {publisher} publishes"
        message_id = net.publish(publisher, TOPIC)
        times = [node.got[message_id] for node in net.nodes]
        exam.require(
            set(times) == {1},
            "not-new" if max(times) > 1 else "no-forward",
            f"the message was delivered {min(times)} to {max(times)} times",
            expected="once, everywhere",
        )
        formula, sent = 2 * net.edges - (count - 1), net.copies - before
        exam.require(
            sent == formula,
            "formula",
            f"{sent} copies were sent",
            got=str(sent),
            expected=f"2 · {net.edges} − ({count} − 1) = {formula}",
        )
        exam.count("floods at the price of the formula")


def _no_bridge(exam: Exam, answer: Any) -> None:
    """Three in a row; the one in the middle does not want the topic."""
    net = Network(exam, in_order=True)
    for _ in range(3):
        net.add(made_router(exam, answer, exam.rng))
    net.connect(0, 1)
    net.connect(1, 2)
    net.join(0, TOPIC)
    net.join(2, TOPIC)
    exam.sent = "three in a row, and the one in the middle does not want the topic"
    net.publish(0, TOPIC)
    exam.require(net.copies == 0, "not-ours", "a router that has not joined is no bridge")


async def examine_flood(exam: Exam, answer: Any) -> None:
    """E7.3: one router among names, then whole networks."""
    _topics(exam, answer)
    _passes_on(exam, answer)
    _keeps_out(exam, answer)
    _no_bridge(exam, answer)
    for count, degree in ((2, 1), (12, 4), (40, 8)):
        _costs(exam, answer, count, degree)


STARTER = '''\
from libp2p_lab.pubsub import RPC, Verdict, default_message_id
from libp2p_lab.pubsub.pubsub_messages import SubOpts
from libp2p_lab.pubsub.router import Arrival, Send, Urgency


class Flood:
    """Passes everything on to everybody who wants it, once."""

    protocols = ["/floodsub/1.0.0"]

    def __init__(self, rng):
        self.actions = []
        # What must a router remember? Who wants what; what it wants itself; what it has seen.

    def send(self, rpc, peers):
        """Want an RPC sent: send(RPC(publish=(message,)), peers)."""
        if peers:
            self.actions.append(Send(rpc, tuple(peers), Urgency.MESSAGE))

    def take_actions(self):
        actions, self.actions = self.actions, []
        return actions

    def add_peer(self, peer, protocol, *, outbound, ips, now):
        """A peer is here. Tell it what we want: RPC(subscriptions=(SubOpts(True, topic), …))."""
        raise NotImplementedError

    def remove_peer(self, peer, now):
        raise NotImplementedError

    def join(self, topic, now):
        """We want `topic`: tell everybody."""
        raise NotImplementedError

    def leave(self, topic, now):
        raise NotImplementedError

    def receive(self, peer, rpc, now):
        """Take in rpc.subscriptions (each has .subscribe and .topic) and rpc.publish (messages).

        Returns a list of Arrival(message_id, message, peer), one for each message that is new and of our topics.
        """
        raise NotImplementedError

    def decide(self, arrival, verdict, now):
        """An arrival was judged. If verdict is Verdict.ACCEPT, pass arrival.message on."""
        raise NotImplementedError

    def publish(self, message_id, message, now):
        """Spread a message of our own."""
        raise NotImplementedError

    def heartbeat(self, now):
        pass

    def peers(self, topic):
        """Those who want `topic`."""
        raise NotImplementedError

    def mesh(self, topic):
        return self.peers(topic)


await lab.check("07.flood", Flood)
'''

FLOOD = Check(
    id="07.flood",
    exercise="E7.3",
    title="A router that floods",
    level="L3",
    points=3,
    objectives=("1.4", "1.41"),
    starter=STARTER,
    hints=(
        "Three things to remember: for each peer the topics that it wants, the topics that we want, and the ids of "
        "all messages that have been here. Which of the methods changes which?",
        "A message goes to every peer that wants its topic, except to the one that it came from, and only the first "
        "time it is seen (gossipsub-v1.0.md, in the beginning was floodsub).",
        "receive: for change in rpc.subscriptions: add to or discard from wants[peer]. For message in rpc.publish: "
        "message_id = default_message_id(message); skip it if it is in seen or its topic is not in ours; else "
        "seen.add and append an Arrival. decide: send(RPC(publish=(arrival.message,)), [p for p in "
        "peers(topic) if p != arrival.sender]). publish: seen.add, then the same without a sender.",
    ),
    rules=(
        Rule(
            "tells",
            "Nobody can know what you want unless you say so: an RPC with SubOpts(True, topic) to every peer when "
            "you join, SubOpts(False, topic) when you leave.",
            THE_RPC,
        ),
        Rule(
            "greets",
            "Whoever comes later must hear it too: add_peer says what we want now.",
            THE_RPC,
        ),
        Rule(
            "not-new",
            "receive returns what is new: a message whose id was never here, once. Whatever was here before is no "
            "arrival.",
            "pubsub/README.md#message-identification",
        ),
        Rule("back", "The peer that brought the message has it. Leave it out.", FLOODSUB),
        Rule(
            "unwanted", "Only to those who want this topic: look at what each has said.", FLOODSUB
        ),
        Rule(
            "no-forward",
            "Everybody who wants the topic gets it, except the one who brought it.",
            FLOODSUB,
        ),
        Rule(
            "loops",
            "What was seen before is not passed on again; without that a message goes round for ever.",
            FLOODSUB,
        ),
        Rule(
            "own",
            "Your own message will come back to you. Remember its id when you publish.",
            FLOODSUB,
        ),
        Rule(
            "not-ours",
            "A message of a topic that you have not joined is neither taken nor passed on: you are no bridge.",
            FLOODSUB,
        ),
        Rule(
            "refused",
            "Pass a message on when it was judged, not before: only Verdict.ACCEPT travels.",
            "pubsub/README.md#topic-validation",
        ),
        Rule(
            "left",
            "A peer that leaves the topic, or goes, is struck off; one that wants it is named by peers(topic).",
            THE_RPC,
        ),
        Rule(
            "formula",
            "Each link carries the message both ways, except the N − 1 links over which somebody heard it first: "
            "2E − (N − 1). More means that something is sent twice, fewer that something is left out.",
            FLOODSUB,
        ),
    ),
    examine=examine_flood,
    time_limit=40.0,
)
