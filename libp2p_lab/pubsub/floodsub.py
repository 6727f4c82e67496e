"""FloodSub, `/floodsub/1.0.0`: pass everything on to everybody who wants it, once.

It cannot be beaten for speed or simplicity, and its price is plain: on a connected network of N peers with E
connections one message is sent 2E - (N - 1) times, though N - 1 would do. GossipSub is what becomes of it when that
price is too high.

Misconception: flooding loops for ever. What was seen before is not passed on again, so each connection carries a
message at most once each way.

Spec: pubsub/gossipsub/gossipsub-v1.0.md#in-the-beginning-was-floodsub
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from libp2p_lab.errors import RemoteError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.events import (
    MessageArrived,
    MessageDuplicate,
    MessageForwarded,
    MessagePublished,
    MessageRefused,
    PeerJoined,
    PeerLeft,
)
from libp2p_lab.pubsub.pubsub_messages import RPC, Message, SubOpts
from libp2p_lab.pubsub.router import Action, Arrival, Screen, Seen, Send, Topics, Urgency
from libp2p_lab.pubsub.score import Verdict
from libp2p_lab.pubsub.signing import MessageId, default_message_id
from libp2p_lab.trace import Probe

PROTOCOL_ID = "/floodsub/1.0.0"


class FloodSubRouter:
    """Floods. A `Router`.

    Args:
        screen: looks at each message first.
        message_id: names messages.
        seen_ttl: seconds that an id is known.
        seen_size: ids known at most.
        max_topics_per_peer: subscriptions of one peer.
        allow_topic: the subscription filter.
        probe: where it tells what it does.
    """

    protocols: Sequence[str] = (PROTOCOL_ID,)

    def __init__(
        self,
        *,
        screen: Screen,
        message_id: MessageId = default_message_id,
        seen_ttl: float = 120.0,
        seen_size: int = 200_000,
        max_topics_per_peer: int = 100,
        allow_topic: Callable[[str], bool] | None = None,
        probe: Probe | None = None,
    ) -> None:
        self._screen = screen
        self._message_id = message_id
        self._seen = Seen(seen_ttl, seen_size)
        self._topics = Topics(max_topics_per_peer, allow_topic)
        self._probe = probe if probe is not None else Probe(layer="pubsub")
        self._actions: list[Action] = []

    def add_peer(
        self, peer: PeerId, protocol: str, *, outbound: bool, ips: Sequence[str], now: float
    ) -> None:
        """As `Router.add_peer`: greet it with what we want."""
        self._topics.add_peer(peer)
        hello = RPC(subscriptions=tuple(SubOpts(True, topic) for topic in self._topics.ours))
        if hello.subscriptions:
            self._actions.append(Send(hello, (peer,), Urgency.CONTROL))

    def remove_peer(self, peer: PeerId, now: float) -> None:
        """As `Router.remove_peer`."""
        self._topics.remove_peer(peer)

    def join(self, topic: str, now: float) -> None:
        """As `Router.join`."""
        if topic not in self._topics.ours:
            self._topics.ours[topic] = None
            self._tell_everybody(SubOpts(True, topic))

    def leave(self, topic: str, now: float) -> None:
        """As `Router.leave`."""
        if topic in self._topics.ours:
            del self._topics.ours[topic]
            self._tell_everybody(SubOpts(False, topic))

    def _tell_everybody(self, change: SubOpts) -> None:
        everybody = tuple(self._topics.everybody)
        if everybody:
            self._actions.append(Send(RPC(subscriptions=(change,)), everybody, Urgency.CONTROL))

    def receive(self, peer: PeerId, rpc: RPC, now: float) -> list[Arrival]:
        """As `Router.receive`."""
        if peer not in self._topics:
            return []
        for change in self._topics.update(peer, rpc.subscriptions):
            if self._probe.trace.listeners:
                kind = PeerJoined if change.subscribe else PeerLeft
                self._probe.emit("event", kind(str(peer), change.topic))
        arrivals = []
        for message in rpc.publish:
            message_id = self._message_id(message)
            told = self._probe.trace.listeners
            if message_id in self._seen:
                if told:
                    named = (message_id.hex(), message.topic, str(peer))
                    self._probe.emit("event", MessageDuplicate(*named))
            elif message.topic in self._topics.ours:
                try:
                    self._screen(message)
                except RemoteError as error:
                    if told:
                        refused = MessageRefused(message.topic, str(peer), str(error))
                        self._probe.emit("event", refused)
                    continue
                self._seen.add(message_id, now)
                arrivals.append(Arrival(message_id, message, peer))
                if told:
                    named = (message_id.hex(), message.topic, str(peer))
                    self._probe.emit("event", MessageArrived(*named))
        return arrivals

    def decide(self, arrival: Arrival, verdict: Verdict, now: float) -> None:
        """As `Router.decide`: on to everybody who wants it, but not back to whom we have it from."""
        if verdict is Verdict.ACCEPT:
            peers = self._flood(arrival.message, arrival.sender)
            if self._probe.trace.listeners:
                topic = arrival.message.topic
                forwarded = MessageForwarded(arrival.message_id.hex(), topic, peers)
                self._probe.emit("event", forwarded)

    def publish(self, message_id: bytes, message: Message, now: float) -> None:
        """As `Router.publish`."""
        self._seen.add(message_id, now)
        peers = self._flood(message, None)
        if self._probe.trace.listeners:
            size = len(message.data)
            published = MessagePublished(message_id.hex(), message.topic, size, peers)
            self._probe.emit("event", published)

    def _flood(self, message: Message, sender: PeerId | None) -> int:
        peers = tuple(peer for peer in self._topics.peers(message.topic) if peer != sender)
        if peers:
            self._actions.append(Send(RPC(publish=(message,)), peers, Urgency.MESSAGE))
        return len(peers)

    def heartbeat(self, now: float) -> None:
        """As `Router.heartbeat`: forget what was seen long ago."""
        self._seen.forget_old(now)

    def take_actions(self) -> list[Action]:
        """As `Router.take_actions`."""
        actions, self._actions = self._actions, []
        return actions

    def peers(self, topic: str) -> list[PeerId]:
        """As `Router.peers`."""
        return list(self._topics.peers(topic))

    def mesh(self, topic: str) -> list[PeerId]:
        """As `Router.mesh`: everybody."""
        return self.peers(topic)
