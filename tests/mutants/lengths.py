"""Answers to E3.1."""

from __future__ import annotations

from libp2p_lab.security.noise import HandshakePayload
from tests.mutants import Mutant


def measured(side, muxers=None):
    """By making such a payload."""
    key, signature, own = side
    own = own if muxers is None else muxers
    return len(HandshakePayload(bytes(key), bytes(signature), tuple(own)).encode())


def another(initiator, responder):
    """Right, by measuring."""
    return [32, 96 + measured(responder), 64 + measured(initiator)]


def with_payload(size, e=32, s=48, tag=16, first=32):
    """Three lengths, from how large a payload is."""

    def lengths(initiator, responder):
        return first, e + s + size(responder) + tag, s + size(initiator) + tag

    return lengths


def swapped(initiator, responder):
    return another(responder, initiator)


def with_prefix(initiator, responder):
    return [length + 2 for length in another(initiator, responder)]


def flat_muxers(side):
    """The muxers stand in the payload itself."""
    return measured(side, ()) + sum(2 + len(muxer) for muxer in side[2])


def one_byte_lengths(side):
    key, signature, muxers = side
    inner = sum(2 + len(muxer) for muxer in muxers)
    return 4 + key + signature + (2 + inner if muxers else 0)


def bare(side):
    """Key and signature without tags and lengths."""
    return side[0] + side[1]


def always_32(initiator, responder):
    return 32, 200, 168


def with_e(initiator, responder):
    right = another(initiator, responder)
    return right[0], right[1], right[2] + 32


ANOTHER = another
MUTANTS = (
    Mutant(with_payload(measured, first=48 + 102), "first", "message 0"),
    Mutant(with_prefix, "prefix", "34"),
    Mutant(swapped, "whose"),
    Mutant(with_payload(measured, s=32, tag=0), "tags"),
    Mutant(with_payload(measured, s=32), "tags"),
    Mutant(with_payload(measured, tag=0), "tags"),
    Mutant(with_payload(measured, s=0), "static"),
    Mutant(with_payload(measured, e=0), "ephemeral"),
    Mutant(with_e, "ephemeral"),
    Mutant(with_payload(lambda side: measured(side, ())), "extension"),
    Mutant(with_payload(flat_muxers), "extension"),
    Mutant(with_payload(one_byte_lengths), "varint"),
    Mutant(with_payload(bare), "payload"),
    Mutant(always_32, "payload"),
    Mutant(lambda initiator, responder: 400, "wrong-type"),
)
