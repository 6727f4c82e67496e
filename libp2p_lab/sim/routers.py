"""A thousand pubsub routers in one process: their cores and nothing else.

Hosts on an `Internet` are whole: sockets, handshakes, streams. Where only the router is asked about, its core is
enough, since it takes in RPCs and the time, and gives out RPCs. So a link here is a delay, and nothing is signed.

    net = RouterNetwork(1000, lambda n, rng: FloodSubRouter(screen=believe), seed=1)
    net.connect_randomly(degree=10)
    net.join("news")
    net.run_for(5)
    net.publish(0, "news", b"x" * 500)
    net.run_for(3)
    net.copies, net.size, net.delays()
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Sequence

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.pubsub_messages import RPC, Message
from libp2p_lab.pubsub.router import Router, Send, Urgency
from libp2p_lab.pubsub.score import Verdict
from libp2p_lab.pubsub.signing import default_message_id

#: Makes the router of one node, from its number and its own chance.
MakeRouter = Callable[[int, random.Random], Router]
#: What a node really sends: its number, what its router wants to send, the time; and seconds that it waits.
Twist = Callable[[int, RPC, float], tuple[RPC, float]]

NEAR, FAR = 0.01, 0.1  # seconds of one link, one way
BEAT = 1.0  # seconds between two heartbeats


def believe(message: Message) -> None:
    """A screen that finds nothing: no message is signed here."""


def name_of(number: int) -> PeerId:
    """The peer id of a node."""
    return PeerId(b"\x12\x20" + number.to_bytes(32, "big"))


class RouterNetwork:
    """Routers, links with delays, and virtual time.

    Args:
        count: how many.
        make: makes each.
        seed: of all chance: links, delays, and when each node's heart beats.
        upload: bytes that a node can send in a second, of all or of each; what waits for its turn is sent in order,
            but for control messages, which go first. None: as much as it likes.

    Attributes:
        now: seconds.
        routers: by number.
        links: pairs of numbers, the lower first, and the link's delay.
        copies: messages that travelled, each counted on each link.
        size: bytes of all RPCs that travelled.
        arrived: by message id, when each node had it first.
        twist: what attackers do to what their routers want to send; None while there are none.
        ips: of nodes that have no address of their own.
    """

    def __init__(
        self,
        count: int,
        make: MakeRouter,
        seed: int = 0,
        *,
        upload: float | Sequence[float] | None = None,
    ) -> None:
        self.now = 0.0
        self.rng = random.Random(f"{seed}/network")
        self.routers = [make(n, random.Random(f"{seed}/{n}")) for n in range(count)]
        self.links: dict[tuple[int, int], float] = {}
        self.copies = 0
        self.size = 0
        self.arrived: dict[bytes, dict[int, float]] = {}
        self.twist: Twist | None = None
        self.ips: dict[int, str] = {}
        self._published: dict[bytes, float] = {}
        self._upload = [upload] * count if isinstance(upload, int | float) else upload
        self._idle_at = [0.0] * count  # when each node has sent what it has to send
        self._peers = [name_of(n) for n in range(count)]
        self._number = {peer: n for n, peer in enumerate(self._peers)}
        self._order = itertools.count()
        self._due: list[
            tuple[float, int, int, int, RPC | None]
        ] = []  # when, order, whom, from whom, what
        for n in range(count):
            self._put(self.rng.uniform(0, BEAT), n, n, None)

    # -- building -------------------------------------------------------------------------------------------------

    def connect(self, a: int, b: int, delay: float | None = None) -> None:
        """Connect two; `a` dials. Without `delay` the link gets one by lot."""
        key = (min(a, b), max(a, b))
        if a == b or key in self.links:
            return
        self.links[key] = self.rng.uniform(NEAR, FAR) if delay is None else delay
        protocol = next(p for p in self.routers[a].protocols if p in self.routers[b].protocols)
        for one, other, dialed in ((a, b, True), (b, a, False)):
            ips = [self.ips.get(other, f"10.{other >> 16}.{other >> 8 & 255}.{other & 255}")]
            self.routers[one].add_peer(
                self._peers[other], protocol, outbound=dialed, ips=ips, now=self.now
            )
            self._collect(one)

    def connect_randomly(self, degree: int) -> None:
        """A ring, so that all are reached, and links by lot until there are `degree` for each node, on average."""
        self.connect_randomly_among(range(len(self.routers)), degree)

    def connect_randomly_among(self, numbers: range, degree: int) -> None:
        """The same among some of them; links that they have to others do not count."""
        count, before = len(numbers), len(self.links)
        for n in range(count):
            self.connect(numbers[n], numbers[(n + 1) % count])
        while len(self.links) - before < min(count * degree // 2, count * (count - 1) // 2):
            self.connect(*self.rng.sample(numbers, 2))

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Cut links; both ends notice."""
        for a, b in links:
            del self.links[min(a, b), max(a, b)]
            self.routers[a].remove_peer(self._peers[b], self.now)
            self.routers[b].remove_peer(self._peers[a], self.now)

    # -- using ----------------------------------------------------------------------------------------------------

    def join(self, topic: str, numbers: Iterable[int] | None = None) -> None:
        """These join; all, if none are named."""
        for n in range(len(self.routers)) if numbers is None else numbers:
            self.routers[n].join(topic, self.now)
            self._collect(n)

    def publish(self, number: int, topic: str, data: bytes) -> bytes:
        """One publishes; the message's id."""
        seqno = (len(self._published) + 1).to_bytes(8, "big")
        message = Message(topic, data, self._peers[number].multihash, seqno)
        message_id = default_message_id(message)
        self._published[message_id] = self.now
        self.arrived[message_id] = {number: self.now}
        self.routers[number].publish(message_id, message, self.now)
        self._collect(number)
        return message_id

    def mesh_of(self, number: int, topic: str) -> list[int]:
        """The members of one node's mesh."""
        return [self._number[peer] for peer in self.routers[number].mesh(topic)]

    def mesh_links(self, topic: str) -> list[tuple[int, int]]:
        """The links over which messages of `topic` go at once, in either direction."""
        found = {
            (min(n, other), max(n, other))
            for n, router in enumerate(self.routers)
            for peer in router.mesh(topic)
            for other in (self._number[peer],)
        }
        return sorted(found & self.links.keys())

    def delays(self) -> list[float]:
        """How long each message took to each node but its author, the shortest first."""
        return sorted(
            at - self._published[message_id]
            for message_id, arrivals in self.arrived.items()
            for at in arrivals.values()
            if at > self._published[message_id]
        )

    def missing(self, message_id: bytes) -> int:
        """How many nodes have not got a message."""
        return len(self.routers) - len(self.arrived[message_id])

    # -- time -----------------------------------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, receiver, sender, rpc = heapq.heappop(self._due)
            if rpc is None:
                self.routers[receiver].heartbeat(self.now)
                self._put(self.now + BEAT, receiver, receiver, None)
            elif (min(sender, receiver), max(sender, receiver)) in self.links:
                self._hand_over(receiver, sender, rpc)
            self._collect(receiver)
        self.now = end

    def _hand_over(self, receiver: int, sender: int, rpc: RPC) -> None:
        router = self.routers[receiver]
        self.copies += len(rpc.publish)
        for arrival in router.receive(self._peers[sender], rpc, self.now):
            self.arrived[arrival.message_id].setdefault(receiver, self.now)
            router.decide(arrival, Verdict.ACCEPT, self.now)

    def _collect(self, number: int) -> None:
        """Send what a router wants sent."""
        for action in self.routers[number].take_actions():
            if isinstance(action, Send):
                rpc, wait = action.rpc, 0.0
                if self.twist is not None:
                    rpc, wait = self.twist(number, rpc, self.now)
                size = len(rpc.encode())
                if not size:
                    continue
                for peer in action.peers:
                    other = self._number[peer]
                    delay = self.links.get((min(number, other), max(number, other)))
                    if delay is not None:
                        self.size += size
                        sent = self._sent_at(number, size, action.urgency)
                        self._put(sent + delay + wait, other, number, rpc)

    def _sent_at(self, number: int, size: int, urgency: Urgency) -> float:
        """When a node has sent so many bytes more."""
        if self._upload is None:
            return self.now
        seconds = size / self._upload[number]
        if urgency is Urgency.CONTROL:
            return self.now + seconds
        self._idle_at[number] = max(self.now, self._idle_at[number]) + seconds
        return self._idle_at[number]

    def _put(self, when: float, receiver: int, sender: int, rpc: RPC | None) -> None:
        heapq.heappush(self._due, (when, next(self._order), receiver, sender, rpc))
