"""Chapter 06: who has it, and why should the answer be believed?

Read in this order:

    cid.py          the name of content
    records.py      values: what is believed, and which is better
    ipns.py         a name that stays while what it points to changes
    providers.py    who says that it has what
    providers_sqlite.py      the same in a file
    sweep.py        many keys, region by region
    dht.py          the DHT whole: put, get, provide, find
    dual_dht.py     two of them: the internet's and the house's
    blocks.py       bytes under the name that they hash to
    bitswap_messages.py      what I want, what you wanted
    bitswap_events.py        what happens, for the trace
    exchange.py              who is asked for which block
    bitswap.py               the block exchange on a host
    dag.py                   a file as a tree of blocks
    mdns_records.py          what is called out on one's own cable
    mdns.py                  calling, and listening
    rendezvous_messages.py   a meeting point's messages
    registrations.py         what it remembers
    rendezvous.py            asking one, and being one

    events.py                what discovery tells the trace

Spec pages: kad-dht/README.md, discovery/mdns.md, rendezvous/README.md
"""

from libp2p_lab.content.bitswap import Bitswap
from libp2p_lab.content.blocks import BlockStore, MemoryBlockStore
from libp2p_lab.content.cid import CID, Codec
from libp2p_lab.content.dag import add_file, fetch_file
from libp2p_lab.content.dht import KadDHT
from libp2p_lab.content.dual_dht import DualDHT
from libp2p_lab.content.exchange import BlockNotFound
from libp2p_lab.content.ipns import IpnsRecord, IpnsValidator, ipns_key
from libp2p_lab.content.mdns import MDNS
from libp2p_lab.content.providers import MemoryProviderStore, ProviderRecord, ProviderStore
from libp2p_lab.content.providers_sqlite import SqliteProviderStore
from libp2p_lab.content.records import Namespaces, PublicKeyValidator, Validator, ValueStore
from libp2p_lab.content.registrations import Registrations
from libp2p_lab.content.rendezvous import Rendezvous

__all__ = [
    "CID",
    "MDNS",
    "Bitswap",
    "BlockNotFound",
    "BlockStore",
    "Codec",
    "DualDHT",
    "IpnsRecord",
    "IpnsValidator",
    "KadDHT",
    "MemoryBlockStore",
    "MemoryProviderStore",
    "Namespaces",
    "ProviderRecord",
    "ProviderStore",
    "PublicKeyValidator",
    "Registrations",
    "Rendezvous",
    "SqliteProviderStore",
    "Validator",
    "ValueStore",
    "add_file",
    "fetch_file",
    "ipns_key",
]
