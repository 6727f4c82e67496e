from __future__ import annotations

import hashlib

from libp2p_lab.coursework.chapter_01_peer_id import SPEC_KEYS
from libp2p_lab.wire import multibase, multihash
from libp2p_lab.wire.multibase import base58_encode
from tests.mutants import Mutant

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def by_hand(public_key):
    """Base58 by division, the multihash by the library's table."""
    name = "identity" if len(public_key) < 43 else "sha2-256"
    data = multihash.digest(name, public_key)
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def hashed(data):
    return base58_encode(b"\x12\x20" + hashlib.sha256(data).digest())


def inline(data):
    return base58_encode(multihash.encode(0, data))


def hashes_all(public_key):
    return hashed(public_key)


def never_hashes(public_key):
    return inline(public_key)


def names_the_raw_key(public_key):
    return by_hand(public_key[4:])


def no_multihash(public_key):
    return base58_encode(
        public_key if len(public_key) <= 42 else hashlib.sha256(public_key).digest()
    )


def forgets_zeros(public_key):
    return by_hand(public_key).lstrip("1")


def as_cid(public_key):
    return multibase.encode(b"\x01\x72" + multibase.base58_decode(by_hand(public_key)))


def hashes_at_42(public_key):
    return inline(public_key) if len(public_key) < 42 else hashed(public_key)


def hashes_at_64(public_key):
    return inline(public_key) if len(public_key) <= 64 else hashed(public_key)


def sha512(public_key):
    return base58_encode(b"\x13\x40" + hashlib.sha512(public_key).digest())


KNOWN = {bytes.fromhex(text): by_hand(bytes.fromhex(text)) for text in SPEC_KEYS}


def knows_the_vectors(public_key):
    return KNOWN.get(public_key, "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")


def gives_bytes(public_key):
    return by_hand(public_key).encode()


async def asynchronous(public_key):
    return by_hand(public_key)


ANOTHER = by_hand
MUTANTS = (
    Mutant(hashes_all, "hashes-all", "12D3KooWBtg3"),
    Mutant(never_hashes, "never-hashes", "95 bytes"),
    Mutant(names_the_raw_key, "raw-key"),
    Mutant(no_multihash, "no-multihash"),
    Mutant(forgets_zeros, "leading-zero", "character 0 is the first"),
    Mutant(as_cid, "other-form", "bafz"),
    Mutant(hashes_at_42, "boundary", "42 bytes"),
    Mutant(hashes_at_64, "boundary", "43 bytes"),
    Mutant(sha512, "name"),
    Mutant(knows_the_vectors, "stranger", "ed25519"),
    Mutant(gives_bytes, "wrong-type", "a str was expected"),
    Mutant(asynchronous, "is-async"),
    Mutant("12D3KooW", "wrong-type"),
)
