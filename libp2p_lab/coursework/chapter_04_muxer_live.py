"""The second half of E4.4: the student's muxer in live peers, against an untouched one and against js-libp2p."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from libp2p_lab import foreign
from libp2p_lab.content import KadDHT
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.slots import Stack, swap
from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.host.echo import Echo
from libp2p_lab.host.host import Host
from libp2p_lab.host.identify import Identify
from libp2p_lab.host.ping import Ping
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxer import MuxerEvent
from libp2p_lab.trace import Probe

PATIENCE = 15.0  # seconds for what takes a right muxer milliseconds
JS_PATIENCE = 45.0  # a program that is started first
ECHO = "/echo/1.0.0"
SIZE = 600_000  # bytes: more than two windows
_STATED = (
    LabError,
)  # what a session may raise: StreamClosed, StreamReset, ConnectionLost, LimitExceeded


class _Session:
    """The student's session; what it raises is remembered on its way to the driver, which may have no use for it."""

    def __init__(self, exam: Exam, session: Any) -> None:
        self._exam = exam
        self._session = session

    @contextmanager
    def _watching(self) -> Iterator[Any]:
        try:
            yield self._session
        except _STATED:
            raise
        except Exception as problem:
            if not self._exam.is_decided:
                self._exam.raised.append(problem)
            raise

    def can_open_stream(self) -> bool:
        with self._watching() as session:
            return bool(session.can_open_stream())

    def open_stream(self) -> int:
        with self._watching() as session:
            return int(session.open_stream())

    def send(self, stream_id: int, data: Any) -> None:
        with self._watching() as session:
            session.send(stream_id, data)

    def unsent(self, stream_id: int) -> int:
        with self._watching() as session:
            return int(session.unsent(stream_id))

    def close_write(self, stream_id: int) -> None:
        with self._watching() as session:
            session.close_write(stream_id)

    def reset(self, stream_id: int) -> None:
        with self._watching() as session:
            session.reset(stream_id)

    def accept(self, stream_id: int) -> None:
        with self._watching() as session:
            session.accept(stream_id)

    def stop_reading(self, stream_id: int) -> None:
        with self._watching() as session:
            session.stop_reading(stream_id)

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        with self._watching() as session:
            session.consumed(stream_id, n, now)

    def receive_data(self, data: Any, now: float = 0.0) -> list[MuxerEvent]:
        with self._watching() as session:
            events: list[MuxerEvent] = session.receive_data(data, now)
            return events

    def data_to_send(self, limit: int = 128 * 1024) -> bytes:
        with self._watching() as session:
            return bytes(session.data_to_send(limit))

    def has_data_to_send(self) -> bool:
        with self._watching() as session:
            return bool(session.has_data_to_send())

    def ping(self, now: float = 0.0) -> bool:
        with self._watching() as session:
            return bool(session.ping(now))

    def go_away(self, code: int = 0) -> None:
        with self._watching() as session:
            session.go_away(code)


class _Muxer:
    """The student's muxer, with watched sessions."""

    def __init__(self, exam: Exam, muxer: Any) -> None:
        self._exam = exam
        self._muxer = muxer
        self.protocol: str = muxer.protocol

    def session(self, *, is_dialer: bool, limits: Limits, probe: Probe) -> _Session:
        """As `Muxer.session`."""
        made = self._muxer.session(is_dialer=is_dialer, limits=limits, probe=probe)
        return _Session(self._exam, made)


async def meet_strangers(exam: Exam, muxer: Any) -> None:
    """An untouched peer dials and is dialed; then js-libp2p, where it is installed."""
    with swap("muxer", _Muxer(exam, muxer)) as stack:
        for i_dial in (True, False):
            await _meet(exam, stack, i_dial)
        if exam.seed == exam.check.seeds[0]:
            await _meet_js(exam, stack)


def _services() -> list[Any]:
    return [Identify(), Ping(), Echo(), KadDHT()]


