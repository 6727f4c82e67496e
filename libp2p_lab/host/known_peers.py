"""Peers of the public network that anybody may dial, as data. Nothing here connects to anything.

    for peer in lab.known_peers():
        print(peer.peer_id, *peer.addrs)

They are the bootstrap peers that Kubo and Helia come with. Two of them have addresses that need no look-up of text
records, at the ports that nearly every network lets through: TCP 4001, and WebSocket with TLS on 443. The others are
names: their `dnsaddr` records give TCP, QUIC and WebSocket addresses.
"""

from __future__ import annotations

from libp2p_lab.host.peerstore import PeerInfo

_PEERS = {
    "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ": "/ip4/104.131.131.82/tcp/4001",
    "12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8": "/dns/va1.bootstrap.libp2p.io/tcp/443/tls/ws",
    "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN": "/dnsaddr/bootstrap.libp2p.io",
    "QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb": "/dnsaddr/bootstrap.libp2p.io",
    "QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt": "/dnsaddr/bootstrap.libp2p.io",
}


def known_peers() -> tuple[PeerInfo, ...]:
    """The bootstrap peers of the public network; those first that need no look-up of text records."""
    return tuple(
        PeerInfo(peer_id, [f"{addr}/p2p/{peer_id}"] if "dnsaddr" in addr else [addr])
        for peer_id, addr in _PEERS.items()
    )
