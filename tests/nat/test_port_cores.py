"""NAT-PMP and PCP on the wire, one question and its answer, and the leases: without a network."""

from __future__ import annotations

import contextlib
import random
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import MalformedMessage, ProtocolViolation
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat import nat_pmp_messages as pmp
from libp2p_lab.nat import pcp_messages as pcp
from libp2p_lab.nat.events import (
    OuterAddressChanged,
    PortLost,
    PortMapFailed,
    PortMapped,
    RouterRestarted,
)
from libp2p_lab.nat.gateway import gateway_of
from libp2p_lab.nat.port_exchange import Exchange, OtherVersion
from libp2p_lab.nat.port_leases import Look, Map, PortLeases, Unmap, has_restarted
from libp2p_lab.nat.port_mapper import Grant, MappingRefused, NoRouter, Outside, Wish
from libp2p_lab.transports.public import is_public_ip

NONCE = bytes(range(12))
PORTS = st.integers(0, 65_535)
SECONDS = st.integers(0, (1 << 32) - 1)
FAMILIES = st.sampled_from(["udp", "tcp"])

# -- messages ---------------------------------------------------------------------------------------------------


def test_nat_pmp_as_rfc_6886_draws_it():
    assert pmp.PmpAddressRequest().encode() == b"\0\0"
    request = pmp.PmpMapRequest("tcp", 4001, 4002, 3600)
    assert request.encode().hex() == "000200000fa10fa200000e10"
    address = bytes.fromhex("00800000 00000007 c0000201".replace(" ", ""))
    assert pmp.decode_response(address) == pmp.PmpAddressResponse(0, 7, "192.0.2.1")
    mapped = bytes.fromhex("00820000 00000007 0fa1 0fa2 00000e10".replace(" ", ""))
    assert pmp.decode_response(mapped) == pmp.PmpMapResponse("tcp", 0, 7, 4001, 4002, 3600)
    refused = bytes.fromhex("00820002 00000007".replace(" ", ""))
    answer = pmp.decode_response(refused)
    assert (answer.result, answer.epoch) == (pmp.PmpResult.NOT_AUTHORIZED, 7)
    assert pmp.is_answer(request, answer)


def test_pcp_as_rfc_6887_draws_it():
    client = "00000000000000000000ffff0a000002"
    announce = pcp.PcpAnnounceRequest("10.0.0.2").encode().hex()
    assert announce == "0200000000000000" + client
    request = pcp.PcpMapRequest("10.0.0.2", NONCE, "udp", 4001, 4002, 3600)
    head, nonce = "0201000000000e10" + client, NONCE.hex()
    anywhere = "00000000000000000000ffff00000000"
    assert request.encode().hex() == head + nonce + "110000000fa10fa2" + anywhere
    body = nonce + "110000000fa10fa2" + "00000000000000000000ffffc0000201"
    answer = pcp.decode_response(
        bytes.fromhex("0281000000000e1000000007" + "00" * 12 + body),
    )
    assert answer == pcp.PcpMapResponse(0, 3600, 7, NONCE, "udp", 4001, 4002, "192.0.2.1")
    assert pcp.is_answer(request, answer)
    assert pcp.decode_response(pcp.PcpAnnounceResponse(4, 30, 7).encode()).result == 4
    v6 = pcp.PcpMapRequest("2001:db8::1", NONCE, "udp", 4001, 0, 60).encode()
    assert v6[8:24].hex() == "20010db8000000000000000000000001"
    assert v6[44:] == bytes(16)


@given(FAMILIES, st.integers(0, 65_535), SECONDS, PORTS, PORTS, SECONDS)
def test_nat_pmp_comes_back(protocol: Any, result, epoch, inner, outer, lifetime):
    response = pmp.PmpMapResponse(protocol, result, epoch, inner, outer, lifetime)
    assert pmp.decode_response(response.encode()) == response


@given(
    FAMILIES,
    st.integers(0, 255),
    SECONDS,
    st.binary(min_size=12, max_size=12),
    PORTS,
    st.ip_addresses(),
)
def test_pcp_comes_back(protocol: Any, result, seconds, nonce, port, ip):
    plain = str(getattr(ip, "ipv4_mapped", None) or ip)
    response = pcp.PcpMapResponse(result, seconds, seconds, nonce, protocol, port, port, plain)
    assert pcp.decode_response(response.encode()) == response


@given(st.binary(max_size=80))
def test_garbage_is_malformed_and_no_more(data):
    for decode in (pmp.decode_response, pcp.decode_response):
        with contextlib.suppress(MalformedMessage):
            decode(data)


# -- one question -----------------------------------------------------------------------------------------------

ASKED = pmp.PmpMapRequest("tcp", 4001, 4001, 3600)
ANSWER = pmp.PmpMapResponse("tcp", 0, 7, 4001, 4001, 3600)


