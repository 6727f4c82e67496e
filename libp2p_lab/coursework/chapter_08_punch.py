"""E8.5b: DCUtR, both roles: on a stage of its own, then behind boxes, with and against the library's."""

from __future__ import annotations

import itertools
from typing import Any

from libp2p_lab.coursework.chapter_08_punch_stage import (
    PATIENCE,
    THEIRS,
    Exchange,
    StageCall,
    StageStream,
    addrs,
)
from libp2p_lab.coursework.chapter_08_punch_text import HINTS, RULES, STARTER
from libp2p_lab.coursework.checks import Check
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slot_punch import StudentDCUtR
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.sim.nat_table import NatBehaviour
from libp2p_lab.sim.punching import NINE, Kind, connects, meet, short_name

TOLERANCE = 1e-6  # seconds
PAUSES = (0.01, 0.2)  # seconds between two datagrams; the spec
MEETINGS = {True: 4, False: 1}  # for each kind: of the first seed, and of another


PAIRS = [pair for pair in itertools.product(NINE, NINE) if connects(*pair)]


def _made(exam: Exam, make: Any) -> Any:
    return exam.methods(make(), ("called", "caller"))


# -- on a stage -----------------------------------------------------------------------------------------------------


async def _called(exam: Exam, make: Any, kind: str, works_at: int | None) -> None:
    """The side that was called, whose tries fail until the one that works."""
    call = StageCall(exam, kind, works_at)
    got = await exam.watched(_made(exam, make).called)(call)
    exam.require(call.exchanges, "who-begins", "the side that was called said nothing at all")
    first = call.exchanges[0].rtt
    for number, exchange in enumerate(call.exchanges, 1):
        exam.sent = f"{kind}, exchange {number}, a round trip of {exchange.rtt:.3f} s"
        _begins_in_time(exam, exchange, first if number > 1 else None)
        if kind == "tcp":
            _dials(exam, exchange, kind, "server")
        else:
            _knocks(exam, exchange, is_last=number == works_at)
    tries = works_at if works_at is not None else 3
    exam.require(
        len(call.exchanges) == tries,
        "three",
        f"{tries - 1 if works_at else 3} tries failed, and there were {len(call.exchanges)} exchanges",
        expected=str(tries),
    )
    _result(exam, got, works_at is not None)
    exam.count("exchanges begun", len(call.exchanges))


def _begins_in_time(exam: Exam, exchange: Exchange, first: float | None) -> None:
    if exchange.synced is None:
        exam.reject("order", "SYNC was not sent: the other side waits for it")
    moments = [at for at, *_ in exchange.dials] + [at for at, *_ in exchange.knocks]
    exam.require(moments, "no-dial", "nothing was sent to the other side's addresses")
    wait, right = min(moments) - exchange.synced, exchange.rtt / 2
    if abs(wait - right) < TOLERANCE:
        return
    if first is not None and abs(wait - first / 2) < TOLERANCE:
        exam.reject(
            "fresh",
            "it waits for half of an earlier try's round trip",
            got=f"{wait:.3f} s",
            expected=f"{right:.3f} s",
        )
    rule = "whole-trip" if abs(wait - exchange.rtt) < TOLERANCE else "half-trip"
    exam.reject(
        rule,
        "the first packet leaves at another moment",
        got=f"{wait:.3f} s after SYNC",
        expected=f"{right:.3f} s after it: half of the round trip",
    )


def _dials(exam: Exam, exchange: Exchange, kind: str, role: str) -> None:
    for _, where, as_ in exchange.dials:
        exam.require(as_ == role, "roles", f"it dials as {as_}", expected=role)
        exam.require(
            sorted(where) == sorted(addrs(THEIRS, kind)),
            "addresses",
            "it does not dial the addresses that the other side's CONNECT named",
            got=shown(where),
        )


def _knocks(exam: Exam, exchange: Exchange, *, is_last: bool) -> None:
    at = sorted({moment for moment, *_ in exchange.knocks})
    where = {addr for _, addr, _ in exchange.knocks}
    exam.require(
        where == set(addrs(THEIRS, "quic")),
        "addresses",
        "it does not knock at all addresses that the other side named",
        got=shown(sorted(map(str, where))),
    )
    exam.require(
        len({data for *_, data in exchange.knocks}) > 1,
        "random",
        "all datagrams are alike",
        expected="random bytes: nobody must take them for a protocol's",
    )
    gaps = [after - before for before, after in itertools.pairwise(at)]
    exam.require(
        gaps and all(PAUSES[0] - TOLERANCE <= gap <= PAUSES[1] + TOLERANCE for gap in gaps),
        "pauses",
        f"{len(at)} times it knocked, with pauses of {min(gaps):.3f} to {max(gaps):.3f} s"
        if gaps
        else "it knocked once: a datagram may be lost",
        expected=f"again and again, after {PAUSES[0]:g} to {PAUSES[1]:g} s",
    )
    exam.require(
        len({round(gap, 6) for gap in gaps}) > 1,
        "pauses",
        "all pauses are alike",
        got=f"{gaps[0]:.3f} s",
        expected="random ones",
    )
    lasted = at[-1] - at[0]
    if is_last:
        exam.require(
            lasted < 1.0,
            "stops",
            "there is a direct connection, and it goes on knocking",
            got=f"for {lasted:.1f} s",
        )
    else:
        exam.require(
            PATIENCE / 2 < lasted <= PATIENCE + PAUSES[1],
            "gives-up",
            f"a try that fails lasts {lasted:.1f} s",
            expected=f"call.patience: {PATIENCE:g} s",
        )


