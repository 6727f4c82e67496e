from __future__ import annotations

import ipaddress

from libp2p_lab.identity.multiaddr import Multiaddr
from tests.mutants import Mutant


def in_groups(addrs):
    """By what the addresses are, asked of the library; groups start together."""
    groups = {}
    for addr in addrs:
        parsed = Multiaddr(addr)
        ip = ipaddress.ip_address(parsed.value_of("ip4") or parsed.value_of("ip6"))
        if "p2p-circuit" in parsed.names:
            start = 1.8
        elif ip.is_private and "/198.51." not in addr:
            start = 1.2
        else:
            start = 0.0 if "udp" in parsed.names else 0.35
        groups.setdefault(start, []).append(addr)
    return [(start + 0.05 * n, addr) for start in groups for n, addr in enumerate(groups[start])]


def ordered(addrs):
    return sorted(addrs, key=lambda a: ("circuit" in a, "/ip4/1" in a, "/tcp/" in a))


def naive(addrs):
    return [(number, addr) for number, addr in enumerate(addrs)]


def all_at_once(addrs):
    return [(0, addr) for addr in addrs]


def no_order(addrs):
    return [(0.2 * number, addr) for number, addr in enumerate(addrs)]


def slowly(addrs):
    return [(5 * number, addr) for number, addr in enumerate(addrs)]


def without_relay(addrs):
    return [(0.25 * n, addr) for n, addr in enumerate(ordered(addrs)) if "circuit" not in addr]


def only_the_best(addrs):
    return [(0, ordered(addrs)[0])]


def invents(addrs):
    return [(0, "/ip4/127.0.0.1/tcp/4001"), *naive(addrs)]


def doubles(addrs):
    return [*naive(addrs), (9, addrs[0])]


def negative(addrs):
    return [(-1, addr) for addr in addrs]


def other_order(addrs):
    return [(addr, number) for number, addr in enumerate(addrs)]


def addresses_alone(addrs):
    return ordered(addrs)


def sorts_in_place(addrs):
    addrs.sort()
    return naive(addrs)


ANOTHER = in_groups
MUTANTS = (
    Mutant(naive, "too-slow", "0% saved"),
    Mutant(slowly, "too-slow", "silence"),
    Mutant(all_at_once, "too-many"),
    Mutant(no_order, "too-many", "attempts for each peer"),
    Mutant(without_relay, "unreached", "never"),
    Mutant(only_the_best, "unreached", "never"),
    Mutant(invents, "unknown-addr", "127.0.0.1"),
    Mutant(doubles, "twice"),
    Mutant(negative, "bad-delay"),
    Mutant(other_order, "bad-delay"),
    Mutant(addresses_alone, "wrong-type"),
    Mutant(sorts_in_place, "mutated-input"),
)
