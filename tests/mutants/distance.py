"""E5.2: another right answer, and wrong ones."""

import hashlib

from tests.mutants import Mutant


def position(key):
    return int(hashlib.sha256(key).hexdigest(), 16)


def distance(a, b):
    return (a | b) - (a & b)


def cpl(a, b):
    return next((n for n in range(256) if (a >> (255 - n) & 1) != (b >> (255 - n) & 1)), 256)


def closest(ids, key, k):
    ranked = [(distance(position(one), position(key)), one) for one in ids]
    return [one for _, one in sorted(ranked)][:k]


ANOTHER = (position, distance, cpl, closest)


def raw_position(key):
    return int.from_bytes(key, "big")


def little(key):
    return int.from_bytes(hashlib.sha256(key).digest(), "little")


def short_hash(key):
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big")


def numeric(a, b):
    return abs(a - b)


def bits_that_differ(a, b):
    return (a ^ b).bit_count()


def one_less(a, b):
    return 255 - (a ^ b).bit_length() if a != b else 256


def no_end(a, b):
    return min(255, 256 - (a ^ b).bit_length())


def in_bytes(a, b):
    return 8 * ((256 - (a ^ b).bit_length()) // 8)


def without_zeros(a, b):
    return max(a, b).bit_length() - (a ^ b).bit_length() if a != b else 256


def raw_ids(ids, key, k):
    target = int.from_bytes(key, "big")
    return sorted(ids, key=lambda one: int.from_bytes(one, "big") ^ target)[:k]


def farthest_first(ids, key, k):
    return closest(ids, key, k)[::-1]


def all_of_them(ids, key, k):
    return closest(ids, key, len(ids))


def by_number(ids, key, k):
    return sorted(ids, key=lambda one: abs(position(one) - position(key)))[:k]


def changes(ids, key, k):
    ids.sort(key=lambda one: position(one) ^ position(key))
    return ids[:k]


MUTANTS = [
    Mutant((raw_position, distance, cpl, closest), "not-hashed"),
    Mutant((little, distance, cpl, closest), "hash"),
    Mutant((short_hash, distance, cpl, closest), "hash"),
    Mutant((position, numeric, cpl, closest), "xor"),
    Mutant((position, bits_that_differ, cpl, closest), "xor"),
    Mutant((position, lambda a, b: 12 if a == 10 else (a - b) % 2**256, cpl, closest), "metric"),
    Mutant((position, distance, one_less, closest), "prefix"),
    Mutant((position, distance, no_end, closest), "equal-prefix"),
    Mutant((position, distance, in_bytes, closest), "prefix"),
    Mutant((position, distance, without_zeros, closest), "prefix"),
    Mutant((position, distance, cpl, raw_ids), "not-hashed"),
    Mutant((position, distance, cpl, farthest_first), "order"),
    Mutant((position, distance, cpl, all_of_them), "how-many"),
    Mutant((position, distance, cpl, by_number), "nearest"),
    Mutant((position, distance, cpl, changes), "mutated-input"),
    Mutant(position, "wrong-type"),
]
