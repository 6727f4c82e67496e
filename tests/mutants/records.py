"""E6.3: another right answer, and wrong ones."""

import functools

import libp2p_lab as lab
from tests.mutants import Mutant

PREFIX = b"libp2p-lab-note:"


def parts(value):
    if len(value) < 80:
        raise ValueError("too short")
    number, until = int.from_bytes(value[:8], "big"), int.from_bytes(value[8:16], "big")
    return number, until, value[:-64], value[-64:]


def owner(key):
    try:
        found = lab.PeerId(key[6:]).public_key()
    except lab.LabError:
        found = None
    if found is None:
        raise ValueError("nobody")
    return found


def validate(key, value, now):
    _, until, signed, signature = parts(value)
    if until <= now:
        raise ValueError("over")
    if not owner(key).verify(PREFIX + signed, signature):
        raise ValueError("forged")


def select(key, values):
    def order(a, b):
        one, other = (*parts(values[a])[:2], values[a]), (*parts(values[b])[:2], values[b])
        return (one > other) - (one < other)

    return sorted(range(len(values)), key=functools.cmp_to_key(order))[-1]


def believes(key, value, now):
    """Looks at the time only."""
    if parts(value)[1] <= now:
        raise ValueError("over")


def text_only(key, value, now):
    """Somebody who signs the text and believes the numbers."""
    _, until, signed, signature = parts(value)
    if until <= now:
        raise ValueError("over")
    public = owner(key)
    heads = [
        signed[:16],
        *((n).to_bytes(8, "big") + signed[8:16] for n in (5,)),
        signed[:8] + (1_800_000_060).to_bytes(8, "big"),
    ]
    if not any(public.verify(PREFIX + head + signed[16:], signature) for head in heads):
        raise ValueError("forged")


def no_prefix(key, value, now):
    _, until, signed, signature = parts(value)
    public = owner(key)
    if until <= now or not (
        public.verify(PREFIX + signed, signature) or public.verify(signed, signature)
    ):
        raise ValueError("no")


def for_ever(key, value, now):
    _, _, signed, signature = parts(value)
    if not owner(key).verify(PREFIX + signed, signature):
        raise ValueError("forged")


def a_second_late(key, value, now):
    validate(key, value, now - 1)


def other_errors(key, value, now):
    if len(value) < 80:
        raise IndexError("short")
    validate(key, value, now)


def anybody(key, value, now):
    """Believes whoever signs well, whatever the name."""
    try:
        public = owner(key)
    except ValueError:
        return
    _, until, signed, signature = parts(value)
    if until <= now or not public.verify(PREFIX + signed, signature):
        raise ValueError("no")


def no_empty_text(key, value, now):
    if len(value) <= 80:
        raise ValueError("empty")
    validate(key, value, now)


def first(key, values):
    return 0


def by_last_byte(key, values):
    return max(range(len(values)), key=lambda n: (values[n][7], values[n][8:]))


def shorter(key, values):
    return max(
        range(len(values)), key=lambda n: (parts(values[n])[0], -parts(values[n])[1], values[n])
    )


def by_order(key, values):
    return max(range(len(values)), key=lambda n: parts(values[n])[:2])


ANOTHER = (validate, select)
MUTANTS = [
    Mutant((believes, select), "forged"),
    Mutant((text_only, select), "number-unsigned"),
    Mutant((no_prefix, select), "prefix"),
    Mutant((for_ever, select), "expired"),
    Mutant((a_second_late, select), "expired"),
    Mutant((other_errors, select), "broken"),
    Mutant((anybody, select), "name"),
    Mutant((no_empty_text, select), "too-strict"),
    Mutant((validate, first), "newest"),
    Mutant((validate, by_last_byte), "newest"),
    Mutant((validate, shorter), "longest"),
    Mutant((validate, by_order), "stable"),
    Mutant(validate, "wrong-type"),
]
