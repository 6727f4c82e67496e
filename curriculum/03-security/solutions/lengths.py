"""E3.1, the reference answer."""


def field(size):
    """Bytes of a protobuf field that holds `size` bytes: a tag, the length as a varint, the bytes."""
    return 1 + (1 if size < 128 else 2) + size


def payload(key_size, signature_size, muxers):
    """Bytes of a payload before it is encrypted."""
    size = field(key_size) + field(signature_size)
    return size + (field(sum(field(len(muxer)) for muxer in muxers)) if muxers else 0)


def message_lengths(initiator, responder):
    """The lengths of the three handshake messages."""
    e, s, tag = 32, 32 + 16, 16
    return e, e + s + payload(*responder) + tag, s + payload(*initiator) + tag


answer = message_lengths
