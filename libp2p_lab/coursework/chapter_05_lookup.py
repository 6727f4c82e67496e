"""E5.4: an iterative lookup: by hand, then over many networks beside the library's, then in a live peer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from libp2p_lab.content.dht import KadDHT
from libp2p_lab.coursework.chapter_05_table import some_peers
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slot_routing import with_lookup
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.routing.distance import closest, position
from libp2p_lab.sim.lookups import LookupNetwork, Outcome

PEER_ROUTING = "kad-dht/README.md#peer-routing"
NETWORKS, LOOKUPS = 8, 4  # of each seed
K, ALPHA = 8, 3
MOST_MESSAGES = 1.3  # times the reference's
HOSTS, LIVE_K = 8, 3


class _Student:
    """A student's lookup, stepped: every call is looked at.

    Args:
        exam: whose rules are broken.
        part: the student's class.
    """

    def __init__(
        self, exam: Exam, part: Any, target: int, seeds: Sequence[PeerId], k: int, alpha: int
    ) -> None:
        self._exam, self._k, self._alpha, self._target = exam, k, alpha, target
        self._part = part(target, list(seeds), k, alpha)
        self._in_flight: set[PeerId] = set()
        self._asked: set[PeerId] = set()
        self._answered: set[PeerId] = set()
        self._known = set(seeds)

    def next(self) -> list[PeerId]:
        """Whom it wants to ask: nobody twice, at most alpha at once, only those it has heard of."""
        exam, chosen = self._exam, self._part.next()
        if not isinstance(chosen, list | tuple) or not all(isinstance(p, PeerId) for p in chosen):
            exam.reject("wrong-type", "next() gives a list of peers", got=shown(chosen))
        for peer in chosen:
            exam.require(peer not in self._asked, "twice", "a peer is asked a second time")
            exam.require(
                peer in self._known, "unheard-of", "a peer is asked of whom nobody has spoken"
            )
            self._asked.add(peer)
            self._in_flight.add(peer)
        exam.require(
            len(self._in_flight) <= self._alpha,
            "too-many-at-once",
            f"{len(self._in_flight)} requests are under way",
            expected=f"at most {self._alpha}",
        )
        return list(chosen)

    def answered(self, peer: PeerId, closer: Sequence[PeerId]) -> None:
        """As `SteppedLookup.answered`."""
        self._in_flight.discard(peer)
        self._answered.add(peer)
        self._known.update(closer)
        self._part.answered(peer, list(closer))

    def failed(self, peer: PeerId) -> None:
        """As `SteppedLookup.failed`."""
        self._in_flight.discard(peer)
        self._part.failed(peer)

    @property
    def is_finished(self) -> bool:
        """As `SteppedLookup.is_finished`."""
        return bool(self._part.is_finished)

    @property
    def result(self) -> list[PeerId]:
        """Those who answered, the closest first, at most k."""
        exam, found = self._exam, list(self._part.result)
        exam.require(
            set(found) <= self._answered,
            "not-answered",
            "the result names a peer that has not answered",
        )
        exam.require(
            len(found) <= self._k,
            "result",
            f"the result has {len(found)} peers, and k is {self._k}",
        )
        exam.require(
            found == closest(found, self._target, self._k), "result", "the result is not in order"
        )
        return found


def _by_hand(exam: Exam, answer: Any) -> None:
    """Nine peers, and what each says is written down."""
    peers = some_peers(exam, 9)
    target = position(peers[0].multihash) ^ 1
    near = closest(peers, target, 9)
    lookup = _Student(exam, answer, target, near[5:8], 3, 2)
    exam.sent = "k = 3, alpha = 2, three seeds"
    first = lookup.next()
    exam.require(
        first == near[5:7],
        "nearest-first",
        "not the two closest seeds are asked first",
        got=f"the seeds {[near[5:8].index(p) + 1 for p in first]}",
        expected="1 and 2 of three, the closest first",
    )
    exam.require(not lookup.next(), "too-many-at-once", "two are under way, and a third is asked")
    exam.require(not lookup.is_finished, "ends-early", "it is over before anybody answered")
    lookup.failed(first[0])
    lookup.answered(first[1], [near[1], near[8], first[1]])
    second = lookup.next()
    exam.require(
        second[:1] == [near[1]],
        "nearest-first",
        "a closer peer was named, and is not the next to be asked",
    )
    for peer in second:
        lookup.answered(peer, [near[0], near[2]] if peer == near[1] else [])
    while chosen := lookup.next():
        for peer in chosen:
            lookup.answered(peer, [])
    exam.require(
        lookup.is_finished,
        "no-end",
        "nobody is left to ask, and it is not finished",
    )
    exam.equal(
        [near.index(p) for p in lookup.result],
        [0, 1, 2],
        "result",
        "of nine peers these are the three closest that answered",
    )
    exam.count("lookups by hand", 1)


def _nobody(exam: Exam, answer: Any) -> None:
    """Everybody is gone; and there was nobody to begin with."""
    peers = some_peers(exam, 4)
    lookup = _Student(exam, answer, 0, peers, 3, 2)
    exam.sent = "four seeds, and none of them answers"
    for _ in range(10):
        for peer in lookup.next():
            lookup.failed(peer)
    exam.require(lookup.is_finished, "no-end", "all have failed, and it is not finished")
    exam.require(not lookup.result, "not-answered", "all have failed, and the result is not empty")
    empty = _Student(exam, answer, 0, [], 3, 2)
    exam.sent = "no seeds"
    exam.require(
        not empty.next() and empty.is_finished, "no-end", "without anybody it is not finished"
    )


def _made_up(exam: Exam, target: int, count: int) -> list[PeerId]:
    """Names that nobody has, each closer to the target than half of the key space."""
    found: list[PeerId] = []
    while len(found) < count:
        (peer,) = some_peers(exam, 1)
        if (position(peer.multihash) ^ target).bit_length() < 254:
            found.append(peer)
    return found


def _networks(exam: Exam, answer: Any) -> None:
    """Lookup by lookup beside the library's, on the same networks: among the living, the dead, and one who lies."""

    def make(target: int, seeds: Sequence[PeerId], *, k: int, alpha: int) -> _Student:
        return _Student(exam, answer, target, seeds, k, alpha)

    ours, theirs = [], []
    for number in range(NETWORKS):
        dead = (0.0, 0.2)[number % 2]
        net = LookupNetwork(150, k=K, seed=exam.rng.randrange(1 << 30), dead=dead)
        for _ in range(LOOKUPS):
            asker, target = exam.rng.choice(net.alive), exam.rng.getrandbits(256)
            exam.sent = f"150 peers, {dead:.0%} of them gone, k = {K}, alpha = {ALPHA}"
            say = _with_liar(exam, net, target) if number % 4 == 2 else None
            if say is not None:
                exam.sent += "; one of them names 300 peers that do not exist"
            ours.append(net.lookup(asker, target, alpha=ALPHA, answer=say))
            theirs.append(net.lookup(asker, target, alpha=ALPHA, answer=say, make=make))
            _compare(exam, ours[-1], theirs[-1])
    exact = sum(mine.share >= right.share for mine, right in zip(theirs, ours, strict=True))
    exam.require(
        exact >= 0.99 * len(ours),
        "misses",
        f"{exact} of {len(ours)} lookups found as many of the {K} closest as the reference",
        expected="99 of 100",
    )
    spent, price = (sum(outcome.requests for outcome in group) for group in (theirs, ours))
    exam.require(
        spent <= MOST_MESSAGES * price,
        "dear",
        f"{spent} requests for {len(ours)} lookups",
        got=str(spent),
        expected=f"at most {MOST_MESSAGES} times the reference's {price}",
    )
    exam.note(f"{spent} requests, where the reference made {price}.")
    exam.count("lookups beside the reference", len(ours))


