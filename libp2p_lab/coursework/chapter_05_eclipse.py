"""E5.5: take over a key, then keep it reachable all the same.

The attack: as many names as a record has holders, all closer to the key than anybody honest. Whoever stores there
stores with the attacker alone. The defence: k peers out of N stand within a distance that anybody can compute; where
many more stand, somebody put them there, and the record goes to more than k.

Source: "Content Censorship in the InterPlanetary File System", NDSS 2024, arXiv 2307.12212.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from libp2p_lab.coursework.chapter_05_table import some_peers
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import LabError
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import position

K = 20
ROUNDS = 60
KNOWN = 80  # peers that a wide search hears of
MISSED = 0.15  # of the honest peers that one search does not hear of
LEAST, CALM, MOST = (
    0.8,
    1.3,
    2.0,
)  # success under attack; records as a multiple of k without one, and under it


def _attack(exam: Exam, sybils: Any) -> None:
    """The first function: names around a target."""
    for honest in (100, 250):
        target = position(exam.rng.randbytes(8))
        positions = [position(p.multihash) for p in some_peers(exam, honest)]
        limit = min(p ^ target for p in positions)
        exam.sent = f"a target, the positions of {honest} honest peers, and {K} names are wanted"
        made = sybils(target, list(positions), K)
        if not isinstance(made, list | tuple) or not all(isinstance(m, bytes) for m in made):
            exam.reject("wrong-type", "the names come as a list of bytes", got=shown(made))
        exam.require(
            len(set(made)) == K,
            "too-few-names",
            f"{len(set(made))} different names",
            expected=str(K),
        )
        for name in made:
            try:
                PeerId(name)
            except LabError as problem:
                exam.reject(
                    "no-name", f"this is no peer id: {problem}", got=shown(name), expected="12 20 …"
                )
            exam.require(
                position(name) ^ target < limit,
                "not-closer",
                "one of these names is farther from the target than an honest peer",
            )
        exam.count("names made", K)


def _heard(exam: Exam, honest: Sequence[int], evil: Sequence[int], target: int) -> list[int]:
    """The positions that one wide search hears of: all Sybils, most of the honest."""
    heard = [p for p in honest if exam.rng.random() > MISSED]
    return sorted([*heard, *evil], key=lambda p: p ^ target)[:KNOWN]


def _chosen(exam: Exam, holders: Any, target: int, heard: list[int], size: int) -> set[int]:
    """Whom the second function chooses."""
    chosen = holders(target, list(heard), size)
    if not isinstance(chosen, list | tuple | set):
        exam.reject("wrong-type", "the holders come as a list of positions", got=shown(chosen))
    exam.require(
        set(chosen) <= set(heard), "unheard-of", "a holder is chosen of whom nobody has spoken"
    )
    exam.require(
        len(set(chosen)) >= min(K, len(heard)),
        "too-few-holders",
        f"{len(set(chosen))} peers hold the record",
        expected=f"at least {K}: some of them will be gone tomorrow",
    )
    return set(chosen)


def _defence(exam: Exam, holders: Any, attacked: bool) -> None:
    """The second function: whoever stores and whoever looks use it, each with what it has heard."""
    met, records = 0, []
    for _ in range(ROUNDS):
        count = exam.rng.randint(300, 900)
        honest = [exam.rng.getrandbits(256) for _ in range(count)]
        target = exam.rng.getrandbits(256)
        nearest = min(p ^ target for p in honest)
        evil = [target ^ exam.rng.randrange(nearest) for _ in range(K)] if attacked else []
        estimate = round((count + len(evil)) * exam.rng.uniform(0.85, 1.15))
        exam.sent = f"about {estimate} peers, {'and somebody attacks' if attacked else 'and nobody attacks'}"
        searches = [_heard(exam, honest, evil, target) for _ in range(2)]
        stored, asked = (_chosen(exam, holders, target, heard, estimate) for heard in searches)
        if not attacked:
            asked = set(searches[1][:K])  # somebody who has never heard of this defence
        met += bool((stored & asked) - set(evil))
        records.append(len(stored) / K)
    success, price = met / ROUNDS, statistics.mean(records)
    if attacked:
        exam.require(
            success >= LEAST,
            "eclipsed",
            f"in {success:.0%} of the rounds a record could be found at an honest peer",
            expected=f"at least {LEAST:.0%}",
        )
        exam.require(
            price <= MOST,
            "dear",
            f"under attack a record is stored {price:.1f} times as often as by the plain rule",
            expected=f"at most {MOST:g}",
        )
        exam.note(f"Under attack {success:.0%} found, at {price:.2f} times the plain price.")
    else:
        exam.require(success == 1.0, "lost-in-peace", "nobody attacks, and a record is not found")
        exam.require(
            price <= CALM,
            "dear-in-peace",
            f"nobody attacks, and a record is stored {price:.1f} times as often as by the plain rule",
            expected=f"at most {CALM:g}",
        )
    exam.count("rounds under attack" if attacked else "rounds in peace", ROUNDS)


async def examine_eclipse(exam: Exam, answer: Any) -> None:
    """E5.5: the attack, then the defence, under attack and in peace."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not all(map(callable, answer)):
        exam.reject(
            "wrong-type", "two functions are asked for: (sybils, holders)", got=shown(answer)
        )
    sybils, holders = answer
    _attack(exam, sybils)
    _defence(exam, holders, attacked=False)
    _defence(exam, holders, attacked=True)


