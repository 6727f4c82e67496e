"""E8.4b: what a relay costs: bytes, delay, circuits and money for a given load."""

from __future__ import annotations

import math
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.limits import DEFAULT_LIMITS

RESERVATION = "relay/circuit-v2.md#reservation"
KEYS = ("relay_bytes", "added_delay", "circuits", "money")
GB = 10**9
CLOSE = 1e-9


def reference(
    load: tuple[float, float, float], ways: tuple[float, float, float], price: float
) -> dict[str, float]:
    """What is right."""
    there, back, seconds = load
    total = (there + back) * seconds
    limits = DEFAULT_LIMITS
    return {
        "relay_bytes": total,
        "added_delay": ways[0] + ways[1] - ways[2],
        "circuits": max(
            math.ceil(seconds / limits.relay_duration),
            math.ceil(there * seconds / limits.relay_data),
            math.ceil(back * seconds / limits.relay_data),
        ),
        "money": total / GB * price,
    }


def _loads(exam: Exam) -> list[tuple[str, tuple[int, int, int], tuple[float, float, float]]]:
    rng = exam.rng
    ways = (rng.randrange(10, 90) / 1000, rng.randrange(10, 90) / 1000, rng.randrange(5, 60) / 1000)
    return [
        ("a chat", (rng.randrange(20, 60), rng.randrange(20, 60), 3600), ways),
        ("a call by voice", (4000, 4000, rng.randrange(600, 1800)), ways),
        ("a file", (rng.randrange(100_000, 900_000), rng.randrange(100, 900), 60), ways),
        ("an answer to a short question", (rng.randrange(10, 90), 60_000, 30), (0.03, 0.04, 0.09)),
        ("as much as fits exactly", (1024, 512, 128), ways),
    ]


async def examine_cost(exam: Exam, answer: Any) -> None:
    """E8.4b: five loads."""
    compare = exam.callable_answer(answer, "a function cost(load, ways, price)")
    rules = {
        "relay_bytes": "bytes",
        "added_delay": "delay",
        "circuits": "circuits",
        "money": "money",
    }
    for name, load, ways in _loads(exam):
        price = exam.rng.randrange(1, 12) / 100
        got = exam.call(compare, load, ways, price)
        if not isinstance(got, dict) or set(got) != set(KEYS):
            exam.reject("wrong-type", f"cost gives a dict with {', '.join(KEYS)}", got=shown(got))
        right = reference(load, ways, price)
        exam.sent = f"{name}: cost({load}, {ways}, {price})"
        for key, rule in rules.items():
            if not isinstance(got[key], int | float):
                exam.reject("wrong-type", f"{key} is a number", got=shown(got[key]))
            exam.require(
                math.isclose(got[key], right[key], rel_tol=CLOSE, abs_tol=1e-12),
                rule,
                f"{key} of {name} is something else",
                got=shown(got[key]),
                expected=shown(right[key]),
            )
        exam.count("loads")


COST = Check(
    id="08.cost",
    exercise="E8.4b",
    title="What a relay costs",
    level="L2",
    points=2,
    objectives=("1.52",),
    starter='''\
def cost(load, ways, price):
    """What it costs to stay on a relay with the usual limits (120 s, 131072 bytes each way), beside a direct one.

    load: (bytes a second there, bytes a second back, seconds).
    ways: seconds one way: (a to the relay, the relay to b, a to b).
    price: of 10^9 bytes that leave the relay's machine; what comes in is free.
    Returns a dict: relay_bytes (that leave the relay), added_delay (seconds that each message takes longer; negative if
    it is there sooner), circuits (how many, one after the other), money.
    """
    raise NotImplementedError


await lab.check("08.cost", cost)
''',
    hints=(
        "Draw a message on its way through the relay, and count: over which lines does it go, and which of them does "
        "the relay pay for?",
        "What comes in goes out again, in both directions. A circuit ends at whichever limit comes first: seconds, "
        "bytes there, bytes back (circuit-v2.md, reservation).",
        "total = (there + back) * seconds; added_delay = ways[0] + ways[1] - ways[2]; circuits = max(ceil(seconds / "
        "120), ceil(there * seconds / 131072), ceil(back * seconds / 131072)); money = total / 1e9 * price.",
    ),
    rules=(
        Rule("bytes", "Each byte that comes in goes out once, there and back."),
        Rule(
            "delay",
            "Both ways with the relay in between, less the direct one. A detour may be the faster way.",
        ),
        Rule(
            "circuits",
            "The first limit that is reached ends a circuit, and each direction has its own bytes. Whole circuits.",
            RESERVATION,
        ),
        Rule("money", "What leaves the relay, by the price of 10^9 bytes."),
    ),
    examine=examine_cost,
)
