"""E8.2a: a NAT box for datagrams: mapping, filtering, and forgetting, beside the simulator's own table."""

from __future__ import annotations

import itertools
import random
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown

OUTER = "203.0.113.9"
TIMEOUT = 120.0
WAYS = ("endpoint-independent", "address-dependent", "address-and-port-dependent")
MAPPING_TEXT = "https://www.rfc-editor.org/rfc/rfc4787#section-4.1"
FILTERING_TEXT = "https://www.rfc-editor.org/rfc/rfc4787#section-5"
PACKETS = 300

Endpoint = tuple[str, int]


def _key(way: str, remote: Endpoint) -> tuple[object, ...]:
    """What of a remote a mapping or a filter looks at."""
    return {WAYS[0]: (), WAYS[1]: remote[:1], WAYS[2]: remote}[way]


class _Books:
    """What is right: mappings by number, since ports are the student's to choose."""

    def __init__(self, mapping: str, filtering: str) -> None:
        self.mapping, self.filtering = mapping, filtering
        self.held: dict[tuple[object, ...], tuple[Endpoint, Endpoint, float]] = {}
        self.allowed: dict[Endpoint, dict[tuple[object, ...], float]] = {}

    def expected(self, inside: Endpoint, remote: Endpoint, now: float) -> Endpoint | None:
        """The outer endpoint that must be used again; None if a new one is due."""
        found = self.held.get((inside, _key(self.mapping, remote)))
        return found[1] if found is not None and now - found[2] < TIMEOUT else None

    def used(self, now: float) -> set[Endpoint]:
        """Outer endpoints that belong to somebody."""
        return {outside for _, outside, last in self.held.values() if now - last < TIMEOUT}

    def sent(self, inside: Endpoint, remote: Endpoint, outside: Endpoint, now: float) -> None:
        """A packet went out."""
        if self.expected(inside, remote, now) is None:
            self.allowed[outside] = {}
        self.held[inside, _key(self.mapping, remote)] = (inside, outside, now)
        self.allowed[outside][_key(self.filtering, remote)] = now

    def entry(self, remote: Endpoint, outside: Endpoint, now: float) -> tuple[Endpoint | None, str]:
        """Who gets a packet from outside, and which rule says so."""
        owner = next(
            (
                inside
                for inside, at, last in self.held.values()
                if at == outside and now - last < TIMEOUT
            ),
            None,
        )
        if owner is None:
            return None, "expired" if outside in self.allowed else "unknown"
        if self.filtering == WAYS[0] or _key(self.filtering, remote) in self.allowed[outside]:
            return owner, "lets-in"
        return None, "filter"


def _random_endpoint(rng: random.Random, ips: tuple[str, ...]) -> Endpoint:
    return rng.choice(ips), rng.choice((4001, 4002, 5000))


def _outbound(
    exam: Exam, box: Any, books: _Books, inside: Endpoint, remote: Endpoint, now: float
) -> Endpoint:
    exam.sent = f"{books.mapping} mapping: outbound({inside}, {remote}, {now:g})"
    expected, used = books.expected(inside, remote, now), books.used(now)
    outside = box.outbound(inside, remote, now)
    if not isinstance(outside, tuple) or len(outside) != 2 or not isinstance(outside[1], int):
        exam.reject("wrong-type", "outbound gives an endpoint (ip, port)", got=shown(outside))
    exam.require(
        outside[0] == OUTER,
        "outer-ip",
        "packets leave with the box's own address",
        got=shown(outside),
    )
    exam.require(0 < outside[1] < 65536, "outer-ip", "this is no port", got=shown(outside))
    if expected is not None:
        exam.require(
            outside == expected,
            "remaps",
            "this packet belongs to a mapping that is there, and got another port",
            got=shown(outside),
            expected=shown(expected),
        )
    else:
        exam.require(
            outside not in used,
            "shared",
            "a new mapping is due, and it got a port that belongs to another",
            got=shown(outside),
        )
    books.sent(inside, remote, outside, now)
    return outside


def _inbound(
    exam: Exam, box: Any, books: _Books, remote: Endpoint, outside: Endpoint, now: float
) -> None:
    exam.sent = f"{books.filtering} filtering: inbound({remote}, {outside}, {now:g})"
    owner, rule = books.entry(remote, outside, now)
    got = box.inbound(remote, outside, now)
    if got is not None and (not isinstance(got, tuple) or len(got) != 2):
        exam.reject(
            "wrong-type", "inbound gives an inner endpoint (ip, port), or None", got=shown(got)
        )
    if owner is None:
        exam.require(got is None, rule, "a packet came in that the box should drop", got=shown(got))
    else:
        exam.require(
            got is not None, rule, "a packet was dropped that may come in", expected=shown(owner)
        )
        exam.require(
            got == owner,
            "owner",
            "a packet came in to the wrong one",
            got=shown(got),
            expected=shown(owner),
        )


