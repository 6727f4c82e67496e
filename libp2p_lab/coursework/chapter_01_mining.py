"""E1.5: keys are free, and so is the choice of one's place in the network. What does a good place cost?

The same search, aimed at the places around somebody else's key, is the Sybil attack of chapters 05 and 06.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId

BITS = 10
RUNS = 5
FACTOR = 3.0  # how far off a prediction may be
MOST_TRIES = 64 << BITS  # the chance that a right search needs more is below 1e-27


def position(key: KeyPair) -> bytes:
    """Where a peer stands in the DHT: the SHA-256 of its id's bytes."""
    return hashlib.sha256(PeerId.from_public_key(key.public).multihash).digest()


def shared_bits(one: bytes, other: bytes) -> int:
    """How many leading bits two positions share."""
    return 8 * len(one) - (int.from_bytes(one) ^ int.from_bytes(other)).bit_length()


def _mistake(key: KeyPair, target: bytes) -> str:
    """What was compared instead of the position; the first that fits."""
    peer = PeerId.from_public_key(key.public)
    digest = position(key)
    others = (
        ("unhashed", peer.multihash[-32:]),
        ("unhashed", peer.multihash[:32]),
        ("hashes-text", hashlib.sha256(str(peer).encode()).digest()),
        ("hashes-key", hashlib.sha256(key.public.to_protobuf()).digest()),
        ("hashes-key", hashlib.sha256(key.public.raw).digest()),
    )
    for rule, compared in others:
        if shared_bits(compared, target) >= BITS:
            return rule
    if (int.from_bytes(digest) ^ int.from_bytes(target)) & ((1 << BITS) - 1) == 0:
        return "last-bits"
    return "too-few"


class _Mint:
    """Makes keys from the exam's seed, and counts them."""

    def __init__(self, exam: Exam) -> None:
        self._exam = exam
        self.made: set[bytes] = set()
        self.last: KeyPair | None = None
        self.first_fit = 0  # the number of the first key that would have done
        self.target = b""

    def make_key(self) -> KeyPair:
        if len(self.made) >= MOST_TRIES:
            self._exam.reject(
                "no-end",
                f"{MOST_TRIES} keys were made, and no end; key number {self.first_fit} would have done",
            )
        key = KeyPair.generate(rng=self._exam.rng)
        self.made.add(key.public.raw)
        self.last = key
        if not self.first_fit and shared_bits(position(key), self.target) >= BITS:
            self.first_fit = len(self.made)
        return key


def _one_search(exam: Exam, mine: Callable[..., Any]) -> int:
    """How many keys one search took."""
    mint = _Mint(exam)
    mint.target = exam.rng.randbytes(32)
    exam.sent = f"mine(target={mint.target.hex()}, bits={BITS}, make_key)"
    key = mine(mint.target, BITS, mint.make_key)
    if not isinstance(key, KeyPair):
        exam.reject("wrong-type", "the answer is a KeyPair that make_key() gave", got=shown(key))
    exam.require(
        key.public.raw in mint.made,
        "not-counted",
        "this key does not come from make_key(), so nobody counted what it cost",
    )
    place = position(key)
    bits = shared_bits(place, mint.target)
    if bits < BITS:
        exam.reject(
            _mistake(key, mint.target),
            f"the position of this key shares {bits} leading bits with the target",
            got=place.hex(),
            expected=f"{BITS} bits of {mint.target.hex()}",
            departure=f"target {_binary(mint.target)}…\n   got {_binary(place)}…",
        )
    tries = len(mint.made)
    exam.require(
        tries == mint.first_fit,
        "goes-on",
        f"key number {mint.first_fit} already did; {tries} were made",
    )
    return tries


def _binary(digest: bytes) -> str:
    return f"{int.from_bytes(digest[:2]):016b}"


def _is_off(prediction: float, measured: float) -> bool:
    return not measured / FACTOR <= prediction <= measured * FACTOR


