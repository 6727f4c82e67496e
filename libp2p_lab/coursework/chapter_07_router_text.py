"""E7.4 in words: what a student begins with, the hints, and what can go wrong."""

from __future__ import annotations

from libp2p_lab.coursework.checks import Rule

V10 = "pubsub/gossipsub/gossipsub-v1.0.md"
PRUNE_BACKOFF = "pubsub/gossipsub/gossipsub-v1.1.md#prune-backoff-and-peer-exchange"

STARTER = '''\
from libp2p_lab.pubsub import RPC, Verdict, default_message_id
from libp2p_lab.pubsub.pubsub_messages import ControlGraft, ControlIHave, ControlIWant, ControlPrune, SubOpts
from libp2p_lab.pubsub.router import Arrival, Send, Urgency

D, D_LOW, D_HIGH, D_LAZY = 6, 4, 12, 6
WINDOWS, GOSSIP = 5, 3  # the message cache: one window for each heartbeat; so many are gossiped about
BACKOFF = 60  # seconds


class Gossip:
    """GossipSub 1.0, with the back-off of 1.1. Your Flood is a good beginning."""

    protocols = ["/meshsub/1.1.0", "/meshsub/1.0.0", "/floodsub/1.0.0"]

    def __init__(self, rng):
        self.rng = rng  # all chance comes from here: rng.sample(list, n)
        self.actions = []

    def send(self, peers, **parts):
        """Want an RPC sent: send([peer], graft=(ControlGraft(topic),))."""
        if peers:
            self.actions.append(Send(RPC(**parts), tuple(peers), Urgency.MESSAGE))

    def take_actions(self):
        actions, self.actions = self.actions, []
        return actions

    def add_peer(self, peer, protocol, *, outbound, ips, now):
        """A peer that speaks "/floodsub/1.0.0" gets every message, and no control messages."""
        raise NotImplementedError

    def remove_peer(self, peer, now):
        raise NotImplementedError

    def join(self, topic, now):
        """Tell everybody. A mesh of D: those of the fanout first, then others; each gets a GRAFT."""
        raise NotImplementedError

    def leave(self, topic, now):
        """Tell everybody. A PRUNE to each member."""
        raise NotImplementedError

    def receive(self, peer, rpc, now):
        """rpc.subscriptions and rpc.publish, as in Flood; and rpc.graft, rpc.prune, rpc.ihave, rpc.iwant."""
        raise NotImplementedError

    def decide(self, arrival, verdict, now):
        """What is accepted goes into the cache, and to the mesh."""
        raise NotImplementedError

    def publish(self, message_id, message, now):
        """To the mesh; in a topic that we have not joined, to a fanout of D peers, which is kept."""
        raise NotImplementedError

    def heartbeat(self, now):
        """Back-offs that are over; meshes below D_LOW or above D_HIGH; gossip; then shift the cache."""
        raise NotImplementedError

    def peers(self, topic):
        raise NotImplementedError

    def mesh(self, topic):
        raise NotImplementedError


await lab.check("07.pubsub_router", Gossip)
'''

HINTS = (
    "Begin with your Flood, and change one thing: a message goes to mesh(topic), not to peers(topic). The check goes "
    "rule by rule and names the next one that is missing.",
    "gossipsub-v1.0.md names the state: mesh, fanout, mcache, seen; and what each of JOIN, LEAVE, GRAFT, PRUNE, IHAVE, "
    "IWANT and the heartbeat does with it. Back-off is in v1.1: whoever was pruned, by either side, is not grafted for "
    "so many seconds, and is refused when it grafts.",
    "heartbeat: for each topic and mesh: if len(mesh) < D_LOW, graft rng.sample(candidates, D - len(mesh)); candidates "
    "want the topic, are no members, speak no floodsub, and are not in back-off. If len(mesh) > D_HIGH, prune "
    "rng.sample(members, len(mesh) - D), with ControlPrune(topic, (), BACKOFF), and note now + BACKOFF. Then ids = "
    "those of the first GOSSIP windows; an IHAVE to rng.sample(others, D_LAZY). Then insert a window in front, and "
    "drop what is beyond WINDOWS.",
)

