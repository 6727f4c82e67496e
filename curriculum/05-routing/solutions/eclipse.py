"""E5.5, the reference answer."""

import os

from libp2p_lab.routing import position


def sybils(target, honest, count):
    """Names, made until enough of them stand where they should."""
    nearest = min(p ^ target for p in honest)
    found = []
    while len(found) < count:
        name = b"\x12\x20" + os.urandom(32)
        if position(name) ^ target < nearest:
            found.append(name)
    return found


def holders(target, heard, size):
    """Everybody who stands where twenty should stand, but forty at most, and the twenty closest at least."""
    reach = 2**256 * 20 // size
    inside = [p for p in heard if p ^ target < reach]
    too_many = len(inside) > 30
    return inside[:40] if too_many else heard[:20]


answer = (sybils, holders)
