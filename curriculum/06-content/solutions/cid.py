"""E6.2, the reference answer."""

import hashlib


def parse(data):
    """Version, codec, multihash."""
    if len(data) == 34 and data[:2] == b"\x12\x20":
        return 0, 0x70, data
    if data[:1] != b"\x01":
        raise ValueError("no CID of version 0 or 1")
    codec, shift, at = 0, 0, 1
    while True:
        if at >= len(data) or shift > 56:
            raise ValueError("the codec has no end")
        byte = data[at]
        codec |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            break
    if len(data) != at + 34 or data[at : at + 2] != b"\x12\x20":
        raise ValueError("no sha2-256 behind the codec")
    return 1, codec, data[at:]


def matches(data, content):
    """Whether this is the content."""
    return parse(data)[2][2:] == hashlib.sha256(content).digest()


answer = (parse, matches)
