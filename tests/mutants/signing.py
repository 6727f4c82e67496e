from __future__ import annotations

from dataclasses import replace

import libp2p_lab as lab
from libp2p_lab.pubsub.pubsub_messages import Message
from tests.mutants import Mutant

PREFIX = b"libp2p-pubsub:"


def name(message):
    return b"".join((message.from_peer, message.seqno))


def bare(message):
    """The signed fields, put together anew."""
    return Message(message.topic, message.data, message.from_peer, message.seqno)


def payload(message):
    return PREFIX + bare(message).encode()


def with_key(message, key, signature):
    """As js-libp2p does where it need not: the key always goes with the message."""
    return replace(message, signature=signature, key=key.public.to_protobuf())


def seal(message, key):
    return with_key(message, key, key.sign(payload(message)))


def judge(message):
    seqno, author = message.seqno, lab.PeerId(message.from_peer or b"")
    if seqno is None or len(seqno) != 8:
        raise ValueError("number")
    key = lab.PublicKey.from_protobuf(message.key) if message.key else author.public_key()
    if key is None or lab.PeerId.from_public_key(key).multihash != message.from_peer:
        raise lab.RecordInvalid("another's key")
    if not (message.signature and key.verify(payload(message), message.signature)):
        raise lab.RecordInvalid("signature")


def signs(what):
    """A `sign` that signs something else."""

    def sign(message, key):
        return with_key(message, key, key.sign(what(message, key)))

    return (name, sign, judge)


def judges(check):
    return (name, seal, check)


def without_key(message, key):
    return replace(message, signature=key.sign(payload(message)))


def unsigned(message, key):
    return message


def changes(message, key):
    return seal(replace(message, data=message.data + b"!"), key)


def believes_everything(message):
    pass


def believes_any_number(message):
    judge_signature(message)


def judge_signature(message):
    author = lab.PeerId(message.from_peer or b"")
    key = lab.PublicKey.from_protobuf(message.key) if message.key else author.public_key()
    if key is None or lab.PeerId.from_public_key(key) != author:
        raise ValueError("another's key")
    if not (message.signature and key.verify(payload(message), message.signature)):
        raise ValueError("signature")


def believes_the_key_that_comes(message):
    """Whoever brings a key may sign for everybody."""
    if message.key is None or not message.signature or not message.from_peer:
        judge(message)
        return
    if len(message.seqno or b"") != 8:
        raise ValueError("number")
    if not lab.PublicKey.from_protobuf(message.key).verify(payload(message), message.signature):
        raise ValueError("signature")


def never_verifies(message):
    if not (message.signature and message.from_peer and len(message.seqno or b"") == 8):
        raise ValueError("incomplete")


def refuses_long_keys(message):
    if lab.PeerId(message.from_peer or b"").public_key() is None:
        raise ValueError("the id holds no key")
    judge(message)


def raises_type_error(message):
    if message.signature is None:
        raise TypeError("no signature")
    judge(message)


ANOTHER = (name, seal, judge)
MUTANTS = (
    Mutant((lambda m: m.seqno, seal, judge), "id"),
    Mutant((lambda m: m.seqno + m.from_peer, seal, judge), "id-order"),
    Mutant((lambda m: str(lab.PeerId(m.from_peer)).encode() + m.seqno, seal, judge), "id-text"),
    Mutant((name, changes, judge), "changed", "data"),
    Mutant((name, unsigned, judge), "signature", "no signature"),
    Mutant(signs(lambda m, key: bare(m).encode()), "no-prefix"),
    Mutant(signs(lambda m, key: b"libp2p-pubsub" + bare(m).encode()), "prefix"),
    Mutant(signs(lambda m, key: PREFIX + m.data), "only-data"),
    Mutant(
        signs(lambda m, key: PREFIX + replace(bare(m), key=key.public.to_protobuf()).encode()),
        "with-key",
    ),
    Mutant(
        signs(lambda m, key: PREFIX + replace(bare(m), signature=b"").encode()), "with-signature"
    ),
    Mutant(signs(lambda m, key: PREFIX + m.topic.encode() + m.data), "signature", "does not hold"),
    Mutant((name, without_key, judge), "key-missing", "ecdsa"),
    Mutant(judges(refuses_long_keys), "refuses-good", "the id holds no key"),
    Mutant(judges(believes_everything), "unsigned"),
    Mutant(judges(never_verifies), "forged"),
    Mutant(judges(believes_the_key_that_comes), "author", "brought her own key"),
    Mutant(judges(believes_any_number), "seqno", "7 bytes"),
    Mutant(judges(raises_type_error), "unsigned", "TypeError"),
    Mutant((name, seal), "wrong-type", "three functions"),
)
