"""E1.4, the reference answer."""

import ipaddress

from libp2p_lab.wire.multibase import base58_decode, base58_encode

# name: (code, bytes of the value; 0 for none, -1 where a varint with the length stands in front)
PROTOCOLS = {
    "ip4": (4, 4),
    "ip6": (41, 16),
    "dns4": (54, -1),
    "tcp": (6, 2),
    "udp": (273, 2),
    "quic-v1": (461, 0),
    "ws": (477, 0),
    "p2p": (421, -1),
    "p2p-circuit": (290, 0),
}
BY_CODE = {code: (name, size) for name, (code, size) in PROTOCOLS.items()}


def uvarint_encode(number):
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F)
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def uvarint_decode(data):
    number = 0
    for position, byte in enumerate(data[:9]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if byte == 0 and position > 0:
                raise ValueError("not the shortest form")
            return number, position + 1
    raise ValueError("cut off, or longer than nine bytes")


def value_to_bytes(name, text):
    if name == "ip4":
        return ipaddress.IPv4Address(text).packed
    if name == "ip6":
        return ipaddress.IPv6Address(text).packed
    if name in ("tcp", "udp"):
        if not text.isdecimal() or int(text) > 65535:
            raise ValueError(f"{text!r} is no port")
        return int(text).to_bytes(2, "big")
    if name == "p2p":
        value = base58_decode(text)
        if value[:1] not in (b"\x00", b"\x12") or len(value) != value[1] + 2:
            raise ValueError(f"{text!r} is no peer id")
        return value
    return text.encode()


def value_to_text(name, value):
    if name in ("ip4", "ip6"):
        return str(ipaddress.ip_address(value))
    if name in ("tcp", "udp"):
        return str(int.from_bytes(value, "big"))
    return base58_encode(value) if name == "p2p" else value.decode()


def split(text):
    """An address as a list of parts: (name, value text or None)."""
    empty, *words = text.split("/")
    if empty or not words:
        raise ValueError("an address begins with a slash and a name")
    parts = []
    while words:
        name = words.pop(0)
        if name not in PROTOCOLS:
            raise ValueError(f"no protocol is called {name!r}")
        if PROTOCOLS[name][1] == 0:
            parts.append((name, None))
        elif words:
            parts.append((name, words.pop(0)))
        else:
            raise ValueError(f"/{name} needs a value")
    return parts


def join(parts):
    return "".join(f"/{name}" if value is None else f"/{name}/{value}" for name, value in parts)


class Codec:
    def to_bytes(self, text):
        """The bytes of an address; ValueError if the text is none."""
        data = b""
        for name, value in split(text):
            code, size = PROTOCOLS[name]
            data += uvarint_encode(code)
            if value is not None:
                encoded = value_to_bytes(name, value)
                data += (uvarint_encode(len(encoded)) if size < 0 else b"") + encoded
        return data

    def to_text(self, data):
        """The text of an address; ValueError if the bytes are none."""
        if not data:
            raise ValueError("no address")
        parts = []
        while data:
            code, used = uvarint_decode(data)
            data = data[used:]
            if code not in BY_CODE:
                raise ValueError(f"no protocol has the code {code}")
            name, size = BY_CODE[code]
            if size == 0:
                parts.append((name, None))
                continue
            if size < 0:
                size, used = uvarint_decode(data)
                data = data[used:]
            if len(data) < size:
                raise ValueError(f"/{name} is cut off")
            parts.append((name, value_to_text(name, data[:size])))
            data = data[size:]
        return join(parts)

    def encapsulate(self, outer, inner):
        """`inner` inside `outer`; all three are text."""
        return join(split(outer) + split(inner))

    def decapsulate(self, addr, part):
        """What stands before the last occurrence of `part`; the whole of `addr` if there is none."""
        parts, wanted = split(addr), split(part)
        for start in range(len(parts) - len(wanted), -1, -1):
            if parts[start : start + len(wanted)] == wanted:
                return join(parts[:start])
        return addr


answer = Codec
