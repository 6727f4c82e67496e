"""E3.2: the payload that binds a Noise key to a peer: made, and believed only where it should be."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import MalformedMessage
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload
from libp2p_lab.security.tls_certificate import SIGNATURE_PREFIX as TLS_PREFIX
from libp2p_lab.wire import protobuf

PAGE = "noise/README.md#the-libp2p-handshake-payload"
BINDING = "noise/README.md#static-key-authentication"
KINDS = ("ed25519", "secp256k1", "ecdsa")


def _static(exam: Exam) -> bytes:
    private = X25519PrivateKey.from_private_bytes(exam.rng.randbytes(32))
    return private.public_key().public_bytes_raw()


def _payload(key: KeyPair, signed: bytes, **more: Any) -> bytes:
    return HandshakePayload(key.public.to_protobuf(), key.sign(signed), **more).encode()


# -- making one ---------------------------------------------------------------------------------------------------


def _signed_instead(key: KeyPair, static: bytes) -> tuple[tuple[str, bytes], ...]:
    """What a wrong answer may have signed."""
    own = key.public.to_protobuf()
    return (
        ("prefix", static),
        ("prefix", TLS_PREFIX + static),
        ("prefix", SIGNATURE_PREFIX[:-1] + static),
        ("signed", SIGNATURE_PREFIX + own),
        ("signed", SIGNATURE_PREFIX),
        ("signed", own + static),
        ("signed", static + SIGNATURE_PREFIX),
        ("signed", SIGNATURE_PREFIX + static.hex().encode()),
    )


def _check_made(exam: Exam, seal: Any, key: KeyPair, static: bytes) -> None:
    exam.sent = f"seal_payload(key, {static.hex(' ')})"
    got = seal(key, static)
    if not isinstance(got, bytes):
        exam.reject("wrong-type", "the payload is bytes", got=shown(got))
    try:
        fields = {number: value for number, _, value in protobuf.read_fields(got)}
        payload = HandshakePayload.decode(got)
    except MalformedMessage as problem:
        exam.reject("fields", f"this is no payload: {problem}", got=shown(got))
    exam.require(
        {1, 2} <= set(fields),
        "fields",
        "the fields 1 (identity_key) and 2 (identity_sig) are asked for",
        got=f"the fields {', '.join(map(str, fields)) or '(none)'}",
    )
    exam.equal(
        payload.identity_key,
        key.public.to_protobuf(),
        "key",
        "field 1 is not the identity key as a protobuf",
    )
    if not key.public.verify(SIGNATURE_PREFIX + static, payload.identity_sig):
        rule = next(
            (
                rule
                for rule, data in _signed_instead(key, static)
                if key.public.verify(data, payload.identity_sig)
            ),
            "signed",
        )
        exam.reject(
            rule,
            "the signature does not hold for this static key",
            got=shown(payload.identity_sig),
            expected=f"a signature over {shown(SIGNATURE_PREFIX + static)}",
        )
    exam.count("payloads made")


# -- believing one ------------------------------------------------------------------------------------------------


def _check_believed(exam: Exam, read: Any, key: KeyPair, static: bytes) -> None:
    who = PeerId.from_public_key(key.public)
    plain = _payload(key, SIGNATURE_PREFIX + static)
    good = {
        "as the spec has it": plain,
        "with a list of muxers": _payload(
            key, SIGNATURE_PREFIX + static, stream_muxers=("/yamux/1.0.0",)
        ),
        "with a field that nobody knows yet": plain + protobuf.bytes_field(77, b"later"),
    }
    for what, payload in good.items():
        exam.sent = f"a right payload {what}: {shown(payload, 120)}"
        try:
            got = read(payload, static)
        except ValueError as problem:
            exam.reject("refuses", f"it was refused: {problem}", expected=str(who))
        exam.equal(str(got), str(who), "who", "somebody else is believed to have sent this")
        exam.count("payloads believed")


def _forgeries(exam: Exam, key: KeyPair, static: bytes) -> list[tuple[str, str, bytes, bytes]]:
    """What must be refused: rule, in words, the payload, the static key."""
    mallory = KeyPair.generate(exam.rng.choice(KINDS), exam.rng)
    own, signature = key.public.to_protobuf(), key.sign(SIGNATURE_PREFIX + static)
    right = HandshakePayload(own, signature)
    bit = exam.rng.randrange(8 * len(signature))
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    hers = mallory.sign(SIGNATURE_PREFIX + static)
    broken = (
        ("no-verify", "signed by another key", HandshakePayload(own, hers)),
        (
            "no-verify",
            "one bit of the signature turned over",
            HandshakePayload(own, bytes(flipped)),
        ),
        ("no-verify", "an empty signature", HandshakePayload(own, b"")),
        ("no-prefix", "signed without the prefix", HandshakePayload(own, key.sign(static))),
        (
            "no-prefix",
            "signed with the prefix of TLS",
            HandshakePayload(own, key.sign(TLS_PREFIX + static)),
        ),
        ("no-prefix", "only the prefix signed", HandshakePayload(own, key.sign(SIGNATURE_PREFIX))),
        ("no-key", "no identity key", HandshakePayload(b"", signature)),
        ("no-key", "a key that is none", HandshakePayload(b"\x08\x01\x12\x03abc", signature)),
        (
            "no-key",
            "the bare key without its protobuf",
            HandshakePayload(key.public.raw, signature),
        ),
    )
    other = _static(exam)
    encoded = right.encode()
    return [
        *((rule, words, payload.encode(), static) for rule, words, payload in broken),
        ("static", "a right payload, over another Noise key", encoded, other),
        ("garbage", "a payload that is cut off", encoded[: len(encoded) // 2], static),
        ("garbage", "no payload at all", b"", static),
        ("garbage", "bytes that are no protobuf", b"\xff" * 40, static),
    ]


async def examine_payload(exam: Exam, answer: Any) -> None:
    """E3.2: payloads of every kind of key, made and read; then everything that must be refused."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        exam.reject(
            "wrong-type",
            "the answer is two functions: (seal_payload, open_payload)",
            got=shown(answer),
        )
    seal = exam.callable_answer(answer[0], "a function seal_payload(key, static_key)")
    read = exam.callable_answer(answer[1], "a function open_payload(payload, static_key)")
    for kind in KINDS:
        key, static = KeyPair.generate(kind, exam.rng), _static(exam)
        _check_made(exam, seal, key, static)
        _check_believed(exam, read, key, static)
        for rule, words, payload, claimed in _forgeries(exam, key, static):
            exam.refuses(read, payload, claimed, rule=rule, problem=f"{words}, and believed")
            exam.count("forgeries refused")
        alice = PeerId.from_public_key(key.public)
        got = read(seal(key, static), static)
        exam.equal(str(got), str(alice), "who", "your own payload names somebody else")


