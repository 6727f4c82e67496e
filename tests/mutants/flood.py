from __future__ import annotations

from collections import defaultdict

from libp2p_lab.pubsub import RPC, Verdict, default_message_id
from libp2p_lab.pubsub.pubsub_messages import SubOpts
from libp2p_lab.pubsub.router import Arrival, Send, Urgency
from tests.mutants import Mutant


class Flood:
    """Right: kept by topic instead of by peer, each step in a method, so that each can be got wrong alone."""

    protocols = ("/floodsub/1.0.0",)

    def __init__(self, rng):
        self.outbox = []
        self.here = []
        self.members = defaultdict(list)
        self.ours = []
        self.known = {}

    def say(self, peers, **parts):
        for peer in peers:
            self.outbox.append(Send(RPC(**parts), (peer,), Urgency.CONTROL))

    def take_actions(self):
        taken = list(self.outbox)
        self.outbox.clear()
        return taken

    def add_peer(self, peer, protocol, *, outbound, ips, now):
        self.here.append(peer)
        self.greet(peer)

    def greet(self, peer):
        for topic in self.ours:
            self.say([peer], subscriptions=(SubOpts(True, topic),))

    def remove_peer(self, peer, now):
        self.here.remove(peer)
        for members in self.members.values():
            if peer in members:
                members.remove(peer)

    def join(self, topic, now):
        self.ours.append(topic)
        self.tell(topic, True)

    def leave(self, topic, now):
        self.ours.remove(topic)
        self.tell(topic, False)

    def tell(self, topic, joined):
        self.say(self.here, subscriptions=(SubOpts(joined, topic),))

    def receive(self, peer, rpc, now):
        for change in rpc.subscriptions:
            self.change(peer, change)
        return [
            Arrival(default_message_id(message), message, peer)
            for message in rpc.publish
            if self.is_ours(message) and self.is_new(default_message_id(message))
        ]

    def change(self, peer, change):
        if change.subscribe:
            self.members[change.topic].append(peer)
        elif peer in self.members[change.topic]:
            self.members[change.topic].remove(peer)

    def is_ours(self, message):
        return message.topic in self.ours

    def is_new(self, message_id):
        is_new = message_id not in self.known
        self.known[message_id] = True
        return is_new

    def decide(self, arrival, verdict, now):
        if self.may_pass(verdict):
            message = arrival.message
            self.say(self.receivers(message.topic, arrival.sender), publish=(message,))

    def may_pass(self, verdict):
        return verdict is Verdict.ACCEPT

    def receivers(self, topic, sender):
        return [peer for peer in self.members[topic] if peer != sender]

    def publish(self, message_id, message, now):
        self.known[message_id] = True
        self.say(self.members[message.topic], publish=(message,))

    def heartbeat(self, now):
        self.known = dict(self.known)

    def peers(self, topic):
        return list(self.members[topic])

    mesh = peers


class Silent(Flood):
    def tell(self, topic, joined):
        pass


class LeavesInSilence(Flood):
    def tell(self, topic, joined):
        if joined:
            super().tell(topic, joined)


class Rude(Flood):
    def greet(self, peer):
        pass


class Forgetful(Flood):
    def is_new(self, message_id):
        return True


class ReturnsNothing(Flood):
    def receive(self, peer, rpc, now):
        super().receive(peer, rpc, now)
        return []


class SendsBack(Flood):
    def receivers(self, topic, sender):
        return list(self.members[topic])


class ToEverybody(Flood):
    def receivers(self, topic, sender):
        return [peer for peer in self.here if peer != sender]


class ToOne(Flood):
    def receivers(self, topic, sender):
        return super().receivers(topic, sender)[:1]


class PassesDuplicates(Flood):
    """Delivers once, but passes on each time: round and round."""

    def receive(self, peer, rpc, now):
        for message in rpc.publish:
            if message.topic in self.ours:
                self.say(self.receivers(message.topic, peer), publish=(message,))
        return super().receive(peer, rpc, now)

    def may_pass(self, verdict):
        return False


class ForgetsItsOwn(Flood):
    def publish(self, message_id, message, now):
        self.say(self.members[message.topic], publish=(message,))


class Bridge(Flood):
    def is_ours(self, message):
        return True


class PassesAll(Flood):
    def may_pass(self, verdict):
        return True


class NeverStrikesOff(Flood):
    def change(self, peer, change):
        if change.subscribe:
            super().change(peer, change)


class KeepsTheDead(Flood):
    def remove_peer(self, peer, now):
        pass


class TwiceEach(Flood):
    """To whom the author is a neighbour, the message goes twice."""

    def decide(self, arrival, verdict, now):
        super().decide(arrival, verdict, now)
        others = self.receivers(arrival.message.topic, arrival.sender)
        if self.may_pass(verdict) and len(others) > 4:
            self.say(others[:1], publish=(arrival.message,))


class BytesOnly(Flood):
    def take_actions(self):
        return [action.rpc.encode() for action in super().take_actions()]


ANOTHER = Flood
MUTANTS = (
    Mutant(Silent, "tells", "it joined a topic"),
    Mutant(LeavesInSilence, "tells", "it left a topic"),
    Mutant(Rude, "greets"),
    Mutant(Forgetful, "not-new", "came again"),
    Mutant(ReturnsNothing, "not-new", "receive did not return it"),
    Mutant(SendsBack, "back"),
    Mutant(ToEverybody, "unwanted"),
    Mutant(ToOne, "no-forward", "1 of the 3"),
    Mutant(PassesDuplicates, "loops", "passed on"),
    Mutant(ForgetsItsOwn, "own"),
    Mutant(Bridge, "not-ours"),
    Mutant(PassesAll, "refused"),
    Mutant(NeverStrikesOff, "left", "had left the topic"),
    Mutant(KeepsTheDead, "left", "was gone"),
    Mutant(TwiceEach, "formula"),
    Mutant(BytesOnly, "wrong-type", "Send(rpc, peers, urgency)"),
    Mutant({}, "wrong-type"),
)
