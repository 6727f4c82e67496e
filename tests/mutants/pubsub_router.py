from __future__ import annotations

from dataclasses import replace

from libp2p_lab.pubsub import RPC, Verdict, default_message_id
from libp2p_lab.pubsub.gossip import MessageCache
from libp2p_lab.pubsub.pubsub_messages import (
    ControlGraft,
    ControlIHave,
    ControlIWant,
    ControlPrune,
    SubOpts,
)
from libp2p_lab.pubsub.router import Arrival, Seen, Send, Topics, Urgency
from tests.mutants import Mutant

FLOODSUB = "/floodsub/1.0.0"


class Gossip:
    """Right: on the library's small parts, and full meshes refuse as in GossipSub 1.1.

    Each step is a method of its own, so that each can be got wrong alone.
    """

    protocols = ("/meshsub/1.1.0", "/meshsub/1.0.0", FLOODSUB)
    D, D_LOW, D_HIGH, D_LAZY = 6, 4, 12, 6
    BACKOFF = 60

    def __init__(self, rng):
        self.rng = rng
        self.out = []
        self.topics = Topics(100)
        self.seen = Seen(120.0, 10_000)
        self.cache = MessageCache(5, 3)
        self.flooding = set()
        self.members = {}
        self.fans = {}
        self.waits = {}
        self.beats = 0

    # -- sending

    def tell(self, peers, **parts):
        peers = tuple(peers)
        if peers:
            self.out.append(Send(RPC(**parts), peers, Urgency.CONTROL))

    def take_actions(self):
        taken, self.out = self.out, []
        return taken

    def send_graft(self, topic, peer):
        self.tell([peer], graft=(ControlGraft(topic),))

    def send_prune(self, topic, peer, now):
        self.wait(peer, topic, now + self.BACKOFF)
        self.tell([peer], prune=(ControlPrune(topic, (), self.BACKOFF),))

    def announce(self, peers, topic, joined):
        self.tell(peers, subscriptions=(SubOpts(joined, topic),))

    # -- state

    def wait(self, peer, topic, until):
        self.waits[topic, peer] = max(until, self.waits.get((topic, peer), 0.0))

    def is_waiting(self, peer, topic, now):
        return self.waits.get((topic, peer), 0.0) > now

    def peers(self, topic):
        return list(self.topics.peers(topic))

    def mesh(self, topic):
        return list(self.members.get(topic, {}))

    def candidates(self, topic, now):
        return [p for p in self.peers(topic) if self.may_join(p, topic, now)]

    def may_join(self, peer, topic, now):
        inside = self.members.get(topic, {})
        return (
            peer not in inside
            and peer not in self.flooding
            and not self.is_waiting(peer, topic, now)
        )

    def some(self, peers, count):
        shuffled = list(peers)
        self.rng.shuffle(shuffled)
        return shuffled[: max(count, 0)]

    # -- coming and going

    def add_peer(self, peer, protocol, *, outbound, ips, now):
        self.topics.add_peer(peer)
        if protocol == FLOODSUB:
            self.flooding.add(peer)
        for topic in self.topics.ours:
            self.announce([peer], topic, True)

    def remove_peer(self, peer, now):
        self.topics.remove_peer(peer)
        self.flooding.discard(peer)
        for group in (*self.members.values(), *self.fans.values()):
            group.pop(peer, None)

    def strike(self, peer, topic):
        self.members.get(topic, {}).pop(peer, None)
        self.fans.get(topic, {}).pop(peer, None)

    def join(self, topic, now):
        self.topics.ours[topic] = None
        self.members[topic] = {}
        self.announce(self.topics.everybody, topic, True)
        first = [p for p in self.fans.pop(topic, {}) if self.may_join(p, topic, now)]
        rest = self.some([p for p in self.candidates(topic, now) if p not in first], self.D)
        for peer in [*first, *rest][: self.D]:
            self.take_in(topic, peer)

    def take_in(self, topic, peer):
        self.members[topic][peer] = None
        self.send_graft(topic, peer)

    def leave(self, topic, now):
        del self.topics.ours[topic]
        self.announce(self.topics.everybody, topic, False)
        for peer in self.members.pop(topic):
            self.send_prune(topic, peer, now)

    # -- what peers say

    def receive(self, peer, rpc, now):
        for change in self.topics.update(peer, rpc.subscriptions):
            if not change.subscribe:
                self.strike(peer, change.topic)
        arrivals = list(self.new_ones(peer, rpc.publish, now))
        for graft in rpc.graft:
            if graft.topic in self.members and peer not in self.members[graft.topic]:
                self.grafted(peer, graft.topic, now)
        for prune in rpc.prune:
            self.pruned(peer, prune, now)
        for ihave in rpc.ihave:
            wanted = tuple(i for i in ihave.message_ids if self.is_wanted(ihave.topic, i))
            if wanted:
                self.tell([peer], iwant=(ControlIWant(wanted),))
        for iwant in rpc.iwant:
            self.give(peer, iwant.message_ids)
        return arrivals

    def new_ones(self, peer, messages, now):
        for message in messages:
            message_id = self.name(message)
            if message.topic in self.topics.ours and self.seen.add(message_id, now):
                yield Arrival(default_message_id(message), message, peer)

    def name(self, message):
        return default_message_id(message)

    def grafted(self, peer, topic, now):
        if self.is_waiting(peer, topic, now) or len(self.members[topic]) >= self.D_HIGH:
            self.send_prune(topic, peer, now)
        else:
            self.members[topic][peer] = None

    def pruned(self, peer, prune, now):
        self.strike(peer, prune.topic)
        self.wait(peer, prune.topic, now + (prune.backoff or self.BACKOFF))

    def is_wanted(self, topic, message_id):
        return topic in self.topics.ours and message_id not in self.seen

    def give(self, peer, ids):
        for message_id in ids:
            message, _ = self.cache.get_for(peer, message_id)
            if message is not None:
                self.tell([peer], publish=(message,))

    # -- messages

    def decide(self, arrival, verdict, now):
        if self.is_good(verdict):
            inside = self.mesh(arrival.message.topic)
            self.spread(arrival.message_id, arrival.message, inside, arrival.sender)

    def is_good(self, verdict):
        return verdict is Verdict.ACCEPT

    def publish(self, message_id, message, now):
        topic = message.topic
        self.seen.add(self.name(message), now)
        if topic in self.members:
            self.spread(message_id, message, self.mesh(topic), None)
        else:
            self.spread(message_id, message, self.fans_of(topic, now), None)

    def fans_of(self, topic, now):
        if not self.fans.get(topic):
            self.fans[topic] = dict.fromkeys(self.some(self.candidates(topic, now), self.D))
        return list(self.fans[topic])

    def spread(self, message_id, message, inside, sender):
        self.cache.put(message_id, message)
        also = [p for p in self.peers(message.topic) if p in self.flooding]
        self.tell([p for p in (*inside, *also) if p != sender], publish=(message,))

    # -- heartbeat

    def heartbeat(self, now):
        self.beats += 1
        for topic in self.members:
            self.fill(topic, now)
            self.thin(topic, now)
        for topic in (*self.members, *self.fans):
            self.gossip(topic)
        self.cache.shift()

    def fill(self, topic, now):
        missing = self.D - len(self.members[topic])
        if len(self.members[topic]) < self.D_LOW:
            for peer in self.some(self.candidates(topic, now), missing):
                self.take_in(topic, peer)

    def thin(self, topic, now):
        if len(self.members[topic]) > self.D_HIGH:
            for peer in self.some(self.members[topic], len(self.members[topic]) - self.D):
                del self.members[topic][peer]
                self.send_prune(topic, peer, now)

    def gossip(self, topic):
        ids = tuple(self.cache.ids(topic))
        inside = {**self.members.get(topic, {}), **self.fans.get(topic, {})}
        outside = [p for p in self.peers(topic) if p not in inside and p not in self.flooding]
        if ids:
            self.tell(self.some(outside, self.D_LAZY), ihave=(ControlIHave(topic, ids),))


