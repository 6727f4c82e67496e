"""E7.2: what a message is called, and who wrote it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import RecordInvalid
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.pubsub import signing
from libp2p_lab.pubsub.pubsub_messages import Message

KINDS = ("ed25519", "secp256k1", "ecdsa")  # the third's key does not stand in its peer id
IDS = "pubsub/README.md#message-identification"
SIGNING = "pubsub/README.md#message-signing"
POLICY = "pubsub/README.md#signature-policy-options"

Functions = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]


def _three(exam: Exam, answer: Any) -> Functions:
    if not isinstance(answer, tuple | list) or len(answer) != 3:
        exam.reject(
            "wrong-type",
            "the answer is three functions: (message_id, sign, check)",
            got=shown(answer),
        )
    names = ("message_id(message)", "sign(message, key)", "check(message)")
    one, two, three = (
        exam.callable_answer(function, f"a function {name}")
        for function, name in zip(answer, names, strict=True)
    )
    return one, two, three


def _unsigned(exam: Exam, key: KeyPair, topic: str = "harbour") -> Message:
    """A message as its author makes it, before it is signed."""
    author = PeerId.from_public_key(key.public)
    seqno = exam.rng.getrandbits(63).to_bytes(8, "big")
    return Message(topic, exam.rng.randbytes(exam.rng.randint(1, 60)), author.multihash, seqno)


# -- the id -----------------------------------------------------------------------------------------------------------


def _check_ids(exam: Exam, message_id: Callable[..., Any]) -> None:
    for kind in KINDS:
        message = _unsigned(exam, KeyPair.generate(kind, exam.rng))
        got = exam.call(message_id, message)
        author, seqno = message.from_peer or b"", message.seqno or b""
        exam.equal(got, author + seqno, _id_mistake(got, message), "this is not its name")
        exam.count("names compared")


def _id_mistake(got: object, message: Message) -> str:
    author, seqno = message.from_peer or b"", message.seqno or b""
    if got == seqno + author:
        return "id-order"
    if isinstance(got, bytes) and got == str(PeerId(author)).encode() + seqno:
        return "id-text"
    return "id"


# -- the signature ----------------------------------------------------------------------------------------------------


def _signed_instead(message: Message, key: KeyPair) -> tuple[tuple[str, bytes], ...]:
    """What a wrong answer may have signed."""
    bare = replace(message, signature=None, key=None)
    with_key = replace(bare, key=key.public.to_protobuf())
    prefix = signing.SIGN_PREFIX
    return (
        ("no-prefix", bare.encode()),
        ("prefix", b"libp2p-pubsub" + bare.encode()),
        ("only-data", prefix + message.data),
        ("only-data", message.data),
        ("with-key", prefix + with_key.encode()),
        ("with-signature", prefix + replace(bare, signature=b"").encode()),
    )


def _check_sign(exam: Exam, sign: Callable[..., Any]) -> None:
    for kind in KINDS:
        key = KeyPair.generate(kind, exam.rng)
        message = _unsigned(exam, key)
        got = exam.call(sign, message, key)
        if not isinstance(got, Message):
            exam.reject("wrong-type", "the answer is the message, signed", got=shown(got))
        same = ("topic", "data", "from_peer", "seqno")
        changed = [name for name in same if getattr(got, name) != getattr(message, name)]
        exam.require(
            not changed, "changed", f"signing changed {', '.join(changed)}", got=shown(got, 300)
        )
        exam.require(got.signature, "signature", "the message has no signature")
        signature = got.signature or b""
        if not key.public.verify(signing.signed_bytes(message), signature):
            rule = next(
                (
                    rule
                    for rule, data in _signed_instead(message, key)
                    if key.public.verify(data, signature)
                ),
                "signature",
            )
            exam.reject(
                rule,
                "the signature does not hold",
                expected=f"a signature over {shown(signing.signed_bytes(message), 200)}",
            )
        _check_key_field(exam, got, kind, key)
        signing.verify(got)
        exam.count("signatures verified")


def _check_key_field(exam: Exam, got: Message, kind: str, key: KeyPair) -> None:
    if kind == KINDS[-1]:
        exam.equal(
            got.key or b"",
            key.public.to_protobuf(),
            "key-missing",
            f"an {kind} key does not stand in its peer id, and the message does not bring it",
        )
    elif got.key is not None:
        exam.equal(got.key, key.public.to_protobuf(), "key-missing", "this is another key")


# -- what is believed -------------------------------------------------------------------------------------------------


def _others(exam: Exam, message: Message, key: KeyPair) -> list[tuple[str, str, Message]]:
    """What must be refused: the rule, what was done, and the message."""
    mallory = KeyPair.generate(rng=exam.rng)
    own = signing.sign(replace(message, signature=None, key=None), mallory)
    brought = replace(own, key=mallory.public.to_protobuf())
    data = bytes([message.data[0] ^ 1]) + message.data[1:]
    short = (message.seqno or b"")[1:]
    return [
        ("unsigned", "it has no signature", replace(message, signature=None)),
        ("unsigned", "its signature is empty", replace(message, signature=b"")),
        ("unsigned", "it names no author", replace(message, from_peer=None)),
        ("forged", "one bit of its data was turned over", replace(message, data=data)),
        ("forged", "it was put into another topic", replace(message, topic="market")),
        ("forged", "it got another number", replace(message, seqno=b"\xff" * 8)),
        ("author", "mallory signed it, in the name of another", own),
        ("author", "mallory signed it, and brought her own key", brought),
        ("author", "its author is not a peer id", replace(message, from_peer=b"\x00\x01")),
        ("seqno", "its number has 7 bytes", signing.sign(replace(message, seqno=short), key)),
        ("seqno", "it has no number", signing.sign(replace(message, seqno=None), key)),
    ]


def _check_check(exam: Exam, check: Callable[..., Any]) -> None:
    for kind in KINDS:
        key = KeyPair.generate(kind, exam.rng)
        message = signing.sign(_unsigned(exam, key), key)
        exam.explain = {ValueError: "refuses-good", RecordInvalid: "refuses-good"}
        exam.call(check, message)
        exam.explain = {}
        for rule, what, wrong in _others(exam, message, key):
            problem = f"{what}, and it was accepted"
            exam.refuses(check, wrong, rule=rule, problem=problem)
            exam.count("messages that must be refused")
        exam.count("messages believed")


async def examine_signing(exam: Exam, answer: Any) -> None:
    """E7.2: names, then signatures for keys of three kinds, then what StrictSign refuses."""
    message_id, sign, check = _three(exam, answer)
    _check_ids(exam, message_id)
    _check_sign(exam, sign)
    _check_check(exam, check)


SIGNING_CHECK = Check(
    id="07.signing",
    exercise="E7.2",
    title="What a message is called, and who wrote it",
    level="L2",
    points=2,
    objectives=("1.4", "X.2"),
    starter='''\
from dataclasses import replace  # replace(message, signature=…): a copy with another field


# A message has .topic, .data, .from_peer (the author's peer id, bytes), .seqno, .signature, .key; None: not there.
# message.encode() gives its protobuf's bytes, of the fields that are there.


def message_id(message):
    """The message's name, as every peer computes it."""
    raise NotImplementedError


