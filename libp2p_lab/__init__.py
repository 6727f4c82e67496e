"""libp2p_lab: libp2p to read, to run, to break and to build.

    import libp2p_lab as lab

    async with lab.Host(listen=["/ip4/127.0.0.1/tcp/0"]) as alice, lab.Host() as bob:
        await bob.connect(alice.addrs[0])
        print(await bob.ping(alice.peer_id))

Start reading with `tour.py`. The chapters follow each other, and each imports only what comes before it:

    wire → identity → transports → negotiation → security → multiplexing → host

Spec pages: https://github.com/libp2p/specs
"""

from importlib import import_module
from typing import TYPE_CHECKING

from libp2p_lab.errors import (
    ConnectionLost,
    DialError,
    HandshakeFailed,
    LabError,
    LimitExceeded,
    LocalError,
    MalformedMessage,
    NegotiationError,
    PeerIdMismatch,
    ProtocolViolation,
    RecordInvalid,
    RemoteError,
    StreamClosed,
    StreamReset,
)
from libp2p_lab.host import (
    QUIC,
    BlockList,
    ConnectionManager,
    Echo,
    Fetch,
    Gater,
    Host,
    Identify,
    PeerInfo,
    Peerstore,
    Perf,
    Ping,
    Service,
    WebRTCDirect,
    WebTransport,
    known_peers,
)
from libp2p_lab.identity import Envelope, KeyPair, Multiaddr, PeerId, PeerRecord, PublicKey
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing import Mplex, Yamux
from libp2p_lab.notebook import close_all, network, run, spawn
from libp2p_lab.security import TLS, Noise, Plaintext, load_swarm_key
from libp2p_lab.trace import Entry, Trace
from libp2p_lab.transports import TCP, Memory, Unix, WebSocket

if TYPE_CHECKING:  # the same names again, for editors and type checkers
    from libp2p_lab import sim, widgets
    from libp2p_lab.content import (
        CID,
        MDNS,
        Bitswap,
        DualDHT,
        KadDHT,
        MemoryBlockStore,
        Registrations,
        Rendezvous,
        SqliteProviderStore,
        add_file,
        fetch_file,
    )
    from libp2p_lab.coursework.session import (
        answer,
        check,
        enrol,
        hint,
        predict,
        prediction,
        progress,
        quiz,
        workbook,
    )
    from libp2p_lab.crawling import Crawler, CrawlStore
    from libp2p_lab.host.peerstore_sqlite import SqlitePeerstore
    from libp2p_lab.nat import AutoNAT, AutoRelay, DCUtR, PortMapping, Relay, RelayClient
    from libp2p_lab.pubsub import (
        FloodSub,
        GossipSub,
        GossipSubParameters,
        ScoreParameters,
        ScoreThresholds,
        SignaturePolicy,
        TopicScoreParameters,
        Verdict,
    )
    from libp2p_lab.recording import Recording, record
    from libp2p_lab.routing import Bootstrap

__version__ = "0.1.0"

__all__ = [
    "CID",
    "MDNS",
    "QUIC",
    "TCP",
    "TLS",
    "AutoNAT",
    "AutoRelay",
    "Bitswap",
    "BlockList",
    "Bootstrap",
    "ConnectionLost",
    "ConnectionManager",
    "CrawlStore",
    "Crawler",
    "DCUtR",
    "DialError",
    "DualDHT",
    "Echo",
    "Entry",
    "Envelope",
    "Fetch",
    "FloodSub",
    "Gater",
    "GossipSub",
    "GossipSubParameters",
    "HandshakeFailed",
    "Host",
    "Identify",
    "KadDHT",
    "KeyPair",
    "LabError",
    "LimitExceeded",
    "Limits",
    "LocalError",
    "MalformedMessage",
    "Memory",
    "MemoryBlockStore",
    "Mplex",
    "Multiaddr",
    "NegotiationError",
    "Noise",
    "PeerId",
    "PeerIdMismatch",
    "PeerInfo",
    "PeerRecord",
    "Peerstore",
    "Perf",
    "Ping",
    "Plaintext",
    "PortMapping",
    "ProtocolViolation",
    "PublicKey",
    "RecordInvalid",
    "Recording",
    "Registrations",
    "Relay",
    "RelayClient",
    "RemoteError",
    "Rendezvous",
    "ScoreParameters",
    "ScoreThresholds",
    "Service",
    "SignaturePolicy",
    "SqlitePeerstore",
    "SqliteProviderStore",
    "StreamClosed",
    "StreamReset",
    "TopicScoreParameters",
    "Trace",
    "Unix",
    "Verdict",
    "WebRTCDirect",
    "WebSocket",
    "WebTransport",
    "Yamux",
    "add_file",
    "answer",
    "check",
    "close_all",
    "enrol",
    "fetch_file",
    "hint",
    "known_peers",
    "load_swarm_key",
    "network",
    "predict",
    "prediction",
    "progress",
    "quiz",
    "record",
    "run",
    "sim",
    "spawn",
    "widgets",
    "workbook",
]

#: What a peer can do without is imported when it is first named, or starting one would take three times as long.
#: This is the one place where names come late.
_LATER = {
    "libp2p_lab.host.peerstore_sqlite": ("SqlitePeerstore",),
    "libp2p_lab.content": (
        "CID",
        "MDNS",
        "Bitswap",
        "DualDHT",
        "KadDHT",
        "MemoryBlockStore",
        "Registrations",
        "Rendezvous",
        "SqliteProviderStore",
        "add_file",
        "fetch_file",
    ),
    "libp2p_lab.crawling": ("Crawler", "CrawlStore"),
    "libp2p_lab.coursework.session": (
        "answer",
        "check",
        "enrol",
        "hint",
        "predict",
        "prediction",
        "progress",
        "quiz",
        "workbook",
    ),
    "libp2p_lab.nat": ("AutoNAT", "AutoRelay", "DCUtR", "PortMapping", "Relay", "RelayClient"),
    "libp2p_lab.pubsub": (
        "FloodSub",
        "GossipSub",
        "GossipSubParameters",
        "ScoreParameters",
        "ScoreThresholds",
        "SignaturePolicy",
        "TopicScoreParameters",
        "Verdict",
    ),
    "libp2p_lab.routing": ("Bootstrap",),
    "libp2p_lab.recording": ("Recording", "record"),
}


def __getattr__(name: str) -> object:
    """Import what `name` stands for, once: the next time it is simply there."""
    if name in ("sim", "widgets"):
        return import_module(f"libp2p_lab.{name}")
    for module, names in _LATER.items():
        if name in names:
            value: object = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'libp2p_lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
