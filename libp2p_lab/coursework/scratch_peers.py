"""Bob five times, each time with one line of his security missing; and bob as he should be.

    victim, alice = scene("no_signature")                  # bob with a flaw
    victim, alice = scene("no_signature", is_sound=True)   # bob without it

Nobody listens on a network here: mallory hands bob messages and gets his answers. Each flaw is one that real programs
have had. What the sound bob runs is the library's own code.

    no_signature   bob does not check the signature in the payload
    no_prefix      bob checks a signature over the static key alone, without the text before it
    wrong_peer     bob dials alice, and does not compare who answered
    nonce_reset    bob's cipher begins at nonce 0 again with every message
    certificate    bob reads the identity key in a TLS certificate, and does not check the signature beside it
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.errors import (
    HandshakeFailed,
    LabError,
    LocalError,
    PeerIdMismatch,
    ProtocolViolation,
)
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.noise import (
    SIGNATURE_PREFIX,
    HandshakePayload,
    NoiseChannel,
)
from libp2p_lab.security.noise_xx import CipherState, NoiseHandshake
from libp2p_lab.security.tls_certificate import (
    EXTENSION,
    OwnCertificate,
    SignedKey,
    make_certificate,
    verify_certificate,
)

FLAWS = ("no_signature", "no_prefix", "wrong_peer", "nonce_reset", "certificate")

#: What mallory has seen on the wire, encrypted: she knows what it says, for she is the one it pays.
ORDER = b"alice pays mallory 5 apples"


class Alice:
    """What mallory knows of alice, and what alice does for anybody who asks.

    Attributes:
        public: her identity key, which everybody may know.
        certificate: the TLS certificate that she shows to everybody, in DER.
    """

    def __init__(self, key: KeyPair) -> None:
        self.public = key.public
        self.certificate = make_certificate(key, time.time()).der
        self._key = key

    def log_in(self, challenge: bytes) -> bytes:
        """Alice logs in at a guest book: she signs the 32 bytes that it gives her, just these.

        Raises: `LocalError` for another length.
        """
        if len(challenge) != 32:
            raise LocalError("a challenge of the guest book has 32 bytes")
        return self._key.sign(challenge)


class Listener:
    """Bob is dialled: Noise's responder, with or without a flaw.

    Attributes:
        believes: the peer that bob takes the other side for, once he is convinced.
        refusal: the error by which he refused, or None.
    """

    def __init__(self, key: KeyPair, handshake: NoiseHandshake, flaw: str = "") -> None:
        self.believes: PeerId | None = None
        self.refusal: LabError | None = None
        self._key = key
        self._handshake = handshake
        self._flaw = flaw

    def receive(self, message: bytes) -> bytes:
        """Take message 0 or 2, without its length; gives message 1, then nothing.

        Raises: `HandshakeFailed` if he does not believe it.
        """
        try:
            return self._receive(message)
        except LabError as error:
            self.refusal = error
            raise

    def _receive(self, message: bytes) -> bytes:
        told = self._handshake.read_message(message)
        if not self._handshake.is_finished:
            return self._handshake.write_message(_payload(self._key, self._handshake)).encode()
        payload = HandshakePayload.decode(told.plaintext)
        self.believes = PeerId.from_public_key(self._vouched(payload, told.static_key))
        return b""

    def _vouched(self, payload: HandshakePayload, static_key: bytes) -> PublicKey:
        match self._flaw:
            case "no_signature":
                return PublicKey.from_protobuf(payload.identity_key)
            case "no_prefix":
                identity = PublicKey.from_protobuf(payload.identity_key)
                if not identity.verify(static_key, payload.identity_sig):
                    raise HandshakeFailed("the signature does not fit the static key")
                return identity
            case _:
                return payload.verify(static_key)


class Dialer:
    """Bob dials alice: Noise's initiator. Mallory has turned his line to herself.

    Attributes:
        expected: whom he wants.
        believes, refusal: as in `Listener`.
    """

    def __init__(
        self, key: KeyPair, handshake: NoiseHandshake, expected: PeerId, flaw: str = ""
    ) -> None:
        self.expected = expected
        self.believes: PeerId | None = None
        self.refusal: LabError | None = None
        self._key = key
        self._handshake = handshake
        self._flaw = flaw

    def hello(self) -> bytes:
        """Message 0."""
        return self._handshake.write_message().encode()

    def receive(self, message: bytes) -> bytes:
        """Take message 1; gives message 2.

        Raises: `HandshakeFailed`, `PeerIdMismatch` if he does not believe it.
        """
        try:
            told = self._handshake.read_message(message)
            payload = HandshakePayload.decode(told.plaintext)
            proven = PeerId.from_public_key(payload.verify(told.static_key))
            if proven != self.expected and self._flaw != "wrong_peer":
                raise PeerIdMismatch(str(self.expected), str(proven))
        except LabError as error:
            self.refusal = error
            raise
        self.believes = self.expected
        return self._handshake.write_message(_payload(self._key, self._handshake)).encode()


class Cashier:
    """Bob at the end of a finished channel: alice's orders come in, and he does what they say.

    Attributes:
        wire: what alice has sent, as mallory holds it: each message with its length. Nothing has reached bob yet.
        orders: what bob has done.
        refusal: as in `Listener`.
    """

    def __init__(self, key: bytes, flaw: str = "") -> None:
        sealed = CipherState(key).encrypt(ORDER)
        self.wire = [len(sealed).to_bytes(2, "big") + sealed]
        self.orders: list[bytes] = []
        self.refusal: LabError | None = None
        self._cipher = CipherState(key)
        self._channel = NoiseChannel(CipherState(bytes(32)), self._cipher)
        self._flaw = flaw

    def deliver(self, message: bytes) -> None:
        """Hand bob a message, with its length before it.

        Raises: `ProtocolViolation` if it does not open.
        """
        if self._flaw == "nonce_reset":
            self._cipher.nonce = 0
        try:
            self.orders += self._channel.open(message)
        except ProtocolViolation as error:
            self.refusal = error
            raise


class TlsListener:
    """Bob is dialled over TLS, of which only what matters is left: a certificate, and proof that its key is held.

    Attributes:
        challenge: what the certificate's key has to sign (in TLS: everything said so far).
        believes, refusal: as in `Listener`.
    """

    def __init__(self, challenge: bytes, flaw: str = "") -> None:
        self.challenge = challenge
        self.believes: PeerId | None = None
        self.refusal: LabError | None = None
        self._flaw = flaw

    def show(self, certificate: bytes, proof: bytes) -> None:
        """Show bob a certificate (DER), and the signature of its key over the challenge (ECDSA with SHA-256).

        Raises: `HandshakeFailed` if he does not believe it.
        """
        try:
            identity = self._read(certificate)
            key = x509.load_der_x509_certificate(certificate).public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise HandshakeFailed("this bob knows keys on P-256 only")
            key.verify(proof, self.challenge, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            self.refusal = HandshakeFailed("whoever shows this certificate does not hold its key")
            raise self.refusal from None
        except LabError as error:
            self.refusal = error
            raise
        self.believes = PeerId.from_public_key(identity)

    def _read(self, certificate: bytes) -> PublicKey:
        if self._flaw != "certificate":
            return verify_certificate([certificate], time.time())
        for extension in x509.load_der_x509_certificate(certificate).extensions:
            if extension.oid == EXTENSION:
                assert isinstance(extension.value, x509.UnrecognizedExtension)
                signed_key = SignedKey.decode(extension.value.value)
                return PublicKey.from_protobuf(signed_key.identity_key)
        raise HandshakeFailed("the certificate has no libp2p extension")


Victim = Listener | Dialer | Cashier | TlsListener


def scene(
    flaw: str, is_sound: bool = False, rng: random.Random | None = None
) -> tuple[Victim, Alice]:
    """Bob with one flaw, and what mallory has of alice.

    Args:
        flaw: one of `FLAWS`.
        is_sound: bob in the same place, without the flaw.
        rng: gives the keys; None for the system's.

    Raises: `LocalError` for a flaw that does not exist.
    """
    rng = rng or random.SystemRandom()
    alice, bob = KeyPair.generate(rng=rng), KeyPair.generate(rng=rng)
    left_out = "" if is_sound else flaw
    static, ephemeral = (X25519PrivateKey.from_private_bytes(rng.randbytes(32)) for _ in range(2))
    handshake = NoiseHandshake(
        is_initiator=flaw == "wrong_peer", static=static, ephemeral=ephemeral
    )
    victim: Victim
    match flaw:
        case "no_signature" | "no_prefix":
            victim = Listener(bob, handshake, left_out)
        case "wrong_peer":
            victim = Dialer(bob, handshake, PeerId.from_public_key(alice.public), left_out)
        case "nonce_reset":
            victim = Cashier(rng.randbytes(32), left_out)
        case "certificate":
            victim = TlsListener(rng.randbytes(32), left_out)
        case _:
            raise LocalError(f"there is no flaw {flaw!r}: there are {', '.join(FLAWS)}")
    return victim, Alice(alice)


def certificate_around(extension: bytes) -> OwnCertificate:
    """A certificate for a fresh key, self-signed as it should be, around any libp2p extension that you like.

    Args:
        extension: what `SignedKey.encode()` gives; nobody looks at what it says.
    """
    private_key = ec.generate_private_key(ec.SECP256R1())
    nobody, now = x509.Name([]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .public_key(private_key.public_key())
        .add_extension(x509.UnrecognizedExtension(EXTENSION, extension), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    return OwnCertificate(certificate, private_key)


def _payload(key: KeyPair, handshake: NoiseHandshake) -> bytes:
    signature = key.sign(SIGNATURE_PREFIX + handshake.static_public_key)
    return HandshakePayload(key.public.to_protobuf(), signature).encode()
