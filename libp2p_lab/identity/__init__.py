"""Who is a peer, and where can it be reached?

A peer is whoever holds a private key. Its name is made from the public key, so it needs nobody's
permission to exist, and nobody can pretend to be it. Where it can be reached is said by addresses
that carry their own grammar, and it can sign a list of them.

Read in this order:

1. `key_formats`: how the four kinds of key look on the wire, and why there is one form only;
2. `keys`: making, keeping, signing, verifying;
3. `peer_id`: the name, and its two ways of being written;
4. `multiaddr_protocols`, `multiaddr`: addresses, first the table and then what is done with it;
5. `envelope`: signed records that strangers may pass on.

Specs: peer-ids/peer-ids.md, addressing/README.md, RFC/0002-signed-envelopes.md,
RFC/0003-routing-records.md

Left out: keys with a password (other tools read the PEM form), ECDSA over other curves than P-256
(no implementation makes such keys), resolving names in addresses (the transports' chapter), and
remembering records (the host's peerstore).
"""

from libp2p_lab.identity.envelope import Envelope, PeerRecord
from libp2p_lab.identity.keys import KeyPair, KeyType, PublicKey
from libp2p_lab.identity.multiaddr import Multiaddr, Part
from libp2p_lab.identity.peer_id import PeerId

__all__ = [
    "Envelope",
    "KeyPair",
    "KeyType",
    "Multiaddr",
    "Part",
    "PeerId",
    "PeerRecord",
    "PublicKey",
]
