"""E1.6, the reference answer."""

from libp2p_lab.wire import varint
from libp2p_lab.wire.protobuf import bytes_field


def seal(key, domain, payload_type, payload):
    """The envelope (bytes) in which the holder of `key` says `payload`."""
    parts = (domain.encode(), payload_type, payload)
    signed = b"".join(varint.encode(len(part)) + part for part in parts)
    return (
        bytes_field(1, key.public.to_protobuf())
        + bytes_field(2, payload_type)
        + bytes_field(3, payload)
        + bytes_field(5, key.sign(signed))
    )


answer = seal
