"""Answers to E3.2."""

from __future__ import annotations

import libp2p_lab as lab
from libp2p_lab.security.noise import HandshakePayload
from libp2p_lab.wire.protobuf import bytes_field, read_fields
from tests.mutants import Mutant

PREFIX = b"noise-libp2p-static-key:"


def seal(key, static_key):
    """With the library's own class."""
    return HandshakePayload(key.public.to_protobuf(), key.sign(PREFIX + static_key)).encode()


def read(payload, static_key):
    """With the library's own class; the name as text."""
    return str(lab.PeerId.from_public_key(HandshakePayload.decode(payload).verify(static_key)))


def sealed(signed, number=2):
    """A payload whose signature is over what `signed` makes of key and static key."""

    def seal(key, static_key):
        signature = key.sign(signed(key, static_key))
        return bytes_field(1, key.public.to_protobuf()) + bytes_field(number, signature)

    return seal


def raw_key(key, static_key):
    return bytes_field(1, key.public.raw) + bytes_field(2, key.sign(PREFIX + static_key))


def fields(payload):
    return {number: value for number, _, value in read_fields(payload)}


def believes_all(payload, static_key):
    return lab.PeerId.from_public_key(lab.PublicKey.from_protobuf(fields(payload)[1]))


def reader(*prefixes):
    """Takes a signature over any of these."""

    def read(payload, static_key):
        found = fields(payload)
        key = lab.PublicKey.from_protobuf(found.get(1, b""))
        if not any(key.verify(prefix + static_key, found.get(2, b"")) for prefix in prefixes):
            raise ValueError("no")
        return lab.PeerId.from_public_key(key)

    return read


def without_key(payload, static_key):
    """Where there is no key, a key that everybody knows does."""
    if len(fields(payload).get(1, b"")) < 10:
        return read(ALWAYS, STATIC)
    return read(payload, static_key)


class Remembers:
    """Believes what it has believed once, over whichever key."""

    def __init__(self):
        self.seen = {}

    def __call__(self, payload, static_key):
        if payload not in self.seen:
            self.seen[payload] = read(payload, static_key)
        return self.seen[payload]


def lenient(payload, static_key):
    """What cannot be read is nobody's, and nobody is no error."""
    try:
        found = fields(payload)
    except lab.LabError:
        return None
    if 1 not in found or 2 not in found:
        return None if not found else read(payload, static_key)
    return read(payload, static_key)


def strict(payload, static_key):
    if set(fields(payload)) != {1, 2}:
        raise ValueError("unknown field")
    return read(payload, static_key)


def of_static(payload, static_key):
    read(payload, static_key)
    return lab.PeerId(b"\x00\x24\x08\x01\x12\x20" + static_key)


def crashes(payload, static_key):
    found = fields(payload)
    if not found[2]:
        raise ValueError("no signature")
    return read(payload, static_key)


KEY = lab.KeyPair.from_protobuf(
    bytes.fromhex(
        "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b"
        "871c3cacf6010f0e42d474fce27e"
    )
)
STATIC = bytes(32)
ALWAYS = seal(KEY, STATIC)

ANOTHER = (seal, read)
MUTANTS = (
    Mutant((sealed(lambda key, static: PREFIX + static, 3), read), "fields", "the fields 1, 3"),
    Mutant((lambda key, static: key.sign(PREFIX + static), read), "fields"),
    Mutant((raw_key, read), "key"),
    Mutant((sealed(lambda key, static: static), read), "prefix"),
    Mutant((sealed(lambda key, static: PREFIX[:-1] + static), read), "prefix"),
    Mutant((sealed(lambda key, static: PREFIX + key.public.to_protobuf()), read), "signed"),
    Mutant((seal, strict), "refuses", "muxers"),
    Mutant((seal, of_static), "who"),
    Mutant((seal, believes_all), "no-verify", "signed by another key"),
    Mutant((seal, reader(PREFIX, b"")), "no-prefix", "without the prefix"),
    Mutant((seal, reader(PREFIX, b"libp2p-tls-handshake:")), "no-prefix", "TLS"),
    Mutant((seal, without_key), "no-key", "no identity key"),
    Mutant((seal, Remembers()), "static", "another Noise key"),
    Mutant((seal, lenient), "garbage"),
    Mutant((seal, crashes), "garbage", "KeyError"),
    Mutant(seal, "wrong-type"),
)
