"""Our transports run on the simulated network without a line changed."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest

from libp2p_lab.errors import NotSimulated
from libp2p_lab.host.quic import QUIC
from libp2p_lab.security.tls import TLS
from libp2p_lab.sim import WORLD, Internet
from libp2p_lab.transports import TCP
from libp2p_lab.transports.websocket import WebSocket
from tests.conformance.transport import TRANSPORT_CHECKS
from tests.sim.support import ask_echo, echo_setup


@pytest.mark.parametrize("loss", [0.0, 0.02])
@pytest.mark.parametrize(
    ("transports", "where"),
    [
        (lambda: [TCP()], "/ip4/{}/tcp/4001"),
        (lambda: [QUIC()], "/ip4/{}/udp/4001/quic-v1"),
        (lambda: [WebSocket()], "/ip4/{}/tcp/4001/ws"),
    ],
    ids=["tcp", "quic", "websocket"],
)
def test_an_echo_over_each(transports: Any, where: str, loss: float) -> None:
    data = os.urandom(300_000)
    with Internet(seed=4, regions=WORLD, loss=loss) as net:
        alice = net.host(
            "alice",
            ip="11.1.1.1",
            transports=transports,
            listen=[where.format("11.1.1.1")],
            setup=echo_setup,
        )
        bob = net.host("bob", transports=transports, listen=[])
        assert net.run(ask_echo(bob, alice, data), until=600) == data
        assert bob.connections[0].transport == transports()[0].name


def test_tls_instead_of_noise() -> None:
    with Internet(seed=4) as net:
        alice = net.host("alice", security=lambda: [TLS()], setup=echo_setup)
        bob = net.host("bob", security=lambda: [TLS()])
        assert net.run(ask_echo(bob, alice, b"hello")) == b"hello"


TRANSPORTS = {
    "tcp over ip4": lambda: (TCP(), "/ip4/127.0.0.1/tcp/0"),
    "tcp over ip6": lambda: (TCP(), "/ip6/::1/tcp/0"),
}


@pytest.mark.parametrize("make", TRANSPORTS.values(), ids=TRANSPORTS.keys())
@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
def test_the_transports_own_suite_passes(check: Any, make: Any) -> None:
    with Internet(seed=1) as net:
        machine = net.machine("one", ipv6=True)

        async def scenario() -> None:
            await machine.create_task(check(*make()))

        net.run(scenario())


def test_a_ready_made_socket_is_refused() -> None:
    ready = socket.socket()

    async def program(sock: socket.socket) -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=sock)

    with Internet(seed=1) as net, ready:
        machine = net.machine("one")

        async def scenario() -> None:
            await machine.create_task(program(ready))

        with pytest.raises(NotSimulated, match="local_addr"):
            net.run(scenario())


class Hears(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append((data, addr[0]))


def test_multicast_stays_behind_its_box() -> None:
    group = "224.0.0.251"

    async def join() -> Hears:
        _, hears = await asyncio.get_running_loop().create_datagram_endpoint(
            Hears, local_addr=("0.0.0.0", 5353), reuse_port=True
        )
        option = socket.inet_aton(group) + socket.inet_aton("0.0.0.0")
        hears.transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, option
        )
        return hears

    with Internet(seed=1) as net:
        home = net.nat("home")
        machines = [net.machine(name, nat=home) for name in ("a", "b")] + [net.machine("far")]

        async def scenario() -> list[list[Any]]:
            all_ = [await machine.create_task(join()) for machine in machines]
            all_[0].transport.sendto(b"who is there?", (group, 5353))
            await asyncio.sleep(1)
            return [hears.heard for hears in all_]

        a, b, far = net.run(scenario())
        assert b == [(b"who is there?", "192.168.1.2")]
        assert a == b
        assert not far


def test_names() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice", ip="11.2.2.2"), net.host("bob")
        net.names.add("example.org", "11.2.2.2")
        net.run(bob.connect(f"/dns4/example.org/tcp/4001/p2p/{alice.peer_id}"))
        net.names.add_text(
            "_dnsaddr.boot.org", f"dnsaddr=/dns4/example.org/tcp/4001/p2p/{alice.peer_id}"
        )
        carol = net.host("carol")
        net.run(carol.connect(f"/dnsaddr/boot.org/p2p/{alice.peer_id}"))
        net.names.is_up = False
        with pytest.raises(Exception, match="not known"):
            net.run(net.host().connect(f"/dns4/example.org/tcp/4001/p2p/{alice.peer_id}"))


def test_ipv6() -> None:
    with Internet(seed=1) as net:
        alice, bob = net.host("alice", ip="", ipv6=True), net.host("bob", ipv6=True)
        old = net.host("old")
        [addr] = alice.addrs
        assert str(addr).startswith("/ip6/")
        net.run(bob.connect(addr))
        with pytest.raises(Exception, match="unreachable"):
            net.run(old.connect(addr))
