"""E1.5, the reference answer. The prediction that goes with it is 2 ** 10 = 1024."""

import hashlib

import libp2p_lab as lab


def mine(target, bits, make_key):
    """A key whose peer stands near `target` in the DHT."""
    wanted = int.from_bytes(target, "big") >> (256 - bits)
    while True:
        key = make_key()
        peer = lab.PeerId.from_public_key(key.public)
        place = hashlib.sha256(bytes(peer)).digest()
        if int.from_bytes(place, "big") >> (256 - bits) == wanted:
            return key


answer = mine
