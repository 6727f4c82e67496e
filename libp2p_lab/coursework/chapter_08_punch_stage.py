"""A stage on which a hole puncher plays alone: no sockets, its own clock, and another side that follows a script."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown

OWN = ["/ip4/203.0.113.1/{}", "/ip4/203.0.113.1/{}1"]
THEIRS = ["/ip4/198.51.100.2/{}", "/ip4/198.51.100.2/{}1"]
PATIENCE = 5.0
TOO_LONG = 60.0  # seconds of the stage's time
OPENS_AFTER = 0.45  # seconds of knocking until the other side is through


def addrs(texts: list[str], kind: str) -> list[str]:
    """Addresses of a kind."""
    return [
        text.format("tcp/400") if kind == "tcp" else text.format("udp/400") + "/quic-v1"
        for text in texts
    ]


@dataclass(slots=True)
class Exchange:
    """One exchange as it went.

    Attributes:
        rtt: what a right puncher measures.
        synced: when SYNC was sent, or came.
        dials: moment, addresses, role.
        knocks: moment, address, data.
    """

    rtt: float
    synced: float | None = None
    dials: list[tuple[float, list[str], str]] = field(default_factory=list)
    knocks: list[tuple[float, str, bytes]] = field(default_factory=list)


class StageStream:
    """A stream to the other side, which says what its script says, each after a pause."""

    def __init__(self, call: StageCall, script: list[tuple[float, Any]], is_called: bool) -> None:
        self._call, self._script, self._is_called = call, script, is_called
        self.said: list[tuple[Any, ...]] = []

    async def send(self, message: Any) -> None:
        """The student says something."""
        exam = self._call.exam
        exam.sent = f"send({shown(message)}) in exchange {len(self._call.exchanges)}"
        if (
            not isinstance(message, tuple | list)
            or not message
            or message[0] not in ("CONNECT", "SYNC")
        ):
            exam.reject(
                "wrong-type", 'a message is ("CONNECT", addresses) or ("SYNC",)', got=shown(message)
            )
        expected: list[Any] = [("CONNECT", self._call.addrs)]
        if self._is_called:
            expected.append(("SYNC",))
        given, turn = tuple(message), len(self.said)
        if turn >= len(expected):
            rule = "fresh" if self._is_called and given[0] == "CONNECT" else "order"
            exam.reject(rule, "this stream has said all that it should", got=shown(given))
        exam.require(
            given == expected[turn],
            "order",
            "another message is due now",
            got=shown(given),
            expected=shown(expected[turn]),
        )
        self.said.append(given)
        if given == ("SYNC",):
            self._call.exchanges[-1].synced = self._call.now()

    async def receive(self) -> Any:
        """The next message of the script."""
        exam = self._call.exam
        exam.sent = f"receive() in exchange {len(self._call.exchanges)}"
        if not self._script or (self._is_called and not self.said):
            exam.reject("order", "it waits for a message, and nobody is going to send one")
        pause, message = self._script.pop(0)
        self._call.time += pause
        if message == ("SYNC",) and not self._is_called:
            self._call.exchanges[-1].synced = self._call.now()
        return message


class StageCall:
    """What a puncher is given, as `slot_punch.Call`; everything is written down."""

    def __init__(
        self, exam: Exam, kind: str, works_at: int | None, replies: list[Any] | None = None
    ) -> None:
        self.exam, self.kind = exam, kind
        self.addrs = addrs(OWN, kind)
        self.patience = PATIENCE
        self.rng = random.Random(exam.rng.random())
        self.time = self.began = exam.rng.uniform(0, 1000)
        self.exchanges: list[Exchange] = []
        self.is_called = True
        self._works_at, self._replies = works_at, replies
        self._is_direct = False

    @property
    def is_direct(self) -> bool:
        """Whether the script has let it through."""
        if (
            self.kind == "quic"
            and self.is_called
            and self.exchanges
            and len(self.exchanges) == self._works_at
        ):
            knocks = self.exchanges[-1].knocks
            if knocks and self.time >= knocks[0][0] + OPENS_AFTER:
                self._is_direct = True
        return self._is_direct

    def now(self) -> float:
        """The stage's time."""
        return self.time

    async def sleep(self, seconds: Any) -> None:
        """Time passes."""
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or seconds < 0:
            self.exam.reject("wrong-type", "sleep takes seconds, 0 or more", got=shown(seconds))
        self.time += seconds
        self.exam.require(
            self.time - self.began < TOO_LONG,
            "gives-up",
            f"nothing came through, and after {TOO_LONG:g} s it is still trying",
            expected=f"three tries, each of them {PATIENCE:g} s at most",
        )

    async def open(self) -> StageStream:
        """A new exchange."""
        exam = self.exam
        exam.sent = f"open() for exchange {len(self.exchanges) + 1}"
        exam.require(
            self.is_called,
            "who-begins",
            "the side that called through the relay opened an exchange",
        )
        exam.require(
            not self.is_direct,
            "stops",
            "there is a direct connection, and it begins another exchange",
        )
        exam.require(len(self.exchanges) < 3, "three", "it begins a fourth exchange")
        rtt = exam.rng.uniform(0.02, 0.6)
        self.exchanges.append(Exchange(rtt))
        reply = ("CONNECT", addrs(THEIRS, self.kind)) if self._replies is None else self._replies[0]
        return StageStream(self, [(rtt, reply)], is_called=True)

    async def dial(self, addrs: Any, role: Any) -> bool:
        """All at once."""
        exam = self.exam
        exam.sent = f"dial(…, {role!r}) in exchange {len(self.exchanges)}"
        exam.require(
            not (self.kind == "quic" and self.is_called),
            "knocks",
            "over QUIC the side that was called dials",
            expected="datagrams of random bytes, which open its box for the other side's dial",
        )
        exchange = self.exchanges[-1] if self.exchanges else Exchange(0.0)
        exchange.dials.append((self.time, list(addrs), role))
        if exchange.synced is None:
            exam.reject("too-soon", "it dials before SYNC: the other side is not ready")
        works = len(self.exchanges) == self._works_at
        self.time += 0.1 if works else PATIENCE
        self._is_direct = self._is_direct or works
        return works

    def knock(self, addr: Any, data: object) -> None:
        """One datagram."""
        exam = self.exam
        exam.sent = f"knock in exchange {len(self.exchanges)}"
        if not isinstance(data, bytes) or not data:
            exam.reject("wrong-type", "a datagram is bytes, one at least", got=shown(data))
        exam.require(
            self.is_called and self.kind == "quic", "knocks", "it knocks where it should dial"
        )
        if not self.exchanges or self.exchanges[-1].synced is None:
            exam.reject("too-soon", "it knocks before SYNC: the other side is not ready")
        self.exchanges[-1].knocks.append((self.time, addr, data))
