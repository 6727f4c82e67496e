"""Peer ids: the name of a peer, made from its public key, so that nobody can take another's name.

    public key protobuf of at most 42 bytes (Ed25519, Secp256k1): identity multihash
        00 24 08011220…        written in base58: 12D3KooW…, 16Uiu2HA…
    longer (ECDSA, RSA): sha2-256 multihash
        12 20 68362c31…        written in base58: Qm…

Newer text is a CIDv1, which says what it is and fits into domain names: bafz….

Misconceptions: a peer id is made from the *public* key, not the private one. And an Ed25519 id is
not a hash: the key can be read out of it (`public_key`), so a signature by that peer can be checked
from its name alone.

Spec: peer-ids/peer-ids.md#peer-ids
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.wire import multibase

MAX_INLINE_KEY = 42  # bytes; a key protobuf up to this length stands in the id itself
MAX_TEXT = 512  # characters; the longest useful form (base2) has 375

_IDENTITY = 0x00
_SHA2_256 = b"\x12\x20"
_CID_PREFIX = b"\x01\x72"  # CID version 1, then the multicodec libp2p-key


@dataclass(frozen=True, slots=True, order=True)
class PeerId:
    """The name of a peer. Ordered, compared and hashed by its bytes.

    Attributes:
        multihash: the bytes, as drawn above.

    Raises: `MalformedMessage` if these bytes cannot be a peer id.
    """

    multihash: bytes

    def __post_init__(self) -> None:
        data = self.multihash
        if len(data) == 34 and data[:2] == _SHA2_256:
            return
        if (
            2 < len(data) <= 2 + MAX_INLINE_KEY
            and data[0] == _IDENTITY
            and data[1] == len(data) - 2
        ):
            return
        raise MalformedMessage(
            f"not a peer id: {data[:8].hex()}… is neither a sha2-256 multihash "
            f"nor an identity multihash of 1 to {MAX_INLINE_KEY} bytes"
        )

    def __hash__(self) -> int:
        return hash(self.multihash)

    def __bytes__(self) -> bytes:
        return self.multihash

    def __str__(self) -> str:
        return _text(self.multihash)

    def __repr__(self) -> str:
        return f"PeerId({str(self)!r})"

    def short(self) -> str:
        """The text's two ends, enough for people to tell a few peers apart: "12D3KooW…7R3pq"."""
        text = str(self)
        return text if len(text) <= 14 else f"{text[:8]}…{text[-5:]}"

    @classmethod
    def from_public_key(cls, key: PublicKey) -> PeerId:
        """The id of the peer that holds this key.

        Spec: peer-ids/peer-ids.md#peer-ids
        """
        encoded = key.to_protobuf()
        if len(encoded) <= MAX_INLINE_KEY:
            return cls(bytes((_IDENTITY, len(encoded))) + encoded)
        return cls(_SHA2_256 + hashlib.sha256(encoded).digest())

    def public_key(self) -> PublicKey | None:
        """The public key inside the id; `None` if the id is a hash.

        Raises: `MalformedMessage` if the id holds something else than a key.
        """
        if self.multihash[0] != _IDENTITY:
            return None
        return PublicKey.from_protobuf(self.multihash[2:])

    @classmethod
    def from_text(cls, text: str) -> PeerId:
        """Read either text form: base58 ("12D3KooW…", "Qm…") or a CIDv1 ("bafz…", any multibase).

        Raises: `LocalError` if it is neither.

        Spec: peer-ids/peer-ids.md#decoding
        """
        if len(text) > MAX_TEXT:
            raise LocalError(f"a peer id has at most {MAX_TEXT} characters, not {len(text)}")
        try:
            if text.startswith(("1", "Qm")):
                return cls(multibase.base58_decode(text))
            decoded = multibase.decode(text)
            if decoded[:2] != _CID_PREFIX:
                raise LocalError("it is not a CIDv1 of a libp2p key")
            return cls(decoded[2:])
        except (LocalError, MalformedMessage) as problem:
            raise LocalError(f"{text!r} is not a peer id: {problem}") from None

    def to_cid(self, base: str = "base32") -> str:
        """The newer text form: a CIDv1 with the codec libp2p-key, in any multibase.

        Spec: peer-ids/peer-ids.md#encoding
        """
        return multibase.encode(_CID_PREFIX + self.multihash, base)


@lru_cache(maxsize=2048)  # names are printed far more often than made; a pure function of the bytes
def _text(multihash: bytes) -> str:
    return multibase.base58_encode(multihash)
