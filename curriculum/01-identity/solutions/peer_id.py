"""E1.3, the reference answer."""

import hashlib

from libp2p_lab.wire.multibase import base58_encode


def peer_id(public_key):
    """The peer id (base58 text) of a public key (its protobuf)."""
    if len(public_key) <= 42:
        multihash = bytes([0x00, len(public_key)]) + public_key
    else:
        multihash = bytes([0x12, 32]) + hashlib.sha256(public_key).digest()
    return base58_encode(multihash)


answer = peer_id