async def examine_mine(exam: Exam, answer: Any) -> None:
    """E1.5: five searches, each counted; then the prediction."""
    mine = exam.callable_answer(answer, "a function mine(target, bits, make_key)")
    tries = [_one_search(exam, mine) for _ in range(RUNS)]
    exam.count("searches", RUNS)
    exam.count("keys made", sum(tries))
    mean = sum(tries) / RUNS
    exam.note(f"Seed {exam.seed}: {', '.join(map(str, tries))} tries, {mean:.0f} on average.")
    exam.sent = f"{RUNS} searches for {BITS} bits"
    predicted = exam.prediction
    if (
        isinstance(predicted, bool)
        or not isinstance(predicted, int | float)
        or not math.isfinite(predicted)
    ):
        exam.reject("prediction", "a number of tries was to be predicted", got=shown(predicted))
    # Five searches may all be lucky: a prediction that fits the odds is right as well.
    if _is_off(predicted, mean) and _is_off(predicted, 2**BITS):
        exam.reject(
            "prediction",
            f"the searches took {mean:.0f} tries on average; you predicted {predicted:g}",
            got=f"{predicted:g}",
            expected=f"within a factor of {FACTOR:g} of {mean:.0f}",
        )


MINE = Check(
    id="01.mine",
    exercise="E1.5",
    title="Mine an identity",
    level="L5",
    points=3,
    objectives=("1.21", "1.22"),
    starter='''\
import hashlib


def mine(target, bits, make_key):
    """A key whose peer stands near `target` in the DHT.

    target: 32 bytes. bits: how many leading bits of the position must be the target's.
    make_key: call it for a fresh lab.KeyPair; the calls are counted. Return the first key that does.
    """
    raise NotImplementedError


# Before: lab.predict("01.mine", …): how many keys will it take on average, for 10 bits?
await lab.check("01.mine", mine)
''',
    hints=(
        "A peer's place in the DHT is the SHA-256 of its peer id's bytes; bytes(lab.PeerId.from_public_key(…)) gives "
        "those.",
        "Every bit of a hash is like a coin. How often must ten coins be thrown until all ten show what was asked "
        "for (kad-dht/README.md, distance)?",
        "while True: key = make_key(); place = hashlib.sha256(bytes(lab.PeerId.from_public_key(key.public))).digest(); "
        "compare int.from_bytes(place) >> (256 - bits) with the same of the target. The prediction is 2 ** bits.",
    ),
    rules=(
        Rule(
            "unhashed",
            "The bytes of the id themselves are no position: the DHT hashes them once more, also when they are a "
            "hash already.",
            "kad-dht/README.md#distance",
        ),
        Rule(
            "hashes-text",
            "Hash the bytes of the id, not its base58 text: the text is for people.",
            "kad-dht/README.md#distance",
        ),
        Rule(
            "hashes-key",
            "Hash the peer id (the multihash, 00 24 …), not the key that it is made from.",
            "kad-dht/README.md#distance",
        ),
        Rule(
            "last-bits",
            "The leading bits are those of the greatest weight: shift the rest away, do not mask.",
            "kad-dht/README.md#distance",
        ),
        Rule("too-few", "Go on until all the bits fit; the best of a few is not enough."),
        Rule(
            "goes-on", "Return the first key that does: every further one costs work for nothing."
        ),
        Rule(
            "no-end",
            "A right search is over long before. Are these leading bits, not bytes or digits, and bits of the hash of "
            "the id? All ids of one kind of key begin alike.",
        ),
        Rule("not-counted", "Use the make_key that your function is given; it counts."),
        Rule(
            "prediction",
            "One bit fits in half of all cases, two in a quarter. How rare are ten, and so how many tries until it "
            "happens once, on average?",
        ),
    ),
    examine=examine_mine,
    time_limit=60.0,
    needs_prediction=True,
)
