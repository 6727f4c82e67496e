"""Two small programs that find each other with nothing but datagrams, and a third that introduces them.

    alice, bob ── register ──▶ relay ── you are seen at … ──▶
    alice ── CONNECT, SYNC ──▶ relay ──▶ bob        the lab's own exchange before a punch (nat/coordination.py)
    both: punch                                      one datagram each, to where the other is seen
    who hears a punch answers to where it came from; who hears the answer says so: the hole is open both ways

Nothing is encrypted, and nobody proves who it is: this is to show what routers do, not how to talk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.errors import LabError
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.nat.coordination import Coordination, Punch, Role
from libp2p_lab.nat.dcutr_messages import Connect, PunchMessage, decode
from libp2p_lab.sim.machine import Machine
from libp2p_lab.widgets.nat_bench_model import RELAY

PORT = 4001
WAIT = 2.0  # seconds for an answer of the relay

Say = Callable[[str, str], None]  # who says what
Address = tuple[str, int]

_REGISTER, _SEEN, _FORWARD, _DELIVER = b"R", b"S", b"F", b"D"
_PUNCH, _ANSWER, _ECHO, _TALK, _TALK_BACK = b"P", b"A", b"E", b"T", b"t"
STRANGER = b"X"


class Port(asyncio.DatagramProtocol):
    """One open port of a program.

    Args:
        hear: called with each datagram, where it came from, and this port.
        name: whose it is.
        say: told what is sent.
    """

    def __init__(self, hear: Callable[[bytes, Address, Port], None], name: str, say: Say) -> None:
        self._hear = hear
        self._name = name
        self._say = say
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        """As in asyncio."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """As in asyncio."""
        self._hear(data, (addr[0], addr[1]), self)

    def send(self, data: bytes, to: Address, meaning: str) -> None:
        """Send a datagram."""
        self._say(self._name, meaning)
        self._transport.sendto(data, to)
        self._say(self._name, "")

    def close(self) -> None:
        """No more."""
        self._transport.close()


async def open_port(
    machine: Machine, port: int, hear: Callable[[bytes, Address, Port], None], say: Say
) -> Port:
    """Open a port on a machine; 0 for any."""

    async def work() -> Port:
        loop = asyncio.get_running_loop()
        _, made = await loop.create_datagram_endpoint(
            lambda: Port(hear, machine.name, say), local_addr=("0.0.0.0", port)
        )
        return made

    opened: Port = await machine.create_task(work())
    return opened


class Introducer:
    """The relay: tells who is seen where, and passes on what the two say to each other, within limits.

    Args:
        seconds, size: how long it serves them, and how many bytes each way; 0 for no limit.
        clock: virtual time.
        say: told what it sends.

    Attributes:
        carried: bytes passed on, by who sent them.
        refused: whether a limit was reached.
    """

    def __init__(self, seconds: float, size: int, clock: Callable[[], float], say: Say) -> None:
        self.carried: dict[str, int] = {}
        self.refused = False
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._say = say
        self._seen: dict[str, Address] = {}
        self._since: float | None = None  # when the two began

    def hear(self, data: bytes, addr: Address, port: Port) -> None:
        """A datagram for it."""
        if data[:1] == _REGISTER:
            name = data[1:].decode()
            self._seen[name] = addr
            seen = f"{addr[0]}:{addr[1]}"
            port.send(_SEEN + seen.encode(), addr, f"“{name}, I see you at {seen}”")
        elif data[:1] == _FORWARD:
            source = next((name for name, at in self._seen.items() if at == addr), "")
            target = next((name for name in self._seen if name != source), "")
            if source and target and self._may_carry(source, len(data) - 1):
                meaning = f"passes on what {source} says"
                port.send(_DELIVER + data[1:], self._seen[target], meaning)

    def _may_carry(self, source: str, size: int) -> bool:
        now = self._clock()
        self._since = now if self._since is None else self._since
        is_late = bool(self._seconds) and now - self._since > self._seconds
        is_much = bool(self._size) and self.carried.get(source, 0) + size > self._size
        if is_late or is_much:
            if not self.refused:
                limit = f"{self._seconds:g} s" if is_late else f"{self._size:,} bytes"
                self.refused = True
                self._say(
                    RELAY, f"!The relay passes on no more: {limit} are what it grants two peers."
                )
            return False
        self.carried[source] = self.carried.get(source, 0) + size
        return True


@dataclass(slots=True)
class Path:
    """How the other is reached directly: from which port, to where."""

    port: Port
    remote: Address


@dataclass(slots=True)
class Heard:
    """What a program has heard so far."""

    registered: asyncio.Event = field(default_factory=asyncio.Event)
    punched: bool = False  # a punch of the other came in
    opened: asyncio.Event = field(default_factory=asyncio.Event)  # and an answer, too
    talk: asyncio.Event = field(default_factory=asyncio.Event)


class Program:
    """What runs at alice's, and at bob's.

    Args:
        machine: where.
        other: the other's name.
        relay: where the relay is.
        role: alice, who is called, begins: "initiator".
        coordination: the exchange.
        reuse: whether it punches from the port that the relay has seen.
        say: told what it sends.

    Attributes:
        seen: where the relay sees it, "ip:port"; "" before it said so.
        path: how the other is reached directly; None while it is not.
        attempts: exchanges so far.
    """

    def __init__(
        self,
        machine: Machine,
        other: str,
        relay: Address,
        role: Role,
        coordination: type[Coordination],
        reuse: bool,
        say: Say,
    ) -> None:
        self.machine = machine
        self.seen = ""
        self.path: Path | None = None
        self.heard = Heard()
        self.attempts = 0
        self._other = other
        self._relay = relay
        self._role: Role = role
        self._coordination = coordination
        self._reuse = reuse
        self._say = say
        self._exchange: Coordination | None = None
        self._ports: list[Port] = []

    @property
    def name(self) -> str:
        """Whose it is."""
        return self.machine.name

    async def start(self) -> bool:
        """Open the port and register. Returns whether the relay answered."""
        self._ports.append(await open_port(self.machine, PORT, self._hear, self._say))
        self._ports[0].send(_REGISTER + self.name.encode(), self._relay, f"“I am {self.name}”")
        return await _within(WAIT, self.heard.registered)

    def begin(self) -> None:
        """Begin an exchange."""
        self._exchange = self._coordinate()
        self._pass_on(self._exchange.start(self.machine.loop.time()))

    def say_by_path(self) -> None:
        """A word to the other: directly if there is a way, else by the relay."""
        self.heard.talk.clear()
        if self.path is not None:
            self.path.port.send(_TALK, self.path.remote, f"“{self._other}, do you hear me?”")
        else:
            self._ports[0].send(
                _FORWARD + _TALK, self._relay, f"“tell {self._other}: do you hear me?”"
            )

    def close(self) -> None:
        """Close all ports."""
        for port in self._ports:
            port.close()

    # -- hearing ----------------------------------------------------------------------------------

    def _hear(self, data: bytes, addr: Address, port: Port) -> None:
        match data[:1]:
            case b"S":
                self.seen = data[1:].decode()
                self.heard.registered.set()
            case b"D":
                self._hear_relayed(data[1:])
            case b"P":
                self.heard.punched = True
                port.send(_ANSWER, addr, "“I hear you”")
            case b"A":
                self._open(port, addr)
                port.send(_ECHO, addr, "“and I hear you”")
            case b"E":
                self._open(port, addr)
            case b"T":
                port.send(_TALK_BACK, addr, "“yes”")
            case b"t":
                self.heard.talk.set()

    def _hear_relayed(self, data: bytes) -> None:
        if data[:1] == _TALK:
            self._ports[0].send(_FORWARD + _TALK_BACK, self._relay, f"“tell {self._other}: yes”")
        elif data[:1] == _TALK_BACK:
            self.heard.talk.set()
        else:
            self._hear_exchange(decode(data))

    def _hear_exchange(self, message: PunchMessage) -> None:
        if isinstance(message, Connect) and self._role == "receiver":
            self._exchange = self._coordinate()  # another one begins
        if self._exchange is None:
            return
        now = self.machine.loop.time()
        try:
            answer, punch = self._exchange.receive(message, now)
        except LabError as error:
            self._say(self.name, f"!{self.name} gives up: {error}")
            return
        if punch is not None and punch.rtt is not None:
            self._say(
                self.name,
                f"!{self.name} has measured a round trip of {1000 * punch.rtt:.0f} ms, and will punch "
                f"in {1000 * punch.delay:.0f} ms.",
            )
        if answer is not None:
            self._pass_on(answer)
        if punch is not None:
            self.attempts += 1
            self.machine.create_task(self._punch(punch))

    def _open(self, port: Port, addr: Address) -> None:
        self.path = Path(port, addr)
        self.heard.opened.set()

    # -- sending ----------------------------------------------------------------------------------

    def _coordinate(self) -> Coordination:
        ip, _, port = self.seen.partition(":")
        own = [Multiaddr(f"/ip4/{ip}/udp/{port}")]
        return self._coordination(self._role, own, may_dial=lambda addr: True)

    def _pass_on(self, message: PunchMessage) -> None:
        words = (
            f"CONNECT, I am seen at {self.seen}" if isinstance(message, Connect) else "SYNC, now"
        )
        self._ports[0].send(
            _FORWARD + message.encode(), self._relay, f"“tell {self._other}: {words}”"
        )

    async def _punch(self, punch: Punch) -> None:
        await asyncio.sleep(punch.delay)
        port = self._ports[0]
        if not self._reuse:
            port = await open_port(self.machine, 0, self._hear, self._say)
            self._ports.append(port)
        for addr in punch.addrs:
            ip, udp = addr.parts[:2]
            port.send(_PUNCH, (str(ip.value), int(str(udp.value))), "a punch")


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def talk(program: Program) -> bool:
    """Whether the other hears a word, and answers."""
    program.say_by_path()
    return await _within(WAIT, program.heard.talk)
