"""Unsigned varints: a number in as few bytes as it needs.

Seven bits a byte, the lowest first; the top bit says "more follows":

    300 = 0b10_0101100        →  1_0101100  0_0000010   =  ac 02
                                 more       last

multiformats allows nine bytes at most and demands the shortest form, so that a value has one
encoding only.

Spec: https://github.com/multiformats/unsigned-varint
"""

from __future__ import annotations

from libp2p_lab.errors import LocalError, MalformedMessage

MAX_LENGTH = 9  # bytes
MAX_VALUE = (1 << 63) - 1

_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def encode(value: int) -> bytes:
    """The shortest encoding of `value`, 0 ≤ value < 2^63.

    Raises: `LocalError` outside that range.
    """
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if not 0 <= value <= MAX_VALUE:
        raise LocalError(f"a varint holds 0 to 2^63-1, not {value}")
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode(data: bytes | bytearray | memoryview, offset: int = 0) -> tuple[int, int]:
    """Read the varint at `offset`.

    Returns: the value, and the offset of the byte after it.

    Raises: `MalformedMessage` if it is cut off, longer than nine bytes, or not the shortest form.
    """
    value = 0
    for index in range(MAX_LENGTH):
        position = offset + index
        if position >= len(data):
            raise MalformedMessage("varint cut off")
        byte = data[position]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise MalformedMessage("varint is not in its shortest form")
            return value, position + 1
    raise MalformedMessage("varint longer than nine bytes")
