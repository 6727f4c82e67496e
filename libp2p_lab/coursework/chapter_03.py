"""The checks of chapter 03: what two strangers tell each other, what that proves, and who would notice a lie.

Objectives: 1.23 the steps of opening a connection; X.5 binding keys to identities, X.6 attacks.
"""

from __future__ import annotations

from typing import Any

from libp2p_lab.coursework.chapter_03_certificate import CERTIFICATE
from libp2p_lab.coursework.chapter_03_channel import CHANNEL
from libp2p_lab.coursework.chapter_03_mallory import MALLORY
from libp2p_lab.coursework.chapter_03_noise import NOISE_XX
from libp2p_lab.coursework.chapter_03_payload import PAYLOAD
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.security.noise import HandshakePayload, Noise
from libp2p_lab.security.noise_xx import XX, HandshakeMessage
from libp2p_lab.trace import Entry, Trace

# -- E3.1: how long is each message? ------------------------------------------------------------------------------

PATTERN = "noise/README.md#the-noise-handshake"
PAYLOAD_PAGE = "noise/README.md#the-libp2p-handshake-payload"

#: What one side brings: bytes of its public key as a protobuf, bytes of its signature, its list of muxers.
Side = tuple[int, int, tuple[str, ...]]

#: Keys and signatures of real sizes. RSA is the one whose fields need a length of two bytes.
SIZES = {"ed25519": (36, 64), "secp256k1": (37, 71), "ecdsa": (95, 70), "rsa": (299, 256)}
MUXERS: tuple[tuple[str, ...], ...] = (
    (),
    ("/yamux/1.0.0",),
    ("/yamux/1.0.0", "/mplex/6.7.0"),
    tuple(f"/a-muxer-with-a-long-name/{n}.0.0" for n in range(7)),
)
LIVE_TYPES = ("ed25519", "secp256k1", "ecdsa")


def _payload(side: Side) -> int:
    """The reference: bytes of a payload before it is encrypted."""
    key, signature, muxers = side
    return len(HandshakePayload(bytes(key), bytes(signature), muxers).encode())


def lengths(initiator: Side, responder: Side) -> tuple[int, int, int]:
    """The reference: bytes of each message, as the length before it says."""
    return 32, 32 + 48 + _payload(responder) + 16, 48 + _payload(initiator) + 16


def _length_mistake(initiator: Side, responder: Side, got: tuple[int, ...]) -> str:
    """Which mistake gives these lengths."""
    right = lengths(initiator, responder)
    ours, theirs = _payload(initiator), _payload(responder)
    bare = ((*initiator[:2], ()), (*responder[:2], ()))
    mistakes: dict[str, tuple[tuple[int, ...], ...]] = {
        "prefix": (tuple(n + 2 for n in right),),
        "whose": (lengths(responder, initiator),),
        "tags": (
            (32, 32 + 32 + theirs, 32 + ours),
            (32, 32 + 32 + theirs + 16, 32 + ours + 16),
            (32, 32 + 48 + theirs, 48 + ours),
            (48, right[1], right[2]),
        ),
        "static": ((32, 32 + theirs + 16, ours + 16),),
        "ephemeral": ((32, right[1] - 32, right[2]), (32, right[1], right[2] + 32)),
        "extension": (
            lengths(*bare),
            tuple(
                n + _extra(side)
                for n, side in zip(right, (None, responder, initiator), strict=True)
            ),
        ),
    }
    for rule, wrong in mistakes.items():
        if got in wrong and got != right:
            return rule
    if got[0] != 32:
        return "first"
    long = max(initiator[0], responder[0], initiator[1], responder[1]) > 127
    return "varint" if long else "extension" if initiator[2] or responder[2] else "payload"


def _extra(side: Side | None) -> int:
    """How much a payload is off whose muxers stand there without the message around them."""
    if side is None or not side[2]:
        return 0
    return sum(2 + len(name) for name in side[2]) - (_payload(side) - _payload((*side[:2], ())))


def _check_lengths(exam: Exam, function: Any, initiator: Side, responder: Side) -> None:
    got = exam.call(function, initiator, responder)
    right = lengths(initiator, responder)
    if (
        not isinstance(got, tuple | list)
        or len(got) != len(right)
        or not all(type(n) is int for n in got)
    ):
        exam.reject("wrong-type", "the answer is three whole numbers", got=shown(got))
    got = tuple(got)
    if got != right:
        wrong = next(n for n, (a, b) in enumerate(zip(got, right, strict=True)) if a != b)
        exam.reject(
            _length_mistake(initiator, responder, got),
            f"message {wrong} has another length",
            got=shown(got),
            expected=shown(right),
            departure=f"message {wrong}, {', '.join(XX[wrong])}: {right[wrong]} bytes, not {got[wrong]}",
        )
    exam.count("handshakes computed")


