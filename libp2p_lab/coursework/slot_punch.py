"""The slot `hole_punch`: a student's hole puncher inside the library's DCUtR.

The library finds out that a relayed connection could do without its relay, and moves to the direct one afterwards.
Between the two everything is the student's: what is said and when, who dials whom and when, and what after a failure.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LimitExceeded, LocalError, ProtocolViolation
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.nat.circuit import RelayClient
from libp2p_lab.nat.coordination import Punch
from libp2p_lab.nat.dcutr import DCUtR
from libp2p_lab.nat.dcutr_messages import DCUTR_PROTOCOL, Connect, Sync
from libp2p_lab.nat.events import PunchEnded

if TYPE_CHECKING:
    from libp2p_lab.host.service import Service

PATIENCE = 60.0  # seconds for all tries of one side together


class Wire:
    """One stream of DCUtR, with messages as pairs: ("CONNECT", addresses) or ("SYNC",)."""

    def __init__(self, dcutr: StudentDCUtR, stream: MuxedStream) -> None:
        self._dcutr = dcutr
        self.stream = stream
        self.is_synced = asyncio.Event()  # SYNC has come: the stream is not needed any more

    async def send(self, message: Sequence[Any]) -> None:
        """Send a message. Raises: `LocalError` for what is none."""
        match list(message):
            case ["CONNECT", addrs]:
                await self._dcutr.send(self.stream, Connect(tuple(map(Multiaddr, addrs))))
            case ["SYNC"]:
                await self._dcutr.send(self.stream, Sync())
                await self.stream.flush()
            case _:
                raise LocalError(f"a message is ('CONNECT', addresses) or ('SYNC',): {message!r}")

    async def receive(self) -> tuple[Any, ...]:
        """The next message. Raises: `RemoteError`, and `LabError` if the stream breaks."""
        message = await self._dcutr.read(self.stream)
        if isinstance(message, Sync):
            self.is_synced.set()
            return ("SYNC",)
        return ("CONNECT", [str(addr) for addr in message.addrs])


class Call:
    """What a student's puncher is given: one relayed connection, and the means to get rid of it.

    Attributes:
        kind: "tcp" or "quic": what a hole is punched for.
        addrs: where we can be seen, as texts.
        patience: seconds that one try may take.
        rng: chance.
    """

    def __init__(self, dcutr: StudentDCUtR, relayed: MuxedConnection, attempt: int) -> None:
        own = dcutr.own_addrs()
        self.kind = "tcp" if any("tcp" in addr.names for addr in own) else "quic"
        self.addrs = [str(addr) for addr in own if ("tcp" in addr.names) == (self.kind == "tcp")]
        self.patience = dcutr.host.limits.dcutr_dial_timeout
        self.rng: random.Random = dcutr.host.rng
        self._dcutr = dcutr
        self._relayed = relayed
        self.attempt = attempt  # exchanges so far

    def now(self) -> float:
        """Seconds, by our own clock."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    @property
    def is_direct(self) -> bool:
        """Whether there is a direct connection."""
        return self._dcutr.direct_to(self._relayed.remote_peer) is not None

    async def open(self) -> Wire:
        """A new stream to the other side, through the relay. Raises: `LabError`."""
        self.attempt += 1
        async with asyncio.timeout(self._dcutr.host.limits.dcutr_timeout):
            stream = await self._dcutr.host.open_stream_on(self._relayed, (DCUTR_PROTOCOL,))
            await stream.flush()
        return Wire(self._dcutr, stream)

    async def dial(self, addrs: Sequence[str], role: str) -> bool:
        """Dial all at once, as "client" or "server" of what comes of it, until one works or `patience` is over.

        Returns: whether there is a direct connection. Raises: `LocalError` for the server's dial over QUIC.
        """
        if role not in ("client", "server"):
            raise LocalError(f'a role is "client" or "server", not {role!r}')
        if self.kind == "quic" and role == "server":
            raise LocalError("over QUIC the server does not dial: it knocks")
        where = [addr for addr in map(Multiaddr, addrs) if self._dcutr.may_dial(addr)]
        side = "receiver" if role == "client" else "initiator"
        await self._dcutr.dial(self._relayed, where, self.attempt, side)
        return self.is_direct

    def knock(self, addr: str, data: bytes) -> None:
        """Send one datagram. Raises: `LocalError` if it cannot be sent."""
        where = Multiaddr(addr)
        if self._dcutr.may_dial(where):
            self._dcutr.host.open_hole(where, data)


