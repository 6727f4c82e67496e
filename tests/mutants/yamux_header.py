from __future__ import annotations

import struct

from tests.mutants import Mutant


def encode(type, flags, stream_id, length):
    """Field by field."""
    if type not in range(4) or bool(stream_id) == (type > 1):
        raise ValueError(type)
    try:
        fields = ((0, 1), (type, 1), (flags, 2), (stream_id, 4), (length, 4))
        return b"".join(number.to_bytes(size, "big") for number, size in fields)
    except OverflowError as error:
        raise ValueError(str(error)) from None


def decode(data):
    """By slices, and by encoding again what was read."""
    fields = data[1], *(int.from_bytes(data[a:b], "big") for a, b in ((2, 4), (4, 8), (8, 12)))
    if len(data) != 12 or encode(*fields) != data:
        raise ValueError(data)
    return fields


def right_decode(data):
    if len(data) != 12:
        raise ValueError(len(data))
    return decode(data)


def packs(form, *order):
    """An encoder that refuses what it should, and packs otherwise."""

    def wrong(*fields):
        encode(*fields)
        values = (0, *fields)
        return struct.pack(form, *(values[index] for index in order))

    return wrong


def without_looking(type, flags, stream_id, length):
    return struct.pack(">BBHII", 0, type, flags, stream_id, length)


def unpacks(*checks):
    """A decoder that looks at some things only."""

    def wrong(data):
        if "length" in checks and len(data) != 12:
            raise ValueError(data)
        version, type, flags, stream_id, length = struct.unpack(">BBHII", data.ljust(12)[:12])
        if "version" in checks and version:
            raise ValueError(version)
        if "type" in checks and type > 3:
            raise ValueError(type)
        return type, flags, stream_id, length

    return wrong


def swapped(data):
    type, flags, stream_id, length = right_decode(data)
    return type, flags, length, stream_id


def cuts(type, flags, stream_id, length):
    if type not in range(4) or bool(stream_id) == (type > 1):
        raise ValueError(type)
    return struct.pack(">BBHII", 0, type, flags, stream_id & 0xFFFFFFFF, length & 0xFFFFFFFF)


def any_type(type, flags, stream_id, length):
    if bool(stream_id) == (type in (2, 3)):
        raise ValueError(type)
    return struct.pack(">BBHII", 0, type, flags, stream_id, length)


ANOTHER = (encode, right_decode)
MUTANTS = (
    Mutant((packs("<BBHII", 0, 1, 2, 3, 4), right_decode), "endian", "00 01 01 00"),
    Mutant((packs(">BBHII", 0, 1, 2, 4, 3), right_decode), "order"),
    Mutant((packs(">BBHII", 1, 0, 2, 3, 4), right_decode), "version"),
    Mutant((packs(">BHII", 1, 2, 3, 4), right_decode), "version"),
    Mutant((packs(">BBIII", 0, 1, 2, 3, 4), right_decode), "length", "14 bytes"),
    Mutant((packs(">BBHII", 0, 2, 1, 3, 4), right_decode), "fields"),
    Mutant((without_looking, right_decode), "session", "stream 5"),
    Mutant((any_type, right_decode), "unknown-type"),
    Mutant((cuts, right_decode), "range"),
    Mutant((encode, swapped), "fields"),
    Mutant((encode, unpacks()), "length", "eleven bytes"),
    Mutant((encode, unpacks("length")), "version", "version 1 does not exist"),
    Mutant((encode, unpacks("length", "version")), "unknown-type"),
    Mutant((encode, unpacks("length", "version", "type")), "session"),
    Mutant(encode, "wrong-type"),
)
