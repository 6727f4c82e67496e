"""E1.3: from a public key to a name, first on paper, then in a live peer that an untouched one must believe."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.slots import swap
from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import MAX_INLINE_KEY, PeerId
from libp2p_lab.wire import multibase, varint

PATIENCE = 10.0  # seconds for a dial that takes a right answer milliseconds
PEER_IDS = "peer-ids/peer-ids.md#peer-ids"

#: The public keys of the spec's test vectors, as protobufs. RSA is left to the generated lengths: 555 bytes say no
#: more than ECDSA's 95.
SPEC_KEYS = (
    "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
    "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
    "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5d530899d83abab44abf3161f162a"
    "4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62",
)
LIVE_TYPES = ("ed25519", "secp256k1", "ecdsa")  # RSA keys cannot be drawn from a seed

NameOf = Callable[[bytes], Any]


def peer_id(key: bytes) -> str:
    """The reference, for bytes of any length: identity up to 42 bytes, sha2-256 beyond."""
    return _identity(key) if len(key) <= MAX_INLINE_KEY else _hashed(key)


def _identity(key: bytes) -> str:
    return multibase.base58_encode(b"\x00" + varint.encode(len(key)) + key)


def _hashed(key: bytes) -> str:
    return multibase.base58_encode(b"\x12\x20" + hashlib.sha256(key).digest())


def _mistake(key: bytes, got: str) -> str:
    """Which mistake gives this name."""
    right = peer_id(key)
    is_near = 37 < len(key) < 95  # between the lengths that real keys have
    if got in (_hashed(key), _identity(key)):
        return "boundary" if is_near else "hashes-all" if got == _hashed(key) else "never-hashes"
    if got == right.lstrip("1"):
        return "leading-zero"
    if got in (_hashed(key[4:]), _identity(key[4:])):
        return "raw-key"
    digest = hashlib.sha256(key).digest()
    if got in (multibase.base58_encode(key), multibase.base58_encode(digest)):
        return "no-multihash"
    try:
        is_other_form = str(PeerId.from_text(got)) == right
    except LocalError:
        is_other_form = False
    return "other-form" if is_other_form else "name"


def _check(exam: Exam, function: NameOf, key: bytes) -> None:
    got = exam.call(function, key)
    rule = _mistake(key, got) if isinstance(got, str) else "name"
    problem = f"this key, {len(key)} bytes as a protobuf, has another name"
    exam.equal(got, peer_id(key), rule, problem)
    exam.count("names compared")


async def _meets(exam: Exam, function: NameOf, kind: str) -> None:
    """A peer that names itself with the answer is dialled by an untouched one, and dials it."""
    mine_key, their_key = (KeyPair.generate(kind, exam.rng) for _ in range(2))
    exam.sent = f"two live peers with {kind} keys; one of them names everybody by your function"
    try:
        with swap("peer_id", function) as stack:
            async with (
                stack.host(key=mine_key, listen=["/memory/0"]) as mine,
                Host(key=their_key, listen=["/memory/0"]) as theirs,
                exam.step(PATIENCE, "stranger", "the two never met"),
            ):
                await theirs.connect(mine.addrs[0])
                await theirs.ping(mine.peer_id)
                await mine.disconnect(theirs.peer_id)
                await mine.connect(theirs.addrs[0])
                await mine.ping(theirs.peer_id)
    except LabError as problem:
        exam.reject(
            "stranger",
            "a peer that does not know your code was dialled, or dialled, and the two do not agree on a name",
            got=str(problem),
            expected=f"{peer_id(mine_key.public.to_protobuf())} and {peer_id(their_key.public.to_protobuf())}",
        )
    exam.count("connections with an untouched peer", 2)


async def examine_peer_id(exam: Exam, answer: Any) -> None:
    """E1.3: the spec's keys, then live peers, then every length around the boundary."""
    function = exam.callable_answer(answer, "a function peer_id(public_key)")
    for text in SPEC_KEYS:
        _check(exam, function, bytes.fromhex(text))
    for kind in LIVE_TYPES:
        await _meets(exam, function, kind)
    for length in (42, 43, *range(38, 60), 94, 299, 555):
        head = b"\x08\x01\x12" + varint.encode(length - 4)
        _check(exam, function, head + exam.rng.randbytes(length - len(head)))


PEER_ID = Check(
    id="01.peer_id",
    exercise="E1.3",
    title="From a public key to a name",
    level="L4",
    points=3,
    objectives=("1.21", "1.22", "X.1"),
    starter='''\
import hashlib

from libp2p_lab.wire.multibase import base58_encode  # bytes to text; leading zero bytes become "1"


def peer_id(public_key):
    """The peer id (base58 text) of a public key (its protobuf, bytes: 08 01 12 20 …)."""
    raise NotImplementedError


await lab.check("01.peer_id", peer_id)
''',
    hints=(
        "KeyLab shows the way in three steps: protobuf, multihash, text. Only the middle step is not there yet.",
        "A multihash is a code, a length and a digest. Up to 42 bytes of protobuf the code is identity (00) and the "
        "digest is the protobuf itself; beyond, the code is sha2-256 (12) (peer-ids/peer-ids.md, peer ids).",
        "if len(public_key) <= 42: multihash = bytes([0, len(public_key)]) + public_key; otherwise bytes([0x12, 32]) "
        "+ hashlib.sha256(public_key).digest(). Then base58_encode(multihash).",
    ),
    rules=(
        Rule(
            "hashes-all",
            "A short key is not hashed: its id holds it whole, so that it can be read out of the name.",
            PEER_IDS,
        ),
        Rule("never-hashes", "A long key does not stand in the id; its SHA-256 does.", PEER_IDS),
        Rule(
            "raw-key",
            "The name is made from the whole protobuf, 08 … 12 … included, not from the key inside it.",
            PEER_IDS,
        ),
        Rule(
            "no-multihash",
            "Before the bytes stand two more: which hash function (00 or 12), and how many bytes follow.",
            PEER_IDS,
        ),
        Rule(
            "leading-zero",
            "An identity multihash begins with a zero byte. A number forgets leading zeros; base58 writes each as 1.",
            "peer-ids/peer-ids.md#string-representation",
        ),
        Rule(
            "other-form",
            "This is the right name in its newer form, a CID. The exercise asks for base58.",
            "peer-ids/peer-ids.md#string-representation",
        ),
        Rule(
            "boundary",
            "The last length that is not hashed is 42 bytes, that one included.",
            PEER_IDS,
        ),
        Rule(
            "stranger",
            "The keys of the spec have the right names, the keys of these peers do not: compute the name from the "
            "bytes that come.",
            PEER_IDS,
        ),
        Rule(
            "name",
            "Compare with KeyLab, byte by byte: protobuf, multihash, base58 of that.",
            PEER_IDS,
        ),
    ),
    examine=examine_peer_id,
    time_limit=60.0,
)
