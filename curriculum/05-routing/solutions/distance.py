"""E5.2, the reference answer."""

import hashlib


def position(key):
    """Where a key stands."""
    return int.from_bytes(hashlib.sha256(key).digest(), "big")


def distance(a, b):
    """How far two positions are apart."""
    return a ^ b


def cpl(a, b):
    """How many bits two positions share in front."""
    return 256 - (a ^ b).bit_length()


def closest(ids, key, k):
    """The k ids that are closest to a key."""
    target = position(key)
    return sorted(ids, key=lambda one: position(one) ^ target)[:k]


answer = (position, distance, cpl, closest)