def _compare(exam: Exam, right: Outcome, got: Outcome) -> None:
    """One lookup: nothing like the reference's is a mistake of its own kind."""
    exam.require(
        got.requests <= 5 * right.requests,
        "dear",
        f"{got.requests} requests for one lookup",
        expected=f"{right.requests} or so",
    )
    exam.require(
        got.share >= right.share - 0.5,
        "ends-early",
        f"{round(got.share * K)} of the {K} closest peers were found after {got.requests} requests",
        expected=f"{round(right.share * K)} of them after {right.requests}",
    )


def _with_liar(exam: Exam, net: LookupNetwork, target: int) -> Any:
    """Answers as of the network, but for one peer near the target, which makes up three hundred."""
    liar = net.closest(target, 12)[-1]
    invented = _made_up(exam, target, 300)
    nobody = set(invented)

    def say(peer: PeerId, wanted: int) -> Sequence[PeerId] | None:
        if peer in nobody:
            return None
        return invented if peer == liar else net.answer(peer, wanted)

    return say


async def _lives(exam: Exam, answer: Any) -> None:
    """A live peer that searches by the student's lookup among those that do not."""
    exam.sent = f"{HOSTS} live peers, one of them with your lookup"
    async with AsyncExitStack() as stack:
        hosts = []
        for number in range(HOSTS):
            services = with_lookup(answer, k=LIVE_K)
            if number:
                services = [Identify(), KadDHT(k=LIVE_K)]
            host = Host(listen=["/memory/0"], services=services)
            hosts.append(await stack.enter_async_context(host))
        async with asyncio.timeout(20):
            for host in hosts[1:]:
                await host.dht.bootstrap([hosts[0].addrs[0]])
            await hosts[0].dht.refresh()
        others = [host.peer_id for host in hosts[1:]]
        for number in range(3):
            key = b"key %d" % number
            found = await hosts[0].dht.closest_peers(key)
            exam.require(
                found == closest(others, position(key), LIVE_K),
                "live",
                f"it looked for the {LIVE_K} peers closest to a key, and found others",
                got=f"{len(found)} peers",
            )
            exam.count("live lookups")


