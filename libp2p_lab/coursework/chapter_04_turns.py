"""E4.5: who goes first, in pieces of what size, and when? On a simulated link of 5 Mbit/s, all else real."""

from __future__ import annotations

import asyncio
from typing import Any

from libp2p_lab.coursework.chapter_04_turns_bench import (
    RATE,
    ROUND_TRIP,
    SPAN,
    Choice,
    Measured,
    Waiting,
    measure,
)
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import LabError

MOST_PING = 0.040  # seconds, for 95 of 100 pings
LEAST_SHARE = 0.85  # of what the link carries without pings
LONGEST_FRAME = 0.010  # seconds that a frame may keep the link busy before it counts as too long
FRAME_64K = 65507 / RATE  # seconds: what is to be predicted
FACTOR = 2.0  # how far off a prediction may be


def _watched(exam: Exam, answer: Any) -> Choice:
    """The student's function, its choices looked at before they are carried out."""
    turns = answer(RATE, ROUND_TRIP)
    if not callable(getattr(turns, "next", None)):
        exam.reject("wrong-type", "a Turns has a method next(waiting, now)", got=shown(turns))

    def choose(waiting: Waiting, now: float) -> Any:
        exam.sent = f"next(waiting={waiting}, now={now:.4f})"
        try:
            choice = turns.next(dict(waiting), now)
            exam.count("times asked")
            if isinstance(choice, tuple) and len(choice) == 2:
                stream_id, size = choice
                right = isinstance(size, int) and 0 < size <= waiting.get(stream_id, 0)
            else:
                right = isinstance(choice, int | float) and 0 < choice < 10
            exam.require(
                right,
                "choice",
                "this is neither a frame of a stream that waits, nor a time to wait",
                got=shown(choice),
                expected="(stream_id, size) or seconds",
            )
        except Exception as problem:
            exam.raised.append(problem)
            raise
        return choice

    return choose


def _judge(exam: Exam, found: Measured, naive: Measured) -> None:
    share = found.bulk / naive.bulk
    got = f"p95 {1000 * found.p95:.0f} ms, {share:.0%} of the throughput"
    expected = f"p95 below {1000 * MOST_PING:.0f} ms, {LEAST_SHARE:.0%} of the throughput or more"
    if found.p95 >= MOST_PING:
        if found.longest > RATE * LONGEST_FRAME:
            rule, why = "frame", f"the longest frame had {found.longest} bytes"
        elif found.ping_wait > LONGEST_FRAME:
            rule, why = "order", f"pings waited {1000 * found.ping_wait:.0f} ms for their turn"
        else:
            rule, why = "queue", "pings left at once, and waited on their way"
        exam.reject(rule, "pings take too long", got=got, expected=expected, departure=why)
    exam.require(
        share >= LEAST_SHARE, "throughput", "the transfer is too slow", got=got, expected=expected
    )
    exam.note(f"Seed {exam.seed}: {got}; the library's own order: p95 {1000 * naive.p95:.0f} ms.")


async def examine_turns(exam: Exam, answer: Any) -> None:
    """E4.5: the library's own order, then the student's, on the same link; then the prediction."""
    make = exam.callable_answer(answer, "a class Turns")
    choose = _watched(exam, make)
    seed = f"turns/{exam.seed}"
    naive = await asyncio.to_thread(measure, seed, None)
    try:
        found = await asyncio.to_thread(measure, seed, choose)
    except LabError as problem:
        exam.reject("starved", f"the connection stood still: {problem}")
    exam.sent = f"{SPAN:g} s of bulk and pings on a link of 5 Mbit/s"
    if exam.raised:
        return  # the worker names it
    exam.require(
        found.bulk > 0,
        "starved",
        "of the transfer nothing arrived",
    )
    _judge(exam, found, naive)
    predicted = exam.prediction
    if isinstance(predicted, bool) or not isinstance(predicted, int | float):
        exam.reject(
            "prediction", "a number of milliseconds was to be predicted", got=shown(predicted)
        )
    milliseconds = 1000 * FRAME_64K
    exam.require(
        milliseconds / FACTOR <= predicted <= milliseconds * FACTOR,
        "prediction",
        f"you predicted {predicted:g} ms",
        got=f"{predicted:g} ms",
        expected=f"65507 bytes at {RATE:.0f} bytes a second: {milliseconds:.0f} ms",
    )


TURNS = Check(
    id="04.turns",
    exercise="E4.5",
    title="Who goes first?",
    level="L5",
    points=4,
    objectives=("1.24", "X.7"),
    starter='''\
class Turns:
    """Decides what the sender's muxer sends next, on a link of `rate` bytes a second with this round trip."""

    def __init__(self, rate, round_trip):
        raise NotImplementedError

    def next(self, waiting, now):
        """What leaves now.

        waiting: bytes that wait, by stream id; whoever waits longest comes first. Never empty.
        now: seconds. Return (stream_id, size) for one frame, or a number: seconds to wait before you are asked
        again (you are asked earlier if another stream has something to say).
        """
        raise NotImplementedError


# Before: lab.predict("04.turns", …): how many milliseconds does a frame of 64 KiB keep a link of 5 Mbit/s busy?
await lab.check("04.turns", Turns)
''',
    hints=(
        "Where does a ping wait? In your own queue, behind the frame that is just leaving, or in the router's queue. "
        "Which of the three can you change?",
        "A frame cannot be interrupted, so its length is what everybody waits for. And whoever sends faster than the "
        "link can carry fills a queue somewhere behind him, where nobody takes turns.",
        "next: take the stream with the fewest bytes waiting; size = min(waiting[stream], 2048). Remember when the "
        "link will be free: self.free = max(now, self.free) + size / (0.9 * self.rate). If self.free - now is more "
        "than 0.004, return half of it instead of a frame. The prediction is 65507 / 625000 seconds.",
    ),
    rules=(
        Rule(
            "choice",
            "Return (stream_id, size) with a stream that waits and at most as many bytes as it has, or a number of "
            "seconds.",
        ),
        Rule(
            "starved",
            "One of the two never had its turn. Waiting is for when the link is busy; then somebody has to go.",
        ),
        Rule(
            "frame",
            "A ping that comes while a long frame leaves must wait for its end. At 5 Mbit/s a thousand bytes take "
            "1.6 ms.",
            "yamux/README.md#framing",
        ),
        Rule(
            "order",
            "The ping waits in your own queue: behind a transfer that always has more to say. Who has little to say "
            "should not wait for who has much.",
        ),
        Rule(
            "queue",
            "The pings leave at once, and then wait in the router, behind what you have sent too fast. Send no faster "
            "than the link carries, headers included: then the only queue is your own.",
        ),
        Rule(
            "throughput",
            "The link is idle, or carries headers instead of data: each frame has 12 bytes of yamux and about 52 of "
            "TCP. Wait less, or take longer frames.",
        ),
        Rule(
            "prediction",
            "Bits or bytes? 5 Mbit are 625000 bytes, each second.",
        ),
    ),
    examine=examine_turns,
    time_limit=90.0,
    seeds=(1,),
    needs_prediction=True,
)
