"""The chapters: one list that the tests, the documentation and the widgets read.

Each chapter is one or more packages of `libp2p_lab`, one folder of `curriculum/`, one notebook and
the pages of the libp2p specs that it teaches. A chapter may be in this list before it is written.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter of the course."""

    number: int  # 0 to 9: the order of reading, and of imports
    name: str  # one word: "identity"
    title: str
    question: str  # the question that the chapter answers
    packages: tuple[str, ...] = ()  # below libp2p_lab, in the order of their imports
    cores: tuple[str, ...] = ()  # modules below libp2p_lab that do no I/O: bytes in, events out
    specs: tuple[str, ...] = ()  # paths in the repository libp2p/specs

    @property
    def code(self) -> str:
        """The number in two digits, with which the ids of its checks begin."""
        return f"{self.number:02d}"

    @property
    def folder(self) -> str:
        """The chapter's folder below `curriculum/`, as in `01-identity`."""
        return f"{self.number:02d}-{self.name}"

    @property
    def notebook(self) -> str:
        """The chapter's file below `notebooks/`, as in `01_identity.ipynb`."""
        return f"{self.number:02d}_{self.name}.ipynb"


@dataclass(frozen=True, slots=True)
class LabNotebook:
    """A notebook beside the numbered chapters: it can be run at any point of the course."""

    code: str  # what the ids of its checks begin with, as a chapter's begin with its number: "net"
    name: str  # words with hyphens: "virtual-internet"
    title: str

    @property
    def folder(self) -> str:
        """Its folder below `curriculum/`, as in `lab-virtual-internet`."""
        return f"lab-{self.name}"

    @property
    def notebook(self) -> str:
        """Its file below `notebooks/`, as in `lab_virtual_internet.ipynb`."""
        return f"{self.folder.replace('-', '_')}.ipynb"


LABS: tuple[LabNotebook, ...] = (
    LabNotebook(
        "net", "virtual-internet", "The virtual internet: build it, break it, find out why"
    ),
)

CHAPTERS: tuple[Chapter, ...] = (
    Chapter(
        number=0,
        name="intro",
        title="Two peers in one kernel",
        question="What is a peer, and what does peer-to-peer buy and cost?",
        packages=("wire",),
        cores=("wire.varint", "wire.multibase", "wire.multihash", "wire.protobuf"),
        specs=("README.md", "ROADMAP.md"),
    ),
    Chapter(
        number=1,
        name="identity",
        title="Identity: keys, peer ids, addresses",
        question="Who is it, and where can it be reached?",
        packages=("identity",),
        cores=("identity.peer_id", "identity.multiaddr", "identity.envelope"),
        specs=(
            "peer-ids/peer-ids.md",
            "addressing/README.md",
            "RFC/0001-text-peerid-cid.md",
            "RFC/0002-signed-envelopes.md",
            "RFC/0003-routing-records.md",
        ),
    ),
    Chapter(
        number=2,
        name="transports",
        title="Transports: listening, dialling, negotiating",
        question="How do bytes get from one machine to another, and which protocol do they speak?",
        packages=("transports", "negotiation"),
        cores=("transports.public", "negotiation.multistream"),
        specs=("connections/README.md", "websockets/README.md", "quic/README.md"),
    ),
    Chapter(
        number=3,
        name="security",
        title="Security: Noise and TLS",
        question="How do two strangers prove their names and keep a secret?",
        packages=("security",),
        cores=(
            "security.noise_xx",
            "security.tls_certificate",
            "security.tls_records",
            "security.tls_session",
        ),
        specs=(
            "noise/README.md",
            "tls/tls.md",
            "plaintext/README.md",
            "pnet/Private-Networks-PSK-V1.md",
            "connections/inlined-muxer-negotiation.md",
        ),
    ),
    Chapter(
        number=4,
        name="multiplexing",
        title="Multiplexing: streams and flow control",
        question="How do many conversations share one connection without starving each other?",
        packages=("multiplexing", "host"),
        cores=(
            "multiplexing.yamux_frames",
            "multiplexing.yamux",
            "multiplexing.mplex_frames",
            "multiplexing.mplex",
            "host.resources",
        ),
        specs=(
            "yamux/README.md",
            "mplex/README.md",
            "identify/README.md",
            "ping/ping.md",
            "perf/perf.md",
            "fetch/README.md",
        ),
    ),
    Chapter(
        number=5,
        name="routing",
        title="Routing: Kademlia and its table",
        question="How is one peer found among thousands when nobody knows them all?",
        packages=("routing",),
        cores=(
            "routing.distance",
            "routing.routing_table",
            "routing.lookup",
            "routing.kad_messages",
            "crawling.table_walk",
            "crawling.frontier",
            "crawling.findings",
        ),
        specs=("kad-dht/README.md",),
    ),
    Chapter(
        number=6,
        name="content",
        title="Content: records, providers, neighbours",
        question="Who has it, and why should the answer be believed?",
        packages=("content",),
        cores=(
            "content.cid",
            "content.records",
            "content.providers",
            "content.sweep",
            "content.blocks",
            "content.bitswap_messages",
            "content.exchange",
            "content.mdns_records",
        ),
        specs=("kad-dht/README.md", "rendezvous/README.md", "discovery/mdns.md"),
    ),
    Chapter(
        number=7,
        name="pubsub",
        title="PubSub: flood, gossip, scores",
        question="How does one message reach everybody who asked for it, and nobody twice?",
        packages=("pubsub",),
        cores=(
            "pubsub.pubsub_messages",
            "pubsub.signing",
            "pubsub.floodsub",
            "pubsub.mesh",
            "pubsub.gossip",
            "pubsub.score",
            "pubsub.gossipsub",
        ),
        specs=(
            "pubsub/README.md",
            "pubsub/gossipsub/gossipsub-v1.0.md",
            "pubsub/gossipsub/gossipsub-v1.1.md",
            "pubsub/gossipsub/gossipsub-v1.2.md",
            "pubsub/gossipsub/gossipsub-v1.3.md",
        ),
    ),
    Chapter(
        number=8,
        name="nat",
        title="NAT: reachability, relays, hole punching",
        question="How do two peers meet when neither can be called?",
        packages=("nat",),
        cores=(
            "nat.reachability",
            "nat.autonat_messages",
            "nat.relay_messages",
            "nat.relay_book",
            "nat.dcutr_messages",
            "nat.coordination",
            "nat.nat_pmp_messages",
            "nat.pcp_messages",
            "nat.port_exchange",
            "nat.port_leases",
        ),
        specs=(
            "connections/hole-punching.md",
            "autonat/autonat-v1.md",
            "autonat/autonat-v2.md",
            "relay/circuit-v2.md",
            "relay/DCUtR.md",
        ),
    ),
    Chapter(
        number=9,
        name="capstone",
        title="Your own stack on the network",
        question="What does it take for all of it to work at once, with strangers?",
    ),
)


def find(code: str) -> Chapter | LabNotebook:
    """The chapter or lab to which the code belongs: "01", "net".

    Raises: `KeyError` if there is none.
    """
    found: dict[str, Chapter | LabNotebook] = {one.code: one for one in CHAPTERS}
    found.update((one.code, one) for one in LABS)
    return found[code]