def _result(exam: Exam, got: object, worked: bool) -> None:
    exam.require(
        got is worked,
        "result",
        "it says something else than what has happened",
        got=shown(got),
        expected=str(worked),
    )


async def _caller(exam: Exam, make: Any, kind: str, works: bool) -> None:
    """The side that called: one exchange, which the other began."""
    call = StageCall(exam, kind, 1 if works else None)
    call.is_called = False
    exchange = Exchange(0.0)
    call.exchanges.append(exchange)
    pauses = [exam.rng.uniform(0.02, 0.6) for _ in range(2)]
    script = [(pauses[0], ("CONNECT", addrs(THEIRS, kind))), (pauses[1], ("SYNC",))]
    stream = StageStream(call, script, is_called=False)
    got = await exam.watched(_made(exam, make).caller)(call, stream)
    exam.sent = f"{kind}: CONNECT comes, and {pauses[1]:.3f} s later SYNC"
    exam.require(stream.said, "order", "CONNECT was not answered")
    exam.require(
        exchange.dials and exchange.synced is not None, "no-dial", "it did not dial at all"
    )
    _dials(exam, exchange, kind, "client")
    late = exchange.dials[0][0] - (exchange.synced or 0.0)
    exam.require(
        late < TOLERANCE,
        "caller-waits",
        "it dials some time after SYNC came",
        got=f"{late:.3f} s",
        expected="at once",
    )
    _result(exam, got, works)
    exam.count("exchanges answered")


async def _out_of_turn(exam: Exam, make: Any) -> None:
    """Messages that are not due: nothing may be dialed."""
    named = ("CONNECT", addrs(THEIRS, "tcp"))
    cases: list[tuple[bool, list[tuple[Any, ...]]]] = [
        (True, [("SYNC",)]),
        (True, [("CONNECT", [])]),
        (False, [("SYNC",), ("SYNC",)]),
        (False, [named, named]),
        (False, [("CONNECT", []), ("SYNC",)]),
    ]
    for is_called, replies in cases:
        call = StageCall(exam, "tcp", None, replies=list(replies))
        call.is_called = is_called
        part = _made(exam, make)
        try:
            if is_called:
                await part.called(call)
            else:
                call.exchanges.append(Exchange(0.0))
                await part.caller(
                    call, StageStream(call, [(0.1, one) for one in replies], is_called=False)
                )
        except REFUSALS:
            pass
        dialed = [exchange for exchange in call.exchanges if exchange.dials]
        told = " and ".join(
            one[0] + (" without addresses" if one[1:] == ([],) else "") for one in replies
        )
        exam.sent = f"to the one that {'was called' if is_called else 'called'}: {told}"
        exam.require(
            not dialed,
            "out-of-turn",
            "what came was not due, and it dialed all the same",
            expected="ValueError",
        )
        exam.count("messages refused")


# -- behind boxes ---------------------------------------------------------------------------------------------------


def _meets(
    exam: Exam, make: Any, kind: Kind, alice: NatBehaviour, bob: NatBehaviour, who: str
) -> None:
    mine = lambda: StudentDCUtR(make)  # noqa: E731
    sides = {
        "yours at both ends": (mine, mine),
        "yours at alice's, the library's at bob's": (mine, DCUtR),
        "the library's at alice's, yours at bob's": (DCUtR, mine),
    }
    seed = exam.rng.randrange(10**6)
    jitter = exam.rng.choice((0.0, 0.02, 0.05))
    exam.sent = (
        f"bob behind {short_name(bob)} calls alice behind {short_name(alice)}; {kind}, jitter of "
        f"{1000 * jitter:.0f} ms; {who}"
    )
    alices, bobs = sides[who]
    met = meet(
        alice, bob, kind=kind, seed=seed, jitter=jitter, delay=0.005, dcutr=alices, bob_dcutr=bobs
    )
    exam.require(
        met.worked,
        "live",
        "no direct connection, where the library's puncher gets one",
        got=met.cause.partition(": ")[2] or met.outcome,
    )
    exam.count("meetings")


def _in_hidden_nets(exam: Exam, make: Any) -> None:
    """Pairs that can, under jitter; with and against the library's."""
    ways = (
        "yours at alice's, the library's at bob's",
        "the library's at alice's, yours at bob's",
        "yours at both ends",
    )
    kinds: tuple[Kind, ...] = ("tcp", "quic")
    for kind in kinds:
        pairs = exam.rng.sample(PAIRS, MEETINGS[exam.seed == exam.check.seeds[0]])
        for number, (alice, bob) in enumerate(pairs):
            _meets(exam, make, kind, alice, bob, ways[(number + exam.seed) % 3])


async def examine_punch(exam: Exam, answer: Any) -> None:
    """E8.5b: both roles on a stage, then behind boxes."""
    make = exam.callable_answer(answer, "a class HolePuncher")
    for kind, works_at in itertools.product(("tcp", "quic"), (1, 2, None)):
        await _called(exam, make, kind, works_at)
    for kind, works in itertools.product(("tcp", "quic"), (True, False)):
        await _caller(exam, make, kind, works)
    await _out_of_turn(exam, make)
    _in_hidden_nets(exam, make)


HOLE_PUNCH = Check(
    id="08.hole_punch",
    exercise="E8.5b",
    title="A hole, from both sides",
    level="L4",
    points=5,
    objectives=("1.52", "X.17"),
    starter=STARTER,
    hints=HINTS,
    rules=RULES,
    examine=examine_punch,
    time_limit=60.0,
)
