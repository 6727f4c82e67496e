"""E4.2, the reference answer."""

import struct

LAYOUT = ">BBHII"
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)


def look(type, stream_id):
    if type not in (DATA, WINDOW_UPDATE, PING, GO_AWAY):
        raise ValueError(f"there is no type {type}")
    if (stream_id == 0) != (type in (PING, GO_AWAY)):
        raise ValueError(f"type {type} on stream {stream_id}")


def encode(type, flags, stream_id, length):
    """The twelve bytes of a yamux header."""
    look(type, stream_id)
    if not (0 <= flags < 1 << 16 and 0 <= stream_id < 1 << 32 and 0 <= length < 1 << 32):
        raise ValueError("a number does not fit")
    return struct.pack(LAYOUT, 0, type, flags, stream_id, length)


def decode(data):
    """(type, flags, stream_id, length) of twelve bytes."""
    if len(data) != 12:
        raise ValueError(f"{len(data)} bytes are no header")
    version, type, flags, stream_id, length = struct.unpack(LAYOUT, data)
    if version != 0:
        raise ValueError(f"version {version} does not exist")
    look(type, stream_id)
    return type, flags, stream_id, length


answer = (encode, decode)
