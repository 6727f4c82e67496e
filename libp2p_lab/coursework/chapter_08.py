"""The checks of chapter 08: a circuit address read, a NAT box, which pairs can punch, and the exchange before it.

Objectives: 1.12 NAT and firewalls, 1.5 traversal, 1.51 relay, 1.52 relay against punching; X.16 NAT behaviours, X.17
timing.
"""

from __future__ import annotations

import itertools
from typing import Any

from libp2p_lab.coursework.chapter_08_autonat import AUTONAT
from libp2p_lab.coursework.chapter_08_box import NAT_BOX
from libp2p_lab.coursework.chapter_08_cost import COST
from libp2p_lab.coursework.chapter_08_moment import MOMENT
from libp2p_lab.coursework.chapter_08_probe import PROBE
from libp2p_lab.coursework.chapter_08_punch import HOLE_PUNCH
from libp2p_lab.coursework.chapter_08_relay import RELAY
from libp2p_lab.coursework.chapter_08_timing import TIMING
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.sim.punching import NINE, one_gets_through

CIRCUIT = "relay/circuit-v2.md#introduction"
PUNCHING = "connections/hole-punching.md#overview"

# -- E8.1: a circuit address ----------------------------------------------------------------------------------------


def _peer(exam: Exam) -> str:
    return str(PeerId(b"\x12\x20" + exam.rng.randbytes(32)))


async def examine_circuit(exam: Exam, answer: Any) -> None:
    """E8.1: who is who in an address, where the packets go, and who shakes hands with whom."""
    if not isinstance(answer, tuple) or len(answer) != 2 or not all(map(callable, answer)):
        exam.reject(
            "wrong-type", "two functions are asked for: (read, handshakes)", got=shown(answer)
        )
    read, handshakes = answer
    transports = (
        "/ip4/{0}/tcp/4001",
        "/ip6/2001:db8::7/udp/4001/quic-v1",
        "/dns4/relay.example/tcp/443/tls/ws",
    )
    for form in transports:
        where = form.format(f"192.0.2.{exam.rng.randrange(1, 255)}")
        relay, target = _peer(exam), _peer(exam)
        addr = f"{where}/p2p/{relay}/p2p-circuit/p2p/{target}"
        got = exam.call(read, addr)
        if not isinstance(got, tuple) or len(got) != 3:
            exam.reject(
                "wrong-type", "read gives three texts: (dial, relay, target)", got=shown(got)
            )
        exam.require(
            (got[1], got[2]) != (target, relay),
            "swapped",
            "relay and target are taken for one another",
        )
        exam.equal(got[1], relay, "relay", "the name of the relay")
        exam.equal(got[2], target, "target", "the name of the peer that is reached")
        exam.equal(got[0], where, "dial", "the address to which packets are sent")
        exam.count("addresses read")
        dialer = _peer(exam)
        pairs = exam.call(handshakes, addr, dialer)
        try:
            met = {frozenset(pair) for pair in pairs}
        except TypeError:
            exam.reject("wrong-type", "handshakes gives pairs of names", got=shown(pairs))
        exam.require(
            frozenset((dialer, target)) in met,
            "end-to-end",
            "dialer and target must prove themselves to each other: the relay could be anybody",
        )
        right = {
            frozenset((dialer, relay)),
            frozenset((target, relay)),
            frozenset((dialer, target)),
        }
        exam.require(
            met == right, "handshakes", f"{len(met)} pairs have shaken hands", expected="3"
        )
        exam.count("circuits")
    for bad in (
        "/ip4/192.0.2.1/tcp/4001/p2p/" + _peer(exam),
        "/p2p-circuit",
        "",
        f"/p2p-circuit/p2p/{_peer(exam)}",
    ):
        exam.refuses(
            read, bad, rule="no-circuit", problem="this names no relay and no target behind it"
        )
    exam.count("addresses refused", 4)


