"""Multihash: a digest that says which function made it and how long it is.

    12 20 b94d27b9…      12 = sha2-256, 20 = 32 bytes follow
    00 24 08011220…      00 = identity: no hash at all, the data itself follows

Code and length are varints. A digest may be shorter than its function gives (a truncated hash),
never longer.

Misconception: a multihash is not always a hash. Peer ids of Ed25519 keys are identity multihashes,
so the whole public key can be read out of them.

Spec: https://github.com/multiformats/multihash
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.wire import varint

IDENTITY = 0x00
SHA2_256 = 0x12

#: name → (code, full length in bytes, the name in hashlib or "" where Python has no such function)
FUNCTIONS = {
    "identity": (IDENTITY, -1, ""),  # -1: any length
    "sha1": (0x11, 20, "sha1"),
    "sha2-256": (SHA2_256, 32, "sha256"),
    "sha2-512": (0x13, 64, "sha512"),
    "sha3-512": (0x14, 64, "sha3_512"),
    "sha3-384": (0x15, 48, "sha3_384"),
    "sha3-256": (0x16, 32, "sha3_256"),
    "sha3-224": (0x17, 28, "sha3_224"),
    "shake-128": (0x18, 32, "shake_128"),
    "shake-256": (0x19, 64, "shake_256"),
    "keccak-224": (0x1A, 28, ""),
    "keccak-256": (0x1B, 32, ""),
    "keccak-384": (0x1C, 48, ""),
    "keccak-512": (0x1D, 64, ""),
    "sha2-384": (0x20, 48, "sha384"),
    "sha2-224": (0x1013, 28, "sha224"),
    **{f"blake2b-{8 * n}": (0xB200 + n, n, "blake2b") for n in range(1, 65)},
    **{f"blake2s-{8 * n}": (0xB240 + n, n, "blake2s") for n in range(1, 33)},
}
_NAMES = {code: name for name, (code, _, _) in FUNCTIONS.items()}


class Multihash(NamedTuple):
    """A multihash taken apart.

    Attributes:
        code: which function.
        digest: what it gave (for identity: the data itself).
    """

    code: int
    digest: bytes

    @property
    def name(self) -> str:
        """The function's name, or its code in hexadecimal if the table lacks it."""
        return _NAMES.get(self.code, hex(self.code))


def encode(code: int, digest: bytes) -> bytes:
    """The multihash of a digest that is there already."""
    return varint.encode(code) + varint.encode(len(digest)) + digest


def decode(data: bytes) -> Multihash:
    """Take a multihash apart. Codes that the table lacks are fine: their digest is of any length.

    Raises: `MalformedMessage` if the length does not fit, or is more than the function can give.
    """
    code, offset = varint.decode(data)
    length, offset = varint.decode(data, offset)
    if len(data) - offset != length:
        raise MalformedMessage(
            f"multihash announces {length} bytes of digest, {len(data) - offset} follow"
        )
    name = _NAMES.get(code)
    full = FUNCTIONS[name][1] if name else -1
    if 0 <= full < length:
        raise MalformedMessage(f"{name} gives {full} bytes, the multihash holds {length}")
    return Multihash(code, bytes(data[offset:]))


def digest(name: str, data: bytes, length: int | None = None) -> bytes:
    """Hash `data` and return the multihash.

    Args:
        name: a name from `FUNCTIONS`.
        data: what to hash.
        length: keep only so many bytes of the digest; all of them by default.

    Raises: `LocalError` if Python cannot compute that function, or the length is out of range.
    """
    if name not in FUNCTIONS:
        raise LocalError(f"no hash function is called {name!r}")
    code, full, _ = FUNCTIONS[name]
    if length is not None and (length < 0 or 0 <= full < length):
        raise LocalError(f"{name} cannot give {length} bytes")
    return encode(code, _hash(name, data)[:length])


def verify(multihash: bytes, data: bytes) -> bool:
    """Whether `multihash` is one of `data`.

    Raises: `MalformedMessage` if it does not parse; `LocalError` if Python cannot compute its
        function.
    """
    wanted = decode(multihash)
    return _hash(wanted.name, data)[: len(wanted.digest)] == wanted.digest


def _hash(name: str, data: bytes) -> bytes:
    if name == "identity":
        return data
    _, length, python_name = FUNCTIONS.get(name, (0, 0, ""))
    match python_name:
        case "":
            raise LocalError(f"Python's hashlib does not have {name}")
        case "blake2b":
            return hashlib.blake2b(data, digest_size=length).digest()
        case "blake2s":
            return hashlib.blake2s(data, digest_size=length).digest()
        case "shake_128":
            return hashlib.shake_128(data).digest(length)
        case "shake_256":
            return hashlib.shake_256(data).digest(length)
        case _:
            return hashlib.new(python_name, data).digest()
