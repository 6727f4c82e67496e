"""A plan is run: two homes, two routers, a relay and a stranger in a simulated internet of their own.

    run(Plan(home_b=SYMMETRIC))            Run(level="relay", attempts=3, …, steps=(…))

Whatever the internet tells is kept together with the routers' tables at that moment. After they have met, and talked,
the stranger, whom nobody called, tries the place at which alice is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from libp2p_lab.errors import LabError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.nat.coordination import Coordination, Punch
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.nat.dcutr_messages import Connect, PunchMessage, Sync
from libp2p_lab.nat.events import CircuitClosed, PunchEnded, PunchStarted, RoundTripMeasured
from libp2p_lab.sim.events import PacketDropped, PacketSent
from libp2p_lab.sim.internet import Internet
from libp2p_lab.sim.machine import Machine
from libp2p_lab.sim.nat_box import NatBox
from libp2p_lab.sim.punching import Meeting, Street
from libp2p_lab.sim.regions import Geography, Region
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.nat_bench_datagrams import (
    PORT,
    STRANGER,
    Introducer,
    Program,
    open_port,
    talk,
)
from libp2p_lab.widgets.nat_bench_model import (
    HOMES,
    PUBLIC,
    PUBLIC_IP,
    RELAY,
    RELAY_IP,
    ROUTERS,
    Fact,
    Level,
    Plan,
    Row,
    Run,
    Tables,
)
from libp2p_lab.widgets.nat_bench_steps import steps_of

LEAD = 3.0  # seconds ahead for which a time of day is agreed on
PATIENCE = 3.0  # seconds for a stranger's packet

# One way, in seconds, both ways alike but for `Plan.slow`. Each stands in a region of its own.
_AWAY = {
    ("alice", "bob"): 0.030,
    ("alice", RELAY): 0.040,
    ("bob", RELAY): 0.050,
    ("alice", PUBLIC): 0.035,
    ("bob", PUBLIC): 0.035,
    (PUBLIC, RELAY): 0.045,
}


def run(plan: Plan) -> Run:
    """Run a plan to its end, in this thread."""
    return _with_datagrams(plan) if plan.speech == "datagrams" else _with_hosts(plan)


def _geography(plan: Plan) -> Geography:
    names = (*HOMES, RELAY, PUBLIC)
    delays = {(name, name): 0.001 for name in names}
    for (a, b), seconds in _AWAY.items():
        delays[a, b] = delays[b, a] = seconds
    delays[RELAY, "bob"] += plan.slow
    return Geography({name: Region(name) for name in names}, delays)


# -- listening ------------------------------------------------------------------------------------------------------


class Log:
    """What is heard of an internet.

    Args:
        net: the internet.
        boxes: the routers, by who lives behind.
    """

    def __init__(self, net: Internet, boxes: Mapping[str, NatBox]) -> None:
        self.facts: list[Fact] = []
        self._net = net
        self._boxes = boxes
        self._words: dict[str, str] = {}  # what somebody says of the packet that it sends now
        self._stop = net.trace.listen(self._hear)

    def say(self, who: str, text: str) -> None:
        """`who` says something of its next packet; a text that begins with "!" stands for itself."""
        if text.startswith("!"):
            self.tell(who, text[1:])
        else:
            self._words[who] = text

    def tell(self, who: str, text: str) -> None:
        """Something that is no packet."""
        self._keep(Fact(self._net.now, text, who, self._tables()))

    def close(self) -> None:
        """Hear no more."""
        self._stop()

    def _hear(self, entry: Entry) -> None:
        match entry.what:
            case PacketSent() as sent:
                who = ROUTERS.get(sent.source, sent.source)
                self._keep(Fact(entry.time, sent, self._words.get(who, ""), self._tables()))
            case PacketDropped() as dropped:
                self._keep(Fact(entry.time, dropped, "", self._tables()))
            case _:
                pass  # of a new mapping the packet tells for which it is made

    def _keep(self, fact: Fact) -> None:
        self.facts.append(fact)

    def _tables(self) -> Tables:
        return {name: _rows(box, self._net.now) for name, box in self._boxes.items()}


def _rows(box: NatBox, now: float) -> tuple[Row, ...]:
    rows = []
    for mapping in box.table.mappings(now):
        remotes = tuple(
            (_text(remote), session.expires)
            for remote, session in mapping.sessions.items()
            if session.saw_out and session.expires >= now
        )
        expires = max(
            [mapping.expires, *(session.expires for session in mapping.sessions.values())]
        )
        rows.append(
            Row(
                _text(mapping.inside),
                _text(mapping.outside),
                str(mapping.key[0]),
                remotes,
                expires,
            )
        )
    return tuple(rows)


def _text(endpoint: tuple[str, int]) -> str:
    return f"{endpoint[0]}:{endpoint[1]}"


# -- agreeing on a moment -------------------------------------------------------------------------------------------


def _exchange_of(plan: Plan) -> type[Coordination]:
    """The lab's own exchange; or one that agrees on a time of day, by two clocks that differ."""
    if not plan.by_clock:
        return Coordination
    agreed: list[
        float
    ] = []  # by alice's clock; the message has no place for it, so it is remembered here

    class ByTheClock(Coordination):
        """Alice names a time of day; bob waits until his clock shows it."""

        def receive(
            self, message: PunchMessage, now: float
        ) -> tuple[PunchMessage | None, Punch | None]:
            answer, punch = super().receive(message, now)
            if punch is None:
                return answer, None
            if self.role == "initiator":
                agreed[:] = [now + LEAD]
                return answer, replace(punch, delay=LEAD)
            return answer, replace(punch, delay=max(0.0, agreed[0] - plan.skew - now))

    return ByTheClock


