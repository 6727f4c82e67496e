"""What relays say, and the book in which they write down who has what."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab import Envelope, KeyPair, Limits, Multiaddr, PeerId
from libp2p_lab.errors import MalformedMessage, RecordInvalid
from libp2p_lab.nat import dcutr_messages as dcutr
from libp2p_lab.nat.pb import holepunch_pb2, relay_pb2
from libp2p_lab.nat.relay_book import Circuit, Place, Refused, RelayBook
from libp2p_lab.nat.relay_messages import (
    MAX_ADDRS,
    VOUCHER_DOMAIN,
    VOUCHER_TYPE,
    HopConnect,
    HopReserve,
    HopStatus,
    Limit,
    Reservation,
    Status,
    StopConnect,
    StopStatus,
    Voucher,
    decode_hop,
    decode_stop,
)

ADDR = Multiaddr("/ip4/1.2.3.4/tcp/5")


def peer(number: int) -> PeerId:
    return PeerId(b"\x12\x20" + number.to_bytes(32, "big"))


def addr(number: int) -> Multiaddr:
    return Multiaddr(f"/ip4/9.9.{number // 256}.{number % 256}/tcp/4001")


# -- messages ---------------------------------------------------------------------------------------------------

peers = st.integers(0, 2**64).map(peer)
addrs = st.lists(st.integers(0, 65535).map(addr), max_size=5).map(tuple)
limits = st.builds(Limit, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
places = st.builds(Reservation, st.integers(0, 2**64 - 1), addrs, st.binary(max_size=50))
statuses = st.sampled_from(Status)
hops = st.one_of(
    st.just(HopReserve()),
    st.builds(HopConnect, peers),
    st.builds(HopStatus, statuses, st.none() | places, st.none() | limits),
)
stops = st.one_of(
    st.builds(StopConnect, peers, st.none() | limits), st.builds(StopStatus, statuses)
)
punches = st.one_of(st.builds(dcutr.Connect, addrs), st.just(dcutr.Sync()))


@given(hops)
def test_hop_round_trip(message):
    assert decode_hop(message.encode()) == message


@given(stops)
def test_stop_round_trip(message):
    assert decode_stop(message.encode()) == message


@given(punches)
def test_dcutr_round_trip(message):
    assert dcutr.decode(message.encode()) == message


@given(st.binary(max_size=200))
def test_garbage_is_malformed_or_a_message(data):
    for decode in (decode_hop, decode_stop, dcutr.decode, Voucher.open):
        with contextlib.suppress(MalformedMessage, RecordInvalid):
            decode(data)


def test_the_bytes_of_the_spec():
    """By hand, field by field, from the protobuf of circuit-v2.md and DCUtR.md."""
    assert HopReserve().encode().hex() == "0800"
    assert HopConnect(peer(7)).encode().hex() == "080112240a22" + peer(7).multihash.hex()
    status = HopStatus(Status.OK, Reservation(5, (ADDR,), b"v"), Limit(120, 1 << 17))
    assert status.encode().hex() == (
        "0802" + "1a0f" + "0805" + "1208" + ADDR.to_bytes().hex() + "1a0176"
        "2206" + "0878" + "10808008" + "2864"
    )
    assert StopConnect(peer(7)).encode().hex() == "080012240a22" + peer(7).multihash.hex()
    assert StopStatus(Status.CONNECTION_FAILED).encode().hex() == "080120cb01"
    assert dcutr.Connect((ADDR,)).encode().hex() == "08641208" + ADDR.to_bytes().hex()
    assert dcutr.Sync().encode().hex() == "08ac02"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        relay_pb2.HopMessage(type=1).SerializeToString(),
        relay_pb2.HopMessage(type=1, peer=relay_pb2.RelayPeer(id=b"x")).SerializeToString(),
        relay_pb2.HopMessage(type=9).SerializeToString(),
    ],
)
def test_what_lacks_something_is_malformed(message):
    for decode in (decode_hop, decode_stop):
        with pytest.raises(MalformedMessage):
            decode(message.replace(b"\x08\x01", b"\x08\x00") if decode is decode_stop else message)


def test_unknown_status_is_no_yes_and_unknown_addresses_are_left_out():
    raw = relay_pb2.HopMessage(type=2, status=999).SerializeToString()
    assert decode_hop(raw) == HopStatus(Status.CONNECTION_FAILED)
    encoded = [ADDR.to_bytes(), b"\xff\xff\xff", b""] + [ADDR.to_bytes()] * 1000
    punch = holepunch_pb2.HolePunch(type=100, ObsAddrs=encoded).SerializeToString()
    assert dcutr.decode(punch) == dcutr.Connect((ADDR,) * (MAX_ADDRS - 2))
    with pytest.raises(MalformedMessage, match="unknown type"):
        dcutr.decode(b"")


def test_vouchers():
    relay, other = KeyPair.generate(), KeyPair.generate()
    own = PeerId.from_public_key(relay.public)
    voucher = Voucher(own, peer(1), 2_000_000_000)
    sealed = voucher.seal(relay)
    assert Voucher.open(sealed) == voucher
    assert Envelope.decode(sealed).verify("libp2p-relay-rsvp") == own
    with pytest.raises(RecordInvalid, match="signed a voucher"):
        Voucher.open(voucher.seal(other))
    changed = bytearray(sealed)
    changed[-1] ^= 1
    with pytest.raises(RecordInvalid, match="signature"):
        Voucher.open(bytes(changed))
    payload = Envelope.decode(sealed).payload
    for domain, kind in (("libp2p-peer-record", VOUCHER_TYPE), (VOUCHER_DOMAIN, b"\x03\x01")):
        with pytest.raises(RecordInvalid):
            Voucher.open(Envelope.seal(relay, domain, kind, payload).encode())
    empty = Envelope.seal(relay, VOUCHER_DOMAIN, VOUCHER_TYPE, b"").encode()
    with pytest.raises(MalformedMessage, match="without"):
        Voucher.open(empty)


# -- the book ---------------------------------------------------------------------------------------------------

RELAY = peer(0)
SMALL = Limits(
    relay_reservations=4,
    relay_reservations_per_ip=2,
    relay_reservations_per_network=3,
    relay_circuits_per_peer=2,
    relay_reservation_ttl=100.0,
)


def book(**options) -> RelayBook:
    return RelayBook(RELAY, SMALL, **options)


def refusal(answer) -> Status:
    assert isinstance(answer, Refused)
    return answer.status


def test_places_are_counted_in_all_and_by_ip():
    it = book()
    assert it.reserve(peer(1), addr(1), 0) == Place(100, "9.9.0.1", None)
    assert isinstance(it.reserve(peer(2), addr(1), 0), Place)
    assert refusal(it.reserve(peer(3), addr(1), 0)) is Status.RESERVATION_REFUSED
    assert isinstance(it.reserve(peer(2), addr(1), 1), Place), "a renewal takes no second place"
    for number in (3, 4):
        assert isinstance(it.reserve(peer(number), addr(number), 0), Place)
    assert refusal(it.reserve(peer(5), addr(5), 0)) is Status.RESERVATION_REFUSED
    assert isinstance(it.reserve(peer(5), addr(5), 100.5), Place), "the first has expired"
    assert peer(1) not in it.places


def test_an_ipv6_household_counts_as_one():
    it = book()
    for number in (1, 2):
        it.reserve(peer(number), Multiaddr(f"/ip6/2a00:11:0:{number}::1/tcp/1"), 0)
    third = it.reserve(peer(3), Multiaddr("/ip6/2a00:11:0:9::1/tcp/1"), 0)
    assert refusal(third) is Status.RESERVATION_REFUSED


def test_places_are_counted_by_network_where_somebody_knows_it():
    it = book(network_of=lambda ip: 64500 if ip.startswith("9.9.") else None)
    for number in range(1, 4):
        it.reserve(peer(number), addr(number), 0)
    assert refusal(it.reserve(peer(4), addr(4), 0)) is Status.RESERVATION_REFUSED
    assert isinstance(it.reserve(peer(4), Multiaddr("/ip4/8.8.8.8/tcp/1"), 0), Place)


def test_who_moves_to_where_there_is_no_room_keeps_what_it_has():
    it = book()
    for number, where in ((1, 1), (2, 1), (3, 3)):
        it.reserve(peer(number), addr(where), 0)
    assert refusal(it.reserve(peer(3), addr(1), 10)) is Status.RESERVATION_REFUSED
    assert it.places[peer(3)] == Place(100, "9.9.0.3", None)


def test_circuits_need_a_place_and_are_counted_at_both_ends():
    it = book()
    assert refusal(it.connect(peer(9), addr(9), peer(1), 0)) is Status.NO_RESERVATION
    it.reserve(peer(1), addr(1), 0)
    first = it.connect(peer(9), addr(9), peer(1), 1)
    second = it.connect(peer(8), addr(8), peer(1), 1)
    assert isinstance(first, Circuit)
    assert isinstance(second, Circuit)
    third = it.connect(peer(7), addr(7), peer(1), 1)
    assert refusal(third) is Status.RESOURCE_LIMIT_EXCEEDED
    it.end(first)
    it.end(first)  # twice is once
    assert isinstance(it.connect(peer(7), addr(7), peer(1), 1), Circuit)
    assert refusal(it.connect(peer(7), addr(7), peer(1), 100)) is Status.NO_RESERVATION
    assert it.leave(peer(1)) is False, "it expired before it left"


def test_what_is_never_granted():
    it = book()
    relayed = addr(1).with_peer(peer(5)) / "/p2p-circuit"
    it.reserve(peer(1), addr(1), 0)
    for answer in (
        it.reserve(peer(2), relayed, 0),
        it.connect(peer(2), relayed, peer(1), 0),
        it.connect(peer(1), addr(1), peer(1), 0),
        it.connect(peer(2), addr(2), RELAY, 0),
        book(allow=lambda who, whom: whom is not None).reserve(peer(2), addr(2), 0),
    ):
        assert refusal(answer) is Status.PERMISSION_DENIED


def test_a_circuit_takes_its_bytes_each_way_and_no_more():
    circuit = Circuit(1, peer(1), peer(2), Limit(0, 10))
    assert [circuit.take("there", 6), circuit.take("there", 6), circuit.take("there", 6)] == [
        6,
        4,
        0,
    ]
    assert circuit.take("back", 10) == 10
    assert Circuit(1, peer(1), peer(2), Limit(5, 0)).take("back", 1 << 40) == 1 << 40


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reserve", "connect", "end", "leave", "wait"]),
            st.integers(1, 7),
            st.integers(1, 4),
        ),
        max_size=80,
    )
)
def test_whatever_happens_the_limits_hold_and_the_books_balance(steps):
    it = book(network_of=lambda ip: int(ip.rpartition(".")[2]) % 2)
    now = 0.0
    open_circuits: list[Circuit] = []
    for what, who, whom in steps:
        match what:
            case "reserve":
                it.reserve(peer(who), addr(whom), now)
            case "connect":
                made = it.connect(peer(who), addr(who), peer(whom), now)
                if isinstance(made, Circuit):
                    open_circuits.append(made)
            case "end":
                if open_circuits:
                    it.end(open_circuits.pop(who % len(open_circuits)))
            case "leave":
                it.leave(peer(who))
            case "wait":
                now += who * 10
        held = list(it.places.values())
        assert len(held) <= 4
        for household in {one.household for one in held}:
            assert sum(one.household == household for one in held) <= 2
        for network in (0, 1):
            assert sum(one.network == network for one in held) <= 3
        assert [*it.circuits.values()] == sorted(open_circuits, key=lambda c: c.number)
        for number in range(1, 8):
            ends = [c for c in open_circuits if peer(number) in (c.source, c.target)]
            assert len(ends) <= 2
    it.expire(now + 1000)
    for circuit in open_circuits:
        it.end(circuit)
    assert not it.places
    assert not it.circuits
    assert not it._households
    assert not it._networks
    assert not it._busy
