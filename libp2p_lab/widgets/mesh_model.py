"""What pubsub does in a network, put together from the traces of its peers. No drawing, no clock, no loop.

Messages are followed by what travels: each RPC that a peer has sent or received. So a wave is drawn for any router,
also for one that tells nothing. What a router decides, and why, it tells itself (`pubsub/events.py`).

A link of the network has one style for each topic:

    mesh     one end has the other in its mesh (with FloodSub: both want the topic)
    fanout   one end publishes to the other, and does not want the topic itself
    gossip   both want the topic, and tell each other only the names of messages
    other    a connection that has nothing to do with the topic
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.host.events import ConnectionClosed, ConnectionOpened
from libp2p_lab.pubsub.events import (
    FanoutChosen,
    Grafted,
    GraftRefused,
    Heartbeat,
    MessageRefused,
    PromiseBroken,
    Pruned,
)
from libp2p_lab.pubsub.pubsub_messages import RPC, Message
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.mesh_records import Decision, Member, Wave
from libp2p_lab.widgets.network_records import short

STYLES = ("other", "gossip", "fanout", "mesh")
PULSES = ("ihave", "iwant", "idontwant", "graft", "prune")
MAX_PEERS = 2_000
MAX_WAVES = 20
MAX_PULSES = 400  # between two looks


@dataclass(slots=True)
class MeshModel:
    """Takes entries of traces, and knows what there is. Bounded.

    Attributes:
        members: the peers, by peer id.
        links: connections open between two peers, by their numbers, the lower first.
        mesh, fanout: by topic and peer's number, the numbers of its members.
        waves: the last messages, by their keys, the oldest first.
        totals: what was sent: "messages", "control" (both bytes), "copies", "duplicates", and RPC parts by name.
        beat: the highest number of a heartbeat so far.
    """

    members: dict[str, Member] = field(default_factory=dict)
    links: Counter[tuple[int, int]] = field(default_factory=Counter)
    mesh: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    fanout: dict[str, dict[int, set[int]]] = field(default_factory=dict)
    waves: dict[str, Wave] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    beat: int = 0
    is_changed: bool = True
    _remotes: dict[tuple[str, str], str] = field(default_factory=dict)  # (node, connection) → peer
    _pulses: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=MAX_PULSES))
    _measured: tuple[RPC, int] | None = None  # the RPC measured last: most go to several peers

    # -- peers and links --------------------------------------------------------------------------

    def member(self, peer: str, name: str = "", kind: str = "") -> Member:
        """The peer with this id; a new one if it is not known."""
        found = self.members.get(peer)
        if found is None:
            found = self.members[peer] = Member(len(self.members), peer, short(peer), "remote")
            self.is_changed = True
        if name:
            found.name = name
        if kind:
            found.kind = kind
        return found

    def gone(self, peer: str) -> None:
        """A peer that runs no longer."""
        member = self.members.get(peer)
        if member is None or member.state == "gone":
            return
        member.state = "gone"
        member.topics.clear()
        for link in [link for link in self.links if member.index in link]:
            del self.links[link]
            self._part(*link)
        self._remotes = {key: one for key, one in self._remotes.items() if key[0] != peer}
        self.is_changed = True

    def back(self, peer: str) -> None:
        """A peer that was gone runs again."""
        self.member(peer).state = "up"
        self.is_changed = True

    def connected(self, node: str, link: str, peer: str) -> None:
        """A connection, as one of its ends tells; the other end may tell it again."""
        if len(self.members) >= MAX_PEERS and peer not in self.members:
            return
        if (node, link) in self._remotes:
            return
        self._remotes[node, link] = peer
        one, other = self.member(node), self.member(peer)
        self.links[_pair(one.index, other.index)] += 1
        self.is_changed = True

    def _closed(self, node: str, link: str) -> None:
        peer = self._remotes.pop((node, link), None)
        if peer is None or peer not in self.members:
            return
        ends = _pair(self.member(node).index, self.member(peer).index)
        self.links[ends] -= 1
        if self.links[ends] <= 0:
            del self.links[ends]
            self._part(*ends)
        self.is_changed = True

    def _part(self, a: int, b: int) -> None:
        """Two peers without a connection are in no mesh of each other."""
        for groups in (*self.mesh.values(), *self.fanout.values()):
            groups.get(a, set()).discard(b)
            groups.get(b, set()).discard(a)

    def set_group(self, kind: str, node: str, topic: str, peers: Iterable[str]) -> None:
        """What a peer's mesh (or fanout) of a topic is."""
        groups = (self.mesh if kind == "mesh" else self.fanout).setdefault(topic, {})
        index, now = self.member(node).index, {self.member(peer).index for peer in peers}
        if groups.get(index, set()) != now:
            groups[index] = now
            self.is_changed = True

    def wants(self, peer: str, topic: str, wanted: bool = True) -> None:
        """A peer wants a topic, or does so no longer."""
        topics = self.member(peer).topics
        if wanted != (topic in topics):
            (topics.add if wanted else topics.discard)(topic)
            self.is_changed = True

    # -- entries ----------------------------------------------------------------------------------

    def take(self, entry: Entry) -> None:
        """One fact of a trace."""
        what = entry.what
        if entry.layer == "host":
            match what:
                case ConnectionOpened(peer=peer):
                    self.connected(entry.node, entry.link, peer)
                case ConnectionClosed():
                    self._closed(entry.node, entry.link)
        elif entry.layer == "pubsub":
            if entry.direction == "event":
                self._take_event(entry)
            elif isinstance(what, RPC):
                remote = self._remotes.get((entry.node, entry.link.partition("/")[0]))
                if remote is not None:
                    self._take_rpc(entry, what, remote)

    def _take_event(self, entry: Entry) -> None:
        node = entry.node
        match entry.what:
            case Grafted(peer, topic, why):
                self._group(node, topic).add(self.member(peer).index)
                self._decide(entry, "graft", topic, peer, why)
            case Pruned(peer, topic, why):
                self._group(node, topic).discard(self.member(peer).index)
                self._decide(entry, "prune", topic, peer, why)
            case GraftRefused(peer, topic, why):
                self._decide(entry, "refuse", topic, peer, why)
            case PromiseBroken(peer, times):
                self._decide(entry, "promise", "", peer, f"{times} promised and not sent")
            case MessageRefused(topic, sender, why):
                self._decide(entry, "message", topic, sender, why)
            case FanoutChosen(topic, peers):
                self.set_group("fanout", node, topic, peers)
            case Heartbeat(number, sizes):
                member = self.member(node)
                member.beat, member.sizes = number, dict(sizes)
                self.beat = max(self.beat, number)
                self.is_changed = True

    def _group(self, node: str, topic: str) -> set[int]:
        self.is_changed = True
        return self.mesh.setdefault(topic, {}).setdefault(self.member(node).index, set())

    def _decide(self, entry: Entry, kind: str, topic: str, peer: str, why: str) -> None:
        member = self.member(entry.node)
        decision = Decision(entry.time, member.beat + 1, kind, topic, self.member(peer).name, why)
        member.decisions.append(decision)

    # -- RPCs -------------------------------------------------------------------------------------

    def _take_rpc(self, entry: Entry, rpc: RPC, peer: str) -> None:
        is_sent = entry.direction == "sent"
        sender = entry.node if is_sent else peer
        for change in rpc.subscriptions:
            self.wants(sender, change.topic, change.subscribe)
        if is_sent:
            self._count(rpc, self.member(sender), self.member(peer))
            for message in rpc.publish:
                self._wave(message, sender, entry.time)
            return
        for message in rpc.publish:
            is_first = self._wave(message, sender, entry.time).copy(
                self.member(sender).index, self.member(entry.node).index, entry.time
            )
            self.totals["copies"] += 1
            self.totals["duplicates"] += not is_first
            member = self.member(entry.node)
            member.received += 1
            member.duplicates += not is_first

    def _count(self, rpc: RPC, sender: Member, receiver: Member) -> None:
        if self._measured is None or self._measured[0] is not rpc:
            self._measured = rpc, len(rpc.encode())
        size = self._measured[1]
        self.totals["messages" if rpc.publish else "control"] += size
        sender.bytes_sent += size
        parts = (rpc.ihave, rpc.iwant, rpc.idontwant, rpc.graft, rpc.prune)
        for number, part in enumerate(parts):
            if part:
                self.totals[PULSES[number]] += 1
                self._pulses.append((sender.index, receiver.index, number))

    def _wave(self, message: Message, sender: str, time: float) -> Wave:
        key = _key(message)
        wave = self.waves.get(key)
        if wave is None:
            if len(self.waves) >= MAX_WAVES:
                del self.waves[next(iter(self.waves))]
            origin = self.member(sender).index
            size = len(RPC(publish=(message,)).encode())
            wave = self.waves[key] = Wave(key, message.topic, origin, time, size)
        return wave

    # -- what there is ----------------------------------------------------------------------------

    @property
    def topics(self) -> list[str]:
        """All topics that anybody wants or publishes to."""
        wanted = {topic for member in self.members.values() for topic in member.topics}
        return sorted(wanted | {wave.topic for wave in self.waves.values()})

    def styles(self, topic: str) -> list[tuple[int, int, int]]:
        """Each link: its ends, and the number of its style."""
        members = list(self.members.values())
        mesh, fanout = self.mesh.get(topic, {}), self.fanout.get(topic, {})
        rows = []
        for a, b in self.links:
            both = topic in members[a].topics and topic in members[b].topics
            floods = "flood" in (members[a].kind, members[b].kind)
            if b in mesh.get(a, ()) or a in mesh.get(b, ()) or (both and floods):
                style = "mesh"
            elif b in fanout.get(a, ()) or a in fanout.get(b, ()):
                style = "fanout"
            else:
                style = "gossip" if both else "other"
            rows.append((a, b, STYLES.index(style)))
        return rows

    def take_pulses(self) -> list[tuple[int, int, int]]:
        """Control messages since the last call: from, to, which of `PULSES`."""
        pulses = list(self._pulses)
        self._pulses.clear()
        return pulses

    def summary(self, topic: str) -> str:
        """One sentence."""
        up = [member for member in self.members.values() if member.state == "up"]
        styles = Counter(STYLES[style] for _, _, style in self.styles(topic))
        is_flood = bool(up) and all(member.kind == "flood" for member in up)
        mesh = styles["mesh"]
        links = "links that flood" if is_flood else "mesh link" if mesh == 1 else "mesh links"
        parts = [f"{len(up)} peers", f"{mesh} {links}"]
        if not is_flood:
            parts.append(f"{styles['gossip']} for gossip only")
        if styles["fanout"]:
            parts.append(f"{styles['fanout']} for fan-out")
        gone = len(self.members) - len(up)
        return ", ".join([*parts, *([f"{gone} gone"] if gone else [])])

    def record(self, topic: str) -> dict[str, Any]:
        """All that a page draws, without the waves."""
        members = [member.told(topic) for member in self.members.values()]
        return {
            "members": members,
            "links": self.styles(topic),
            "totals": dict(self.totals),
            "beat": self.beat,
            "summary": self.summary(topic),
        }


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _key(message: Message) -> str:
    """One message's name, whatever the network calls it."""
    if message.from_peer is not None and message.seqno is not None:
        return (message.from_peer + message.seqno).hex()
    return f"{message.topic}/{message.data.hex()}"[:200]
