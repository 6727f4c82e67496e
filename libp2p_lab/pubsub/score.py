"""The score: what one peer thinks of another, from what it saw of it. Nobody is told.

    score = min(cap, Σ over topics  weight · (P1 + P2 + P3 + P3b + P4))  +  P5  +  P6  +  P7

    P1   time in the mesh                 a little, for those who stay
    P2   first deliveries                 for being fast with what is new
    P3   too few deliveries in the mesh   against those who take and do not give
    P3b  the same, remembered             so that being pruned does not wash it off
    P4   invalid messages                 squared: one is an accident, ten are not
    P5   the application's opinion
    P6   many peers on one IP address     squared above a threshold: against sybils
    P7   misbehaviour                     broken promises, grafts during back-off

Counters fade with time, so the past is forgiven; they do not fade while the peer is away, so leaving does not help.

Misconception: scores are no reputation that peers share. They are local, and two honest peers may differ.

Spec: pubsub/gossipsub/gossipsub-v1.1.md#peer-scoring
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.parameters import ScoreParameters, TopicScoreParameters


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """One score, taken apart; weights are applied, P1 to P4 are sums over all topics.

    Attributes:
        total: the score.
        p1, p2, p3, p3b, p4, p5, p6, p7: its parts.
    """

    total: float
    p1: float
    p2: float
    p3: float
    p3b: float
    p4: float
    p5: float
    p6: float
    p7: float


class Verdict(Enum):
    """What became of a message."""

    PENDING = "pending"  # being validated
    ACCEPT = "accept"
    REJECT = "reject"  # invalid: whoever sent it is to blame
    IGNORE = "ignore"  # neither passed on nor held against anybody


class Score(Protocol):
    """What a router asks of a score, and tells it. `PeerScore` is one; a student's that fits is one too."""

    def score(self, peer: PeerId) -> float:
        """What we think of `peer` now; 0 for somebody that we do not know."""
        ...

    def add_peer(self, peer: PeerId, ips: Sequence[str]) -> None:
        """`peer` is connected, from these addresses."""
        ...

    def remove_peer(self, peer: PeerId, now: float) -> None:
        """`peer` is gone."""
        ...

    def graft(self, peer: PeerId, topic: str, now: float) -> None:
        """`peer` became a member of our mesh of `topic`."""
        ...

    def prune(self, peer: PeerId, topic: str) -> None:
        """`peer` is a member no longer."""
        ...

    def arrived(self, message_id: bytes, now: float) -> None:
        """A message arrived that is new; its validation begins."""
        ...

    def duplicate(self, peer: PeerId, message_id: bytes, topic: str, now: float) -> None:
        """`peer` brought a message that had arrived before."""
        ...

    def decided(
        self, peer: PeerId, message_id: bytes, topic: str, verdict: Verdict, now: float
    ) -> None:
        """The validation of the message that `peer` brought first is over."""
        ...

    def invalid(self, peer: PeerId, topic: str) -> None:
        """`peer` sent an invalid message of `topic`."""
        ...

    def penalize(self, peer: PeerId, count: int = 1) -> None:
        """`peer` misbehaved, `count` times."""
        ...

    def refresh(self, now: float) -> None:
        """Time has passed: let counters fade."""
        ...


@dataclass(slots=True)
class _TopicBook:
    """What one peer did in one topic."""

    in_mesh: bool = False
    grafted_at: float = 0.0
    mesh_time: float = 0.0
    active: bool = False  # long enough in the mesh for P3
    first_deliveries: float = 0.0
    mesh_deliveries: float = 0.0
    failure_penalty: float = 0.0
    invalid_deliveries: float = 0.0

    def deficit(self, parameters: TopicScoreParameters) -> float:
        """P3's counter: the missing deliveries, squared."""
        missing = parameters.mesh_message_deliveries_threshold - self.mesh_deliveries
        return missing * missing if self.active and missing > 0 else 0.0

    def leave_mesh(self, parameters: TopicScoreParameters) -> None:
        if self.in_mesh:
            self.failure_penalty += self.deficit(parameters)
            self.in_mesh = self.active = False


@dataclass(slots=True)
class _PeerBook:
    """What is known of one peer."""

    ips: tuple[str, ...] = ()
    connected: bool = True
    expires_at: float = 0.0  # once it is not
    behaviour_penalty: float = 0.0
    topics: dict[str, _TopicBook] = field(default_factory=dict)


@dataclass(slots=True)
class _Delivery:
    """Who brought one message, and what became of it."""

    expires_at: float
    verdict: Verdict = Verdict.PENDING
    decided_at: float = 0.0
    senders: dict[PeerId, None] = field(default_factory=dict)


