"""Answers to E0.1. Each is made from what the record says and from the two ends of the connection."""

from __future__ import annotations

from tests.mutants import Mutant


def another(right):
    """Right too: the address with the peer's id behind it, the protocols as a set."""
    addr = f"{right['addr']}/p2p/{right['peer_id']}"
    return {**right, "addr": addr, "protocols": set(right["protocols"])}


ANOTHER = another

MUTANTS = (
    Mutant(lambda right: {**right, "peer_id": right["own_id"]}, "own-id", "the peer that dialled"),
    Mutant(lambda right: {**right, "peer_id": "12D3KooW"}, "peer-id", "no connection leads"),
    Mutant(lambda right: {**right, "addr": right["local_addr"]}, "local-addr", "the near end"),
    Mutant(lambda right: {**right, "addr": "/ip4/127.0.0.1/tcp/1"}, "addr", "not where it dialled"),
    Mutant(
        lambda right: {**right, "protocols": [*right["protocols"], "/tls/1.0.0"]},
        "protocols-invented",
        "/tls/1.0.0",
    ),
    Mutant(
        lambda right: {**right, "protocols": right["protocols"][:1]},
        "protocols-missing",
        "more protocol(s)",
    ),
)
