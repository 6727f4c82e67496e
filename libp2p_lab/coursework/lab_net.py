"""The checks of the lab on the virtual internet: what a cut does, a network from its plan, and a race and its odds.

Objective: 1.1 building blocks.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from libp2p_lab import sim
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.lab_net_scenario import SCENARIO
from libp2p_lab.coursework.render import shown

# -- EN.1: what does a cut do to a connection? -------------------------------------------------------------------

#: The cases: what the answer calls each, seconds of the cut, whether something is said meanwhile.
CASES: tuple[tuple[str, float, bool], ...] = (
    ("20 s, nobody speaks", 20.0, False),
    ("20 s, somebody speaks", 20.0, True),
    ("10 min, nobody speaks", 600.0, False),
    ("10 min, somebody speaks", 600.0, True),
)
FATES = ("stands, and all arrives", "stands, and what was said is lost", "is gone")
AFTERWARDS = 60.0  # seconds between the mending and the look
CUTS = "/cuts/1.0.0"


def fate_of(seed: int | str, seconds: float, speaks: bool) -> str:
    """Cut the cable between two connected peers for so long, mend it, and look: one of `FATES`."""
    heard = []
    with sim.Internet(seed) as net:
        alice, bob = net.host("alice"), net.host("bob")

        async def listen(stream: Any) -> None:
            while data := await stream.read(100):
                heard.append(data)

        bob.set_handler(CUTS, listen)

        async def scenario() -> bool:
            await alice.connect(bob.addrs[0])
            stream = await alice.open_stream(bob.peer_id, CUTS)
            await asyncio.sleep(net.rng.uniform(1, 5))
            heal = net.partition(alice, bob)
            net.at(net.now + seconds, heal)
            if speaks:
                await stream.write(b"are you there?")
            await asyncio.sleep(seconds + AFTERWARDS)
            return bob.peer_id in alice.peers

        stands = net.run(scenario())
    if not stands:
        return FATES[2]
    return FATES[0] if heard or not speaks else FATES[1]


async def examine_cut(exam: Exam, answer: Any) -> None:
    """EN.1: each case is run, and its end compared with what was said."""
    names = [name for name, _, _ in CASES]
    if not isinstance(answer, Mapping) or sorted(answer) != sorted(names):
        exam.reject("wrong-type", f"the answer is a dict with the keys {names}", got=shown(answer))
    for name, seconds, speaks in CASES:
        said = answer[name]
        exam.require(
            said in FATES, "unknown-fate", f"{name}: one of {', '.join(FATES)}", got=shown(said)
        )
        found = await asyncio.to_thread(fate_of, exam.seed, seconds, speaks)
        exam.require(
            said == found,
            "short-cut" if seconds < 60 else "long-cut",
            f"{name}: an experiment just ended otherwise",
            got=f"the connection {said}",
            expected=f"the connection {found}",
        )
        exam.count("cuts made and mended")


CUT = Check(
    id="net.cut",
    exercise="EN.1",
    title="What does a cut cable do to a connection?",
    level="L1",
    points=1,
    objectives=("1.1",),
    starter="""\