# -- plain datagrams --------------------------------------------------------------------------------------------------


def _with_datagrams(plan: Plan) -> Run:
    with Internet(seed=plan.seed, regions=_geography(plan)) as net:
        boxes: dict[str, NatBox] = {}
        machines: dict[str, Machine] = {}
        for name, behaviour in zip(HOMES, (plan.home_a, plan.home_b), strict=True):
            boxes[name] = net.nat(f"router of {name}", behaviour, region=name)
            machines[name] = net.machine(name, nat=boxes[name])
        machines[RELAY] = net.machine(RELAY, ip=RELAY_IP, region=RELAY)
        machines[PUBLIC] = net.machine(PUBLIC, ip=PUBLIC_IP, region=PUBLIC)
        log = Log(net, boxes)
        scene = _Datagrams(plan, net, machines, log)
        found = net.run(scene.play())
        log.close()
        steps = steps_of(log.facts, _behaviours(plan))
        return replace(found, steps=steps)


class _Datagrams:
    """The course of things with plain datagrams."""

    def __init__(
        self, plan: Plan, net: Internet, machines: Mapping[str, Machine], log: Log
    ) -> None:
        self._plan = plan
        self._net = net
        self._machines = machines
        self._log = log
        exchange = _exchange_of(plan)
        to = (RELAY_IP, PORT)
        self._relay = Introducer(plan.relay_seconds, plan.relay_bytes, net.loop.time, log.say)
        self._alice = Program(
            machines["alice"], "bob", to, "initiator", exchange, plan.reuse, log.say
        )
        self._bob = Program(machines["bob"], "alice", to, "receiver", exchange, plan.reuse, log.say)

    async def play(self) -> Run:
        """From the first packet to the last."""
        plan, log, alice, bob = self._plan, self._log, self._alice, self._bob
        relay_port = await open_port(self._machines[RELAY], PORT, self._relay.hear, log.say)
        for program in (alice, bob):
            if not await program.start():
                return self._end("nothing", cause=f"{program.name} gets no answer from the relay")
        log.tell("bob", "Bob wants to talk to alice. The relay tells them of each other.")
        relay_rtt = await self._measure()
        began = self._net.now
        for _ in range(plan.retries):
            alice.begin()
            await self._wait_for_a_hole()
            if alice.path is not None and bob.path is not None:
                break
        ended = self._net.now
        is_open = alice.path is not None and bob.path is not None
        direct_rtt = await self._measure() if is_open else None
        later = await self._later()
        stranger = await open_port(self._machines[PUBLIC], PORT, lambda *_: None, log.say)
        ip, _, port = alice.seen.partition(":")
        stranger.send(STRANGER, (ip, int(port)), "“is anybody there?” Nobody has called it")
        await asyncio.sleep(0.2)
        for one in (relay_port, stranger, alice, bob):
            one.close()
        one_way = any(program.heard.punched for program in (alice, bob))
        level: Level = "hole" if is_open else "one way" if one_way else "relay"
        return self._end(
            level,
            seconds=ended - began if is_open else None,
            relay_rtt=relay_rtt,
            direct_rtt=direct_rtt,
            later=later,
        )

    async def _wait_for_a_hole(self) -> None:
        ahead = LEAD if self._plan.by_clock else 0.0
        try:
            async with asyncio.timeout(DEFAULT_LIMITS.dcutr_dial_timeout + ahead):
                await self._alice.heard.opened.wait()
                await self._bob.heard.opened.wait()
        except TimeoutError:
            pass

    async def _measure(self) -> float | None:
        """A round trip from bob to alice and back, by whatever way they have."""
        began = self._net.now
        return self._net.now - began if await talk(self._bob) else None

    async def _later(self) -> str:
        if not self._plan.silence:
            return ""
        await asyncio.sleep(self._plan.silence)
        self._log.tell("bob", f"After {self._plan.silence:g} s of silence bob says a word again.")
        return "heard" if await talk(self._bob) else "not heard"

    def _end(
        self,
        level: Level,
        *,
        seconds: float | None = None,
        relay_rtt: float | None = None,
        direct_rtt: float | None = None,
        later: str = "",
        cause: str = "",
    ) -> Run:
        carried = sum(self._relay.carried.values())
        attempts = max(self._alice.attempts, self._bob.attempts)
        return Run(
            self._plan, level, attempts, seconds, relay_rtt, direct_rtt, carried, later, cause, ()
        )