def test_a_question_is_repeated_and_given_up():
    exchange = Exchange(ASKED, 10.0)
    times = []
    with pytest.raises(NoRouter, match="asked 5 times"):
        while True:
            now = exchange.next_time
            assert not exchange.tick(now - 0.01)
            if exchange.tick(now):
                times.append(now)
    assert times == [10.25, 10.75, 11.75, 13.75]
    assert exchange.state == "given up"


@pytest.mark.parametrize(
    "stray",
    [
        b"",
        b"\0",
        ASKED.encode(),  # our own question comes back
        pmp.PmpAddressResponse(0, 7, "192.0.2.1").encode(),
        pmp.PmpMapResponse("udp", 0, 7, 4001, 4001, 3600).encode(),
        pmp.PmpMapResponse("tcp", 0, 7, 4002, 4001, 3600).encode(),
        pcp.PcpAnnounceResponse(0, 0, 7).encode(),
    ],
)
def test_what_fits_no_question_is_passed_over(stray):
    exchange = Exchange(ASKED, 0.0)
    assert exchange.receive(stray) is None
    assert exchange.state == "asking"
    assert exchange.receive(ANSWER.encode()) == ANSWER


def test_another_nonce_is_no_answer():
    asked = pcp.PcpMapRequest("10.0.0.2", NONCE, "tcp", 4001, 4001, 3600)
    exchange = Exchange(asked, 0.0)
    forged = pcp.PcpMapResponse(0, 3600, 7, bytes(12), "tcp", 4001, 4001, "192.0.2.66")
    assert exchange.receive(forged.encode()) is None


def test_a_router_that_speaks_the_older_one_says_so():
    for answer in (b"\0\x80\0\1\0\0\0\7", pcp.PcpAnnounceResponse(1, 30, 7).encode()):
        with pytest.raises(OtherVersion):
            Exchange(pcp.PcpAnnounceRequest("10.0.0.2"), 0.0).receive(answer)


def test_a_flood_ends_it():
    exchange = Exchange(ASKED, 0.0)
    for _ in range(DEFAULT_LIMITS.port_map_strays):
        assert exchange.receive(b"x") is None
    with pytest.raises(ProtocolViolation, match="65 datagrams"):
        exchange.receive(b"x")


# -- leases -----------------------------------------------------------------------------------------------------

TCP, UDP = Wish("tcp", 4001), Wish("udp", 4001)
LIMITS = Limits()


def leases(*wishes: Wish, ip: str = "192.0.2.1") -> PortLeases:
    """That have looked at 0 s."""
    made = PortLeases(random.Random(1))
    assert made.next_step(0.0) == Look()
    made.looked(Outside(ip, 1000), 0.0)
    made.want(wishes, 0.0)
    made.take_events()
    return made


def hour(port: int = 4001, lifetime: int = 3600, epoch: int | None = None) -> Grant:
    return Grant(port, lifetime, Outside("", epoch))


def test_a_port_is_asked_for_renewed_at_half_and_closed():
    one = leases(TCP)
    assert one.next_step(0.0) == Map(TCP, 4001, 3600)
    one.granted(TCP, hour(5000), 1.0)
    assert one.take_events() == [PortMapped("tcp", 4001, "192.0.2.1", 5000, 3600, False)]
    assert one.held == {TCP: 5000}
    one.looked(Outside("192.0.2.1", 2000), 1000.0)
    assert one.next_step(1000.0) is None
    assert one.next_time == 1060.0
    one.looked(Outside("192.0.2.1", 2801), 1801.0)
    assert one.next_step(1801.0) == Map(TCP, 5000, 3600)  # where it is
    one.granted(TCP, hour(5000), 1801.0)
    assert [event.renewed for event in one.take_events()] == [True]
    one.want(())
    assert one.next_step(1801.0) == one.next_unmap() == Unmap(TCP, 5000)
    assert not one.held
    one.unmapped(TCP)
    assert one.next_unmap() is None


def test_one_that_is_not_renewed_is_over():
    one = leases(TCP)
    one.granted(TCP, hour(), 0.0)
    one.refused(TCP, NoRouter("silence"), 1800.0)
    assert one.held
    one.looked(Outside("192.0.2.1", None), 3599.0)
    one.next_step(3600.0)
    assert not one.held
    assert isinstance(one.take_events()[-1], PortLost)


def test_refusals_are_answered_by_patience():
    one = leases(TCP)
    now, waits = 0.0, []
    for _ in range(8):
        one.refused(TCP, MappingRefused("no"), now)
        one.looked(Outside(), now + 100_000)  # out of the way
        waits.append(one.next_time - now)
        now = one.next_time
    assert waits == [30, 60, 120, 240, 480, 960, 1800, 1800]
    one.refused(TCP, MappingRefused("no", retry_after=4e9), now)
    assert one.next_time == now + 1800
    assert all(isinstance(event, PortMapFailed) for event in one.take_events())


