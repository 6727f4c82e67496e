"""Gossip: telling peers outside the mesh what they could have, so that a message finds its way around a broken mesh.

    heartbeat:  IHAVE  ids of the last heartbeats' messages    to a few peers outside the mesh
                IWANT  those that I have not seen              back
                the messages themselves                        and only now

An IHAVE that is answered by an IWANT is a promise; whoever does not keep it is penalized. IDONTWANT is the opposite
of IWANT: "I have this big message already, do not send it".

Misconception: gossip carries the messages. It carries their names; the mesh carries the messages.

Spec: pubsub/gossipsub/gossipsub-v1.0.md#gossip-emission, pubsub/gossipsub/gossipsub-v1.1.md#spam-protection-measures,
pubsub/gossipsub/gossipsub-v1.2.md#idontwant-message
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.parameters import GossipSubParameters
from libp2p_lab.pubsub.pubsub_messages import (
    ControlIDontWant,
    ControlIHave,
    ControlIWant,
    Message,
)
from libp2p_lab.pubsub.router import Seen

if TYPE_CHECKING:
    import random


class MessageCache:
    """The messages of the last heartbeats, in windows: one for each heartbeat, the newest first.

    Args:
        length: windows that are kept.
        gossip: windows whose messages are gossiped about.

    Spec: pubsub/gossipsub/gossipsub-v1.0.md#message-cache
    """

    def __init__(self, length: int, gossip: int) -> None:
        self._gossip = gossip
        self._windows: deque[list[tuple[bytes, str]]] = deque([[]], maxlen=length)
        self._messages: dict[bytes, Message] = {}
        self._asked: dict[bytes, Counter[PeerId]] = {}  # by message, how often each peer got it

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message_id: bytes, message: Message) -> None:
        """Add a message to the newest window."""
        if message_id not in self._messages:
            self._messages[message_id] = message
            self._windows[0].append((message_id, message.topic))

    def get_for(self, peer: PeerId, message_id: bytes) -> tuple[Message | None, int]:
        """The message, and how often `peer` has asked for it, this time included."""
        message = self._messages.get(message_id)
        if message is None:
            return None, 0
        asked = self._asked.setdefault(message_id, Counter())
        asked[peer] += 1
        return message, asked[peer]

    def ids(self, topic: str) -> list[bytes]:
        """What there is to gossip about."""
        newest = list(self._windows)[: self._gossip]
        return [message_id for window in newest for message_id, of in window if of == topic]

    @property
    def windows(self) -> list[list[tuple[bytes, str]]]:
        """What each window holds, the newest first: (message id, topic)."""
        return [list(window) for window in list(self._windows)]

    def resize(self, length: int, gossip: int) -> None:
        """Keep and gossip about another number of windows."""
        self._gossip = gossip
        kept, old = list(self._windows)[:length], list(self._windows)[length:]
        for window in old:
            self._forget(window)
        self._windows = deque(kept, maxlen=length)

    def _forget(self, window: list[tuple[bytes, str]]) -> None:
        for message_id, _ in window:
            self._messages.pop(message_id, None)
            self._asked.pop(message_id, None)

    def shift(self) -> None:
        """A heartbeat is over: open a new window, drop the oldest."""
        if len(self._windows) == self._windows.maxlen:
            self._forget(self._windows[-1])
        self._windows.appendleft([])


@dataclass(slots=True)
class _Asked:
    """What one peer made us do since the last heartbeat, and what it does not want."""

    ihaves: int = 0
    ids_asked_for: int = 0
    idontwants: int = 0
    unwanted: dict[bytes, int] = field(default_factory=dict)  # id -> heartbeats left


class Gossip:
    """What is told, asked and promised.

    Args:
        parameters: the bounds.
        seen: the ids that we know.
        rng: chance.
    """

    def __init__(self, parameters: GossipSubParameters, seen: Seen, rng: random.Random) -> None:
        self._parameters = parameters
        self._seen = seen
        self._rng = rng
        self._peers: dict[PeerId, _Asked] = {}
        self._promises: dict[bytes, dict[PeerId, float]] = {}  # id -> who promised it, until when
        self.cache = MessageCache(parameters.history_length, parameters.history_gossip)

    def use(self, parameters: GossipSubParameters) -> None:
        """Other numbers from now on."""
        self._parameters = parameters
        self.cache.resize(parameters.history_length, parameters.history_gossip)

    def add_peer(self, peer: PeerId) -> None:
        """A peer that gossips is here."""
        self._peers.setdefault(peer, _Asked())

    def remove_peer(self, peer: PeerId) -> None:
        """A peer is gone; what it promised is forgiven."""
        self._peers.pop(peer, None)
        for promised in self._promises.values():
            promised.pop(peer, None)

    # -- what peers say ---------------------------------------------------------------------------------------

    def ihave_received(
        self, peer: PeerId, ihaves: Iterable[ControlIHave], ours: Iterable[str], now: float
    ) -> ControlIWant | None:
        """Ask for what we have not seen, within bounds. One of the ids asked for becomes a promise.

        Args:
            peer: who says it has them.
            ihaves: what it has.
            ours: the topics that we want.
            now: seconds.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#ihave, pubsub/gossipsub/gossipsub-v1.1.md#spam-protection-measures
        """
        asked = self._peers.get(peer)
        if asked is None:
            return None
        wanted: dict[bytes, None] = {}
        for ihave in ihaves:
            asked.ihaves += 1
            if asked.ihaves > self._parameters.max_ihave_messages:
                break
            if ihave.topic in ours:
                named = ihave.message_ids[: self._parameters.max_ihave_length]
                wanted.update((i, None) for i in named if i not in self._seen)
        left = self._parameters.max_ihave_length - asked.ids_asked_for
        if not wanted or left <= 0:
            return None
        ids = list(wanted)
        self._rng.shuffle(ids)
        del ids[left:]
        asked.ids_asked_for += len(ids)
        promise = self._promises.setdefault(self._rng.choice(ids), {})
        promise.setdefault(peer, now + self._parameters.iwant_followup_time)
        return ControlIWant(tuple(ids))

    def iwant_received(self, peer: PeerId, iwants: Iterable[ControlIWant]) -> list[Message]:
        """What we have of it, each message only so often.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#iwant
        """
        asked = self._peers.get(peer)
        if asked is None:
            return []
        given: dict[bytes, Message] = {}
        for iwant in iwants:
            for message_id in iwant.message_ids:
                if message_id in given or message_id in asked.unwanted:
                    continue
                message, count = self.cache.get_for(peer, message_id)
                if message is not None and count <= self._parameters.gossip_retransmission:
                    given[message_id] = message
        return list(given.values())

    def idontwant_received(self, peer: PeerId, idontwants: Iterable[ControlIDontWant]) -> None:
        """Remember what `peer` has already, for some heartbeats.

        Spec: pubsub/gossipsub/gossipsub-v1.2.md#idontwant-message
        """
        asked = self._peers.get(peer)
        if asked is None:
            return
        for idontwant in idontwants:
            for message_id in idontwant.message_ids[: self._parameters.max_idontwant_length]:
                asked.idontwants += 1
                if asked.idontwants > self._parameters.max_idontwant_messages:
                    return
                asked.unwanted[message_id] = self._parameters.idontwant_message_ttl

    def wants(self, peer: PeerId, message_id: bytes) -> bool:
        """Whether `peer` has not said that it has this message."""
        asked = self._peers.get(peer)
        return asked is None or message_id not in asked.unwanted

    # -- promises ---------------------------------------------------------------------------------------------

    def kept(self, message_id: bytes) -> None:
        """A message came: whoever promised it is free."""
        self._promises.pop(message_id, None)

    def broken_promises(self, now: float) -> Counter[PeerId]:
        """Who did not send what it had promised, and how often; these promises are struck off."""
        broken: Counter[PeerId] = Counter()
        for message_id, promised in [*self._promises.items()]:
            for peer, until in [*promised.items()]:
                if until <= now:
                    broken[peer] += 1
                    del promised[peer]
            if not promised:
                del self._promises[message_id]
        return broken

    # -- the heartbeat ----------------------------------------------------------------------------------------

    def emit(
        self, topic: str, peers: Sequence[PeerId]
    ) -> list[tuple[tuple[PeerId, ...], ControlIHave]]:
        """Tell some of these peers what there is.

        Args:
            topic: of which topic.
            peers: those who want it, are outside the mesh, and are good enough.

        Returns: who is told what.

        Spec: pubsub/gossipsub/gossipsub-v1.0.md#gossip-emission,
            pubsub/gossipsub/gossipsub-v1.1.md#adaptive-gossip-dissemination
        """
        ids = self.cache.ids(topic)
        if not ids or not peers:
            return []
        share = int(self._parameters.gossip_factor * len(peers))
        count = min(max(self._parameters.D_lazy, share), len(peers))
        told = self._rng.sample(list(peers), count)
        most = self._parameters.max_ihave_length
        if len(ids) <= most:
            self._rng.shuffle(ids)
            return [(tuple(told), ControlIHave(topic, tuple(ids)))]
        # Too many for one IHAVE: each peer hears of others, so that together they hear of all.
        return [((p,), ControlIHave(topic, tuple(self._rng.sample(ids, most)))) for p in told]

    def heartbeat(self) -> None:
        """A heartbeat is over: bounds begin anew, old messages and old IDONTWANTs are dropped."""
        for asked in self._peers.values():
            asked.ihaves = asked.ids_asked_for = asked.idontwants = 0
            if asked.unwanted:
                left = {i: beats - 1 for i, beats in asked.unwanted.items() if beats > 1}
                asked.unwanted = left
        self.cache.shift()
