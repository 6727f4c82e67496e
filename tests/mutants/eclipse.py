"""E5.5: another right answer, and wrong ones."""

import hashlib
import itertools

from tests.mutants import Mutant


def position(name):
    return int.from_bytes(hashlib.sha256(name).digest(), "big")


def sybils(target, honest, count):
    """Counted names, instead of names by chance."""
    limit = min(p ^ target for p in honest)
    names = (b"\x12\x20" + n.to_bytes(32, "big") for n in itertools.count())
    good = (name for name in names if position(name) ^ target < limit)
    return list(itertools.islice(good, count))


def holders(target, heard, size):
    """By the median: where do ten of twenty stand, and where should they?"""
    tenth = heard[9] ^ target
    expected = 2**256 * 10 // size
    return heard[:38] if tenth * 3 < expected else heard[:20]


def far_away(target, honest, count):
    return [b"\x12\x20" + hashlib.sha256(bytes([n])).digest() for n in range(count)]


def one_name(target, honest, count):
    return sybils(target, honest, 1) * count


def bare(target, honest, count):
    return [name[2:] for name in sybils(target, honest, count)]


def plain(target, heard, size):
    return heard[:20]


def always_more(target, heard, size):
    return heard[:40]


def everything(target, heard, size):
    return heard if heard[9] ^ target < 2**256 * 10 // size // 3 else heard[:20]


def few(target, heard, size):
    return heard[:5]


def invented(target, heard, size):
    return [target, *heard[:19]]


def far_ones(target, heard, size):
    """Skips the closest, whoever they are."""
    return heard[-20:]


ANOTHER = (sybils, holders)
MUTANTS = [
    Mutant((far_away, holders), "not-closer"),
    Mutant((one_name, holders), "too-few-names"),
    Mutant((bare, holders), "no-name"),
    Mutant((sybils, plain), "eclipsed"),
    Mutant((sybils, always_more), "dear-in-peace"),
    Mutant((sybils, everything), "dear"),
    Mutant((sybils, few), "too-few-holders"),
    Mutant((sybils, invented), "unheard-of"),
    Mutant((sybils, far_ones), "lost-in-peace"),
    Mutant(sybils, "wrong-type"),
]
