"""E8.5a: the exchange before a hole is punched. When does each dial, and how far apart are the two moments?"""

from __future__ import annotations

from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown

PROTOCOL = "relay/DCUtR.md#the-protocol"
TOLERANCE = 1e-6  # seconds
OWN, THEIRS = ["/ip4/203.0.113.1/tcp/4001"], ["/ip4/198.51.100.2/tcp/4001"]


class _End:
    """One end of the exchange: the student's, every reply looked at."""

    def __init__(self, exam: Exam, answer: Any, role: str, addrs: list[str]) -> None:
        self.exam, self.role = exam, role
        self.part = answer(role, list(addrs))
        missing = [m for m in ("start", "receive") if not callable(getattr(self.part, m, None))]
        if missing:
            exam.reject(
                "wrong-type", f"it has the methods start and receive; missing: {', '.join(missing)}"
            )

    def start(self, now: float) -> Any:
        self.exam.sent = f"start({now:.3f}) of the {self.role}"
        return self._message(self.part.start(now))

    def receive(self, message: Any, now: float) -> tuple[Any, tuple[float, list[str]] | None]:
        """The reply, and when and where it dials."""
        exam = self.exam
        exam.sent = f"receive({message[0]}, {now:.3f}) of the {self.role}"
        got = self.part.receive(message, now)
        if not isinstance(got, tuple) or len(got) != 2:
            exam.reject(
                "wrong-type", "receive gives a pair: (reply or None, dial or None)", got=shown(got)
            )
        reply, dial = got
        if reply is not None:
            reply = self._message(reply)
        if dial is not None and (not isinstance(dial, tuple) or len(dial) != 2):
            exam.reject("wrong-type", "a dial is a pair: (moment, addresses)", got=shown(dial))
        return reply, dial

    def _message(self, message: Any) -> Any:
        if not isinstance(message, tuple) or not message or message[0] not in ("CONNECT", "SYNC"):
            self.exam.reject(
                "wrong-type", 'a message is ("CONNECT", addresses) or ("SYNC",)', got=shown(message)
            )
        return message


def _exchange(exam: Exam, answer: Any, there: float, back: float) -> None:
    """All of it, over a way that takes `there` one way and `back` the other."""
    began = exam.rng.uniform(0, 1000)
    b, a = _End(exam, answer, "called", OWN), _End(exam, answer, "caller", THEIRS)
    hello = b.start(began)
    exam.equal(
        hello, ("CONNECT", OWN), "connect", "the peer that was called begins with its addresses"
    )
    answered, early = a.receive(hello, began + there)
    exam.require(
        early is None, "too-soon", "the caller dials on CONNECT, before the other side is ready"
    )
    exam.equal(
        answered, ("CONNECT", THEIRS), "connect", "the caller answers with its own addresses"
    )
    now = began + there + back
    sync, mine = b.receive(answered, now)
    exam.equal(sync, ("SYNC",), "sync", "the peer that was called says when it begins")
    silence, theirs = a.receive(sync, now + there)
    exam.require(silence is None, "sync", "nothing is said after SYNC", got=shown(silence))
    if mine is None or theirs is None:
        exam.reject("no-dial", "one of the two does not dial at all: both must")
    exam.require(
        list(mine[1]) == THEIRS and list(theirs[1]) == OWN,
        "addresses",
        "a dial goes to the other's addresses",
    )
    exam.require(
        abs(theirs[0] - (now + there)) < TOLERANCE,
        "caller-waits",
        "the caller dials at the moment at which SYNC arrives",
        got=f"{theirs[0] - now - there:+.3f} s",
        expected="at once",
    )
    wait, right = mine[0] - now, (there + back) / 2
    if abs(wait - (there + back)) < TOLERANCE and right:
        exam.reject(
            "whole-trip",
            "the one that was called waits for a whole round trip",
            got=f"{wait:.3f} s",
        )
    exam.require(
        abs(wait - right) < TOLERANCE,
        "half-trip",
        "the one that was called dials at another moment than it should",
        got=f"{wait:+.3f} s after SYNC was sent",
        expected=f"{right:.3f} s: half of the round trip that it measured",
    )
    exam.count("exchanges")


