"""Keys: what a peer is. Whoever holds the private key is the peer; there is nothing else to be.

A key travels as a small protobuf, and the bytes must be canonical, because the peer id is made from
them:

    08 01 12 20 1ed1e8fa…    Type = 1 (Ed25519), Data = 32 bytes
    └Type┘└─── Data ────┘

What stands in Data:

              public                         private                             signature
    Ed25519   32 bytes                       64 bytes: seed, then public key     64 bytes
    Secp256k1 33 bytes: compressed point     32 bytes: the number                DER, low S
    ECDSA     DER SubjectPublicKeyInfo       DER ECPrivateKey (P-256)            DER
    RSA       DER SubjectPublicKeyInfo       DER PKCS#1                          PKCS#1 v1.5

All but Ed25519 sign the SHA-256 of the message.

Misconception: the private key does not encrypt anything in libp2p. It signs, once for each
connection, and proves who is there; the session's own short-lived keys do the encrypting.

Spec: peer-ids/peer-ids.md#keys
"""

from __future__ import annotations

import os
import random
import tempfile
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.wire import protobuf

MIN_RSA_BITS = 2048
MAX_RSA_BITS = (
    8192  # verifying takes time that grows with the square of the size; go-libp2p stops here too
)
MAX_RSA_EXPONENT = (1 << 31) - 1  # and with the length of the exponent
MAX_KEY_LENGTH = 8192  # bytes of one encoded key; RSA-8192 private keys take 4.7 KB

_SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_ED25519_FIELD = (1 << 255) - 19
_TYPE, _DATA = 1, 2  # field numbers of PublicKey and PrivateKey

_PublicHandle = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_PrivateHandle = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyType(Enum):
    """The four kinds of key, with their numbers on the wire."""

    RSA = 0
    ED25519 = 1
    SECP256K1 = 2
    ECDSA = 3


# -- public keys -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half of a key that everybody may know. It checks signatures, and the peer id is made from
    it.

    Attributes:
        type: which kind of key.
        raw: the Data field, as drawn above.

    Get one from `KeyPair.public`, `from_protobuf` or `from_pem`: these check what they read.
    """

    type: KeyType
    raw: bytes

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over `data` by the private half of this key."""
        try:
            match _load_public(self.type, self.raw):
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
        return _encode(self.type, self.raw)

    @classmethod
    def from_protobuf(cls, data: bytes) -> PublicKey:
        """Read a key, and refuse whatever is not its one canonical form: one key must not have two
        peer ids.

        Raises: `MalformedMessage` for anything else, and for RSA keys too small or too large.

        Spec: peer-ids/peer-ids.md#keys
        """
        key_type, raw = _decode(data)
        handle = _load_public(key_type, raw)
        if _encode(key_type, _public_raw(handle)) != data:
            raise MalformedMessage("public key is not in its canonical form")
        return cls(key_type, bytes(raw))

    def to_pem(self) -> str:
        """The key as text, for other tools (SubjectPublicKeyInfo)."""
        pem = _load_public(self.type, self.raw).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode("ascii")

    @classmethod
    def from_pem(cls, text: str) -> PublicKey:
        """Read a key from PEM text.

        Raises: `LocalError` if it is none, or of a kind that libp2p does not know.
        """
        try:
            loaded = serialization.load_pem_public_key(text.encode())
            return _public_key(loaded)
        except (ValueError, TypeError, UnsupportedAlgorithm, MalformedMessage) as problem:
            raise LocalError(f"no usable public key in this PEM text: {problem}") from None


def _public_key(handle: object) -> PublicKey:
    match handle:
        case ed25519.Ed25519PublicKey():
            key_type = KeyType.ED25519
        case ec.EllipticCurvePublicKey(curve=ec.SECP256K1()):
            key_type = KeyType.SECP256K1
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            key_type = KeyType.ECDSA
        case rsa.RSAPublicKey():
            _check_rsa(handle)
            key_type = KeyType.RSA
        case _:
            raise MalformedMessage("libp2p does not use this kind of key")
    return PublicKey(key_type, _public_raw(handle))


def _public_raw(handle: _PublicHandle) -> bytes:
    """The Data field of a public key."""
    encoding, form = serialization.Encoding, serialization.PublicFormat
    match handle:
        case ed25519.Ed25519PublicKey():
            return handle.public_bytes_raw()
        case ec.EllipticCurvePublicKey(curve=ec.SECP256K1()):
            return handle.public_bytes(encoding.X962, form.CompressedPoint)
        case _:
            return handle.public_bytes(encoding.DER, form.SubjectPublicKeyInfo)


