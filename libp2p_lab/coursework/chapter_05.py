"""The checks of chapter 05: one lookup followed, distances, a table, a lookup, and an attack with its defence.

Objectives: 1.3 content routing, 1.31 distance, 1.32 the routing table, 1.33 the DHT's operations; X.9 churn, X.10 Sybil
and eclipse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from libp2p_lab.coursework.chapter_05_eclipse import ECLIPSE
from libp2p_lab.coursework.chapter_05_lookup import LOOKUP
from libp2p_lab.coursework.chapter_05_table import ROUTING_TABLE
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.routing.events import LookupEnded, PeerAnswered, PeerAsked
from libp2p_lab.trace import Entry

DISTANCE_TEXT = "kad-dht/README.md#distance"
PEER_ROUTING = "kad-dht/README.md#peer-routing"

# -- E5.1: one lookup, followed -----------------------------------------------------------------------------------

ENDS = {
    "the closest have answered": "closest",
    "nobody is left to ask": "nobody",
    "enough is known": "enough",
}


def _first_lookup(exam: Exam) -> tuple[dict[str, int], set[str], str]:
    """The first whole lookup of the record: the round in which each peer was asked; who was only named; its end."""
    if not isinstance(exam.run, Iterable):
        exam.reject("no-record", "there is no record of a run to compare with")
    events = [entry.what for entry in exam.run if isinstance(entry, Entry)]
    ended = next((event for event in events if isinstance(event, LookupEnded)), None)
    if ended is None:
        exam.reject("no-record", "in this record no lookup came to its end")
    rounds, named = {}, set()
    for event in events:
        match event:
            case PeerAsked(lookup=ended.lookup):
                rounds[event.peer] = event.round
            case PeerAnswered(lookup=ended.lookup):
                named |= set(event.closer)
            case _:
                pass
    return rounds, named - rounds.keys(), ENDS[ended.why]


async def examine_followed(exam: Exam, answer: Any) -> None:
    """E5.1: in which round was each peer asked, and why did it end?"""
    rounds, only_named, why = _first_lookup(exam)
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], Mapping):
        exam.reject(
            "wrong-type",
            "the answer is a pair: a dict from peer ids to rounds, and a word",
            got=shown(answer),
        )
    given = {str(peer): number for peer, number in answer[0].items()}
    for peer, number in given.items():
        exam.sent = f"the peer {peer}"
        exam.require(
            peer not in only_named, "only-named", "this peer was named, and never asked", got=peer
        )
        exam.require(peer in rounds, "unknown-peer", "no such peer was asked", got=peer)
        exam.require(
            number == rounds[peer],
            "wrong-round",
            "it was asked in another round",
            got=shown(number),
            expected=str(rounds[peer]),
        )
    missing = len(rounds) - len(given)
    exam.require(not missing, "missing", f"{missing} more peer(s) were asked")
    exam.sent = "the end of the lookup"
    exam.require(answer[1] == why, "wrong-end", "it ended for another reason", got=shown(answer[1]))
    exam.count("peers compared with the record", len(rounds))


FOLLOWED = Check(
    id="05.followed",
    exercise="E5.1",
    title="Follow one lookup",
    level="L1",
    points=1,
    objectives=("1.33",),
    starter="""\
