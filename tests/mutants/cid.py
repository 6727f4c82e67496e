"""E6.2: another right answer, and wrong ones."""

import hashlib

from tests.mutants import Mutant


def parse(data):
    if data.startswith(b"\x12\x20") and len(data) == 34:
        return 0, 112, data
    body, hashed = data[1:-34], data[-34:]
    ends = [n for n, byte in enumerate(body) if byte < 0x80]
    if data[:1] != b"\x01" or hashed[:2] != b"\x12\x20" or ends != [len(body) - 1]:
        raise ValueError(data)
    return 1, sum((byte & 127) << 7 * n for n, byte in enumerate(body)), hashed


def matches(data, content):
    return parse(data)[2] == b"\x12\x20" + hashlib.sha256(content).digest()


def one_byte_codec(data):
    if data[:2] == b"\x12\x20" and len(data) == 34:
        return 0, 0x70, data
    if data[:1] != b"\x01" or len(data) < 36:
        raise ValueError(data)
    return 1, data[1], data[2:]


def only_new(data):
    if data[:1] == b"\x12":
        raise ValueError("no version")
    return parse(data)


def raw_zero(data):
    version, codec, hashed = parse(data)
    return version, codec if version else 0x55, hashed


def careless(data):
    """Does not look at what stands behind."""
    if data[:2] == b"\x12\x20":
        return 0, 0x70, data[:34]
    codec, at = 0, 1
    for n in range(9):
        codec |= (data[at] & 127) << 7 * n
        at += 1
        if data[at - 1] < 128:
            break
    if data[0] != 1:
        raise ValueError(data)
    return 1, codec, data[at : at + 34]


def never(data, content):
    return False


def by_length(data, content):
    return bool(content)


ANOTHER = (parse, matches)
MUTANTS = [
    Mutant((one_byte_codec, matches), "version-1"),
    Mutant((only_new, matches), "raised"),
    Mutant((raw_zero, matches), "version-0"),
    Mutant((careless, matches), "broken"),
    Mutant((parse, never), "matches"),
    Mutant((parse, by_length), "verifies"),
    Mutant(parse, "wrong-type"),
]
