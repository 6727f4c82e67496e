"""E8.1: another right answer, and wrong ones."""

import re

from tests.mutants import Mutant


def read(addr):
    found = re.fullmatch(r"(/.+)/p2p/([^/]+)/p2p-circuit/p2p/([^/]+)", addr)
    if found is None:
        raise ValueError(addr)
    return found.groups()


def handshakes(addr, dialer):
    names = [*read(addr)[1:], dialer]
    return [(a, b) for a in names for b in names if a < b]


def swapped(addr):
    where, relay, target = read(addr)
    return where, target, relay


def with_name(addr):
    where, relay, target = read(addr)
    return f"{where}/p2p/{relay}", relay, target


def in_front(addr):
    """Takes the name in front of the circuit for the one that is reached."""
    where, relay, _ = read(addr)
    return where, relay, relay


def wrong_relay(addr):
    where, _, target = read(addr)
    return where, "relay", target


def trusting(addr):
    parts = addr.split("/p2p/")
    return (*[p.removesuffix("/p2p-circuit") for p in parts], "", "")[:3]


def to_the_relay_only(addr, dialer):
    _, relay, target = read(addr)
    return {(dialer, relay), (target, relay)}


def two_ends_only(addr, dialer):
    return {(dialer, read(addr)[2])}


ANOTHER = (read, handshakes)
MUTANTS = [
    Mutant((swapped, handshakes), "swapped"),
    Mutant((with_name, handshakes), "dial"),
    Mutant((in_front, handshakes), "target"),
    Mutant((wrong_relay, handshakes), "relay"),
    Mutant((trusting, handshakes), "no-circuit"),
    Mutant((read, to_the_relay_only), "end-to-end"),
    Mutant((read, two_ends_only), "handshakes"),
    Mutant(read, "wrong-type"),
]
