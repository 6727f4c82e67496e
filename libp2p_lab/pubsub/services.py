"""`GossipSub` and `FloodSub` as parts of a host: a router, and the driver around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import LocalError
from libp2p_lab.host.peerstore import PeerInfo
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.discovery import Discovery
from libp2p_lab.pubsub.floodsub import FloodSubRouter
from libp2p_lab.pubsub.gossipsub import PROTOCOL_IDS, GossipSubRouter
from libp2p_lab.pubsub.parameters import GossipSubParameters, ScoreParameters, ScoreThresholds
from libp2p_lab.pubsub.pubsub import PubSub
from libp2p_lab.pubsub.router import Router
from libp2p_lab.pubsub.score import PeerScore, Score, ScoreParts
from libp2p_lab.pubsub.signing import MessageId, SignaturePolicy, default_message_id
from libp2p_lab.trace import Probe

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host


class FloodSub(PubSub):
    """Publish/subscribe by flooding: `Host(services=[…, FloodSub()])`, then `host.pubsub`.

    Args:
        policy: what is signed and accepted.
        message_id: names messages.
        allow_topic: which of the topics that peers want are taken down.
        first_seqno: the number of our first message; only simulations replace it.
    """

    def __init__(
        self,
        *,
        policy: SignaturePolicy = SignaturePolicy.STRICT_SIGN,
        message_id: MessageId = default_message_id,
        allow_topic: Callable[[str], bool] | None = None,
        first_seqno: Callable[[], int] = time.time_ns,
    ) -> None:
        def make_router(host: Host, probe: Probe) -> Router:
            return FloodSubRouter(
                screen=self.screen, message_id=message_id, allow_topic=allow_topic, probe=probe
            )

        super().__init__(make_router, policy=policy, message_id=message_id, first_seqno=first_seqno)


class GossipSub(PubSub):
    """Publish/subscribe by mesh and gossip: `Host(services=[…, GossipSub()])`, then `host.pubsub`.

    Args:
        parameters: the mesh, the gossip, the bounds on what others may ask.
        score: how peers are judged, or an object that judges them; None counts misbehaviour and crowds on one
            address only.
        thresholds: what a score leads to.
        policy: what is signed and accepted.
        message_id: names messages.
        explicit_peers: peers to stay connected to, and to send every message.
        peer_exchange: whether pruned peers are offered others.
        allow_topic: which of the topics that peers want are taken down.
        protocols: the versions to speak, the preferred first.
        first_seqno: the number of our first message; only simulations replace it.
        discovery: where more peers are found when a topic has fewer than D_low: a `KadDHT` of this host, or
            `Rendezvous.at(point)`; None for nowhere.

    Spec: pubsub/gossipsub/gossipsub-v1.1.md
    """

    def __init__(
        self,
        parameters: GossipSubParameters | None = None,
        *,
        score: ScoreParameters | Score | None = None,
        thresholds: ScoreThresholds | None = None,
        policy: SignaturePolicy = SignaturePolicy.STRICT_SIGN,
        message_id: MessageId = default_message_id,
        explicit_peers: Iterable[PeerInfo] = (),
        peer_exchange: bool = False,
        allow_topic: Callable[[str], bool] | None = None,
        protocols: Sequence[str] = PROTOCOL_IDS,
        first_seqno: Callable[[], int] = time.time_ns,
        discovery: Discovery | None = None,
    ) -> None:
        parameters = parameters if parameters is not None else GossipSubParameters()
        explicit = tuple(explicit_peers)
        if score is None:
            score = ScoreParameters()
        if isinstance(score, ScoreParameters):
            score = PeerScore(score, parameters.seen_ttl)
        self._score: Score = score
        self._gossipsub: GossipSubRouter

        def make_router(host: Host, probe: Probe) -> Router:
            self._gossipsub = GossipSubRouter(
                screen=self.screen,
                score=self._score,
                rng=host.rng,
                parameters=parameters,
                thresholds=thresholds,
                message_id=message_id,
                explicit={info.peer_id for info in explicit},
                offer_peers=peer_exchange,
                record_of=host.peerstore.envelope,
                allow_topic=allow_topic,
                probe=probe,
                protocols=protocols,
            )
            return self._gossipsub

        super().__init__(
            make_router,
            policy=policy,
            message_id=message_id,
            explicit_peers=explicit,
            heartbeat_interval=parameters.heartbeat_interval,
            first_seqno=first_seqno,
            discovery=discovery,
            enough=lambda: self.parameters.D_low,
        )

    @property
    def parameters(self) -> GossipSubParameters:
        """The numbers that are in use."""
        return self._gossipsub.parameters

    def use(self, parameters: GossipSubParameters) -> None:
        """Other numbers from now on; meshes follow at the next heartbeat."""
        self._gossipsub.use(parameters)
        self._interval = parameters.heartbeat_interval

    def scores(self) -> dict[PeerId, float]:
        """What we think of each connected peer."""
        return {peer: self._score.score(peer) for peer in self._host.peers}

    def score_parts(self, peer: PeerId) -> ScoreParts:
        """The score of one peer, taken apart.

        Raises: `LocalError` if somebody else's scoring is in use.
        """
        if not isinstance(self._score, PeerScore):
            raise LocalError("this host judges peers by another object than PeerScore")
        return self._score.parts(peer)
