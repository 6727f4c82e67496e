"""E7.5's arena: thirty peers in virtual time, nine of them hostile, and nothing but the score to tell who.

    5 of 9    fill everybody's mesh before the honest are there, and pass on nothing: one of them sends invalid
              messages, one tells of messages that do not exist, three are only silent
    4 of 9    live on one address, and pass everything on, until all of them stop at once
    2 of 21   honest peers share a flat, and so an address
    1 of 21   honest peers makes one mistake

Each honest peer can do so much work in a second, and what comes beyond that is lost: a message to be looked at is one
unit, and so is each message that it asks for. What a peer below the graylist threshold says costs nothing, nor does the
gossip of a peer below the gossip threshold.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from libp2p_lab.coursework.chapter_07_network import START, message_from, name_of
from libp2p_lab.errors import RecordInvalid
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.gossipsub import V11, GossipSubRouter
from libp2p_lab.pubsub.parameters import GossipSubParameters, ScoreThresholds
from libp2p_lab.pubsub.pubsub_messages import (
    RPC,
    ControlGraft,
    ControlIHave,
    Message,
    SubOpts,
)
from libp2p_lab.pubsub.router import Send
from libp2p_lab.pubsub.score import Score, Verdict
from libp2p_lab.pubsub.signing import default_message_id

TOPIC = "harbour"
HONEST = 21
FLAT, CLUMSY = (3, 4), 7  # honest peers on one address; the one that makes a mistake
KINDS = ("spam", "ihave", "silent", "silent", "silent", "sybil", "sybil", "sybil", "sybil")
FLOODS_FROM, WARM_UP, MEASURED = 5, 14, 12  # seconds: quiet, then floods of junk; then what counts
RATE = 5  # messages of honest peers in a second
SPAM, LIES = (
    120,
    120,
)  # invalid messages, and invented ids, of one attacker to each peer in a second
WORK = 100  # units that an honest peer can do in a second
PARAMETERS = GossipSubParameters(
    D=4, D_low=3, D_high=8, D_score=3, D_out=0, D_lazy=4, flood_publish=False
)
THRESHOLDS = ScoreThresholds()
_SPAM = b"spam"


def _screen(message: Message) -> None:
    if message.data == _SPAM:
        raise RecordInvalid("a message that is not in order")


@dataclass(slots=True)
class _Honest:
    """One honest peer."""

    peer: PeerId
    ip: str
    score: Score
    router: GossipSubRouter
    work: int = 0  # that can still be done in this second
    got: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Hostile:
    """One attacker. What it is sent, it reads; what it does with it depends on its kind."""

    peer: PeerId
    ip: str
    kind: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the honest peers.

    Attributes:
        delivery: the share of messages that reached a peer before the next heartbeat.
        ejected: the share of pairs of honest peers in which one has the other below 0 at the end.
        unseen: by kind of attacker, the share of pairs in which one can still do its harm when the measuring begins.
    """

    delivery: float
    ejected: float
    unseen: dict[str, float]


