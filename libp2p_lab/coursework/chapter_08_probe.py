"""E8.2b: which kind of box is this? Found out from behind it, by asking servers in the open."""

from __future__ import annotations

import itertools
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.sim.nat_table import NatBehaviour, NatTable
from libp2p_lab.sim.packet import Endpoint
from libp2p_lab.sim.punching import NINE

METHOD = "https://www.rfc-editor.org/rfc/rfc5780#section-4"
MAPPING_TEXT = "https://www.rfc-editor.org/rfc/rfc4787#section-4.1"
FILTERING_TEXT = "https://www.rfc-editor.org/rfc/rfc4787#section-5"
SERVERS: tuple[Endpoint, ...] = tuple(
    itertools.product(("198.51.100.1", "198.51.100.2"), (3478, 3479))
)
QUESTIONS = 8
INNER = "192.168.1.2"


class Probe:
    """A machine behind a box that nobody knows, and four servers in the open.

    Attributes:
        servers: two addresses with two ports each.
        asked: how many questions so far.
    """

    def __init__(self, exam: Exam, behaviour: NatBehaviour) -> None:
        self.servers = list(SERVERS)
        self.asked = 0
        self._exam = exam
        self._now = 0.0
        self._table = NatTable(behaviour, ("203.0.113.9",), exam.rng)

    def ask(self, port: Any, server: Endpoint, answer_from: Endpoint | None = None) -> Any:
        """Ask `server` from the inner `port`: where do you see me?

        Args:
            port: of our own machine, 1 to 65535.
            server: one of `servers`.
            answer_from: which of the servers sends the answer; None for the one that was asked.

        Returns: the outer endpoint (ip, port), or None: no answer came through.
        """
        exam, back = self._exam, answer_from or server
        asked = server
        exam.sent = f"ask({port}, {asked}, answer_from={back})"
        known = asked in SERVERS and back in SERVERS
        if not known or not isinstance(port, int) or not 0 < port < 65536:
            exam.reject("wrong-type", "ask takes a port, and one or two of the servers")
        self.asked += 1
        exam.require(
            self.asked <= QUESTIONS,
            "many",
            f"more than {QUESTIONS} questions about one box",
            expected="five at most are needed",
        )
        self._now += 1.0
        made = self._table.outbound("udp", (INNER, port), asked, "datagram", self._now)
        assert made is not None
        outside = made[0].outside
        inside = self._table.inbound("udp", outside, back, "datagram", self._now)
        return outside if isinstance(inside, tuple) else None


async def examine_probe(exam: Exam, answer: Any) -> None:
    """E8.2b: all nine, in random order."""
    classify = exam.callable_answer(answer, "a function classify(probe)")
    asked = []
    for behaviour in exam.rng.sample(NINE, len(NINE)):
        probe = Probe(exam, behaviour)
        got = classify(probe)
        if not isinstance(got, tuple) or len(got) != 2:
            exam.reject("wrong-type", "classify gives a pair (mapping, filtering)", got=shown(got))
        exam.sent = f"a box with {behaviour}; {probe.asked} questions were asked"
        exam.require(
            got[0] == behaviour.mapping,
            "mapping",
            "the box maps in another way",
            got=shown(got[0]),
            expected=behaviour.mapping,
        )
        exam.require(
            got[1] == behaviour.filtering,
            "filtering",
            "the box filters in another way",
            got=shown(got[1]),
            expected=behaviour.filtering,
        )
        asked.append(probe.asked)
        exam.count("boxes")
    exam.note(f"Questions asked about one box: {min(asked)} to {max(asked)}.")


PROBE = Check(
    id="08.probe",
    exercise="E8.2b",
    title="Which box is this?",
    level="L3",
    points=2,
    objectives=("1.12", "X.16"),
    starter='''\
def classify(probe):
    """Find out how the box before us behaves, with eight questions at most. Returns a pair (mapping, filtering), each
    "endpoint-independent", "address-dependent" or "address-and-port-dependent".

    probe.servers: four in the open: (ip 1, port 1), (ip 1, port 2), (ip 2, port 1), (ip 2, port 2).
    probe.ask(port, server, answer_from=None): ask a server from an inner port of ours. It says where it sees us, an
    outer (ip, port); or lets another server say so (`answer_from`). None: the box let no answer in.
    """
    raise NotImplementedError


await lab.check("08.probe", classify)
''',
    hints=(
        "Two questions, one after the other. Mapping: do different servers see the same outer port? Filtering: does an "
        "answer come in from somebody who was not asked?",
        "Mapping: one inner port, asked of server 1, of its other port, and of the other address. Filtering: let "
        "another server answer. But a server that was ever asked from that port is known to the box: take a fresh "
        "inner port for each test (RFC 5780, section 4).",
        "a, b, c = (probe.ask(5000, s) for s in (servers[0], servers[1], servers[2])): all equal is independent, a == "
        "b is by address, else by address and port. probe.ask(5001, servers[0], servers[2]) comes in: independent; "
        "else probe.ask(5002, servers[0], servers[1]) comes in: by address; else by address and port.",
    ),
    rules=(
        Rule(
            "mapping",
            "Compare what three servers see of one inner port: the same address with another port, and another "
            "address.",
            MAPPING_TEXT,
        ),
        Rule(
            "filtering",
            "Who was asked before from the same inner port may answer for a while: use a port that nobody has heard "
            "of. And ask for both: an answer from another address, and from another port.",
            FILTERING_TEXT,
        ),
        Rule("many", "Each question tells one thing; five are enough.", METHOD),
    ),
    examine=examine_probe,
)