def _out_of_turn(exam: Exam, answer: Any) -> None:
    """SYNC before CONNECT, CONNECT twice, SYNC to the wrong side."""
    for role, started, messages in (
        ("caller", False, [("SYNC",)]),
        ("caller", False, [("CONNECT", OWN), ("CONNECT", OWN)]),
        ("called", True, [("SYNC",)]),
        ("called", False, [("CONNECT", THEIRS)]),
        ("caller", False, [("CONNECT", [])]),
    ):
        end = _End(exam, answer, role, OWN)
        if started:
            end.start(0.0)
        exam.explain = {}
        try:
            for message in messages:
                end.receive(message, 1.0)
        except REFUSALS:
            exam.count("messages refused")
            continue
        exam.reject(
            "out-of-turn",
            f"the {role} took {', '.join(m[0] + (' without addresses' if m[1:] == ([],) else '') for m in messages)}",
            expected="ValueError",
        )


async def examine_moment(exam: Exam, answer: Any) -> None:
    """E8.5a: even ways, uneven ways, and messages out of turn."""
    make = exam.callable_answer(answer, "a class Exchange")
    _exchange(exam, make, 0.05, 0.05)
    for _ in range(20):
        _exchange(exam, make, exam.rng.uniform(0, 0.4), exam.rng.uniform(0, 0.4))
    _out_of_turn(exam, make)


MOMENT = Check(
    id="08.moment",
    exercise="E8.5a",
    title="The moment to punch",
    level="L3",
    points=3,
    objectives=("1.52", "X.17"),
    starter='''\
class Exchange:
    """One end of the exchange before a hole is punched.

    role: "called" for the peer that was called through the relay, "caller" for the one that called it.
    addrs: where we can be seen: a list of texts.
    Messages: ("CONNECT", addrs) and ("SYNC",).
    """

    def __init__(self, role, addrs):
        raise NotImplementedError

    def start(self, now):
        """Only for the one that was called: it begins. Returns the message to send."""
        raise NotImplementedError

    def receive(self, message, now):
        """A message came at `now`. Returns (reply or None, dial or None); a dial is (moment, the other's addresses).

        ValueError for a message out of turn, and for a CONNECT without addresses.
        """
        raise NotImplementedError


await lab.check("08.moment", Exchange)
''',
    hints=(
        "Draw the two lives as lines, and CONNECT, CONNECT, SYNC as arrows between them. Where is the one that was "
        "called when SYNC arrives at the other?",
        "The one that was called measures how long CONNECT takes there and back. The other dials when SYNC comes; it "
        "waits for half of what it measured (DCUtR.md, the protocol).",
        "called: start: self.sent = now, CONNECT. receive CONNECT: reply SYNC, dial at now + (now - self.sent) / 2. "
        "caller: receive CONNECT: keep the addresses, reply CONNECT, no dial; receive SYNC: no reply, dial at now. "
        "Keep a state, and refuse everything else.",
    ),
    rules=(
        Rule(
            "connect",
            "Both send CONNECT with where they can be seen; the one that was called begins.",
            PROTOCOL,
        ),
        Rule(
            "too-soon",
            "On CONNECT the caller only answers: it does not know yet when the other is ready.",
            PROTOCOL,
        ),
        Rule("sync", "SYNC is the last message, sent by the one that began.", PROTOCOL),
        Rule("no-dial", "Both dial: each packet opens its own box for the other's.", PROTOCOL),
        Rule("addresses", "Dial what CONNECT of the other side named."),
        Rule("caller-waits", "The caller dials at once when SYNC arrives.", PROTOCOL),
        Rule(
            "whole-trip",
            "SYNC travels one way, not there and back: wait for half of the round trip.",
            PROTOCOL,
        ),
        Rule(
            "half-trip",
            "Half of the time between sending CONNECT and receiving CONNECT, from now on.",
            PROTOCOL,
        ),
        Rule(
            "out-of-turn", "Keep a state: what is not due now is refused by ValueError.", PROTOCOL
        ),
    ),
    examine=examine_moment,
)
