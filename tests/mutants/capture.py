"""Answers to E2.1. Each is made from the right one: slices for both directions."""

from __future__ import annotations

from tests.mutants import Mutant

WHOLE = 96


def sliced(sent, received):
    """Slices from how many bytes of each direction are negotiation."""
    return {
        direction: [(0, size, "negotiation"), (size, WHOLE, "payload")]
        for direction, size in (("sent", sent), ("received", received))
    }


def sizes(right):
    return right["sent"][0][1], right["received"][0][1]


def another(right):
    """Right too: slice by slice, in another order, beyond the end."""
    sent, received = sizes(right)
    return {
        "received": [
            (received, 5000, "payload"),
            (0, 20, "negotiation"),
            (20, received, "negotiation"),
        ],
        "sent": ((5, sent, "negotiation"), (0, 7, "negotiation"), (sent, WHOLE, "payload")),
    }


def changed(by_sent=0, by_received=0):
    def change(right):
        sent, received = sizes(right)
        return sliced(sent + by_sent, received + by_received)

    return change


def without_lengths(right):
    return {**right, "sent": [(0, 1, "payload"), (1, 40, "negotiation"), (40, WHOLE, "payload")]}


def only_the_header(right):
    return sliced(*(20 + 1 for _ in sizes(right)))


ANOTHER = another
MUTANTS = (
    Mutant(lambda right: {**right, "sent": [(0, WHOLE, "noise")]}, "no-label", "'noise'"),
    Mutant(
        lambda right: {**right, "sent": [(0, 50, "negotiation"), (30, WHOLE, "payload")]},
        "overlap",
        "byte 30",
    ),
    Mutant(lambda right: {**right, "sent": [(0, 40, "negotiation")]}, "gap", "byte 40"),
    Mutant(lambda right: sliced(*reversed(sizes(right))), "direction"),
    Mutant(without_lengths, "length-byte", "byte 0"),
    Mutant(changed(by_sent=-1), "newline", "0a"),
    Mutant(changed(by_received=-1), "newline", "received"),
    Mutant(only_the_header, "too-short", "byte 21"),
    Mutant(changed(by_sent=2), "too-far", "byte 40"),
    Mutant(sizes, "wrong-type"),
    Mutant(lambda right: {**right, "sent": 40}, "wrong-type"),
    Mutant(lambda right: {**right, "sent": [(0, "40", "payload")]}, "wrong-type"),
)
