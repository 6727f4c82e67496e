"""E6.3 and E6.5: records that can be believed wherever they lie; and what to do with many answers to one question."""

from __future__ import annotations

import itertools
import struct
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId

VALIDATION = "kad-dht/README.md#entry-validation"
CORRECTION = "kad-dht/README.md#value-retrieval"
HEAD = struct.Struct(">QQ")
NOW = 1_800_000_000
PREFIX = b"/note/"
SIGNED = b"libp2p-lab-note:"

# -- E6.3 -----------------------------------------------------------------------------------------------------------


def note(
    key: KeyPair, sequence: int, expires: int, text: bytes, *, signed: bytes | None = None
) -> bytes:
    """A record: sequence and expiry (8 bytes each), the text, a signature of 64 bytes over a prefix and all before."""
    head = HEAD.pack(sequence, expires) + text
    return head + key.sign(SIGNED + (head if signed is None else signed))


def _validation(exam: Exam, validate: Any) -> None:
    owner, other = KeyPair.generate(), KeyPair.generate()
    name = PREFIX + PeerId.from_public_key(owner.public).multihash
    text = exam.rng.randbytes(exam.rng.randrange(1, 40))
    good = note(owner, 5, NOW + 60, text)
    for what, value in (
        ("a record", good),
        ("one without text", note(owner, 0, NOW + 60, b"")),
        ("one with a great number", note(owner, 2**64 - 1, NOW + 1, text)),
    ):
        exam.sent = f"{what}, signed by its owner, a minute before it expires"
        try:
            got = exam.call(validate, name, value, NOW)
        except REFUSALS:
            exam.reject("too-strict", f"{what} in order was refused")
        exam.require(
            got is None,
            "wrong-type",
            "validate gives nothing, or raises ValueError",
            got=shown(got),
        )
        exam.count("records believed")
    for rule, what, key, value in (
        ("forged", "a record by somebody else", name, note(other, 5, NOW + 60, text)),
        (
            "forged",
            "a flipped bit in the text",
            name,
            good[:-65] + bytes([good[-65] ^ 1]) + good[-64:],
        ),
        ("number-unsigned", "another sequence number", name, HEAD.pack(6, NOW + 60) + good[16:]),
        ("number-unsigned", "a later expiry", name, HEAD.pack(5, NOW + 600) + good[16:]),
        (
            "prefix",
            "a signature made for something else",
            name,
            note(owner, 5, NOW + 60, text)[:-64] + owner.sign(good[:-64]),
        ),
        ("expired", "a record that has expired just now", name, note(owner, 5, NOW, text)),
        ("expired", "a record of last year", name, note(owner, 5, NOW - 31_000_000, text)),
        ("broken", "nothing at all", name, b""),
        ("broken", "fewer bytes than a signature has", name, good[-40:]),
        (
            "name",
            "a record under another's name",
            PREFIX + PeerId.from_public_key(other.public).multihash,
            good,
        ),
        ("name", "a name that is none", PREFIX + b"nobody", good),
    ):
        exam.sent = what
        exam.refuses(validate, key, value, NOW, rule=rule, problem=f"{what} was believed")
        exam.count("records refused")


def _selection(exam: Exam, select: Any) -> None:
    owner = KeyPair.generate()
    name = PREFIX + PeerId.from_public_key(owner.public).multihash
    old, new = note(owner, 5, NOW + 900, b"old"), note(owner, 6, NOW + 60, b"new")
    huge = note(owner, 257, NOW + 60, b"newest")
    longer = note(owner, 6, NOW + 120, b"new, for longer")
    twins = [note(owner, 9, NOW + 9, b"one"), note(owner, 9, NOW + 9, b"other")]
    for rule, values, right in (
        ("newest", [old, new], new),
        ("newest", [old, huge, new], huge),
        ("longest", [new, longer], longer),
    ):
        for order in itertools.permutations(values):
            got = exam.call(select, name, list(order))
            exam.require(
                isinstance(got, int) and 0 <= got < len(order),
                "wrong-type",
                "select gives an index",
                got=shown(got),
            )
            exam.require(order[got] == right, rule, "another one is better")
            exam.count("choices")
    chosen = {
        order[exam.call(select, name, list(order))] for order in itertools.permutations(twins)
    }
    exam.require(
        len(chosen) == 1, "stable", "the choice depends on the order in which the two came"
    )
    exam.equal(exam.call(select, name, [old]), 0, "newest", "of one record it is the first")


