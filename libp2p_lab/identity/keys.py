"""Keys: what a peer is. Whoever holds the private key is the peer; there is nothing else to be.

Misconception: the private key does not encrypt anything in libp2p. It signs, once for each
connection, and proves who is there; the session's own short-lived keys do the encrypting.

Spec: peer-ids/peer-ids.md#keys
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity import key_formats
from libp2p_lab.identity.key_formats import MAX_RSA_BITS, MIN_RSA_BITS, KeyType

if TYPE_CHECKING:
    import random

__all__ = ["KeyPair", "KeyType", "PublicKey"]

_SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half of a key that everybody may know. It checks signatures and names the peer.

    Get one from `KeyPair.public`, `from_protobuf` or `from_pem`: these check what they read.

    Attributes:
        type: which kind of key.
        raw: the Data field, as drawn in `key_formats`.
    """

    type: KeyType
    raw: bytes

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over `data` by the private half of this key."""
        try:
            match key_formats.load_public(self.type, self.raw):
                case ed25519.Ed25519PublicKey() as key:
                    key.verify(signature, data)
                case ec.EllipticCurvePublicKey() as key:
                    key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
                case rsa.RSAPublicKey() as key:
                    key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, MalformedMessage):
            return False
        return True

    def to_protobuf(self) -> bytes:
        """The canonical bytes from which the peer id is made.

        Spec: peer-ids/peer-ids.md#keys
        """
        return key_formats.encode(self.type, self.raw)

    @classmethod
    def from_protobuf(cls, data: bytes) -> PublicKey:
        """Read a key in its one canonical form.

        Raises: `MalformedMessage` for anything else, and for RSA keys too small or too large.

        Spec: peer-ids/peer-ids.md#keys
        """
        return _read_public(bytes(data))

    def to_pem(self) -> str:
        """The key as text, for other tools (SubjectPublicKeyInfo)."""
        pem = key_formats.load_public(self.type, self.raw).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode("ascii")

    @classmethod
    def from_pem(cls, text: str) -> PublicKey:
        """Read a key from PEM text.

        Raises: `LocalError` if it is none, or of a kind that libp2p does not use.
        """
        try:
            return _public_key(serialization.load_pem_public_key(text.encode()))
        except (ValueError, TypeError, UnsupportedAlgorithm, MalformedMessage) as problem:
            raise LocalError(f"no usable public key in this PEM text: {problem}") from None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the public key that belongs to it: all that makes a peer that peer.

    Get one from `generate`, `load`, `from_protobuf` or `from_pem`.

    Attributes:
        type: which kind of key.
        public: the half to show.
    """

    type: KeyType
    public: PublicKey
    _raw: bytes = field(repr=False)  # the secret: never printed
    _handle: key_formats.PrivateHandle = field(repr=False, compare=False)

    @classmethod
    def generate(
        cls,
        type: str | KeyType = KeyType.ED25519,
        rng: random.Random | None = None,
        *,
        rsa_bits: int = MIN_RSA_BITS,
    ) -> KeyPair:
        """Make a new key. This is the one place that may use the operating system's randomness.

        Args:
            type: "ed25519", "secp256k1", "ecdsa" or "rsa".
            rng: for simulations only: draw the key from here, so that the same seed gives the same
                peers. Such a key is no secret.
            rsa_bits: the size of an RSA key, 2048 to 8192.

        Raises: `LocalError` for an unknown type, a wrong size, or RSA with `rng`.
        """
        key_type = _key_type(type)
        if not MIN_RSA_BITS <= rsa_bits <= MAX_RSA_BITS:
            raise LocalError(f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {rsa_bits}")
        if rng is not None:
            return _draw(key_type, rng)
        match key_type:
            case KeyType.ED25519:
                return _key_pair(ed25519.Ed25519PrivateKey.generate())
            case KeyType.SECP256K1:
                return _key_pair(ec.generate_private_key(ec.SECP256K1()))
            case KeyType.ECDSA:
                return _key_pair(ec.generate_private_key(ec.SECP256R1()))
            case KeyType.RSA:
                return _key_pair(rsa.generate_private_key(65537, rsa_bits))

    def sign(self, data: bytes) -> bytes:
        """A signature over `data`: the same one each time, but with ECDSA always a new one.

        Spec: peer-ids/peer-ids.md#key-types
        """
        sha256 = hashes.SHA256()
        match self._handle:
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(data)
            case rsa.RSAPrivateKey() as key:
                return key.sign(data, padding.PKCS1v15(), sha256)
            case ec.EllipticCurvePrivateKey() as key:
                if self.type is KeyType.ECDSA:
                    return key.sign(data, ec.ECDSA(sha256))
                return _low_s(key.sign(data, ec.ECDSA(sha256, deterministic_signing=True)))

    def to_protobuf(self) -> bytes:
        """The private key in libp2p's own form, as every implementation stores it."""
        return key_formats.encode(self.type, self._raw)

    @classmethod
    def from_protobuf(cls, data: bytes) -> KeyPair:
        """Read a private key in libp2p's own form.

        Raises: `MalformedMessage` if it is none, or its two halves do not belong together.

        Spec: peer-ids/peer-ids.md#key-types
        """
        key_type, raw = key_formats.decode(data)
        return _key_pair(key_formats.load_private(key_type, raw))

    def to_pem(self) -> str:
        """The private key as text, for other tools (PKCS #8, not encrypted)."""
        pem = self._handle.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return pem.decode("ascii")

    @classmethod
    def from_pem(cls, text: str) -> KeyPair:
        """Read a private key from PEM text without a password.

        Raises: `LocalError` if it is none, or of a kind that libp2p does not use.
        """
        try:
            return _key_pair(serialization.load_pem_private_key(text.encode(), password=None))
        except (ValueError, TypeError, UnsupportedAlgorithm, MalformedMessage) as problem:
            raise LocalError(f"no usable private key in this PEM text: {problem}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the private key to a file that only its owner can read.

        The file is complete or not there at all: it is written beside `path` under another name,
        and then renamed.

        Raises: `LocalError` if the file cannot be written.
        """
        target = Path(path)
        try:
            # mkstemp sets mode 0600 when it creates the file: no moment in which others could read
            descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self.to_protobuf())
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as problem:
            raise LocalError(f"cannot save the key: {problem}") from problem

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyPair:
        """Read a key that `save` wrote, or another implementation in the same form.

        Raises: `LocalError` if there is no file, or no key in it.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(key_formats.MAX_KEY_LENGTH + 1)
        except OSError as problem:
            raise LocalError(f"cannot load the key: {problem}") from problem
        try:
            return cls.from_protobuf(data)
        except MalformedMessage as problem:
            raise LocalError(f"{os.fspath(path)} holds no usable key: {problem}") from problem


def _public_key(key: object) -> PublicKey:
    """Raises: `MalformedMessage` if libp2p does not use this kind of key."""
    key_type = key_formats.type_of(key)
    assert isinstance(key, key_formats.PublicHandle)
    return PublicKey(key_type, key_formats.public_raw(key))


def _key_pair(key: object) -> KeyPair:
    """Raises: `MalformedMessage` if libp2p does not use this kind of key."""
    if not isinstance(key, key_formats.PrivateHandle):
        raise MalformedMessage("libp2p does not use this kind of key")
    public = _public_key(key.public_key())
    return KeyPair(public.type, public, key_formats.private_raw(key), key)


def _key_type(name: str | KeyType) -> KeyType:
    if isinstance(name, KeyType):
        return name
    try:
        return KeyType[name.upper()]
    except KeyError:
        known = ", ".join(key_type.name.lower() for key_type in KeyType)
        raise LocalError(f"no key type is called {name!r}; there are {known}") from None


def _draw(key_type: KeyType, rng: random.Random) -> KeyPair:
    secret = rng.randbytes(32)
    number = int.from_bytes(secret[:31]) + 1  # 31 bytes stay below the order of either curve
    match key_type:
        case KeyType.ED25519:
            return _key_pair(ed25519.Ed25519PrivateKey.from_private_bytes(secret))
        case KeyType.SECP256K1:
            return _key_pair(ec.derive_private_key(number, ec.SECP256K1()))
        case KeyType.ECDSA:
            return _key_pair(ec.derive_private_key(number, ec.SECP256R1()))
        case KeyType.RSA:
            raise LocalError("RSA keys cannot be drawn from an rng; use ed25519")


def _low_s(signature: bytes) -> bytes:
    """Of the two valid values of S take the lower, as Bitcoin does: one signature, one encoding."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _SECP256K1_ORDER - s))


@lru_cache(maxsize=1024)  # the same few peers sign again and again
def _read_public(data: bytes) -> PublicKey:
    key_type, raw = key_formats.decode(data)
    if key_formats.public_raw(key_formats.load_public(key_type, raw)) != raw:
        raise MalformedMessage("public key is not in its canonical form")
    return PublicKey(key_type, raw)
