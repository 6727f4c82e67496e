"""Answers to E3.5."""

from __future__ import annotations

import contextlib
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import libp2p_lab as lab
from libp2p_lab.coursework.scratch_peers import certificate_around
from libp2p_lab.security.noise import HandshakePayload
from libp2p_lab.security.noise_xx import NoiseHandshake
from libp2p_lab.security.tls_certificate import SignedKey
from tests.mutants import Mutant

PREFIX = b"noise-libp2p-static-key:"


class Impostor:
    """One side of a handshake with bob, in mallory's hands."""

    def __init__(self, is_initiator):
        self.static = X25519PrivateKey.generate()
        self.noise = NoiseHandshake(
            is_initiator=is_initiator, static=self.static, ephemeral=X25519PrivateKey.generate()
        )

    def dial(self, victim, key, signature):
        self.noise.read_message(victim.receive(self.noise.write_message(b"").encode()))
        payload = HandshakePayload(key.to_protobuf(), signature)
        victim.receive(self.noise.write_message(payload.encode()).encode())

    @property
    def public(self):
        return self.static.public_key().public_bytes_raw()


def no_signature(victim, alice):
    me = Impostor(True)
    me.dial(victim, alice.public, lab.KeyPair.generate().sign(PREFIX + me.public))


def no_prefix(victim, alice):
    me = Impostor(True)
    me.dial(victim, alice.public, alice.log_in(me.public))


def wrong_peer(victim, alice):
    me, mallory = Impostor(False), lab.KeyPair.generate("secp256k1")
    me.noise.read_message(victim.hello())
    payload = HandshakePayload(mallory.public.to_protobuf(), mallory.sign(PREFIX + me.public))
    with contextlib.suppress(lab.PeerIdMismatch):  # the sound one
        victim.receive(me.noise.write_message(payload.encode()).encode())


def nonce_reset(victim, alice):
    for _ in range(5):
        victim.deliver(victim.wire[0])


def certificate(victim, alice):
    """With alice's own signature, which fits her certificate and not this one."""
    from cryptography import x509

    hers = x509.load_der_x509_certificate(alice.certificate)
    own = certificate_around(hers.extensions[0].value.value)
    victim.show(own.der, own.private_key.sign(victim.challenge, ec.ECDSA(hashes.SHA256())))


ATTACKS = {
    "certificate": certificate,
    "nonce_reset": nonce_reset,
    "wrong_peer": wrong_peer,
    "no_prefix": no_prefix,
    "no_signature": no_signature,
}
REFUSALS = {
    "no_signature": "HandshakeFailed",
    "no_prefix": "HandshakeFailed",
    "wrong_peer": "PeerIdMismatch",
    "nonce_reset": "ProtocolViolation",
    "certificate": "HandshakeFailed",
}


def only(**attacks: Any) -> Any:
    return attacks, {}


def as_herself(victim, alice):
    me, mallory = Impostor(True), lab.KeyPair.generate()
    me.dial(victim, mallory.public, mallory.sign(PREFIX + me.public))


def signs_herself(victim, alice):
    me = Impostor(True)
    me.dial(victim, alice.public, lab.KeyPair.generate().sign(me.public))


def as_alice(victim, alice):
    me = Impostor(False)
    me.noise.read_message(victim.hello())
    payload = HandshakePayload(alice.public.to_protobuf(), b"x" * 64)
    victim.receive(me.noise.write_message(payload.encode()).encode())


def delivers_once(victim, alice):
    victim.deliver(victim.wire[0])


def shows_hers(victim, alice):
    """Alice's genuine certificate, whose key mallory does not hold."""
    own = certificate_around(SignedKey(b"", b"").encode())
    victim.show(
        alice.certificate, own.private_key.sign(victim.challenge, ec.ECDSA(hashes.SHA256()))
    )


def reaches_in(victim, alice):
    victim.believes = lab.PeerId.from_public_key(alice.public)


ANOTHER = (ATTACKS, REFUSALS)
MUTANTS = (
    Mutant(only(), "nothing"),
    Mutant(only(no_signature=as_herself), "no_signature", "bob takes you for"),
    Mutant(only(no_prefix=no_signature), "no_prefix", "does not fit"),
    Mutant(only(no_prefix=signs_herself), "no_prefix"),
    Mutant(only(wrong_peer=as_alice), "wrong_peer"),
    Mutant(only(nonce_reset=delivers_once), "nonce_reset", "1 time"),
    Mutant(only(certificate=shows_hers), "certificate", "does not hold its key"),
    Mutant(only(certificate=reaches_in), "reaches-in", "sound bob"),
    Mutant((ATTACKS, {**REFUSALS, "wrong_peer": "HandshakeFailed"}), "claim", "wrong_peer"),
    Mutant(ATTACKS, "wrong-type"),
    Mutant(only(no_signatures=no_signature), "wrong-type", "no_signatures"),
)
