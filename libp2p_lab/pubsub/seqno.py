"""A validator that takes each author's messages in the order of their numbers, and none twice.

The router forgets the names of old messages after two minutes; whoever kept one can send it again then. A peer that
remembers each author's highest number is not taken in. The price: of two messages that overtake each other, the
earlier one is lost, so that it suits topics with one message at a time and author.

    host.pubsub.add_validator("news", SeqnoValidator())

Spec: pubsub/README.md#the-message
"""

from __future__ import annotations

from collections import OrderedDict

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.score import Verdict
from libp2p_lab.pubsub.subscription import ReceivedMessage


class SeqnoValidator:
    """Ignores messages whose number is not above all that their author gave before.

    Args:
        max_authors: how many are remembered; the one that was silent the longest is forgotten first.

    Raises: `LocalError` if none are to be remembered.
    """

    def __init__(self, max_authors: int = 10_000) -> None:
        if max_authors < 1:
            raise LocalError(f"max_authors is at least 1, not {max_authors}")
        self._max_authors = max_authors
        self._highest: OrderedDict[PeerId, int] = OrderedDict()

    def __call__(self, message: ReceivedMessage) -> Verdict:
        """Judge one message. What has no author or number is left to the signature policy."""
        author, seqno = message.from_peer, message.seqno
        if author is None or seqno is None:
            return Verdict.ACCEPT
        if seqno <= self._highest.get(author, -1):
            return Verdict.IGNORE
        self._highest[author] = seqno
        self._highest.move_to_end(author)
        if len(self._highest) > self._max_authors:
            self._highest.popitem(last=False)
        return Verdict.ACCEPT