async def _meet(exam: Exam, stack: Stack, i_dial: bool) -> None:
    exam.sent = (
        f"two live peers; yours {'dials' if i_dial else 'is dialed'}, the other is untouched"
    )
    keys = [KeyPair.generate(rng=exam.rng) for _ in range(2)]
    listen = ["/memory/0"]
    step = exam.step(PATIENCE, "stranger", "something never comes to its end")
    try:
        async with (
            stack.host(key=keys[0], listen=listen, services=_services()) as mine,
            Host(key=keys[1], listen=listen, services=_services()) as theirs,
            step,
        ):
            if i_dial:
                await mine.connect(theirs.addrs[0])
            else:
                await theirs.connect(mine.addrs[0])
            both = ((mine, theirs), (theirs, mine))
            for one, other in both if i_dial else both[::-1]:  # the dialer knows of it first
                exam.sent = (
                    f"identify and ping, {'yours' if one is mine else 'the untouched one'} asks"
                )
                await one.identify_result(other.peer_id)
                await one.ping(other.peer_id)
            await _slow_echoes(exam, mine, theirs)
            exam.sent = "a lookup in a DHT of these two peers"
            found = await mine.dht.closest_peers(b"where is it?")
            exam.require(theirs.peer_id in found, "stranger", "the DHT found nobody")
    except LabError as problem:
        exam.reject("stranger", f"the two peers did not get on: {problem}")
    exam.count("live peers", 2)


async def _slow_echoes(exam: Exam, mine: Host, theirs: Host) -> None:
    """A stream whose reader sleeps, and beside it one with a lot to say, there and back."""
    exam.sent = f"{SIZE} bytes to an echo and back, beside a stream that nobody reads"
    data = exam.rng.randbytes(SIZE)
    stalled = await mine.open_stream(theirs.peer_id, ECHO)
    filling = asyncio.create_task(stalled.write(bytes(4 * SIZE)))
    try:
        for one, other in ((mine, theirs), (theirs, mine)):
            stream = await one.open_stream(other.peer_id, ECHO)
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(stream.read())
                await stream.write(data)
                await stream.close_write()
            exam.require(reading.result() == data, "stranger", "other bytes came back from an echo")
            await stream.close()
            exam.count("bytes echoed by live peers", SIZE)
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        await stalled.reset()


@contextmanager
def _room_for_others() -> Iterator[None]:
    """Programs that are started within may use as much memory as this process could at first."""
    try:
        import resource
    except ImportError:  # no such limits on Windows
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


async def _meet_js(exam: Exam, stack: Stack) -> None:
    """The same with js-libp2p, which nobody here has written."""
    try:
        with _room_for_others():
            js = await foreign.js_peer(muxers=["yamux"])
    except LocalError:
        exam.note("js-libp2p is not installed here, so it was not asked: `make interop-peers`.")
        return
    except (LabError, TimeoutError, OSError) as problem:
        exam.note(f"js-libp2p did not start here, so it was not asked: {problem}")
        return
    exam.sent = "your peer dials js-libp2p: ping, identify, an echo each way"
    key = KeyPair.generate(rng=exam.rng)
    step = exam.step(JS_PATIENCE, "stranger", "js-libp2p waits for something that does not come")
    try:
        async with (
            js,
            stack.host(key=key, listen=["/ip4/127.0.0.1/tcp/0"], services=_services()) as mine,
            step,
        ):
            await mine.connect(js.addrs[0])
            await mine.ping(js.peer_id)
            await mine.identify_result(js.peer_id)
            stream = await mine.open_stream(js.peer_id, ECHO)
            await stream.write(b"hello")
            await stream.close_write()
            exam.require(await stream.read() == b"hello", "stranger", "js-libp2p's echo is another")
            await stream.close()
            same = await js.echo(mine.peer_id, SIZE)
            exam.require(same, "stranger", "js-libp2p got other bytes back than it sent")
            await js.ping(mine.peer_id)
    except LabError as problem:
        exam.reject("stranger", f"js-libp2p and your muxer did not get on: {problem}")
    exam.note("js-libp2p spoke with your muxer, and noticed nothing.")
