"""Somebody on the same cable: garbage at the port of mDNS, names without end, announcements of other people's places.

The cable is this machine's loopback, and other tests may listen there: so the flood is small, short-lived, and names
nothing but loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.content.events import NeighbourRefused
from libp2p_lab.content.mdns_records import encode_txt
from tests.content.test_mdns import found, heard, multicast, neighbour, peer
from tests.hostile.scene import MIB, bounded_memory

__all__ = ["multicast"]  # a fixture
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("multicast")]

GROUP = ("224.0.0.251", 5353)
SERVICE = b"\x04_p2p\x04_udp\x05local\x00"


@contextlib.contextmanager
def mallory() -> Iterator[socket.socket]:
    """Calls out on loopback, from the port of mDNS as everybody does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(AttributeError):
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mouth.bind(("127.0.0.1", GROUP[1]))
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        yield mouth


def announced(name: str, text: bytes) -> bytes:
    """A response: a PTR of the service to the name, and its TXT."""
    label = bytes((len(name),)) + name.encode() + SERVICE
    head = struct.pack(">6H", 0, 0x8400, 0, 2, 0, 0)

    def record(owner: bytes, kind: int, data: bytes) -> bytes:
        return owner + struct.pack(">HHIH", kind, 1, 10, len(data)) + data

    return head + record(SERVICE, 12, label) + record(label, 16, text)


async def test_a_flood_of_names_and_garbage_is_survived() -> None:
    limits = lab.Limits(mdns_peers=20)
    services: list[Any] = [lab.Identify(), lab.Ping(), lab.MDNS(["127.0.0.1"])]
    rng = random.Random(1)
    host = lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=services, limits=limits)
    refused = heard(host, NeighbourRefused)
    with mallory() as mouth:
        async with host:
            await host.mdns.ready()
            with bounded_memory(20 * MIB):
                for n in range(60):
                    place = lab.Multiaddr(f"/ip4/127.0.1.{n}/tcp/1").with_peer(peer(n))
                    mouth.sendto(announced(f"flood{n:040}", encode_txt([place])), GROUP)
                    mouth.sendto(rng.randbytes(rng.randrange(200)), GROUP)
                    broken = bytearray(announced(f"broken{n:040}", encode_txt([place])))
                    broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
                    mouth.sendto(bytes(broken), GROUP)
                    await asyncio.sleep(0.01)
                async with asyncio.timeout(60):
                    while not refused:
                        await asyncio.sleep(0.02)
            assert len(host.mdns.neighbours) <= 20
            assert "neighbours are known already" in refused[-1].why
            assert host.peers == [], "nobody is dialed for it"
            async with neighbour() as friend:  # it still calls out, and is heard
                await found(friend, host.peer_id)


async def test_places_elsewhere_are_not_dialed() -> None:
    """Whoever calls out somebody's public address would have everybody here dial it."""
    victim = lab.Multiaddr("/ip4/8.8.8.8/tcp/4001")
    with mallory() as mouth:
        async with neighbour(dial=True) as host:
            await host.mdns.ready()
            refused = heard(host, NeighbourRefused)
            mouth.sendto(announced("elsewhere", encode_txt([victim.with_peer(peer(1))])), GROUP)
            two = encode_txt(
                [lab.Multiaddr("/ip4/127.0.0.1/tcp/1").with_peer(peer(n)) for n in (1, 2)]
            )
            mouth.sendto(announced("two", two), GROUP)
            async with asyncio.timeout(60):
                while {event.name for event in refused} < {"elsewhere", "two"}:
                    await asyncio.sleep(0.02)
            assert host.peerstore.addrs(peer(1)) == ()
            why = {event.name: event.why for event in refused}
            assert "no address in the local network" in why["elsewhere"]
            assert "here are two" in why["two"]
