"""What the exams of chapter 07 put routers on: a table where each hands the other what it says. No sockets, no clock.

Two such tables: a whole network of routers, and one router among peers that are only names.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.pubsub_messages import RPC, Message, SubOpts
from libp2p_lab.pubsub.router import Arrival, Dial, Send
from libp2p_lab.pubsub.score import Verdict
from libp2p_lab.pubsub.signing import default_message_id

START = 1000.0  # seconds: clocks do not begin at 0
MOST_RPCS = 60_000  # handed over while nothing new happens; a right router needs a fraction of it

METHODS = (
    "add_peer",
    "remove_peer",
    "join",
    "leave",
    "receive",
    "decide",
    "publish",
    "heartbeat",
    "take_actions",
    "peers",
    "mesh",
)


def name_of(number: int) -> PeerId:
    """A peer id that nobody holds the key of; its text ends differently for each number."""
    return PeerId(b"\x12\x20" + number.to_bytes(32, "big"))


def message_from(author: PeerId, number: int, topic: str, data: bytes = b"hello") -> Message:
    """An unsigned message: whether a signature holds is none of a router's business."""
    return Message(topic, data, author.multihash, number.to_bytes(8, "big"))


def made_router(exam: Exam, answer: Any, rng: random.Random) -> Any:
    """A router of the student's: the answer, called with `rng`."""
    make = exam.callable_answer(answer, "a class that is called with `rng`")
    router = make(rng)
    missing = [name for name in METHODS if not callable(getattr(router, name, None))]
    if missing:
        exam.reject(
            "wrong-type",
            f"a router has the methods {', '.join(METHODS)}; missing: {', '.join(missing)}",
            got=shown(answer),
        )
    if not isinstance(getattr(router, "protocols", None), list | tuple):
        exam.reject("wrong-type", "`protocols` is a list of protocol ids", got=shown(answer))
    return router


def actions_of(exam: Exam, router: Any) -> list[Send]:
    """What a router wants sent; ends the exam if that is something else."""
    taken = router.take_actions()
    if not isinstance(taken, list | tuple):
        exam.reject("wrong-type", "take_actions returns a list of Send", got=shown(taken))
    sends = []
    for action in taken:
        if isinstance(action, Dial):
            continue
        is_send = isinstance(action, Send) and isinstance(action.rpc, RPC)
        if not is_send or not all(isinstance(peer, PeerId) for peer in action.peers):
            exam.reject(
                "wrong-type",
                "what a router wants done is Send(rpc, peers, urgency), with an RPC and PeerIds",
                got=shown(action),
            )
        sends.append(action)
    return sends


def arrivals_of(exam: Exam, got: Any) -> list[Arrival]:
    """What `receive` returned; ends the exam if that is something else."""
    is_list = isinstance(got, list | tuple)
    if not is_list or not all(isinstance(arrival, Arrival) for arrival in got):
        exam.reject("wrong-type", "receive returns a list of Arrival", got=shown(got))
    return list(got)


def told(rpc: RPC) -> str:
    """An RPC in a few words."""
    parts = [f"{'+' if opts.subscribe else '-'}{opts.topic}" for opts in rpc.subscriptions]
    parts += [f"message {(message.seqno or b'')[-2:].hex()}" for message in rpc.publish]
    parts += [f"GRAFT {graft.topic}" for graft in rpc.graft]
    parts += [f"PRUNE {prune.topic} backoff={prune.backoff}" for prune in rpc.prune]
    parts += [f"IHAVE {len(ihave.message_ids)} ids" for ihave in rpc.ihave]
    parts += [f"IWANT {len(iwant.message_ids)} ids" for iwant in rpc.iwant]
    return ", ".join(parts) or "nothing"