# Each is one of: "stands, and all arrives", "stands, and what was said is lost", "is gone".
answer = {
    "20 s, nobody speaks": "?",
    "20 s, somebody speaks": "?",
    "10 min, nobody speaks": "?",
    "10 min, somebody speaks": "?",
}
await lab.check("net.cut", answer)
""",
    hints=(
        "Run section 3 again with your own times: net.partition(a, b) returns the function that mends, and "
        "net.at(t, heal) calls it at the time t.",
        "Two clocks run while a cable is cut: TCP's, which sends again what was not acknowledged, and the muxer's, "
        "which asks now and then whether the other is still there and gives up without an answer "
        "(yamux/README.md, ping).",
        "lab.limits names both: keepalive_interval is how long a quiet connection waits before it asks, "
        "keepalive_timeout how long for the answer. Which of the four cuts is longer than the two together?",
    ),
    rules=(
        Rule("unknown-fate", "Take one of the three texts of the starter, letter by letter."),
        Rule(
            "short-cut",
            "A connection is what two machines remember. Nobody noticed anything in these seconds, and TCP sends again "
            "what got lost.",
        ),
        Rule(
            "long-cut",
            "Silence alone ends no TCP connection, yet the muxer asks on a quiet connection whether the other side is "
            "there, and takes no answer for an answer.",
            "yamux/README.md",
        ),
    ),
    examine=examine_cut,
    seeds=(1, 2),
    time_limit=60.0,
)

# -- EN.3: a race, and how often it happens ----------------------------------------------------------------------

LEAD = 0.01  # seconds that alice speaks before bob
JITTER = 0.05  # seconds that each packet may take longer, on the way out of either
RUNS = 80
TOLERANCE = 0.15
RACE = "/race/1.0.0"


def race(seed: int | str) -> bool:
    """Whether carol hears bob first, although alice spoke before him."""
    order = []
    with sim.Internet(seed) as net:
        bare: Any = {"security": "plaintext", "services": list}  # nothing else is said
        carol = net.host("carol", **bare)
        alice, bob = (net.host(name, jitter=JITTER, **bare) for name in ("alice", "bob"))

        async def hear(stream: Any) -> None:
            order.append(await stream.read())

        carol.set_handler(RACE, hear)

        async def scenario() -> None:
            streams = []
            for peer in (alice, bob):
                await peer.connect(carol.addrs[0])
                streams.append(await peer.open_stream(carol.peer_id, RACE))
            await asyncio.sleep(10)
            for stream, name in zip(streams, (b"alice", b"bob"), strict=True):
                await stream.write(name)
                await stream.close_write()
                await asyncio.sleep(LEAD)
            await asyncio.sleep(10)

        net.run(scenario())
    return order == [b"bob", b"alice"]


def share_of_races(runs: int = RUNS) -> float:
    """In what part of `runs` other seeds the race happens."""
    draw = random.Random("net.race/odds")
    return sum(race(draw.randrange(1 << 40)) for _ in range(runs)) / runs


async def examine_race(exam: Exam, answer: Any) -> None:
    """EN.3: the race is run with the seed of the answer; then with others, to measure the share."""
    if not isinstance(answer, Mapping) or set(answer) != {"seed", "share"}:
        exam.reject(
            "wrong-type", "the answer is a dict with the keys seed and share", got=shown(answer)
        )
    seed, share = answer["seed"], answer["share"]
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    if not isinstance(seed, int) or not is_number:
        exam.reject("wrong-type", "a seed is an int, a share a number", got=shown(dict(answer)))
    happens = await asyncio.to_thread(race, seed)
    exam.count("races run")
    exam.require(
        happens, "wrong-seed", f"with seed {seed} carol hears alice first", got=f"seed {seed}"
    )
    exam.require(0 <= share <= 1, "no-share", "a share lies between 0 and 1", got=shown(share))
    measured = await asyncio.to_thread(share_of_races)
    exam.count("races run", RUNS)
    exam.require(
        abs(share - measured) <= TOLERANCE,
        "wrong-share",
        f"the race happened in {measured:.0%} of {RUNS} other runs",
        got=f"{share:.0%}",
        expected=f"within {TOLERANCE:.0%} of that",
    )
    exam.note(f"It happened in {measured:.0%} of {RUNS} other runs; you said {share:.0%}.")


RACE_CHECK = Check(
    id="net.race",
    exercise="EN.3",
    title="Find the seed of a race, and its odds",
    level="L5",
    points=2,
    objectives=("1.1",),
    starter="""\
# `race(seed)` is the scenario of the exercise. Which seed shows the race? In what share of all seeds does it happen?
answer = {"seed": None, "share": None}
await lab.check("net.race", answer)
""",
    hints=(
        "One run is an anecdote. lab.sim.sweep runs an experiment with many seeds and keeps a table.",
        "The share of a few runs says little: with 10 runs it is easily off by 0.3, with 400 hardly by 0.05. The error "
        "shrinks with the square root of the number of runs.",
        "outcomes = [race(seed) for seed in range(400)]; answer = {'seed': outcomes.index(True), "
        "'share': sum(outcomes) / len(outcomes)}.",
    ),
    rules=(
        Rule(
            "wrong-seed",
            "Run race(seed) with your seed: it must give True. The same seed gives the same run, here and everywhere.",
        ),
        Rule("no-share", "A share is a part of the whole: 0.25, not 25."),
        Rule(
            "wrong-share",
            "Count over more seeds, and over all of them, not only over those up to the first that fits.",
        ),
    ),
    examine=examine_race,
    seeds=(1,),
    time_limit=90.0,
)

CHECKS = (CUT, SCENARIO, RACE_CHECK)
