"""E3.2, the reference answer."""

import libp2p_lab as lab
from libp2p_lab.wire.protobuf import bytes_field, read_fields

PREFIX = b"noise-libp2p-static-key:"


def seal_payload(key, static_key):
    """The payload (bytes) by which the holder of `key` vouches for a Noise key."""
    return bytes_field(1, key.public.to_protobuf()) + bytes_field(2, key.sign(PREFIX + static_key))


def open_payload(payload, static_key):
    """The lab.PeerId of whoever vouches for `static_key`."""
    fields = {number: value for number, _, value in read_fields(payload)}
    identity = lab.PublicKey.from_protobuf(fields.get(1, b""))
    if not identity.verify(PREFIX + static_key, fields.get(2, b"")):
        raise ValueError("nobody vouches for this key")
    return lab.PeerId.from_public_key(identity)


answer = (seal_payload, open_payload)