async def _capture(exam: Exam, kinds: tuple[str, str], early: bool) -> list[HandshakeMessage]:
    """The three messages of a live handshake, as the dialer's trace tells them."""
    told: list[Entry] = []
    trace = Trace()
    trace.listen(told.append)
    keys = [KeyPair.generate(kind, exam.rng) for kind in kinds]
    noise = [Noise(early_muxers=early) for _ in keys]
    async with (
        Host(key=keys[1], security=[noise[1]], listen=["/memory/0"], services=[]) as listener,
        Host(key=keys[0], security=[noise[0]], trace=trace, services=[]) as dialer,
    ):
        await dialer.connect(listener.addrs[0])
    return [entry.what for entry in told if isinstance(entry.what, HandshakeMessage)]


def _side(message: HandshakeMessage) -> Side:
    payload = HandshakePayload.decode(message.plaintext)
    return len(payload.identity_key), len(payload.identity_sig), payload.stream_muxers


async def examine_lengths(exam: Exam, answer: Any) -> None:
    """E3.1: the commonest handshake, every kind of key and list of muxers, then live ones, measured on the wire."""
    function = exam.callable_answer(answer, "a function message_lengths(initiator, responder)")
    plain: Side = (*SIZES["ed25519"], ())
    _check_lengths(exam, function, plain, plain)
    sides: list[Side] = [(*size, muxers) for muxers in MUXERS for size in SIZES.values()]
    for initiator in sides:
        _check_lengths(exam, function, initiator, exam.rng.choice(sides))
        _check_lengths(exam, function, plain, initiator)
    for kind in LIVE_TYPES:
        other = exam.rng.choice(LIVE_TYPES)
        messages = await _capture(exam, (kind, other), exam.rng.random() < 0.5)
        initiator, responder = _side(messages[2]), _side(messages[1])
        assert lengths(initiator, responder) == tuple(len(m.encode()) for m in messages)
        _check_lengths(exam, function, initiator, responder)
        exam.count("live handshakes measured")


LENGTHS = Check(
    id="03.lengths",
    exercise="E3.1",
    title="How long is each message?",
    level="L2",
    points=2,
    objectives=("1.23", "X.5"),
    starter='''\
def message_lengths(initiator, responder):
    """The lengths of the three handshake messages, in bytes, without the two bytes of length before each.

    Each side is (key_size, signature_size, muxers): the bytes of its public key as a protobuf, the bytes of its
    signature, and the list of its muxers (text); an empty list sends no extension.
    """
    raise NotImplementedError


await lab.check("03.lengths", message_lengths)
''',
    hints=(
        "Write the tokens of each message in a row, and under each how many bytes it sends. Which tokens send nothing?",
        "e sends 32 bytes, s sends 32 and a tag of 16, the payload is encrypted and has a tag too; ee, es and se send "
        "nothing. A payload is a protobuf: 1 identity_key, 2 identity_sig, 4 extensions, in those 2 stream_muxers "
        "(noise/README.md, the libp2p handshake payload).",
        "field(n) = 1 + (1 if n < 128 else 2) + n. payload = field(key_size) + field(signature_size), and with muxers "
        "+ field(sum(field(len(m)) for m in muxers)). Messages: 32; 32 + 48 + the responder's payload + 16; 48 + the "
        "initiator's payload + 16.",
    ),
    rules=(
        Rule("first", "Message 0 is e and nothing else: nothing is secret yet.", PATTERN),
        Rule(
            "prefix",
            "The two bytes of length are not asked for: they stand before the Noise message, not in it.",
            "noise/README.md#wire-format",
        ),
        Rule(
            "whose",
            "The responder proves itself first: its payload travels in message 1, the initiator's in message 2.",
            PATTERN,
        ),
        Rule(
            "tags",
            "Whatever is encrypted has a tag of 16 bytes: s has one, and the payload has its own. e is not encrypted.",
            PATTERN,
        ),
        Rule(
            "static",
            "The token s sends a key of 32 bytes, encrypted: 48 bytes with its tag.",
            PATTERN,
        ),
        Rule("ephemeral", "Message 1 begins with the responder's e; message 2 has no e.", PATTERN),
        Rule(
            "extension",
            "The muxers stand in a message of their own, field 4, and each is a field in it: tag, length, name. "
            "Without muxers there is no field 4.",
            "noise/README.md#noise-extensions",
        ),
        Rule(
            "varint",
            "A length of 128 or more takes two bytes: RSA keys and signatures are that long, and so are many muxers.",
            "https://protobuf.dev/programming-guides/encoding/",
        ),
        Rule(
            "payload",
            "The payload is two fields, each with a byte of tag and a byte of length before it.",
            PAYLOAD_PAGE,
        ),
    ),
    examine=examine_lengths,
    time_limit=40.0,
)

CHECKS: tuple[Check, ...] = (LENGTHS, PAYLOAD, CHANNEL, NOISE_XX, MALLORY, CERTIFICATE)