def test_a_port_that_is_taken_is_exchanged_for_another_a_few_times():
    one = leases(TCP)
    asked = []
    for _ in range(LIMITS.port_map_tries):
        step = one.next_step(0.0)
        assert isinstance(step, Map)
        asked.append(step.port)
        one.refused(TCP, MappingRefused("taken", is_conflict=True), 0.0)
    assert asked[0] == 4001
    assert len(set(asked)) == LIMITS.port_map_tries
    assert one.next_step(0.0) is None


def test_a_router_that_was_switched_off_is_asked_again():
    one = leases(TCP, UDP)
    one.granted(TCP, hour(), 0.0)
    one.granted(UDP, hour(), 0.0)
    one.take_events()
    one.looked(Outside("192.0.2.9", 3), 60.0)
    assert one.take_events() == [
        OuterAddressChanged("192.0.2.9", "192.0.2.1", False),
        RouterRestarted(3),
    ]
    assert one.next_step(60.0) == Map(TCP, 4001, 3600)
    one.granted(TCP, hour(epoch=4), 61.0)
    assert one.next_step(61.0) == Map(UDP, 4001, 3600)
    one.refused(UDP, MappingRefused("no"), 61.0)
    one.looked(Outside("192.0.2.9", 34), 91.0)
    one.next_step(91.0)
    assert one.held == {TCP: 4001}, "what it does not confirm is gone soon"


@pytest.mark.parametrize(
    ("before", "epoch", "seconds", "restarted"),
    [
        (1000, 1060, 60, False),
        (1000, 999, 0, False),  # two answers overtook each other
        (1000, 998, 0, True),
        (1000, 3, 60, True),
        (1000, 1055, 60, False),  # a slow clock
        (1000, 1030, 60, True),  # off and on for so long that it looks almost right
        (1000, 1200, 60, True),  # PCP: a jump ahead is another router
    ],
)
def test_whose_clock_goes_on(before, epoch, seconds, restarted):
    assert has_restarted(before, 50.0, epoch, 50.0 + seconds) is restarted


def test_not_more_ports_than_the_limit():
    one = leases(*(Wish("tcp", port) for port in range(1, 1000)))
    for port in range(1, LIMITS.port_map_ports + 1):
        step = one.next_step(0.0)
        assert isinstance(step, Map)
        assert step.port == port
        one.granted(step.wish, hour(port), 0.0)
    assert one.next_step(0.0) is None


WORDS = st.one_of(
    st.builds(
        Grant,
        st.integers(-5, 70_000),
        st.one_of(st.integers(0, 200), SECONDS),
        st.builds(Outside, st.sampled_from(["", "192.0.2.1", "192.0.2.7"]), SECONDS),
    ),
    st.builds(MappingRefused, st.just("no"), is_conflict=st.booleans(), retry_after=SECONDS),
    st.just(NoRouter("silence")),
)


@given(st.lists(WORDS, min_size=1, max_size=30), st.lists(SECONDS, min_size=1, max_size=10))
def test_whatever_a_router_says_it_is_not_asked_without_end(words, epochs):
    """For an hour: a look a minute; and for each port, in half a minute, a handful of questions."""
    one = leases(TCP, UDP)
    now, asked = 0.0, 0
    for turn in range(100_000):
        step = one.next_step(now)
        word = words[turn % len(words)]
        match step:
            case None:
                assert one.next_time > now
                now = one.next_time
                if now > 3600:
                    break
                continue
            case Look():
                one.looked(Outside("192.0.2.1", epochs[turn % len(epochs)]), now)
            case Map(wish) if isinstance(word, Grant):
                one.granted(wish, word, now)
            case Map(wish):
                one.refused(wish, word, now)
            case Unmap(wish):
                one.unmapped(wish)
        asked += 1
        assert all(0 < outer < 65_536 for outer in one.held.values())
    assert now > 3600
    assert asked <= 60 + 2 * 120 * (LIMITS.port_map_tries + 1)
    assert len(one.take_events()) <= 4 * asked


def test_addresses_that_the_world_does_not_reach():
    assert is_public_ip("1.2.3.4")
    for ip in (
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "",
        "x",
    ):
        assert not is_public_ip(ip)


# -- the router -------------------------------------------------------------------------------------------------

HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"


def route(gateway: str, metric: int, flags: str = "0003", target: str = "00000000") -> str:
    number = int.from_bytes(bytes(map(int, gateway.split("."))), sys.byteorder)
    return f"eth0\t{target}\t{number:08X}\t{flags}\t0\t0\t{metric}\t{target}\t0\t0\t0\n"


def test_the_router_is_where_the_default_route_leads():
    table = HEAD + route("10.0.0.1", 600) + route("192.168.1.1", 100) + route("0.0.0.0", 0)
    assert gateway_of(table) == "192.168.1.1"
    assert gateway_of(HEAD + route("10.0.0.1", 1, "0001")) == ""
    assert gateway_of(HEAD + route("10.0.0.1", 1, target="000000FF")) == ""
    assert gateway_of("") == gateway_of(HEAD + "eth0\tzz\n") == ""
