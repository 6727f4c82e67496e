"""Which addresses anybody can dial."""

from __future__ import annotations

import pytest

from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.transports.public import is_public, is_public_ip


@pytest.mark.parametrize(
    ("addr", "right"),
    [
        ("/ip4/8.8.8.8/tcp/1", True),
        ("/ip6/2a00:1450::1/udp/1/quic-v1", True),
        ("/dns4/a.example/tcp/1", True),
        ("/dnsaddr/a.example", True),
        ("/memory/1", False),
        ("/ip4/10.0.0.1/tcp/1", False),
        ("/ip4/192.168.1.1/tcp/1", False),
        ("/ip4/100.64.0.1/tcp/1", False),
        ("/ip4/127.0.0.1/tcp/1", False),
        ("/ip4/169.254.0.1/tcp/1", False),
        ("/ip4/224.0.0.251/udp/1", False),
        ("/ip4/203.0.113.1/tcp/1", False),
        ("/ip6/::1/tcp/1", False),
        ("/ip6/fe80::1/tcp/1", False),
        ("/ip6/fc00::1/tcp/1", False),
        ("/ip6/ff02::fb/udp/1", False),
        ("/ip6/2002:808:808::1/tcp/1", True),  # 6to4 of 8.8.8.8
        ("/ip6/2002:a00:1::1/tcp/1", False),  # 6to4 of 10.0.0.1
        ("/ip6/64:ff9b::808:808/tcp/1", True),  # NAT64 of 8.8.8.8
        ("/ip6/64:ff9b::a00:1/tcp/1", False),  # NAT64 of 10.0.0.1
    ],
)
def test_who_can_dial_this(addr: str, right: bool) -> None:
    assert is_public(Multiaddr(addr)) is right


@pytest.mark.parametrize("text", ["", "1.2.3", "a.example", "::zz", "8.8.8.8 "])
def test_what_is_no_ip_address_is_not_public(text: str) -> None:
    assert not is_public_ip(text)
