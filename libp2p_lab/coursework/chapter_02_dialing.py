"""E2.5: a peer has many addresses, and most of them are no good. Which is tried when?

A plan is run by the library's own race (transports/dialing.py) in virtual time, on 200 networks made from the seed.
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import DialError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.sim import Internet
from libp2p_lab.transports.dialing import Start, race

NETWORKS = 200
PATIENCE = 5.0  # seconds until an attempt that hears nothing is given up
NAIVE_DELAY = 1.0  # seconds that the naive plan gives to each address
FASTER = 0.40  # the part of the naive plan's median that must be saved
SHARE_WITH_A_TAIL = 2 / 3  # of the points, for a plan that is fast for most and slow for some
MORE_ATTEMPTS = 1.5  # as many times the naive plan's attempts are allowed
SILENCE = math.inf  # such an address answers nothing at all

RELAY = "/ip4/198.51.100.7/tcp/4001/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq/p2p-circuit"
_HOME_NETWORKS = ("192.168.1", "10.0.0", "172.17.0")

Network = dict[str, float]  # address: seconds until its connection is usable, or SILENCE
Plan = Sequence[tuple[float, str]]


def make_network(rng: random.Random) -> Network:
    """A peer's addresses as somebody else would hear of them, in no order, and what becomes of a dial to each."""
    rtt = rng.uniform(0.03, 0.25)
    is_udp_open, has_ip6, is_neighbour = (rng.random() < p for p in (0.7, 0.5, 0.1))
    port = rng.choice((4001, 4001, rng.randint(1024, 65000)))
    found: Network = {}

    def add(ip: str, works: bool, rtt: float) -> None:
        for tail, rounds, gets_through in (
            (f"/udp/{port}/quic-v1", 2, is_udp_open),
            (f"/tcp/{port}", 4, True),
        ):
            is_known, is_current, slack = rng.random(), rng.random(), rng.uniform(1, 1.2)
            if is_known < 0.85:
                answers = works and gets_through and is_current < 0.9
                found[ip + tail] = rounds * rtt * slack if answers else SILENCE

    add(f"/ip4/{rng.randint(20, 99)}.{rng.randint(0, 255)}.3.{rng.randint(1, 254)}", True, rtt)
    if rng.random() < 0.6:
        add(f"/ip6/2a00:{rng.randint(1, 0xFFFF):x}::{rng.randint(1, 0xFFFF):x}", has_ip6, rtt)
    for _ in range(rng.randint(2, 3)):
        network = rng.choice(_HOME_NETWORKS)
        add(f"/ip4/{network}.{rng.randint(2, 250)}", is_neighbour, 0.004)
    found[RELAY] = 8 * rtt
    addrs = list(found)
    rng.shuffle(addrs)
    return {addr: found[addr] for addr in addrs}


