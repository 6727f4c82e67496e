"""E4.7: a gater that stops a flood, against a clock moved by hand, then in a live peer on a simulated internet."""

from __future__ import annotations

import asyncio
import ipaddress
import tracemalloc
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.errors import LabError
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.sim import Internet, SimHost

METHODS = (
    "allow_dial_peer",
    "allow_dial_addr",
    "allow_accept",
    "allow_secured",
    "allow_upgraded",
)
LIMITS = "connections/README.md#connection-limits"
STRANGERS = 4000  # addresses that come once each
MOST_MEMORY = 512 << 10  # bytes that a gater may keep of them


class _Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Door:
    """A gater, its clock, and who knocks."""

    def __init__(self, exam: Exam, answer: Any, most: int = 5, seconds: float = 10.0) -> None:
        self.exam = exam
        self.clock = _Clock()
        self.most, self.seconds = most, seconds
        self.gater: Any = exam.methods(answer(most, seconds, self.clock), METHODS)
        exam.sent = f"FloodGater(most={most}, seconds={seconds:g}, clock)"

    def knock(self, ip: str, port: int = 4001) -> bool:
        """One connection; whether it is let in."""
        kind = "ip6" if ":" in ip else "ip4"
        allowed = self.gater.allow_accept(Multiaddr(f"/{kind}/{ip}/tcp/{port}"))
        self.exam.equal(allowed, bool(allowed), "wrong-type", "not True and not False")
        return bool(allowed)

    def flood(self, ip: str, times: int = 100) -> int:
        """Many connections at once, each from another port; how many are let in."""
        return sum(self.knock(ip, 20_000 + n) for n in range(times))


def _limits(exam: Exam, answer: Any) -> None:
    """One floods, others do not; ports and places in time."""
    most = exam.rng.randint(3, 8)
    door = _Door(exam, answer, most)
    told = f"100 connections from 203.0.113.7 in one moment; at most {most} in {door.seconds:g} s"
    exam.sent += f": {told}"
    let_in = door.flood("203.0.113.7")
    rule = "all" if let_in == 100 else "amount"
    exam.require(let_in == most, rule, f"{let_in} were let in", got=str(let_in), expected=str(most))
    exam.require(
        door.knock("198.51.100.1") and door.knock("203.0.113.8"),
        "others",
        "somebody else, who knocks for the first time, is refused as well",
    )
    door.clock.now += 1.01 * door.seconds
    exam.require(
        door.knock("203.0.113.7"),
        "for-ever",
        f"{door.seconds:g} s later the same address is still refused",
    )
    exam.count("connections at the door", 103)


def _any_span(exam: Exam, answer: Any) -> None:
    """In no span of `seconds` more than `most`, wherever it begins."""
    door = _Door(exam, answer, 4, 10.0)
    times: list[float] = []
    for _ in range(400):
        door.clock.now += exam.rng.choice((0.1, 0.5, 1.0, 2.5, 4.0))
        if door.knock("203.0.113.7"):
            times.append(door.clock.now)
    exam.sent += ": 400 connections from one address at odd moments"
    for n, time in enumerate(times):
        within = [t for t in times[n:] if t < time + 10.0]
        exam.require(
            len(within) <= 4,
            "span",
            f"{len(within)} were let in between {time - 1000:.1f} and {within[-1] - 1000:.1f} s",
            expected="at most 4 in any 10 s",
        )
    door = _Door(exam, answer, 2, 10.0)
    exam.sent += ": two connections, nine seconds of knocking, then a pause of two"
    door.flood("203.0.113.7", 2)
    for _ in range(9):
        door.clock.now += 1.0
        door.knock("203.0.113.7")
    door.clock.now += 2.0
    exam.require(
        door.knock("203.0.113.7"),
        "counts-refused",
        "11 s after the last one that was let in, nobody is",
        expected="only those that were let in count",
    )
    exam.count("connections at the door", 411)


def _six(exam: Exam, answer: Any) -> None:
    """A flooder with an IPv6 network has more addresses than there are grains of sand."""
    door = _Door(exam, answer, 5)
    network = ipaddress.IPv6Address("2001:db8:7::")
    let_in = sum(door.knock(str(network + exam.rng.getrandbits(64))) for _ in range(60))
    exam.sent += ": 60 connections, each from another address of 2001:db8:7::/64"
    exam.require(
        let_in == 5, "network", f"{let_in} were let in", got=str(let_in), expected="5 of one /64"
    )
    exam.require(
        door.knock("2001:db8:8::1"), "others", "somebody in another IPv6 network is refused as well"
    )
    exam.count("connections at the door", 61)


def _memory(exam: Exam, answer: Any) -> None:
    """Thousands who come once and never again."""
    door = _Door(exam, answer, 5, 10.0)
    exam.sent += f": {STRANGERS} addresses, one connection each, ten in a second"
    addrs = [
        Multiaddr(f"/ip4/{ipaddress.IPv4Address(0x0B000000 + 7 * n)}/tcp/4001")
        for n in range(STRANGERS)
    ]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for addr in addrs:
            door.clock.now += 0.1
            exam.require(door.gater.allow_accept(addr), "others", "a first connection is refused")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    exam.require(
        after - before <= MOST_MEMORY,
        "hoards",
        f"the gater has grown by {(after - before) >> 10} KiB, and all but a hundred are long gone",
        expected=f"at most {MOST_MEMORY >> 10} KiB",
    )
    exam.count("connections at the door", STRANGERS)


