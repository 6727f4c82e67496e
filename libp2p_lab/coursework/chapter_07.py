"""The checks of chapter 07: why was it pruned, who wrote it, floods, meshes, scores, and a slip in the spec.

Objectives: 1.4 pub/sub, 1.41 FloodSub, 1.42 where GossipSub differs, 1.43 what it improves; X.13 parameters, X.14
attacks, X.15 GossipSub 1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from libp2p_lab.coursework.chapter_07_flood import FLOOD
from libp2p_lab.coursework.chapter_07_router import PUBSUB_ROUTER
from libp2p_lab.coursework.chapter_07_score import PEER_SCORE
from libp2p_lab.coursework.chapter_07_signing import SIGNING_CHECK
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.pubsub.events import GraftRefused, Pruned
from libp2p_lab.trace import Entry

# -- E7.1: why was this peer pruned? ------------------------------------------------------------------------------

REASONS = ("too many", "score", "backoff")


def _reason(event: Pruned | GraftRefused) -> str:
    """The reason for which we sent a PRUNE; "" if we sent none."""
    match event:
        case Pruned(why=why) if why.startswith("its score"):
            return "score"
        case Pruned(why=why) if "D_high" in why:
            return "too many"
        case GraftRefused(why=why) if "back-off" in why:
            return "backoff"
        case GraftRefused(why=why) if why.startswith("its score"):
            return "score"
        case GraftRefused(why=why) if "members already" in why:
            return "too many"
        case _:
            return ""


def _prunes(record: Iterable[Entry]) -> tuple[dict[str, str], dict[str, str]]:
    """Why each peer was sent its first PRUNE, and who only ended a membership without one."""
    first: dict[str, str] = {}
    others: dict[str, str] = {}
    for entry in record:
        if isinstance(entry.what, Pruned | GraftRefused):
            reason = _reason(entry.what)
            (first if reason else others).setdefault(entry.what.peer, reason or entry.what.why)
    return first, others


async def examine_pruned(exam: Exam, answer: Any) -> None:
    """E7.1: each pruned peer and the reason, compared with what the router told its trace."""
    exam.require(
        isinstance(exam.run, Iterable), "no-record", "there is no record of a run to compare with"
    )
    right, others = _prunes(exam.run)  # type: ignore[arg-type]  # an Iterable, as was just made sure
    exam.require(right, "no-record", "in this record nobody was pruned")
    if not isinstance(answer, Mapping):
        exam.reject(
            "wrong-type", "the answer is a dict from peer ids to reasons", got=shown(answer)
        )
    for peer, reason in ((str(peer), str(reason)) for peer, reason in answer.items()):
        exam.sent = f"the peer {peer}"
        if peer in others and peer not in right:
            exam.reject(
                "not-ours", "this peer was sent no PRUNE", got=reason, expected=others[peer]
            )
        exam.require(peer in right, "unknown-peer", "no such peer was pruned", got=peer)
        exam.require(
            reason in REASONS,
            "no-reason",
            f"there is no reason called {reason!r}",
            got=shown(reason),
            expected=", ".join(REASONS),
        )
        _compare(exam, right[peer], reason)
    missing = [peer for peer in right if peer not in {str(peer) for peer in answer}]
    exam.require(
        not missing,
        "missing",
        f"{len(missing)} more peer(s) were pruned",
        expected=", ".join(missing),
    )
    exam.count("reasons compared with the record", len(right))


def _compare(exam: Exam, right: str, reason: str) -> None:
    rules = {"too many": "crowd", "score": "bad-score", "backoff": "too-early"}
    exam.require(
        reason == right, rules[right], "it was pruned for another reason", got=shown(reason)
    )


PRUNED = Check(
    id="07.pruned",
    exercise="E7.1",
    title="Why was this peer pruned?",
    level="L1",
    points=1,
    objectives=("1.42", "X.13"),
    starter="""\
