from __future__ import annotations

from libp2p_lab.identity.envelope import Envelope
from libp2p_lab.wire import varint
from libp2p_lab.wire.protobuf import bytes_field
from tests.mutants import Mutant


def by_the_library(key, domain, payload_type, payload):
    """With the library's own class."""
    return Envelope.seal(key, domain, payload_type, payload).encode()


def prefixed(*parts):
    return b"".join(varint.encode(len(part)) + part for part in parts)


def packed(key, payload_type, payload, signature, last=5):
    return (
        bytes_field(1, key.public.to_protobuf())
        + bytes_field(2, payload_type)
        + bytes_field(3, payload)
        + bytes_field(last, signature)
    )


def sealed(signed):
    """An envelope whose signature is over what `signed` makes of domain, type and payload."""

    def seal(key, domain, payload_type, payload):
        data = signed(domain.encode(), payload_type, payload)
        return packed(key, payload_type, payload, key.sign(data))

    return seal


def field_four(key, domain, payload_type, payload):
    data = prefixed(domain.encode(), payload_type, payload)
    return packed(key, payload_type, payload, key.sign(data), last=4)


def raw_key(key, domain, payload_type, payload):
    right = by_the_library(key, domain, payload_type, payload)
    own = key.public.to_protobuf()
    return bytes_field(1, key.public.raw) + right[len(bytes_field(1, own)) :]


def swaps_fields(key, domain, payload_type, payload):
    data = prefixed(domain.encode(), payload_type, payload)
    return packed(key, payload, payload_type, key.sign(data))


def not_packed(key, domain, payload_type, payload):
    return key.sign(prefixed(domain.encode(), payload_type, payload))


def as_hex(key, domain, payload_type, payload):
    return by_the_library(key, domain, payload_type, payload).hex()


ANOTHER = by_the_library
MUTANTS = (
    Mutant(field_four, "fields", "5 (signature)"),
    Mutant(swaps_fields, "fields", "field 2"),
    Mutant(not_packed, "fields"),
    Mutant(raw_key, "key"),
    Mutant(sealed(lambda domain, kind, payload: payload), "no-domain"),
    Mutant(sealed(lambda domain, kind, payload: prefixed(kind, payload)), "no-domain"),
    Mutant(sealed(lambda domain, kind, payload: prefixed(domain, payload)), "no-type"),
    Mutant(sealed(lambda domain, kind, payload: domain + kind + payload), "no-lengths"),
    Mutant(sealed(lambda domain, kind, payload: prefixed(kind, domain, payload)), "order"),
    Mutant(
        sealed(lambda *parts: b"".join(len(part).to_bytes(4, "big") + part for part in parts)),
        "signature",
        "does not hold",
    ),
    Mutant(as_hex, "wrong-type"),
)