async def examine_lookup(exam: Exam, answer: Any) -> None:
    """E5.4: by hand, beside the reference, alive."""
    part = exam.callable_answer(answer, "a class Lookup")
    missing = [
        name
        for name in ("next", "answered", "failed", "is_finished", "result")
        if not hasattr(part, name)
    ]
    if missing:
        exam.reject("wrong-type", f"a lookup has {', '.join(missing)} too", got=shown(answer))
    _by_hand(exam, part)
    _nobody(exam, part)
    _networks(exam, part)
    if exam.seed == exam.check.seeds[0]:
        await _lives(exam, part)


LOOKUP = Check(
    id="05.lookup",
    exercise="E5.4",
    title="A lookup",
    level="L4",
    points=4,
    objectives=("1.33", "1.3"),
    starter='''\
from libp2p_lab.routing import position


class Lookup:
    """One search for the k peers closest to a target. Somebody else does the asking: this says whom to ask."""

    def __init__(self, target, seeds, k, alpha):
        """target: a position. seeds: peers that we know, the closest first.

        The distance of a peer: position(peer.multihash) ^ target.
        """
        raise NotImplementedError

    def next(self):
        """The peers to be asked now: the closest first, nobody twice, never more than alpha under way."""
        raise NotImplementedError

    def answered(self, peer, closer):
        """`peer` answered, and named the peers `closer`."""
        raise NotImplementedError

    def failed(self, peer):
        """`peer` did not answer."""
        raise NotImplementedError

    @property
    def is_finished(self):
        raise NotImplementedError

    @property
    def result(self):
        """The k closest that answered, the closest first."""
        raise NotImplementedError


await lab.check("05.lookup", Lookup)
''',
    hints=(
        "Keep one list of everybody heard of, sorted by distance, and for each of them a state: heard of, asked, "
        "answered, failed. Everything else can be read from it.",
        "The lookup is over when the k closest of those heard of, failed ones left out, have all answered; not when "
        "one answer brought nobody new (kad-dht/README.md, peer routing).",
        "short = [p for p in sorted(state, key=distance) if state[p] != 'failed'][:k]. next: those of short that are "
        "'heard', as long as fewer than alpha are 'asked'. is_finished: all(state[p] == 'answered' for p in short). "
        "answered: take at most 20 new names of one answer, the closest: closer may be longer than any honest one.",
    ),
    rules=(
        Rule("twice", "Remember whom you have asked, whether or not they have answered."),
        Rule("unheard-of", "Ask the seeds, and those that answers name."),
        Rule(
            "too-many-at-once",
            "Count what is under way: asked, and neither answered nor failed. alpha is the limit.",
            PEER_ROUTING,
        ),
        Rule("nearest-first", "The closest that has not been asked comes next.", PEER_ROUTING),
        Rule(
            "ends-early",
            "It ends when the k closest heard of have answered, and not before: others are still under way, or "
            "somebody closer has not been asked.",
            PEER_ROUTING,
        ),
        Rule(
            "no-end",
            "Failed peers do not count, and when nobody is left to ask, it is over.",
            PEER_ROUTING,
        ),
        Rule("not-answered", "A peer that did not answer is no result."),
        Rule("result", "At most k peers, those that answered, the closest first."),
        Rule(
            "misses",
            "Some of the k closest were not found. Do you go on asking until *all* k closest have answered?",
            PEER_ROUTING,
        ),
        Rule(
            "dear",
            "Too many are asked: only the k closest that are left need to be, and of one answer no more than twenty "
            "names count. Somebody may name hundreds.",
            PEER_ROUTING,
        ),
        Rule("live", "In a live peer it finds others than it should."),
    ),
    examine=examine_lookup,
    time_limit=60.0,
)