class Solo:
    """One router of the student's among peers that are only names.

    Args:
        exam: where a departure ends.
        answer: what makes the router.
        protocol: what the peers speak.
    """

    def __init__(self, exam: Exam, answer: Any, protocol: str) -> None:
        self.exam = exam
        self.now = START
        self.router = made_router(exam, answer, random.Random(exam.rng.random()))
        self.protocol = protocol
        self.sent: dict[PeerId, list[RPC]] = {}
        self.peers: list[PeerId] = []
        self._numbers = 0

    def add(
        self, count: int, topics: Iterable[str] = (), protocol: str | None = None
    ) -> list[PeerId]:
        """So many more peers, each of which wants `topics`."""
        added = [name_of(len(self.peers) + number + 1) for number in range(count)]
        self.peers += added
        wanted = tuple(SubOpts(True, topic) for topic in topics)
        for number, peer in enumerate(added):
            self.sent.setdefault(peer, [])
            self.router.add_peer(
                peer,
                protocol or self.protocol,
                outbound=number % 2 == 0,
                ips=[f"198.51.100.{len(self.sent)}"],
                now=self.now,
            )
            if wanted:
                self.say(peer, RPC(subscriptions=wanted))
        self.collect()
        return added

    def say(self, peer: PeerId, rpc: RPC) -> list[Arrival]:
        """A peer says something; what is new is accepted."""
        arrivals = self.hear(peer, rpc)
        for arrival in arrivals:
            self.router.decide(arrival, Verdict.ACCEPT, self.now)
        self.collect()
        return arrivals

    def hear(self, peer: PeerId, rpc: RPC) -> list[Arrival]:
        """A peer says something; the verdict is left to the caller."""
        self.exam.sent = f"{peer.short()} says: {told(rpc)}"
        return arrivals_of(self.exam, self.router.receive(peer, rpc, self.now))

    def message(self, topic: str, author: PeerId | None = None) -> Message:
        """A message that nobody has seen."""
        self._numbers += 1
        return message_from(author or name_of(9000), self._numbers, topic)

    def publish(self, topic: str) -> Message:
        """The router publishes."""
        message = self.message(topic, name_of(0))
        self.exam.sent = f"your router publishes in {topic!r}"
        self.router.publish(default_message_id(message), message, self.now)
        self.collect()
        return message

    def join(self, topic: str) -> None:
        """The router joins."""
        self.exam.sent = f"your router joins {topic!r}"
        self.router.join(topic, self.now)
        self.collect()

    def leave(self, topic: str) -> None:
        """The router leaves."""
        self.exam.sent = f"your router leaves {topic!r}"
        self.router.leave(topic, self.now)
        self.collect()

    def beat(self, times: int = 1) -> None:
        """Some heartbeats, a second apart."""
        for _ in range(times):
            self.now += 1.0
            self.exam.sent = f"a heartbeat, {self.now - START:g} s after the start"
            self.router.heartbeat(self.now)
            self.collect()

    def collect(self) -> None:
        """Take down what the router wants to say."""
        for action in actions_of(self.exam, self.router):
            for peer in action.peers:
                self.sent.setdefault(peer, []).append(action.rpc)

    def taken(self) -> dict[PeerId, list[RPC]]:
        """What was said to each peer since the last call."""
        found = {peer: rpcs for peer, rpcs in self.sent.items() if rpcs}
        self.sent = {peer: [] for peer in self.sent}
        return found

    def mesh(self, topic: str) -> list[PeerId]:
        """The router's mesh."""
        return list(self.router.mesh(topic))


@dataclass(slots=True)
class Node:
    """One router of a network."""

    router: Any
    peer: PeerId
    is_students: bool = True
    links: dict[int, None] = field(default_factory=dict)
    published: int = 0
    topics: set[str] = field(default_factory=set)  # that it has joined
    got: Counter[bytes] = field(default_factory=Counter)  # by message, how often it was delivered