# `log` is the record of one lookup. In which round was each peer asked, and why did it end?
rounds = {}  # peer id: 1, 2, …
why = ""  # "closest": the closest have answered; "nobody" is left to ask; "enough" is known
await lab.check("05.followed", (rounds, why), run=log)
""",
    hints=(
        "Entries of layer `kad` hold the lookup's own events: LookupStarted, PeerAsked, PeerAnswered, PeerFailed, "
        "LookupEnded. Take those with the number of the first lookup that ended.",
        "A seed, from the asker's own table, is round 1; whom it names is round 2, and so on. Peers that were named "
        "and not asked have no round (kad-dht/README.md, peer routing).",
        "for e in log: if type(e.what).__name__ == 'PeerAsked': rounds[e.what.peer] = e.what.round; and LookupEnded "
        "has the reason in `why`.",
    ),
    rules=(
        Rule("unknown-peer", "Take the ids from the events PeerAsked, of one lookup only."),
        Rule(
            "only-named",
            "PeerAnswered says whom an answer named. Most of them are never asked: they are not among the closest.",
            PEER_ROUTING,
        ),
        Rule("wrong-round", "The event PeerAsked says the round: 1 for the asker's own table."),
        Rule("missing", "Failed peers were asked as well."),
        Rule("wrong-end", "LookupEnded gives the reason.", PEER_ROUTING),
    ),
    examine=examine_followed,
    seeds=(1,),
    place="kernel",
)

# -- E5.2: distances ----------------------------------------------------------------------------------------------


def _position(key: bytes) -> int:
    return int.from_bytes(hashlib.sha256(key).digest(), "big")


def _hashes(exam: Exam, position: Any) -> None:
    for key in (b"libp2p", b"", exam.rng.randbytes(34), b"\x12\x20" + exam.rng.randbytes(32)):
        got = exam.call(position, key)
        exam.require(
            got != int.from_bytes(key, "big") or not key,
            "not-hashed",
            "the key itself was taken for its position",
        )
        exam.equal(got, _position(key), "hash", "the position of a key")
        exam.count("positions")


def _metric(exam: Exam, distance: Any) -> None:
    exam.equal(exam.call(distance, 0b1010, 0b0110), 12, "xor", "1010 and 0110 are 1100 apart")
    for _ in range(40):
        a, b, c = (exam.rng.getrandbits(256) for _ in range(3))
        ab, ba = exam.call(distance, a, b), exam.call(distance, b, a)
        exam.require(ab == ba, "metric", "it is farther one way than the other")
        exam.require(
            exam.call(distance, a, a) == 0, "metric", "a position is not at distance 0 from itself"
        )
        exam.require(
            ab <= exam.call(distance, a, c) + exam.call(distance, c, b),
            "metric",
            "a detour is shorter than the way",
        )
        exam.equal(ab, a ^ b, "xor", "the distance of two positions")
    exam.count("pairs", 40)


def _prefixes(exam: Exam, cpl: Any) -> None:
    a = exam.rng.getrandbits(256)
    exam.equal(exam.call(cpl, a, a), 256, "equal-prefix", "a position shares all bits with itself")
    for bits in (0, 1, 7, 8, 9, exam.rng.randrange(10, 254), 255):
        flipped = a ^ (1 << (255 - bits))
        other = flipped ^ exam.rng.getrandbits(255 - bits) if bits < 255 else flipped
        exam.equal(
            exam.call(cpl, a, other), bits, "prefix", "the bits that two positions share in front"
        )
    small = exam.rng.getrandbits(200)
    exam.equal(
        exam.call(cpl, small, small ^ 1),
        255,
        "prefix",
        "zeros in front are bits like others: positions have 256 of them",
    )
    exam.count("prefixes", 9)


def _nearest(exam: Exam, closest: Any) -> None:
    ids = [b"\x12\x20" + exam.rng.randbytes(32) for _ in range(50)]
    key = exam.rng.randbytes(20)
    right = sorted(ids, key=lambda one: _position(one) ^ _position(key))
    for k in (1, 20, 50, 80):
        got = exam.call(closest, list(ids), key, k)
        exam.require(isinstance(got, list), "wrong-type", "closest gives a list", got=shown(got))
        exam.require(
            len(got) == min(k, 50), "how-many", f"{len(got)} of 50 ids came back", expected=str(k)
        )
        if set(got) == set(right[:k]):
            exam.require(got == right[:k], "order", "these are the closest, and not in order")
        raw = sorted(ids, key=lambda one: int.from_bytes(one, "big") ^ int.from_bytes(key, "big"))
        exam.require(
            got != raw[:k] or (k >= 50 and raw == right),
            "not-hashed",
            "the ids were compared as they are: near means near in the hashes",
        )
        exam.require(got == right[:k], "nearest", f"these are not the {k} closest")
    exam.count("searches", 4)


async def examine_distance(exam: Exam, answer: Any) -> None:
    """E5.2: four small functions."""
    if not isinstance(answer, tuple) or len(answer) != 4 or not all(map(callable, answer)):
        exam.reject(
            "wrong-type",
            "four functions are asked for: (position, distance, cpl, closest)",
            got=shown(answer),
        )
    position, distance, cpl, closest = answer
    _hashes(exam, position)
    _metric(exam, distance)
    _prefixes(exam, cpl)
    _nearest(exam, closest)


DISTANCE = Check(
    id="05.distance",
    exercise="E5.2",
    title="Near and far",
    level="L2",
    points=2,
    objectives=("1.31",),
    starter='''\
def position(key):
    """Where a key (bytes) stands: a number of 256 bits."""
    raise NotImplementedError


def distance(a, b):
    """How far two positions are apart."""
    raise NotImplementedError


def cpl(a, b):
    """How many bits two positions share in front: 0 to 256."""
    raise NotImplementedError


def closest(ids, key, k):
    """The `k` of the peer ids (bytes) that are closest to a key (bytes), the closest first."""
    raise NotImplementedError


await lab.check("05.distance", (position, distance, cpl, closest))
''',
    hints=(
        "Everything is first hashed by sha256, and then compared by XOR. Python's numbers can be as long as they like.",
        "The distance is XOR, read as a number with the first byte in front; the shared prefix ends at its highest bit "
        "(kad-dht/README.md, distance).",
        "position: int.from_bytes(hashlib.sha256(key).digest(), 'big'). distance: a ^ b. cpl: 256 - (a ^ b)"
        ".bit_length(). closest: sorted(ids, key=lambda i: position(i) ^ position(key))[:k].",
    ),
    rules=(
        Rule(
            "not-hashed",
            "Peer ids and keys are hashed before they are compared: near names would be too easy to choose.",
            DISTANCE_TEXT,
        ),
        Rule(
            "hash",
            "sha256, and its 32 bytes as one number with the first byte in front.",
            DISTANCE_TEXT,
        ),
        Rule("xor", "Exclusive or of the two positions, and nothing else.", DISTANCE_TEXT),
        Rule(
            "metric",
            "A distance is the same both ways, 0 only from oneself, and no detour is shorter.",
            DISTANCE_TEXT,
        ),
        Rule("equal-prefix", "Equal positions share all 256 bits."),
        Rule(
            "prefix",
            "Count from the front, bit by bit and not byte by byte, over 256 bits: the first difference ends it.",
            DISTANCE_TEXT,
        ),
        Rule("how-many", "k of them, or all if there are fewer."),
        Rule("order", "The closest first."),
        Rule(
            "nearest",
            "Sort by the distance between the two positions, and take the first k.",
            DISTANCE_TEXT,
        ),
    ),
    examine=examine_distance,
)

CHECKS: tuple[Check, ...] = (FOLLOWED, DISTANCE, ROUTING_TABLE, LOOKUP, ECLIPSE)
