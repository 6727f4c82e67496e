"""AutoNAT version 1: messages, whom a server dials, and hosts in the open and behind NATs of the virtual internet."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import LabError, LocalError, MalformedMessage, ProtocolViolation
from libp2p_lab.host.events import DialStarted
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.nat.autonat_messages import DIAL_PROTOCOL
from libp2p_lab.nat.autonat_v1 import (
    MAX_ADDRS,
    MAX_MESSAGE,
    PROTOCOL,
    AutoNATv1,
    Dial,
    DialResponse,
    Status,
    decode,
    may_dial,
)
from libp2p_lab.sim import FULL_CONE, PORT_RESTRICTED, Internet
from tests.routing.test_cores import peer_id

pytestmark = pytest.mark.timeout(120)
ADDR = Multiaddr("/ip4/11.0.0.1/tcp/4001")
OTHER = Multiaddr("/ip4/12.0.0.1/tcp/4001")
HOME = "/ip4/127.0.0.1/tcp/0"

addrs = st.sampled_from([ADDR, OTHER])
messages = st.one_of(
    st.builds(Dial, st.integers(0, 50).map(peer_id), st.lists(addrs, max_size=5).map(tuple)),
    st.builds(DialResponse, st.sampled_from(Status), st.text(max_size=50), st.none() | addrs),
)


# -- cores ----------------------------------------------------------------------------------------------------------


@given(messages)
def test_a_message_comes_back(message: Any) -> None:
    assert decode(message.encode()) == message


@given(st.binary(max_size=100))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode(data)


def test_bytes_as_the_spec_lays_them_out() -> None:
    """Fields that have their default are written as well: the spec's protobuf is of version 2."""
    id_, addr = bytes(peer_id(1)), ADDR.to_bytes()
    info = b"\x0a" + bytes([len(id_)]) + id_ + b"\x12" + bytes([len(addr)]) + addr
    dial = b"\x0a" + bytes([len(info)]) + info
    assert Dial(peer_id(1), (ADDR,)).encode() == b"\x08\x00\x12" + bytes([len(dial)]) + dial
    assert DialResponse(Status.OK).encode().hex() == "08011a020800"
    assert DialResponse(Status.E_BAD_REQUEST, "no").encode().hex() == "08011a0708c80112026e6f"


@pytest.mark.parametrize(
    "data", ["", "0800", "0801", "080212020a00", "08011a020805", "0800120412020a00"]
)
def test_a_message_that_lacks_something_is_refused(data: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(bytes.fromhex(data))


def test_s45_only_where_the_asker_is_seen() -> None:
    seen = Multiaddr("/ip4/11.0.0.1/tcp/50123")
    assert may_dial(ADDR, seen)
    assert may_dial(Multiaddr("/ip4/11.0.0.1/udp/4001/quic-v1"), seen)
    for refused in (
        "/ip4/12.0.0.1/tcp/4001",
        "/dns4/victim.example/tcp/4001",
        "/ip6/2a00::1/tcp/4001",
        f"/ip4/11.0.0.1/tcp/4001/p2p/{peer_id(1)}/p2p-circuit",
    ):
        assert not may_dial(Multiaddr(refused), seen), refused
    private = Multiaddr("/ip4/192.168.1.1/tcp/22")
    assert not may_dial(private, private)
    assert may_dial(private, private, allow_private=True)


# -- whole hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "right"),
    [(None, "public"), (FULL_CONE, "public"), (PORT_RESTRICTED, "private")],
    ids=["in the open", "full cone", "home router"],
)
def test_who_can_be_called_finds_out_from_old_servers(behaviour: Any, right: str) -> None:
    """`AutoNAT` asks by version 1 those who know no other."""
    with Internet(seed=3) as net:
        servers = [
            net.host(
                f"server {n}",
                ip=f"11.9.0.{n + 1}",
                listen=[f"/ip4/11.9.0.{n + 1}/tcp/4001"],
                transports=lambda: [lab.TCP()],
                services=lambda: [lab.Identify(), lab.Ping(), AutoNATv1()],
            )
            for n in range(6)
        ]
        box = net.nat("router", behaviour) if behaviour is not None else None
        ip = f"{box.network}2" if box is not None else "11.5.0.1"
        alice = net.host(
            "alice",
            ip=ip,
            nat=box,
            listen=[f"/ip4/{ip}/tcp/4001"],
            transports=lambda: [lab.TCP()],
            services=lambda: [lab.Identify(), lab.Ping(), lab.AutoNAT()],
        )

        async def story() -> None:
            for server in servers:
                await alice.connect(server.addrs[0])
                found = await alice.identify_result(server.peer_id)
                assert PROTOCOL in found.protocols
                assert DIAL_PROTOCOL not in found.protocols
            await asyncio.sleep(100)

        net.run(story(), until=2000)
        assert alice.autonat.reachability == right


