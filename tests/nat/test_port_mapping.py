"""Routers that open ports: in the virtual internet, on loopback, and in the place of miniupnpc."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import DialError, MalformedMessage, NotSimulated, ProtocolViolation
from libp2p_lab.nat.events import PortMapped, RouterFound, RouterMissed, RouterRestarted
from libp2p_lab.nat.gateway import default_gateway
from libp2p_lab.nat.port_mapper import Grant, MappingRefused, NoRouter, Outside, Wish
from libp2p_lab.nat.upnp import Upnp
from libp2p_lab.sim import Internet
from tests.nat.test_relay import parts, until

KINDS: dict[str, dict[str, bool]] = {
    "PCP": {"pcp": True, "nat_pmp": True},
    "PCP alone": {"pcp": True},
    "NAT-PMP": {"nat_pmp": True},
    "UPnP": {"upnp": True},
}


def home(net: Internet, *, upnp: bool = False, nat: str = "home", **options: Any) -> Any:
    """A host behind a box that opens ports."""
    mappers = [lab.sim.UpnpAsker()] if upnp else None
    box = net.nat(nat, upnp=upnp, **options)
    mapping = lambda: parts(lab.PortMapping(mappers=mappers))  # noqa: E731
    return box, net.host("alice", nat=box, services=mapping)


def facts(entries: list[Any], kind: Any) -> list[Any]:
    return [entry.what for entry in entries if isinstance(entry.what, kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_is_opened_kept_and_given_back(kind):
    with Internet(seed=1) as net:
        box, alice = home(net, **KINDS[kind])
        told: list[Any] = []
        alice.trace.listen(told.append)
        net.run_for(1)
        [found] = facts(told, RouterFound)
        own_ip = alice.machine.ips[0]
        assert (found.how, found.router) == (kind.removesuffix(" alone"), box.gateway)
        [mapped] = alice.port_mapping.mappings
        assert (mapped.protocol, mapped.inner, mapped.ip) == ("tcp", 4001, box.ips[0])
        addr = f"/ip4/{box.ips[0]}/tcp/4001/p2p/{alice.peer_id}"
        assert [str(a) for a in alice.addrs] == [
            f"/ip4/{own_ip}/tcp/4001/p2p/{alice.peer_id}",
            addr,
        ]
        assert lab.Multiaddr(addr) in alice.punchable_addrs
        bob = net.host("bob")
        net.run(bob.connect(addr))
        said = net.run(bob.identify_result(alice.peer_id))
        assert lab.Multiaddr(addr).without_peer() in said.listen_addrs
        net.run_for(3 * 3600)  # renewed at half of the hour
        assert [m.renewed for m in facts(told, PortMapped)] == [False] + 6 * [True]
        net.run(net.host("carol").connect(addr))
        net.run(alice.close())
        assert not [m for m in box.table.mappings(net.now) if m.is_static]
        assert not alice.port_mapping.mappings
        with pytest.raises(DialError):
            net.run(net.host("late").connect(addr))


@pytest.mark.parametrize("kind", KINDS)
def test_a_router_that_was_switched_off_opens_it_again(kind):
    with Internet(seed=1) as net:
        box, alice = home(net, **KINDS[kind])
        told: list[Any] = []
        alice.trace.listen(told.append)
        net.run_for(1000)
        box.restart()
        assert not box.table.mappings(net.now)
        net.run_for(100)
        assert facts(told, RouterRestarted)
        net.run(net.host("bob").connect(alice.port_mapping.addrs[0].with_peer(alice.peer_id)))


def test_two_at_home_get_two_ports():
    for kind in ("PCP", "NAT-PMP", "UPnP"):
        with Internet(seed=1) as net:
            box, alice = home(net, **KINDS[kind])
            net.run_for(1)
            mappers = [lab.sim.UpnpAsker()] if kind == "UPnP" else None
            services = parts(lab.PortMapping(mappers=mappers))
            carol = net.host("carol", nat=box, services=services)
            net.run_for(3)
            ports = {m.outer for h in (alice, carol) for m in h.port_mapping.mappings}
            assert len(ports) == 2
            for host in (alice, carol):
                net.run(net.host().connect(host.addrs[-1]))


def test_autonat_finds_it_public_and_the_dht_is_told():
    """Nobody takes the router's word: others try."""
    with Internet(seed=1) as net:
        services = parts(lab.PortMapping(), lab.AutoNAT(servers=2, serve=False))
        box = net.nat("home", nat_pmp=True)
        alice = net.host("alice", nat=box, services=services)
        net.run_for(1)
        for _ in range(3):
            server = net.host(services=lambda: parts(lab.AutoNAT()))
            net.run(alice.connect(server.addrs[0]))
        net.run_for(30)
        assert alice.autonat.reachability == "public"
        assert alice.autonat.per_address[alice.port_mapping.addrs[0]] == "public"