def _random_packets(exam: Exam, answer: Any, mapping: str, filtering: str) -> None:
    """Out and in, as it comes, with pauses."""
    rng, books = exam.rng, _Books(mapping, filtering)
    box = answer(mapping, filtering)
    missing = [m for m in ("outbound", "inbound") if not callable(getattr(box, m, None))]
    if missing:
        exam.reject(
            "wrong-type",
            f"a NatBox has the methods outbound and inbound; missing: {', '.join(missing)}",
        )
    inner, outer = ("192.168.1.2", "192.168.1.3"), ("198.51.100.1", "198.51.100.2", "198.51.100.3")
    now, known = 0.0, [(OUTER, 7)]
    for _ in range(PACKETS):
        now += rng.choice((0.1, 1.0, 5.0, 70.0))
        remote = _random_endpoint(rng, outer)
        if rng.random() < 0.5:
            known.append(_outbound(exam, box, books, _random_endpoint(rng, inner), remote, now))
        else:
            _inbound(exam, box, books, remote, rng.choice(known[-6:]), now)
        exam.count("packets")


async def examine_box(exam: Exam, answer: Any) -> None:
    """E8.2a: all nine behaviours, at random."""
    make = exam.callable_answer(answer, "a class NatBox")
    for mapping, filtering in itertools.product(WAYS, WAYS):
        _random_packets(exam, make, mapping, filtering)


NAT_BOX = Check(
    id="08.nat_box",
    exercise="E8.2a",
    title="A NAT box",
    level="L3",
    points=3,
    objectives=("1.12", "X.16"),
    starter='''\
class NatBox:
    """A NAT box for datagrams, with the outer address 203.0.113.9. Endpoints are pairs (ip, port).

    mapping, filtering: "endpoint-independent", "address-dependent" or "address-and-port-dependent".
    """

    def __init__(self, mapping, filtering):
        raise NotImplementedError

    def outbound(self, inside, remote, now):
        """A packet leaves. Returns the outer endpoint that it gets: a mapping that is there, or a new one.

        A mapping is forgotten when nothing has left by it for 120 seconds.
        """
        raise NotImplementedError

    def inbound(self, remote, outside, now):
        """A packet comes to an outer endpoint. Returns the inner endpoint that gets it, or None: it is dropped."""
        raise NotImplementedError


await lab.check("08.nat_box", NatBox)
''',
    hints=(
        "Two questions, and two memories: which outer port has this inner endpoint (mapping), and to whom has it sent "
        "by that port (filtering)?",
        "Both look at the remote in the same three ways: not at all, at its address, at its address and port (RFC "
        "4787, sections 4.1 and 5).",
        "key(way, remote): () or (ip,) or (ip, port). mappings[inside, key(mapping, remote)] = [outside, last]; "
        "sent[outside] = set of key(filtering, remote). inbound: find the mapping of `outside` that is younger than "
        "120 s, then ask whether filtering is independent or key(filtering, remote) in sent[outside]. A new mapping "
        "begins with an empty set.",
    ),
    rules=(
        Rule("outer-ip", "Whoever is outside sees the box: 203.0.113.9, and a port of its own."),
        Rule(
            "remaps",
            "A mapping that is there is used again: for every remote, for the same address, or for the same address "
            "and port, as the behaviour says.",
            MAPPING_TEXT,
        ),
        Rule(
            "shared",
            "Two mappings never have one outer port at a time, or answers could not be told apart.",
            MAPPING_TEXT,
        ),
        Rule("unknown", "Nobody has this port: drop it."),
        Rule(
            "expired", "Nothing has left by this mapping for 120 s: it is forgotten.", MAPPING_TEXT
        ),
        Rule(
            "filter",
            "From there nobody has been asked: the filter drops it. What was asked before the mapping was forgotten "
            "does not count for a new one.",
            FILTERING_TEXT,
        ),
        Rule(
            "lets-in",
            "The filter lets in whoever was sent to, in its own way of looking.",
            FILTERING_TEXT,
        ),
        Rule("owner", "An outer port belongs to one inner endpoint."),
    ),
    examine=examine_box,
)
