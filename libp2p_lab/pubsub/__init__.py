"""Chapter 07: how does one message reach everybody who wants it, and nobody twice?

Read in this order:

    pubsub_messages.py   what two peers say to each other
    signing.py           who wrote a message, and what it is called
    router.py            what every router is, and what every one needs
    floodsub.py          the simplest: pass on everything
    parameters.py        GossipSub's numbers
    mesh.py              who is sent everything at once
    gossip.py            who is told what there is
    score.py             what peers think of each other
    gossipsub.py         the three together
    outbox.py subscription.py pubsub.py services.py    streams, validators and subscriptions: the driver
    discovery.py         where a topic's peers come from when there are too few
    seqno.py             a validator for those who fear old messages
    events.py            what routers tell the trace
    chat.py              an application: the room of universal-connectivity

Left out: episub and random-sub (nobody runs them), the peer gater (one implementation), topic descriptors and topic
encryption (never built by anybody).

Spec pages: pubsub/README.md, pubsub/gossipsub/gossipsub-v1.0.md, v1.1, v1.2, v1.3
"""

from libp2p_lab.pubsub.chat import Chat
from libp2p_lab.pubsub.discovery import Discovery
from libp2p_lab.pubsub.floodsub import FloodSubRouter
from libp2p_lab.pubsub.gossipsub import GossipSubRouter
from libp2p_lab.pubsub.parameters import (
    GossipSubParameters,
    ScoreParameters,
    ScoreThresholds,
    TopicScoreParameters,
)
from libp2p_lab.pubsub.pubsub import PubSub
from libp2p_lab.pubsub.pubsub_messages import RPC, Message
from libp2p_lab.pubsub.router import Router
from libp2p_lab.pubsub.score import PeerScore, Score, ScoreParts, Verdict
from libp2p_lab.pubsub.seqno import SeqnoValidator
from libp2p_lab.pubsub.services import FloodSub, GossipSub
from libp2p_lab.pubsub.signing import SignaturePolicy, default_message_id
from libp2p_lab.pubsub.subscription import ReceivedMessage, Subscription

__all__ = [
    "RPC",
    "Chat",
    "Discovery",
    "FloodSub",
    "FloodSubRouter",
    "GossipSub",
    "GossipSubParameters",
    "GossipSubRouter",
    "Message",
    "PeerScore",
    "PubSub",
    "ReceivedMessage",
    "Router",
    "Score",
    "ScoreParameters",
    "ScoreParts",
    "ScoreThresholds",
    "SeqnoValidator",
    "SignaturePolicy",
    "Subscription",
    "TopicScoreParameters",
    "Verdict",
    "default_message_id",
]