def _own_dials(exam: Exam, answer: Any) -> None:
    """What we do ourselves is no flood."""
    door = _Door(exam, answer, 3)
    peer = PeerId.from_public_key(KeyPair.generate(rng=exam.rng).public)
    addr = Multiaddr("/ip4/203.0.113.7/tcp/4001")
    exam.sent += ": after a flood from 203.0.113.7 we dial that address ourselves, 20 times"
    door.flood("203.0.113.7", 10)
    for _ in range(20):
        allowed = (
            door.gater.allow_dial_peer(peer),
            door.gater.allow_dial_addr(peer, addr),
            door.gater.allow_secured("outbound", peer, addr),
        )
        exam.require(
            all(allowed), "own-dials", "our own dial was refused", got=str(allowed), expected="True"
        )
    exam.count("own dials", 20)


async def _scene(server: SimHost, honest: SimHost, flooder: SimHost) -> tuple[int, float]:
    """A flood of dials, an honest ping in the middle of it. How many dials stood, and the round trip."""

    async def knock() -> bool:
        try:
            reader, writer = await asyncio.open_connection(server.machine.ips[0], 4001)
            writer.write(b"\x13/multistream/1.0.0\n")
            stands = bool(await reader.read(1))
            writer.close()
        except OSError:
            return False
        return stands

    async def flood() -> list[bool]:
        return list(await asyncio.gather(*(knock() for _ in range(100))))

    flooding = asyncio.ensure_future(flooder.run(flood()))
    rtt = await honest.ping(server.addrs[0])
    return sum(await flooding), rtt


def _live(exam: Exam, answer: Any) -> None:
    """The gater in a live peer, with a flooder and an honest peer at its door."""
    most = 5
    with Internet(seed=exam.seed) as net:
        gater = answer(most, 10.0, net.loop.time)
        server = net.host("server", gater=gater, services=lambda: [Ping()], security="plaintext")
        honest = net.host("honest", services=lambda: [Ping()], security="plaintext")
        flooder = net.host("flooder", services=lambda: [Ping()], security="plaintext")
        exam.sent = "a live peer with your gater: 100 dials from one address, a ping from another"
        try:
            stood, rtt = net.run(_scene(server, honest, flooder), until=60.0)
        except LabError as problem:
            exam.reject("others", f"the honest peer was not served: {problem}")
        exam.require(
            stood == most,
            "all" if stood == 100 else "amount",
            f"{stood} of the flooder's connections were let in",
            got=str(stood),
            expected=str(most),
        )
        exam.note(
            f"In the live peer {stood} of 100 came in; the honest ping took {1000 * rtt:.0f} ms."
        )
    exam.count("live dials", 101)


async def examine_flood_gater(exam: Exam, answer: Any) -> None:
    """E4.7: the limit, other addresses, time, IPv6, memory, our own dials; then a live peer."""
    make = exam.callable_answer(answer, "a class FloodGater")
    for part in (_limits, _any_span, _six, _memory, _own_dials):
        part(exam, make)
    await asyncio.to_thread(_live, exam, make)


FLOOD_GATER = Check(
    id="04.flood_gater",
    exercise="E4.7",
    title="A gater that stops a flood",
    level="L3",
    points=2,
    objectives=("X.7",),
    starter='''\
class FloodGater:
    """Lets in at most `most` connections from one address within any `seconds`; refuses nobody else.

    An address is an IPv4 address, or the first 64 bits of an IPv6 one. Only those that were let in count.
    clock(): seconds. addr.value_of("ip4"), addr.value_of("ip6"): the address as text, or None.
    """

    def __init__(self, most, seconds, clock):
        raise NotImplementedError

    def allow_accept(self, remote_addr):
        """May a connection from there go on to its handshake?"""
        raise NotImplementedError

    def allow_dial_peer(self, peer):
        return True

    def allow_dial_addr(self, peer, addr):
        return True

    def allow_secured(self, direction, peer, addr):
        return True

    def allow_upgraded(self, connection):
        return True


await lab.check("04.flood_gater", FloodGater)
''',
    hints=(
        "What do a hundred connections of one flooder have in common? Look at the parts of their addresses.",
        "Remember for each address when its last few connections were let in. What is older than `seconds` counts no "
        "more, and an address without any such moment need not be remembered (connections/README.md, connection "
        "limits).",
        "A dict from address to a deque of times. allow_accept: times = self.seen.setdefault(key, deque()); while "
        "times and times[0] <= now - seconds: times.popleft(); if len(times) >= most: return False; append now. Every "
        "so often delete the keys whose last time is too old. For IPv6: ipaddress.IPv6Address(text).packed[:8].",
    ),
    rules=(
        Rule(
            "all",
            "Nobody was stopped. A flooder's port differs each time, and says nothing: count addresses.",
            LIMITS,
        ),
        Rule("amount", "Exactly `most` are let in, then no more.", LIMITS),
        Rule(
            "others",
            "Whoever refuses everybody does the flooder's work. Count for each address by itself.",
            LIMITS,
        ),
        Rule(
            "for-ever",
            "Addresses change hands, and floods end: what is older than `seconds` is forgiven.",
        ),
        Rule(
            "span",
            "The limit holds in any span of `seconds`, not only in those that begin on the hour: at the border of two "
            "such boxes twice as many get in.",
        ),
        Rule(
            "counts-refused",
            "Count who was let in, not who knocked: otherwise whoever tries again now and then never gets in.",
        ),
        Rule(
            "network",
            "An IPv6 user has a whole /64 network: 18 billion billion addresses. Count its first 64 bits.",
            LIMITS,
        ),
        Rule(
            "hoards",
            "A gater that remembers everybody who ever came is a flooder's next target. Forget those whose time is "
            "over, now and then.",
        ),
        Rule(
            "own-dials",
            "The limit is for who knocks. Whom we dial ourselves was our own choice.",
        ),
    ),
    examine=examine_flood_gater,
    time_limit=60.0,
    seeds=(1,),
)
