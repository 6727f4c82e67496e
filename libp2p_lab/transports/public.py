"""Which addresses can anybody on the internet dial? One answer, for all who ask.

Not public: home networks (10.0.0.0/8, 192.168.0.0/16, fc00::/7 …), a provider's own (100.64.0.0/10), loopback,
link-local, documentation, multicast. An IPv6 address that carries an IPv4 one (6to4, NAT64) is as public as that.

Spec: addressing/README.md
"""

from __future__ import annotations

import ipaddress

from libp2p_lab.identity.multiaddr import Multiaddr

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last four bytes


def is_public_ip(ip: str) -> bool:
    """Whether the world reaches this IP address; False for what is none."""
    try:
        found = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.sixtofour is not None:
            found = found.sixtofour
        elif found in NAT64:
            found = ipaddress.IPv4Address(found.packed[-4:])
    return found.is_global and not found.is_multicast


def is_public(addr: Multiaddr) -> bool:
    """Whether anybody can dial this: an IP address of the public network, or a name."""
    ip = addr.value_of("ip4") or addr.value_of("ip6")
    if ip is None:
        return any(name.startswith("dns") for name in addr.names)
    return is_public_ip(ip)
