"""Protocol buffers by hand: the few rules that libp2p's messages need.

A message is a row of fields in any order. Each begins with a varint, the tag, that holds the
field's number and how the value is laid out:

    08 01              tag 1·8+0: field 1, a varint         → 1
    12 03 61 62 63     tag 2·8+2: field 2, length, bytes    → b"abc"

Names, types and which fields must be there are not on the wire: they stand in the .proto file.
Strings, bytes and messages inside messages all look alike: a length and bytes. That is why a reader
can skip what it does not know, and why nothing here is recursive: an inner message is bytes until
somebody reads those.

Misconception: protobuf is not canonical. Fields may come in any order, twice, or with padded
varints, and still mean the same, so the hash of a message is not the hash of its meaning. Where
bytes are hashed or signed (keys, records) libp2p adds the missing rule: one order, shortest form,
nothing extra.

Keys use this file, because their bytes must be canonical. Other messages use Google's generated
code; a test holds the two equal.

Spec: https://protobuf.dev/programming-guides/encoding/
Deviation: groups (wire types 3 and 4, given up by protobuf long ago) are refused, not skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

from libp2p_lab.errors import LocalError, MalformedMessage

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types

MAX_VARINT = 10  # bytes: protobuf writes 64 bits in ten, one more than multiformats allows
MAX_SHORT = 5  # bytes: tags and lengths have 32 bits
MAX_FIELD_NUMBER = (1 << 29) - 1
_MASK64 = (1 << 64) - 1

#: number of the field, wire type, and value: an int for VARINT, the bytes themselves for the others
Field = tuple[int, int, int | bytes]


def read_fields(data: bytes) -> Iterator[Field]:
    """The fields of a message, one by one, as they stand in it.

    Raises: `MalformedMessage` if a field reaches past the end, or is of a kind that does not exist.
    """
    offset = 0
    while offset < len(data):
        tag, offset = read_varint(data, offset, MAX_SHORT)
        number, wire_type = tag >> 3, tag & 7
        if not 1 <= number <= MAX_FIELD_NUMBER:
            raise MalformedMessage(f"there is no protobuf field number {number}")
        match wire_type:
            case 0:  # VARINT
                value, offset = read_varint(data, offset)
                yield number, wire_type, value
                continue
            case 1:  # FIXED64
                length = 8
            case 5:  # FIXED32
                length = 4
            case 2:  # BYTES
                length, offset = read_varint(data, offset, MAX_SHORT)
            case _:
                raise MalformedMessage(f"protobuf field {number} has wire type {wire_type}")
        if length > len(data) - offset:
            raise MalformedMessage(
                f"protobuf field {number} announces {length} bytes, {len(data) - offset} are left"
            )
        yield number, wire_type, data[offset : offset + length]
        offset += length


def read_varint(data: bytes, offset: int = 0, max_length: int = MAX_VARINT) -> tuple[int, int]:
    """Read a varint as protobuf does: in its shortest form or not, 64 bits kept.

    Returns: the value, and the offset of the byte after it.

    Raises: `MalformedMessage` if it is cut off, or longer than `max_length` bytes.
    """
    value = 0
    for index in range(max_length):
        position = offset + index
        if position >= len(data):
            raise MalformedMessage("protobuf varint cut off")
        byte = data[position]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & _MASK64, position + 1
    raise MalformedMessage(f"protobuf varint longer than {max_length} bytes")


def write_varint(value: int) -> bytes:
    """The shortest varint of `value`, 0 ≤ value < 2^64.

    Raises: `LocalError` outside that range.
    """
    if not 0 <= value <= _MASK64:
        raise LocalError(f"a protobuf varint holds 0 to 2^64-1, not {value}")
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def text(value: str | bytes) -> str:
    """A string field as Google's code gives it: as `bytes` where it is not UTF-8, which no string may be.

    Raises: `MalformedMessage` for those.
    """
    if isinstance(value, str):
        return value
    raise MalformedMessage(f"protobuf string of {len(value)} bytes is not UTF-8")


def varint_field(number: int, value: int) -> bytes:
    """Field `number` holding an integer (or a bool, or an enum's number)."""
    return write_varint(number << 3 | VARINT) + write_varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    """Field `number` holding bytes, an encoded string, or an encoded message."""
    return write_varint(number << 3 | BYTES) + write_varint(len(value)) + value