# `log` is the record of one peer's run. To whom did it send a PRUNE, and why the first time?
answer = {}  # peer id: "too many", "score" or "backoff"
await lab.check("07.pruned", answer, run=log)
""",
    hints=(
        "Entries of layer `pubsub` hold the router's own events. Two kinds end in a PRUNE: Pruned, and GraftRefused.",
        "A PRUNE goes to a member when there are more than D_high, or when its score is negative; and to somebody who "
        "grafts while the back-off still runs (gossipsub-v1.1.md, prune backoff).",
        "for e in log: if type(e.what).__name__ in ('Pruned', 'GraftRefused'): print(e.what.peer, e.what.why). Only "
        "the first of each peer counts; 'it pruned us' and 'it left the topic' send no PRUNE.",
    ),
    rules=(
        Rule("unknown-peer", "Take the ids from the events: whom they speak of stands in `peer`."),
        Rule(
            "not-ours",
            "A membership can end from the other side as well. Asked for are those whom this peer sent a PRUNE.",
            "pubsub/gossipsub/gossipsub-v1.0.md#prune",
        ),
        Rule("no-reason", "There are three: too many, score, backoff."),
        Rule("missing", "A graft that is refused is answered by a PRUNE too."),
        Rule(
            "crowd",
            "The event says how many members there were, and D_high: nobody did anything wrong, there were too many.",
            "pubsub/gossipsub/gossipsub-v1.0.md#mesh-maintenance",
        ),
        Rule(
            "bad-score",
            "The event names a score, and it is negative: such a peer leaves the mesh at the next heartbeat.",
            "pubsub/gossipsub/gossipsub-v1.1.md#heartbeat-maintenance",
        ),
        Rule(
            "too-early",
            "It was no member at that moment: it knocked again before its back-off was over.",
            "pubsub/gossipsub/gossipsub-v1.1.md#prune-backoff-and-peer-exchange",
        ),
    ),
    examine=examine_pruned,
    seeds=(1,),
    place="kernel",
)

# -- the bonus: a slip in the text --------------------------------------------------------------------------------

PRINTED, RIGHT = 110.4, 116.4
_DECAY = "pubsub/gossipsub/gossipsub-v1.1.md#topic-parameter-calculation-and-decay"


async def examine_wrong_number(exam: Exam, answer: Any) -> None:
    """Bonus: the number that the text of GossipSub 1.1 gets wrong, and the right one."""
    exam.sent = shown(answer)
    if (
        not isinstance(answer, tuple | list)
        or len(answer) != 2
        or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in answer)
    ):
        exam.reject(
            "wrong-type",
            "the answer is two numbers: (as printed, as it should be)",
            got=shown(answer),
        )
    printed, right = (round(float(number), 6) for number in answer)
    exam.require((printed, right) != (RIGHT, PRINTED), "swapped", "the two are the other way round")
    exam.require(printed == PRINTED, "not-there", f"{printed:g} is not the number that is wrong")
    exam.require(right == RIGHT, "sum", f"{right:g} is not the right one either")
    exam.count("slips found")


WRONG_NUMBER = Check(
    id="07.wrong_number",
    exercise="E7.6",
    title="Bonus: a wrong number in the spec",
    level="L1",
    points=1,
    objectives=("X.13",),
    starter="""\
# Somewhere in gossipsub-v1.1.md a counter decays, and the multiplication is wrong.
answer = (0.0, 0.0)  # the result as printed, the result as it should be
await lab.check("07.wrong_number", answer)
""",
    hints=(
        "It is in the part about how counters fade, before the parameters P1 to P7 are explained one by one.",
        "Look for a decay factor with an example (gossipsub-v1.1.md, topic parameter calculation and decay).",
        "120 * 0.97 is computed there. Do it again.",
    ),
    rules=(
        Rule("not-there", "Search the section on decay for a product, and compute it.", _DECAY),
        Rule("sum", "The first number is the one. Multiply once more.", _DECAY),
        Rule("swapped", "First what the text says, then what is right.", _DECAY),
    ),
    examine=examine_wrong_number,
    seeds=(1,),
)

CHECKS: tuple[Check, ...] = (
    PRUNED,
    SIGNING_CHECK,
    FLOOD,
    PUBSUB_ROUTER,
    PEER_SCORE,
    WRONG_NUMBER,
)
