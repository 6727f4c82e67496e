"""E7.4, the reference answer."""

from libp2p_lab.pubsub import RPC, Verdict, default_message_id
from libp2p_lab.pubsub.pubsub_messages import (
    ControlGraft,
    ControlIHave,
    ControlIWant,
    ControlPrune,
    SubOpts,
)
from libp2p_lab.pubsub.router import Arrival, Send, Urgency

D, D_LOW, D_HIGH, D_LAZY = 6, 4, 12, 6
WINDOWS, GOSSIP = 5, 3
BACKOFF = 60
FANOUT_TTL = 60
FLOODSUB = "/floodsub/1.0.0"


class Gossip:
    """GossipSub 1.0, with the back-off of 1.1."""

    protocols = ["/meshsub/1.1.0", "/meshsub/1.0.0", FLOODSUB]

    def __init__(self, rng):
        self.rng = rng
        self.actions = []
        self.wants = {}  # peer: topics
        self.floods = set()  # peers that only know FloodSub
        self.ours = {}  # topic: the mesh, a list of peers
        self.fanout = {}  # topic: peers
        self.published = {}  # topic: when we last published there, without having joined
        self.backoff = {}  # (peer, topic): until when
        self.seen = set()
        self.cache = [[]]  # windows of (id, message), the newest first

    # -- sending

    def send(self, peers, **parts):
        if peers:
            self.actions.append(Send(RPC(**parts), tuple(peers), Urgency.MESSAGE))

    def take_actions(self):
        actions, self.actions = self.actions, []
        return actions

    def prune(self, peer, topic, now):
        self.backoff[peer, topic] = now + BACKOFF
        self.send([peer], prune=(ControlPrune(topic, (), BACKOFF),))

    def graft(self, topic, peers):
        self.ours[topic].extend(peers)
        self.send(peers, graft=(ControlGraft(topic),))

    # -- who is there, who wants what

    def peers(self, topic):
        return [peer for peer, topics in self.wants.items() if topic in topics]

    def mesh(self, topic):
        return list(self.ours.get(topic, ()))

    def candidates(self, topic, now):
        mesh = self.mesh(topic)
        return [
            peer
            for peer in self.peers(topic)
            if peer not in mesh
            and peer not in self.floods
            and self.backoff.get((peer, topic), now) <= now
        ]

    def pick(self, peers, count):
        return self.rng.sample(peers, max(0, min(count, len(peers))))

    def add_peer(self, peer, protocol, *, outbound, ips, now):
        self.wants[peer] = set()
        if protocol == FLOODSUB:
            self.floods.add(peer)
        if self.ours:
            self.send([peer], subscriptions=tuple(SubOpts(True, topic) for topic in self.ours))

    def remove_peer(self, peer, now):
        for topic in self.wants.pop(peer, ()):
            self.forget(peer, topic)
        self.floods.discard(peer)

    def forget(self, peer, topic):
        for members in (self.ours.get(topic, []), self.fanout.get(topic, [])):
            if peer in members:
                members.remove(peer)

    def join(self, topic, now):
        self.ours[topic] = []
        self.send(list(self.wants), subscriptions=(SubOpts(True, topic),))
        self.published.pop(topic, None)
        can = self.candidates(topic, now)
        chosen = [peer for peer in self.fanout.pop(topic, []) if peer in can][:D]
        chosen += self.pick([peer for peer in can if peer not in chosen], D - len(chosen))
        self.graft(topic, chosen)

    def leave(self, topic, now):
        self.send(list(self.wants), subscriptions=(SubOpts(False, topic),))
        for peer in self.ours.pop(topic, []):
            self.prune(peer, topic, now)

    # -- what peers say

    def receive(self, peer, rpc, now):
        for change in rpc.subscriptions:
            if change.subscribe:
                self.wants[peer].add(change.topic)
            else:
                self.wants[peer].discard(change.topic)
                self.forget(peer, change.topic)
        for graft in rpc.graft:
            self.grafted(peer, graft.topic, now)
        for prune in rpc.prune:
            self.forget(peer, prune.topic)
            until = now + (prune.backoff or BACKOFF)
            self.backoff[peer, prune.topic] = max(until, self.backoff.get((peer, prune.topic), 0))
        for ihave in rpc.ihave:
            new = tuple(i for i in ihave.message_ids if i not in self.seen)
            if new and ihave.topic in self.ours:
                self.send([peer], iwant=(ControlIWant(new),))
        for iwant in rpc.iwant:
            have = {i: message for window in self.cache for i, message in window}
            for message_id in iwant.message_ids:
                if message_id in have:
                    self.send([peer], publish=(have[message_id],))
        return self.arrivals(peer, rpc.publish)

    def grafted(self, peer, topic, now):
        mesh = self.ours.get(topic)
        if mesh is None or peer in mesh:
            return
        if self.backoff.get((peer, topic), now) > now:
            self.prune(peer, topic, now)
        else:
            mesh.append(peer)

    def arrivals(self, peer, messages):
        new = []
        for message in messages:
            message_id = default_message_id(message)
            if message_id not in self.seen and message.topic in self.ours:
                self.seen.add(message_id)
                new.append(Arrival(message_id, message, peer))
        return new

    # -- messages

    def decide(self, arrival, verdict, now):
        if verdict is Verdict.ACCEPT:
            self.spread(
                arrival.message_id,
                arrival.message,
                self.mesh(arrival.message.topic),
                arrival.sender,
            )

    def publish(self, message_id, message, now):
        topic = message.topic
        self.seen.add(message_id)
        if topic not in self.ours:
            self.published[topic] = now
            if not self.fanout.get(topic):
                self.fanout[topic] = self.pick(self.candidates(topic, now), D)
        self.spread(message_id, message, self.ours.get(topic, self.fanout.get(topic)), None)

    def spread(self, message_id, message, peers, sender):
        self.cache[0].append((message_id, message))
        flooded = [peer for peer in self.peers(message.topic) if peer in self.floods]
        self.send([p for p in (*peers, *flooded) if p != sender], publish=(message,))

    # -- the heartbeat

    def heartbeat(self, now):
        self.backoff = {key: until for key, until in self.backoff.items() if until > now}
        for topic, mesh in self.ours.items():
            if len(mesh) < D_LOW:
                self.graft(topic, self.pick(self.candidates(topic, now), D - len(mesh)))
            if len(mesh) > D_HIGH:
                for peer in self.pick(mesh, len(mesh) - D):
                    mesh.remove(peer)
                    self.prune(peer, topic, now)
            self.gossip(topic, mesh)
        for topic, when in list(self.published.items()):
            if now - when > FANOUT_TTL:
                del self.published[topic], self.fanout[topic]
            else:
                self.gossip(topic, self.fanout[topic])
        self.cache = [[], *self.cache][:WINDOWS]

    def gossip(self, topic, inside):
        ids = tuple(i for window in self.cache[:GOSSIP] for i, m in window if m.topic == topic)
        outside = [p for p in self.peers(topic) if p not in inside and p not in self.floods]
        if ids:
            self.send(self.pick(outside, D_LAZY), ihave=(ControlIHave(topic, ids),))


answer = Gossip