class PeerScore:
    """The scores that one peer gives: a `Score`.

    Args:
        parameters: what counts, and how much.
        seen_ttl: seconds that a message's senders are remembered.
    """

    def __init__(self, parameters: ScoreParameters, seen_ttl: float = 120.0) -> None:
        self.parameters = parameters
        self._seen_ttl = seen_ttl
        self._peers: dict[PeerId, _PeerBook] = {}
        self._by_ip: dict[str, dict[PeerId, None]] = {}
        self._deliveries: OrderedDict[bytes, _Delivery] = OrderedDict()
        self._decayed_at: float | None = None

    # -- the score --------------------------------------------------------------------------------------------

    def score(self, peer: PeerId) -> float:
        """What we think of `peer` now; 0 for somebody that we do not know."""
        return self.parts(peer).total if peer in self._peers else 0.0

    def parts(self, peer: PeerId) -> ScoreParts:
        """The score of `peer`, taken apart.

        Spec: pubsub/gossipsub/gossipsub-v1.1.md#the-score-function
        """
        book = self._peers.get(peer)
        if book is None:
            return ScoreParts(0, 0, 0, 0, 0, 0, 0, 0, 0)
        p1 = p2 = p3 = p3b = p4 = 0.0
        for topic, seen in book.topics.items():
            of = self.parameters.topics[topic]
            weight = of.topic_weight
            if seen.in_mesh:
                points = min(seen.mesh_time // of.time_in_mesh_quantum, of.time_in_mesh_cap)
                p1 += weight * of.time_in_mesh_weight * points
            p2 += weight * of.first_message_deliveries_weight * seen.first_deliveries
            p3 += weight * of.mesh_message_deliveries_weight * seen.deficit(of)
            p3b += weight * of.mesh_failure_penalty_weight * seen.failure_penalty
            p4 += weight * of.invalid_message_deliveries_weight * seen.invalid_deliveries**2
        p5, p6, p7 = self._p5(peer), self._p6(book), self._p7(book)
        topics = p1 + p2 + p3 + p3b + p4
        if self.parameters.topic_score_cap > 0:
            topics = min(topics, self.parameters.topic_score_cap)
        return ScoreParts(topics + p5 + p6 + p7, p1, p2, p3, p3b, p4, p5, p6, p7)

    def _p5(self, peer: PeerId) -> float:
        opinion = self.parameters.app_specific_score
        return self.parameters.app_specific_weight * opinion(peer) if opinion is not None else 0.0

    def _p6(self, book: _PeerBook) -> float:
        surplus = 0
        for ip in book.ips:
            beyond = len(self._by_ip[ip]) - self.parameters.ip_colocation_threshold
            surplus += beyond * beyond if beyond > 0 else 0
        return self.parameters.ip_colocation_weight * surplus

    def _p7(self, book: _PeerBook) -> float:
        excess = book.behaviour_penalty - self.parameters.behaviour_penalty_threshold
        return self.parameters.behaviour_penalty_weight * excess * excess if excess > 0 else 0.0

    # -- peers come and go ------------------------------------------------------------------------------------

    def add_peer(self, peer: PeerId, ips: Sequence[str]) -> None:
        """`peer` is connected, from these addresses. A remembered score is taken up again."""
        book = self._peers.setdefault(peer, _PeerBook())
        book.connected = True
        self._forget_ips(peer, book)
        book.ips = tuple(
            dict.fromkeys(ip for ip in ips if ip not in self.parameters.ip_colocation_exempt)
        )
        for ip in book.ips:
            self._by_ip.setdefault(ip, {})[peer] = None

    def remove_peer(self, peer: PeerId, now: float) -> None:
        """`peer` is gone. A good score is forgotten, a bad one is kept for a while.

        Spec: pubsub/gossipsub/gossipsub-v1.1.md#peer-scoring
        """
        book = self._peers.get(peer)
        if book is None:
            return
        if self.score(peer) > 0:
            self._drop(peer)
            return
        for topic, seen in book.topics.items():
            seen.first_deliveries = 0.0
            seen.leave_mesh(self.parameters.topics[topic])
        book.connected = False
        book.expires_at = now + self.parameters.retain_score
        self._peers[peer] = self._peers.pop(peer)  # the last to leave stands last
        self._bound_retained()

    def _bound_retained(self) -> None:
        away = [peer for peer, book in self._peers.items() if not book.connected]
        for peer in away[: max(0, len(away) - self.parameters.max_retained)]:
            self._drop(peer)

    def _drop(self, peer: PeerId) -> None:
        self._forget_ips(peer, self._peers.pop(peer))

    def _forget_ips(self, peer: PeerId, book: _PeerBook) -> None:
        for ip in book.ips:
            self._by_ip[ip].pop(peer, None)
            if not self._by_ip[ip]:
                del self._by_ip[ip]
        book.ips = ()

    # -- the mesh ---------------------------------------------------------------------------------------------

    def graft(self, peer: PeerId, topic: str, now: float) -> None:
        """`peer` became a member of our mesh of `topic`."""
        seen = self._book(peer, topic)
        if seen is not None:
            seen.in_mesh, seen.grafted_at, seen.mesh_time, seen.active = True, now, 0.0, False

    def prune(self, peer: PeerId, topic: str) -> None:
        """`peer` is a member no longer."""
        seen = self._book(peer, topic)
        if seen is not None:
            seen.leave_mesh(self.parameters.topics[topic])

    # -- messages ---------------------------------------------------------------------------------------------

    def arrived(self, message_id: bytes, now: float) -> None:
        """A message arrived that is new; its validation begins."""
        self._deliveries.setdefault(message_id, _Delivery(now + self._seen_ttl))

    def duplicate(self, peer: PeerId, message_id: bytes, topic: str, now: float) -> None:
        """`peer` brought a message that had arrived before."""
        delivery = self._deliveries.get(message_id)
        if delivery is None or peer in delivery.senders:
            return
        match delivery.verdict:
            case Verdict.PENDING:
                delivery.senders[peer] = None
            case Verdict.ACCEPT:
                delivery.senders[peer] = None
                self._count_mesh_delivery(peer, topic, now - delivery.decided_at)
            case Verdict.REJECT:
                self.invalid(peer, topic)
            case Verdict.IGNORE:
                pass

    def decided(
        self, peer: PeerId, message_id: bytes, topic: str, verdict: Verdict, now: float
    ) -> None:
        """The validation of the message that `peer` brought first is over; its other senders are judged too."""
        delivery = self._deliveries.setdefault(message_id, _Delivery(now + self._seen_ttl))
        if delivery.verdict is not Verdict.PENDING:
            return
        delivery.verdict, delivery.decided_at = verdict, now
        others = [sender for sender in delivery.senders if sender != peer]
        delivery.senders[peer] = None
        match verdict:
            case Verdict.ACCEPT:
                self._count_first_delivery(peer, topic)
                for sender in others:
                    self._count_mesh_delivery(sender, topic, 0.0)
            case Verdict.REJECT:
                for sender in (peer, *others):
                    self.invalid(sender, topic)
            case _:
                pass

    def invalid(self, peer: PeerId, topic: str) -> None:
        """`peer` sent an invalid message of `topic`."""
        seen = self._book(peer, topic)
        if seen is not None:
            seen.invalid_deliveries += 1

    def _count_first_delivery(self, peer: PeerId, topic: str) -> None:
        seen = self._book(peer, topic)
        if seen is not None:
            cap = self.parameters.topics[topic].first_message_deliveries_cap
            seen.first_deliveries = min(seen.first_deliveries + 1, cap)
            self._count_mesh_delivery(peer, topic, 0.0)

    def _count_mesh_delivery(self, peer: PeerId, topic: str, late: float) -> None:
        """Count for P3, if `late` seconds after the message was accepted is near enough."""
        seen = self._book(peer, topic)
        if seen is None or not seen.in_mesh:
            return
        of = self.parameters.topics[topic]
        if late <= of.mesh_message_deliveries_window:
            seen.mesh_deliveries = min(seen.mesh_deliveries + 1, of.mesh_message_deliveries_cap)

    def _book(self, peer: PeerId, topic: str) -> _TopicBook | None:
        """The peer's page for a topic that counts."""
        book = self._peers.get(peer)
        if book is None or topic not in self.parameters.topics:
            return None
        return book.topics.setdefault(topic, _TopicBook())

    # -- misbehaviour and time --------------------------------------------------------------------------------

    def penalize(self, peer: PeerId, count: int = 1) -> None:
        """P7: `peer` misbehaved, `count` times."""
        book = self._peers.get(peer)
        if book is not None:
            book.behaviour_penalty += count

    def refresh(self, now: float) -> None:
        """Let counters fade, once for each decay interval that has passed; forget what is over.

        Spec: pubsub/gossipsub/gossipsub-v1.1.md#parameter-decay
        """
        while self._deliveries:
            message_id, delivery = next(iter(self._deliveries.items()))
            if delivery.expires_at > now:
                break
            del self._deliveries[message_id]
        interval = self.parameters.decay_interval
        if self._decayed_at is None:
            self._decayed_at = now
        while now - self._decayed_at >= interval:
            self._decayed_at += interval
            self._decay(now)

    def _decay(self, now: float) -> None:
        for peer, book in [*self._peers.items()]:
            if not book.connected:
                if book.expires_at <= now:
                    self._drop(peer)
                continue
            for topic, seen in book.topics.items():
                self._decay_topic(seen, self.parameters.topics[topic], now)
            book.behaviour_penalty = self._faded(
                book.behaviour_penalty, self.parameters.behaviour_penalty_decay
            )

    def _decay_topic(self, seen: _TopicBook, of: TopicScoreParameters, now: float) -> None:
        faded = self._faded
        seen.first_deliveries = faded(seen.first_deliveries, of.first_message_deliveries_decay)
        seen.mesh_deliveries = faded(seen.mesh_deliveries, of.mesh_message_deliveries_decay)
        seen.failure_penalty = faded(seen.failure_penalty, of.mesh_failure_penalty_decay)
        seen.invalid_deliveries = faded(
            seen.invalid_deliveries, of.invalid_message_deliveries_decay
        )
        if seen.in_mesh:
            seen.mesh_time = now - seen.grafted_at
            if seen.mesh_time > of.mesh_message_deliveries_activation:
                seen.active = True

    def _faded(self, counter: float, decay: float) -> float:
        counter *= decay
        return counter if counter >= self.parameters.decay_to_zero else 0.0