async def examine_records(exam: Exam, answer: Any) -> None:
    """E6.3: validate and select."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not all(map(callable, answer)):
        exam.reject(
            "wrong-type", "two functions are asked for: (validate, select)", got=shown(answer)
        )
    _validation(exam, answer[0])
    _selection(exam, answer[1])


RECORDS = Check(
    id="06.records",
    exercise="E6.3",
    title="A record that can lie anywhere",
    level="L2",
    points=2,
    objectives=("X.11",),
    starter='''\
import struct

import libp2p_lab as lab


def validate(key, value, now):
    """Nothing if this record may be believed at `now` (Unix time); ValueError if not.

    key: b"/note/" and the bytes of a peer id. value: sequence and expiry (struct ">QQ"), a text, and 64 bytes:
    the signature of that peer over b"libp2p-lab-note:" and everything before it.
    lab.PeerId(bytes).public_key() gives the key; key.verify(data, signature) says True or False.
    """
    raise NotImplementedError


def select(key, values):
    """The index of the best of these valid records: highest sequence, then latest expiry, then a fixed choice."""
    raise NotImplementedError


await lab.check("06.records", (validate, select))
''',
    hints=(
        "Both are pure functions: the same input gives the same answer, for whoever runs it. What must be signed, so "
        "that nobody on the way can change it?",
        "A validator refuses what is forged or expired; a selector chooses among valid ones, and must not depend on "
        "their order (kad-dht/README.md, entry validation).",
        "head, signature = value[:-64], value[-64:]; sequence, expires = struct.unpack('>QQ', head[:16]); public = "
        "lab.PeerId(key.removeprefix(b'/note/')).public_key(). select: max(range(len(values)), key=lambda n: "
        "(struct.unpack('>QQ', values[n][:16]), values[n])).",
    ),
    rules=(
        Rule("too-strict", "This one is in order: any text, any number, and time left."),
        Rule(
            "forged",
            "The signature must be that of the peer in the key, over this very text.",
            VALIDATION,
        ),
        Rule(
            "number-unsigned",
            "Sequence and expiry are signed too: otherwise anybody makes an old record new.",
            VALIDATION,
        ),
        Rule(
            "prefix",
            "The signature is over a prefix and the record, so that none made elsewhere counts here.",
        ),
        Rule("expired", "At its expiry a record is over.", VALIDATION),
        Rule("broken", "Too short for its fields: ValueError, and no other exception."),
        Rule(
            "name",
            "Whose record it is says the key under which it lies, and nobody else.",
            VALIDATION,
        ),
        Rule("newest", "The highest sequence number wins; compare numbers, not texts.", VALIDATION),
        Rule("longest", "With one sequence number the later expiry wins.", VALIDATION),
        Rule(
            "stable",
            "Two peers with the same records must choose the same one, in whatever order they came.",
            VALIDATION,
        ),
    ),
    examine=examine_records,
)

# -- E6.5 -----------------------------------------------------------------------------------------------------------


async def examine_quorum(exam: Exam, answer: Any) -> None:
    """E6.5: enough answers, the best of them, and who must be told."""
    settle = exam.callable_answer(answer, "a function settle(answers, quorum, best)")

    def best(values: list[int]) -> int:
        return max(values)

    def ask(answers: list[tuple[str, int | None]], quorum: int) -> Any:
        got = settle(list(answers), quorum, best)
        exam.sent = f"settle({answers}, {quorum}, max)"
        if got is not None and (not isinstance(got, tuple) or len(got) != 2):
            exam.reject(
                "wrong-type", "settle gives None, or (value, peers to be told)", got=shown(got)
            )
        return got

    exam.sent = "settle([], 1, max)"
    exam.require(ask([], 1) is None, "too-few", "nobody has answered, and it has settled")
    exam.require(
        ask([("p1", None), ("p2", None)], 1) is None,
        "too-few",
        "nobody has a value, and it has settled",
    )
    exam.require(
        ask([("p1", 5)], 2) is None, "too-few", "one value has come, and two are asked for"
    )
    exam.require(
        ask([("p1", 5), ("p2", None)], 2) is None,
        "empty-counts",
        "an answer without a value counts towards the quorum",
    )
    for _ in range(60):
        answers: list[tuple[str, int | None]] = []
        for number in range(exam.rng.randrange(1, 12)):
            value = exam.rng.choice((None, exam.rng.randrange(5)))
            answers.append((f"p{number}", value))
        quorum = exam.rng.randrange(1, 5)
        values = [value for _, value in answers if value is not None]
        got = ask(answers, quorum)
        if len(values) < quorum:
            exam.require(
                got is None,
                "too-few",
                "there are fewer values than asked for, and it has settled",
                got=shown(got),
            )
            continue
        exam.require(
            got is not None,
            "waits",
            f"{len(values)} values have come, and {quorum} are asked for",
            got="None",
        )
        right = max(values)
        exam.require(
            got[0] == right,
            "best",
            "not the best value was returned",
            got=shown(got[0]),
            expected=str(right),
        )
        told = list(got[1])
        exam.require(
            not any(value == right for peer, value in answers if peer in told),
            "knows-already",
            "a peer is told that gave the best value itself",
        )
        exam.require(
            all(peer in told for peer, value in answers if value is not None and value != right),
            "outdated",
            "a peer with an older value is not told",
        )
        exam.require(
            all(peer in told for peer, value in answers if value is None),
            "empty-handed",
            "a peer that had nothing is not told",
        )
        exam.require(len(told) == len(set(told)), "knows-already", "a peer is told twice")
        exam.count("questions settled")


QUORUM = Check(
    id="06.quorum",
    exercise="E6.5",
    title="Many answers to one question",
    level="L3",
    points=2,
    objectives=("1.33", "X.12"),
    starter='''\
def settle(answers, quorum, best):
    """What to do with the answers so far: None (wait for more), or (the value, the peers to be told of it).

    answers: pairs (peer, value), the value None if the peer had nothing; only valid values.
    quorum: how many values are enough. best(values) says which is the best.
    """
    raise NotImplementedError


await lab.check("06.quorum", settle)
''',
    hints=(
        "Three groups of peers have answered: those with the best value, those with another, those with nothing. "
        "Which of them learn something from you?",
        "Whoever asks and finds out that some hold an older value, or none, sends them the best one: entry correction "
        "(kad-dht/README.md).",
        "values = [v for _, v in answers if v is not None]; if len(values) < quorum: return None; value = "
        "best(values); return value, [p for p, v in answers if v != value].",
    ),
    rules=(
        Rule(
            "too-few",
            "Wait until as many values have come as the quorum says.",
            "kad-dht/README.md#value-retrieval",
        ),
        Rule("empty-counts", "Nothing is no value: it does not count towards the quorum."),
        Rule("waits", "Enough values are there: settle.", "kad-dht/README.md#value-retrieval"),
        Rule(
            "best",
            "Among all values that came, not only the first ones: best(values) decides.",
            VALIDATION,
        ),
        Rule(
            "knows-already",
            "Who gave the best value need not be told; and nobody twice.",
            CORRECTION,
        ),
        Rule(
            "outdated",
            "Who gave an older value would go on giving it: send the best one.",
            CORRECTION,
        ),
        Rule(
            "empty-handed",
            "Who is close and had nothing should have it: send it there too.",
            CORRECTION,
        ),
    ),
    examine=examine_quorum,
)