def _load_public(key_type: KeyType, raw: bytes) -> _PublicHandle:
    """Raises: `MalformedMessage` if `raw` is no public key of that type."""
    try:
        match key_type:
            case KeyType.ED25519:
                # y and y+p are the same point; only the first may name a peer
                if int.from_bytes(raw, "little") & (1 << 255) - 1 >= _ED25519_FIELD:
                    raise MalformedMessage("Ed25519 public key is not in its canonical form")
                return ed25519.Ed25519PublicKey.from_public_bytes(raw)
            case KeyType.SECP256K1:
                return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), raw)
            case KeyType.ECDSA | KeyType.RSA:
                return _load_der_public(key_type, raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise MalformedMessage(f"not a public {key_type.name} key: {problem}") from None


def _load_der_public(key_type: KeyType, raw: bytes) -> _PublicHandle:
    match key_type, serialization.load_der_public_key(raw):
        case KeyType.RSA, rsa.RSAPublicKey() as rsa_key:
            return _check_rsa(rsa_key)
        case KeyType.ECDSA, ec.EllipticCurvePublicKey(curve=ec.SECP256R1()) as ec_key:
            return ec_key
        case _:
            raise MalformedMessage(f"not a public {key_type.name} key that libp2p uses")


def _check_rsa(key: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    """Refuse a key that is too weak, or so large that checking one signature would cost an attack's worth of time."""
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise MalformedMessage(
            f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {key.key_size}"
        )
    if key.public_numbers().e > MAX_RSA_EXPONENT:
        raise MalformedMessage("RSA public exponent of more than 31 bits")
    return key


# -- pairs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the public key that belongs to it: all that makes a peer that peer.

    Attributes:
        type: which kind of key.
        public: the half to show.

    Get one from `generate`, `load`, `from_protobuf` or `from_pem`.
    """

    type: KeyType
    public: PublicKey
    _raw: bytes = field(repr=False)  # a secret: never printed
    _handle: _PrivateHandle = field(repr=False, compare=False)

    @classmethod
    def generate(
        cls,
        type: str | KeyType = KeyType.ED25519,
        rng: random.Random | None = None,
        *,
        rsa_bits: int = MIN_RSA_BITS,
    ) -> KeyPair:
        """Make a new key.

        Args:
            type: "ed25519", "secp256k1", "ecdsa" or "rsa".
            rng: for simulations only: draw the key from here, so that the same seed gives the same
                peers. Such a key is no secret. By default the operating system's randomness is
                used, and this is the one place in the library that may use it.
            rsa_bits: the size of an RSA key, 2048 to 8192.

        Raises: `LocalError` for an unknown type, a wrong size, or RSA with `rng`.
        """
        key_type = _key_type(type)
        if not MIN_RSA_BITS <= rsa_bits <= MAX_RSA_BITS:
            raise LocalError(f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {rsa_bits}")
        if rng is not None:
            return _derive(key_type, rng)
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
        """A signature over `data`. Ed25519, Secp256k1 and RSA always give the same one, ECDSA a new one each time."""
        match self._handle:
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(data)
            case rsa.RSAPrivateKey() as key:
                return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePrivateKey() as key:
                if self.type is KeyType.ECDSA:
                    return key.sign(data, ec.ECDSA(hashes.SHA256()))
                return _low_s(key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))

    def to_protobuf(self) -> bytes:
        """The private key in libp2p's own form, as every implementation stores it."""
        return _encode(self.type, self._raw)

    @classmethod
    def from_protobuf(cls, data: bytes) -> KeyPair:
        """Read a private key in libp2p's own form.

        Raises: `MalformedMessage` if it is none, or its two halves do not belong together.

        Spec: peer-ids/peer-ids.md#ed25519
        """
        key_type, raw = _decode(data)
        return _key_pair(_load_private(key_type, raw))

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

        Raises: `LocalError` if it is none, or of a kind that libp2p does not know.
        """
        try:
            loaded = serialization.load_pem_private_key(text.encode(), password=None)
            return _key_pair(loaded)
        except (ValueError, TypeError, UnsupportedAlgorithm, MalformedMessage) as problem:
            raise LocalError(f"no usable private key in this PEM text: {problem}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the private key to a file that only its owner can read.

        The file is complete or not there at all: it is written beside `path` under another name,
        and renamed.

        Raises: `LocalError` if the folder cannot be written.
        """
        target = Path(path)
        try:
            # mkstemp gives mode 0600 from the first moment on, so the secret is never readable by
            # others
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
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
        """Read a key that `save` wrote (or another implementation in the same form).

        Raises: `LocalError` if there is no file, or no key in it.
        """
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_KEY_LENGTH + 1)
        except OSError as problem:
            raise LocalError(f"cannot load the key: {problem}") from problem
        try:
            return cls.from_protobuf(data)
        except MalformedMessage as problem:
            raise LocalError(f"{os.fspath(path)} holds no usable key: {problem}") from problem


def _key_type(name: str | KeyType) -> KeyType:
    if isinstance(name, KeyType):
        return name
    try:
        return KeyType[name.upper()]
    except KeyError:
        known = ", ".join(key_type.name.lower() for key_type in KeyType)
        raise LocalError(f"no key type is called {name!r}; there are {known}") from None


def _derive(key_type: KeyType, rng: random.Random) -> KeyPair:
    secret = rng.randbytes(32)
    match key_type:
        case KeyType.ED25519:
            return _key_pair(ed25519.Ed25519PrivateKey.from_private_bytes(secret))
        case KeyType.SECP256K1 | KeyType.ECDSA:
            curve = ec.SECP256K1() if key_type is KeyType.SECP256K1 else ec.SECP256R1()
            number = int.from_bytes(secret[:31]) + 1  # below either curve's order without a loop
            return _key_pair(ec.derive_private_key(number, curve))
        case KeyType.RSA:
            raise LocalError("RSA keys cannot be drawn from an rng; use ed25519")


def _key_pair(handle: object) -> KeyPair:
    """Raises: `MalformedMessage` if libp2p does not use this kind of key."""
    encoding, form = serialization.Encoding, serialization.PrivateFormat
    plain = serialization.NoEncryption()
    match handle:
        case ed25519.Ed25519PrivateKey():
            public = _public_key(handle.public_key())
            raw = handle.private_bytes_raw() + public.raw
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256K1()):
            public = _public_key(handle.public_key())
            raw = handle.private_numbers().private_value.to_bytes(32)
        case ec.EllipticCurvePrivateKey() | rsa.RSAPrivateKey():
            public = _public_key(handle.public_key())
            raw = handle.private_bytes(encoding.DER, form.TraditionalOpenSSL, plain)
        case _:
            raise MalformedMessage("libp2p does not use this kind of key")
    return KeyPair(public.type, public, raw, handle)