class Network:
    """Routers that reach each other by function calls.

    Args:
        exam: where a departure ends.
        in_order: whether what was said first arrives first, everywhere; else a seed decides, and only each link
            keeps its order.

    Attributes:
        copies: messages that travelled, each counted on each link.
    """

    def __init__(self, exam: Exam, *, in_order: bool) -> None:
        self.exam = exam
        self.now = START
        self.nodes: list[Node] = []
        self.copies = 0
        self._in_order = in_order
        self._links: dict[tuple[int, int], deque[RPC]] = {}
        self._order: deque[tuple[int, int]] = deque()
        self._by_peer: dict[PeerId, int] = {}

    def add(self, router: Any, *, is_students: bool = True) -> int:
        """One more router; its number."""
        number = len(self.nodes)
        self.nodes.append(Node(router, name_of(number + 1), is_students))
        self._by_peer[self.nodes[-1].peer] = number
        return number

    def connect(self, a: int, b: int) -> None:
        """Connect two; `a` dialled. They speak the first protocol of `a` that both have."""
        one, other = self.nodes[a], self.nodes[b]
        if a == b or b in one.links:
            return
        one.links[b] = other.links[a] = None
        protocol = next((p for p in one.router.protocols if p in other.router.protocols), None)
        if protocol is None:
            return  # connected, and they have nothing to say to each other
        for node, its_peer, outbound in ((one, other, True), (other, one, False)):
            ips = [f"198.51.100.{self._by_peer[its_peer.peer] % 256}"]
            node.router.add_peer(its_peer.peer, protocol, outbound=outbound, ips=ips, now=self.now)
        self.settle()

    def disconnect(self, a: int, b: int) -> None:
        """Cut a link."""
        if b in self.nodes[a].links:
            del self.nodes[a].links[b], self.nodes[b].links[a]
            self.nodes[a].router.remove_peer(self.nodes[b].peer, self.now)
            self.nodes[b].router.remove_peer(self.nodes[a].peer, self.now)
            self.settle()

    @property
    def edges(self) -> int:
        """How many links there are."""
        return sum(len(node.links) for node in self.nodes) // 2

    def join(self, number: int, topic: str) -> None:
        """One router joins, unless it has."""
        node = self.nodes[number]
        if topic not in node.topics:
            node.topics.add(topic)
            node.router.join(topic, self.now)
            self.settle()

    def leave(self, number: int, topic: str) -> None:
        """One router leaves, if it has joined."""
        node = self.nodes[number]
        if topic in node.topics:
            node.topics.discard(topic)
            node.router.leave(topic, self.now)
            self.settle()

    def publish(self, number: int, topic: str) -> bytes:
        """One router publishes; the message's id."""
        node = self.nodes[number]
        node.published += 1
        message = message_from(node.peer, node.published, topic)
        message_id = default_message_id(message)
        node.got[message_id] += 1
        node.router.publish(message_id, message, self.now)
        self.settle()
        return message_id

    def beat(self, times: int = 1) -> None:
        """Some heartbeats of everybody, a second apart."""
        for _ in range(times):
            self.now += 1.0
            for node in self.nodes:
                node.router.heartbeat(self.now)
            self.settle()

    def settle(self) -> None:
        """Hand over all that anybody wants to say, until nobody does."""
        for number in range(len(self.nodes)):
            self._collect(number)
        handed = 0
        while self._links:
            sender, receiver = self._next()
            rpc = self._pop(sender, receiver)
            if receiver not in self.nodes[sender].links:
                continue
            handed += 1
            if handed > MOST_RPCS:
                self.exam.reject(
                    "loops",
                    f"{MOST_RPCS} RPCs after one event, and still no end",
                    departure=f"the last: {told(rpc)}",
                )
            self._hand_over(sender, receiver, rpc)
            self._collect(receiver)

    def _next(self) -> tuple[int, int]:
        if self._in_order:
            return self._order.popleft()
        return self.exam.rng.choice(list(self._links))

    def _pop(self, sender: int, receiver: int) -> RPC:
        queue = self._links[sender, receiver]
        rpc = queue.popleft()
        if not queue:
            del self._links[sender, receiver]
        return rpc

    def _hand_over(self, sender: int, receiver: int, rpc: RPC) -> None:
        node = self.nodes[receiver]
        self.copies += len(rpc.publish)
        got = node.router.receive(self.nodes[sender].peer, rpc, self.now)
        for arrival in arrivals_of(self.exam, got):
            node.got[arrival.message_id] += 1
            node.router.decide(arrival, Verdict.ACCEPT, self.now)

    def _collect(self, number: int) -> None:
        for action in actions_of(self.exam, self.nodes[number].router):
            for peer in action.peers:
                receiver = self._by_peer.get(peer)
                if receiver is not None:
                    self._links.setdefault((number, receiver), deque()).append(action.rpc)
                    self._order.append((number, receiver))


def random_links(rng: random.Random, count: int, degree: int) -> list[tuple[int, int]]:
    """A connected graph: a ring, and chords until there are `degree` links for each node, on average."""
    links = {tuple(sorted((node, (node + 1) % count))) for node in range(count)}
    while len(links) < min(count * degree // 2, count * (count - 1) // 2):
        links.add(tuple(sorted(rng.sample(range(count), 2))))
    return sorted((a, b) for a, b in links if a != b)


def only(rpcs: Sequence[RPC], pick: Callable[[RPC], Sequence[Any]]) -> list[Any]:
    """One kind of part of some RPCs, in order."""
    return [part for rpc in rpcs for part in pick(rpc)]
