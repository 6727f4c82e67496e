"""Private networks: whoever does not have the key understands not one byte, not even which protocol is spoken.

Every member has the same 32 bytes, in a file that is usually named `swarm.key`:

    /key/swarm/psk/1.0.0/
    /base16/
    6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683

Each side of a connection begins with 24 bytes of chance, the nonce. Behind it everything is xored with a stream of
bytes that key and nonce give (XSalsa20), the negotiation and the handshake of chapter 03 included:

    | nonce: 24 | bytes xor XSalsa20(key, nonce) … |        in each direction its own

This keeps strangers out and does no more: it has no tags, so a changed byte is a changed byte, and no names. That is
what Noise or TLS inside are for.

XSalsa20 is Salsa20 with a long nonce: its first 16 bytes and the key make another key (HSalsa20), its last 8 bytes are
the nonce that Salsa20 takes.

Specs: pnet/Private-Networks-PSK-V1.md and https://cr.yp.to/snuffle/xsalsa-20110204.pdf
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from libp2p_lab.errors import ConnectionLost, LocalError
from libp2p_lab.wire.byte_stream import Buffer, ByteStream

if TYPE_CHECKING:
    from Crypto.Cipher.Salsa20 import Salsa20Cipher

KEY_LENGTH = 32
NONCE_LENGTH = 24
FORCE = "LIBP2P_FORCE_PNET"  # the environment variable that forbids a host without a key
_TITLE = b"/key/swarm/psk/1.0.0/"
_MAX_FILE = 1024  # bytes


# -- the key ----------------------------------------------------------------------------------------------------


def decode_swarm_key(data: bytes) -> bytes:
    """The key in a file's bytes: 32 bytes.

    Spec: pnet/Private-Networks-PSK-V1.md#interface

    Raises: `LocalError` if it is no such file.
    """
    title, _, rest = data.partition(b"\n")
    if title.removesuffix(b"\r") != _TITLE:
        raise LocalError(f"a swarm key begins with {_TITLE.decode()}")
    encoding, _, body = rest.partition(b"\n")
    try:
        match encoding.removesuffix(b"\r"):
            case b"/base16/":
                key = bytes.fromhex(body.decode("ascii").strip())
            case b"/base64/":
                key = base64.b64decode(body.strip(), validate=True)
            case b"/bin/":
                key = body
            case other:
                raise LocalError(f"a swarm key is in /base16/, /base64/ or /bin/, not in {other!r}")
    except (ValueError, binascii.Error):
        raise LocalError("the swarm key is not in the encoding that it names") from None
    if len(key) != KEY_LENGTH:
        raise LocalError(f"a swarm key has {KEY_LENGTH} bytes, not {len(key)}")
    return key


def encode_swarm_key(key: bytes) -> bytes:
    """The file for a key, as every implementation reads it.

    Raises: `LocalError` unless the key has 32 bytes.
    """
    if len(key) != KEY_LENGTH:
        raise LocalError(f"a swarm key has {KEY_LENGTH} bytes, not {len(key)}")
    return _TITLE + b"\n/base16/\n" + key.hex().encode() + b"\n"


def load_swarm_key(path: str | os.PathLike[str]) -> bytes:
    """The key in a file, for `Host(psk=…)`.

    Raises: `LocalError` if there is no such file, or no key in it.
    """
    try:
        with Path(path).open("rb") as file:
            return decode_swarm_key(file.read(_MAX_FILE))
    except OSError as problem:
        raise LocalError(f"cannot load the swarm key: {problem}") from problem


def fingerprint(key: bytes) -> bytes:
    """16 bytes that tell one key from another and may be shown to anybody; as Kubo and rust-libp2p print them."""
    return hashlib.shake_128(_salsa20(key, b"finprint").encrypt(bytes(64))).digest(16)


def check_forced(key: bytes | None) -> None:
    """Refuse to go on without a key where the environment says LIBP2P_FORCE_PNET=1.

    Spec: pnet/Private-Networks-PSK-V1.md#safeguard

    Raises: `LocalError`.
    """
    if key is None and os.environ.get(FORCE) == "1":
        raise LocalError(f"{FORCE}=1, and this host has no swarm key: it would be a public one")


# -- the cipher -------------------------------------------------------------------------------------------------


def hsalsa20(key: bytes, nonce: bytes) -> bytes:
    """Another key, from a key of 32 bytes and a nonce of 16.

    The key, the nonce and four words of text fill a square of 16 words. Twenty rounds mix its columns and its rows in
    turn, each word with its neighbours by add, rotate and xor. Eight of the words are the result.
    """
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", nonce)
    c = struct.unpack("<4I", b"expand 32-byte k")
    x = [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]
    for _ in range(10):
        for quarter in _COLUMNS + _ROWS:
            _quarter_round(x, *quarter)
    return struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))


def _quarter_round(x: list[int], a: int, b: int, c: int, d: int) -> None:
    x[b] ^= _rotate(x[a] + x[d], 7)
    x[c] ^= _rotate(x[b] + x[a], 9)
    x[d] ^= _rotate(x[c] + x[b], 13)
    x[a] ^= _rotate(x[d] + x[c], 18)


def _rotate(word: int, by: int) -> int:
    word &= 0xFFFFFFFF
    return (word << by | word >> 32 - by) & 0xFFFFFFFF


def xsalsa20(key: bytes, nonce: bytes) -> Salsa20Cipher:
    """The stream cipher of one direction; its `encrypt` goes on where the last call ended."""
    return _salsa20(hsalsa20(key, nonce[:16]), nonce[16:])


def _salsa20(key: bytes, nonce: bytes) -> Salsa20Cipher:
    from Crypto.Cipher import Salsa20

    return Salsa20.new(key=key, nonce=nonce)


# -- the stream -------------------------------------------------------------------------------------------------


class PrivateStream:
    """A byte stream that only members of the network understand.

    Neither side waits: our nonce leaves with our first bytes, theirs is read before their first.

    Args:
        raw: the stream below.
        key: the network's key, 32 bytes.
        chance: gives that many bytes of chance; only simulations replace it.
    """

    __slots__ = ("_chance", "_decrypt", "_encrypt", "_key", "_nonce", "_raw")

    def __init__(
        self, raw: ByteStream, key: bytes, chance: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._raw = raw
        self._key = key
        self._chance = chance
        self._nonce = b""  # theirs, as far as it has arrived
        self._encrypt: Salsa20Cipher | None = None
        self._decrypt: Salsa20Cipher | None = None

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`.

        Raises: `ConnectionLost` if the stream below ends within the nonce.
        """
        while self._decrypt is None:
            data = await self._raw.read(NONCE_LENGTH - len(self._nonce))
            if not data:
                if self._nonce:
                    raise ConnectionLost("the stream ended within the nonce of the private network")
                return b""
            self._nonce += data
            if len(self._nonce) == NONCE_LENGTH:
                self._decrypt = xsalsa20(self._key, self._nonce)
        return self._decrypt.encrypt(await self._raw.read(n))  # xor twice gives the original

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        nonce = b""
        if self._encrypt is None:
            nonce = self._chance(NONCE_LENGTH)
            self._encrypt = xsalsa20(self._key, nonce)
        await self._raw.write(nonce + self._encrypt.encrypt(bytes(data)))

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        await self._raw.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self._raw.close()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._raw.reset()
