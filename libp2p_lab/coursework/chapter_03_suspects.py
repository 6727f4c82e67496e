"""Which mistake gives these bytes? A handshake that does not open is tried again, with one mistake made on purpose.

Everything that both sides have said goes into one hash, so one slip anywhere spoils all that follows and looks like
any other slip. Here the usual ones are made one by one, until the bytes of the student come out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from libp2p_lab.security.noise_xx import KEY_LENGTH, PROTOCOL_NAME, TAG_LENGTH, hkdf

_SEALED_KEY = KEY_LENGTH + TAG_LENGTH

#: A slip before the responder's static key is sealed, the rule that it breaks, and what to say.
SLIPS = (
    (
        "name",
        "start",
        "the name of the protocol was hashed, but it is just 32 bytes: h begins as it stands",
    ),
    (
        "no-prologue",
        "start",
        "the prologue was not mixed into h; it is empty, and still it is mixed in",
    ),
    (
        "no-payload",
        "start",
        "the payload of message 0 was not mixed into h; it is empty, and still it is mixed in",
    ),
    ("no-own-e", "transcript", "your own e was not mixed into h"),
    ("no-remote-e", "transcript", "the e that came in was not mixed into h"),
    ("no-associated", "transcript", "s is encrypted without h as associated data"),
)


@dataclass(frozen=True)
class Keys:
    """What the student's side holds after message 0."""

    static: X25519PrivateKey
    ephemeral: X25519PrivateKey
    remote_ephemeral: bytes


def _mix(h: bytes, data: bytes) -> bytes:
    return hashlib.sha256(h + data).digest()


def _seal(key: bytes, nonce: int, data: bytes, associated: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(bytes(4) + nonce.to_bytes(8, "little"), data, associated)


def _opens(key: bytes, nonce: int, sealed: bytes, associated: bytes) -> bool:
    try:
        ChaCha20Poly1305(key).decrypt(bytes(4) + nonce.to_bytes(8, "little"), sealed, associated)
    except InvalidTag:
        return False
    return True


def _until_static(keys: Keys, slip: str) -> tuple[bytes, bytes, bytes, bytes]:
    """ck, h, k before the static key is sealed, and the sealed key."""
    own = keys.ephemeral.public_key().public_bytes_raw()
    name = PROTOCOL_NAME if slip != "name" else hashlib.sha256(PROTOCOL_NAME).digest()
    mixed = (
        ("no-prologue", b""),
        ("no-remote-e", keys.remote_ephemeral),
        ("no-payload", b""),
        ("no-own-e", own),
    )
    h = name
    for left_out, data in mixed:
        h = h if slip == left_out else _mix(h, data)
    remote = X25519PublicKey.from_public_bytes(keys.remote_ephemeral)
    ck, k = hkdf(name, keys.ephemeral.exchange(remote))
    static = keys.static.public_key().public_bytes_raw()
    return ck, h, k, _seal(k, 0, static, b"" if slip == "no-associated" else h)


def responder_mistake(keys: Keys, got: bytes) -> tuple[str, str]:
    """The rule that the responder's message 1 breaks, and what to say.

    Args:
        got: the message.
    """
    sealed, payload = got[KEY_LENGTH : KEY_LENGTH + _SEALED_KEY], got[KEY_LENGTH + _SEALED_KEY :]
    for slip, rule, words in SLIPS:
        if sealed == _until_static(keys, slip)[3]:
            return rule, words
    ck, h, k, right = _until_static(keys, "")
    if sealed != right:
        if _opens(k, 1, sealed, h):
            return "counter", "s is encrypted with nonce 1; a new key begins at 0"
        return "tokens", "s is encrypted under another key than ee gives"
    remote = X25519PublicKey.from_public_bytes(keys.remote_ephemeral)
    _, after_es = hkdf(ck, keys.static.exchange(remote))
    after_s = _mix(h, sealed)
    static = keys.static.public_key().public_bytes_raw()
    if _opens(after_es, 1, payload, after_s):
        return (
            "counter",
            "the payload is encrypted with nonce 1, but es has made a new key: begin at 0",
        )
    if _opens(after_es, 0, payload, _mix(h, static)):
        return "transcript", "after s its plaintext was mixed into h, not what was sent"
    if _opens(after_es, 0, payload, h):
        return "transcript", "after s nothing was mixed into h"
    if _opens(k, 1, payload, after_s):
        return "tokens", "the payload is encrypted under the key of ee: es was left out"
    return (
        "tokens",
        "s opens, the payload does not: es mixes the initiator's e with the responder's s",
    )


def initiator_mistake(
    keys: Keys, before: tuple[bytes, bytes, bytes], got: bytes
) -> tuple[str, str]:
    """The rule that the initiator's message 2 breaks, and what to say.

    Args:
        before: ck, h and k as they are after message 1.
        got: the message.
    """
    ck, h, k = before
    sealed, payload = got[:_SEALED_KEY], got[_SEALED_KEY:]
    if _opens(k, 0, sealed, h):
        return (
            "counter",
            "s is encrypted with nonce 0, which message 1 has used: the key is the same, so it is 1",
        )
    if not _opens(k, 1, sealed, h):
        return (
            "transcript",
            "s does not open: what came in with message 1 belongs into h as it was sent",
        )
    remote = X25519PublicKey.from_public_bytes(keys.remote_ephemeral)
    _, after_se = hkdf(ck, keys.static.exchange(remote))
    if _opens(after_se, 2, payload, _mix(h, sealed)):
        return (
            "counter",
            "the payload is encrypted with nonce 2, but se has made a new key: begin at 0",
        )
    return (
        "tokens",
        "s opens, the payload does not: se mixes the initiator's s with the responder's e",
    )
