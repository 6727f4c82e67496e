"""Many routers and no network: what one wants to send is handed to the other, in an order that a seed decides."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub import (
    GossipSubParameters,
    GossipSubRouter,
    Message,
    PeerScore,
    Router,
    ScoreParameters,
    Verdict,
)
from libp2p_lab.pubsub.floodsub import FloodSubRouter
from libp2p_lab.pubsub.router import Arrival, Dial, Send
from libp2p_lab.trace import Probe, Trace


def peer_id(number: int) -> PeerId:
    """A name that nobody holds the key of."""
    return PeerId(b"\x12\x20" + number.to_bytes(32, "big"))


def accept_all(message: Message) -> None:
    """A screen that finds nothing."""


def gossip_router(
    number: int,
    seed: int = 0,
    parameters: GossipSubParameters | None = None,
    score: ScoreParameters | None = None,
    trace: Trace | None = None,
    **options: object,
) -> GossipSubRouter:
    return GossipSubRouter(
        screen=options.pop("screen", accept_all),
        score=PeerScore(score or ScoreParameters()),
        rng=random.Random(f"{seed}/{number}"),
        parameters=parameters,
        probe=Probe(trace, "pubsub"),
        **options,
    )


def flood_router(number: int, seed: int = 0) -> FloodSubRouter:
    return FloodSubRouter(screen=accept_all)


class CoreNetwork:
    """Routers that reach each other by function calls.

    Attributes:
        now: the time; `beat` moves it.
        delivered: by router, the ids of the messages that it took, in order.
        messages_sent: copies of messages that travelled.
        sent: every RPC that travelled: (from, to, rpc).
        dials: what routers wanted to dial.
    """

    def __init__(self, count: int, make: Callable[[int], Router], seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.routers = [make(number) for number in range(count)]
        self.ids = [peer_id(number) for number in range(count)]
        self.number = {peer: number for number, peer in enumerate(self.ids)}
        self.links: dict[int, dict[int, None]] = {number: {} for number in range(count)}
        self.delivered: list[list[bytes]] = [[] for _ in range(count)]
        self.messages_sent = 0
        self.sent: list[tuple[int, int, object]] = []
        self.dials: list[Dial] = []
        self.verdict: Callable[[int, Arrival], Verdict] = lambda number, arrival: Verdict.ACCEPT
        self._waiting: dict[tuple[int, int], deque[object]] = {}  # a link keeps its order

    def connect(self, a: int, b: int) -> None:
        """Connect two; `a` is the one that dialed."""
        if b in self.links[a] or a == b:
            return
        self.links[a][b] = self.links[b][a] = None
        for one, other, outbound in ((a, b, True), (b, a, False)):
            router = self.routers[one]
            common = [p for p in router.protocols if p in self.routers[other].protocols]
            router.add_peer(
                self.ids[other], common[0], outbound=outbound, ips=[f"10.0.0.{other}"], now=self.now
            )
        self.settle()

    def disconnect(self, a: int, b: int) -> None:
        del self.links[a][b], self.links[b][a]
        self.routers[a].remove_peer(self.ids[b], self.now)
        self.routers[b].remove_peer(self.ids[a], self.now)
        self.settle()

    def connect_randomly(self, degree: int) -> None:
        """A ring, so that all are reached, and chords."""
        count = len(self.routers)
        for number in range(count):
            self.connect(number, (number + 1) % count)
            for _ in range(max(0, degree // 2 - 1)):
                self.connect(number, self.rng.randrange(count))

    @property
    def edges(self) -> int:
        return sum(map(len, self.links.values())) // 2

    def join_all(self, topic: str) -> None:
        for router in self.routers:
            router.join(topic, self.now)
        self.settle()

    def publish(self, number: int, data: bytes, topic: str = "t") -> bytes:
        seqno = (len(self.sent) + 1).to_bytes(8, "big")
        message = Message(topic, data, self.ids[number].multihash, seqno)
        message_id = (message.from_peer or b"") + seqno
        self.delivered[number].append(message_id)
        self.routers[number].publish(message_id, message, self.now)
        self.settle()
        return message_id

    def beat(self, times: int = 1, seconds: float = 1.0) -> None:
        for _ in range(times):
            self.now += seconds
            for router in self.routers:
                router.heartbeat(self.now)
            self.settle()

    def settle(self) -> None:
        """Hand over everything that anybody wants to send, until nobody does."""
        self._collect(range(len(self.routers)))
        while self._waiting:
            sender, receiver = self.rng.choice(list(self._waiting))
            queue = self._waiting[sender, receiver]
            rpc = queue.popleft()
            if not queue:
                del self._waiting[sender, receiver]
            if receiver not in self.links[sender]:
                continue
            self.sent.append((sender, receiver, rpc))
            self.messages_sent += len(rpc.publish)  # type: ignore[attr-defined]
            router = self.routers[receiver]
            for arrival in router.receive(self.ids[sender], rpc, self.now):  # type: ignore[arg-type]
                verdict = self.verdict(receiver, arrival)
                if verdict is Verdict.ACCEPT:
                    self.delivered[receiver].append(arrival.message_id)
                router.decide(arrival, verdict, self.now)
            self._collect([receiver])

    def _collect(self, numbers: object) -> None:
        for number in numbers:  # type: ignore[attr-defined]
            for action in self.routers[number].take_actions():
                match action:
                    case Send(rpc, peers, _):
                        for peer in peers:
                            link = (number, self.number[peer])
                            self._waiting.setdefault(link, deque()).append(rpc)
                    case Dial():
                        self.dials.append(action)