class TakesAll(Gossip):
    """As in GossipSub 1.0: every GRAFT is accepted, and the heartbeat thins out."""

    def grafted(self, peer, topic, now):
        if self.is_waiting(peer, topic, now):
            self.send_prune(topic, peer, now)
        else:
            self.members[topic][peer] = None


class SaysNothing(Gossip):
    def announce(self, peers, topic, joined):
        pass


class GraftsAnybody(Gossip):
    def candidates(self, topic, now):
        return [p for p in self.topics.everybody if self.may_join(p, topic, now)]


class WaitsForTheHeartbeat(Gossip):
    def join(self, topic, now):
        self.topics.ours[topic] = None
        self.members[topic] = {}
        self.announce(self.topics.everybody, topic, True)


class GraftsInSilence(Gossip):
    def send_graft(self, topic, peer):
        pass


class IgnoresGrafts(Gossip):
    def grafted(self, peer, topic, now):
        pass


class IgnoresPrunes(Gossip):
    def pruned(self, peer, prune, now):
        self.wait(peer, prune.topic, now + 60)


class Impatient(Gossip):
    def pruned(self, peer, prune, now):
        self.strike(peer, prune.topic)


class HalfAMinute(Gossip):
    """Half a minute where nothing is said."""

    def pruned(self, peer, prune, now):
        self.strike(peer, prune.topic)
        self.wait(peer, prune.topic, now + (prune.backoff or 30))


