"""The checks of chapter 01: whose key is it, how is a number written, what is a name, what is an address.

Objectives: 1.14 multiaddrs, 1.21 node, peer and identity, 1.22 how an identity is derived; X.1 canonical encoding,
X.2 signed envelopes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from libp2p_lab.coursework.chapter_01_envelope import ENVELOPE
from libp2p_lab.coursework.chapter_01_mining import MINE
from libp2p_lab.coursework.chapter_01_multiaddr import MULTIADDR
from libp2p_lab.coursework.chapter_01_peer_id import PEER_ID
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.host.identify import IdentifyMessage
from libp2p_lab.identity.keys import KeyType, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.trace import Entry
from libp2p_lab.wire import varint

UNSIGNED_VARINT = "https://github.com/multiformats/unsigned-varint"

# -- E1.1: of which kind is each peer's key? ----------------------------------------------------------------------

_TYPES = {key_type.name.lower(): key_type for key_type in KeyType}
_INLINE = (KeyType.ED25519, KeyType.SECP256K1)  # their ids hold the key itself


def _keys_told(record: Iterable[Entry]) -> dict[str, bytes]:
    """The encoded public key of each peer that identified itself in a record, by peer id."""
    messages = (
        entry.what
        for entry in record
        if isinstance(entry.what, IdentifyMessage) and entry.direction == "received"
    )
    encoded = {message.public_key for message in messages if message.public_key}
    return {str(PeerId.from_public_key(PublicKey.from_protobuf(key))): key for key in encoded}


async def examine_key_types(exam: Exam, answer: Any) -> None:
    """E1.1: peer ids and kinds of key, compared with what the peers told by identify."""
    exam.require(
        isinstance(exam.run, Iterable), "no-record", "there is no record of a run to compare with"
    )
    told = _keys_told(exam.run)  # type: ignore[arg-type]  # an Iterable, as was just made sure
    exam.require(told, "no-record", "in this record nobody identified itself")
    if not isinstance(answer, Mapping):
        exam.reject(
            "wrong-type",
            "the answer is a dict from peer ids to names of key types",
            got=shown(answer),
        )
    given = {str(peer): str(getattr(name, "name", name)).lower() for peer, name in answer.items()}
    for peer, name in given.items():
        exam.require(
            peer in told, "unknown-peer", "no peer with this id identified itself", got=peer
        )
        exam.require(
            name in _TYPES,
            "no-type",
            f"there is no kind of key called {name!r}",
            got=shown(name),
            expected=", ".join(_TYPES),
        )
        _compare(exam, peer, told[peer], _TYPES[name])
    missing = [peer for peer in told if peer not in given]
    exam.require(
        not missing,
        "missing",
        f"{len(missing)} more peer(s) identified themselves",
        expected=", ".join(missing),
    )
    exam.count("keys compared with the record", len(told))


def _compare(exam: Exam, peer: str, encoded: bytes, claimed: KeyType) -> None:
    right = PublicKey.from_protobuf(encoded).type
    if claimed is right:
        return
    exam.sent = f"the peer {peer}"
    if (claimed in _INLINE) != (right in _INLINE):
        rule, where = "hashed-or-not", f"its id begins {PeerId.from_text(peer).multihash[:2].hex()}"
    elif right in _INLINE:
        rule, where = "type-in-id", f"its id begins {PeerId.from_text(peer).multihash[:4].hex(' ')}"
    else:
        rule, where = "behind-the-hash", f"the key that it told begins {encoded[:4].hex(' ')}"
    exam.reject(rule, f"this is no {claimed.name} key", got=claimed.name.lower(), departure=where)


KEY_TYPES = Check(
    id="01.key_types",
    exercise="E1.1",
    title="Of which kind is each peer's key?",
    level="L1",
    points=1,
    objectives=("1.21", "1.22"),
    starter="""\
