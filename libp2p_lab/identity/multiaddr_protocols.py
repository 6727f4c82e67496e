"""The table of multiaddr protocols, and how each one's value is written as text and as bytes.

A row is a code, a name, how long the value is, and its codec. To add a protocol, add a row.

Spec: https://github.com/multiformats/multiaddr/blob/master/protocols.csv
Deviation: the table gives /memory a value of any length; go-libp2p and rust-libp2p write eight
bytes, and so do we.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.wire import multibase, multihash, varint

VARIABLE = -1  # the value's length stands before it, as a varint


@dataclass(frozen=True, slots=True)
class ValueCodec:
    """How one kind of value is written.

    Attributes:
        to_bytes: from text; raises `LocalError`, `ValueError` or `MalformedMessage` if the text is
            none.
        to_text: from bytes; raises `MalformedMessage` or `ValueError` if the bytes are none.
        check: whether bytes of the right length can be such a value, if that is cheaper than
            `to_text`.
    """

    to_bytes: Callable[[str], bytes]
    to_text: Callable[[bytes], str]
    check: Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One row of the table.

    Attributes:
        code: the number on the wire.
        name: the word in the text.
        size: bytes of the value; 0 for none, `VARIABLE` for a length in front.
        codec: how the value is written; `None` if there is none.
        is_path: the value is a path and takes the rest of the text.
        prefix: the code as it stands on the wire.
    """

    code: int
    name: str
    size: int
    codec: ValueCodec | None
    is_path: bool
    prefix: bytes


# -- numbers ---------------------------------------------------------------------------------------


def _no_check(value: bytes) -> None:
    """Any bytes of the right length will do."""


def _number(text: str, bits: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) >> bits:
        raise ValueError(f"a number from 0 to {(1 << bits) - 1} is needed")
    return int(text)


def _number_codec(size: int) -> ValueCodec:
    return ValueCodec(
        to_bytes=lambda text: _number(text, 8 * size).to_bytes(size),
        to_text=lambda value: str(int.from_bytes(value)),
        check=_no_check,
    )


# -- IP addresses ----------------------------------------------------------------------------------


def _ip4_to_bytes(text: str) -> bytes:
    numbers = text.split(".")
    if len(numbers) != 4 or any(number != str(_number(number, 8)) for number in numbers):
        raise ValueError("four numbers with dots between are needed")  # 010 might be 8: refused
    return bytes(map(int, numbers))


def _ip4_to_text(value: bytes) -> str:
    return ".".join(map(str, value))


def _ip6_to_bytes(text: str) -> bytes:
    if "%" in text:
        raise ValueError("a zone stands before the address, as /ip6zone/eth0/ip6/…")
    return ipaddress.IPv6Address(text).packed


def _ip6_to_text(value: bytes) -> str:
    address = ipaddress.IPv6Address(value)
    if address.ipv4_mapped is not None:  # RFC 5952 section 5; older Pythons print hexadecimal
        return f"::ffff:{address.ipv4_mapped}"
    return str(address)


# -- words and paths -------------------------------------------------------------------------------


def _word_to_bytes(text: str) -> bytes:
    return text.encode()


def _word_to_text(value: bytes) -> str:
    text = value.decode()
    if "/" in text:
        raise ValueError("a slash inside a value")
    return text


def _path_to_text(value: bytes) -> str:
    text = value.decode()
    if not text.startswith("/") or text.endswith("/"):
        raise ValueError("a path begins with a slash and does not end with one")
    return text[1:]


_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")


def _http_path_to_bytes(text: str) -> bytes:
    if _BAD_ESCAPE.search(text):
        raise ValueError("% must be followed by two hexadecimal digits")
    return unquote_to_bytes(text)


def _http_path_to_text(value: bytes) -> str:
    return quote(value, safe="")


# -- hashes and ids --------------------------------------------------------------------------------


def _peer_to_bytes(text: str) -> bytes:
    return PeerId.from_text(text).multihash


def _peer_to_text(value: bytes) -> str:
    return str(PeerId(value))


def _certhash_to_bytes(text: str) -> bytes:
    value = multibase.decode(text)
    multihash.decode(value)
    return value


def _certhash_to_text(value: bytes) -> str:
    return multibase.encode(value, "base64url")


# -- onion and garlic: read and written, never dialled ---------------------------------------------


def _onion_codec(address_length: int) -> ValueCodec:
    """`<base32 address>:<port>`; the address in lower case without padding, the port not 0."""
    characters = address_length * 8 // 5

    def to_bytes(text: str) -> bytes:
        address, colon, port = text.partition(":")
        if len(address) != characters or not colon:
            raise ValueError(f"{characters} characters, a colon and a port are needed")
        value = base64.b32decode(address.encode("ascii").upper()) + _number(port, 16).to_bytes(2)
        check(value)
        return value

    def to_text(value: bytes) -> str:
        check(value)
        address = base64.b32encode(value[:-2]).decode().lower()
        return f"{address}:{int.from_bytes(value[-2:])}"

    def check(value: bytes) -> None:
        if value[-2:] == b"\0\0":
            raise ValueError("an onion address has no port 0")

    return ValueCodec(to_bytes, to_text, check)


def _garlic64_to_bytes(text: str) -> bytes:
    value = base64.b64decode(text, altchars=b"-~", validate=True)
    _garlic64_check(value)
    return value