class LetsAnybodyIn(Gossip):
    def grafted(self, peer, topic, now):
        self.members[topic][peer] = None


class Resentful(Gossip):
    def is_waiting(self, peer, topic, now):
        return (topic, peer) in self.waits


class NeverThins(TakesAll):
    def thin(self, topic, now):
        pass


class NeverFills(Gossip):
    def fill(self, topic, now):
        if len(self.topics.everybody) < 8:
            super().fill(topic, now)


class PrunesWithoutBackoff(TakesAll):
    def send_prune(self, topic, peer, now):
        self.wait(peer, topic, now + 60)
        self.tell([peer], prune=(ControlPrune(topic),))


class ThinsInSilence(TakesAll):
    def thin(self, topic, now):
        members = self.members[topic]
        if len(members) > self.D_HIGH:
            for peer in self.some(members, len(members) - self.D):
                del members[peer]


class KeepsTheDead(Gossip):
    def remove_peer(self, peer, now):
        self.topics.remove_peer(peer)


class LeavesInSilence(Gossip):
    def leave(self, topic, now):
        del self.topics.ours[topic]
        self.announce(self.topics.everybody, topic, False)
        self.members.pop(topic)


class Forgetful(Gossip):
    def new_ones(self, peer, messages, now):
        for message in messages:
            if message.topic in self.topics.ours:
                yield Arrival(default_message_id(message), message, peer)


class ToTwo(Gossip):
    def spread(self, message_id, message, inside, sender):
        super().spread(message_id, message, inside[:2], sender)


class Floods(Gossip):
    def spread(self, message_id, message, inside, sender):
        super().spread(message_id, message, self.peers(message.topic), sender)


class PassesDuplicates(Gossip):
    def new_ones(self, peer, messages, now):
        for message in messages:
            if default_message_id(message) in self.seen:
                self.tell([p for p in self.mesh(message.topic) if p != peer], publish=(message,))
        return super().new_ones(peer, messages, now)


class PassesAll(Gossip):
    def is_good(self, verdict):
        return True


class GossipsAboutAll(Gossip):
    """Takes into the cache what has not been judged."""

    def new_ones(self, peer, messages, now):
        for arrival in super().new_ones(peer, messages, now):
            self.cache.put(arrival.message_id, arrival.message)
            yield arrival


class NeverGossips(Gossip):
    def gossip(self, topic):
        pass


class GossipsInside(Gossip):
    def gossip(self, topic):
        ids = tuple(self.cache.ids(topic))
        if ids:
            self.tell(self.some(self.peers(topic), 6), ihave=(ControlIHave(topic, ids),))


class LongMemory(Gossip):
    def __init__(self, rng):
        super().__init__(rng)
        self.cache = MessageCache(5, 5)


class GivesNothing(Gossip):
    def give(self, peer, ids):
        pass


class NeverShifts(Gossip):
    """Windows for the gossip, and another store that only grows."""

    def __init__(self, rng):
        super().__init__(rng)
        self.kept = {}

    def spread(self, message_id, message, inside, sender):
        self.kept[message_id] = message
        super().spread(message_id, message, inside, sender)

    def give(self, peer, ids):
        self.tell([peer], publish=tuple(self.kept[i] for i in ids if i in self.kept))