def sign(message, key):
    """The message with the signature of `key` (a lab.KeyPair: key.sign(data), key.public.to_protobuf()).

    If the author's peer id does not hold the public key, the message must bring it: the field `key`.
    """
    raise NotImplementedError


def check(message):
    """Nothing if the policy StrictSign accepts this message; ValueError if not."""
    raise NotImplementedError


await lab.check("07.signing", (message_id, sign, check))
''',
    hints=(
        "The wire section shows a message with its fields. Two of them name it, four of them are signed.",
        "The id is from, then seqno. The signature is over libp2p-pubsub: and the message without signature and key. "
        "StrictSign wants from, seqno and signature, and the key must be the author's (pubsub/README.md, message "
        "signing).",
        "signed = b'libp2p-pubsub:' + replace(message, signature=None, key=None).encode(). In check: author = "
        "lab.PeerId(message.from_peer); public = lab.PublicKey.from_protobuf(message.key) if message.key else "
        "author.public_key(); refuse unless public is there, lab.PeerId.from_public_key(public) == author, "
        "public.verify(signed, message.signature) and len(message.seqno) == 8.",
    ),
    rules=(
        Rule(
            "id",
            "The default id is the author's peer id and the author's number, nothing else.",
            IDS,
        ),
        Rule("id-order", "The other way round: first who, then which.", IDS),
        Rule(
            "id-text", "The author stands in it as bytes, as in the field `from`, not as text.", IDS
        ),
        Rule("changed", "A signature is added; what was there stays as it is.", SIGNING),
        Rule(
            "no-prefix",
            "In front of what is signed stands libp2p-pubsub: so that the signature means nothing anywhere else.",
            SIGNING,
        ),
        Rule("prefix", "The colon belongs to the prefix: libp2p-pubsub:", SIGNING),
        Rule(
            "only-data",
            "If only the data were signed, it could be put into another topic, or sent again under another number. "
            "Sign the whole message.",
            SIGNING,
        ),
        Rule(
            "with-key",
            "Sign before you add the key: the text is silent, and go, js and rust do it so.",
            SIGNING,
        ),
        Rule(
            "with-signature",
            "An empty signature is a field too. Leave it out: None.",
            SIGNING,
        ),
        Rule("signature", "Is it made by key.sign, over the prefix and message.encode()?", SIGNING),
        Rule(
            "key-missing",
            "A long key is not in the peer id; without the field `key` nobody can verify the signature.",
            SIGNING,
        ),
        Rule(
            "refuses-good",
            "This message is in order: signed by its author, with a number of eight bytes.",
            POLICY,
        ),
        Rule("unsigned", "StrictSign accepts only what names its author and is signed.", POLICY),
        Rule(
            "forged",
            "Something was changed after it was signed: verify over the message as it came.",
            SIGNING,
        ),
        Rule(
            "author",
            "A signature by somebody proves nothing. The key must be that of the peer in `from`: compare the peer id "
            "made from the key.",
            SIGNING,
        ),
        Rule(
            "seqno",
            "A sequence number has eight bytes; without it two messages could have one name.",
            POLICY,
        ),
    ),
    examine=examine_signing,
)