RULES = (
    Rule(
        "tells",
        "Everybody hears what you join and leave, and who comes later is greeted with it.",
        "pubsub/README.md#the-rpc",
    ),
    Rule(
        "subscribed",
        "A mesh is made of connected peers that want the topic, and of nobody else.",
        f"{V10}#router-state",
    ),
    Rule(
        "join",
        "JOIN takes D peers into the mesh, or all if there are fewer.",
        f"{V10}#topic-membership",
    ),
    Rule(
        "graft-sent",
        "Membership is mutual: whoever is taken in must be told, by a GRAFT.",
        f"{V10}#graft",
    ),
    Rule(
        "graft",
        "On a GRAFT for a topic that you have joined, the sender becomes a member.",
        f"{V10}#graft",
    ),
    Rule(
        "prune",
        "On a PRUNE the sender is a member no longer. The connection stays.",
        f"{V10}#prune",
    ),
    Rule(
        "backoff",
        "After a PRUNE the peer is left alone for as many seconds as the PRUNE says, 60 if it says nothing.",
        PRUNE_BACKOFF,
    ),
    Rule(
        "refuses",
        "Back-off binds both sides: who grafts too early is answered by a PRUNE, and not let in.",
        PRUNE_BACKOFF,
    ),
    Rule(
        "backoff-ends",
        "When the back-off is over, the peer is a candidate like any other.",
        PRUNE_BACKOFF,
    ),
    Rule(
        "too-many",
        "More than D_high members: the heartbeat takes out so many that D are left.",
        f"{V10}#mesh-maintenance",
    ),
    Rule(
        "too-few",
        "Fewer than D_low members: the heartbeat grafts so many that there are D.",
        f"{V10}#mesh-maintenance",
    ),
    Rule(
        "prune-sent",
        "Whoever is taken out is told by a PRUNE, and the PRUNE names the back-off: ControlPrune(topic, (), 60).",
        PRUNE_BACKOFF,
    ),
    Rule(
        "gone",
        "A peer that goes, or leaves the topic, leaves every mesh at once.",
        f"{V10}#peering-state",
    ),
    Rule(
        "leave",
        "LEAVE sends a PRUNE to each member and forgets the mesh.",
        f"{V10}#topic-membership",
    ),
    Rule(
        "new",
        "receive returns each message of your topics once: when its id is seen for the first time.",
        f"{V10}#message-processing",
    ),
    Rule(
        "forward",
        "What is accepted goes to all members of the mesh except the one that brought it; your own to all.",
        f"{V10}#message-processing",
    ),
    Rule(
        "floods",
        "Only the mesh gets whole messages. The others get their names, by gossip: that is what saves the duplicates.",
        f"{V10}#message-processing",
    ),
    Rule("loops", "What was seen before is not passed on again.", f"{V10}#message-processing"),
    Rule(
        "refused",
        "Only Verdict.ACCEPT goes into the cache and to the mesh.",
        "pubsub/README.md#topic-validation",
    ),
    Rule(
        "gossip",
        "Each heartbeat sends an IHAVE with the cache's ids to D_lazy peers that want the topic and are no members.",
        f"{V10}#gossip-emission",
    ),
    Rule(
        "windows",
        "Gossip names the messages of the last three heartbeats. The cache is shifted at the end of each.",
        f"{V10}#message-cache",
    ),
    Rule(
        "iwant",
        "An IWANT is answered with the messages, as long as the cache has them.",
        f"{V10}#iwant",
    ),
    Rule(
        "cache",
        "A window that is five heartbeats old is dropped; otherwise memory grows for ever.",
        f"{V10}#message-cache",
    ),
    Rule(
        "ihave",
        "Ask for what you have not seen, in topics that you have joined, and for nothing else.",
        f"{V10}#ihave",
    ),
    Rule(
        "fanout",
        "Who publishes without joining picks D peers, keeps them, and takes them first into the mesh on JOIN.",
        f"{V10}#topic-membership",
    ),
    Rule(
        "floodsub",
        "Who speaks FloodSub only knows messages: send each, and never GRAFT, PRUNE or IHAVE.",
        f"{V10}#control-messages",
    ),
    Rule(
        "bounds",
        "D_low ≤ members ≤ D_high must hold after any history, when enough peers want the topic.",
        f"{V10}#mesh-maintenance",
    ),
    Rule(
        "mutual",
        "When all is quiet, membership goes both ways. Did a GRAFT or PRUNE get lost on the way out, or in?",
        f"{V10}#graft",
    ),
    Rule(
        "delivery",
        "Each rule holds, and yet a message does not reach everybody. Does gossip repair what the mesh leaves out?",
        f"{V10}#gossip-emission",
    ),
    Rule(
        "duplicates",
        "The mesh is too full, or messages take other ways than the mesh.",
        f"{V10}#mesh-maintenance",
    ),
    Rule(
        "stranger",
        "Among your own routers it works, with others it does not. They know only what is on the wire.",
        f"{V10}#control-messages",
    ),
)