def test_without_a_router_nothing_happens_but_a_look_now_and_then():
    with Internet(seed=1) as net:
        alice = net.host("alice", nat=net.nat("home"), services=parts(lab.PortMapping()))
        told: list[Any] = []
        alice.trace.listen(told.append)
        net.run_for(1000)
        missed = facts(told, RouterMissed)
        assert {m.how for m in missed} == {"PCP or NAT-PMP", "UPnP"}
        assert len(missed) <= 8
        assert alice.port_mapping.mappings == alice.port_mapping.addrs == []
        assert alice.port_mapping.external_ip == ""


def test_a_simulated_machine_has_its_own_router_and_no_real_upnp():
    with Internet(seed=1) as net:
        box = net.nat("home")
        inside, outside = net.host(nat=box), net.host()

        async def look() -> str:
            return default_gateway()

        assert net.run(inside.run(look())) == box.gateway
        assert net.run(outside.run(look())) == ""
        with pytest.raises(NotSimulated):
            net.run(inside.run(Upnp().external_address()))


def test_what_listens_later_gets_a_port_too_and_loses_it():
    with Internet(seed=1) as net:
        box, alice = home(net, nat_pmp=True)
        net.run_for(1)

        async def listen_more() -> None:
            await alice.listen(f"/ip4/{alice.machine.ips[0]}/tcp/5001")

        net.run(listen_more())
        net.run_for(1)
        assert [m.outer for m in alice.port_mapping.mappings] == [4001, 5001]
        [listener] = [one for one in alice._swarm._listeners if str(one.addrs[0]).endswith("/5001")]
        net.run(alice.run(alice.stop_listening(listener)))
        net.run_for(1)
        assert [m.outer for m in alice.port_mapping.mappings] == [4001]
        assert [m.outside[1] for m in box.table.mappings(net.now) if m.is_static] == [4001]


# -- a mapper is whatever fits ----------------------------------------------------------------------------------


class Porter:
    """A mapper of the reader's own."""

    name = "porter"
    router, own_ip = "the house", "127.0.0.1"

    def __init__(self) -> None:
        self.open: dict[Wish, int] = {}
        self.closed = False

    async def external_address(self) -> Outside:
        return Outside("1.2.3.4")

    async def map(self, wish: Wish, port: int, lifetime: int) -> Grant:
        self.open[wish] = port + 1
        return Grant(port + 1, lifetime)

    async def unmap(self, wish: Wish, port: int) -> None:
        assert self.open.pop(wish) == port

    async def close(self) -> None:
        self.closed = True


async def test_every_transport_at_a_port_is_reached_by_it():
    porter = Porter()
    services = parts(lab.PortMapping(mappers=[porter]))
    listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0/ws"]
    async with lab.Host(listen=listen, services=services) as host:
        await until(lambda: len(host.port_mapping.mappings) == 3)
        ports = {(m.protocol, m.inner): m.outer for m in host.port_mapping.mappings}
        wanted = {
            addr.with_peer(host.peer_id)
            for addr in (
                lab.Multiaddr(
                    str(a).replace("127.0.0.1", "1.2.3.4").replace(str(inner), str(outer))
                )
                for (_, inner), outer in ports.items()
                for a in host.listen_addrs
                if f"/{inner}" in str(a)
            )
        }
        await until(lambda: wanted <= set(host.addrs))
        assert any(str(a).split("/p2p/")[0].endswith("/ws") for a in wanted)
    assert not porter.open
    assert porter.closed


