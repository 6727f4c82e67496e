"""Noise messages as fields: the three of the handshake, and those of the finished channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from libp2p_lab.security.noise import NoiseMessage
from libp2p_lab.security.noise_xx import TAG_LENGTH, HandshakeMessage
from libp2p_lab.widgets.fields import Field, Message, Opened, count_of, hex_of, opaque, text_or_hex
from libp2p_lab.widgets.multistream_fields import lines_in
from libp2p_lab.widgets.protobuf_fields import NOISE_PAYLOAD, dissect
from libp2p_lab.widgets.yamux_fields import frame_at

WIRE_FORMAT = "noise/README.md#wire-format"
PATTERN = "noise/README.md#xx"
STATIC_KEY = "noise/README.md#static-key-authentication"
CHACHA = "noise/README.md#cryptographic-primitives"

#: Takes decrypted bytes apart.
Dissector = Callable[[bytes], tuple[Field, ...]]

_TOKENS = {
    "e": "a fresh key of the sender",
    "s": "the sender's static key, encrypted",
    "ee": "both ephemeral keys are mixed in",
    "es": "the initiator's ephemeral with the responder's static key",
    "se": "the initiator's static with the responder's ephemeral key",
}
_ARROWS = ("→", "←", "→")


def handshake(what: HandshakeMessage, number: int) -> Message:
    """One of the three messages of the XX handshake, with its length prefix."""
    body = what.encode()
    data = len(body).to_bytes(4, "big")[-2:] + body
    found = [_length_prefix(data)]
    position = 2
    if what.ephemeral:
        end = position + len(what.ephemeral)
        found.append(
            Field(
                "e: ephemeral public key",
                position,
                end,
                hex_of(what.ephemeral, 32),
                "X25519, made for this connection and thrown away after it. In the clear.",
                PATTERN,
            )
        )
        position = end
    if what.static:
        opened = Opened(
            "decrypted",
            "security",
            what.static_key,
            (
                Field(
                    "static public key",
                    0,
                    len(what.static_key),
                    hex_of(what.static_key, 32),
                    "X25519. It is not the identity key: the payload's signature binds the two.",
                    "noise/README.md#static-key-authentication",
                ),
            ),
        )
        meaning = "The sender's Noise static key, encrypted: an onlooker cannot see who it is."
        found.append(_sealed("s: encrypted static key", position, what.static, meaning, opened))
        position += len(what.static)
    if what.payload:
        found.append(_handshake_payload(what, position, number))
    tokens = ", ".join(what.tokens)
    arrow = _ARROWS[number] if 0 <= number < len(_ARROWS) else "·"
    note = "; ".join(f"{token}: {_TOKENS[token]}" for token in what.tokens if token in _TOKENS)
    title = f"Noise handshake {number}  {arrow} {tokens}"
    return Message(title, "security", data, tuple(found), note)


def _handshake_payload(what: HandshakeMessage, start: int, number: int) -> Field:
    if what.payload == what.plaintext:
        meaning = "A payload in the clear: libp2p sends none here, nothing is secret yet."
        end = start + len(what.payload)
        return Field("payload", start, end, text_or_hex(what.payload), meaning, PATTERN)
    opened = Opened("decrypted", "security", what.plaintext, dissect(what.plaintext, NOISE_PAYLOAD))
    meaning = "Who is behind the static key: identity key, signature, extensions."
    if number == 1:
        meaning += " The initiator has not proven itself yet, so anybody may read this one."
    return _sealed("payload", start, what.payload, meaning, opened)


def _length_prefix(data: bytes) -> Field:
    meaning = "Bytes that follow, big-endian: 65535 at most."
    return Field("length", 0, 2, str(int.from_bytes(data[:2], "big")), meaning, WIRE_FORMAT)


def _sealed(name: str, start: int, sealed: bytes, meaning: str, opened: Opened) -> Field:
    """Ciphertext and its tag, with what is inside."""
    end = start + len(sealed)
    cut = max(start, end - TAG_LENGTH)
    tag = Field(
        "tag",
        cut,
        end,
        hex_of(sealed[cut - start :]),
        "Poly1305: a single changed byte, here or in the handshake before, and it does not fit.",
        CHACHA,
    )
    text = hex_of(sealed[: cut - start])
    cipher = Field("ciphertext", start, cut, text, "ChaCha20: as long as what is inside.", CHACHA)
    size = count_of(len(opened.data), "byte")
    return Field(name, start, end, f"{size} inside", meaning, CHACHA, "", (cipher, tag), opened)


def noise_message(what: NoiseMessage, number: int, inside: Dissector | None = None) -> Message:
    """One message of the finished channel, with what is inside."""
    data = what.encode()
    fields_inside = (inside or plain_fields)(what.plaintext)
    opened = Opened("decrypted", _layer_of(fields_inside), what.plaintext, fields_inside)
    nonce = number - 3
    meaning = (
        f"Encrypted with the key of this direction and the nonce {nonce}, which both sides count."
    )
    found = (_length_prefix(data), _sealed("message", 2, data[2:], meaning, opened))
    shown = " · ".join(_in_short(item) for item in fields_inside[:3])
    if len(fields_inside) > 3:
        shown += f" · and {len(fields_inside) - 3} more"
    return Message(f"Noise message {nonce}: {shown or 'empty'}", "security", data, found)


def _in_short(item: Field) -> str:
    return item.value if item.name in ("frame", "line") else item.summary


def _layer_of(found: Sequence[Field]) -> str:
    return found[0].layer if found else ""


def plain_fields(data: bytes) -> tuple[Field, ...]:
    """What stands in a decrypted message by itself: multistream lines, yamux frames, or bytes.

    A yamux frame begins with 0 (its version), a multistream line never does.
    """
    found, position = lines_in(data)
    found_all = list(found)
    while position < len(data):
        item = frame_at(data, position)
        if item is None:
            meaning = (
                "No frame begins here: the middle of one that began before, or another protocol."
            )
            found_all.append(opaque(data, position, len(data), "bytes", meaning))
            break
        found_all.append(item)
        position = item.end
    return tuple(found_all)