class StudentDCUtR(DCUtR):
    """DCUtR whose exchanges and dials are a student's.

    Args:
        make: the student's class, called without arguments, with async called(call), caller(call, stream).
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self._part = make()
        self._calls: dict[int, asyncio.Task[Any]] = {}  # what we do now, by relayed connection

    @property
    def host(self) -> Host:
        """Whose it is."""
        return self._host

    def own_addrs(self) -> list[Multiaddr]:
        """Where we can be seen. Raises: `DialError` if nobody knows."""
        return self._own_addrs()

    def may_dial(self, addr: Multiaddr) -> bool:
        """Whether an address of the other side's may be dialed."""
        return self._may_dial(addr) and self._host.can_punch(addr)

    async def send(self, stream: MuxedStream, message: Connect | Sync) -> None:
        """Send a message, and tell the trace."""
        await self._send(stream, message)

    async def read(self, stream: MuxedStream) -> Connect | Sync:
        """Read a message, and tell the trace."""
        async with asyncio.timeout(self._host.limits.dcutr_timeout):
            return await self._read(stream)

    async def dial(
        self, relayed: MuxedConnection, addrs: Sequence[Multiaddr], attempt: int, side: Any
    ) -> None:
        """Dial all at once, until one works or the time is up."""
        await self._punch(relayed, Punch(tuple(addrs), 0.0, None), attempt, side)

    # -- what takes the place of the library's ---------------------------------------------------------------

    async def _punch_hole(self, relayed: MuxedConnection) -> PunchEnded:
        call = Call(self, relayed, 0)
        cause = await self._let(relayed, self._part.called(call))
        return self._outcome(relayed, call, cause)

    async def _answer(self, stream: MuxedStream) -> None:
        relayed = stream.connection
        if not relayed.relayed or relayed.direction != "outbound":
            raise ProtocolViolation("DCUtR is for who was called through a relay")
        attempt = self._asked.get(relayed.id, 0) + 1
        if attempt > self.retries:
            raise LimitExceeded("dcutr_attempts", attempt, self.retries)
        self._asked[relayed.id] = attempt
        call, wire = Call(self, relayed, attempt), Wire(self, stream)
        before = self._calls.get(relayed.id)
        if before is not None:  # the other side has given that try up already
            before.cancel()
        task = self._host.create_task(self._answer_one(relayed, call, wire))
        self._calls[relayed.id] = task
        synced = asyncio.create_task(wire.is_synced.wait())
        await asyncio.wait((task, synced), return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE)
        synced.cancel()

    async def _answer_one(self, relayed: MuxedConnection, call: Call, wire: Wire) -> None:
        cause = await self._let(relayed, self._part.caller(call, wire))
        ended = self._outcome(relayed, call, cause)
        if ended.outcome == "punched" or call.attempt == self.retries:
            self._end(relayed, ended)

    def _outcome(self, relayed: MuxedConnection, call: Call, cause: str) -> PunchEnded:
        peer = relayed.remote_peer
        if self.direct_to(peer) is not None:
            return PunchEnded(str(peer), "punched", call.attempt, self._where(peer))
        return PunchEnded(str(peer), "failed", call.attempt, cause=cause or "nothing came through")

    async def _let(self, relayed: MuxedConnection, coroutine: Any) -> str:
        """Let the student's coroutine do its part. Returns what it raised, in words; "" if nothing."""
        task = asyncio.ensure_future(coroutine)
        try:
            await asyncio.wait([task], timeout=PATIENCE)
            if not task.done():
                return f"your puncher was not done after {PATIENCE:g} s"
            problem = task.exception()
            return f"{type(problem).__name__}: {problem}" if problem is not None else ""
        finally:
            task.cancel()


def with_puncher(make: Callable[[], Any]) -> list[Service]:
    """The services of a host that punches holes by a student's puncher."""
    return [Identify(), Ping(), RelayClient(), StudentDCUtR(make)]
