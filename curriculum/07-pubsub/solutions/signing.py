"""E7.2, the reference answer."""

from dataclasses import replace

import libp2p_lab as lab


def message_id(message):
    """The author's id, then the author's number."""
    return message.from_peer + message.seqno


def to_sign(message):
    """What the author's signature is over."""
    return b"libp2p-pubsub:" + replace(message, signature=None, key=None).encode()


def sign(message, key):
    """The message with its author's signature, and with the key where the peer id does not hold it."""
    is_in_id = lab.PeerId.from_public_key(key.public).public_key() is not None
    return replace(
        message,
        signature=key.sign(to_sign(message)),
        key=None if is_in_id else key.public.to_protobuf(),
    )


def check(message):
    """ValueError unless the message names its author, is signed by it, and has a number of eight bytes."""
    if not message.from_peer or not message.signature:
        raise ValueError("not signed")
    if len(message.seqno or b"") != 8:
        raise ValueError("a number has eight bytes")
    author = lab.PeerId(message.from_peer)
    public = lab.PublicKey.from_protobuf(message.key) if message.key else author.public_key()
    if public is None or lab.PeerId.from_public_key(public) != author:
        raise ValueError("the key is not the author's")
    if not public.verify(to_sign(message), message.signature):
        raise ValueError("the signature does not hold")


answer = (message_id, sign, check)
