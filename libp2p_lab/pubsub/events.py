"""What happens inside a pubsub router, as facts for its trace (layer "pubsub"). Each says why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerJoined:
    """A peer wants a topic."""

    peer: str
    topic: str


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A peer no longer wants a topic."""

    peer: str
    topic: str


@dataclass(frozen=True, slots=True)
class Grafted:
    """A peer became a member of our mesh."""

    peer: str
    topic: str
    why: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """A peer is a member of our mesh no longer."""

    peer: str
    topic: str
    why: str


@dataclass(frozen=True, slots=True)
class GraftRefused:
    """A peer grafted us and was sent a PRUNE."""

    peer: str
    topic: str
    why: str


@dataclass(frozen=True, slots=True)
class FanoutChosen:
    """Whom we publish to from now on, in a topic that we do not want; nobody once that is over."""

    topic: str
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessagePublished:
    """We published a message.

    Attributes:
        message_id: its name, in hexadecimal digits.
        peers: how many it was sent to.
    """

    message_id: str
    topic: str
    size: int
    peers: int


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A message came that is new here."""

    message_id: str
    topic: str
    sender: str


@dataclass(frozen=True, slots=True)
class MessageDuplicate:
    """A message came that had been here before."""

    message_id: str
    topic: str
    sender: str


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """A message was not passed on."""

    topic: str
    sender: str
    why: str


@dataclass(frozen=True, slots=True)
class MessageForwarded:
    """A message that was accepted went on to other peers."""

    message_id: str
    topic: str
    peers: int


@dataclass(frozen=True, slots=True)
class PromiseBroken:
    """Peers told of messages that they did not send when asked."""

    peer: str
    times: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat is over.

    Attributes:
        number: counted from 1.
        mesh: topic and number of members, for each of our topics.
    """

    number: int
    mesh: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ValidatorFailed:
    """A validator raised or took too long; the message was ignored."""

    topic: str
    error: str


@dataclass(frozen=True, slots=True)
class TopicSearched:
    """A topic had too few peers, and more were looked for.

    Attributes:
        missing: how many were wanted.
        found: how many were named.
        joined: how many of them are newly connected.
    """

    topic: str
    missing: int
    found: int
    joined: int
