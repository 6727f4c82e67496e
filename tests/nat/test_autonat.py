"""AutoNAT version 2: messages, the judge, the price, and hosts in the open and behind NATs of the virtual internet."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import libp2p_lab as lab
from libp2p_lab.errors import LabError, LocalError, MalformedMessage, ProtocolViolation
from libp2p_lab.host.events import DialStarted
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.nat.autonat import DEAREST
from libp2p_lab.nat.autonat_messages import (
    BACK_PROTOCOL,
    DIAL_PROTOCOL,
    MAX_ADDRS,
    DialDataRequest,
    DialDataResponse,
    DialRequest,
    DialResponse,
    DialStatus,
    ResponseStatus,
    decode,
    decode_dial_back,
    encode_dial_back,
)
from libp2p_lab.nat.reachability import Judge, RateLimit, Verdict
from libp2p_lab.sim import FULL_CONE, PORT_RESTRICTED, Internet
from libp2p_lab.transports.public import is_public
from tests.routing.test_cores import peer_id

pytestmark = pytest.mark.timeout(120)
ADDR = Multiaddr("/ip4/11.0.0.1/tcp/4001")
OTHER = Multiaddr("/ip4/12.0.0.1/tcp/4001")


# -- messages -------------------------------------------------------------------------------------------------------

numbers = st.integers(0, 2**32 - 1)
messages = st.one_of(
    st.builds(
        DialRequest,
        st.lists(st.sampled_from([ADDR, OTHER]), max_size=5).map(tuple),
        st.integers(0, 2**64 - 1),
    ),
    st.builds(DialDataRequest, numbers, st.integers(0, 2**64 - 1)),
    st.builds(DialDataResponse, st.binary(max_size=100)),
    st.builds(DialResponse, st.sampled_from(ResponseStatus), numbers, st.sampled_from(DialStatus)),
)


@given(messages)
def test_a_message_comes_back(message: Any) -> None:
    assert decode(message.encode()) == message


@given(st.binary(max_size=100))
def test_garbage_ends_in_a_typed_error(data: bytes) -> None:
    for read in (decode, decode_dial_back):
        try:
            read(data)
        except MalformedMessage:
            continue


def test_bytes_as_the_spec_lays_them_out() -> None:
    request = DialRequest((ADDR,), 0x0102030405060708)
    assert request.encode().hex() == "0a130a08" + ADDR.to_bytes().hex() + "110807060504030201"
    assert encode_dial_back(1).hex() == "090100000000000000"
    assert DialResponse(ResponseStatus.OK, 0, DialStatus.OK).encode().hex() == "120608c80118c801"


def test_addresses_keep_their_places_and_are_few() -> None:
    from libp2p_lab.nat.pb import autonat_pb2 as pb

    raw = pb.DialRequest(addrs=[b"\xff", ADDR.to_bytes(), *[OTHER.to_bytes()] * 10_000], nonce=1)
    read = decode(pb.AutoNatMessage(dialRequest=raw).SerializeToString())
    assert isinstance(read, DialRequest)
    assert read.addrs[:3] == (None, ADDR, OTHER)
    assert len(read.addrs) == MAX_ADDRS


# -- cores ----------------------------------------------------------------------------------------------------------


def test_several_must_agree() -> None:
    judge = Judge(4)
    for number in range(3):
        judge.add(Verdict(peer_id(number), ADDR, True))
    judge.add(Verdict(peer_id(0), ADDR, True))  # again: one server is one voice
    assert judge.of(ADDR) == "unknown"
    judge.add(Verdict(peer_id(3), ADDR, True))
    assert judge.of(ADDR) == "public"
    for number in range(10, 15):
        judge.add(Verdict(peer_id(number), ADDR, False))
    assert judge.of(ADDR) == "private", "more of them say so"
    judge.add(Verdict(peer_id(10), ADDR, True))  # it has changed its mind
    assert judge.of(ADDR) == "public"
    assert judge.overall([ADDR, OTHER]) == "public"
    assert judge.overall([OTHER]) == judge.overall([]) == "unknown"


def test_what_is_remembered_is_bounded() -> None:
    judge = Judge()
    for number in range(1000):
        judge.add(Verdict(peer_id(number), ADDR, True))
        judge.add(Verdict(peer_id(1), Multiaddr(f"/ip4/11.0.0.1/tcp/{number + 1}"), True))
    assert len(judge._said) <= 64
    assert all(len(said) <= 64 for said in judge._said.values())


def test_a_minute_holds_so_many_requests() -> None:
    rate = RateLimit(DEFAULT_LIMITS)
    alice = peer_id(1)
    assert sum(rate.allows(alice, 0.0) for _ in range(50)) == 12
    others = [peer_id(n) for n in range(2, 100)]
    assert sum(rate.allows(peer, 1.0) for peer in others) == 60 - 12
    assert rate.allows(alice, 60.0)
    assert not rate.allows(others[0], 60.5) or len(rate._times) <= 60


# -- whole hosts ----------------------------------------------------------------------------------------------------


def services() -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.AutoNAT()]


def servers(net: Internet, count: int) -> list[Any]:
    return [
        net.host(
            f"server {n}",
            ip=f"11.9.0.{n + 1}",
            listen=[f"/ip4/11.9.0.{n + 1}/tcp/4001"],
            transports=lambda: [lab.TCP()],
            services=services,
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("behaviour", "right"),
    [(None, "public"), (FULL_CONE, "public"), (PORT_RESTRICTED, "private")],
    ids=["in the open", "full cone", "home router"],
)
def test_who_can_be_called_finds_out(behaviour: Any, right: str) -> None:
    with Internet(seed=3) as net:
        others = servers(net, 6)
        box = net.nat("router", behaviour) if behaviour is not None else None
        ip = f"{box.network}2" if box is not None else "11.5.0.1"
        alice = net.host(
            "alice",
            ip=ip,
            nat=box,
            listen=[f"/ip4/{ip}/tcp/4001"],
            transports=lambda: [lab.TCP()],
            services=lambda: [*services(), lab.KadDHT(mode="client")],
        )
        changes: list[str] = []

        async def story() -> None:
            alice.autonat.on_change(changes.append)
            for server in others:
                await alice.connect(server.addrs[0])
                await alice.identify_result(server.peer_id)
            await asyncio.sleep(60)
            for server in others:  # by now it knows where it is seen
                for addr in alice.autonat.per_address:
                    verdict = await alice.run(alice.autonat.ask(server.peer_id, [addr]))
                    assert verdict.reached is (right == "public")

        net.run(story(), until=2000)
        assert alice.autonat.reachability == right
        assert changes == [right]
        assert alice.dht.mode == ("server" if right == "public" else "client")
        assert set(alice.autonat.per_address.values()) == {right}


def test_another_address_costs_thirty_thousand_bytes_and_the_victim_gets_one_dial() -> None:
    with Internet(seed=4) as net:
        (server,) = servers(net, 1)
        victim = net.host("victim", ip="12.0.0.1", listen=["/ip4/12.0.0.1/tcp/4001"])
        mallory = net.host("mallory", ip="11.6.6.6", services=services)

        async def story() -> None:
            with lab.record(mallory) as log:
                verdict = await mallory.run(
                    mallory.autonat.ask(
                        server.addrs[0], ["/ip4/12.0.0.1/tcp/4001", "/ip4/12.0.0.2/tcp/1"]
                    )
                )
            assert not verdict.reached
            assert verdict.addr == OTHER, "the first one, and no other"
            paid = sum(
                len(entry.what.data)
                for entry in log
                if isinstance(entry.what, DialDataResponse) and entry.direction == "sent"
            )
            asked = [entry.what for entry in log if isinstance(entry.what, DialDataRequest)]
            assert len(asked) == 1
            assert 30_000 <= asked[0].size <= DEAREST
            assert paid == 0 or paid >= asked[0].size
            with pytest.raises(LocalError, match="REFUSED"):
                await mallory.run(
                    mallory.autonat.ask(
                        server.peer_id, ["/ip4/192.168.1.1/tcp/22", "/dns4/a.b/tcp/1"]
                    )
                )

        net.run(story(), until=1000)
        assert not victim.peers


# -- hostile, on loopback -------------------------------------------------------------------------------------------


def at_home(**options: Any) -> lab.Host:
    auto = lab.AutoNAT(allow_private=True, servers=1, **options)
    listen = ["/ip4/127.0.0.1/tcp/0"]
    return lab.Host(listen=listen, transports=[lab.TCP()], services=[lab.Identify(), auto])


async def test_two_on_one_machine() -> None:
    async with at_home() as alice, at_home() as server:
        verdict = await alice.autonat.ask(server.addrs[0])
        assert verdict.reached
        assert alice.autonat.reachability == "public"
        gone = await alice.autonat.ask(server.peer_id, ["/ip4/127.0.0.1/tcp/1"])
        assert not gone.reached


async def lie(server: lab.Host, *answers: bytes) -> None:
    async def handler(stream: Any) -> None:
        await stream.read_message(8192)
        for answer in answers:
            await stream.write_message(answer)
        await stream.close_write()
        while await stream.read(1 << 16):
            pass

    server.set_handler(DIAL_PROTOCOL, handler)


OK = DialResponse(ResponseStatus.OK, 0, DialStatus.OK)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (OK.encode(), ProtocolViolation),
        (DialResponse(ResponseStatus.OK, 7, DialStatus.E_DIAL_ERROR).encode(), ProtocolViolation),
        (DialDataRequest(0, DEAREST + 1).encode(), ProtocolViolation),
        (DialDataRequest(9, 1).encode(), ProtocolViolation),
        (DialRequest((ADDR,), 1).encode(), ProtocolViolation),
        (b"\xff\xff", MalformedMessage),
        (DialResponse(ResponseStatus.E_REQUEST_REJECTED).encode(), LocalError),
    ],
    ids=[
        "claims success",
        "another index",
        "too dear",
        "pay for nothing",
        "a question",
        "garbage",
        "rejected",
    ],
)
async def test_s46_servers_that_lie_are_not_believed(answer: bytes, error: type[LabError]) -> None:
    async with at_home() as alice, lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as server:
        await lie(server, answer)
        with pytest.raises(error):
            await alice.autonat.ask(server.addrs[0])
        assert alice.autonat.reachability == "unknown"
        async with asyncio.timeout(30):  # it asks by itself as well
            while alice.autonat._nonces:
                await asyncio.sleep(0.01)


async def test_s46_a_wrong_nonce_is_discarded() -> None:
    async with at_home() as alice, at_home() as mallory:
        stream = await mallory.open_stream(
            (await mallory.connect(alice.addrs[0])).remote_peer, BACK_PROTOCOL
        )
        await stream.write_message(encode_dial_back(12345))
        with pytest.raises(LabError):
            await stream.read_message(64)
        assert alice.autonat.reachability == "unknown"


async def test_s46_no_dial_on_short_data() -> None:
    async with at_home() as server, lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as mallory:
        await mallory.connect(server.addrs[0])
        dials: list[Any] = []
        server.trace.listen(lambda e: dials.append(e) if isinstance(e.what, DialStarted) else None)
        stream = await mallory.open_stream(server.peer_id, DIAL_PROTOCOL)
        await stream.write_message(DialRequest((Multiaddr("/ip4/127.0.0.2/tcp/9"),), 1).encode())
        asked = decode(await stream.read_message(8192))
        assert isinstance(asked, DialDataRequest)
        await stream.write_message(DialDataResponse(bytes(4096)).encode())
        await stream.write_message(DialDataResponse(bytes(4097)).encode())
        with pytest.raises(LabError):
            await stream.read_message(8192)
        assert not dials


async def test_s46_a_nonce_on_our_own_connection_shows_nothing() -> None:
    async with at_home() as alice, lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as liar:
        refused: list[LabError] = []

        async def handler(stream: Any) -> None:
            request = decode(await stream.read_message(8192))
            assert isinstance(request, DialRequest)
            back = await liar.open_stream(stream.connection.remote_peer, BACK_PROTOCOL)
            try:
                await back.write_message(encode_dial_back(request.nonce))
                await back.read_message(64)
            except LabError as error:
                refused.append(error)
            await stream.write_message(OK.encode())
            await stream.close_write()

        liar.set_handler(DIAL_PROTOCOL, handler)
        with pytest.raises(ProtocolViolation, match="never came"):
            await alice.autonat.ask(liar.addrs[0], ["/ip4/127.0.0.1/tcp/1"])
        assert refused


async def test_what_a_server_cannot_dial_is_not_said_to_be_out_of_reach() -> None:
    odd = Multiaddr("/ip4/127.0.0.1/udp/9/utp")
    async with at_home() as alice, at_home() as server:
        await alice.connect(server.addrs[0])
        with pytest.raises(LocalError, match="REFUSED"):
            await alice.autonat.ask(server.peer_id, [odd])
        real = alice.addrs[0].without_peer()
        verdict = await alice.autonat.ask(server.peer_id, [odd, real])
        assert verdict.addr == real, "the first that it can dial"
        assert verdict.reached
        assert alice.autonat._judge.of(odd) == "unknown"


@pytest.mark.parametrize(
    "addr",
    [
        "/ip6/64:ff9b::c0a8:101/tcp/22",
        "/ip6/2002:c0a8:101::1/tcp/22",
        "/ip6/::ffff:192.168.1.1/tcp/22",
        "/ip4/224.0.0.1/udp/1/quic-v1",
    ],
)
def test_private_addresses_in_other_clothes_are_private(addr: str) -> None:
    assert not is_public(Multiaddr(addr))


def test_public_addresses_in_other_clothes_are_public() -> None:
    assert is_public(Multiaddr("/ip6/64:ff9b::808:808/tcp/1"))
    assert is_public(Multiaddr("/ip6/2002:808:808::1/tcp/1"))


@pytest.mark.parametrize(
    ("behaviour", "right"),
    [(FULL_CONE, "public"), (PORT_RESTRICTED, "private")],
    ids=["full cone", "home router"],
)
def test_six_servers_are_enough_though_our_address_shows_late(behaviour: Any, right: str) -> None:
    with Internet(seed=3) as net:
        others = servers(net, 6)
        box = net.nat("router", behaviour)
        ip = f"{box.network}2"
        alice = net.host(
            "alice",
            ip=ip,
            nat=box,
            listen=[f"/ip4/{ip}/tcp/4001"],
            transports=lambda: [lab.TCP()],
            services=services,
        )

        async def story() -> None:
            for server in others:
                await alice.connect(server.addrs[0])
                await alice.identify_result(server.peer_id)
            await asyncio.sleep(120)

        net.run(story(), until=1000)
        assert alice.autonat.reachability == right, "without a word from us"


async def test_a_flood_of_requests_is_rejected() -> None:
    async with at_home() as server, at_home() as mallory:
        server.autonat._would_dial = lambda addr: (
            False
        )  # nothing is dialed: only the counting is asked about
        await mallory.connect(server.addrs[0])
        seen = []
        for _ in range(16):
            try:
                await mallory.autonat.ask(server.peer_id, [ADDR])
            except LocalError as error:
                seen.append(str(error).rsplit(" ", 1)[-1])
        assert seen.count("E_DIAL_REFUSED") <= 12
        assert "E_REQUEST_REJECTED" in seen


async def test_without_an_address_there_is_nothing_to_ask() -> None:
    async with at_home() as server, lab.Host(services=[lab.Identify(), lab.AutoNAT()]) as alice:
        with pytest.raises(LocalError, match="nothing to ask"):
            await alice.autonat.ask(server.addrs[0])
        assert alice.autonat.per_address == {}
