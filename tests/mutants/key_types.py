"""Answers to E1.1. Each is made from the right one: a dict from peer ids to names of key types."""

from __future__ import annotations

from libp2p_lab.identity.keys import KeyType
from libp2p_lab.identity.peer_id import PeerId
from tests.mutants import Mutant


def another(right):
    """Right too: ids as PeerId, types as KeyType."""
    return {PeerId.from_text(peer): KeyType[name.upper()] for peer, name in right.items()}


def renamed(names):
    """Some types mistaken for others."""
    return lambda right: {peer: names.get(name, name) for peer, name in right.items()}


ANOTHER = another
MUTANTS = (
    Mutant(lambda right: {**right, "12D3KooW": "ed25519"}, "unknown-peer", "12D3KooW"),
    Mutant(renamed({"rsa": "dsa"}), "no-type", "'dsa'"),
    Mutant(lambda right: dict(list(right.items())[1:]), "missing", "1 more peer"),
    Mutant(renamed({"ecdsa": "ed25519"}), "hashed-or-not", "its id begins 1220"),
    Mutant(renamed({"secp256k1": "rsa"}), "hashed-or-not", "its id begins 0025"),
    Mutant(renamed({"secp256k1": "ed25519"}), "type-in-id", "00 25 08 02"),
    Mutant(renamed({"rsa": "ecdsa"}), "behind-the-hash", "08 00 12"),
    Mutant(list, "wrong-type"),
)
