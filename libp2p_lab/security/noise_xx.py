"""The Noise XX handshake, token by token.

Two peers who know nothing of each other end with two shared keys, and each with the other's static key:

    XX:
      → e                    message 0   32 bytes in the clear
      ← e, ee, s, es         message 1   e in the clear, then s and the payload encrypted
      → s, se                message 2   s and the payload encrypted

`e` sends a fresh (ephemeral) key, `s` sends the long-lived (static) one; `ee`, `es`, `se` each mix one Diffie–Hellman
result into the keys. The names of the two keys in a token are always initiator first: in `es` the initiator uses its
ephemeral, the responder its static key. Everything sent or received is mixed into the hash `h`, so that one changed
byte makes the very next decryption fail.

This file is the Noise framework for the one pattern and the one cipher suite that libp2p uses; it knows no peer ids.
`noise.py` puts libp2p's payload into it and runs it on a stream. No input, output, time or chance in here: keys come
in as arguments.

Specs: https://noiseprotocol.org/noise.html and Spec: noise/README.md#the-noise-handshake
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from libp2p_lab.errors import HandshakeFailed, LimitExceeded, LocalError

PROTOCOL_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"  # 32 bytes: it is the first `h` as it stands

#: The pattern as data: who sends (0: initiator, 1: responder) follows from the message's index.
XX: tuple[tuple[str, ...], ...] = (("e",), ("e", "ee", "s", "es"), ("s", "se"))

KEY_LENGTH = 32
TAG_LENGTH = 16
MAX_MESSAGE = 65535
MAX_NONCE = (1 << 64) - 1  # reserved by the Noise spec: never used for a message


def hkdf(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Two new 32-byte keys from the chaining key and fresh key material."""
    secret = hmac.digest(chaining_key, material, "sha256")
    first = hmac.digest(secret, b"\x01", "sha256")
    return first, hmac.digest(secret, first + b"\x02", "sha256")


class CipherState:
    """One key and its counter: encrypts or decrypts the messages of one direction.

    The nonce is the number of the message. It is never sent: both sides count. A message lost, repeated or
    out of order is decrypted under the wrong number, and its tag does not fit.
    """

    __slots__ = ("_aead", "key", "nonce")

    def __init__(self, key: bytes, nonce: int = 0) -> None:
        self._aead = ChaCha20Poly1305(key)
        self.key = key
        self.nonce = nonce

    def _next_nonce(self) -> bytes:
        nonce = self.nonce
        if nonce >= MAX_NONCE:
            raise LimitExceeded("noise_nonce", nonce, MAX_NONCE - 1)
        self.nonce = nonce + 1
        return b"\x00\x00\x00\x00" + nonce.to_bytes(8, "little")

    def encrypt(self, plaintext: bytes | memoryview, associated: bytes = b"") -> bytes:
        """The ciphertext: as long as `plaintext`, and a 16-byte tag.

        Raises: `LimitExceeded` when the 2^64-1 nonces are used up.
        """
        return self._aead.encrypt(self._next_nonce(), plaintext, associated)

    def encrypt_into(self, plaintext: bytes | memoryview, target: memoryview) -> None:
        """As `encrypt`, into `target`, which is 16 bytes longer than `plaintext`: spares a copy."""
        self._aead.encrypt_into(self._next_nonce(), plaintext, None, target)

    def decrypt(self, ciphertext: bytes | memoryview, associated: bytes = b"") -> bytes:
        """The plaintext.

        Raises: `HandshakeFailed` if the tag does not fit (the caller names the error better where it can).
        """
        try:
            return self._aead.decrypt(self._next_nonce(), ciphertext, associated)
        except InvalidTag:
            raise HandshakeFailed(
                "authentication tag does not fit: wrong key, or a byte was changed on the way"
            ) from None


class SymmetricState:
    """What both sides compute in step: the chaining key `ck`, the transcript hash `h`, the present cipher."""

    __slots__ = ("cipher", "ck", "h")

    def __init__(self, prologue: bytes = b"") -> None:
        self.ck = PROTOCOL_NAME
        self.h = PROTOCOL_NAME
        self.cipher: CipherState | None = None
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """Bind `data` to everything that follows."""
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, material: bytes) -> None:
        """Fold a Diffie–Hellman result into the keys."""
        self.ck, key = hkdf(self.ck, material)
        self.cipher = CipherState(key)

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypt if there is a key yet; bind the result to the transcript either way."""
        sent = plaintext if self.cipher is None else self.cipher.encrypt(plaintext, self.h)
        self.mix_hash(sent)
        return sent

    def decrypt_and_hash(self, received: bytes) -> bytes:
        """The reverse of `encrypt_and_hash`."""
        plaintext = received if self.cipher is None else self.cipher.decrypt(received, self.h)
        self.mix_hash(received)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The two ciphers of the finished channel: initiator to responder, and back."""
        first, second = hkdf(self.ck, b"")
        return CipherState(first), CipherState(second)


@dataclass(frozen=True, slots=True)
class HandshakeMessage:
    """One message of the handshake, in parts.

        | e: 32 | s: 32 + tag 16 | payload: n + tag 16 |        parts that the tokens do not name are absent

    Attributes:
        tokens: what the message does, as in the pattern.
        ephemeral: the public key `e` as sent (always in the clear), or b"".
        static: the encrypted `s` with its tag, 48 bytes, or b"".
        payload: as sent: in message 0 in the clear, later encrypted with its tag.
        static_key: `s` decrypted, 32 bytes, or b"".
        plaintext: the payload decrypted.
    """

    tokens: tuple[str, ...]
    ephemeral: bytes
    static: bytes
    payload: bytes
    static_key: bytes
    plaintext: bytes

    def encode(self) -> bytes:
        """The message as sent, without its length prefix."""
        return self.ephemeral + self.static + self.payload


