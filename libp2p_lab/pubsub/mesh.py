"""The mesh: for each topic a few peers, chosen on both sides, who send each other every message at once.

    D_low ≤ members ≤ D_high; at each heartbeat the number is brought back to D if it has left that range
    GRAFT   you are in my mesh          the other puts us into its own, or answers PRUNE
    PRUNE   you are out                 both wait out a back-off before they try each other again

Membership says nothing about content: a peer is grafted because we have too few, or better than those we have, never
because it holds a certain message. PRUNE ends no connection: a pruned peer still hears gossip.

For topics that we publish to but do not want ourselves there is the *fanout*: D peers, picked by us alone.

Spec: pubsub/gossipsub/gossipsub-v1.0.md#mesh-maintenance, pubsub/gossipsub/gossipsub-v1.1.md#heartbeat-maintenance
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.events import FanoutChosen, Grafted, GraftRefused, Pruned
from libp2p_lab.pubsub.parameters import GossipSubParameters, ScoreThresholds
from libp2p_lab.pubsub.pubsub_messages import ControlGraft, ControlPrune, PXPeer
from libp2p_lab.pubsub.router import Topics
from libp2p_lab.pubsub.score import Score
from libp2p_lab.trace import Probe

if TYPE_CHECKING:
    import random

Members = dict[PeerId, None]  # a set that keeps its order, so that a run can be repeated


class Mesh:
    """The meshes and fanouts of one peer.

    Args:
        parameters: D and its relatives.
        thresholds: from which score on a peer may be what.
        topics: who wants what.
        score: our opinion of peers; told of every graft and prune.
        rng: chance.
        probe: where decisions are told.
        offer_peers: whether pruned peers are offered others (peer exchange).
        record_of: the signed record of a peer, b"" if there is none.

    Attributes:
        members: by topic, our mesh.
        fanout: by topic, whom we publish to in topics that we do not want.
        grafts, prunes: what has to be sent, by peer. Whoever sends it empties them.
    """

    def __init__(
        self,
        parameters: GossipSubParameters,
        thresholds: ScoreThresholds,
        topics: Topics,
        score: Score,
        rng: random.Random,
        probe: Probe,
        *,
        offer_peers: bool,
        record_of: Callable[[PeerId], bytes],
    ) -> None:
        self._parameters = parameters
        self._thresholds = thresholds
        self._topics = topics
        self._score = score
        self._rng = rng
        self._probe = probe
        self._offer_peers = offer_peers
        self._record_of = record_of
        self._able: Members = {}  # peers that speak a protocol with meshes
        self._outbound: Members = {}  # peers that we dialed
        self._explicit: Members = {}  # peers that get everything, outside of all meshes
        self._backoff: dict[str, dict[PeerId, float]] = {}  # by topic and peer, when it ends
        self._published_at: dict[str, float] = {}  # by fanout topic
        self._beats = 0
        self.members: dict[str, Members] = {}
        self.fanout: dict[str, Members] = {}
        self.grafts: dict[PeerId, list[ControlGraft]] = {}
        self.prunes: dict[PeerId, list[ControlPrune]] = {}

    # -- peers ------------------------------------------------------------------------------------------------

    def add_peer(self, peer: PeerId, *, outbound: bool, explicit: bool) -> None:
        """A peer that can be grafted is here."""
        self._able[peer] = None
        if outbound:
            self._outbound[peer] = None
        if explicit:
            self._explicit[peer] = None

    def remove_peer(self, peer: PeerId) -> None:
        """A peer is gone. Its back-off stays."""
        for peers in (self._able, self._outbound, self._explicit):
            peers.pop(peer, None)
        for members in (*self.members.values(), *self.fanout.values()):
            members.pop(peer, None)
        self.grafts.pop(peer, None)
        self.prunes.pop(peer, None)

    def peer_left_topic(self, peer: PeerId, topic: str) -> None:
        """A peer no longer wants a topic: it leaves our mesh without a PRUNE."""
        if peer in self.members.get(topic, {}):
            self._remove(peer, topic, "it left the topic")
        self.fanout.get(topic, {}).pop(peer, None)

    def use(self, parameters: GossipSubParameters) -> None:
        """Other numbers from the next heartbeat on."""
        self._parameters = parameters

    def backoffs(self, topic: str) -> dict[PeerId, float]:
        """Who may not be grafted yet, and the moment at which that ends."""
        return dict(self._backoff.get(topic, {}))

    def is_member(self, peer: PeerId) -> bool:
        """Whether `peer` is in any of our meshes."""
        return any(peer in members for members in self.members.values())

    # -- our topics -------------------------------------------------------------------------------------------

    def join(self, topic: str, now: float) -> None:
        """Build a mesh of D peers; those of the fanout come first.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#topic-membership
        """
        self.members[topic] = {}
        self._published_at.pop(topic, None)
        known = [p for p in self.fanout.get(topic, {}) if self._may_graft(p, topic, now)]
        if topic in self.fanout:
            self._end_fanout(topic)
        for peer in known[: self._parameters.D]:
            self._graft(peer, topic, now, "we joined the topic, it was in our fanout")
        missing = self._parameters.D - len(self.members[topic])
        for peer in self._pick(self._candidates(topic, now), missing):
            self._graft(peer, topic, now, "we joined the topic")

    def leave(self, topic: str, now: float) -> None:
        """Tell our mesh that it is over."""
        for peer in [*self.members.get(topic, {})]:
            backoff = self._parameters.unsubscribe_backoff
            self._prune(peer, topic, now, "we left the topic", backoff=backoff)
        self.members.pop(topic, None)

    def fanout_of(self, topic: str, now: float) -> Members:
        """Whom to publish to in a topic that we do not want.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#fanout-maintenance
        """
        self._published_at[topic] = now
        if not self.fanout.get(topic):
            able = self._fanout_candidates(topic)
            self._choose_fanout(topic, self._pick(able, self._parameters.D))
        return self.fanout[topic]

    # -- what peers say ---------------------------------------------------------------------------------------

    def graft_received(self, peer: PeerId, topic: str, now: float) -> None:
        """Take `peer` into our mesh, or answer PRUNE. A topic that we do not have is not worth an answer.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#graft,
            pubsub/gossipsub/gossipsub-v1.1.md#prune-backoff-and-peer-exchange
        """
        members = self.members.get(topic)
        if members is None or peer in members or peer not in self._able:
            return
        backoff_ends = self._backoff.get(topic, {}).get(peer, 0.0)
        full = len(members) >= self._parameters.D_high
        if peer in self._explicit:
            self._refuse(peer, topic, now, "explicit peers are in no mesh", offer=False)
        elif now < backoff_ends:
            begun = backoff_ends - self._parameters.prune_backoff
            at_once = now < begun + self._parameters.graft_flood_threshold
            self._score.penalize(peer, 2 if at_once else 1)
            self._refuse(peer, topic, now, "it is in back-off", offer=False)
        elif (score := self._score.score(peer)) < 0:
            self._refuse(peer, topic, now, f"its score is {score:.1f}", offer=False)
        elif full and peer not in self._outbound:
            self._refuse(peer, topic, now, f"there are {len(members)} members already")
        else:
            self._add(peer, topic, now, "it grafted us")

    def prune_received(self, peer: PeerId, prune: ControlPrune, now: float) -> tuple[PXPeer, ...]:
        """`peer` took us out. Returns the peers that it offers, as far as we trust it.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#prune,
            pubsub/gossipsub/gossipsub-v1.1.md#prune-backoff-and-peer-exchange
        """
        members = self.members.get(prune.topic)
        if members is None:
            return ()
        if peer in members:
            self._remove(peer, prune.topic, "it pruned us")
        seconds = prune.backoff if prune.backoff else self._parameters.prune_backoff
        self._add_backoff(peer, prune.topic, now, min(seconds, self._parameters.max_backoff))
        if self._score.score(peer) < self._thresholds.accept_px:
            return ()
        return self._rng_order(prune.peers)[: self._parameters.prune_peers]

    def _rng_order(self, peers: Iterable[PXPeer]) -> tuple[PXPeer, ...]:
        shuffled = list(peers)
        self._rng.shuffle(shuffled)
        return tuple(shuffled)

    # -- the heartbeat ----------------------------------------------------------------------------------------

    def heartbeat(self, now: float) -> None:
        """Bring every mesh and fanout back into its bounds."""
        self._beats += 1
        self._end_backoffs(now)
        for topic in self.members:
            self._drop_bad(topic, now)
            self._fill(topic, now)
            self._thin_out(topic, now)
            self._keep_outbound(topic, now)
            if self._beats % self._parameters.opportunistic_graft_ticks == 0:
                self._graft_opportunistically(topic, now)
        self._keep_fanouts(now)

    def _drop_bad(self, topic: str, now: float) -> None:
        for peer in [*self.members[topic]]:
            score = self._score.score(peer)
            if score < 0:
                self._prune(peer, topic, now, f"its score is {score:.1f}", offer=False)

    def _fill(self, topic: str, now: float) -> None:
        """Too few members: graft up to D."""
        members = self.members[topic]
        if len(members) < self._parameters.D_low:
            why = f"{len(members)} members, D_low is {self._parameters.D_low}"
            missing = self._parameters.D - len(members)
            for peer in self._pick(self._candidates(topic, now), missing):
                self._graft(peer, topic, now, why)

    def _thin_out(self, topic: str, now: float) -> None:
        """Too many: keep the D_score best, D_out that we dialed, the rest by lot.

        Spec: pubsub/gossipsub/gossipsub-v1.1.md#heartbeat-maintenance,
            pubsub/gossipsub/gossipsub-v1.1.md#outbound-mesh-quotas
        """
        members = self.members[topic]
        parameters = self._parameters
        if len(members) <= parameters.D_high:
            return
        why = f"{len(members)} members, D_high is {parameters.D_high}"
        ordered = list(members)
        self._rng.shuffle(ordered)  # equal scores are in random order
        ordered.sort(key=self._score.score, reverse=True)
        rest = ordered[parameters.D_score :]
        self._rng.shuffle(rest)
        ordered[parameters.D_score :] = rest
        dialed = sum(peer in self._outbound for peer in ordered[: parameters.D])
        if dialed < parameters.D_out:
            ours = [p for p in ordered[parameters.D :] if p in self._outbound]
            moved = ours[: parameters.D_out - dialed]
            others = [p for p in ordered[: parameters.D] if p not in self._outbound]
            given_up = others[len(others) - len(moved) :]  # the last: by lot, then the lower scores
            kept = [p for p in ordered[: parameters.D] if p not in given_up] + moved
            ordered = kept + [p for p in ordered if p not in kept]
        for peer in ordered[parameters.D :]:
            self._prune(peer, topic, now, why)

    def _keep_outbound(self, topic: str, now: float) -> None:
        """Enough members, but too few that we dialed: graft some, so that nobody can surround us from outside."""
        members = self.members[topic]
        if len(members) < self._parameters.D_low:
            return
        missing = self._parameters.D_out - sum(peer in self._outbound for peer in members)
        if missing > 0:
            dialed = [p for p in self._candidates(topic, now) if p in self._outbound]
            for peer in self._pick(dialed, missing):
                self._graft(peer, topic, now, f"D_out is {self._parameters.D_out}")

    def _graft_opportunistically(self, topic: str, now: float) -> None:
        """A mesh of poor members takes in some that are better than its median.

        Spec: pubsub/gossipsub/gossipsub-v1.1.md#opportunistic-grafting
        """
        members = self.members[topic]
        if len(members) < 2:
            return
        middle = sorted(self._score.score(peer) for peer in members)[len(members) // 2]
        if middle >= self._thresholds.opportunistic_graft:
            return
        better = [p for p in self._candidates(topic, now) if self._score.score(p) > middle]
        for peer in self._pick(better, self._parameters.opportunistic_graft_peers):
            self._graft(peer, topic, now, f"the median score is {middle:.1f}")

    def _keep_fanouts(self, now: float) -> None:
        for topic in [*self.fanout]:
            if now - self._published_at[topic] > self._parameters.fanout_ttl:
                del self._published_at[topic]
                self._end_fanout(topic)
                continue
            able = self._fanout_candidates(topic)
            kept = [peer for peer in self.fanout[topic] if peer in able]
            others = [peer for peer in able if peer not in self.fanout[topic]]
            kept += self._pick(others, self._parameters.D - len(kept))
            if kept != list(self.fanout[topic]):
                self._choose_fanout(topic, kept)

    def _choose_fanout(self, topic: str, peers: list[PeerId]) -> None:
        self.fanout[topic] = dict.fromkeys(peers)
        if self._probe.trace.listeners:
            self._probe.emit("event", FanoutChosen(topic, tuple(map(str, peers))))

    def _end_fanout(self, topic: str) -> None:
        del self.fanout[topic]
        if self._probe.trace.listeners:
            self._probe.emit("event", FanoutChosen(topic, ()))

    # -- who may be what --------------------------------------------------------------------------------------

    def _candidates(self, topic: str, now: float) -> list[PeerId]:
        """Who could become a member."""
        members = self.members[topic]
        return [
            peer
            for peer in self._topics.peers(topic)
            if peer not in members and self._may_graft(peer, topic, now)
        ]

    def _may_graft(self, peer: PeerId, topic: str, now: float) -> bool:
        backoff = self._backoff.get(topic, {}).get(peer)
        return (
            peer in self._able
            and peer not in self._explicit
            and (backoff is None or now >= backoff + self._parameters.backoff_slack)
            and self._score.score(peer) >= 0
        )

    def _fanout_candidates(self, topic: str) -> Members:
        return {
            peer: None
            for peer in self._topics.peers(topic)
            if peer in self._able
            and peer not in self._explicit
            and self._score.score(peer) >= self._thresholds.publish
        }

    def _pick(self, peers: Iterable[PeerId], n: int) -> list[PeerId]:
        """Up to `n` of them, by lot."""
        pool = list(peers)
        return self._rng.sample(pool, min(max(n, 0), len(pool)))

    # -- the steps --------------------------------------------------------------------------------------------

    def _graft(self, peer: PeerId, topic: str, now: float, why: str) -> None:
        self._add(peer, topic, now, why)
        self.grafts.setdefault(peer, []).append(ControlGraft(topic))

    def _add(self, peer: PeerId, topic: str, now: float, why: str) -> None:
        self.members[topic][peer] = None
        self._score.graft(peer, topic, now)
        if self._probe.trace.listeners:
            self._probe.emit("event", Grafted(str(peer), topic, why))

    def _remove(self, peer: PeerId, topic: str, why: str) -> None:
        del self.members[topic][peer]
        self._score.prune(peer, topic)
        if self._probe.trace.listeners:
            self._probe.emit("event", Pruned(str(peer), topic, why))

    def _prune(
        self,
        peer: PeerId,
        topic: str,
        now: float,
        why: str,
        *,
        backoff: float | None = None,
        offer: bool = True,
    ) -> None:
        self._remove(peer, topic, why)
        self._send_prune(peer, topic, now, backoff, offer)

    def _refuse(
        self, peer: PeerId, topic: str, now: float, why: str, *, offer: bool = True
    ) -> None:
        if self._probe.trace.listeners:
            self._probe.emit("event", GraftRefused(str(peer), topic, why))
        self._send_prune(peer, topic, now, None, offer)

    def _send_prune(
        self, peer: PeerId, topic: str, now: float, backoff: float | None, offer: bool
    ) -> None:
        seconds = self._parameters.prune_backoff if backoff is None else backoff
        self._add_backoff(peer, topic, now, seconds)
        offered = self._offered(peer, topic) if offer and self._offer_peers else ()
        self.prunes.setdefault(peer, []).append(ControlPrune(topic, offered, int(seconds)))

    def _offered(self, peer: PeerId, topic: str) -> tuple[PXPeer, ...]:
        """Others that a pruned peer may try: only such as we think well of."""
        good = [p for p in self._topics.peers(topic) if p != peer and self._score.score(p) >= 0]
        picked = self._pick(good, self._parameters.prune_peers)
        return tuple(PXPeer(p.multihash, self._record_of(p)) for p in picked)

    def _add_backoff(self, peer: PeerId, topic: str, now: float, seconds: float) -> None:
        ends = self._backoff.setdefault(topic, {})
        if len(ends) >= self._parameters.max_backoffs and peer not in ends:
            del ends[next(iter(ends))]
        ends[peer] = max(ends.get(peer, 0.0), now + seconds)

    def _end_backoffs(self, now: float) -> None:
        for topic, ends in [*self._backoff.items()]:
            over = now - self._parameters.backoff_slack
            left = {peer: end for peer, end in ends.items() if end > over}
            if left:
                self._backoff[topic] = left
            else:
                del self._backoff[topic]
