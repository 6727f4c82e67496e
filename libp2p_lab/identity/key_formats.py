"""How the four kinds of key look on the wire.

A key travels as a small protobuf, and its bytes must be canonical, because the peer id is made from
them:

    08 01 12 20 1ed1e8fa…    Type = 1 (Ed25519), Data = 32 bytes
    └Type┘└─── Data ────┘

What stands in Data:

              public                      private                           signature
    Ed25519   32 bytes                    64 bytes: seed, then public key   64 bytes
    Secp256k1 33 bytes: compressed point  32 bytes: the number              DER, low S
    ECDSA     DER SubjectPublicKeyInfo    DER ECPrivateKey (P-256)          DER
    RSA       DER SubjectPublicKeyInfo    DER PKCS#1                        PKCS#1 v1.5

All but Ed25519 sign the SHA-256 of the message. `keys.py` turns these bytes into `KeyPair` and
`PublicKey`.

Spec: peer-ids/peer-ids.md#keys
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from libp2p_lab.errors import MalformedMessage
from libp2p_lab.wire import protobuf

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # verifying takes time that grows with the square of the size; as go-libp2p
MAX_RSA_EXPONENT = (1 << 31) - 1  # and with the length of the exponent; as Go's crypto/rsa
MAX_KEY_LENGTH = 8192  # bytes of one encoded key; a private RSA key of 8192 bits takes 4.7 KB

_ED25519_FIELD = (1 << 255) - 19
_TYPE, _DATA = 1, 2  # field numbers of PublicKey and PrivateKey

PublicHandle = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateHandle = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyType(Enum):
    """The four kinds of key, with their numbers on the wire."""

    RSA = 0
    ED25519 = 1
    SECP256K1 = 2
    ECDSA = 3


_TYPES = {key_type.value: key_type for key_type in KeyType}


# -- the protobuf around every key -----------------------------------------------------------------


def encode(key_type: KeyType, raw: bytes) -> bytes:
    """The canonical protobuf of a key, public or private.

    Spec: peer-ids/peer-ids.md#keys
    """
    return protobuf.varint_field(_TYPE, key_type.value) + protobuf.bytes_field(_DATA, raw)


def decode(data: bytes) -> tuple[KeyType, bytes]:
    """Type and Data of a key, public or private.

    Raises: `MalformedMessage` unless there are exactly these two, in order, in their shortest form:
        one key must not have two encodings, for then it would have two peer ids.

    Spec: peer-ids/peer-ids.md#keys
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
    if encode(_TYPES[number], raw) != data:
        raise MalformedMessage("key protobuf is not in its shortest form")
    return _TYPES[number], raw


# -- public keys -----------------------------------------------------------------------------------


def type_of(key: object) -> KeyType:
    """Which of the four kinds this public key of the cryptography library is.

    Raises: `MalformedMessage` if it is none of them, or an RSA key too small or too large.
    """
    match key:
        case ed25519.Ed25519PublicKey():
            return KeyType.ED25519
        case ec.EllipticCurvePublicKey(curve=ec.SECP256K1()):
            return KeyType.SECP256K1
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return KeyType.ECDSA
        case rsa.RSAPublicKey():
            _check_rsa(key)
            return KeyType.RSA
        case _:
            raise MalformedMessage("libp2p does not use this kind of key")


def public_raw(key: PublicHandle) -> bytes:
    """The Data field of a public key."""
    encoding, form = serialization.Encoding, serialization.PublicFormat
    match key:
        case ed25519.Ed25519PublicKey():
            return key.public_bytes_raw()
        case ec.EllipticCurvePublicKey(curve=ec.SECP256K1()):
            return key.public_bytes(encoding.X962, form.CompressedPoint)
        case _:
            return key.public_bytes(encoding.DER, form.SubjectPublicKeyInfo)


@lru_cache(maxsize=1024)  # reading a key costs as much as half a verification
def load_public(key_type: KeyType, raw: bytes) -> PublicHandle:
    """The public key in a Data field.

    Raises: `MalformedMessage` if it is no key of that type.

    Spec: peer-ids/peer-ids.md#key-types
    """
    try:
        match key_type:
            case KeyType.ED25519:
                return _load_public_ed25519(raw)
            case KeyType.SECP256K1:
                return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), raw)
            case KeyType.ECDSA | KeyType.RSA:
                return _load_public_der(key_type, raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise MalformedMessage(f"not a public {key_type.name} key: {problem}") from None


def _load_public_ed25519(raw: bytes) -> ed25519.Ed25519PublicKey:
    key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    # y and y + field are the same point; only the first may name a peer
    if int.from_bytes(raw, "little") & (1 << 255) - 1 >= _ED25519_FIELD:
        raise MalformedMessage("Ed25519 public key is not in its canonical form")
    return key


def _load_public_der(key_type: KeyType, raw: bytes) -> PublicHandle:
    match key_type, serialization.load_der_public_key(raw):
        case KeyType.RSA, rsa.RSAPublicKey() as rsa_key:
            _check_rsa(rsa_key)
            return rsa_key
        case KeyType.ECDSA, ec.EllipticCurvePublicKey(curve=ec.SECP256R1()) as ec_key:
            return ec_key
        case _:
            raise MalformedMessage(f"not a public {key_type.name} key that libp2p uses")


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    """Refuse a key that is too weak, or so large that checking a signature is an attack on us."""
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise MalformedMessage(
            f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {key.key_size}"
        )
    if key.public_numbers().e > MAX_RSA_EXPONENT:
        raise MalformedMessage("RSA public exponent of more than 31 bits")


# -- private keys ----------------------------------------------------------------------------------


def private_raw(key: PrivateHandle) -> bytes:
    """The Data field of a private key."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return key.private_bytes_raw() + key.public_key().public_bytes_raw()
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256K1()):
            return key.private_numbers().private_value.to_bytes(32)
        case _:
            return key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )


def load_private(key_type: KeyType, raw: bytes) -> PrivateHandle:
    """The private key in a Data field.

    Raises: `MalformedMessage` if it is no key of that type.

    Spec: peer-ids/peer-ids.md#key-types
    """
    try:
        match key_type:
            case KeyType.ED25519:
                return _load_private_ed25519(raw)
            case KeyType.SECP256K1:
                if len(raw) != 32:
                    raise MalformedMessage(f"a private SECP256K1 key has 32 bytes, not {len(raw)}")
                return ec.derive_private_key(int.from_bytes(raw), ec.SECP256K1())
            case KeyType.ECDSA | KeyType.RSA:
                return _load_private_der(key_type, raw)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise MalformedMessage(f"not a private {key_type.name} key: {problem}") from None


def _load_private_ed25519(raw: bytes) -> ed25519.Ed25519PrivateKey:
    """64 bytes are seed and public key; in 96 an old version wrote the public key twice.

    Spec: peer-ids/peer-ids.md#ed25519
    """
    if len(raw) not in (64, 96):
        raise MalformedMessage(f"a private ED25519 key has 64 bytes (old: 96), not {len(raw)}")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])
    public = key.public_key().public_bytes_raw()
    if raw[32:] != public * (len(raw) // 32 - 1):
        raise MalformedMessage("the public half of this ED25519 key belongs to another key")
    return key


def _load_private_der(key_type: KeyType, raw: bytes) -> PrivateHandle:
    match key_type, serialization.load_der_private_key(raw, password=None):
        case KeyType.RSA, rsa.RSAPrivateKey() as rsa_key:
            return rsa_key
        case KeyType.ECDSA, ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()) as ec_key:
            return ec_key
        case _:
            raise MalformedMessage(f"not a private {key_type.name} key that libp2p uses")
