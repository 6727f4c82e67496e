"""E8.6: how wrong may the moment be, and what helps? A number found by simulation, and a better wait."""

from __future__ import annotations

import itertools
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.sim.timing import success

PROTOCOL = "relay/DCUtR.md#the-protocol"
EARLIEST, LATEST = 0.1, 0.17  # seconds: tests/sim/test_timing.py finds the half between the two
HARD = 0.16  # seconds of asymmetry, at which the spec's half brings one of three together
MEETINGS, EVEN = 6, 3
BETTER = 0.8


async def examine_timing(exam: Exam, answer: Any) -> None:
    """E8.6: the number, then the change, tried on uneven ways and on even ones."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not callable(answer[1]):
        exam.reject("wrong-type", "two things are asked for: (seconds, wait)", got=shown(answer))
    limit, wait = answer
    if not isinstance(limit, int | float) or isinstance(limit, bool):
        exam.reject("wrong-type", "the first is a number of seconds", got=shown(limit))
    exam.sent = f"the claim: fewer than half of the meetings work from {limit} s on"
    exam.require(
        EARLIEST <= limit <= LATEST,
        "number",
        "at that difference it is not half of them",
        got=f"{limit:g} s",
    )
    seed = exam.rng.randrange(1000)

    for rtt, attempt in itertools.product((0.05, 0.2, 0.5), (1, 2, 3)):
        got = exam.call(wait, rtt, attempt)
        if not isinstance(got, int | float) or isinstance(got, bool) or not 0 <= got < 10:
            exam.reject("wrong-type", "wait gives seconds, 0 or more", got=shown(got))
    exam.sent = f"{EVEN} meetings with your wait; both ways through the relay take as long"
    part = success(0.0, wait, n=EVEN, seed=seed)
    exam.require(
        part == 1.0,
        "spoils",
        "where both ways take as long, not all meetings work any more",
        got=f"{part:.0%}",
        expected="100 %",
    )
    exam.sent = f"{MEETINGS} meetings with your wait; one way takes {1000 * HARD:.0f} ms longer"
    part = success(HARD, wait, n=MEETINGS, seed=seed)
    exam.require(
        part >= BETTER,
        "no-better",
        "too few meetings work",
        got=f"{part:.0%}",
        expected=f"{BETTER:.0%} at least",
    )
    exam.note(
        f"{part:.0%} of the meetings work with your wait at a difference of {1000 * HARD:.0f} ms."
    )
    exam.count("meetings", MEETINGS + EVEN)


TIMING = Check(
    id="08.timing",
    exercise="E8.6",
    title="The wrong moment",
    level="L5",
    points=4,
    objectives=("1.52", "X.17"),
    starter='''\
from libp2p_lab.sim.timing import success

# success(0.05): the part of the meetings that work if one way through the relay takes 50 ms longer than the other.
limit = None  # from how many seconds on is it fewer than half of them?


def wait(rtt, attempt):
    """How long the one that was called waits after SYNC, in seconds.

    rtt: the round trip that it has measured, in seconds. attempt: 1, 2 or 3.
    """
    raise NotImplementedError


await lab.check("08.timing", (limit, wait))
''',
    hints=(
        "Call success with several differences, from 0 to 0.3, and look where it falls. Then draw the worst case: "
        "whose packet is there too early, and by how much?",
        "Half of a round trip is wrong by half of the difference, too much or too little, and nobody knows which. But "
        "there are three tries, and the second and the third need not make the same mistake (DCUtR.md, the protocol).",
        "It is about 0.13 s. First try: rtt / 2, for most ways are even. Second: some 80 ms more. Third: as much less "
        "than half, but never below 0.",
    ),
    rules=(
        Rule(
            "number",
            "Try success(x) for several x, with n=12 or more, and find where it passes 0.5. Seconds, not milliseconds.",
        ),
        Rule(
            "spoils",
            "Most ways are nearly even: the first try should stay as the spec has it.",
            PROTOCOL,
        ),
        Rule(
            "no-better",
            "The way there may be the longer one, or the way back: one of the later tries should wait longer than "
            "half, and one shorter.",
            PROTOCOL,
        ),
    ),
    examine=examine_timing,
    seeds=(1,),
    time_limit=60.0,
)
