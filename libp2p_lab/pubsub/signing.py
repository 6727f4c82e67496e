"""Who wrote it, and what it is called: signatures and message ids.

An author signs the message as it will travel, without the fields `signature` and `key`, behind a prefix that keeps
the signature from meaning anything elsewhere:

    signature = sign("libp2p-pubsub:" + protobuf(from, data, seqno, topic))

Whoever passes the message on changes nothing, so every peer on the way can verify it.

Misconception: messages come from whoever hands them to us. `from` names the author; the sender is the peer at the
other end of the stream, and seldom the same.

Spec: pubsub/README.md#message-signing
Deviation: the text leaves out only `signature` from the signed bytes; go, js and rust sign before they add `key`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from libp2p_lab.errors import LabError, ProtocolViolation, RecordInvalid
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub.pubsub_messages import Message

SIGN_PREFIX = b"libp2p-pubsub:"
SEQNO_LENGTH = 8  # bytes

#: Gives the name under which a message is known: two messages with one id are the same message.
MessageId = Callable[[Message], bytes]


class SignaturePolicy(Enum):
    """What a peer signs, and what it accepts.

    Spec: pubsub/README.md#signature-policy-options
    """

    STRICT_SIGN = "StrictSign"  #: sign; accept only what is signed and verifies
    STRICT_NO_SIGN = "StrictNoSign"  #: do not sign, name no author; refuse what does
    LAX_SIGN = "LaxSign"  #: sign; accept what is not signed too
    LAX_NO_SIGN = "LaxNoSign"  #: do not sign; verify what is signed

    @property
    def signs(self) -> bool:
        """Whether our own messages are signed."""
        return self in (SignaturePolicy.STRICT_SIGN, SignaturePolicy.LAX_SIGN)


def signed_bytes(message: Message) -> bytes:
    """What the author's signature is over."""
    return SIGN_PREFIX + replace(message, signature=None, key=None).encode()


def sign(message: Message, key: KeyPair) -> Message:
    """The message with `key`'s signature; the public key is added where the peer id does not hold it."""
    public_key = None if PeerId.from_public_key(key.public).public_key() else key.public
    return replace(
        message,
        signature=key.sign(signed_bytes(message)),
        key=public_key.to_protobuf() if public_key is not None else None,
    )


def verify(message: Message) -> PeerId:
    """Who signed this message: its author.

    Raises: `RecordInvalid` if the signature is missing, not the author's, or not over this message.
    """
    if message.from_peer is None or message.signature is None:
        raise RecordInvalid("pubsub message without author or signature")
    try:
        author = PeerId(message.from_peer)
        key = PublicKey.from_protobuf(message.key) if message.key else author.public_key()
        if key is None:
            raise RecordInvalid(f"pubsub message without the key of its author {author}")
        if PeerId.from_public_key(key) != author:
            raise RecordInvalid(f"pubsub message of {author} with the key of another peer")
        if key.verify(signed_bytes(message), message.signature):
            return author
    except RecordInvalid:
        raise
    except LabError as error:
        raise RecordInvalid(f"pubsub message whose author cannot be verified: {error}") from None
    raise RecordInvalid(f"pubsub message whose signature is not {author}'s")


def check(message: Message, policy: SignaturePolicy) -> None:
    """Hold a message that arrived to our policy.

    Raises: `RecordInvalid` for a signature that is missing or wrong; `ProtocolViolation` for a field that the policy
        forbids, or a sequence number of a wrong length.

    Spec: pubsub/README.md#signature-policy-options
    """
    if policy is SignaturePolicy.STRICT_NO_SIGN:
        author = (message.from_peer, message.seqno, message.signature, message.key)
        if any(field is not None for field in author):
            raise ProtocolViolation("pubsub message that names its author under StrictNoSign")
        return
    if policy is SignaturePolicy.STRICT_SIGN or message.signature is not None:
        verify(message)
    if policy is SignaturePolicy.STRICT_SIGN and len(message.seqno or b"") != SEQNO_LENGTH:
        raise ProtocolViolation(f"pubsub message whose seqno is not {SEQNO_LENGTH} bytes")


def default_message_id(message: Message) -> bytes:
    """The author's id, then the author's number. Needs a policy under which both are there.

    Spec: pubsub/README.md#message-identification
    """
    return (message.from_peer or b"") + (message.seqno or b"")
