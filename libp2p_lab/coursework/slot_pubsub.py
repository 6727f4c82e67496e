"""The slots `pubsub_router` and `peer_score`: a student's router or score inside the library's driver.

A router of the library holds each message to the signature policy by itself. A student's need not: what is not in order
is taken out before the router sees it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from libp2p_lab.errors import RemoteError
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.pubsub import PubSub
from libp2p_lab.pubsub.pubsub_messages import RPC, Message
from libp2p_lab.pubsub.router import Action, Arrival, Router, Screen
from libp2p_lab.pubsub.score import Score, Verdict
from libp2p_lab.pubsub.services import GossipSub

if TYPE_CHECKING:
    from libp2p_lab.host.service import Service

MakeRouter = Callable[[random.Random], Router]
MakeScore = Callable[[], Score]


class ScreenedRouter:
    """A router that sees only messages that are in order. A `Router`.

    Args:
        router: the student's.
        screen: raises a `RemoteError` for a message that must not be taken.
    """

    def __init__(self, router: Router, screen: Screen) -> None:
        self._router = router
        self._screen = screen

    @property
    def protocols(self) -> Sequence[str]:
        """As `Router.protocols`."""
        return self._router.protocols

    def add_peer(
        self, peer: PeerId, protocol: str, *, outbound: bool, ips: Sequence[str], now: float
    ) -> None:
        """As `Router.add_peer`."""
        self._router.add_peer(peer, protocol, outbound=outbound, ips=ips, now=now)

    def remove_peer(self, peer: PeerId, now: float) -> None:
        """As `Router.remove_peer`."""
        self._router.remove_peer(peer, now)

    def join(self, topic: str, now: float) -> None:
        """As `Router.join`."""
        self._router.join(topic, now)

    def leave(self, topic: str, now: float) -> None:
        """As `Router.leave`."""
        self._router.leave(topic, now)

    def receive(self, peer: PeerId, rpc: RPC, now: float) -> list[Arrival]:
        """As `Router.receive`, without the messages that break the policy."""
        if rpc.publish:
            rpc = replace(rpc, publish=tuple(filter(self._is_in_order, rpc.publish)))
        return self._router.receive(peer, rpc, now)

    def _is_in_order(self, message: Message) -> bool:
        try:
            self._screen(message)
        except RemoteError:
            return False
        return True

    def decide(self, arrival: Arrival, verdict: Verdict, now: float) -> None:
        """As `Router.decide`."""
        self._router.decide(arrival, verdict, now)

    def publish(self, message_id: bytes, message: Message, now: float) -> None:
        """As `Router.publish`."""
        self._router.publish(message_id, message, now)

    def heartbeat(self, now: float) -> None:
        """As `Router.heartbeat`."""
        self._router.heartbeat(now)

    def take_actions(self) -> list[Action]:
        """As `Router.take_actions`."""
        return self._router.take_actions()

    def peers(self, topic: str) -> list[PeerId]:
        """As `Router.peers`."""
        return self._router.peers(topic)

    def mesh(self, topic: str) -> list[PeerId]:
        """As `Router.mesh`."""
        return self._router.mesh(topic)


def with_router(make: MakeRouter) -> list[Service]:
    """The services of a host that spreads messages by a student's router."""
    pubsub = PubSub(lambda host, _: ScreenedRouter(make(host.rng), pubsub.screen))
    return [Identify(), Ping(), pubsub]


def with_score(make: MakeScore) -> list[Service]:
    """The services of a host that judges peers by a student's score."""
    return [Identify(), Ping(), GossipSub(score=make())]
