"""S51: transports whose addresses carry the hash of a certificate dial nobody who shows another one."""

from __future__ import annotations

import pytest

from libp2p_lab import Host, WebRTCDirect
from libp2p_lab.errors import DialError, HandshakeFailed
from libp2p_lab.host import Echo, Identify, Ping
from libp2p_lab.identity import Multiaddr

TRANSPORTS = {"webrtc-direct": (WebRTCDirect, "/ip4/127.0.0.1/udp/0/webrtc-direct")}


def hashes(addr: Multiaddr) -> list[str]:
    return [part.value for part in addr.parts if part.name == "certhash"]


def with_hashes(addr: Multiaddr, found: list[str]) -> str:
    """The address with these hashes in place of its own."""
    before, _, _ = str(addr).partition("/certhash/")
    return before + "".join(f"/certhash/{one}" for one in found) + f"/p2p/{addr.peer_id}"


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_s51_a_certificate_whose_hash_is_not_in_the_address_is_refused(name) -> None:
    """Mallory's certificate is a good one, and so is alice's: only the address tells whose is expected."""
    kind, listen = TRANSPORTS[name]

    def host(*addrs: str) -> Host:
        services = [Identify(), Ping(), Echo()]
        return Host(listen=addrs, transports=[kind()], services=services)

    async with host(listen) as alice, host(listen) as mallory, host() as bob:
        assert not set(hashes(alice.addrs[0])) & set(hashes(mallory.addrs[0]))
        forged = with_hashes(alice.addrs[0], hashes(mallory.addrs[0]))
        with pytest.raises(DialError) as caught:
            await bob.connect(forged)
        [(_, cause)] = caught.value.attempts
        assert isinstance(cause, HandshakeFailed)
        assert "certificate" in str(cause)
        assert not bob.connections
        assert not alice.connections
        # One right hash among several will do: so certificates roll.
        several = [*hashes(mallory.addrs[0]), *hashes(alice.addrs[0])]
        await bob.connect(with_hashes(alice.addrs[0], several))
        assert await bob.ping(alice.peer_id) >= 0
