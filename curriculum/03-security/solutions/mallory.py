"""E3.5, the reference answer."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import libp2p_lab as lab
from libp2p_lab.coursework.scratch_peers import certificate_around
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload
from libp2p_lab.security.noise_xx import NoiseHandshake
from libp2p_lab.security.tls_certificate import SignedKey


def dial_as(victim, public_key, sign):
    """Shake hands with bob, naming `public_key`; `sign` makes the signature from our static key."""
    static, ephemeral = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    hers = NoiseHandshake(is_initiator=True, static=static, ephemeral=ephemeral)
    hers.read_message(victim.receive(hers.write_message().encode()))
    signature = sign(static.public_key().public_bytes_raw())
    payload = HandshakePayload(public_key.to_protobuf(), signature).encode()
    victim.receive(hers.write_message(payload).encode())


def no_signature(victim, alice):
    dial_as(victim, alice.public, lambda static: b"believe me")


def no_prefix(victim, alice):
    dial_as(victim, alice.public, alice.log_in)


def wrong_peer(victim, alice):
    me = lab.KeyPair.generate()
    static, ephemeral = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    hers = NoiseHandshake(is_initiator=False, static=static, ephemeral=ephemeral)
    hers.read_message(victim.hello())
    signature = me.sign(SIGNATURE_PREFIX + static.public_key().public_bytes_raw())
    payload = HandshakePayload(me.public.to_protobuf(), signature).encode()
    victim.receive(hers.write_message(payload).encode())


def nonce_reset(victim, alice):
    victim.deliver(victim.wire[0])
    victim.deliver(victim.wire[0])


def certificate(victim, alice):
    own = certificate_around(SignedKey(alice.public.to_protobuf(), b"believe me").encode())
    victim.show(own.der, own.private_key.sign(victim.challenge, ec.ECDSA(hashes.SHA256())))


attacks = {
    "no_signature": no_signature,
    "no_prefix": no_prefix,
    "wrong_peer": wrong_peer,
    "nonce_reset": nonce_reset,
    "certificate": certificate,
}
refusals = {
    "no_signature": "HandshakeFailed",
    "no_prefix": "HandshakeFailed",
    "wrong_peer": "PeerIdMismatch",
    "nonce_reset": "ProtocolViolation",
    "certificate": "HandshakeFailed",
}
answer = (attacks, refusals)