def _garlic64_to_text(value: bytes) -> str:
    _garlic64_check(value)
    return base64.b64encode(value, altchars=b"-~").decode()


def _garlic64_check(value: bytes) -> None:
    if len(value) < 386:
        raise ValueError("an I2P destination has at least 386 bytes")


def _garlic32_to_bytes(text: str) -> bytes:
    value = base64.b32decode(text.encode("ascii").upper() + b"=" * (-len(text) % 8))
    _garlic32_check(value)
    return value


def _garlic32_to_text(value: bytes) -> str:
    _garlic32_check(value)
    return base64.b32encode(value).decode().lower().rstrip("=")


def _garlic32_check(value: bytes) -> None:
    if len(value) != 32 and len(value) < 35:
        raise ValueError("an I2P name has 32 bytes, or 35 and more")


# -- the table -------------------------------------------------------------------------------------

_IP4 = ValueCodec(_ip4_to_bytes, _ip4_to_text, _no_check)
_IP6 = ValueCodec(_ip6_to_bytes, _ip6_to_text, _no_check)
_PORT = _number_codec(2)
_WORD = ValueCodec(_word_to_bytes, _word_to_text, _word_to_text)
_PATH = ValueCodec(_word_to_bytes, _path_to_text, _path_to_text)
_HTTP_PATH = ValueCodec(_http_path_to_bytes, _http_path_to_text, _no_check)
_PEER = ValueCodec(_peer_to_bytes, _peer_to_text, PeerId)
_CERTHASH = ValueCodec(_certhash_to_bytes, _certhash_to_text, multihash.decode)
_GARLIC64 = ValueCodec(_garlic64_to_bytes, _garlic64_to_text, _garlic64_check)
_GARLIC32 = ValueCodec(_garlic32_to_bytes, _garlic32_to_text, _garlic32_check)


def _row(
    code: int, name: str, size: int = 0, codec: ValueCodec | None = None, is_path: bool = False
) -> Protocol:
    return Protocol(code, name, size, codec, is_path, varint.encode(code))


PROTOCOLS = (
    _row(4, "ip4", 4, _IP4),
    _row(6, "tcp", 2, _PORT),
    _row(33, "dccp", 2, _PORT),
    _row(41, "ip6", 16, _IP6),
    _row(42, "ip6zone", VARIABLE, _WORD),
    _row(43, "ipcidr", 1, _number_codec(1)),
    _row(53, "dns", VARIABLE, _WORD),
    _row(54, "dns4", VARIABLE, _WORD),
    _row(55, "dns6", VARIABLE, _WORD),
    _row(56, "dnsaddr", VARIABLE, _WORD),
    _row(132, "sctp", 2, _PORT),
    _row(273, "udp", 2, _PORT),
    _row(275, "p2p-webrtc-star"),
    _row(276, "p2p-webrtc-direct"),
    _row(277, "p2p-stardust"),
    _row(280, "webrtc-direct"),
    _row(281, "webrtc"),
    _row(290, "p2p-circuit"),
    _row(301, "udt"),
    _row(302, "utp"),
    _row(400, "unix", VARIABLE, _PATH, is_path=True),
    _row(421, "p2p", VARIABLE, _PEER),
    _row(443, "https"),
    _row(444, "onion", 12, _onion_codec(10)),
    _row(445, "onion3", 37, _onion_codec(35)),
    _row(446, "garlic64", VARIABLE, _GARLIC64),
    _row(447, "garlic32", VARIABLE, _GARLIC32),
    _row(448, "tls"),
    _row(449, "sni", VARIABLE, _WORD),
    _row(454, "noise"),
    _row(460, "quic"),
    _row(461, "quic-v1"),
    _row(465, "webtransport"),
    _row(466, "certhash", VARIABLE, _CERTHASH),
    _row(477, "ws"),
    _row(478, "wss"),
    _row(479, "p2p-websocket-star"),
    _row(480, "http"),
    _row(481, "http-path", VARIABLE, _HTTP_PATH),
    _row(777, "memory", 8, _number_codec(8)),
)

BY_CODE = {protocol.code: protocol for protocol in PROTOCOLS}
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
ALIASES = {"ipfs": "p2p"}  # read, never written


def value_to_bytes(protocol: Protocol, text: str) -> bytes:
    """The bytes of a value.

    Raises: `LocalError` if `text` is none of this protocol's.
    """
    assert protocol.codec is not None
    try:
        value = protocol.codec.to_bytes(text)
    except (ValueError, binascii.Error, LocalError, MalformedMessage) as problem:
        raise LocalError(f"/{protocol.name}/{text[:80]}: {problem}") from None
    if not value:
        raise LocalError(f"/{protocol.name} needs a value")
    return value


def value_to_text(protocol: Protocol, value: bytes) -> str:
    """The text of a value that has been checked."""
    assert protocol.codec is not None
    return protocol.codec.to_text(value)


def check_value(protocol: Protocol, value: bytes) -> None:
    """Raises: `MalformedMessage` if these bytes are no value of this protocol."""
    assert protocol.codec is not None
    if not value:
        raise MalformedMessage(f"/{protocol.name} with an empty value")
    try:
        protocol.codec.check(value)
    except ValueError as problem:
        raise MalformedMessage(f"/{protocol.name} with a bad value: {problem}") from None
