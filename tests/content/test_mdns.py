"""mDNS: records as bytes, what a host believes of them, and hosts that find each other on this machine's loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.content.events import Announced, LinkFailed, NeighbourLost, NeighbourRefused
from libp2p_lab.content.mdns_records import (
    announcement,
    decode_txt,
    draw_peer_name,
    encode_txt,
    is_local,
    read_announcement,
    service_name,
)
from libp2p_lab.errors import LimitExceeded, LocalError, MalformedMessage, ProtocolViolation
from tests.support import require

pytestmark = pytest.mark.timeout(120)

ALICE = lab.PeerId.from_text("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA")
BOB = lab.PeerId.from_text("QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ")
LAN = lab.Multiaddr("/ip4/192.168.1.7/tcp/4001")
QUIC = lab.Multiaddr("/ip4/192.168.1.7/udp/4001/quic-v1")
PUBLIC = lab.Multiaddr("/ip4/104.131.131.82/tcp/4001")


def addrs(*texts: str) -> list[lab.Multiaddr]:
    return [lab.Multiaddr(text) for text in texts]


# -- the records ------------------------------------------------------------------------------------------------


def test_names_are_drawn_and_mean_nothing() -> None:
    names = {draw_peer_name(random.Random(seed)) for seed in range(200)}
    assert len(names) == 200
    lengths = {len(name) for name in names}
    assert (min(lengths), max(lengths)) == (32, 63)
    assert all(name.isalnum() and name.islower() for name in names)


def test_a_private_network_has_a_name_of_its_own() -> None:
    assert service_name() == "_p2p._udp.local"
    assert service_name(b"\x01\xab") == "_p2p-01ab._udp.local"
    psk = bytes(range(32))
    one = lab.Host(services=[lab.MDNS()], psk=psk)
    other = lab.Host(services=[lab.MDNS()])
    assert one.mdns.service == f"_p2p-{one.network_fingerprint.hex()}._udp.local"
    assert other.mdns.service == "_p2p._udp.local"


@pytest.mark.parametrize(
    ("text", "is_near"),
    [
        ("/ip4/192.168.1.7/tcp/4001", True),
        ("/ip4/10.0.0.1/udp/1/quic-v1", True),
        ("/ip4/127.0.0.1/tcp/1", True),
        ("/ip4/169.254.3.4/tcp/1", True),
        ("/ip6/fe80::1/tcp/1", True),
        ("/ip6/fd00::1/tcp/1", True),
        ("/dns/printer.local/tcp/1", True),
        ("/dns4/Printer.LOCAL/tcp/1", True),
        ("/ip4/104.131.131.82/tcp/4001", False),
        ("/ip6/2a00:1450:4001:80b::200e/tcp/1", False),
        ("/dns4/example.org/tcp/1", False),
        ("/dns4/local/tcp/1", False),
        ("/memory/7", False),
        (f"/ip4/192.168.1.1/tcp/1/p2p/{BOB}/p2p-circuit", False),
    ],
)
def test_what_is_local(text: str, is_near: bool) -> None:
    assert is_local(lab.Multiaddr(text)) is is_near


def test_bytes_of_a_record() -> None:
    text = f"dnsaddr=/ip4/192.168.1.7/tcp/4001/p2p/{BOB}"
    assert encode_txt([LAN.with_peer(BOB)]) == bytes((len(text),)) + text.encode()
    both = encode_txt([LAN.with_peer(BOB), QUIC.with_peer(BOB)])
    assert read_announcement([both]) == (BOB, (LAN, QUIC))
    assert encode_txt([]) == b""
    assert decode_txt(b"\x00\x01a") == (b"", b"a")


def test_what_is_announced_fits_and_is_local() -> None:
    web = lab.Multiaddr("/ip4/192.168.1.7/udp/4001/quic-v1/webtransport")
    assert announcement(ALICE, [PUBLIC, LAN, web, QUIC, LAN]) == (
        LAN.with_peer(ALICE),
        QUIC.with_peer(ALICE),
    )
    home = [lab.Multiaddr("/ip4/127.0.0.1/tcp/4001"), lab.Multiaddr("/ip6/::1/tcp/4001")]
    assert announcement(ALICE, [*home, LAN]) == (LAN.with_peer(ALICE),)
    assert announcement(ALICE, home) == tuple(addr.with_peer(ALICE) for addr in home)
    many = [lab.Multiaddr(f"/ip4/10.0.0.{n}/tcp/4001") for n in range(100)]
    chosen = announcement(ALICE, many)
    assert len(chosen) == lab.Limits().mdns_addrs or len(encode_txt(chosen)) > 1200
    assert len(encode_txt(chosen)) <= lab.Limits().mdns_txt_sent
    few = announcement(ALICE, many, lab.Limits(mdns_addrs=3))
    assert [addr.without_peer() for addr in few] == many[:3]
    long = lab.Multiaddr("/dns4/" + "a." * 120 + "local/tcp/1")
    assert announcement(ALICE, [long, LAN]) == (LAN.with_peer(ALICE),)
    with pytest.raises(LocalError):
        encode_txt([long.with_peer(ALICE)])


ips = st.ip_addresses(v=4, network="10.0.0.0/8").map(str)
local = st.builds(
    lambda ip, port: lab.Multiaddr(f"/ip4/{ip}/tcp/{port}"), ips, st.integers(1, 65535)
)


@given(st.lists(local, min_size=1, max_size=8, unique=True), st.integers(1, 4))
def test_what_is_announced_is_read(found: list[lab.Multiaddr], pieces: int) -> None:
    """However the strings are spread over records."""
    chosen = announcement(ALICE, found)
    rows = [encode_txt(chosen[n::pieces]) for n in range(pieces)]
    who, where = read_announcement(rows)
    assert who == ALICE
    assert {*where} == {addr.without_peer() for addr in chosen}


@given(st.lists(st.binary(max_size=300), max_size=3))
def test_garbage_is_refused_by_name(records: list[bytes]) -> None:
    with contextlib.suppress(MalformedMessage, ProtocolViolation, LimitExceeded):
        read_announcement(records)


def txt(*strings: str) -> bytes:
    return b"".join(bytes((len(s),)) + s.encode() for s in strings)


def test_what_is_believed_of_a_record() -> None:
    def at(addr: object, peer: object = ALICE) -> str:
        return f"dnsaddr={addr}/p2p/{peer}"

    strange = [
        "",
        "flag",
        "=x",
        "id=7",
        "dnsaddr",
        "dnsaddr=",
        "dnsaddr=/new/1/p2p/x",
        "dnsaddrx=/",
    ]
    assert read_announcement([txt(*strange, at(LAN))]) == (ALICE, (LAN,))
    # DNS does not tell A from a; and py-libp2p 0.8.1 counts its addresses.
    mixed = txt(f"DNSADDR={LAN}/p2p/{ALICE}", f"dnsaddr2={QUIC}/p2p/{ALICE}")
    assert read_announcement([mixed]) == (ALICE, (LAN, QUIC))
    # Somebody wants us to dial elsewhere: left out.
    assert read_announcement([txt(at(PUBLIC), at(LAN))]) == (ALICE, (LAN,))
    assert read_announcement([txt(at(PUBLIC))]) == (ALICE, ())
    with pytest.raises(ProtocolViolation, match="two"):
        read_announcement([txt(at(LAN), at(QUIC, BOB))])
    with pytest.raises(MalformedMessage, match="no dnsaddr"):
        read_announcement([txt(f"dnsaddr={LAN}")])
    with pytest.raises(MalformedMessage, match="no dnsaddr"):
        read_announcement([])
    with pytest.raises(MalformedMessage, match="cut short"):
        read_announcement([b"\x09dnsaddr="])
    with pytest.raises(LimitExceeded):
        read_announcement([txt("x" * 255)] * 17)
    many = [txt(at(f"/ip4/10.0.0.{n}/tcp/1")) for n in range(30)]
    assert len(read_announcement(many)[1]) == lab.Limits().mdns_addrs


# -- what a host makes of it --------------------------------------------------------------------------------------


def heard(host: lab.Host, kind: type) -> list[Any]:
    """The events of a kind, from now on."""
    found: list[Any] = []
    host.trace.listen(lambda e: found.append(e.what) if isinstance(e.what, kind) else None)
    return found


def peer(number: int) -> lab.PeerId:
    return lab.PeerId(b"\x12\x20" + number.to_bytes(32, "big"))


def test_a_flood_of_names_is_bounded_and_drives_nobody_out() -> None:
    host = lab.Host(services=[lab.MDNS()], limits=lab.Limits(mdns_peers=10))
    refused, lost = heard(host, NeighbourRefused), heard(host, NeighbourLost)
    host.mdns.hear("first", [encode_txt([LAN.with_peer(ALICE)])])
    for n in range(1000):
        host.mdns.hear(f"name{n}", [encode_txt([LAN.with_peer(peer(n))])])
    assert len(host.mdns.neighbours) == 10
    assert host.mdns.neighbours[0] == lab.PeerInfo(ALICE, (LAN,))
    assert len(refused) == 991
    assert "10 neighbours" in refused[-1].why
    host.mdns.lose("first")
    host.mdns.lose("never there")
    assert [event.peer for event in lost] == [str(ALICE)]
    assert ALICE not in [info.peer_id for info in host.mdns.neighbours]


def test_what_cannot_be_used_is_told_and_left() -> None:
    host = lab.Host(services=[lab.MDNS()])
    refused = heard(host, NeighbourRefused)
    host.mdns.hear("a", [b"\xff"])
    host.mdns.hear("b", [encode_txt([PUBLIC.with_peer(ALICE)])])
    host.mdns.hear("us", [encode_txt([LAN.with_peer(host.peer_id)])])
    assert host.mdns.neighbours == []
    assert [event.name for event in refused] == ["a", "b"]
    assert ALICE not in host.peerstore


def test_two_names_of_one_peer_are_one_neighbour() -> None:
    host = lab.Host(services=[lab.MDNS()])
    host.mdns.hear("a", [encode_txt([LAN.with_peer(ALICE)])])
    host.mdns.hear("b", [encode_txt([QUIC.with_peer(ALICE)])])
    assert host.mdns.neighbours == [lab.PeerInfo(ALICE, (LAN, QUIC))]
    assert {*host.peerstore.addrs(ALICE)} == {LAN, QUIC}


# -- on this machine's loopback -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def multicast() -> None:
    """What one socket calls out on loopback is heard by another: not so everywhere."""
    group = ("224.0.0.251", 5399)  # not where others talk
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        ear.settimeout(5)
        heard = b""
        with contextlib.suppress(OSError):
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ear.bind(("", group[1]))
            here = socket.inet_aton("127.0.0.1")
            ear.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group[0]) + here
            )
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            mouth.sendto(b"hello", group)
            heard = ear.recv(100)
    require(heard == b"hello", "this machine has no multicast on its loopback")


def neighbour(**options: Any) -> lab.Host:
    mdns = lab.MDNS(["127.0.0.1"], **options)
    services = [lab.Identify(), lab.Ping(), mdns]
    return lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=services)


async def found(host: lab.Host, wanted: lab.PeerId) -> lab.PeerInfo:
    async with asyncio.timeout(60), contextlib.aclosing(host.mdns.watch()) as watching:
        async for info in watching:
            if info.peer_id == wanted:
                return info
    raise AssertionError("it never ends by itself")


@pytest.mark.usefixtures("multicast")
async def test_two_hosts_find_each_other_and_part() -> None:
    async with neighbour() as alice:
        lost = heard(alice, NeighbourLost)
        async with neighbour() as bob:
            for one, other in ((alice, bob), (bob, alice)):
                info = await found(one, other.peer_id)
                assert [addr.with_peer(other.peer_id) for addr in info.addrs] == other.addrs
                assert not one.is_connected(other.peer_id), "nothing is dialed unasked"
            assert await bob.ping(alice.peer_id) < 60  # by its name alone
            name = bob.mdns.peer_name
        async with asyncio.timeout(60):
            while name not in [event.name for event in lost]:  # bob said goodbye
                await asyncio.sleep(0.02)
        assert bob.peer_id not in [info.peer_id for info in alice.mdns.neighbours]


@pytest.mark.usefixtures("multicast")
async def test_a_new_address_is_called_out_and_whoever_asks_is_dialed() -> None:
    async with neighbour() as alice, neighbour(dial=True, announce=False) as bob:
        said = heard(alice, Announced)
        await found(bob, alice.peer_id)
        await bob.mdns.ready()
        async with asyncio.timeout(60):
            while not bob.is_connected(alice.peer_id):
                await asyncio.sleep(0.02)
        [more] = await alice.listen("/ip4/127.0.0.1/tcp/0")
        async with asyncio.timeout(60):
            while more.without_peer() not in (await found(bob, alice.peer_id)).addrs:
                await asyncio.sleep(0.02)
        assert said[-1].addrs == tuple(map(str, alice.addrs))
        assert bob.peer_id not in [info.peer_id for info in alice.mdns.neighbours]


@pytest.mark.usefixtures("multicast")
async def test_a_private_network_keeps_to_itself() -> None:
    psk = bytes(range(32))

    def private() -> lab.Host:
        services = [lab.Identify(), lab.Ping(), lab.MDNS(["127.0.0.1"])]
        return lab.Host(listen=["/ip4/127.0.0.1/tcp/0"], services=services, psk=psk)

    async with neighbour() as public, private() as alice, private() as bob:
        await found(alice, bob.peer_id)
        assert public.peer_id not in [info.peer_id for info in alice.mdns.neighbours]
        assert alice.peer_id not in [info.peer_id for info in public.mdns.neighbours]


async def test_no_multicast_is_said_and_harms_nothing() -> None:
    mdns = lab.MDNS(["192.0.2.77"])  # no interface has this address
    host = lab.Host(listen=["/memory/0"], services=[lab.Identify(), lab.Ping(), mdns])
    failed = heard(host, LinkFailed)
    async with host:
        with pytest.raises(LocalError, match="no mDNS here"):
            await host.mdns.ready()
        assert len(failed) == 1
        async with lab.Host() as other:
            assert await other.ping(host.addrs[0]) >= 0