class NoiseHandshake:
    """One side of an XX handshake, stepped message by message.

        alice = NoiseHandshake(is_initiator=True, static=a, ephemeral=x)
        bob = NoiseHandshake(is_initiator=False, static=b, ephemeral=y)
        bob.read_message(alice.write_message().encode())
        alice.read_message(bob.write_message(b"hello").encode())
        bob.read_message(alice.write_message(b"hi").encode())
        encrypt, decrypt = alice.split()

    Args:
        is_initiator: True for the side that sends message 0 (in libp2p: the dialer).
        static: our static key pair.
        ephemeral: a fresh key pair, used for this handshake only and never again.
        prologue: bytes that both sides must agree on beforehand; libp2p over TCP has none.
    """

    __slots__ = (
        "_ephemeral",
        "_static",
        "_static_public",
        "index",
        "is_initiator",
        "remote_ephemeral",
        "remote_static",
        "symmetric",
    )

    def __init__(
        self,
        *,
        is_initiator: bool,
        static: X25519PrivateKey,
        ephemeral: X25519PrivateKey,
        prologue: bytes = b"",
        static_public: bytes | None = None,
    ) -> None:
        self.is_initiator = is_initiator
        self.index = 0  # of the next message, 0 to 2; 3: finished
        self.symmetric = SymmetricState(prologue)
        self.remote_ephemeral: X25519PublicKey | None = None
        self.remote_static: X25519PublicKey | None = None
        self._static = static
        self._static_public = static_public or static.public_key().public_bytes_raw()
        self._ephemeral = ephemeral

    @property
    def is_finished(self) -> bool:
        """Whether all three messages have passed."""
        return self.index == len(XX)

    @property
    def is_our_turn(self) -> bool:
        """Whether the next message is ours to write."""
        return not self.is_finished and (self.index % 2 == 0) == self.is_initiator

    @property
    def static_public_key(self) -> bytes:
        """Our static key's public half, 32 bytes: what an identity vouches for."""
        return self._static_public

    def write_message(self, payload: bytes = b"") -> HandshakeMessage:
        """The next message, which is ours.

        Raises: `LocalError` if it is the other side's turn, or the payload does not fit into 65535 bytes.
        """
        if not self.is_our_turn:
            raise LocalError(f"message {self.index} is not ours to write")
        tokens = XX[self.index]
        ephemeral = static = static_key = b""
        for token in tokens:
            match token:
                case "e":
                    ephemeral = self._ephemeral.public_key().public_bytes_raw()
                    self.symmetric.mix_hash(ephemeral)
                case "s":
                    static_key = self._static_public
                    static = self.symmetric.encrypt_and_hash(static_key)
                case _:
                    self._mix_shared_secret(token)
        message = HandshakeMessage(
            tokens, ephemeral, static, self.symmetric.encrypt_and_hash(payload), static_key, payload
        )
        if len(message.payload) + len(static) + len(ephemeral) > MAX_MESSAGE:
            raise LocalError(f"a payload of {len(payload)} bytes does not fit into a Noise message")
        self.index += 1
        return message

    def read_message(self, received: bytes) -> HandshakeMessage:
        """Take the other side's next message.

        Raises: `HandshakeFailed` if it is too short, a key in it is no key, or a tag does not fit;
            `LocalError` if it is our turn.
        """
        if self.is_finished or self.is_our_turn:
            raise LocalError(f"message {self.index} is not theirs to write")
        tokens = XX[self.index]
        ephemeral = static = static_key = b""
        offset = 0
        for token in tokens:
            match token:
                case "e":
                    ephemeral, offset = _take(received, offset, KEY_LENGTH)
                    self.remote_ephemeral = X25519PublicKey.from_public_bytes(ephemeral)
                    self.symmetric.mix_hash(ephemeral)
                case "s":
                    static, offset = _take(received, offset, KEY_LENGTH + TAG_LENGTH)
                    static_key = self.symmetric.decrypt_and_hash(static)
                    self.remote_static = X25519PublicKey.from_public_bytes(static_key)
                case _:
                    self._mix_shared_secret(token)
        payload = received[offset:]
        if self.symmetric.cipher is not None and len(payload) < TAG_LENGTH:
            raise HandshakeFailed(f"handshake message {self.index} is cut off before its tag")
        plaintext = self.symmetric.decrypt_and_hash(payload)
        self.index += 1
        return HandshakeMessage(tokens, ephemeral, static, payload, static_key, plaintext)

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers for what we send and for what we receive.

        Raises: `LocalError` before the third message.
        """
        if not self.is_finished:
            raise LocalError("the handshake is not finished")
        forth, back = self.symmetric.split()
        return (forth, back) if self.is_initiator else (back, forth)

    def _mix_shared_secret(self, token: str) -> None:
        """`ee`, `es`, `se`: first letter the initiator's key, second letter the responder's."""
        first, second = token[0], token[1]
        ours, theirs = (first, second) if self.is_initiator else (second, first)
        private = self._ephemeral if ours == "e" else self._static
        public = self.remote_ephemeral if theirs == "e" else self.remote_static
        if public is None:
            raise LocalError(f"{token} before the remote's key is known")
        try:
            self.symmetric.mix_key(private.exchange(public))
        except ValueError:  # the all-zero result of a low-order point
            raise HandshakeFailed(f"{token}: the remote's key is a low-order point") from None


def _take(received: bytes, offset: int, length: int) -> tuple[bytes, int]:
    part = received[offset : offset + length]
    if len(part) < length:
        raise HandshakeFailed(f"handshake message of {len(received)} bytes is too short")
    return part, offset + length
