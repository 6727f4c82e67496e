"""NAT boxes behave as RFC 4787 and RFC 5382 say, requirement by requirement."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import QUIC, TCP, Limits
from libp2p_lab.errors import DialError, LocalError
from libp2p_lab.recording import record
from libp2p_lab.sim import FIREWALL, FULL_CONE, PORT_RESTRICTED, SYMMETRIC, Internet, NatBehaviour
from libp2p_lab.sim.nat_table import NatTable
from tests.netns import probe
from tests.netns.simulated import Lab

DEPENDENCES = ("endpoint-independent", "address-dependent", "address-and-port-dependent")
INSIDE, REMOTE, SAME_IP, ELSEWHERE = (
    ("10.0.0.2", 5000),
    ("1.1.1.1", 80),
    ("1.1.1.1", 81),
    ("2.2.2.2", 80),
)


def table(**behaviour: Any) -> NatTable:
    return NatTable(NatBehaviour(**behaviour), ("9.9.9.9",), random.Random(1))


def out(
    nat: NatTable,
    remote: Any,
    now: float = 0.0,
    inside: Any = INSIDE,
    proto: str = "udp",
    kind: Any = "datagram",
) -> Any:
    found = nat.outbound(proto, inside, remote, kind, now)
    assert found is not None
    return found[0].outside


@pytest.mark.parametrize(
    ("mapping", "filtering"), list(itertools.product(DEPENDENCES, DEPENDENCES))
)
def test_a_box_is_found_out_to_be_what_it_is(mapping, filtering) -> None:
    """By the small programs that ask from outside, as RFC 5780 does; UDP and TCP alike."""
    lab = Lab(NatBehaviour(mapping=mapping, filtering=filtering, ports="random", parity=False))
    found = lab.behaviour()
    lab.net.close()
    assert (found["udp mapping"], found["tcp mapping"]) == (mapping, mapping)
    assert found["udp filtering"] == filtering


@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("a", "b", "punches"),
    [
        (PORT_RESTRICTED, PORT_RESTRICTED, True),
        (FULL_CONE, SYMMETRIC, True),
        (SYMMETRIC, NatBehaviour(filtering="address-dependent"), True),
        (SYMMETRIC, PORT_RESTRICTED, False),
        (SYMMETRIC, SYMMETRIC, False),
        (None, SYMMETRIC, True),
        (FIREWALL, FIREWALL, True),
    ],
)
def test_which_pairs_can_punch_holes(kind, a, b, punches) -> None:
    lab = Lab(a, b)
    assert [one["punched"] for one in lab.punch(kind)] == [punches, punches]
    lab.net.close()


def test_tcp_punching_needs_simultaneous_open() -> None:
    """RFC 5382 REQ-2."""
    deaf = dataclasses.replace(PORT_RESTRICTED, simultaneous_open=False)
    lab = Lab(deaf, deaf)
    assert [one["punched"] for one in lab.punch("tcp")] == [False, False]
    lab.net.close()


@pytest.mark.parametrize("behaviour", [PORT_RESTRICTED, FIREWALL])
def test_a_box_may_let_no_datagram_out(behaviour: NatBehaviour) -> None:
    """QUIC reaches nobody from behind it; TCP does, and the box says why."""
    with Internet(seed=1) as net:
        parts: dict[str, Any] = {"transports": lambda: [TCP(), QUIC()]}
        listen = ["/ip4/11.0.0.1/udp/4001/quic-v1", "/ip4/11.0.0.1/tcp/4001"]
        alice = net.host("alice", ip="11.0.0.1", listen=listen, **parts)
        office = net.nat("office", dataclasses.replace(behaviour, blocks_udp=True))
        bob = net.host("bob", nat=office, listen=[], limits=Limits(dial_timeout=3.0), **parts)
        with record(net.trace) as log:
            with pytest.raises(DialError, match="no connection within 3 s"):
                net.run(bob.connect(alice.addrs[0]))
            assert net.run(bob.ping(alice.addrs[1])) > 0
        assert "no UDP here" in {getattr(entry.what, "reason", "") for entry in log}


def test_ports_are_preserved_where_they_are_free() -> None:
    nat = table()
    assert out(nat, REMOTE) == ("9.9.9.9", 5000)
    other = out(nat, REMOTE, inside=("10.0.0.3", 5000))
    assert other[1] != 5000, "REQ-3: no port is used twice"


@given(st.integers(1024, 65535), st.integers())
def test_parity_is_preserved(port: int, seed: int) -> None:
    """REQ-4."""
    nat = NatTable(NatBehaviour(ports="random"), ("9.9.9.9",), random.Random(seed))
    assert out(nat, REMOTE, inside=("10.0.0.2", port))[1] % 2 == port % 2


def test_udp_mappings_end_and_are_kept_alive() -> None:
    """REQ-5 and REQ-6: two minutes at least, from the last packet out."""
    nat = table(refresh_inbound=False)
    first = out(nat, REMOTE, 0)
    assert nat.inbound("udp", first, REMOTE, "datagram", 119) == INSIDE
    assert nat.inbound("udp", first, REMOTE, "datagram", 121) == "no mapping"
    out(nat, REMOTE, 121)
    out(nat, REMOTE, 200)
    assert nat.inbound("udp", first, REMOTE, "datagram", 319) == INSIDE
    refreshing = table(refresh_inbound=True)
    first = out(refreshing, REMOTE, 0)
    refreshing.inbound("udp", first, REMOTE, "datagram", 100)
    assert refreshing.inbound("udp", first, REMOTE, "datagram", 219) == INSIDE


def test_tcp_mappings_last_as_long_as_their_connection() -> None:
    """RFC 5382 REQ-5: two hours and four minutes established, four minutes otherwise."""
    nat = table()
    first = out(nat, REMOTE, 0, proto="tcp", kind="syn")
    assert nat.inbound("tcp", first, REMOTE, "synack", 1) == INSIDE
    out(nat, REMOTE, 2, proto="tcp", kind="ack")
    assert nat.inbound("tcp", first, REMOTE, "data", 2 + 7439) == INSIDE
    out(nat, REMOTE, 8000, proto="tcp", kind="fin")
    assert nat.inbound("tcp", first, REMOTE, "data", 8239) == INSIDE
    assert nat.inbound("tcp", first, REMOTE, "data", 8600) == "no mapping"
    half_open = table()
    first = out(half_open, REMOTE, 0, proto="tcp", kind="syn")
    assert half_open.inbound("tcp", first, REMOTE, "synack", 241) == "no mapping"


def test_filtering_follows_what_was_sent() -> None:
    """REQ-8, each of the three."""
    for filtering, allowed in (
        ("endpoint-independent", (REMOTE, SAME_IP, ELSEWHERE)),
        ("address-dependent", (REMOTE, SAME_IP)),
        ("address-and-port-dependent", (REMOTE,)),
    ):
        for source in (REMOTE, SAME_IP, ELSEWHERE):
            nat = table(filtering=filtering)
            outside = out(nat, REMOTE)
            entered = nat.inbound("udp", outside, source, "datagram", 1) == INSIDE
            assert entered == (source in allowed), (filtering, source)


def test_pooled_addresses_are_paired() -> None:
    """REQ-2: one inner address keeps its outer one."""
    nat = NatTable(NatBehaviour(), ("9.9.9.1", "9.9.9.2", "9.9.9.3"), random.Random(3))
    for host in range(2, 30):
        ips = {out(nat, REMOTE, inside=(f"10.0.0.{host}", port))[0] for port in range(2000, 2010)}
        assert len(ips) == 1
    assert len({out(nat, REMOTE, inside=(f"10.0.0.{host}", 1))[0] for host in range(2, 30)}) == 3


@given(
    st.lists(
        st.tuples(st.integers(2, 9), st.integers(1, 4), st.integers(1, 4), st.floats(0, 400)),
        max_size=60,
    ),
    st.sampled_from(DEPENDENCES),
    st.sampled_from(DEPENDENCES),
)
def test_two_inner_endpoints_never_share_an_outer_one(steps, mapping, filtering) -> None:
    nat = table(mapping=mapping, filtering=filtering, ports="random")
    for host, port, remote, now in sorted(steps, key=lambda step: step[3]):
        out(nat, (f"1.1.1.{remote}", 80), now, inside=(f"10.0.0.{host}", port))
        live = nat.mappings(now)
        assert len({one.outside for one in live}) == len(live)


def test_nonsense_is_refused() -> None:
    with pytest.raises(LocalError, match="mapping"):
        NatBehaviour(mapping="magic")  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="ports"):
        NatBehaviour(ports="magic")  # type: ignore[arg-type]


# -- whole hosts ------------------------------------------------------------------------------------------------


def behind(net: Internet, *names: str, box: Any) -> list[Any]:
    return [net.host(name, nat=box) for name in names]


def test_hosts_behind_a_box_dial_out_and_cannot_be_dialed() -> None:
    with Internet(seed=1) as net:
        server = net.host("server")
        home = net.nat("home")
        [inside] = behind(net, "inside", box=home)
        connection = net.run(inside.connect(server.addrs[0]))
        net.run_for(1)
        assert str(server.connections[0].remote_addr).startswith(f"/ip4/{home.ips[0]}/")
        assert str(connection.local_addr).startswith("/ip4/192.168.1.2/")
        with pytest.raises(DialError, match="no connection within"):
            net.run(net.host().connect(f"/ip4/{home.ips[0]}/tcp/4001/p2p/{inside.peer_id}"))


def test_a_forwarded_port_is_open() -> None:
    with Internet(seed=1) as net:
        server, home = net.host("server"), net.nat("home")
        [inside] = behind(net, "inside", box=home)
        home.forward(4001, (inside.machine.ips[0], 4001))
        net.run(server.connect(f"/ip4/{home.ips[0]}/tcp/4001/p2p/{inside.peer_id}"))


@pytest.mark.parametrize("hairpin", [True, False])
def test_hairpinning(hairpin: bool) -> None:
    """REQ-9: two behind one box, by its outer address."""
    with Internet(seed=1) as net:
        home = net.nat("home", dataclasses.replace(FULL_CONE, hairpin=hairpin))
        one, other = behind(net, "one", "other", box=home)
        home.forward(4001, (one.machine.ips[0], 4001))
        addr = f"/ip4/{home.ips[0]}/tcp/4001/p2p/{one.peer_id}"
        if hairpin:
            net.run(other.connect(addr))
            net.run_for(1)
            assert str(one.connections[0].remote_addr).startswith(f"/ip4/{home.ips[0]}/")
        else:
            with pytest.raises(DialError, match="no connection within"):
                net.run(other.connect(addr))


def test_two_behind_one_box_talk_directly() -> None:
    with Internet(seed=1) as net:
        one, other = behind(net, "one", "other", box=net.nat("home"))
        assert net.run(other.ping(one.addrs[0])) < 0.005


def test_a_home_behind_carrier_grade_nat() -> None:
    with Internet(seed=1) as net:
        server = net.host("server")
        carrier = net.nat("carrier", SYMMETRIC)
        home = net.nat("home", outer=carrier)
        [inside] = behind(net, "inside", box=home)
        assert home.ips[0].startswith("192.168.") or home.ips[0].startswith("100.64.")
        net.run(inside.connect(server.addrs[0]))
        net.run_for(1)
        assert str(server.connections[0].remote_addr).startswith(f"/ip4/{carrier.ips[0]}/")


def test_a_connection_through_a_nat_ends_when_the_mapping_is_forgotten() -> None:
    """The box is switched off and on: data comes from another port, and the server knows no such connection."""
    with Internet(seed=1) as net:
        server = net.host("server")
        home = net.nat("home", dataclasses.replace(PORT_RESTRICTED, ports="random"))
        [inside] = behind(net, "inside", box=home)
        net.run(inside.connect(server.addrs[0]))
        net.run_for(5)
        home.restart()
        net.run_for(120)
        assert not inside.connections
        assert not server.connections


def test_a_firewall_translates_nothing_and_lets_in_what_was_asked_for() -> None:
    with Internet(seed=1) as net:
        server = net.host("server", ipv6=True)
        wall = net.firewall("wall")
        inside = net.host("inside", nat=wall, ipv6=True)
        for addr in server.addrs:
            net.run(inside.connect(addr))
            net.run_for(1)
        seen = str(server.connections[0].remote_addr)
        assert any(ip in seen for ip in inside.machine.ips)
        for addr in inside.addrs:
            with pytest.raises(DialError, match="no connection within"):
                net.run(
                    net.host().connect(addr)
                    if "ip4" in str(addr)
                    else net.host(ipv6=True).connect(addr)
                )


def test_rejecting_boxes_say_so_at_once() -> None:
    with Internet(seed=1) as net:
        server = net.host("server")
        home = net.nat("home", dataclasses.replace(PORT_RESTRICTED, rejects=True))
        [inside] = behind(net, "inside", box=home)
        with pytest.raises(DialError, match="Connection refused"):
            net.run(server.connect(f"/ip4/{home.ips[0]}/tcp/4001/p2p/{inside.peer_id}"))


def test_udp_to_a_closed_port_is_told_to_connected_sockets() -> None:
    """ICMP port unreachable, as Linux hands it on."""

    class Told(asyncio.DatagramProtocol):
        errors: list[Exception]

        def __init__(self) -> None:
            self.errors = []

        def error_received(self, exc: Exception) -> None:
            self.errors.append(exc)

    async def program(remote: str) -> list[Exception]:
        loop = asyncio.get_running_loop()
        transport, told = await loop.create_datagram_endpoint(Told, remote_addr=(remote, 9))
        transport.sendto(b"anybody?")
        await asyncio.sleep(1)
        transport.close()
        return told.errors

    with Internet(seed=1) as net:
        one, other = net.machine("one"), net.machine("other")

        async def scenario() -> list[Exception]:
            return await one.create_task(program(other.ips[0]))

        [error] = net.run(scenario())
        assert isinstance(error, ConnectionRefusedError)


def test_the_probes_see_the_relay() -> None:
    lab = Lab(None)
    found = lab.behaviour()
    lab.net.close()
    assert found["udp mapping"] == "endpoint-independent"
    assert found["udp port kept"]
    assert probe.OBSERVERS


class Asks(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.answers.put_nowait(data)


async def ask(gateway: str, *requests: bytes) -> list[bytes]:
    loop = asyncio.get_running_loop()
    transport, asks = await loop.create_datagram_endpoint(Asks, remote_addr=(gateway, 5351))
    answers = []
    for request in requests:
        transport.sendto(request)
        answers.append(await asks.answers.get())
    transport.close()
    return answers


def test_ports_are_opened_by_nat_pmp_and_closed_again() -> None:
    """RFC 6886: the external address, a mapping, its end, and what is refused."""
    with Internet(seed=1) as net:
        home = net.nat("home", nat_pmp=True)
        [inside] = behind(net, "inside", box=home)
        outside = net.host("outside")
        addr = f"/ip4/{home.ips[0]}/tcp/4001/p2p/{inside.peer_id}"
        open_port = struct.pack(">BBHHHI", 0, 2, 0, 4001, 4001, 3600)
        requests = b"\0\0", open_port, b"\1\0", b"\0\x09"
        external, mapped, version, unknown = net.run(inside.run(ask(home.gateway, *requests)))
        assert external[8:12] == socket.inet_aton(home.ips[0])
        assert struct.unpack(">BBH", mapped[:4]) == (0, 130, 0)
        assert struct.unpack(">HHI", mapped[8:]) == (4001, 4001, 3600)
        assert (version[2:4], unknown[2:4]) == (b"\0\1", b"\0\5")
        net.run(outside.connect(addr))
        close_port = struct.pack(">BBHHHI", 0, 2, 0, 4001, 0, 0)
        net.run(inside.run(ask(home.gateway, close_port)))
        with pytest.raises(DialError, match="no connection within"):
            net.run(net.host("later").connect(addr))


def test_ports_opened_by_nat_pmp_end_by_themselves() -> None:
    with Internet(seed=1) as net:
        home = net.nat("home", nat_pmp=True)
        [inside] = behind(net, "inside", box=home)
        net.run(inside.run(ask(home.gateway, struct.pack(">BBHHHI", 0, 2, 0, 4001, 4001, 60))))
        net.run_for(61)
        with pytest.raises(DialError, match="no connection within"):
            net.run(net.host().connect(f"/ip4/{home.ips[0]}/tcp/4001/p2p/{inside.peer_id}"))


def soap(action: str, **arguments: object) -> bytes:
    """One request as UPnP clients send it."""
    values = "".join(f"<New{name}>{value}</New{name}>" for name, value in arguments.items())
    body = (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<u:{action} xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">{values}</u:{action}>'
        "</s:Body></s:Envelope>"
    )
    return f"POST /control HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def fetch(ip: str, *requests: bytes) -> list[str]:
    """What the gateway's HTTP server answers to each, one connection for each."""
    answers = []
    for request in requests:
        reader, writer = await asyncio.open_connection(ip, 5000)
        writer.write(request)
        answers.append((await reader.read()).decode())
        writer.close()
    return answers


