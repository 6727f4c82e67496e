"""Multicast DNS: what a peer calls out to everybody on its own cable, and how that is read.

    _p2p._udp.local                PTR   <peer-name>._p2p._udp.local           somebody is here, under this name
    <peer-name>._p2p._udp.local    TXT   dnsaddr=/ip4/192.168.1.7/tcp/4001/p2p/12D3…     who, and where

A TXT record is a row of strings, each behind one byte that says how long it is:

    ┌────┬─────────────┬────┬─────────────┬ ─ ─
    │ 61 │ dnsaddr=/ip │ 58 │ dnsaddr=/ip │
    └────┴─────────────┴────┴─────────────┴ ─ ─

Nothing here is signed: anybody on the cable may say anything. It is a hint where to dial, and the handshake then
proves who is there.

Misconception: the peer's name in mDNS is its peer id. It is drawn anew at each start, and means nothing: a name in DNS
has 63 characters at most, and peer ids may be longer.

Spec: discovery/mdns.md#peer-discovery
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from libp2p_lab.errors import (
    LabError,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    ProtocolViolation,
)
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import random

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
NAME_LENGTHS = (32, 63)  # mdns: at least 32; DNS: at most 63
KEY = b"dnsaddr"
MAX_STRING = 255  # its length has one byte
#: Addresses of browsers, which have no mDNS; and with the hash of a certificate they are long.
FOR_BROWSERS = ("webtransport", "webrtc", "webrtc-direct")


def draw_peer_name(rng: random.Random) -> str:
    """A name that nobody else has, since nobody else draws it. Spec: discovery/mdns.md#definitions"""
    return "".join(rng.choices(LETTERS, k=rng.randint(*NAME_LENGTHS)))


def service_name(fingerprint: bytes = b"") -> str:
    """What all peers of one network call themselves together.

    Args:
        fingerprint: of the key of a private network; b"" for the public one. The two do not see each other.

    Spec: discovery/mdns.md#definitions
    """
    return f"_p2p-{fingerprint.hex()}._udp.local" if fingerprint else "_p2p._udp.local"


def is_local(addr: Multiaddr) -> bool:
    """Whether an address is one of the local network: a private IP address, or a name that ends in `.local`.

    Others are not announced, and not believed: whoever announces an address somewhere else wants us to dial there.
    Relays are somewhere else as well.

    Deviation: where the cable itself has public addresses nobody is found at them; js-libp2p does the same, go-libp2p
    announces them. Spec: discovery/mdns.md#issues
    """
    first = addr.parts[0] if addr else None
    if first is None or "p2p-circuit" in addr.names:
        return False
    if first.name in ("ip4", "ip6"):
        return not ipaddress.ip_address(first.value).is_global
    return first.name.startswith("dns") and first.value.lower().endswith(".local")


def _is_loopback(addr: Multiaddr) -> bool:
    first = addr.parts[0]
    return first.name in ("ip4", "ip6") and ipaddress.ip_address(first.value).is_loopback


def announcement(
    peer: PeerId, addrs: Iterable[Multiaddr], limits: Limits = DEFAULT_LIMITS
) -> tuple[Multiaddr, ...]:
    """Which of a peer's addresses it announces, each ending in /p2p: the first that fit into one packet.

    Those of loopback only if there are no others: on another machine they lead nowhere.

    Spec: discovery/mdns.md#issues
    """
    near = [addr.with_peer(peer) for addr in addrs if is_local(addr)]
    outside = [addr for addr in near if not _is_loopback(addr)]
    chosen: list[Multiaddr] = []
    room = limits.mdns_txt_sent
    for addr in dict.fromkeys(outside or near):
        needed = 1 + len(KEY) + 1 + len(str(addr))
        fits = needed <= min(room, 1 + MAX_STRING) and len(chosen) < limits.mdns_addrs
        if fits and not any(name in FOR_BROWSERS for name in addr.names):
            chosen.append(addr)
            room -= needed
    return tuple(chosen)


def encode_txt(addrs: Iterable[Multiaddr]) -> bytes:
    """The TXT record that holds these addresses. Spec: discovery/mdns.md#response

    Raises: `LocalError` for an address that is too long for a string of DNS.
    """
    strings = [KEY + b"=" + str(addr).encode() for addr in addrs]
    for string in strings:
        if len(string) > MAX_STRING:
            raise LocalError(f"a string of DNS has {MAX_STRING} bytes at most, not {len(string)}")
    return b"".join(bytes((len(string),)) + string for string in strings)


def decode_txt(data: bytes) -> tuple[bytes, ...]:
    """The strings of a TXT record.

    Raises: `MalformedMessage` if the last one is cut short.
    """
    strings = []
    offset = 0
    while offset < len(data):
        end = offset + 1 + data[offset]
        if end > len(data):
            raise MalformedMessage(f"a TXT string of {data[offset]} bytes is cut short")
        strings.append(data[offset + 1 : end])
        offset = end
    return tuple(strings)


def read_announcement(
    records: Sequence[bytes], limits: Limits = DEFAULT_LIMITS
) -> tuple[PeerId, tuple[Multiaddr, ...]]:
    """Who and where, of all the TXT records under one peer's name.

    An address that we cannot read, or that is not of the local network, is left out: the peer may speak what we have
    never heard of.

    Args:
        records: go-libp2p sends one with a string for each address; js-libp2p sends one for each address.
        limits: bytes in all, and addresses.

    Returns: the peer and its addresses, without /p2p.

    Raises: `MalformedMessage` if they name no peer, or do not parse; `ProtocolViolation` if they name two;
        `LimitExceeded`.

    Deviation: attributes `dnsaddr2`, `dnsaddr3`, … are read too, for py-libp2p 0.8 sends its further addresses so.
    """
    size = sum(map(len, records))
    if size > limits.mdns_txt:
        raise LimitExceeded("mdns_txt", size, limits.mdns_txt)
    found: dict[Multiaddr, None] = {}
    who: PeerId | None = None
    for string in (string for record in records for string in decode_txt(record)):
        addr = _addr_of(string)
        if addr is None or addr.peer_id is None:
            continue
        if who is not None and addr.peer_id != who:
            raise ProtocolViolation("one name of mDNS stands for one peer, and here are two")
        who = addr.peer_id
        if is_local(addr) and len(found) < limits.mdns_addrs:
            found[addr.without_peer()] = None
    if who is None:
        raise MalformedMessage("no dnsaddr with a peer's id in the TXT records")
    return who, tuple(found)


def _addr_of(string: bytes) -> Multiaddr | None:
    """The address in one string; None if there is none that we can read."""
    key, _, value = string.partition(b"=")
    name, digits = key[: len(KEY)].lower(), key[len(KEY) :]  # DNS does not tell A from a
    if name != KEY or (digits and not digits.isdigit()):
        return None
    try:
        return Multiaddr(value.decode())
    except (LabError, UnicodeDecodeError):
        return None
