"""The order of the race, back-off, and names that TLS will ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import DialError
from libp2p_lab.host import Host, PeerInfo
from libp2p_lab.identity import KeyPair, Multiaddr, PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.transports.dialing import Backoff, rank
from libp2p_lab.transports.dns import resolve

STRANGER = PeerId.from_public_key(KeyPair.generate().public)


def ranked(*addrs: str) -> list[tuple[str, float]]:
    starts = rank([Multiaddr(addr) for addr in addrs], DEFAULT_LIMITS)
    return [(str(start.addr), round(start.delay, 3)) for start in starts]


def test_quic_before_tcp_and_ip6_before_ip4() -> None:
    assert ranked(
        "/ip4/1.2.3.4/tcp/4001",
        "/ip6/2600::1/tcp/4001",
        "/ip4/1.2.3.4/udp/4001/quic-v1",
        "/ip6/2600::1/udp/4001/quic-v1",
    ) == [
        ("/ip6/2600::1/udp/4001/quic-v1", 0.0),
        ("/ip4/1.2.3.4/udp/4001/quic-v1", 0.25),
        ("/ip6/2600::1/tcp/4001", 0.5),
        ("/ip4/1.2.3.4/tcp/4001", 0.75),
    ]


def test_private_addresses_race_apart_and_with_smaller_steps() -> None:
    assert ranked(
        "/ip4/192.168.1.5/tcp/4001",
        "/ip4/1.2.3.4/tcp/4001",
        "/ip4/192.168.1.5/udp/4001/quic-v1",
        "/ip4/1.2.3.4/udp/4001/quic-v1",
    ) == [
        ("/ip4/192.168.1.5/udp/4001/quic-v1", 0.0),
        ("/ip4/1.2.3.4/udp/4001/quic-v1", 0.0),
        ("/ip4/192.168.1.5/tcp/4001", 0.03),
        ("/ip4/1.2.3.4/tcp/4001", 0.25),
    ]


def test_webtransport_behind_quic_and_webrtc_last() -> None:
    webrtc, web = (
        "/ip4/1.2.3.4/udp/4001/webrtc-direct",
        "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport",
    )
    others = ("/ip4/1.2.3.4/udp/4001/quic-v1", "/ip4/1.2.3.4/tcp/4001")
    assert ranked(webrtc, web, *others) == [
        (others[0], 0.0),
        (web, 0.25),
        (others[1], 0.5),
        (webrtc, 1.5),
    ]
    assert ranked(webrtc, webrtc.replace("1.2.3.4", "1.2.3.5"))[0] == (webrtc, 0.0)


def test_low_ports_first_then_all_others_together() -> None:
    assert ranked(*(f"/ip4/1.2.3.4/tcp/{port}" for port in (50000, 4001, 30000))) == [
        ("/ip4/1.2.3.4/tcp/4001", 0.0),
        ("/ip4/1.2.3.4/tcp/30000", 0.25),
        ("/ip4/1.2.3.4/tcp/50000", 0.25),
    ]


def test_relays_last_unless_there_is_nothing_else() -> None:
    relayed = f"/ip4/1.2.3.4/tcp/4001/p2p/{STRANGER}/p2p-circuit"
    assert ranked(relayed, "/ip4/1.2.3.4/tcp/4001")[-1] == (relayed, 0.5)
    assert ranked(relayed) == [(relayed, 0.0)]


def test_what_has_no_ip_waits_for_nothing() -> None:
    assert ranked("/ip4/127.0.0.1/tcp/1", "/memory/7")[0] == ("/memory/7", 0.0)


ADDRS = st.builds(
    lambda ip, transport: Multiaddr(f"{ip}{transport}"),
    st.sampled_from(["/ip4/1.2.3.4", "/ip4/10.0.0.1", "/ip6/::1", "/ip6/2600::1"]),
    st.builds(
        lambda text, port: text.format(port),
        st.sampled_from(
            [
                "/tcp/{}",
                "/tcp/{}/ws",
                "/udp/{}/quic-v1",
                "/udp/{}/webrtc-direct",
                "/udp/{}",
                "/sctp/{}",
            ]
        ),
        st.integers(1, 65535),
    ),
)


@given(st.lists(ADDRS, unique=True, max_size=40))
def test_every_address_is_ranked_once_and_no_more_than_the_limit(addrs: list[Multiaddr]) -> None:
    starts = rank(addrs, DEFAULT_LIMITS)
    assert len(starts) == min(len(addrs), DEFAULT_LIMITS.max_addresses_dialed)
    assert len({start.addr for start in starts}) == len(starts)
    assert {start.addr for start in starts} <= set(addrs)
    assert [start.delay for start in starts] == sorted(start.delay for start in starts)


# -- back-off ----------------------------------------------------------------------------------------------


def test_backoff_grows_is_bounded_and_ends() -> None:
    limits = Limits(dial_backoff_addresses=3)
    book = Backoff(limits)
    addrs = [Multiaddr(f"/memory/{n}") for n in range(1, 6)]
    assert book.waits(addrs[0], 0.0) == 0
    waits = []
    for _ in range(30):
        book.failed(addrs[0], 100.0)
        waits.append(book.waits(addrs[0], 100.0))
    assert waits[:3] == [5.0, 6.0, 9.0]
    assert waits[-1] == limits.dial_backoff_max
    assert book.waits(addrs[0], 1000.0) == 0
    for addr in addrs[1:]:
        book.failed(addr, 100.0)
    assert book.waits(addrs[0], 100.0) == 0, "more are remembered than the limit says"
    book.worked(addrs[-1])
    assert book.waits(addrs[-1], 100.0) == 0


async def test_known_addresses_that_failed_are_left_alone_but_not_those_that_are_asked_for() -> (
    None
):
    addr = Multiaddr("/memory/4000000000")
    async with Host(services=[]) as host:
        for _ in range(2):
            with pytest.raises(DialError, match="nobody listens"):
                await host.connect(PeerInfo(STRANGER, [addr]))
        with pytest.raises(DialError, match="left alone for"):
            await host.connect(STRANGER)


# -- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ("/tcp/443/wss", "/tcp/443/tls/sni/localhost/ws"),
        ("/tcp/443/tls/ws", "/tcp/443/tls/sni/localhost/ws"),
        ("/tcp/443/tls/sni/other.example/ws", "/tcp/443/tls/sni/other.example/ws"),
        ("/tcp/80/ws", "/tcp/80/ws"),
        ("/tcp/4001", "/tcp/4001"),
    ],
)
async def test_a_name_stays_where_tls_will_ask_for_it(behind: str, expected: str) -> None:
    found = await resolve(Multiaddr(f"/dns4/localhost{behind}"))
    assert Multiaddr(f"/ip4/127.0.0.1{expected}") in found