PAYLOAD = Check(
    id="03.payload",
    exercise="E3.2",
    title="Who vouches for this key?",
    level="L2",
    points=3,
    objectives=("1.23", "X.5"),
    starter='''\
from libp2p_lab.wire.protobuf import bytes_field, read_fields
# bytes_field(number, value): one field; read_fields(data): (number, wire type, value) of each


def seal_payload(key, static_key):
    """The payload (bytes) by which the holder of `key` vouches for a Noise key.

    key: a lab.KeyPair; key.sign(data) signs, key.public.to_protobuf() is the public half. static_key: 32 bytes.
    """
    raise NotImplementedError


def open_payload(payload, static_key):
    """The lab.PeerId of whoever vouches for `static_key`; ValueError (or a LabError) if nobody does."""
    raise NotImplementedError


await lab.check("03.payload", (seal_payload, open_payload))
''',
    hints=(
        "Two fields: who I am, and my signature. Over what must it be, so that nobody can use it elsewhere?",
        "The signature is over noise-libp2p-static-key: and the Noise static key, with the identity key "
        "(noise/README.md, static key authentication). Fields: 1 identity_key, 2 identity_sig. What is unknown is "
        "skipped.",
        "seal: bytes_field(1, key.public.to_protobuf()) + bytes_field(2, key.sign(b'noise-libp2p-static-key:' + "
        "static_key)). open: fields = {number: value for number, _, value in read_fields(payload)}; identity = "
        "lab.PublicKey.from_protobuf(fields.get(1, b'')); if not identity.verify(prefix + static_key, fields.get(2, "
        "b'')): raise ValueError; return lab.PeerId.from_public_key(identity).",
    ),
    rules=(
        Rule("fields", "The payload has the fields 1, identity_key, and 2, identity_sig.", PAGE),
        Rule(
            "key",
            "Field 1 is the public key in its one form, the protobuf from which the peer id is made.",
            PAGE,
        ),
        Rule(
            "prefix",
            "Before the static key stands the text noise-libp2p-static-key: with its colon. Without it, a signature "
            "that was made for something else might do.",
            BINDING,
        ),
        Rule(
            "signed",
            "What is signed is the prefix and the Noise static key, nothing more: 24 + 32 bytes.",
            BINDING,
        ),
        Rule(
            "refuses",
            "This payload is right. A field that you do not know is no reason to refuse: skip it, so that others may "
            "add to the protocol.",
            PAGE,
        ),
        Rule("who", "The peer id is made from field 1, the identity key."),
        Rule(
            "no-verify",
            "Anybody can write a public key into field 1. What proves something is the signature, and it has to be "
            "checked.",
            BINDING,
        ),
        Rule(
            "no-prefix",
            "The signature must be over the prefix and the static key. Whoever takes another prefix, or none, takes "
            "signatures that were made for something else.",
            BINDING,
        ),
        Rule("no-key", "Without a key that can be read there is nobody who vouches.", PAGE),
        Rule(
            "static",
            "The signature must be over the static key of this connection, the one that is given. Otherwise anybody "
            "who has once seen this payload may send it again.",
            BINDING,
        ),
        Rule("garbage", "A payload that cannot be read is refused: ValueError.", PAGE),
    ),
    examine=examine_payload,
)
