"""The numbers of GossipSub, by their names in the specs, and the rules that they must keep.

Times are seconds. Change one with `GossipSubParameters(D=8, D_high=16)`; a set that contradicts itself is refused.

Spec: pubsub/gossipsub/gossipsub-v1.0.md#parameters, pubsub/gossipsub/gossipsub-v1.1.md#overview-of-new-parameters
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.peer_id import PeerId


@dataclass(frozen=True, slots=True)
class GossipSubParameters:
    """The mesh, the gossip, and the bounds on what others may ask of us."""

    # -- the mesh -------------------------------------------------------------------------------------------
    D: int = 6  # members that a mesh should have
    D_low: int = (
        5  # with fewer than this, graft up to D (the v1.0 text says 4; go-libp2p-pubsub: 5)
    )
    D_high: int = 12  # with more than this, prune down to D
    D_score: int = 4  # when pruning, so many of the best stay; the rest by lot
    D_out: int = 2  # members that we dialed, at least
    heartbeat_interval: float = 1.0
    fanout_ttl: float = 60.0  # for topics that we publish to and are not subscribed to
    prune_backoff: float = 60.0  # after PRUNE, until the next GRAFT
    unsubscribe_backoff: float = 10.0  # the same after we left the topic
    backoff_slack: float = 1.0  # waited on top, so that both sides agree that it is over
    max_backoff: float = 3600.0  # whatever a peer asks for
    max_backoffs: int = 10_000  # peers in back-off, in one topic
    prune_peers: int = 16  # offered, and used, in one PRUNE
    graft_flood_threshold: float = 10.0  # a GRAFT so soon after PRUNE is punished twice
    opportunistic_graft_ticks: int = 60  # heartbeats between two looks at the median
    opportunistic_graft_peers: int = 2

    # -- gossip ---------------------------------------------------------------------------------------------
    D_lazy: int = 6  # peers outside the mesh that hear gossip, at least
    gossip_factor: float = 0.25  # share of them that hears it, if that is more
    history_length: int = 5  # heartbeats that a message stays in the cache
    history_gossip: int = 3  # of them those in which it is gossiped about
    seen_ttl: float = 120.0  # how long an id is known, so that nothing is delivered twice
    seen_size: int = 200_000  # ids known at most; beyond that the oldest are forgotten early
    flood_publish: bool = True  # our own messages go to everybody who wants them

    # -- what others may ask of us --------------------------------------------------------------------------
    gossip_retransmission: int = 3  # times that one peer is sent one message for its IWANTs
    max_ihave_messages: int = 10  # IHAVEs of one peer read in one heartbeat
    max_ihave_length: int = 5000  # ids of one peer asked for in one heartbeat
    iwant_followup_time: float = 3.0  # to keep the promise of an IHAVE
    idontwant_message_threshold: int = 1024  # bytes; smaller messages are not worth an IDONTWANT
    idontwant_message_ttl: int = 3  # heartbeats that an IDONTWANT is remembered
    max_idontwant_length: int = 10  # ids of one IDONTWANT that are read
    max_idontwant_messages: int = 1000  # ids of one peer read in one heartbeat
    max_topics_per_peer: int = 100  # subscriptions of one peer; rust-libp2p and py-libp2p: 100

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            _require(
                value >= 0 and math.isfinite(value), f"{item.name} = {value} is negative or endless"
            )
        _require(
            self.D_low <= self.D <= self.D_high,
            f"D_low ≤ D ≤ D_high does not hold: {self.D_low}, {self.D}, {self.D_high}",
        )
        _require(self.D_score <= self.D, f"D_score = {self.D_score} is more than D = {self.D}")
        _require(
            self.D_out == 0 or (self.D_out < self.D_low and 2 * self.D_out <= self.D),
            f"D_out = {self.D_out} must be below D_low = {self.D_low} and at most half of D = {self.D}",
        )
        _require(0 <= self.gossip_factor <= 1, "gossip_factor is a share: 0 to 1")
        _require(self.heartbeat_interval > 0, "heartbeat_interval must not be 0")
        _require(
            0 < self.history_gossip <= self.history_length,
            f"0 < history_gossip ≤ history_length does not hold: {self.history_gossip}, {self.history_length}",
        )


@dataclass(frozen=True, slots=True)
class TopicScoreParameters:
    """How behaviour in one topic counts. A weight of 0 switches its parameter off.

    Spec: pubsub/gossipsub/gossipsub-v1.1.md#the-score-function
    """

    topic_weight: float = 1.0
    # P1: time in the mesh
    time_in_mesh_weight: float = 0.01
    time_in_mesh_quantum: float = 1.0  # seconds that earn one point
    time_in_mesh_cap: float = 3600.0
    # P2: messages that the peer was the first to deliver
    first_message_deliveries_weight: float = 1.0
    first_message_deliveries_decay: float = 0.5
    first_message_deliveries_cap: float = 2000.0
    # P3: messages that a member of the mesh should deliver, first or nearly so
    mesh_message_deliveries_weight: float = 0.0
    mesh_message_deliveries_decay: float = 0.5
    mesh_message_deliveries_cap: float = 100.0
    mesh_message_deliveries_threshold: float = 20.0
    mesh_message_deliveries_activation: float = 5.0  # seconds in the mesh before it counts
    mesh_message_deliveries_window: float = 0.010  # seconds after the first that are "nearly so"
    # P3b: the deficit that a peer had when it was pruned
    mesh_failure_penalty_weight: float = 0.0
    mesh_failure_penalty_decay: float = 0.5
    # P4: invalid messages
    invalid_message_deliveries_weight: float = -1.0
    invalid_message_deliveries_decay: float = 0.3

    def __post_init__(self) -> None:
        _require(self.topic_weight >= 0, "topic_weight must not be negative")
        _require_signs(
            self,
            positive=("time_in_mesh_weight", "first_message_deliveries_weight"),
            negative=(
                "mesh_message_deliveries_weight",
                "mesh_failure_penalty_weight",
                "invalid_message_deliveries_weight",
            ),
            decays=(
                "first_message_deliveries_decay",
                "mesh_message_deliveries_decay",
                "mesh_failure_penalty_decay",
                "invalid_message_deliveries_decay",
            ),
        )
        _require(self.time_in_mesh_quantum > 0, "time_in_mesh_quantum must be positive")
        _require(
            self.mesh_message_deliveries_cap >= self.mesh_message_deliveries_threshold,
            "mesh_message_deliveries_cap must be at least mesh_message_deliveries_threshold",
        )


@dataclass(frozen=True, slots=True)
class ScoreParameters:
    """How peers are judged, over all topics.

    Attributes:
        topics: those that count; behaviour in others does not.
        app_specific_score: P5, the application's own opinion of a peer.
        ip_colocation_threshold: peers on one address that are no reason to worry.
        ip_colocation_exempt: addresses that are never counted.

    Spec: pubsub/gossipsub/gossipsub-v1.1.md#overview-of-new-parameters
    """

    topics: Mapping[str, TopicScoreParameters] = field(default_factory=dict)
    topic_score_cap: float = 0.0  # of the sum over all topics, if positive; 0: no cap
    app_specific_score: Callable[[PeerId], float] | None = None
    app_specific_weight: float = 1.0
    ip_colocation_weight: float = -5.0
    ip_colocation_threshold: int = 10
    ip_colocation_exempt: tuple[str, ...] = ("127.0.0.1", "::1")
    behaviour_penalty_weight: float = -10.0
    behaviour_penalty_threshold: float = 6.0  # penalties that are forgiven
    behaviour_penalty_decay: float = 0.9  # a penalty is forgotten within a minute
    decay_interval: float = 1.0
    decay_to_zero: float = 0.01  # below this a counter is 0
    retain_score: float = 3600.0  # after a peer left, so that it cannot come back clean
    max_retained: int = 10_000  # peers remembered after they left

    def __post_init__(self) -> None:
        _require_signs(
            self,
            positive=("app_specific_weight", "topic_score_cap", "retain_score"),
            negative=("ip_colocation_weight", "behaviour_penalty_weight"),
            decays=("behaviour_penalty_decay", "decay_to_zero"),
        )
        _require(self.ip_colocation_threshold >= 1, "ip_colocation_threshold must be at least 1")
        _require(self.decay_interval > 0, "decay_interval must be positive")


@dataclass(frozen=True, slots=True)
class ScoreThresholds:
    """What a score leads to.

    Spec: pubsub/gossipsub/gossipsub-v1.1.md#score-thresholds
    """

    gossip: float = -10.0  # below: no gossip to and from the peer
    publish: float = -50.0  # below: not sent what we publish
    graylist: float = -80.0  # below: nothing it says is read
    accept_px: float = 10.0  # from here on: the peers that it offers are dialed
    opportunistic_graft: float = 1.0  # a mesh whose median is below it looks for better members

    def __post_init__(self) -> None:
        _require(
            self.graylist <= self.publish <= self.gossip <= 0,
            "graylist ≤ publish ≤ gossip ≤ 0 does not hold: "
            f"{self.graylist}, {self.publish}, {self.gossip}",
        )
        _require(self.accept_px >= 0, "accept_px must not be negative")
        _require(self.opportunistic_graft >= 0, "opportunistic_graft must not be negative")


def decay_after(seconds: float, decay_interval: float = 1.0, to: float = 0.01) -> float:
    """The factor that brings a counter from 1 down to `to` in `seconds`."""
    return float(to ** (decay_interval / seconds))


def _require_signs(
    parameters: TopicScoreParameters | ScoreParameters,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    decays: tuple[str, ...],
) -> None:
    for name in positive:
        _require(getattr(parameters, name) >= 0, f"{name} must not be negative")
    for name in negative:
        _require(getattr(parameters, name) <= 0, f"{name} must not be positive")
    for name in decays:
        _require(0 < getattr(parameters, name) < 1, f"{name} must be between 0 and 1")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LocalError(otherwise)
