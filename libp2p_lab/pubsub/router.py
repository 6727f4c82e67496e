"""What every router of pubsub is, and what every one needs: who wants what, and what has been seen.

A router decides who is sent what. It is a core: RPCs, decisions and `now` come in, actions come out. What an
application sees of it (subscriptions, validators, streams) is `pubsub.py`, the same for all routers.

Misconception: a topic lives somewhere. It does not; it is a word that some peers have said they want.

Spec: pubsub/README.md#the-rpc
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.pubsub_messages import RPC, Message, PXPeer, SubOpts
from libp2p_lab.pubsub.score import Verdict


class Urgency(IntEnum):
    """Which of the RPCs that wait for one peer goes first."""

    CONTROL = 0  # subscriptions, GRAFT, PRUNE, IDONTWANT: small, and late they are worth nothing
    MESSAGE = 1
    GOSSIP = 2  # IHAVE, IWANT: the first to be dropped


@dataclass(frozen=True, slots=True)
class Send:
    """Send one RPC to these peers."""

    rpc: RPC
    peers: tuple[PeerId, ...]
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to these peers: another offered them in a PRUNE."""

    peers: tuple[PXPeer, ...]


Action = Send | Dial


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that is new here, and waits for a verdict.

    Attributes:
        message_id: its name.
        message: itself.
        sender: who brought it first; not necessarily its author.
    """

    message_id: bytes
    message: Message
    sender: PeerId


class Router(Protocol):
    """One way to spread messages. A student's router that fits is one too."""

    @property
    def protocols(self) -> Sequence[str]:
        """The protocol ids that it speaks, the preferred first."""
        ...

    def add_peer(
        self, peer: PeerId, protocol: str, *, outbound: bool, ips: Sequence[str], now: float
    ) -> None:
        """`peer` speaks `protocol` with us.

        Args:
            peer: who.
            protocol: one of `protocols`.
            outbound: whether we dialed it.
            ips: the addresses that it is connected from.
            now: seconds.
        """
        ...

    def remove_peer(self, peer: PeerId, now: float) -> None:
        """`peer` is gone."""
        ...

    def join(self, topic: str, now: float) -> None:
        """We want messages of `topic`, and tell everybody."""
        ...

    def leave(self, topic: str, now: float) -> None:
        """We want them no more."""
        ...

    def receive(self, peer: PeerId, rpc: RPC, now: float) -> list[Arrival]:
        """Take in what `peer` says. Returns the messages that are new; each must be given to `decide`."""
        ...

    def decide(self, arrival: Arrival, verdict: Verdict, now: float) -> None:
        """What validation found: an accepted message is passed on."""
        ...

    def publish(self, message_id: bytes, message: Message, now: float) -> None:
        """Spread a message of our own."""
        ...

    def heartbeat(self, now: float) -> None:
        """Do what is due. To be called at regular intervals."""
        ...

    def take_actions(self) -> list[Action]:
        """What has to be done since the last call, in this order."""
        ...

    def peers(self, topic: str) -> list[PeerId]:
        """Those who want `topic`, as far as we know."""
        ...

    def mesh(self, topic: str) -> list[PeerId]:
        """Those of them who get each message from us at once."""
        ...


class Topics:
    """Who wants which topic: we, and everybody connected.

    Args:
        max_per_peer: topics of one peer that are taken down; more are ignored.
        allow: whether a topic is taken down at all (the subscription filter).
    """

    def __init__(self, max_per_peer: int, allow: Callable[[str], bool] | None = None) -> None:
        self.ours: dict[str, None] = {}
        self._max_per_peer = max_per_peer
        self._allow = allow
        self._of_peer: dict[PeerId, dict[str, None]] = {}
        self._peers: dict[str, dict[PeerId, None]] = {}

    def add_peer(self, peer: PeerId) -> None:
        """`peer` is here, and wants nothing yet."""
        self._of_peer.setdefault(peer, {})

    def remove_peer(self, peer: PeerId) -> None:
        """Forget all that `peer` wanted."""
        for topic in self._of_peer.pop(peer, {}):
            self._discard(peer, topic)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._of_peer

    @property
    def everybody(self) -> list[PeerId]:
        """All peers that are here."""
        return list(self._of_peer)

    def update(self, peer: PeerId, changes: Iterable[SubOpts]) -> list[SubOpts]:
        """Take down what `peer` says. Returns what that changed."""
        wanted = self._of_peer.get(peer)
        changed: list[SubOpts] = []
        if wanted is None:
            return changed
        for change in changes:
            topic = change.topic
            if change.subscribe == (topic in wanted):
                continue
            if not change.subscribe:
                del wanted[topic]
                self._discard(peer, topic)
            elif len(wanted) < self._max_per_peer and (self._allow is None or self._allow(topic)):
                wanted[topic] = None
                self._peers.setdefault(topic, {})[peer] = None
            else:
                continue
            changed.append(change)
        return changed

    def _discard(self, peer: PeerId, topic: str) -> None:
        peers = self._peers[topic]
        del peers[peer]
        if not peers:
            del self._peers[topic]

    def peers(self, topic: str) -> dict[PeerId, None]:
        """Those who want `topic`, in the order in which they said so. Not to be changed."""
        return self._peers.get(topic, {})

    def wants(self, peer: PeerId, topic: str) -> bool:
        """Whether `peer` wants `topic`."""
        return topic in self._of_peer.get(peer, {})


class Seen:
    """The ids of messages that have been here, for some time, so that nothing is taken twice.

    Args:
        ttl: seconds that an id is known.
        size: ids known at most.
    """

    def __init__(self, ttl: float, size: int) -> None:
        self._ttl = ttl
        self._size = size
        self._expiry: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, message_id: bytes) -> bool:
        return message_id in self._expiry

    def __len__(self) -> int:
        return len(self._expiry)

    def add(self, message_id: bytes, now: float) -> bool:
        """Remember an id. Returns whether it is new."""
        if message_id in self._expiry:
            return False
        self._expiry[message_id] = now + self._ttl
        if len(self._expiry) > self._size:
            self._expiry.popitem(last=False)
        return True

    def forget_old(self, now: float) -> None:
        """Drop what has been known long enough."""
        while self._expiry:
            message_id, expiry = next(iter(self._expiry.items()))
            if expiry > now:
                return
            del self._expiry[message_id]


#: Looks at a message before anything else does, and raises a `RemoteError` if it must not be taken: the
#: signature policy.
Screen = Callable[[Message], None]
