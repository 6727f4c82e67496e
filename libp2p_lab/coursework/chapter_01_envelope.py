"""E1.6: an envelope that a third peer believes, whoever carries it."""

from __future__ import annotations

from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import MalformedMessage, RecordInvalid
from libp2p_lab.identity.envelope import (
    PEER_RECORD_DOMAIN,
    PEER_RECORD_TYPE,
    Envelope,
    PeerRecord,
)
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.wire import protobuf, varint

SIGNING = "RFC/0002-signed-envelopes.md#signature-production--verification"
WIRE = "RFC/0002-signed-envelopes.md#wire-format"
_FIELDS = {1: "public_key", 2: "payload_type", 3: "payload", 5: "signature"}


def _prefixed(*parts: bytes) -> bytes:
    return b"".join(varint.encode(len(part)) + part for part in parts)


def _signed_instead(
    domain: bytes, payload_type: bytes, payload: bytes
) -> tuple[tuple[str, bytes], ...]:
    """What a wrong answer may have signed."""
    return (
        ("no-domain", payload),
        ("no-domain", _prefixed(payload)),
        ("no-domain", payload_type + payload),
        ("no-domain", _prefixed(payload_type, payload)),
        ("no-type", _prefixed(domain, payload)),
        ("no-lengths", domain + payload_type + payload),
        ("order", _prefixed(domain, payload, payload_type)),
        ("order", _prefixed(payload_type, domain, payload)),
        ("order", _prefixed(payload_type, payload, domain)),
    )


def _open(exam: Exam, got: bytes, key: KeyPair) -> Envelope:
    """The envelope, if its fields are there."""
    try:
        fields = {number: value for number, _, value in protobuf.read_fields(got)}
    except MalformedMessage as problem:
        exam.reject("fields", f"this is no protobuf: {problem}", got=shown(got))
    missing = [f"{number} ({name})" for number, name in _FIELDS.items() if number not in fields]
    exam.require(
        not missing,
        "fields",
        f"field {', '.join(missing)} is missing",
        got=f"the fields {', '.join(map(str, fields))}",
        expected=f"the fields {', '.join(map(str, _FIELDS))}",
    )
    own = key.public.to_protobuf()
    exam.equal(fields[1], own, "key", "field 1 is not the signer's key as a protobuf")
    try:
        return Envelope.decode(got)
    except MalformedMessage as problem:
        exam.reject("key", f"the envelope cannot be read: {problem}", got=shown(got))


def _check(exam: Exam, seal: Any, key: KeyPair, domain: str, kind: bytes, payload: bytes) -> bytes:
    exam.sent = f"seal(key, {domain!r}, {kind.hex(' ')}, {shown(payload, 80)})"
    got = seal(key, domain, kind, payload)
    if not isinstance(got, bytes):
        exam.reject("wrong-type", "the envelope is bytes", got=shown(got))
    envelope = _open(exam, got, key)
    exam.equal(envelope.payload_type, kind, "fields", "field 2 is not the payload's type")
    exam.equal(envelope.payload, payload, "fields", "field 3 is not the payload")
    try:
        envelope.verify(domain)
    except RecordInvalid as problem:
        instead = _signed_instead(domain.encode(), kind, payload)
        rule = next(
            (rule for rule, data in instead if key.public.verify(data, envelope.signature)),
            "signature",
        )
        expected = _prefixed(domain.encode(), kind, payload)
        exam.reject(rule, str(problem), expected=f"a signature over {shown(expected, 160)}")
    exam.count("envelopes verified")
    return got


async def examine_envelope(exam: Exam, answer: Any) -> None:
    """E1.6: envelopes of random content, then a peer's own record, which a stranger must believe."""
    seal = exam.callable_answer(answer, "a function seal(key, domain, payload_type, payload)")
    for kind in ("ed25519", "secp256k1", "ecdsa"):
        key = KeyPair.generate(kind, exam.rng)
        for size in (5, 300):
            domain = f"lesson-{exam.rng.randint(0, 999)}"
            _check(exam, seal, key, domain, exam.rng.randbytes(2), exam.rng.randbytes(size))
    key = KeyPair.generate(rng=exam.rng)
    peer = PeerId.from_public_key(key.public)
    record = PeerRecord(peer, exam.rng.randint(1, 99), (Multiaddr("/ip4/198.51.100.7/tcp/4001"),))
    got = _check(exam, seal, key, PEER_RECORD_DOMAIN, PEER_RECORD_TYPE, record.encode())
    assert PeerRecord.open(got) == record
    exam.count("peer records believed")


ENVELOPE = Check(
    id="01.envelope",
    exercise="E1.6",
    title="An envelope that a stranger believes",
    level="L3",
    points=3,
    objectives=("X.2",),
    starter='''\
from libp2p_lab.wire.protobuf import bytes_field  # bytes_field(number, value): one field of a protobuf


def seal(key, domain, payload_type, payload):
    """The envelope (bytes) in which the holder of `key` says `payload`.

    key: a lab.KeyPair; key.sign(data) signs, key.public.to_protobuf() is the public half.
    domain: text, what the signature is for. payload_type, payload: bytes.
    """
    raise NotImplementedError


await lab.check("01.envelope", seal)
''',
    hints=(
        "Two things are to be made: what is signed, and what is sent. The domain stands in one of them only.",
        "Signed are domain, type and payload, each with its length as a varint in front. Sent are the fields 1 "
        "public_key, 2 payload_type, 3 payload and 5 signature (RFC/0002-signed-envelopes.md).",
        "signed = b''.join(uvarint_encode(len(part)) + part for part in (domain.encode(), payload_type, payload)); "
        "the envelope is bytes_field(1, key.public.to_protobuf()) + bytes_field(2, payload_type) + bytes_field(3, "
        "payload) + bytes_field(5, key.sign(signed)).",
    ),
    rules=(
        Rule("fields", "The envelope has the fields 1, 2, 3 and 5; there is no field 4.", WIRE),
        Rule(
            "key",
            "Field 1 is the public key in its one form, the protobuf from which the peer id is made.",
            WIRE,
        ),
        Rule(
            "no-domain",
            "The domain belongs into what is signed. Without it, a signature made for one purpose could be shown for "
            "another.",
            "RFC/0002-signed-envelopes.md#domain-separation",
        ),
        Rule("no-type", "The payload's type belongs into what is signed as well.", SIGNING),
        Rule(
            "no-lengths",
            "Without lengths, 'ab' + 'c' and 'a' + 'bc' are the same bytes: one signature would hold for both. Put "
            "the length of each part in front of it, as a varint.",
            SIGNING,
        ),
        Rule("order", "The order is domain, payload type, payload.", SIGNING),
        Rule(
            "signature",
            "The signature does not hold for the length, domain; length, type; length, payload. Is the length a "
            "varint, and the signature made by key.sign?",
            SIGNING,
        ),
    ),
    examine=examine_envelope,
)