class AsksForEverything(Gossip):
    def is_wanted(self, topic, message_id):
        return True


class NewFansEachTime(Gossip):
    def fans_of(self, topic, now):
        self.fans.pop(topic, None)
        return super().fans_of(topic, now)


class PublishesToAll(Gossip):
    def fans_of(self, topic, now):
        return self.peers(topic)


class TreatsAllAlike(Gossip):
    def add_peer(self, peer, protocol, *, outbound, ips, now):
        super().add_peer(peer, "/meshsub/1.0.0", outbound=outbound, ips=ips, now=now)


class AlmostEnough(Gossip):
    """Three members are left at three."""

    def fill(self, topic, now):
        if len(self.members[topic]) != self.D_LOW - 1:
            super().fill(topic, now)


class LosesAMember(Gossip):
    """Now and then a member is dropped, and not told."""

    def heartbeat(self, now):
        super().heartbeat(now)
        for members in self.members.values():
            if self.beats % 20 == 0 and len(members) > self.D_LOW:
                members.popitem()


class NamesByNumber(Gossip):
    """Two authors' first messages have one name."""

    def name(self, message):
        return message.seqno

    def is_wanted(self, topic, message_id):
        return super().is_wanted(topic, message_id[-8:])


class SaysItTwice(Gossip):
    def tell(self, peers, **parts):
        peers = list(peers)
        super().tell(peers, **parts)
        if "publish" in parts:
            super().tell(peers, **parts)


class OwnDialect(Gossip):
    protocols = ("/my-gossip/1.0.0",)


class OwnTopics(Gossip):
    """Takes only messages whose data it likes; real peers add signatures, which it strips."""

    def spread(self, message_id, message, inside, sender):
        super().spread(message_id, replace(message, signature=None), inside, sender)


class Half:
    protocols = ("/meshsub/1.0.0",)

    def __init__(self, rng):
        pass

    def join(self, topic, now):
        pass


ANOTHER = Gossip
MUTANTS = (
    Mutant(SaysNothing, "tells"),
    Mutant(GraftsAnybody, "subscribed"),
    Mutant(WaitsForTheHeartbeat, "join", "0 members"),
    Mutant(GraftsInSilence, "graft-sent"),
    Mutant(IgnoresGrafts, "graft"),
    Mutant(IgnoresPrunes, "prune"),
    Mutant(Impatient, "backoff"),
    Mutant(HalfAMinute, "backoff", "named no back-off"),
    Mutant(LetsAnybodyIn, "refuses"),
    Mutant(Resentful, "backoff-ends"),
    Mutant(NeverThins, "too-many", "had 20 members"),
    Mutant(NeverFills, "too-few"),
    Mutant(PrunesWithoutBackoff, "prune-sent", "another back-off"),
    Mutant(ThinsInSilence, "prune-sent", "14 were refused or taken out"),
    Mutant(KeepsTheDead, "gone"),
    Mutant(LeavesInSilence, "leave"),
    Mutant(Forgetful, "new"),
    Mutant(ToTwo, "forward"),
    Mutant(Floods, "floods", "outside the mesh"),
    Mutant(PassesDuplicates, "loops"),
    Mutant(PassesAll, "refused"),
    Mutant(GossipsAboutAll, "refused", "gossips about it"),
    Mutant(NeverGossips, "gossip", "0 were sent an IHAVE"),
    Mutant(GossipsInside, "gossip"),
    Mutant(LongMemory, "windows"),
    Mutant(GivesNothing, "iwant"),
    Mutant(NeverShifts, "cache"),
    Mutant(AsksForEverything, "ihave"),
    Mutant(NewFansEachTime, "fanout", "went to other peers"),
    Mutant(PublishesToAll, "fanout", "20 of 20"),
    Mutant(TreatsAllAlike, "floodsub"),
    Mutant(AlmostEnough, "bounds"),
    Mutant(LosesAMember, "mutual"),
    Mutant(NamesByNumber, "delivery"),
    Mutant(SaysItTwice, "duplicates"),
    Mutant(OwnDialect, "stranger"),
    Mutant(OwnTopics, "stranger"),
    Mutant(Half, "wrong-type", "missing: add_peer"),
)
