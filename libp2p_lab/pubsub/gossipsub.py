"""GossipSub, `/meshsub/1.0.0` to `/meshsub/1.3.0`: whole messages in a mesh, names of messages in gossip around it.

    mesh.py     who is sent everything at once
    gossip.py   who is told what there is, and asks for it
    score.py    who is good enough for either

This file puts the three together: an RPC comes in, each part goes to whom it concerns, and what has to be said is
collected until somebody takes it (`take_actions`). A publisher's own messages go to everybody who wants them (flood
publishing), so that a mesh made of enemies cannot swallow them.

Misconception: GossipSub orders messages, or delivers each for sure. It does neither; it makes delivery very likely
and duplicates few.

Spec: pubsub/gossipsub/gossipsub-v1.0.md#message-processing, pubsub/gossipsub/gossipsub-v1.1.md,
pubsub/gossipsub/gossipsub-v1.2.md, pubsub/gossipsub/gossipsub-v1.3.md
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import RemoteError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.events import (
    Heartbeat,
    MessageArrived,
    MessageDuplicate,
    MessageForwarded,
    MessagePublished,
    MessageRefused,
    PeerJoined,
    PeerLeft,
    PromiseBroken,
)
from libp2p_lab.pubsub.floodsub import PROTOCOL_ID as FLOODSUB
from libp2p_lab.pubsub.gossip import Gossip
from libp2p_lab.pubsub.mesh import Mesh
from libp2p_lab.pubsub.parameters import GossipSubParameters, ScoreThresholds
from libp2p_lab.pubsub.pubsub_messages import (
    RPC,
    ControlExtensions,
    ControlIDontWant,
    Message,
    SubOpts,
)
from libp2p_lab.pubsub.router import Action, Arrival, Dial, Screen, Seen, Send, Topics, Urgency
from libp2p_lab.pubsub.score import Score, Verdict
from libp2p_lab.pubsub.signing import MessageId, default_message_id
from libp2p_lab.trace import Probe

if TYPE_CHECKING:
    import random

V10, V11, V12, V13 = (f"/meshsub/1.{minor}.0" for minor in range(4))
PROTOCOL_IDS: tuple[str, ...] = (V13, V12, V11, V10, FLOODSUB)
_KNOW_IDONTWANT = (V12, V13)


class GossipSubRouter:
    """The core of GossipSub: a `Router`.

    Args:
        screen: looks at each message first.
        score: our opinion of peers.
        rng: chance.
        parameters: the mesh, the gossip, the bounds.
        thresholds: what a score leads to.
        message_id: names messages.
        explicit: peers that get every message and are in no mesh (explicit peering agreements).
        offer_peers: whether pruned peers are offered others.
        record_of: the signed record of a peer, b"" if there is none.
        allow_topic: the subscription filter.
        probe: where it tells what it does.
        protocols: the protocol ids to speak, the preferred first.
    """

    def __init__(
        self,
        *,
        screen: Screen,
        score: Score,
        rng: random.Random,
        parameters: GossipSubParameters | None = None,
        thresholds: ScoreThresholds | None = None,
        message_id: MessageId = default_message_id,
        explicit: Collection[PeerId] = (),
        offer_peers: bool = False,
        record_of: Callable[[PeerId], bytes] = lambda peer: b"",
        allow_topic: Callable[[str], bool] | None = None,
        probe: Probe | None = None,
        protocols: Sequence[str] = PROTOCOL_IDS,
    ) -> None:
        self.protocols = tuple(protocols)
        self.parameters = parameters if parameters is not None else GossipSubParameters()
        self.score = score
        self.thresholds = thresholds if thresholds is not None else ScoreThresholds()
        self._screen = screen
        self._message_id = message_id
        self._explicit = frozenset(explicit)
        self._probe = probe if probe is not None else Probe(layer="pubsub")
        self._seen = Seen(self.parameters.seen_ttl, self.parameters.seen_size)
        self._topics = Topics(self.parameters.max_topics_per_peer, allow_topic)
        self._mesh = Mesh(
            self.parameters,
            self.thresholds,
            self._topics,
            score,
            rng,
            self._probe,
            offer_peers=offer_peers,
            record_of=record_of,
        )
        self._gossip = Gossip(self.parameters, self._seen, rng)
        self._protocol: dict[PeerId, str] = {}
        self._extensions: dict[PeerId, ControlExtensions] = {}
        self._actions: list[Action] = []
        self._beats = 0

    # -- peers and topics -------------------------------------------------------------------------------------

    def add_peer(
        self, peer: PeerId, protocol: str, *, outbound: bool, ips: Sequence[str], now: float
    ) -> None:
        """As `Router.add_peer`: greet it with what we want, and what else we understand.

        Spec: pubsub/gossipsub/gossipsub-v1.3.md#the-extensions-control-message
        """
        self._protocol[peer] = protocol
        self._topics.add_peer(peer)
        self.score.add_peer(peer, ips)
        if protocol != FLOODSUB:
            self._mesh.add_peer(peer, outbound=outbound, explicit=peer in self._explicit)
            self._gossip.add_peer(peer)
        hello = RPC(
            subscriptions=tuple(SubOpts(True, topic) for topic in self._topics.ours),
            extensions=ControlExtensions(test_extension=True) if protocol == V13 else None,
        )
        if hello != RPC():
            self._send(hello, (peer,), Urgency.CONTROL)

    def remove_peer(self, peer: PeerId, now: float) -> None:
        """As `Router.remove_peer`."""
        if self._protocol.pop(peer, None) is None:
            return
        self._extensions.pop(peer, None)
        self._mesh.remove_peer(peer)
        self._gossip.remove_peer(peer)
        self._topics.remove_peer(peer)
        self.score.remove_peer(peer, now)

    def join(self, topic: str, now: float) -> None:
        """As `Router.join`."""
        if topic in self._topics.ours:
            return
        self._topics.ours[topic] = None
        self._send(RPC((SubOpts(True, topic),)), self._topics.everybody, Urgency.CONTROL)
        self._mesh.join(topic, now)
        self._send_mesh_changes()

    def leave(self, topic: str, now: float) -> None:
        """As `Router.leave`."""
        if topic not in self._topics.ours:
            return
        del self._topics.ours[topic]
        self._send(RPC((SubOpts(False, topic),)), self._topics.everybody, Urgency.CONTROL)
        self._mesh.leave(topic, now)
        self._send_mesh_changes()

    def peers(self, topic: str) -> list[PeerId]:
        """As `Router.peers`."""
        return list(self._topics.peers(topic))

    def mesh(self, topic: str) -> list[PeerId]:
        """As `Router.mesh`."""
        return list(self._mesh.members.get(topic, {}))

    def fanout(self, topic: str) -> list[PeerId]:
        """Whom we publish to in a topic that we do not want."""
        return list(self._mesh.fanout.get(topic, {}))

    def use(self, parameters: GossipSubParameters) -> None:
        """Other numbers from now on; meshes follow at the next heartbeat."""
        self.parameters = parameters
        self._mesh.use(parameters)
        self._gossip.use(parameters)

    def backoffs(self, topic: str) -> dict[PeerId, float]:
        """Who may not be grafted yet, and the moment at which that ends."""
        return self._mesh.backoffs(topic)

    @property
    def windows(self) -> list[list[tuple[bytes, str]]]:
        """The message cache, window by window, the newest first: (message id, topic)."""
        return self._gossip.cache.windows

    @property
    def seen(self) -> int:
        """How many message ids it knows."""
        return len(self._seen)

    # -- what peers say ---------------------------------------------------------------------------------------

    def receive(self, peer: PeerId, rpc: RPC, now: float) -> list[Arrival]:
        """As `Router.receive`.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#message-processing
        """
        if peer not in self._protocol:
            return []
        trusted = peer in self._explicit
        score = 0.0 if trusted else self.score.score(peer)
        if score < self.thresholds.graylist:
            return []
        if rpc.subscriptions:
            self._take_subscriptions(peer, rpc.subscriptions)
        arrivals = self._take_messages(peer, rpc.publish, now) if rpc.publish else []
        if self._protocol[peer] != FLOODSUB:
            self._take_control(peer, rpc, score, now)
        return arrivals

    def _take_subscriptions(self, peer: PeerId, changes: Sequence[SubOpts]) -> None:
        for change in self._topics.update(peer, changes):
            if not change.subscribe:
                self._mesh.peer_left_topic(peer, change.topic)
            if self._probe.trace.listeners:
                kind = PeerJoined if change.subscribe else PeerLeft
                self._probe.emit("event", kind(str(peer), change.topic))

    def _take_messages(
        self, peer: PeerId, messages: Sequence[Message], now: float
    ) -> list[Arrival]:
        """Those that are new. Each is named, looked up, screened, and only then remembered: a forgery must not
        keep the real one out."""
        arrivals = []
        for message in messages:
            topic = message.topic
            if topic not in self._topics.ours:
                continue
            message_id = self._message_id(message)
            if message_id in self._seen:
                self.score.duplicate(peer, message_id, topic, now)
                if self._probe.trace.listeners:
                    told = MessageDuplicate(message_id.hex(), topic, str(peer))
                    self._probe.emit("event", told)
                continue
            try:
                self._screen(message)
            except RemoteError as error:
                self.score.invalid(peer, topic)
                if self._probe.trace.listeners:
                    self._probe.emit("event", MessageRefused(topic, str(peer), str(error)))
                continue
            self._seen.add(message_id, now)
            self._gossip.kept(message_id)
            self.score.arrived(message_id, now)
            if self._probe.trace.listeners:
                self._probe.emit("event", MessageArrived(message_id.hex(), topic, str(peer)))
            self._send_idontwant(peer, message_id, message)
            arrivals.append(Arrival(message_id, message, peer))
        return arrivals

    def _send_idontwant(self, sender: PeerId, message_id: bytes, message: Message) -> None:
        """A big message came: spare us its duplicates. Spec: pubsub/gossipsub/gossipsub-v1.2.md#idontwant-message"""
        if len(message.data) < self.parameters.idontwant_message_threshold:
            return
        peers = [
            peer
            for peer in self._mesh.members[message.topic]
            if peer != sender and self._protocol[peer] in _KNOW_IDONTWANT
        ]
        rpc = RPC(idontwant=(ControlIDontWant((message_id,)),))
        self._send(rpc, peers, Urgency.CONTROL)

    def _take_control(self, peer: PeerId, rpc: RPC, score: float, now: float) -> None:
        if rpc.extensions is not None and peer not in self._extensions:
            self._extensions[peer] = rpc.extensions
            if rpc.extensions.test_extension and self._protocol[peer] == V13:
                self._send(RPC(test_extension=True), (peer,), Urgency.CONTROL)
        if score >= self.thresholds.gossip:
            if rpc.ihave:
                iwant = self._gossip.ihave_received(peer, rpc.ihave, self._topics.ours, now)
                if iwant is not None:
                    self._send(RPC(iwant=(iwant,)), (peer,), Urgency.GOSSIP)
            if rpc.iwant:
                for message in self._gossip.iwant_received(peer, rpc.iwant):
                    self._send(RPC(publish=(message,)), (peer,), Urgency.MESSAGE)
        if rpc.idontwant and self._mesh.is_member(peer):
            self._gossip.idontwant_received(peer, rpc.idontwant)
        for graft in rpc.graft:
            self._mesh.graft_received(peer, graft.topic, now)
        for prune in rpc.prune:
            offered = self._mesh.prune_received(peer, prune, now)
            if offered:
                self._actions.append(Dial(offered))
        if rpc.graft:
            self._send_mesh_changes()

    # -- messages ---------------------------------------------------------------------------------------------

    def decide(self, arrival: Arrival, verdict: Verdict, now: float) -> None:
        """As `Router.decide`: what is accepted goes to the mesh."""
        message, message_id = arrival.message, arrival.message_id
        self.score.decided(arrival.sender, message_id, message.topic, verdict, now)
        if verdict is not Verdict.ACCEPT:
            if self._probe.trace.listeners:
                refused = MessageRefused(message.topic, str(arrival.sender), verdict.value)
                self._probe.emit("event", refused)
            return
        self._gossip.cache.put(message_id, message)
        peers = self._receivers(message, message_id, own=False, now=now)
        peers.pop(arrival.sender, None)
        self._send(RPC(publish=(message,)), peers, Urgency.MESSAGE)
        if self._probe.trace.listeners:
            forwarded = MessageForwarded(message_id.hex(), message.topic, len(peers))
            self._probe.emit("event", forwarded)

    def publish(self, message_id: bytes, message: Message, now: float) -> None:
        """As `Router.publish`. Spec: pubsub/gossipsub/gossipsub-v1.1.md#flood-publishing"""
        self._seen.add(message_id, now)
        self._gossip.cache.put(message_id, message)
        peers = self._receivers(message, message_id, own=True, now=now)
        self._send(RPC(publish=(message,)), peers, Urgency.MESSAGE)
        if self._probe.trace.listeners:
            size = len(message.data)
            published = MessagePublished(message_id.hex(), message.topic, size, len(peers))
            self._probe.emit("event", published)

    def _receivers(
        self, message: Message, message_id: bytes, *, own: bool, now: float
    ) -> dict[PeerId, None]:
        topic, wanting = message.topic, self._topics.peers(message.topic)
        threshold = self.thresholds.publish
        if own and self.parameters.flood_publish:
            chosen = {p: None for p in wanting if self.score.score(p) >= threshold}
        elif topic in self._mesh.members:
            chosen = dict(self._mesh.members[topic])
        elif own:
            chosen = dict(self._mesh.fanout_of(topic, now))
        else:
            chosen = {}  # we left the topic while the message was being validated
        for peer in wanting:
            if peer in self._explicit or (
                self._protocol[peer] == FLOODSUB and self.score.score(peer) >= threshold
            ):
                chosen[peer] = None
        return {
            peer: None
            for peer in chosen
            if peer.multihash != message.from_peer and self._gossip.wants(peer, message_id)
        }

    # -- the heartbeat ----------------------------------------------------------------------------------------

    def heartbeat(self, now: float) -> None:
        """As `Router.heartbeat`. Spec: pubsub/gossipsub/gossipsub-v1.0.md#heartbeat"""
        self._beats += 1
        self.score.refresh(now)
        for peer, times in self._gossip.broken_promises(now).items():
            self.score.penalize(peer, times)
            if self._probe.trace.listeners:
                self._probe.emit("event", PromiseBroken(str(peer), times))
        self._mesh.heartbeat(now)
        self._send_mesh_changes()
        for topic in (*self._mesh.members, *self._mesh.fanout):
            self._emit_gossip(topic)
        self._gossip.heartbeat()
        self._seen.forget_old(now)
        if self._probe.trace.listeners:
            sizes = tuple((topic, len(peers)) for topic, peers in self._mesh.members.items())
            self._probe.emit("event", Heartbeat(self._beats, sizes))

    def _emit_gossip(self, topic: str) -> None:
        inside = self._mesh.members.get(topic) or self._mesh.fanout.get(topic, {})
        outside = [
            peer
            for peer in self._topics.peers(topic)
            if peer not in inside
            and peer not in self._explicit
            and self._protocol[peer] != FLOODSUB
            and self.score.score(peer) >= self.thresholds.gossip
        ]
        for peers, ihave in self._gossip.emit(topic, outside):
            self._send(RPC(ihave=(ihave,)), peers, Urgency.GOSSIP)

    # -- actions ----------------------------------------------------------------------------------------------

    def _send_mesh_changes(self) -> None:
        """What the mesh decided: one RPC for each peer concerned."""
        grafts, prunes = self._mesh.grafts, self._mesh.prunes
        for peer in (*grafts, *(p for p in prunes if p not in grafts)):
            rpc = RPC(graft=tuple(grafts.get(peer, ())), prune=tuple(prunes.get(peer, ())))
            self._send(rpc, (peer,), Urgency.CONTROL)
        grafts.clear()
        prunes.clear()

    def _send(self, rpc: RPC, peers: Collection[PeerId], urgency: Urgency) -> None:
        if peers:
            self._actions.append(Send(rpc, tuple(peers), urgency))

    def take_actions(self) -> list[Action]:
        """As `Router.take_actions`."""
        actions, self._actions = self._actions, []
        return actions