# -- hostile --------------------------------------------------------------------------------------------------------


def at_home(**options: Any) -> lab.Host:
    auto = lab.AutoNAT(allow_private=True, servers=1, automatic=False, **options)
    return lab.Host(listen=[HOME], transports=[lab.TCP()], services=[lab.Identify(), auto])


async def say(mallory: lab.Host, server: lab.Host, peer: PeerId, *where: str) -> DialResponse:
    """What the server answers."""
    stream = await mallory.open_stream(server.peer_id, PROTOCOL)
    await stream.write_message(Dial(peer, tuple(map(Multiaddr, where))).encode())
    answer = decode(await stream.read_message(MAX_MESSAGE))
    assert isinstance(answer, DialResponse)
    return answer


async def test_s45_a_server_dials_only_the_asker() -> None:
    """Nobody else's address, nobody else's name, nothing at a name that must be looked up, and few of them at all."""
    dials: list[Multiaddr] = []

    def dialer() -> lab.Host:
        host = lab.Host(services=[])
        host.trace.listen(
            lambda e: dials.append(e.what.addr) if isinstance(e.what, DialStarted) else None
        )
        return host

    async with (
        at_home(dialer=dialer) as server,
        at_home() as victim,
        lab.Host(listen=[HOME]) as mallory,
    ):
        await mallory.connect(server.addrs[0])
        me = mallory.peer_id
        answer = await say(mallory, server, victim.peer_id, "/ip4/127.0.0.1/tcp/9")
        assert answer.status is Status.E_BAD_REQUEST
        for where in ("/ip4/127.0.0.2/tcp/9", "/dns4/localhost/tcp/9", "/ip4/10.0.0.1/tcp/22"):
            assert (await say(mallory, server, me, where)).status is Status.E_DIAL_REFUSED
        assert (await say(mallory, server, me)).status is Status.E_DIAL_REFUSED
        assert not dials
        many = [f"/ip4/127.0.0.1/tcp/{port}" for port in range(1, 600)]
        assert (await say(mallory, server, me, *many)).status is Status.E_DIAL_ERROR
        assert 0 < len(dials) <= MAX_ADDRS
        assert not victim.connections


async def test_s45_a_server_is_asked_so_often() -> None:
    limits = lab.Limits(autonat_requests_per_peer=2)
    services = [lab.Identify(), AutoNATv1(allow_private=True)]
    async with (
        lab.Host(listen=[HOME], services=services, limits=limits) as server,
        lab.Host(listen=[HOME]) as mallory,
    ):
        await mallory.connect(server.addrs[0])
        [own] = [str(a.without_peer()) for a in mallory.addrs if "tcp" in a.names][:1]
        answers = [await say(mallory, server, mallory.peer_id, own) for _ in range(4)]
        assert [a.status for a in answers] == [Status.OK, Status.OK, *[Status.E_DIAL_REFUSED] * 2]
        assert answers[0].addr == Multiaddr(own)


def test_the_addresses_of_one_request_are_few() -> None:
    many = tuple(Multiaddr(f"/ip4/11.0.0.1/tcp/{port}") for port in range(1, 600))
    read = decode(Dial(peer_id(1), many).encode())
    assert isinstance(read, Dial)
    assert read.addrs == many[:MAX_ADDRS]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (DialResponse(Status.OK, addr=OTHER).encode(), ProtocolViolation),
        (Dial(peer_id(1), (ADDR,)).encode(), ProtocolViolation),
        (DialResponse(Status.E_DIAL_REFUSED, "x" * 5000).encode(), LocalError),
        (DialResponse(Status.E_INTERNAL_ERROR).encode(), LocalError),
        (b"\xff\xff", MalformedMessage),
        (b"x" * (MAX_MESSAGE + 1), LabError),
    ],
    ids=["another address", "a question", "refused", "broken", "garbage", "too long"],
)
async def test_servers_that_talk_nonsense(answer: bytes, error: type[LabError]) -> None:
    async with at_home() as alice, lab.Host(listen=[HOME]) as server:

        async def handler(stream: Any) -> None:
            await stream.read_message(MAX_MESSAGE)
            await stream.write_message(answer)
            await stream.close_write()
            while await stream.read(1 << 16):
                pass

        server.set_handler(PROTOCOL, handler)
        with pytest.raises(error):
            await alice.autonat.ask(server.addrs[0])
        assert alice.autonat.reachability == "unknown"