CENSORSHIP = "https://arxiv.org/abs/2307.12212"

ECLIPSE = Check(
    id="05.eclipse",
    exercise="E5.5",
    title="Eclipse a key, and defend it",
    level="L5",
    points=4,
    objectives=("X.10",),
    starter='''\
from libp2p_lab.routing import position


def sybils(target, honest, count):
    """`count` peer ids (bytes: 12 20 and 32 bytes of your choice), each closer to `target` than everybody honest.

    honest: the positions of all honest peers. A peer id stands at position(peer_id).
    """
    raise NotImplementedError


def holders(target, heard, size):
    """The positions of those who should hold the record of `target`. The plain rule: the 20 closest.

    heard: positions that a wide search heard of, 80 at most, the closest first. size: about how many peers there are.
    In peace at most 1.3 times 20 on average, under attack at most twice 20; and an honest peer must be among them.
    """
    return heard[:20]


await lab.check("05.eclipse", (sybils, holders))
''',
    hints=(
        "First function: names are cheap. Make some, look where they stand, keep the good ones, as in E1.5. Second: "
        "what do twenty peers look like that somebody has put there? Print their distances in peace and under attack.",
        "Positions are spread evenly. So of `size` peers about 20 stand within a distance of 2^256 · 20 / size of any "
        "target. How many stand there when twenty Sybils do as well?",
        "holders: inside = [p for p in heard if p ^ target < 2**256 * 20 // size]; return heard[:20] if there are "
        "fewer than 20 of them; inside[:40] otherwise. sybils: while len(found) < count: name = b'\\x12\\x20' + "
        "os.urandom(32), and keep it if position(name) ^ target is less than the least honest distance.",
    ),
    rules=(
        Rule("too-few-names", "As many names as asked for, all different."),
        Rule(
            "no-name",
            "A peer id is a multihash: 12 20, then 32 bytes. Which 32, nobody can tell from the outside.",
            "peer-ids/peer-ids.md#peer-ids",
        ),
        Rule(
            "not-closer",
            "Compare distances, position(name) ^ target, with the smallest of the honest.",
            "kad-dht/README.md#distance",
        ),
        Rule("unheard-of", "Choose among those whom the search has heard of."),
        Rule(
            "too-few-holders",
            "Twenty at least, for records must outlive the peers that leave.",
            "kad-dht/README.md#replication-parameter-k",
        ),
        Rule(
            "lost-in-peace",
            "In peace somebody who goes by the plain rule must find the record too: at the twenty closest.",
        ),
        Rule(
            "dear-in-peace",
            "Storing everywhere always is no defence but a bill. Spend more only where too many stand too close.",
        ),
        Rule(
            "eclipsed",
            "All holders are Sybils. They stand closer than twenty of `size` peers could by chance: that can be "
            "computed, and then the record goes farther out as well.",
            CENSORSHIP,
        ),
        Rule("dear", "Twice twenty must do: twenty Sybils, and twenty behind them."),
    ),
    examine=examine_eclipse,
    time_limit=60.0,
)
