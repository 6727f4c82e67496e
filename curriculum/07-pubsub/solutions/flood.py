"""E7.3, the reference answer."""

from libp2p_lab.pubsub import RPC, Verdict, default_message_id
from libp2p_lab.pubsub.pubsub_messages import SubOpts
from libp2p_lab.pubsub.router import Arrival, Send, Urgency


class Flood:
    """Passes everything on to everybody who wants it, once."""

    protocols = ["/floodsub/1.0.0"]

    def __init__(self, rng):
        self.actions = []
        self.wants = {}  # peer: the topics that it wants
        self.ours = set()
        self.seen = set()

    def send(self, rpc, peers):
        if peers:
            self.actions.append(Send(rpc, tuple(peers), Urgency.MESSAGE))

    def take_actions(self):
        actions, self.actions = self.actions, []
        return actions

    def add_peer(self, peer, protocol, *, outbound, ips, now):
        self.wants[peer] = set()
        if self.ours:
            self.send(RPC(subscriptions=tuple(SubOpts(True, t) for t in sorted(self.ours))), [peer])

    def remove_peer(self, peer, now):
        self.wants.pop(peer, None)

    def join(self, topic, now):
        self.ours.add(topic)
        self.send(RPC(subscriptions=(SubOpts(True, topic),)), list(self.wants))

    def leave(self, topic, now):
        self.ours.discard(topic)
        self.send(RPC(subscriptions=(SubOpts(False, topic),)), list(self.wants))

    def receive(self, peer, rpc, now):
        for change in rpc.subscriptions:
            if change.subscribe:
                self.wants[peer].add(change.topic)
            else:
                self.wants[peer].discard(change.topic)
        arrivals = []
        for message in rpc.publish:
            message_id = default_message_id(message)
            if message_id not in self.seen and message.topic in self.ours:
                self.seen.add(message_id)
                arrivals.append(Arrival(message_id, message, peer))
        return arrivals

    def decide(self, arrival, verdict, now):
        if verdict is Verdict.ACCEPT:
            others = [p for p in self.peers(arrival.message.topic) if p != arrival.sender]
            self.send(RPC(publish=(arrival.message,)), others)

    def publish(self, message_id, message, now):
        self.seen.add(message_id)
        self.send(RPC(publish=(message,)), self.peers(message.topic))

    def heartbeat(self, now):
        pass

    def peers(self, topic):
        return [peer for peer, topics in self.wants.items() if topic in topics]

    def mesh(self, topic):
        return self.peers(topic)


answer = Flood
