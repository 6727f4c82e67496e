"""Multiaddrs: addresses that say how to read themselves.

    /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW…

Each part names a protocol and, where it has one, gives its value; together they are a recipe: reach
this IP, open TCP to that port, expect that peer. On the wire a part is the protocol's code as a
varint, then the value; where the value's length is not fixed, a varint with the length stands
before it:

    04 7f000001     06 0fa1     a503 26 0024080112…
    ip4             tcp         p2p  38 bytes

Misconception: the text is not a path in a tree. Each part runs inside the one before it, as TCP
runs inside IP, and the order is part of the meaning: that is why one says *encapsulate*.

Spec: addressing/README.md#multiaddr-basics, https://github.com/multiformats/multiaddr
Deviation: text values that are not UTF-8, and unix paths that are relative or end in a slash, are
refused, so that every address that can be read can also be printed and read again.
"""

from __future__ import annotations

from dataclasses import dataclass

from libp2p_lab.errors import LocalError, MalformedMessage
from libp2p_lab.identity.multiaddr_protocols import (
    ALIASES,
    BY_CODE,
    BY_NAME,
    VARIABLE,
    check_value,
    value_to_bytes,
    value_to_text,
)
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.wire import varint

MAX_BYTES = (
    8 * 1024
)  # no address in use has more than a few hundred; an identify message holds 8 KiB in all
MAX_TEXT = 32 * 1024  # characters


@dataclass(frozen=True, slots=True)
class Part:
    """One protocol of an address, with its value.

    Attributes:
        code: the protocol's number, 6 say.
        name: its word, "tcp" say.
        value_bytes: the value on the wire, without a length in front; empty if the protocol has
            none.
    """

    code: int
    name: str
    value_bytes: bytes

    @property
    def value(self) -> str:
        """The value as text, "4001" say; empty if the protocol has none."""
        return value_to_text(BY_CODE[self.code], self.value_bytes) if self.value_bytes else ""

    def __str__(self) -> str:
        return f"/{self.name}/{self.value}" if self.value_bytes else f"/{self.name}"

    def encode(self) -> bytes:
        """The part on the wire."""
        protocol = BY_CODE[self.code]
        if protocol.size == VARIABLE:
            return protocol.prefix + varint.encode(len(self.value_bytes)) + self.value_bytes
        return protocol.prefix + self.value_bytes