def naive(addrs: Sequence[str]) -> list[tuple[float, str]]:
    """One after the other as they come, a second for each."""
    return [(number * NAIVE_DELAY, addr) for number, addr in enumerate(addrs)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one dial."""

    seconds: float  # infinite if nobody was reached
    attempts: int


async def run_plan(network: Network, plan: Plan) -> Outcome:
    """Dial by a plan, on the clock of the running loop."""
    clock = asyncio.get_running_loop().time
    attempts = 0

    async def dial(addr: Multiaddr) -> str:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(min(network[str(addr)], 10 * PATIENCE))
        return str(addr)

    starts = [Start(Multiaddr(addr), delay) for delay, addr in sorted(plan, key=lambda s: s[0])]
    began = clock()
    try:
        await race(starts, dial, timeout=PATIENCE)
    except DialError:
        return Outcome(math.inf, attempts)
    return Outcome(clock() - began, attempts)


async def run_all(networks: Sequence[Network], plans: Sequence[Plan]) -> list[Outcome]:
    """One dial in each network, in virtual time."""

    async def scenario() -> list[Outcome]:
        return [
            await run_plan(network, plan) for network, plan in zip(networks, plans, strict=True)
        ]

    with Internet(seed=0) as net:
        return await net.arun(scenario())


def _check_plan(exam: Exam, network: Network, plan: object) -> Plan:
    """The plan, if it is one."""
    if not isinstance(plan, list | tuple):
        exam.reject("wrong-type", "a plan is a list of pairs (seconds, address)", got=shown(plan))
    seen: set[str] = set()
    for start in plan:
        if not isinstance(start, list | tuple) or len(start) != 2:
            exam.reject("wrong-type", "each start is a pair (seconds, address)", got=shown(start))
        delay, addr = start
        is_number = isinstance(delay, int | float) and not isinstance(delay, bool)
        if not is_number or not 0 <= delay < math.inf:
            exam.reject("bad-delay", "this is no delay", got=shown(start))
        exam.require(addr in network, "unknown-addr", "this address was not given", got=shown(addr))
        exam.require(
            addr not in seen, "twice", "this address stands twice in the plan", got=shown(addr)
        )
        seen.add(addr)
    return plan


def _describe(network: Network, plan: Plan) -> str:
    """A network and its plan as a table."""
    starts = {addr: delay for delay, addr in plan}
    lines = []
    for addr, seconds in sorted(network.items(), key=lambda item: starts.get(item[0], math.inf)):
        start = f"at {starts[addr]:5.2f} s" if addr in starts else "   never  "
        fate = "silence" if seconds == SILENCE else f"connected {seconds:.2f} s later"
        lines.append(f"{start}  {addr.partition('/p2p/')[0]:46} {fate}")
    return "\n".join(lines)


async def examine_dial_policy(exam: Exam, answer: Any) -> None:
    """E2.5: plans for 200 networks against the naive one."""
    policy: Callable[..., Any] = exam.callable_answer(answer, "a function plan(addrs)")
    networks = [make_network(exam.rng) for _ in range(NETWORKS)]
    plans = [_check_plan(exam, n, exam.call(policy, list(n))) for n in networks]
    exam.sent = f"{NETWORKS} peers, each with 3 to 11 addresses"
    theirs = await run_all(networks, [naive(list(n)) for n in networks])
    yours = await run_all(networks, plans)
    for network, plan, outcome in zip(networks, plans, yours, strict=True):
        exam.require(
            outcome.seconds < math.inf,
            "unreached",
            "one peer was never reached, though one of its addresses works",
            departure=_describe(network, plan),
        )
    exam.count("dials", NETWORKS)
    median, naive_median = (
        statistics.median(o.seconds for o in group) for group in (yours, theirs)
    )
    attempts, allowed = (sum(o.attempts for o in group) for group in (yours, theirs))
    allowed = math.floor(allowed * MORE_ATTEMPTS)
    saved = 1 - median / naive_median
    exam.note(
        f"Seed {exam.seed}: median {median:.2f} s where the naive plan takes {naive_median:.2f} s "
        f"({saved:.0%} saved), {attempts} attempts of {allowed} allowed."
    )
    worst = max(range(NETWORKS), key=lambda n: yours[n].attempts)
    exam.require(
        attempts <= allowed,
        "too-many",
        f"{attempts} attempts for {NETWORKS} peers; {allowed} are allowed",
        got=f"{attempts / NETWORKS:.1f} attempts for each peer; the median is {median:.2f} s",
        expected=f"at most {allowed / NETWORKS:.1f}",
        departure=_describe(networks[worst], plans[worst]),
    )
    slow = max(range(NETWORKS), key=lambda n: yours[n].seconds)
    exam.require(
        saved >= FASTER,
        "too-slow",
        f"half of the dials take {median:.2f} s or more; the naive plan's median is {naive_median:.2f} s",
        got=f"{saved:.0%} saved",
        expected=f"{FASTER:.0%}, that is {naive_median * (1 - FASTER):.2f} s",
        departure=_describe(networks[slow], plans[slow]),
    )
    slowest, naive_slowest = (
        statistics.quantiles([o.seconds for o in group], n=10)[-1] for group in (yours, theirs)
    )
    if slowest > naive_slowest * (1 - FASTER):
        exam.share = min(exam.share, SHARE_WITH_A_TAIL)
        exam.note(
            f"Seed {exam.seed}: one dial in ten takes {slowest:.1f} s or more. With the naive plan that is "
            f"{naive_slowest:.1f} s; save {FASTER:.0%} of that too for full points."
        )


DIAL_POLICY = Check(
    id="02.dial_policy",
    exercise="E2.5",
    title="Which address when?",
    level="L5",
    points=3,
    objectives=("1.14", "X.4"),
    starter='''\
def plan(addrs):
    """When to dial which of a peer's addresses (a list of text): pairs (seconds, address).

    The first that works wins. Whoever fails gives its place to the next at once; whoever hears nothing is given up
    after 5 s. The naive plan is [(0, addrs[0]), (1, addrs[1]), …]. Yours must save 40 % of its median, with at most
    half as many attempts again. For full points it saves as much where dialling takes longest.
    """
    raise NotImplementedError("your turn")


await lab.check("02.dial_policy", plan)
''',
    hints=(
        "Print the addresses of some peers. Which of them can only work in somebody else's house? Which needs more "
        "round trips than another? Which always works, and is slow?",
        "Two things can be chosen: the order, and the head start of each address over the next. Without an order the "
        "head starts are spent on the dead; without a head start everybody is dialled for nothing.",
        "sorted(addrs, key=lambda addr: (is it relayed?, is it private?, is it tcp?)), then number * 0.25 seconds "
        "for each. '/p2p-circuit' in addr; '/192.168.', '/10.' and '/172.' in addr; '/tcp/' in addr.",
    ),
    rules=(
        Rule("bad-delay", "A delay is a number of seconds from the beginning, 0 or more."),
        Rule("unknown-addr", "Dial the addresses that you were given, as they are written."),
        Rule("twice", "Each address stands in the plan at most once."),
        Rule(
            "unreached",
            "An address that is left out cannot win, and the one that you left out was the only one that works. Put "
            "the unlikely ones last instead.",
        ),
        Rule(
            "too-many",
            "Every attempt costs the other side something too: a thousand dialers who all try everything at once are "
            "an attack. Give each address a head start, and put those first that are likely to work.",
        ),
        Rule(
            "too-slow",
            "Waiting until an address has failed for certain takes longest where nothing answers. Start the next "
            "while the first is under way; and look which addresses you start with.",
        ),
    ),
    examine=examine_dial_policy,
    time_limit=60.0,
)