# `log` is the record of the run above. Every peer in it told its public key: of which kind is it?
answer = {}  # peer id: "ed25519", "secp256k1", "ecdsa" or "rsa"
await lab.check("01.key_types", answer, run=log)
""",
    hints=(
        "Entries of layer `identify` with direction `received` hold IdentifyMessages; print each one's public_key "
        "as hex.",
        "A key is a small protobuf: 08, the type, 12, the length, the key. The types are numbered in "
        "peer-ids/peer-ids.md, keys.",
        "key = message.public_key; its second byte is 0 for rsa, 1 for ed25519, 2 for secp256k1, 3 for ecdsa; the "
        "peer is lab.PeerId.from_public_key(lab.PublicKey.from_protobuf(key)).",
    ),
    rules=(
        Rule("unknown-peer", "Take the ids from the record: whoever dialled does not count."),
        Rule(
            "no-type",
            "libp2p knows four kinds of key: ed25519, secp256k1, ecdsa, rsa.",
            "peer-ids/peer-ids.md#key-types",
        ),
        Rule("missing", "Every peer that told its key is asked for."),
        Rule(
            "hashed-or-not",
            "The first byte of an id says what it is: 00, and the key itself follows (ed25519, secp256k1); 12, and "
            "it is a SHA-256 of a longer key (ecdsa, rsa).",
            "peer-ids/peer-ids.md#peer-ids",
        ),
        Rule(
            "type-in-id",
            "Both short kinds of key stand in the id itself. Read on after the length: 08 01 is ed25519, 08 02 is "
            "secp256k1.",
            "peer-ids/peer-ids.md#keys",
        ),
        Rule(
            "behind-the-hash",
            "From a hash nothing can be read. The peer told its whole key by identify: look at the Type there.",
            "identify/README.md#publickey",
        ),
    ),
    examine=examine_key_types,
    seeds=(1,),
    place="kernel",
)

# -- E1.2: numbers as bytes ---------------------------------------------------------------------------------------

Encode = Callable[[int], Any]
Decode = Callable[[bytes], Any]


def _pair(exam: Exam, answer: Any) -> tuple[Encode, Decode]:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        exam.reject(
            "wrong-type", "the answer is two functions: (encode, decode)", got=shown(answer)
        )
    encode = exam.callable_answer(answer[0], "a function uvarint_encode(number)")
    return encode, exam.callable_answer(answer[1], "a function uvarint_decode(data)")


def _numbers(exam: Exam) -> list[int]:
    """The ends of every length, and some numbers of each length in between."""
    ends = [1 << 7 * n for n in range(1, varint.MAX_LENGTH)]
    edges = [0, 1, 300, *(end - 1 for end in ends), *ends, varint.MAX_VALUE]
    return [*edges, *(exam.rng.getrandbits(bits) for bits in range(2, 64) for _ in range(2))]


def _encoding_mistake(number: int, got: bytes) -> str:
    """Which mistake gives these bytes."""
    right = varint.encode(number)
    groups = bytes(byte & 0x7F for byte in right)
    if number == 0:
        return "zero"
    if len(right) > 1 and bytes(byte & 0x7F for byte in got) == groups[::-1]:
        return "big-endian"
    if bytes(byte & 0x7F for byte in got) == groups:
        return "continuation"
    if len(got) > len(right):
        return "not-shortest"
    return "groups"


def _check_encode(exam: Exam, encode: Encode) -> None:
    for number in _numbers(exam):
        got = exam.call(encode, number)
        if isinstance(got, bytes) and got != varint.encode(number):
            rule = _encoding_mistake(number, got)
            exam.equal(got, varint.encode(number), rule, f"{number} is written otherwise")
        exam.equal(got, varint.encode(number), "groups", f"{number} is written otherwise")
        exam.count("numbers encoded")
    for number in (-1, 1 << 63, 1 << 70):
        problem = f"{number} does not fit into nine bytes of seven bits, and was not refused"
        exam.refuses(encode, number, rule="range", problem=problem)


def _check_decode(exam: Exam, decode: Decode) -> None:
    for number in _numbers(exam):
        encoded = varint.encode(number)
        behind = exam.rng.randbytes(exam.rng.randint(0, 3))
        got = exam.call(decode, encoded + behind)
        if not isinstance(got, tuple) or len(got) != 2:
            exam.reject("wrong-type", "the answer is a tuple (number, size)", got=shown(got))
        exam.equal(got[0], number, "value", f"{encoded.hex(' ')} is {number}")
        exam.equal(got[1], len(encoded), "size", "size is how many bytes the number took")
        exam.count("numbers decoded")
    for number in _numbers(exam):
        encoded = varint.encode(number)
        for cut in range(len(encoded)):
            problem = f"the number is cut off after {cut} of {len(encoded)} bytes"
            exam.refuses(decode, encoded[:cut], rule="truncated", problem=problem)
        if len(encoded) < varint.MAX_LENGTH:
            padded = encoded[:-1] + bytes((encoded[-1] | 0x80, 0))
            problem = f"{number} also has a shorter form, {encoded.hex(' ')}"
            exam.refuses(decode, padded, rule="not-shortest", problem=problem)
        exam.count("encodings that must be refused", len(encoded) + 1)
    for long in (b"\x80" * 9 + b"\x01", b"\xff" * 9 + b"\x01", b"\xff" * 40):
        exam.refuses(decode, long, rule="too-long", problem="more than nine bytes were accepted")


async def examine_uvarint(exam: Exam, answer: Any) -> None:
    """E1.2: both directions on the edges and on random numbers; what has a shorter form, or no end, is refused."""
    encode, decode = _pair(exam, answer)
    _check_encode(exam, encode)
    exam.explain = {IndexError: "truncated"}
    _check_decode(exam, decode)


UVARINT = Check(
    id="01.uvarint",
    exercise="E1.2",
    title="Numbers as bytes, in one form only",
    level="L2",
    points=2,
    objectives=("1.22", "X.1"),
    starter='''\
def uvarint_encode(number):
    """The shortest bytes for a number from 0 to 2**63 - 1; ValueError for any other."""
    raise NotImplementedError


def uvarint_decode(data):
    """(number, size): the number at the beginning of `data`, and how many bytes it took.

    ValueError if it is cut off, longer than nine bytes, or not in its shortest form.
    """
    raise NotImplementedError


await lab.check("01.uvarint", (uvarint_encode, uvarint_decode))
''',
    hints=(
        "Write 300 in binary and cut it into groups of seven bits, from the right. Which group is written first?",
        "Lowest group first; the top bit of each byte says whether another follows. The shortest form only, nine "
        "bytes at most (unsigned-varint).",
        "encode: while number >= 128: append number % 128 + 128, number //= 128; append number. decode: add "
        "(byte % 128) << 7 * position until a byte is below 128; if that byte is 0 and not the first one, the form "
        "was not the shortest.",
    ),
    rules=(
        Rule("zero", "Zero is a number as well: one byte, 00.", UNSIGNED_VARINT),
        Rule(
            "big-endian",
            "The groups of seven bits stand in the other order: the lowest first.",
            UNSIGNED_VARINT,
        ),
        Rule(
            "continuation",
            "The top bit says that more follows: it is set in every byte but the last.",
            UNSIGNED_VARINT,
        ),
        Rule(
            "not-shortest",
            "A number must have one encoding only: if a key could be written in two ways, it would have two peer "
            "ids. A last byte of 00 (after others) adds nothing and is forbidden.",
            UNSIGNED_VARINT,
        ),
        Rule(
            "groups",
            "Seven bits go into each byte, not eight: the eighth says whether more follows.",
            UNSIGNED_VARINT,
        ),
        Rule("range", "Nine bytes of seven bits hold 0 to 2**63 - 1: refuse what does not fit."),
        Rule("value", "Each byte adds its lower seven bits, shifted by seven more than the last."),
        Rule(
            "size",
            "What follows the number is somebody else's: stop at the first byte below 128, and say how many bytes "
            "you took.",
        ),
        Rule(
            "truncated",
            "If the last byte that is there says that more follows, the number is cut off: ValueError.",
        ),
        Rule(
            "too-long",
            "Stop after nine bytes, whatever they say: otherwise a stranger decides how long you read.",
            UNSIGNED_VARINT,
        ),
    ),
    examine=examine_uvarint,
)

CHECKS: tuple[Check, ...] = (KEY_TYPES, UVARINT, PEER_ID, MULTIADDR, MINE, ENVELOPE)
