from __future__ import annotations

import hashlib
from itertools import count

from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from tests.mutants import Mutant

PREDICTION = 1024


def peer_of(key):
    return PeerId.from_public_key(key.public)


def place_of(key):
    return hashlib.sha256(peer_of(key).multihash).digest()


def leading(one, other):
    """How many leading bits are equal, counted on the text."""
    pairs = zip(
        *(f"{int.from_bytes(data):0{8 * len(data)}b}" for data in (one, other)), strict=False
    )
    return next((n for n, (a, b) in enumerate(pairs) if a != b), 256)


def as_text(target, bits, make_key):
    """By comparing texts of binary digits."""
    keys = (make_key() for _ in count())
    return next(key for key in keys if leading(place_of(key), target) >= bits)


def search(measure):
    """A search that measures something else."""

    def mine(target, bits, make_key):
        while True:
            key = make_key()
            if leading(measure(key), target) >= bits:
                return key

    return mine


def by_last_bits(target, bits, make_key):
    mask = (1 << bits) - 1
    while True:
        key = make_key()
        if not (int.from_bytes(place_of(key)) ^ int.from_bytes(target)) & mask:
            return key


def best_of_a_few(target, bits, make_key):
    return max((make_key() for _ in range(50)), key=lambda key: leading(place_of(key), target))


def best_of_many(target, bits, make_key):
    return max((make_key() for _ in range(12_000)), key=lambda key: leading(place_of(key), target))


def one_bit_less(target, bits, make_key):
    return as_text(target, bits - 1, make_key)


def by_digits(target, bits, make_key):
    while True:
        key = make_key()
        if place_of(key).hex()[:bits] == target.hex()[:bits]:
            return key


def own_keys(target, bits, make_key):
    return as_text(target, bits, KeyPair.generate)


def gives_the_id(target, bits, make_key):
    return str(peer_of(as_text(target, bits, make_key)))


def sleeps_on_it(target, bits, make_key):
    while True:
        pass


ANOTHER = as_text
MUTANTS = (
    Mutant(search(lambda key: key.public.raw), "unhashed"),
    Mutant(search(lambda key: hashlib.sha256(str(peer_of(key)).encode()).digest()), "hashes-text"),
    Mutant(search(lambda key: hashlib.sha256(key.public.to_protobuf()).digest()), "hashes-key"),
    Mutant(by_last_bits, "last-bits"),
    Mutant(best_of_a_few, "too-few", "leading bits with the target"),
    Mutant(one_bit_less, "too-few", "shares 9 leading bits"),
    Mutant(best_of_many, "goes-on", "12000 were made"),
    Mutant(by_digits, "no-end", "keys were made"),
    Mutant(own_keys, "not-counted"),
    Mutant(gives_the_id, "wrong-type"),
    Mutant(sleeps_on_it, "endless-loop", "sleeps_on_it"),
    Mutant(as_text, "prediction", "you predicted 10", prediction=10),
    Mutant(as_text, "prediction", "you predicted 32768", prediction=32768),
    Mutant(as_text, "prediction", "a number of tries", prediction="many"),
)
