"""The bench of E4.5: a link of 5 Mbit/s, a transfer without end, and pings beside it.

The hosts are ordinary ones on a simulated internet. Only the sender's muxer asks before each frame: `Scheduled` stands
before a yamux session, keeps what streams want to send, and hands over a frame when it is that stream's turn.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from libp2p_lab.errors import StreamClosed
from libp2p_lab.host.ping import PROTOCOL_ID as PING
from libp2p_lab.host.ping import Ping
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_connection import MuxedConnection
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.multiplexing.muxer import MuxerEvent
from libp2p_lab.multiplexing.yamux import PROTOCOL_ID, YamuxSession
from libp2p_lab.sim import Internet, SimHost, mbit
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer

RATE = mbit(5)  # bytes a second that the link carries
ROUND_TRIP = 0.02  # seconds, there and back on an empty link
WARM_UP = 1.0  # virtual seconds before anything is measured
SPAN = 4.0  # virtual seconds of measuring
PING_EVERY = 0.05
BULK = "/lab/bulk/1.0.0"
FEW = 5  # fewer pings than this, and one that is still on its way counts as well

Waiting = dict[int, int]
Choice = Callable[[Waiting, float], Any]


class Scheduled:
    """A yamux session that asks whose turn it is: a `MuxerSession`.

    Args:
        session: the library's.
        clock: seconds.

    Attributes:
        choose: the student's function; None lets everything go as it comes.
        wake: makes the connection ask for data again.
        waits: for each stream, how long each of its frames waited for its turn, in seconds.
        longest: the longest frame chosen, in bytes.
    """

    def __init__(self, session: YamuxSession, clock: Callable[[], float]) -> None:
        self.choose: Choice | None = None
        self.wake: Callable[[], None] = lambda: None
        self.waits: dict[int, list[float]] = {}
        self.longest = 0
        self._session = session
        self._clock = clock
        self._queues: dict[int, deque[tuple[bytes, float]]] = {}
        self._closing: set[int] = set()
        self._seen: dict[int, float] = {}  # since when the student knows that a stream waits
        self._not_before = 0.0

    # -- what streams want to send is kept here until its turn --------------------------------------------------

    def send(self, stream_id: int, data: Buffer) -> None:
        """As `MuxerSession.send`."""
        self._session.send(stream_id, b"")  # raises if the stream is gone
        if stream_id in self._closing:
            raise StreamClosed(f"stream {stream_id} is closed for writing")
        if self.choose is None:
            self._session.send(stream_id, data)
            return
        queue = self._queues.setdefault(stream_id, deque())
        if not queue:
            self._not_before = 0.0  # something new: ask again
        queue.append((bytes(data), self._clock()))

    def unsent(self, stream_id: int) -> int:
        """As `MuxerSession.unsent`."""
        return self._kept(stream_id) + self._session.unsent(stream_id)

    def close_write(self, stream_id: int) -> None:
        """As `MuxerSession.close_write`."""
        if self._kept(stream_id):
            self._closing.add(stream_id)
        else:
            self._session.close_write(stream_id)

    def reset(self, stream_id: int) -> None:
        """As `MuxerSession.reset`."""
        self._queues.pop(stream_id, None)
        self._session.reset(stream_id)

    def has_data_to_send(self) -> bool:
        """As `MuxerSession.has_data_to_send`."""
        return self._session.has_data_to_send() or bool(
            self._waiting() and self._clock() >= self._not_before
        )

    def data_to_send(self, limit: int = 0) -> bytes:
        """As `MuxerSession.data_to_send`: what the session itself has to say, then the frame that is chosen."""
        if not self._session.has_data_to_send():
            self._choose_next()
        return self._session.data_to_send()

    def _choose_next(self) -> None:
        waiting, now = self._waiting(), self._clock()
        if not waiting or self.choose is None or now < self._not_before:
            return
        for stream_id in waiting:
            self._seen.setdefault(stream_id, now)
        choice = self.choose(waiting, now)
        if isinstance(choice, tuple):
            self._hand_over(*choice)
        else:
            self._not_before = now + choice
            asyncio.get_running_loop().call_later(choice, self.wake)

    def _hand_over(self, stream_id: int, size: int) -> None:
        queue, parts = self._queues[stream_id], []
        self.waits.setdefault(stream_id, []).append(self._clock() - self._seen.pop(stream_id))
        self.longest = max(self.longest, size)
        while size:
            data, since = queue.popleft()
            parts.append(data[:size])
            if size < len(data):
                queue.appendleft((data[size:], since))
            size -= len(parts[-1])
        self._session.send(stream_id, b"".join(parts))
        if not queue and stream_id in self._closing:
            self._closing.discard(stream_id)
            self._session.close_write(stream_id)

    def waited(self, stream_id: int) -> list[float]:
        """How long a stream waited for each of its turns, in seconds; the one that it waits for now included."""
        now = [self._clock() - self._seen[stream_id]] if stream_id in self._seen else []
        return [*self.waits.get(stream_id, ()), *now]

    def _kept(self, stream_id: int) -> int:
        return sum(len(data) for data, _ in self._queues.get(stream_id, ()))

    def _waiting(self) -> Waiting:
        """Bytes by stream, of those whose window has room; who waits longest comes first."""
        ready = {
            stream_id: queue[0][1]
            for stream_id, queue in self._queues.items()
            if queue and not self._session.unsent(stream_id)
        }
        return {
            stream_id: self._kept(stream_id) for stream_id in sorted(ready, key=ready.__getitem__)
        }

    # -- the rest is the session's ------------------------------------------------------------------------------

    def can_open_stream(self) -> bool:
        """As `MuxerSession.can_open_stream`."""
        return self._session.can_open_stream()

    def open_stream(self) -> int:
        """As `MuxerSession.open_stream`."""
        return self._session.open_stream()

    def accept(self, stream_id: int) -> None:
        """As `MuxerSession.accept`."""
        self._session.accept(stream_id)

    def stop_reading(self, stream_id: int) -> None:
        """As `MuxerSession.stop_reading`."""
        self._session.stop_reading(stream_id)

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        """As `MuxerSession.consumed`."""
        self._session.consumed(stream_id, n, now)

    def receive_data(self, data: Buffer, now: float = 0.0) -> list[MuxerEvent]:
        """As `MuxerSession.receive_data`."""
        return self._session.receive_data(data, now)

    def ping(self, now: float = 0.0) -> bool:
        """As `MuxerSession.ping`."""
        return self._session.ping(now)

    def go_away(self, code: int = 0) -> None:
        """As `MuxerSession.go_away`."""
        self._session.go_away(code)


class _ScheduledYamux:
    """Yamux with a `Scheduled` before each session."""

    protocol = PROTOCOL_ID

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.sessions: list[Scheduled] = []

    def session(self, *, is_dialer: bool, limits: Limits, probe: Probe) -> Scheduled:
        """As `Muxer.session`."""
        made = Scheduled(YamuxSession(is_dialer=is_dialer, limits=limits, probe=probe), self._clock)
        self.sessions.append(made)
        return made


# -- the experiment -----------------------------------------------------------------------------------------------


class Measured:
    """What came out.

    Attributes:
        pings: round trips in seconds, sorted.
        bulk: bytes a second that the bulk transfer moved.
        longest: the longest frame chosen, in bytes.
        ping_wait: seconds that 95 of 100 pings waited in the sender's own queue, at most.
    """

    def __init__(self, pings: list[float], bulk: float, session: Scheduled, ping_id: int) -> None:
        self.pings = sorted(pings)
        self.bulk = bulk
        self.longest = session.longest
        waits = sorted(session.waited(ping_id))
        self.ping_wait = max(_p95(waits), waits[-1] if len(pings) < FEW else 0.0) if waits else 0.0

    @property
    def p95(self) -> float:
        """Seconds within which 95 of 100 pings came back."""
        return _p95(self.pings)


def _p95(values: list[float]) -> float:
    return values[min(len(values) - 1, math.ceil(0.95 * len(values)) - 1)] if values else math.inf


def measure(seed: int | str, choose: Choice | None) -> Measured:
    """A bulk transfer and pings beside it, over the link; None for the library's own order."""
    with Internet(seed=seed) as net:
        muxer = _ScheduledYamux(net.loop.time)
        receiver = net.host("receiver", services=lambda: [Ping()], security="plaintext")
        sender = net.host(
            "sender", up=RATE, services=lambda: [Ping()], security="plaintext", muxers=[muxer]
        )
        received = 0

        async def count(stream: MuxedStream) -> None:
            nonlocal received
            async for chunk in stream:
                received += len(chunk)

        receiver.set_handler(BULK, count)

        async def scenario() -> Measured:
            connection = await sender.connect(receiver.addrs[0])
            bulk = await sender.open_stream(receiver.peer_id, BULK)
            stream = await sender.open_stream(receiver.peer_id, PING)
            await bulk.write(b"begin")
            await stream.write(bytes(32))  # both have their protocol before anything is scheduled
            await stream.read_exactly(32)
            session = muxer.sessions[0]
            session.choose = choose
            session.wake = lambda: _wake(connection)
            filling = asyncio.ensure_future(_fill(bulk))
            await asyncio.sleep(WARM_UP)
            before = received
            pings = await _pings(net, sender, stream)
            moved = (received - before) / SPAN
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            return Measured(pings, moved, session, stream.id)

        return net.run(sender.run(scenario()), until=120.0)


def _wake(connection: MuxedConnection) -> None:
    connection.give_credit(
        0, 0
    )  # on no stream: the connection looks whether there is something to send


async def _fill(bulk: MuxedStream) -> None:
    """Always more to send."""
    while True:
        await bulk.write(bytes(32 * 1024))


async def _pings(net: Internet, sender: SimHost, stream: MuxedStream) -> list[float]:
    """One ping after another for `SPAN` seconds; what has not come back by then counts as lost."""
    ping = sender.services[0]
    assert isinstance(ping, Ping)
    ends = net.now + SPAN
    pings: list[float] = []
    started = net.now
    try:
        async with asyncio.timeout(SPAN):
            while True:
                started = net.now
                pings.append(await ping.round_trip(stream))
                await asyncio.sleep(PING_EVERY)
    except TimeoutError:
        if len(pings) < FEW:
            pings.append(net.now - started)
    await asyncio.sleep(max(0.0, ends - net.now))
    return pings
