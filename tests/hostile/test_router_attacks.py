"""Routers that lie about the ports that they open: what they say is bounded, and believed no further than it goes."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import ProtocolViolation
from libp2p_lab.nat import nat_pmp_messages as pmp
from libp2p_lab.nat import pcp_messages as pcp
from libp2p_lab.nat.events import PortMapFailed, PortMapped, RouterFound, RouterMissed
from libp2p_lab.nat.port_control import PortControl
from libp2p_lab.nat.port_mapper import MappingRefused, NoRouter, Outside, Wish
from libp2p_lab.sim import Internet
from tests.hostile.scene import MIB, bounded_memory
from tests.nat.test_relay import parts

#: What a router answers to one question, after so many seconds of its life.
Lie = Callable[[bytes, float], list[bytes]]
YEARS = (1 << 32) - 1
TCP = Wish("tcp", 4001)


class Router(asyncio.DatagramProtocol):
    """Answers as it is told to."""

    def __init__(self, lie: Lie, clock: Callable[[], float]) -> None:
        self._lie = lie
        self._clock = clock
        self.asked: list[bytes] = []
        self.transport: Any = None
        self.clients: list[Any] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked.append(data)
        self.clients.append(addr)
        for answer in self._lie(data, self._clock()):
            self.transport.sendto(answer, addr)


def honest(
    data: bytes,
    up: float,
    *,
    ip: str = "1.2.3.4",
    port: int | None = None,
    lifetime: int | None = None,
    epoch: int | None = None,
    result: int = 0,
) -> list[bytes]:
    """NAT-PMP, but for what is said otherwise."""
    epoch = int(up) if epoch is None else epoch
    if data[0] != 0:
        return [struct.pack(">BBHI", 0, 128 + data[1], 1, epoch)]
    if data[1] == 0:
        return [pmp.PmpAddressResponse(result, epoch, ip).encode()]
    inner, outer, wanted = struct.unpack(">HHI", data[4:12])
    given = (outer if port is None else port), (wanted if lifetime is None else lifetime)
    protocol: Any = "udp" if data[1] == 1 else "tcp"
    return [pmp.PmpMapResponse(protocol, result, epoch, inner, *given).encode()]


class House:
    """A host in the virtual internet whose router lies."""

    def __init__(self, lie: Lie, *services: Any, **options: Any) -> None:
        self.net = Internet(seed=1)
        box = self.net.nat("home")
        gateway = self.net.machine("gateway", nat=box, ip=box.gateway)
        self.router = Router(lie, self.net.loop.time)

        async def listen() -> None:
            await self.net.loop.create_datagram_endpoint(
                lambda: self.router, local_addr=(box.gateway, 5351)
            )

        self.net.run(_on(gateway, listen()))
        mapping = lab.PortMapping(**options)
        self.alice = self.net.host("alice", nat=box, services=parts(mapping, *services))
        self.told: list[Any] = []
        self.alice.trace.listen(self.told.append)

    def facts(self, kind: Any) -> list[Any]:
        return [entry.what for entry in self.told if isinstance(entry.what, kind)]

    def __enter__(self) -> House:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.net.close()


async def _on(machine: Any, coroutine: Any) -> Any:
    return await machine.create_task(coroutine)


def saying(**otherwise: Any) -> Lie:
    return lambda data, up: honest(data, up, **otherwise)


@pytest.mark.parametrize("ip", ["10.1.2.3", "192.168.0.7", "100.64.0.1", "127.0.0.1", "224.0.0.1"])
def test_an_address_that_leads_nowhere_is_told_to_nobody(ip):
    """Private, a provider's own (RFC 6598), loopback, multicast: the port is open, into a yard."""
    with House(saying(ip=ip)) as house:
        house.net.run_for(1)
        mapping = house.alice.port_mapping
        assert [m.ip for m in mapping.mappings] == [ip]
        assert mapping.addrs == []
        assert len(house.alice.addrs) == 1
    with House(saying(ip=ip), allow_private=True) as house:
        house.net.run_for(1)
        assert str(house.alice.port_mapping.addrs[0]) == f"/ip4/{ip}/tcp/4001"