class Multiaddr:
    """An address. Never changes; equal and hashed by its bytes.

    Args:
        address: its text ("/ip4/127.0.0.1/tcp/4001") or its bytes.

    Raises: `LocalError` if it is text and cannot be read; `MalformedMessage` if it is bytes and
        cannot be read.
    """

    __slots__ = ("_encoded", "_parts")

    def __init__(self, address: str | bytes) -> None:
        if isinstance(address, str):
            self._parts = _parse_text(address)
            self._encoded = b"".join([part.encode() for part in self._parts])
            if len(self._encoded) > MAX_BYTES:
                raise LocalError(f"an address has at most {MAX_BYTES} bytes")
        else:
            self._parts = _parse_bytes(address)
            self._encoded = bytes(address)

    @classmethod
    def of(cls, parts: tuple[Part, ...]) -> Multiaddr:
        """The address made of these parts; of none the empty address, which is false."""
        made = cls.__new__(cls)
        made._parts = parts
        made._encoded = b"".join([part.encode() for part in parts])
        return made

    # -- the two forms -----------------------------------------------------------------------------

    def __str__(self) -> str:
        return "".join([str(part) for part in self._parts])

    def __repr__(self) -> str:
        return f"Multiaddr({str(self)!r})"

    def __bytes__(self) -> bytes:
        return self._encoded

    def to_bytes(self) -> bytes:
        """The address on the wire."""
        return self._encoded

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Multiaddr) and self._encoded == other._encoded

    def __hash__(self) -> int:
        return hash(self._encoded)

    def __bool__(self) -> bool:
        return bool(self._parts)

    # -- looking inside ----------------------------------------------------------------------------

    @property
    def parts(self) -> tuple[Part, ...]:
        """The protocols with their values."""
        return self._parts

    @property
    def names(self) -> tuple[str, ...]:
        """The protocols alone: `("ip4", "tcp", "p2p")`. By these a transport knows its addresses."""
        return tuple([part.name for part in self._parts])

    def value_of(self, name: str) -> str | None:
        """The text of the first value of protocol `name`; `None` if it does not occur."""
        for part in self._parts:
            if part.name == name:
                return part.value
        return None

    @property
    def peer_id(self) -> PeerId | None:
        """Which peer answers there: the last /p2p.

        `None` if there is none, or only that of a relay (a /p2p-circuit follows).

        Spec: addressing/README.md#the-p2p-multiaddr
        """
        for part in reversed(self._parts):
            if part.name == "p2p":
                return PeerId(part.value_bytes)
            if part.name == "p2p-circuit":
                return None
        return None

    # -- building ----------------------------------------------------------------------------------

    def encapsulate(self, other: Multiaddr | str) -> Multiaddr:
        """This address with `other` wrapped around it. Also written `a / b`.

        Spec: addressing/README.md#encapsulation
        """
        return Multiaddr.of(self._parts + _as_multiaddr(other)._parts)

    def __truediv__(self, other: Multiaddr | str) -> Multiaddr:
        return self.encapsulate(other)

    def decapsulate(self, other: Multiaddr | str) -> Multiaddr:
        """What stands before the last occurrence of `other`; the whole address if there is none.

        Spec: addressing/README.md#decapsulation
        """
        wanted = _as_multiaddr(other)._parts
        for start in range(len(self._parts) - len(wanted), -1, -1):
            if self._parts[start : start + len(wanted)] == wanted:
                return Multiaddr.of(self._parts[:start])
        return self

    def without_peer(self) -> Multiaddr:
        """The address without a /p2p at its end."""
        if self._parts and self._parts[-1].name == "p2p":
            return Multiaddr.of(self._parts[:-1])
        return self

    def with_peer(self, peer_id: PeerId) -> Multiaddr:
        """The address with /p2p/`peer_id` at its end, in the place of any other."""
        peer = Part(BY_NAME["p2p"].code, "p2p", peer_id.multihash)
        if self._parts and self._parts[-1] == peer:
            return self
        return Multiaddr.of((*self.without_peer()._parts, peer))


def _as_multiaddr(address: Multiaddr | str) -> Multiaddr:
    return address if isinstance(address, Multiaddr) else Multiaddr(address)


def _parse_text(text: str) -> tuple[Part, ...]:
    """Raises: `LocalError`."""
    if len(text) > MAX_TEXT:
        raise LocalError(f"an address of {len(text)} characters; {MAX_TEXT} are the most")
    first, *words = text.rstrip("/").split("/")
    if first or not words:
        raise LocalError(f"an address begins with a slash and a protocol, unlike {text[:80]!r}")
    parts = []
    position = 0
    while position < len(words):
        name = words[position]
        protocol = BY_NAME.get(ALIASES.get(name, name))
        position += 1
        if protocol is None:
            raise LocalError(f"no protocol is called {name[:80]!r}, in {text[:200]!r}")
        if protocol.size == 0:
            parts.append(Part(protocol.code, protocol.name, b""))
            continue
        if position == len(words):
            raise LocalError(f"/{name} needs a value, in {text[:200]!r}")
        if protocol.is_path:
            value = "/" + "/".join(words[position:])
            position = len(words)
        else:
            value = words[position]
            position += 1
        parts.append(Part(protocol.code, protocol.name, value_to_bytes(protocol, value)))
    return tuple(parts)


def _parse_bytes(data: bytes) -> tuple[Part, ...]:
    """Raises: `MalformedMessage`."""
    if not 0 < len(data) <= MAX_BYTES:
        raise MalformedMessage(f"an address has 1 to {MAX_BYTES} bytes, not {len(data)}")
    parts = []
    offset = 0
    while offset < len(data):
        code, offset = varint.decode(data, offset)
        protocol = BY_CODE.get(code)
        if protocol is None:
            raise MalformedMessage(f"no multiaddr protocol has the code {code}")
        size = protocol.size
        if size == VARIABLE:
            size, offset = varint.decode(data, offset)
        elif size == 0:
            parts.append(Part(code, protocol.name, b""))
            continue
        value = bytes(data[offset : offset + size])
        if len(value) != size:
            raise MalformedMessage(
                f"/{protocol.name} announces {size} bytes, {len(value)} are left"
            )
        check_value(protocol, value)
        parts.append(Part(code, protocol.name, value))
        offset += size
    return tuple(parts)