CIRCUIT_ADDR = Check(
    id="08.circuit",
    exercise="E8.1",
    title="An address with somebody in between",
    level="L2",
    points=2,
    objectives=("1.51",),
    starter='''\
def read(addr):
    """A circuit address, "…/p2p/R/p2p-circuit/p2p/A", taken apart: (where packets are sent, R, A), three texts.

    ValueError if it is none.
    """
    raise NotImplementedError


def handshakes(addr, dialer):
    """Who has shaken hands with whom when `dialer` is connected by this address: a set of pairs of names."""
    raise NotImplementedError


await lab.check("08.circuit", (read, handshakes))
''',
    hints=(
        "An address is read from left to right: how to get to somebody, who that is, and then what to ask of it.",
        "Left of /p2p-circuit stands the relay, with the way to it; right of it the peer to whom it connects. A relay "
        "is a stranger that carries bytes (circuit-v2.md, introduction).",
        "before, _, after = addr.partition('/p2p-circuit'); where, _, relay = before.rpartition('/p2p/'); target = "
        "after.removeprefix('/p2p/'). Handshakes: dialer with relay, target with relay (when it reserved), and dialer "
        "with target, inside.",
    ),
    rules=(
        Rule("swapped", "The relay stands on the left: it comes first on the way.", CIRCUIT),
        Rule("relay", "The name after the last /p2p/ in front of /p2p-circuit.", CIRCUIT),
        Rule("target", "The name behind /p2p-circuit.", CIRCUIT),
        Rule(
            "dial",
            "Packets go to the relay: everything in front of its name, and nothing else.",
            CIRCUIT,
        ),
        Rule(
            "end-to-end",
            "Who is at the other end of the circuit says a handshake inside it, and not the relay's word.",
            "relay/circuit-v2.md#the-protocol",
        ),
        Rule(
            "handshakes",
            "Three: each of the two with the relay, and one with the other, inside.",
            "relay/circuit-v2.md#the-protocol",
        ),
        Rule(
            "no-circuit",
            "Without a relay's name, /p2p-circuit and a target it is no such address: ValueError.",
        ),
    ),
    examine=examine_circuit,
)

# -- E8.2c: which pairs can punch? -----------------------------------------------------------------------------------

GOOD, ALL = 73, 81


async def examine_pairs(exam: Exam, answer: Any) -> None:
    """E8.2c: the 81 pairs, by rule."""
    punches = exam.callable_answer(answer, "a function punches(a, b)")
    wrong = []
    for a, b in itertools.product(NINE, NINE):
        got = exam.call(punches, (a.mapping, a.filtering), (b.mapping, b.filtering))
        if not isinstance(got, bool):
            exam.reject("wrong-type", "punches gives True or False", got=shown(got))
        if got != one_gets_through(a, b):
            wrong.append((a, b))
    right = ALL - len(wrong)
    if right < GOOD:
        a, b = wrong[0]
        exam.sent = f"({a.mapping}, {a.filtering}) and ({b.mapping}, {b.filtering})"
        hopeful = not one_gets_through(a, b)
        exam.reject(
            "hopeful" if hopeful else "gloomy",
            f"{right} of {ALL} pairs are right; this is the first that is not",
            got="punches" if hopeful else "does not",
            expected=f"{GOOD} right at least",
        )
    exam.share = 1.0 if right == ALL else 0.5
    exam.note(f"{right} of {ALL} pairs are right.")
    exam.count("pairs", ALL)


PAIRS = Check(
    id="08.pairs",
    exercise="E8.2c",
    title="Which pairs can punch?",
    level="L2",
    points=2,
    objectives=("1.52", "X.16"),
    starter='''\
def punches(a, b):
    """Whether a packet of at least one of the two arrives, when both send to where the other was seen.

    a, b: each a pair (mapping, filtering), with "endpoint-independent", "address-dependent" or
    "address-and-port-dependent". Ports are given at random, and nobody guesses.
    """
    raise NotImplementedError


await lab.check("08.pairs", punches)
''',
    hints=(
        "Ask for one direction first: a packet from behind a to the program behind b, which has just sent something "
        "to where a was seen. Who is let in by b's filter?",
        "A box that maps by the remote sends to you from another port than it did to the relay. A filter by address "
        "does not mind that, a filter by address and port does. And where b's own mapping depends on the remote, the "
        "port that the relay saw lets in the relay alone (RFC 4787, sections 4 and 5).",
        "through(a, b): True if b filters independently; False if b's mapping is not independent; else True if b "
        "filters by address, or a maps independently. punches: through(a, b) or through(b, a). That makes 57 of 81.",
    ),
    rules=(
        Rule(
            "hopeful",
            "This pair does not come together: the packets arrive at a port, or from one, that nobody has opened.",
            PUNCHING,
        ),
        Rule(
            "gloomy",
            "This pair does. A symmetric box is no end of everything: an independent filter lets in whoever comes, and "
            "a filter by address does not look at the port.",
            PUNCHING,
        ),
    ),
    examine=examine_pairs,
    seeds=(1,),
)

CHECKS: tuple[Check, ...] = (
    CIRCUIT_ADDR,
    NAT_BOX,
    PROBE,
    PAIRS,
    AUTONAT,
    RELAY,
    COST,
    MOMENT,
    HOLE_PUNCH,
    TIMING,
)