# -- miniupnpc --------------------------------------------------------------------------------------------------


class Library:
    """In the place of miniupnpc: answers as it does, with its one kind of error."""

    lanaddr = "192.168.1.5"
    discoverdelay = 0

    def __init__(self, **says: Any) -> None:
        self.says = {"url": "http://192.168.1.1:5000/ctl", "ip": "1.2.3.4", "uptime": 77, **says}
        self.ports: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.waits = threading.Event()

    def discover(self) -> int:
        if "hangs" in self.says:
            self.waits.wait(30)
        return int(self.says.get("devices", 1))

    def selectigd(self) -> str:
        if "error" in self.says:
            raise Exception(self.says["error"])
        return str(self.says["url"])

    def externalipaddress(self) -> Any:
        return self.says["ip"]

    def statusinfo(self) -> Any:
        return "Connected", self.says["uptime"], "ERROR_NONE"

    def addportmapping(self, *arguments: Any) -> bool:
        port, family, *rest = arguments
        if "taken" in self.says and port == self.says["taken"]:
            raise Exception("ConflictInMappingEntry")
        if "forever" in self.says and rest[-1]:
            raise Exception("OnlyPermanentLeasesSupported")
        self.ports[port, family] = tuple(rest)
        return bool(self.says.get("opens", True))

    def deleteportmapping(self, port: int, family: str) -> bool:
        del self.ports[port, family]
        return True


def upnp(library: Library, **limits: Any) -> Upnp:
    return Upnp(limits=lab.Limits(**limits), load=lambda: library)


async def test_upnp_by_the_library():
    library = Library(taken=4001)
    asker = upnp(library)
    assert await asker.external_address() == Outside("1.2.3.4", 77)
    assert (asker.router, asker.own_ip) == ("192.168.1.1", "192.168.1.5")
    assert library.discoverdelay == 2000
    with pytest.raises(MappingRefused) as refused:
        await asker.map(Wish("tcp", 4001), 4001, 3600)
    assert refused.value.is_conflict
    assert await asker.map(Wish("tcp", 4001), 5001, 3600) == Grant(5001, 3600)
    assert library.ports == {(5001, "TCP"): ("192.168.1.5", 4001, "libp2p", "", 3600)}
    await asker.unmap(Wish("tcp", 4001), 5001)
    assert not library.ports


async def test_upnp_of_old_routers():
    asker = upnp(Library(forever=True, uptime=0))
    assert await asker.external_address() == Outside("1.2.3.4", None)
    assert await asker.map(Wish("udp", 4001), 4001, 3600) == Grant(4001, 0)


@pytest.mark.parametrize(
    ("says", "error", "reason"),
    [
        ({"devices": 0}, NoRouter, "nothing in this network"),
        ({"error": "No UPnP device discovered"}, MappingRefused, "No UPnP device"),
        ({"url": "http://1.2.3.4/ctl"}, ProtocolViolation, "would be asked at"),
        ({"url": "http://router.example/ctl"}, ProtocolViolation, "would be asked at"),
        ({"ip": "no address" * 100}, MalformedMessage, "outer address is"),
        ({"ip": None}, MalformedMessage, "outer address is"),
        ({"ip": "2001:db8::1"}, MalformedMessage, "outer address is"),
    ],
)
async def test_upnp_that_lies_or_is_not_there(says, error, reason):
    with pytest.raises(error, match=reason):
        await upnp(Library(**says)).external_address()


async def test_upnp_that_hangs_costs_one_thread():
    library = Library(hangs=True)
    asker = upnp(library, port_map_upnp_timeout=0.05)
    try:
        for reason in ("within 0 s", "has not answered the last", "has not answered the last"):
            with pytest.raises(NoRouter, match=reason):
                await asker.external_address()
    finally:
        library.waits.set()
        await asyncio.wait({asker._running})


async def test_upnp_that_says_yes_and_does_nothing():
    asker = upnp(Library(opens=False))
    await asker.external_address()
    with pytest.raises(MappingRefused, match="does not say why"):
        await asker.map(Wish("tcp", 4001), 4001, 3600)
