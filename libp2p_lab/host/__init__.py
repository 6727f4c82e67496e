"""A peer is assembled: the parts of chapters 01 to 04 become something that can be dialed.

Read in this order:

    upgrade.py     from a raw stream to a secure one with an agreed muxer
    own_streams.py    the interface of transports that bring their own security and streams
    quic.py quic_session.py quic_connection.py quic_endpoint.py    the one that most of the network uses
    webrtc_direct.py webrtc_ice.py webrtc_dtls.py webrtc_sctp.py webrtc_messages.py webrtc_streams.py
    webrtc_link.py webrtc_connection.py webrtc_endpoint.py    by which browsers reach a peer without a domain
    webtransport.py webtransport_certificates.py webtransport_session.py webtransport_connection.py    QUIC for
                   web pages
    handshake_stream.py    the stream on which those two find out who is there
    swarm.py       all connections of a host
    handlers.py    which function answers which protocol
    host.py        the whole, and what programs use
    identify.py    the first thing that two peers do
    observed_addrs.py    where others see us, and what NAT that tells of
    ping.py echo.py perf.py fetch.py    four small protocols, each in one file
    service.py     what those have in common
    http_peer_id_auth.py    peer ids proven over HTTP
    peerstore.py peerstore_sqlite.py    what a host remembers of others, in memory and in a file
    known_peers.py    peers of the public network that anybody may dial
    connection_manager.py    how many connections are kept, and which
    gater.py       who is refused
    resources.py   how much everybody may have of us, counted
    metrics.py     those counters, for Prometheus
    events.py      what the host tells its trace

Spec pages: connections/README.md, quic/README.md, webrtc/README.md,
webrtc/webrtc-direct.md, webtransport/README.md, identify/README.md, ping/ping.md, perf/perf.md, fetch/README.md
"""

from libp2p_lab.host.connection_manager import ConnectionManager
from libp2p_lab.host.echo import Echo
from libp2p_lab.host.fetch import Fetch
from libp2p_lab.host.gater import BlockList, Gater
from libp2p_lab.host.host import Host, PeerRef
from libp2p_lab.host.identify import Identify, IdentifyInfo
from libp2p_lab.host.known_peers import known_peers
from libp2p_lab.host.peerstore import PeerInfo, Peerstore
from libp2p_lab.host.perf import Perf, PerfResult
from libp2p_lab.host.ping import Ping
from libp2p_lab.host.quic import QUIC
from libp2p_lab.host.service import Service
from libp2p_lab.host.webrtc_direct import WebRTCDirect
from libp2p_lab.host.webtransport import WebTransport

__all__ = [
    "QUIC",
    "BlockList",
    "ConnectionManager",
    "Echo",
    "Fetch",
    "Gater",
    "Host",
    "Identify",
    "IdentifyInfo",
    "PeerInfo",
    "PeerRef",
    "Peerstore",
    "Perf",
    "PerfResult",
    "Ping",
    "Service",
    "WebRTCDirect",
    "WebTransport",
    "known_peers",
]
