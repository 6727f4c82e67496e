"""CIDs: the name of a piece of content is what it hashes to.

    version 0    12 20 <32 bytes>            a bare sha2-256 multihash, written in base58: Qm…
    version 1    01 <codec> <multihash>      written in any multibase: bafy…, bafk…

The codec says how to read the bytes (raw, dag-pb, …); the multihash says which bytes they are. Two CIDs with one
multihash name the same bytes, read in different ways: that is why the DHT's keys are multihashes.

Misconception: a CID says where something is. It says what; who has it must be asked.

Spec: https://github.com/multiformats/cid
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from libp2p_lab.errors import LabError, LocalError, MalformedMessage
from libp2p_lab.wire import multibase, multihash, varint

MAX_TEXT = 512  # characters
MIN_DIGEST = 20  # bytes, of a hash that proves anything


class Codec(IntEnum):
    """How the content is to be read; other numbers are kept as they are."""

    RAW = 0x55
    DAG_PB = 0x70
    DAG_CBOR = 0x71
    LIBP2P_KEY = 0x72


@dataclass(frozen=True, slots=True, order=True)
class CID:
    """The name of a piece of content.

    Attributes:
        version: 0 or 1.
        codec: how to read it.
        multihash: which bytes it is.

    Raises: `LocalError` for a version 0 of anything but dag-pb in sha2-256.
    """

    version: int
    codec: int
    multihash: bytes

    def __post_init__(self) -> None:
        if self.version not in (0, 1):
            raise LocalError(f"CIDs have version 0 or 1, not {self.version}")
        plain = len(self.multihash) == 34 and self.multihash[:2] == b"\x12\x20"
        if self.version == 0 and (self.codec != Codec.DAG_PB or not plain):
            raise LocalError("a CID of version 0 is dag-pb and sha2-256")

    @classmethod
    def of(cls, data: bytes, codec: int = Codec.RAW) -> CID:
        """The version 1 name of these bytes, by sha2-256."""
        return cls(1, codec, b"\x12\x20" + hashlib.sha256(data).digest())

    @classmethod
    def decode(cls, data: bytes) -> CID:
        """Read the bytes of a CID.

        Raises: `MalformedMessage`.
        """
        if len(data) == 34 and data[:2] == b"\x12\x20":
            return cls(0, Codec.DAG_PB, data)
        version, offset = varint.decode(data)
        if version != 1:
            raise MalformedMessage(f"CID of version {version}")
        codec, offset = varint.decode(data, offset)
        hashed = data[offset:]
        multihash.decode(hashed)
        return cls(1, codec, hashed)

    @classmethod
    def from_text(cls, text: str) -> CID:
        """Read `Qm…`, or any multibase.

        Raises: `LocalError`.
        """
        if len(text) > MAX_TEXT:
            raise LocalError(f"a CID has at most {MAX_TEXT} characters, not {len(text)}")
        try:
            if len(text) == 46 and text.startswith("Qm"):
                return cls.decode(multibase.base58_decode(text))
            found = cls.decode(multibase.decode(text))
        except LabError as error:
            raise LocalError(f"{text!r} is not a CID: {error}") from None
        if found.version == 0:
            raise LocalError(f"{text!r} is not a CID: version 0 has no multibase")
        return found

    def encode(self) -> bytes:
        """The bytes."""
        if self.version == 0:
            return self.multihash
        return b"\x01" + varint.encode(self.codec) + self.multihash

    def to_text(self, base: str = "base32") -> str:
        """The text; version 0 is always base58 without a letter in front."""
        if self.version == 0:
            return multibase.base58_encode(self.multihash)
        return multibase.encode(self.encode(), base)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"CID({str(self)!r})"

    def to_v1(self) -> CID:
        """The same content, named in version 1."""
        return CID(1, self.codec, self.multihash)

    def matches(self, data: bytes) -> bool:
        """Whether these bytes are what the CID names.

        False for hash functions that we do not have, and for digests so short that anybody could find other bytes.
        """
        try:
            wanted = multihash.decode(self.multihash)
            if wanted.name != "identity" and len(wanted.digest) < MIN_DIGEST:
                return False
            return multihash.verify(self.multihash, data)
        except LabError:
            return False