async def search(sought: str) -> str:
    """Who answers a question to the whole local network; "" for nobody."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    class Seeker(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            if not answer.done():
                answer.set_result(data.decode())

    transport, _ = await loop.create_datagram_endpoint(Seeker, local_addr=("0.0.0.0", 0))
    question = f"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: {sought}\r\nMX: 2\r\n\r\n"
    transport.sendto(question.encode(), ("239.255.255.250", 1900))
    try:
        async with asyncio.timeout(3):
            return str(await answer)
    except TimeoutError:
        return ""
    finally:
        transport.close()


def mapping(client: str, outer: int, lease: int = 0, **others: object) -> bytes:
    arguments = {
        "RemoteHost": "",
        "ExternalPort": outer,
        "Protocol": "TCP",
        "InternalPort": 4001,
        "InternalClient": client,
        "Enabled": 1,
        "PortMappingDescription": "libp2p",
        "LeaseDuration": lease,
    }
    return soap("AddPortMapping", **{**arguments, **others})


def test_ports_are_opened_by_upnp_and_closed_again() -> None:
    """Found by multicast, described, asked for its address and for a port, and told to close it."""
    with Internet(seed=1) as net:
        home = net.nat("home", upnp=True)
        [inside] = behind(net, "inside", box=home)
        own = inside.machine.ips[0]
        gateway = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
        found = net.run(inside.run(search(gateway)))
        assert f"LOCATION: http://{home.gateway}:5000/device.xml" in found
        assert net.run(inside.run(search("urn:schemas-upnp-org:device:Printer:1"))) == ""
        get = b"GET /device.xml HTTP/1.1\r\n\r\n"
        described, external, mapped = net.run(
            inside.run(
                fetch(home.gateway, get, soap("GetExternalIPAddress"), mapping(own, 4001, 60))
            )
        )
        assert "<controlURL>/control</controlURL>" in described
        assert f"<NewExternalIPAddress>{home.ips[0]}</NewExternalIPAddress>" in external
        assert mapped.startswith("HTTP/1.1 200 OK")
        addr = f"/ip4/{home.ips[0]}/tcp/4001/p2p/{inside.peer_id}"
        net.run(net.host("outside").connect(addr))
        entry = soap("GetSpecificPortMappingEntry", ExternalPort=4001, Protocol="TCP")
        [told] = net.run(inside.run(fetch(home.gateway, entry)))
        assert f"<NewInternalClient>{own}</NewInternalClient>" in told
        assert net.run(inside.run(fetch(home.gateway, mapping(own, 4002)))), "for good"
        net.run_for(61)  # the first lease is over
        with pytest.raises(DialError, match="no connection within"):
            net.run(net.host("later").connect(addr))
        net.run(net.host("there").connect(addr.replace("/4001/", "/4002/")))
        close = soap("DeletePortMapping", ExternalPort=4002, Protocol="TCP")
        first, again = net.run(inside.run(fetch(home.gateway, close, close)))
        assert first.startswith("HTTP/1.1 200 OK")
        assert "<errorCode>714</errorCode>" in again


def test_upnp_refuses_what_is_not_right() -> None:
    with Internet(seed=1) as net:
        home = net.nat("home", upnp=True)
        one, other = behind(net, "one", "other", box=home)
        own, foreign = one.machine.ips[0], other.machine.ips[0]
        requests = {
            "606": mapping(foreign, 5000),  # for somebody else
            "402": mapping(own, 99_999),
            "401": soap("ForceTermination"),
        }
        for code, request in requests.items():
            [answer] = net.run(one.run(fetch(home.gateway, request)))
            assert f"<errorCode>{code}</errorCode>" in answer
        net.run(one.run(fetch(home.gateway, mapping(own, 4001))))
        [taken] = net.run(other.run(fetch(home.gateway, mapping(foreign, 4001))))
        assert "<errorCode>718</errorCode>" in taken
        close = soap("DeletePortMapping", ExternalPort=4001, Protocol="TCP")
        [refused] = net.run(other.run(fetch(home.gateway, close)))
        assert "<errorCode>606</errorCode>" in refused
        odd = (
            b"nonsense\r\n\r\n",
            b"POST /control HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
            b"POST /control HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4000,
        )
        answers = net.run(one.run(fetch(home.gateway, *odd)))
        assert answers == ["", "", "", ""]
        entities = soap("GetExternalIPAddress").replace(b"<s:Body>", b"<!ENTITY a>"[:8])
        [answer] = net.run(one.run(fetch(home.gateway, entities)))
        assert "<errorCode>402</errorCode>" in answer