class Arena:
    """Honest peers with one kind of score, and attackers, all connected with all.

    Args:
        make_score: makes the score of one honest peer.
        rng: chance.
        kinds: the attackers.
    """

    def __init__(
        self,
        make_score: Callable[[], Score],
        rng: random.Random,
        kinds: tuple[str, ...] = KINDS,
    ) -> None:
        self.rng = rng
        self.now = START
        self._queue: deque[tuple[PeerId, PeerId, RPC]] = deque()
        self._serial = 0
        self.honest = [self._make_honest(number, make_score()) for number in range(HONEST)]
        self.hostile = [
            _Hostile(
                name_of(HONEST + n + 1),
                "203.0.113.9" if kind == "sybil" else f"203.0.113.{100 + n}",
                kind,
            )
            for n, kind in enumerate(kinds)
        ]
        self._everybody: list[_Honest | _Hostile] = [*self.honest, *self.hostile]
        self._by_peer = {node.peer: node for node in self._everybody}
        self._relayed: dict[PeerId, set[bytes]] = {node.peer: set() for node in self.hostile}

    def _make_honest(self, number: int, score: Score) -> _Honest:
        router = GossipSubRouter(
            screen=_screen,
            score=score,
            rng=random.Random(self.rng.random()),
            parameters=PARAMETERS,
            thresholds=THRESHOLDS,
        )
        ip = "198.51.100.200" if number in FLAT else f"198.51.100.{number + 1}"
        return _Honest(name_of(number + 1), ip, score, router)

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Everything, from the first connection on."""
        self._meet()
        for _ in range(WARM_UP):
            self._second(sybils_work=True)
        unseen = {
            kind: self._share_unseen(kind) for kind in dict.fromkeys(n.kind for n in self.hostile)
        }
        delivered = total = 0
        for _ in range(MEASURED):
            ids = self._second(sybils_work=False)
            total += len(ids) * HONEST
            delivered += sum(message_id in node.got for node in self.honest for message_id in ids)
        pairs = [(a, b) for a in self.honest for b in self.honest if a is not b]
        ejected = sum(a.score.score(b.peer) < 0 for a, b in pairs)
        return Outcome(delivered / total, ejected / len(pairs), unseen)

    def _share_unseen(self, kind: str) -> float:
        seen = [self._is_free(n, h) for n in self.honest for h in self.hostile if h.kind == kind]
        return sum(seen) / len(seen)

    def _is_free(self, node: _Honest, attacker: _Hostile) -> bool:
        """Whether an attacker can still do to this peer what its kind does."""
        match attacker.kind:
            case "spam":
                return node.score.score(attacker.peer) >= THRESHOLDS.graylist
            case "ihave":
                return node.score.score(attacker.peer) >= THRESHOLDS.gossip
            case _:
                return attacker.peer in node.router.mesh(TOPIC)

    def _meet(self) -> None:
        """All connect; the attackers are in the topic first, and graft everybody."""
        wants = RPC(subscriptions=(SubOpts(True, TOPIC),))
        for node in self.honest:
            for other in self.rng.sample(self._everybody, len(self._everybody)):
                if other is not node:
                    outbound = node.peer.multihash < other.peer.multihash
                    node.router.add_peer(
                        other.peer, V11, outbound=outbound, ips=[other.ip], now=self.now
                    )
            for other in self.hostile:
                node.router.receive(other.peer, wants, self.now)
            node.router.join("elsewhere", self.now)
        order = self.rng.sample(self.honest, HONEST)
        for node in order:
            node.work = WORK
            node.router.join(TOPIC, self.now)
        for attacker in self.hostile:
            for node in order:
                self._queue.append((attacker.peer, node.peer, RPC(graft=(ControlGraft(TOPIC),))))
        self._settle(sybils_work=True)

    def _second(self, *, sybils_work: bool) -> list[bytes]:
        """Attacks, messages, and the heartbeats of one second; the ids of the messages."""
        for node in self.honest:
            node.work = WORK
        if self.now >= START + FLOODS_FROM:
            self._attack()
        self._settle(sybils_work=sybils_work)
        ids = []
        for _ in range(RATE):
            node = self.rng.choice(self.honest)
            message = self._message(node.peer, b"hello")
            ids.append(default_message_id(message))
            node.got.add(ids[-1])
            node.router.publish(ids[-1], message, self.now)
            self._collect(node)
            self._settle(sybils_work=sybils_work)
            self.now += 1 / RATE
        before = [set(node.got) for node in self.honest]
        self._make_a_mistake()
        for node in self.honest:
            node.router.heartbeat(self.now)
            self._collect(node)
        self._settle(sybils_work=sybils_work)
        for node, got in zip(self.honest, before, strict=True):
            node.got = got  # what gossip brought came too late to count
        return ids

    def _make_a_mistake(self) -> None:
        if round(self.now - START) == WARM_UP:
            wrong = RPC(publish=(self._message(self.honest[CLUMSY].peer, _SPAM),))
            for node in self.honest:
                if node is not self.honest[CLUMSY]:
                    self._queue.append((self.honest[CLUMSY].peer, node.peer, wrong))

    def _attack(self) -> None:
        for attacker in self.hostile:
            rpcs: list[RPC] = []
            for _ in range(3):
                if attacker.kind == "spam":
                    junk = (self._message(attacker.peer, _SPAM) for _ in range(SPAM // 3))
                    rpcs.append(RPC(publish=tuple(junk)))
                elif attacker.kind == "ihave":
                    lies = tuple(self.rng.randbytes(12) for _ in range(LIES // 3))
                    rpcs.append(RPC(ihave=(ControlIHave(TOPIC, lies),)))
            for node in self.honest:
                self._queue.extend((attacker.peer, node.peer, rpc) for rpc in rpcs)

    def _message(self, author: PeerId, data: bytes) -> Message:
        self._serial += 1
        return message_from(author, self._serial, TOPIC, data)

    # -- handing over ---------------------------------------------------------------------------------------------

    def _settle(self, *, sybils_work: bool) -> None:
        for node in self.honest:
            self._collect(node)
        while self._queue:
            sender, receiver, rpc = self._queue.popleft()
            match self._by_peer[receiver]:
                case _Honest() as node:
                    self._hand_over(node, sender, rpc)
                    self._collect(node)
                case _Hostile(kind="sybil") as sybil if sybils_work:
                    self._relay(sybil, sender, rpc)
                case _:
                    pass  # the others only read

    def _hand_over(self, node: _Honest, sender: PeerId, rpc: RPC) -> None:
        if rpc.publish and node.score.score(sender) >= THRESHOLDS.graylist:
            node.work -= len(rpc.publish)
            if node.work < 0:
                return
        for arrival in node.router.receive(sender, rpc, self.now):
            node.got.add(arrival.message_id)
            node.router.decide(arrival, Verdict.ACCEPT, self.now)

    def _collect(self, node: _Honest) -> None:
        for action in node.router.take_actions():
            if isinstance(action, Send):
                node.work -= sum(len(iwant.message_ids) for iwant in action.rpc.iwant)
                for peer in action.peers:
                    self._queue.append((node.peer, peer, action.rpc))

    def _relay(self, sybil: _Hostile, sender: PeerId, rpc: RPC) -> None:
        """A Sybil that works passes each message on to everybody, as long as it pays."""
        for message in rpc.publish:
            message_id = default_message_id(message)
            if message_id not in self._relayed[sybil.peer]:
                self._relayed[sybil.peer].add(message_id)
                for node in self.honest:
                    if node.peer != sender:
                        self._queue.append((sybil.peer, node.peer, RPC(publish=(message,))))