def _load_private(key_type: KeyType, raw: bytes) -> _PrivateHandle:
    """Raises: `MalformedMessage` if `raw` is no private key of that type."""
    try:
        match key_type:
            case KeyType.ED25519:
                return _load_ed25519(raw)
            case KeyType.SECP256K1:
                if len(raw) != 32:
                    raise MalformedMessage(f"a private SECP256K1 key has 32 bytes, not {len(raw)}")
                return ec.derive_private_key(int.from_bytes(raw), ec.SECP256K1())
            case KeyType.ECDSA | KeyType.RSA:
                return _load_der_private(key_type, raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise MalformedMessage(f"not a private {key_type.name} key: {problem}") from None


def _load_der_private(key_type: KeyType, raw: bytes) -> _PrivateHandle:
    match key_type, serialization.load_der_private_key(raw, password=None):
        case KeyType.RSA, rsa.RSAPrivateKey() as rsa_key:
            return rsa_key
        case KeyType.ECDSA, ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()) as ec_key:
            return ec_key
        case _:
            raise MalformedMessage(f"not a private {key_type.name} key that libp2p uses")


def _load_ed25519(raw: bytes) -> ed25519.Ed25519PrivateKey:
    """64 bytes are seed and public key; in 96 an old version wrote the public key twice.

    Spec: peer-ids/peer-ids.md#ed25519
    """
    if len(raw) not in (64, 96):
        raise MalformedMessage(f"a private ED25519 key has 64 bytes (old: 96), not {len(raw)}")
    handle = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])
    public = handle.public_key().public_bytes_raw()
    if raw[32:] != public * (len(raw) // 32 - 1):
        raise MalformedMessage("the public half of this ED25519 key belongs to another key")
    return handle


def _low_s(signature: bytes) -> bytes:
    """Of the two values of S that are valid, Bitcoin's rule picks the lower: one signature, one encoding."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _SECP256K1_ORDER - s))


# -- the protobuf of both --------------------------------------------------------------------------


def _encode(key_type: KeyType, raw: bytes) -> bytes:
    return protobuf.varint_field(_TYPE, key_type.value) + protobuf.bytes_field(_DATA, raw)


def _decode(data: bytes) -> tuple[KeyType, bytes]:
    """Type and Data of a key.

    Raises: `MalformedMessage` unless there are exactly these two, in order, in their shortest form.
    """
    if len(data) > MAX_KEY_LENGTH:
        raise MalformedMessage(f"a key of {len(data)} bytes; {MAX_KEY_LENGTH} are the most")
    match list(protobuf.read_fields(data)):
        case [(1, protobuf.VARINT, int(number)), (2, protobuf.BYTES, bytes(raw))]:
            pass
        case _:
            raise MalformedMessage("a key has two fields: its type, then its data")
    if number not in _TYPES:
        raise MalformedMessage(f"there is no key type {number}")
    if _encode(_TYPES[number], raw) != data:
        raise MalformedMessage("key protobuf is not in its shortest form")
    return _TYPES[number], raw


_TYPES = {key_type.value: key_type for key_type in KeyType}