def test_behind_a_second_nat_the_port_is_open_and_not_advertised():
    with Internet(seed=1) as net:
        provider = net.nat("provider", ip="5.5.5.5")
        box = net.nat("home", outer=provider, nat_pmp=True)
        alice = net.host("alice", nat=box, services=parts(lab.PortMapping()))
        net.run_for(1)
        assert alice.port_mapping.mappings
        assert alice.port_mapping.external_ip == box.ips[0]
        assert alice.port_mapping.addrs == []


def test_anothers_address_does_not_make_us_public():
    """The router claims an address that is somebody else's. Who tries finds somebody else, and says so."""
    nat = lab.AutoNAT(servers=2, serve=False)
    with House(saying(ip="9.9.9.9"), nat) as house:
        victim = house.net.host("victim", ip="9.9.9.9")
        house.net.run_for(1)
        [claimed] = house.alice.port_mapping.addrs
        for _ in range(3):
            server = house.net.host(services=lambda: parts(lab.AutoNAT()))
            house.net.run(house.alice.connect(server.addrs[0]))
        house.net.run_for(60)
        assert house.alice.autonat.reachability == "private"
        assert house.alice.autonat.per_address[claimed] == "private"
        assert not victim.connections


def test_a_port_that_is_never_the_same_is_one_address_at_a_time():
    draw = random.Random(1)
    with House(lambda data, up: honest(data, up, port=draw.randrange(1, 1 << 16))) as house:
        for _ in range(20):
            house.net.run_for(1800)
            assert len(house.alice.port_mapping.addrs) == 1
        ports = {event.outer for event in house.facts(PortMapped)}
        assert len(ports) == len(house.facts(PortMapped)) <= 21


@pytest.mark.parametrize(("lifetime", "reason"), [(0, "0 seconds"), (1, "1 s"), (59, "59 s")])
def test_leases_too_short_are_none(lifetime, reason):
    """And the router is asked again as rarely as after any refusal."""
    with House(saying(lifetime=lifetime)) as house:
        house.net.run_for(3600)
        assert not house.alice.port_mapping.mappings
        failed = house.facts(PortMapFailed)
        assert all(reason in event.cause for event in failed)
        assert len(failed) <= 8


def test_a_lease_of_136_years_is_renewed_after_half_a_day():
    with House(saying(lifetime=YEARS)) as house:
        house.net.run_for(86_400)
        assert len(house.facts(PortMapped)) == 2


@pytest.mark.parametrize("port", [0])
def test_no_port_is_no_port(port):
    with House(saying(port=port)) as house:
        house.net.run_for(100)
        assert not house.alice.port_mapping.mappings
        assert "it gives the port 0" in house.facts(PortMapFailed)[0].cause


def test_a_router_that_says_it_restarts_all_the_time_is_asked_once_a_minute():
    draw = random.Random(1)
    with House(lambda data, up: honest(data, up, epoch=draw.randrange(1 << 32))) as house:
        house.net.run_for(3600)
        assert house.alice.port_mapping.mappings
        assert len(house.router.asked) <= 2 + 2 * 61


@pytest.mark.parametrize(
    "answer",
    [
        lambda data, up: [],
        lambda data, up: [b""],
        lambda data, up: [b"\0"],
        lambda data, up: [data],
        lambda data, up: [random.Random(up).randbytes(60)],
        lambda data, up: [b"\2" + bytes([128 | data[1]]) + bytes(1400)],
        lambda data, up: [pmp.PmpMapResponse("udp", 0, 1, 1, 1, 1).encode()],
    ],
    ids=["silence", "nothing", "a byte", "echo", "noise", "too long", "another answer"],
)
def test_garbage_and_silence_are_no_router(answer):
    with House(answer) as house:
        house.net.run_for(20)
        missed = house.facts(RouterMissed)
        assert "asked 5 times" in missed[0].cause
        assert not house.facts(RouterFound)
        house.net.run_for(600)
        assert len(house.router.asked) <= 3 * 10


def test_a_flood_ends_the_question_and_takes_no_memory():
    flood = [bytes(1000)] * 5000
    with bounded_memory(16 * MIB), House(lambda data, up: flood if up < 2 else []) as house:
        house.net.run_for(30)
        assert "no answer among them" in house.facts(RouterMissed)[0].cause


def test_a_router_that_falls_silent_is_left_and_its_address_withdrawn():
    with House(lambda data, up: honest(data, up) if up < 500 else []) as house:
        house.net.run_for(400)
        assert house.alice.port_mapping.addrs
        house.net.run_for(600)
        assert house.alice.port_mapping.mapper is None
        assert house.alice.port_mapping.addrs == []
        assert len(house.alice.addrs) == 1