# -- the lab's hosts ----------------------------------------------------------------------------------------------


def _with_hosts(plan: Plan) -> Run:
    exchange = _exchange_of(plan)
    limits = replace(DEFAULT_LIMITS, relay_duration=plan.relay_seconds, relay_data=plan.relay_bytes)
    street = Street(
        plan.home_a,
        plan.home_b,
        kind="tcp" if plan.speech == "tcp" else "quic",
        seed=plan.seed,
        regions=_geography(plan),
        at=("alice", "bob", RELAY),
        dcutr=lambda: DCUtR(retries=plan.retries, coordination=exchange),
        reuse_port=plan.reuse,
        relay_limits=limits,
    )
    with street.net as net:
        public = net.machine(PUBLIC, ip=PUBLIC_IP, region=PUBLIC)
        carried: list[int] = []  # bytes of each circuit
        log = Log(net, {name: boxes[0] for name, boxes in street.boxes.items()})
        stops = [
            street.alice.trace.listen(_teller("alice", log)),
            street.bob.trace.listen(_teller("bob", log)),
            street.relay.trace.listen(_counter(carried, log)),
        ]
        found = net.run(_meet(plan, street, public, log, carried))
        log.close()
        for stop in stops:
            stop()
        return replace(found, steps=steps_of(log.facts, _behaviours(plan)))


def _behaviours(plan: Plan) -> dict[str, Any]:
    return dict(zip(HOMES, (plan.home_a, plan.home_b), strict=True))


async def _meet(plan: Plan, street: Street, public: Machine, log: Log, carried: list[int]) -> Run:
    try:
        meeting = await street.meet()
    except (LabError, OSError, TimeoutError) as error:  # the relay's limits end it in the middle
        meeting = Meeting("no relay", 0, 0.0, cause=f"{type(error).__name__}: {error}")
    later = ""
    if plan.silence and meeting.outcome != "no relay":
        await asyncio.sleep(plan.silence)
        log.tell("bob", f"After {plan.silence:g} s of silence bob says a word again.")
        later = await _word(street)
    carried += [sum(c.carried.values()) for c in street.relay.relay.circuits.values()]
    if meeting.outcome != "no relay":
        await _knock(plan, street, public, log)
    return _run_of(plan, meeting, later, sum(carried), log.facts)


