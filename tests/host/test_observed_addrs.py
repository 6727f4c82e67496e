"""Observed addresses: believed when several observers agree, advertised then, and what they tell of a NAT."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.host.events import AddrsObserved
from libp2p_lab.host.observed_addrs import ObservedAddrs, observer_of
from libp2p_lab.identity import Multiaddr
from libp2p_lab.limits import Limits
from libp2p_lab.sim import FULL_CONE, SYMMETRIC, Internet
from libp2p_lab.trace import Entry

LOCAL = Multiaddr("/ip4/192.168.1.5/tcp/4001")
QUIC = Multiaddr("/ip4/192.168.1.5/udp/4001/quic-v1")
OUTSIDE = Multiaddr("/ip4/203.0.113.9/tcp/31337")


def remote(n: int) -> Multiaddr:
    return Multiaddr(f"/ip4/198.51.{n // 250}.{n % 250 + 1}/tcp/4001")


def observed(*seen: Multiaddr, listening: tuple[Multiaddr, ...] = (LOCAL,)) -> ObservedAddrs:
    """Each by an observer of its own."""
    book = ObservedAddrs()
    for n, addr in enumerate(seen):
        book.observe(n, LOCAL, remote(n), addr, listening)
    return book


def test_four_observers_are_needed() -> None:
    book = ObservedAddrs()
    told = [book.observe(n, LOCAL, remote(n), OUTSIDE, [LOCAL]) for n in range(4)]
    assert told == [False, False, False, True]
    assert book.confirmed([LOCAL]) == [OUTSIDE]
    assert book.forget(2)
    assert book.confirmed([LOCAL]) == []
    assert not book.forget(2)


def test_one_ip_counts_once_however_many_peers_it_has() -> None:
    book = ObservedAddrs()
    for n in range(20):
        addr = Multiaddr(f"/ip4/198.51.100.1/tcp/{n + 1}")
        assert not book.observe(n, LOCAL, addr, OUTSIDE, [LOCAL])
    assert book.confirmed([LOCAL]) == []
    for n in range(19):  # and as long as one of its connections is left
        book.forget(n)
    for n in range(20, 23):
        book.observe(n, LOCAL, remote(n), OUTSIDE, [LOCAL])
    assert book.confirmed([LOCAL]) == [OUTSIDE]


def test_an_ipv6_household_counts_once() -> None:
    one, other = "/ip6/2001:db8:1:2200::1/tcp/1", "/ip6/2001:db8:1:22ff:9::7/tcp/2"
    assert observer_of(Multiaddr(one)) == observer_of(Multiaddr(other))
    assert observer_of(Multiaddr(one)) != observer_of(Multiaddr("/ip6/2001:db8:1:2300::1/tcp/1"))


def test_a_peer_that_changes_its_mind_counts_for_the_new_one_alone() -> None:
    book = observed(*[OUTSIDE] * 4)
    other = Multiaddr("/ip4/203.0.113.10/tcp/1")
    assert book.observe(0, LOCAL, remote(0), other, [LOCAL])
    assert book.confirmed([LOCAL]) == []
    assert book.observers() == {(LOCAL, OUTSIDE): 3, (LOCAL, other): 1}


@pytest.mark.parametrize(
    "seen",
    [
        "/ip4/127.0.0.1/tcp/4001",
        "/ip6/::1/tcp/4001",
        "/ip4/0.0.0.0/tcp/4001",
        "/ip6/64:ff9b::c000:201/tcp/4001",
        "/ip4/203.0.113.9/udp/4001/quic-v1",
        "/ip6/2001:db8::1/tcp/4001",
        "/ip4/203.0.113.9/tcp/1/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb/p2p-circuit",
        "/dns4/example.org/tcp/4001",
        "/memory/5",
        "/ip4/203.0.113.9",
    ],
)
def test_what_is_no_outside_of_this_connection(seen) -> None:
    book = observed(*[Multiaddr(seen)] * 9)
    assert book.observers() == {}


def test_a_port_at_which_we_do_not_listen_is_of_no_use() -> None:
    book = ObservedAddrs()
    for n in range(9):
        end = Multiaddr(f"/ip4/192.168.1.5/tcp/{50000 + n}")
        book.observe(n, end, remote(n), OUTSIDE, [LOCAL])
    assert book.observers() == {}


def test_a_wildcard_stands_for_each_of_its_addresses() -> None:
    for listening, end in (("0.0.0.0", "192.168.1.5"), ("192.168.1.5", "0.0.0.0")):
        book = ObservedAddrs()
        where = Multiaddr(f"/ip4/{listening}/tcp/4001")
        for n in range(4):
            end_addr = Multiaddr(f"/ip4/{end}/tcp/4001")
            book.observe(n, end_addr, remote(n), OUTSIDE, [where])
        assert book.confirmed([where]) == [OUTSIDE]


def test_what_shares_the_port_is_seen_through_the_same_hole() -> None:
    book = ObservedAddrs()
    webtransport = Multiaddr(f"{QUIC}/webtransport")
    seen = Multiaddr("/ip4/203.0.113.9/udp/31337/quic-v1")
    for n in range(4):
        book.observe(n, QUIC, remote(n), seen, [QUIC, webtransport])
    assert book.confirmed([QUIC, webtransport]) == [seen, Multiaddr(f"{seen}/webtransport")]


def test_where_we_listen_anyway_is_not_told_again_and_three_are_enough() -> None:
    assert observed(*[LOCAL] * 9).confirmed([LOCAL]) == []
    outside = [Multiaddr(f"/ip4/203.0.113.{n}/tcp/1") for n in range(1, 6)]
    book = observed(*[addr for n, addr in enumerate(outside) for _ in range(4 + n)])
    assert book.confirmed([LOCAL]) == outside[:1:-1], "the best observed first"


def test_the_kind_of_nat() -> None:
    assert ObservedAddrs().nat_kind("tcp") == "unknown"
    assert observed(*[OUTSIDE] * 8).nat_kind("tcp") == "unknown"
    assert observed(*[OUTSIDE] * 9).nat_kind("tcp") == "endpoint-independent"
    assert observed(*[OUTSIDE] * 9).nat_kind("udp") == "unknown"
    scattered = [Multiaddr(f"/ip4/203.0.113.9/tcp/{n}") for n in range(1, 10)]
    assert observed(*scattered).nat_kind("tcp") == "endpoint-dependent"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 8),
            st.integers(0, 6),
            st.sampled_from([OUTSIDE, LOCAL, QUIC, Multiaddr("/ip4/127.0.0.1/tcp/1")]),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_the_counts_are_those_of_the_open_connections(steps) -> None:
    """Whatever comes and goes; and whoever looks only when told so misses nothing."""
    book, open_connections = ObservedAddrs(Limits(observed_addr_confirmations=2)), {}
    last: list[Multiaddr] = []
    for number, place, seen, goes in steps:
        if goes:
            told = book.forget(number)
            open_connections.pop(number, None)
        else:
            told = book.observe(number, LOCAL, remote(place), seen, [LOCAL])
            open_connections[number] = (place, seen)
        expected: dict[tuple[Multiaddr, Multiaddr], set[int]] = {}
        for place, seen in open_connections.values():
            if seen in (OUTSIDE, LOCAL):
                expected.setdefault((LOCAL, seen), set()).add(place)
        assert book.observers() == {key: len(places) for key, places in expected.items()}
        now = book.confirmed([LOCAL])
        assert told or now == last
        last = now


# -- a host behind a NAT, in the simulation --------------------------------------------------------


def behind(behaviour, n: int) -> tuple[list[Multiaddr], str, list[AddrsObserved]]:
    """A host behind such a NAT that has met `n` others: where it is observed, its NAT, and what its trace told."""
    entries: list[Entry] = []
    with Internet(seed=5) as net:
        others = net.hosts(n)
        box = net.nat(behaviour=behaviour, ip="60.1.2.3")
        alice = net.host("alice", nat=box)
        alice.trace.listen(entries.append)

        async def scenario() -> None:
            for host in others:
                await alice.connect(host.addrs[0])
                await alice.identify_result(host.peer_id)
                await asyncio.sleep(0.1)
            if n >= 4:
                await asyncio.sleep(5)
                told = await others[0].identify_result(alice.peer_id)
                advertised = {addr.without_peer() for addr in alice.addrs}
                assert set(told.listen_addrs) == advertised, "it was not pushed"
                assert told.record is not None
                assert set(told.record.addrs) == advertised

        net.run(scenario())
        assert set(alice.observed_addrs) <= set(alice.addrs)
        assert all(addr.peer_id == alice.peer_id for addr in alice.observed_addrs)
        told = [entry.what for entry in entries if isinstance(entry.what, AddrsObserved)]
        return alice.observed_addrs, alice.nat_kind("tcp"), told


def test_a_host_behind_a_nat_learns_and_advertises_its_outer_address() -> None:
    [addr], _, [told] = behind(FULL_CONE, 4)
    assert addr.value_of("ip4") == "60.1.2.3"
    assert told.addrs == (str(addr.without_peer()),)


def test_three_are_too_few() -> None:
    assert behind(FULL_CONE, 3) == ([], "unknown", [])


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [(FULL_CONE, "endpoint-independent"), (SYMMETRIC, "endpoint-dependent")],
    ids=["full cone", "symmetric"],
)
def test_the_kind_of_nat_is_found_out(behaviour, kind) -> None:
    addrs, found, _ = behind(behaviour, 10)
    assert found == kind
    assert bool(addrs) == (kind == "endpoint-independent")