def test_a_router_that_does_not_take_ports_back_holds_nothing_up():
    with House(lambda data, up: honest(data, up) if up < 5 else []) as house:
        house.net.run_for(10)
        before = house.net.now
        house.net.run(house.alice.close())
        assert house.net.now - before <= 4


@pytest.mark.parametrize("result", [2, 3, 4, 5, 77, 65_535])
def test_every_way_to_say_no_is_typed(result):
    def no(data: bytes, up: float) -> list[bytes]:
        is_map = data[0] == 0 and data[1] != 0
        return honest(data, up, result=result if is_map else 0)

    with House(no) as house:
        house.net.run_for(100)
        assert all(e.cause.startswith("MappingRefused") for e in house.facts(PortMapFailed))
        assert not house.alice.port_mapping.mappings


# -- on real sockets --------------------------------------------------------------------------------------------


@asynccontextmanager
async def router(lie: Lie) -> AsyncIterator[tuple[Router, PortControl]]:
    """One on loopback, and who asks it."""
    loop = asyncio.get_running_loop()
    made = Router(lie, loop.time)
    transport, _ = await loop.create_datagram_endpoint(lambda: made, local_addr=("127.0.0.1", 0))
    limits = lab.Limits(port_map_first_wait=0.05, port_map_tries=3)
    port = transport.get_extra_info("sockname")[1]
    try:
        yield made, PortControl("127.0.0.1", rng=random.Random(1), limits=limits, port=port)
    finally:
        transport.close()


async def test_answers_from_elsewhere_are_not_heard():
    """Somebody else in the house answers in the router's place, faster, from an address of its own."""
    loop = asyncio.get_running_loop()
    forger, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )

    def overtaken(data: bytes, up: float) -> list[bytes]:
        for forged in honest(data, up, ip="6.6.6.6"):
            forger.sendto(forged, made.clients[-1])
        return []

    try:
        async with router(overtaken) as (made, control):
            with pytest.raises(NoRouter):
                await control.external_address()
    finally:
        forger.close()


async def test_real_sockets_and_a_real_answer():
    async with router(honest) as (made, control):
        told = await control.external_address()
        assert told.ip == "1.2.3.4"
        assert control.name == "NAT-PMP"
        grant = await control.map(TCP, 4001, 3600)
        assert (grant.port, grant.lifetime) == (4001, 3600)
        await control.unmap(TCP, 4001)
        assert made.asked[-1] == pmp.PmpMapRequest("tcp", 4001, 0, 0).encode()


async def test_a_port_nobody_listens_at_is_no_router():
    control = PortControl("127.0.0.1", rng=random.Random(1), port=1, limits=lab.Limits(
        port_map_first_wait=0.01, port_map_tries=2,
    ))  # fmt: skip
    with pytest.raises(NoRouter):
        await control.external_address()


async def test_a_flood_on_real_sockets_is_dropped():
    async with router(lambda data, up: [b"x" * 500] * 1000) as (_, control):
        with pytest.raises((ProtocolViolation, NoRouter)):
            await control.external_address()


async def test_pcp_with_the_answers_of_others():
    """Another nonce, another port, another protocol: none is ours, and the last refusal is."""

    def answer(data: bytes, up: float) -> list[bytes]:
        if data[1] == 0:
            return [pcp.PcpAnnounceResponse(0, 0, 5).encode()]
        nonce = data[24:36]
        good: Any = (3600, 5, nonce, "tcp", 4001, 4001, "6.6.6.6")
        others = [
            pcp.PcpMapResponse(0, 3600, 5, bytes(12), "tcp", 4001, 4001, "6.6.6.6"),
            pcp.PcpMapResponse(0, 3600, 5, nonce, "udp", 4001, 4001, "6.6.6.6"),
            pcp.PcpMapResponse(0, 3600, 5, nonce, "tcp", 4002, 4001, "6.6.6.6"),
            pcp.PcpMapResponse(pcp.PcpResult.NOT_AUTHORIZED, *good),
        ]
        return [other.encode() for other in others]

    async with router(answer) as (_, control):
        assert await control.external_address() == Outside("", 5)
        with pytest.raises(MappingRefused, match="NOT_AUTHORIZED") as refused:
            await control.map(TCP, 4001, 3600)
        assert refused.value.retry_after == 3600