async def _word(street: Street) -> str:
    """Bob pings alice by whatever connection they have."""
    try:
        async with asyncio.timeout(PATIENCE):
            await street.bob.ping(street.alice.peer_id)
    except (LabError, OSError, TimeoutError):
        return "not heard"
    return "heard"


async def _knock(plan: Plan, street: Street, public: Machine, log: Log) -> None:
    """The stranger tries the place at which the relay sees alice."""
    seen = street.relay.connections_to(street.alice.peer_id)
    if not seen:
        return
    ip, port = _endpoint(seen[0].remote_addr)
    log.say(PUBLIC, "nobody has called it")
    if plan.speech == "quic":
        stranger = await open_port(public, PORT, lambda *_: None, log.say)
        stranger.send(bytes(64), (ip, port), "nobody has called it")
        await asyncio.sleep(0.2)
        stranger.close()
        return

    async def dial() -> None:
        try:
            async with asyncio.timeout(0.5):
                _, writer = await asyncio.open_connection(ip, port)
        except (OSError, TimeoutError):
            return
        writer.transport.abort()

    await public.create_task(dial())
    log.say(PUBLIC, "")


def _endpoint(addr: Multiaddr) -> tuple[str, int]:
    ip, port = addr.parts[:2]
    return str(ip.value), int(str(port.value))


def _run_of(plan: Plan, meeting: Meeting, later: str, carried: int, facts: Sequence[Fact]) -> Run:
    level: Level
    if meeting.worked:
        level = "hole"
    elif meeting.outcome == "no relay":
        level = "nothing"
    else:
        level = "one way" if _came_through(facts) else "relay"
    relay_rtt = meeting.relay_rtt or None
    return Run(
        plan,
        level,
        meeting.attempts,
        meeting.seconds,
        relay_rtt,
        meeting.direct_rtt,
        carried,
        later,
        meeting.cause,
        (),
    )


def _came_through(facts: Iterable[Fact]) -> bool:
    """Whether a router let a packet in that came from the other home."""
    from_home = {
        fact.what.number
        for fact in facts
        if isinstance(fact.what, PacketSent)
        and fact.what.source in ROUTERS
        and fact.what.target in ROUTERS
    }
    return any(
        isinstance(fact.what, PacketSent)
        and fact.what.number in from_home
        and fact.what.target in HOMES
        for fact in facts
    )


def _teller(name: str, log: Log) -> Any:
    """Tells the log what a host says of its punching."""

    def hear(entry: Entry) -> None:
        match entry.what:
            case Connect() | Sync() if entry.direction == "sent":
                kind = type(entry.what).__name__.upper()
                log.tell(name, f"{name} says {kind}, through the relay.")
            case RoundTripMeasured(_, attempt, rtt):
                log.tell(name, f"{name} has measured {1000 * rtt:.0f} ms for exchange {attempt}.")
            case PunchStarted(_, attempt, _, addrs):
                log.tell(name, f"{name} punches, exchange {attempt}: dials {', '.join(addrs)}.")
            case PunchEnded(_, outcome, attempts, _, cause):
                why = f": {cause}" if cause else ""
                log.tell(name, f"{name}: {outcome} after {attempts} exchange(s){why}.")
            case _:
                pass

    return hear


def _counter(carried: list[int], log: Log) -> Any:
    """Counts what the relay passed on, and tells the log when it cuts a circuit."""

    def hear(entry: Entry) -> None:
        if isinstance(entry.what, CircuitClosed):
            carried.append(entry.what.there + entry.what.back)
            log.tell(RELAY, f"The relay has carried {carried[-1]:,} bytes: {entry.what.how}.")

    return hear
