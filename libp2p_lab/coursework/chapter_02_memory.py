"""E2.4: two ends in one process, with everything that a transport owes to the layers above it.

Last, two ordinary hosts speak over it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.errors import LabError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.multiplexing.muxed_stream import MuxedStream
from libp2p_lab.trace import Probe
from libp2p_lab.transports.transport import OnConnection
from libp2p_lab.wire.byte_stream import Buffer

CAPACITY = 1000  # bytes, for the tests by hand
LIVE_CAPACITY = 64 * 1024
PATIENCE = 3.0  # seconds for what takes a right answer no time
QUIET = 0.05  # seconds in which whatever can go on has gone on
METHODS = ("read", "write", "close_write", "reset")
GONE = (OSError, LabError)  # how an end may say that the connection was reset


class End(Protocol):
    """One end of the student's pipe."""

    async def read(self, n: int) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def close_write(self) -> None: ...
    async def reset(self) -> None: ...


Pipe = Callable[[int], Any]


def _ends(exam: Exam, pipe: Pipe, capacity: int = CAPACITY) -> tuple[End, End]:
    made = exam.call(pipe, capacity)
    if not isinstance(made, tuple | list) or len(made) != 2:
        exam.reject("wrong-type", "the answer is two ends", got=shown(made))
    one, other = made
    return exam.methods(one, METHODS), exam.methods(other, METHODS)


async def _waits(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """The work as a task that has gone as far as it can."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=QUIET)
    return task


async def _cancel(exam: Exam, task: asyncio.Task[Any], what: str) -> None:
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)
    exam.require(task.done(), "swallows-cancel", f"{what} was cancelled and goes on")
    exam.require(
        task.cancelled() or task.exception() is not None,
        "swallows-cancel",
        f"{what} was cancelled and returned as if nothing had happened",
    )


async def _drain(exam: Exam, end: End, size: int | None = None) -> bytes:
    """Read `size` bytes, or all to the end."""
    got = b""
    while size is None or len(got) < size:
        chunk = await end.read(777 if size is None else min(777, size - len(got)))
        if not isinstance(chunk, bytes):
            exam.reject("wrong-type", "read gives bytes", got=shown(chunk))
        if not chunk:
            break
        got += chunk
    return got


async def _carries(exam: Exam, pipe: Pipe) -> None:
    """Bytes in both directions, in order, as soon as there are any."""
    one, other = _ends(exam, pipe)
    for source, target, text in ((one, other, b"ping"), (other, one, b"pong")):
        step = exam.step(PATIENCE, "waits-for-more", "the other end's read(100) does not return")
        async with step:
            exam.sent = f"write({text!r}) at one end"
            await source.write(text)
            got = await target.read(100)
        exam.equal(got, text, "content", "the other end read something else")
    async with exam.step(PATIENCE, "content", "what was written at the same time does not arrive"):
        exam.sent = "write(b'tick') at one end and write(b'tock') at the other, then both read"
        await one.write(b"tick")
        await other.write(b"tock")
        heard = await one.read(100), await other.read(100)
    exam.equal(heard, (b"tock", b"tick"), "content", "an end has read its own words")
    data = exam.rng.randbytes(CAPACITY - 1)
    async with exam.step(PATIENCE, "early", f"write({len(data)} bytes) does not return"):
        exam.sent = f"write({len(data)} bytes) with room for {CAPACITY}"
        await one.write(data)
    got = b""
    for n in itertools.cycle((1, 7, 100)):
        async with exam.step(PATIENCE, "waits-for-more", f"read({n}) does not return"):
            exam.sent = f"read({n}) with {len(data) - len(got)} bytes there"
            chunk = await other.read(n)
        exam.require(len(chunk) <= n, "too-much", f"read({n}) gave {len(chunk)} bytes")
        exam.require(chunk, "content", f"read({n}) gave nothing, as if it were the end")
        got += chunk
        if len(got) >= len(data):
            break
    exam.equal(got, data, "content", "other bytes arrived")
    exam.count("bytes carried", len(data) + 16)


async def _holds_back(exam: Exam, pipe: Pipe) -> None:
    """A writer waits while its reader does not read; and no more than `capacity` bytes are ever in between."""
    one, other = _ends(exam, pipe)
    data = exam.rng.randbytes(5 * CAPACITY)
    exam.sent = f"write({len(data)} bytes) with room for {CAPACITY}; nobody reads"
    writing = await _waits(one.write(data))
    try:
        exam.require(
            not writing.done() or writing.exception(),
            "no-back-pressure",
            "the write returned at once: where are all these bytes?",
            got=f"{len(data)} bytes accepted",
            expected=f"the write waits when {CAPACITY} are unread",
        )
        exam.sent = f"the same write of {len(data)} bytes, and now the other end reads"
        async with exam.step(PATIENCE, "no-wake", "the two wait for each other for ever"):
            got = await _drain(exam, other, len(data))
            await writing
    finally:
        writing.cancel()
    exam.equal(got, data, "content", "other bytes arrived")
    await _waits_exactly(exam, pipe)
    exam.count("writes held back", 2)


async def _waits_exactly(exam: Exam, pipe: Pipe) -> None:
    """A cancelled write shows how much was held in between."""
    one, other = _ends(exam, pipe)
    data = exam.rng.randbytes(3 * CAPACITY)
    exam.sent = f"write({len(data)} bytes) with room for {CAPACITY}, cancelled while it waits"
    writing = await _waits(one.write(data))
    await _cancel(exam, writing, "a write")
    async with exam.step(PATIENCE, "cancel-sticks", "after that, the pipe does not work any more"):
        closing = asyncio.ensure_future(one.close_write())
        got = await _drain(exam, other)
        await closing
    exam.require(
        len(got) <= CAPACITY,
        "hoards",
        f"{len(got)} bytes lay between the two ends",
        got=f"{len(got)} unread bytes",
        expected=f"never more than {CAPACITY}",
    )
    exam.equal(got, data[: len(got)], "content", "what had been taken is not the beginning")


async def _ends_by_halves(exam: Exam, pipe: Pipe) -> None:
    """One says that it has finished; the other reads what is left, and may still speak."""
    one, other = _ends(exam, pipe)
    exam.sent = "write(b'last words'), then close_write()"
    async with exam.step(PATIENCE, "no-end", "the other end does not come to the end"):
        await one.write(b"last words")
        await one.close_write()
        got = await _drain(exam, other)
        exam.equal(got, b"last words", "cut-off", "the other end read something else")
        again = await other.read(10)
    exam.equal(again, b"", "no-end", "the end is no end: read gave something after it")
    exam.sent = "close_write() at one end; the other end writes b'and you?'"
    exam.explain = {OSError: "half-close", LabError: "half-close"}
    async with exam.step(PATIENCE, "half-close", "the other direction does not work any more"):
        await other.write(b"and you?")
        got = await one.read(100)
    exam.explain = {}
    exam.equal(got, b"and you?", "half-close", "the other direction does not work any more")
    exam.sent = "write after close_write"
    try:
        async with exam.step(PATIENCE, "write-after-close", "the write waits for ever"):
            await one.write(b"one more thing")
    except (*GONE, ValueError):
        pass
    else:
        exam.reject("write-after-close", "a write after close_write was accepted")
    one, other = _ends(exam, pipe)
    exam.sent = "the other end waits in read(10); then close_write()"
    reading = await _waits(other.read(10))
    async with exam.step(PATIENCE, "no-end", "a read that waits does not notice the end"):
        await one.close_write()
        exam.equal(await reading, b"", "no-end", "at the end read gives b''")
    exam.count("ends")


async def _survives_cancelling(exam: Exam, pipe: Pipe) -> None:
    """A task that waits here may be cancelled: nothing is lost, and the next one is served."""
    one, other = _ends(exam, pipe)
    exam.sent = "read(10) is cancelled while it waits; then write(b'still here')"
    reading = await _waits(other.read(10))
    exam.require(not reading.done(), "content", "read returned, and nothing had been written")
    await _cancel(exam, reading, "a read")
    async with exam.step(PATIENCE, "cancel-sticks", "the next read does not get them"):
        await one.write(b"still here")
        got = await _drain(exam, other, 10)
    exam.equal(got, b"still here", "cancel-loses", "the cancelled read took bytes with it")
    for moments in range(6):
        exam.sent = f"write(b'x'); {moments} moment(s) later the read that waits is cancelled"
        reading = await _waits(other.read(10))
        await one.write(b"x")
        for _ in range(moments):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading], timeout=PATIENCE)
        got = b"" if reading.cancelled() or reading.exception() else reading.result()
        await one.write(b"yz")
        async with exam.step(PATIENCE, "cancel-loses", "a byte is missing"):
            got += await _drain(exam, other, 3 - len(got))
        exam.equal(got, b"xyz", "cancel-loses", "the cancelled read took bytes with it")
    exam.count("cancelled waits", 8)


async def _resets(exam: Exam, pipe: Pipe) -> None:
    """After a reset nobody waits any more, at either end."""
    for what in ("read", "write"):
        one, other = _ends(exam, pipe)
        exam.sent = f"one end waits in {what}; the other end calls reset()"
        waiting = await _waits(one.read(10) if what == "read" else one.write(b"x" * 5 * CAPACITY))
        async with exam.step(PATIENCE, "reset", f"the {what} still waits"):
            await other.reset()
            await asyncio.wait([waiting])
        problem = waiting.exception()
        exam.require(
            isinstance(problem, GONE),
            "reset",
            f"the {what} ended as if all were well"
            if problem is None
            else f"the {what} ended with {type(problem).__name__}",
            got="no error" if problem is None else shown(str(problem)),
            expected="ConnectionError",
        )
    exam.count("resets", 2)


# -- two live hosts -----------------------------------------------------------------------------------------------


class PipedConnection:
    """A student's end as a `RawConnection`."""

    def __init__(self, end: End, local: Multiaddr, remote: Multiaddr) -> None:
        self._end = end
        self.local_addr = local
        self.remote_addr = remote
        self.probe = Probe(layer="transport")

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        if n >= 0:
            return await self._end.read(n)
        parts = []
        while part := await self._end.read(65536):
            parts.append(part)
        return b"".join(parts)

    async def write(self, data: Buffer) -> None:
        """As `ByteStream.write`."""
        await self._end.write(bytes(data))

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""
        await self._end.close_write()

    async def close(self) -> None:
        """As `ByteStream.close`."""
        await self._end.close_write()

    async def reset(self) -> None:
        """As `ByteStream.reset`."""
        await self._end.reset()


class PipeTransport:
    """A `Transport` at `/memory/…` whose connections are a student's pipes.

    Args:
        pipe: makes two ends.
        capacity: what it is given.
    """

    name = "pipe"

    def __init__(self, pipe: Pipe, capacity: int = LIVE_CAPACITY) -> None:
        self._pipe = pipe
        self._capacity = capacity
        self._listeners: dict[int, OnConnection] = {}
        self._numbers = itertools.count(1)

    def can_dial(self, addr: Multiaddr) -> bool:
        """Whether this is `/memory/<number>`."""
        return addr.without_peer().names == ("memory",)

    can_listen = can_dial

    async def dial(self, addr: Multiaddr) -> PipedConnection:
        """As `Transport.dial`."""
        target = Multiaddr(f"/memory/{addr.value_of('memory')}")
        arrived = self._listeners.get(int(addr.value_of("memory") or 0))
        if arrived is None:
            raise ConnectionRefusedError(f"nobody listens at {target}")
        source = Multiaddr(f"/memory/{1000 + next(self._numbers)}")
        ours, theirs = self._pipe(self._capacity)
        arrived(PipedConnection(theirs, target, source))
        return PipedConnection(ours, source, target)

    async def listen(self, addr: Multiaddr, on_connection: OnConnection) -> PipeListener:
        """As `Transport.listen`."""
        number = next(self._numbers)
        self._listeners[number] = on_connection
        return PipeListener(self._listeners, number)


class PipeListener:
    """Waits for connections."""

    def __init__(self, listeners: dict[int, OnConnection], number: int) -> None:
        self._listeners = listeners
        self._number = number

    @property
    def addrs(self) -> Sequence[Multiaddr]:
        """Where it listens."""
        return [Multiaddr(f"/memory/{self._number}")]

    async def close(self) -> None:
        """Stop listening."""
        self._listeners.pop(self._number, None)


async def _echo(stream: MuxedStream) -> None:
    async for chunk in stream:
        await stream.write(chunk)


async def _carries_hosts(exam: Exam, pipe: Pipe) -> None:
    """Two ordinary hosts over it: handshake, ping, and more than fits in between, there and back."""
    exam.sent = "two ordinary hosts whose connection runs through your pipe"
    data = exam.rng.randbytes(8 * LIVE_CAPACITY)
    transport = PipeTransport(pipe)
    keys = [KeyPair.generate(rng=exam.rng) for _ in range(2)]
    try:
        async with AsyncExitStack() as stack:
            hosts = [Host(key=key, listen=["/memory/0"], transports=[transport]) for key in keys]
            alice, bob = [await stack.enter_async_context(host) for host in hosts]
            alice.set_handler("/echo/1.0.0", _echo)
            async with exam.step(2 * PATIENCE, "hosts", "the two hosts never finished"):
                await bob.connect(alice.addrs[0])
                await bob.ping(alice.peer_id)
                stream = await bob.open_stream(alice.peer_id, "/echo/1.0.0")
                async with asyncio.TaskGroup() as group:
                    group.create_task(_say(stream, data))
                    got = await stream.read()
        exam.equal(got, data, "hosts", "the echo came back changed")
    except (LabError, OSError) as problem:
        exam.reject("hosts", "the two hosts did not understand each other", got=str(problem))
    except ExceptionGroup as problems:
        lost = problems.subgroup((LabError, OSError))
        if lost is None:
            raise
        exam.reject("hosts", "the connection broke", got=str(lost.exceptions[0]))
    exam.count("bytes echoed by a live host", len(data))


async def _say(stream: MuxedStream, data: bytes) -> None:
    await stream.write(data)
    await stream.close_write()


async def examine_memory(exam: Exam, answer: Any) -> None:
    """E2.4: what a pipe must do, one thing after the other; then two hosts on it."""
    pipe: Pipe = exam.callable_answer(answer, "a function pipe(capacity)")
    await _carries(exam, pipe)
    await _ends_by_halves(exam, pipe)
    await _holds_back(exam, pipe)
    await _survives_cancelling(exam, pipe)
    await _resets(exam, pipe)
    await _carries_hosts(exam, pipe)


MEMORY = Check(
    id="02.memory",
    exercise="E2.4",
    title="A transport without a network",
    level="L3",
    points=3,
    objectives=("1.11", "1.23"),
    starter='''\
import asyncio


class End:
    """One end of a pipe. What is written here is read at the other end."""

    async def read(self, n):
        """Up to n bytes, as soon as there are any; b"" when the other end has finished (close_write)."""
        raise NotImplementedError("your turn")

    async def write(self, data):
        """Send data; wait while the other end has `capacity` unread bytes. ConnectionError after close_write."""
        raise NotImplementedError("your turn")

    async def close_write(self):
        """Nothing more will be written here. Reading goes on, and so does the other direction."""
        raise NotImplementedError("your turn")

    async def reset(self):
        """Drop everything: whoever reads or writes, at either end, gets ConnectionError."""
        raise NotImplementedError("your turn")


def pipe(capacity):
    """Two ends. In each direction there are never more than `capacity` unread bytes."""
    raise NotImplementedError("your turn")


await lab.check("02.memory", pipe)
''',
    hints=(
        "Make one direction first: a bytearray between a writer and a reader. Who waits when it is empty, who when it "
        "is full, and who wakes them? Two directions are two of these.",
        "asyncio.Condition does all of it: `async with condition: await condition.wait_for(…)`, and `notify_all()` "
        "after every change. A big write goes in piece by piece, as room appears (back pressure: yamux/README.md, "
        "flow control).",
        "write: while data: await condition.wait_for(lambda: len(buffer) < capacity or is_gone); raise if it is gone; "
        "take data[: capacity - len(buffer)]; notify_all. read: wait_for(lambda: buffer or ended or is_gone); take "
        "buffer[:n], delete it there; notify_all.",
    ),
    rules=(
        Rule("content", "Each byte arrives once, unchanged, in order, and at the other end only."),
        Rule(
            "waits-for-more",
            "read(n) gives what is there, up to n bytes. It waits only while nothing is there: whoever sent three "
            "bytes may be waiting for your answer to them.",
        ),
        Rule(
            "too-much",
            "n is the most that the reader can take now; the rest stays for the next read.",
        ),
        Rule("early", "Up to `capacity` unread bytes a write need not wait."),
        Rule(
            "no-back-pressure",
            "A writer that never waits fills the memory of this process, as fast as it likes. Let it wait until the "
            "reader has made room.",
            "yamux/README.md#flow-control",
        ),
        Rule(
            "hoards",
            "Waiting after everything has been stored is too late: take only as much as there is room for, wait, and "
            "take the next piece.",
            "yamux/README.md#flow-control",
        ),
        Rule("no-wake", "Whoever makes room must wake whoever waits for it, every time."),
        Rule(
            "no-end",
            "After close_write the other end reads what is left, and then b'' every time, also if it was waiting "
            "already.",
        ),
        Rule(
            "cut-off",
            "close_write ends the writing, not the reading: what was written before still arrives.",
        ),
        Rule(
            "half-close",
            "Each direction ends on its own. Whoever has finished speaking still listens.",
            "yamux/README.md#closing-a-stream",
        ),
        Rule(
            "write-after-close",
            "Whoever has said that nothing more comes cannot go on: ConnectionError.",
        ),
        Rule(
            "swallows-cancel",
            "CancelledError is how a task is told to stop. Do not catch it, or raise it again after tidying up.",
        ),
        Rule(
            "cancel-loses",
            "A task can be cancelled at every await. Take bytes out of the buffer only when you return them at once, "
            "without another await in between.",
        ),
        Rule(
            "cancel-sticks",
            "A waiter that is gone must not be the one that is woken. Do not keep what only the cancelled task could "
            "give back.",
        ),
        Rule("reset", "After a reset whoever waits, at either end, is woken with ConnectionError."),
        Rule(
            "hosts",
            "All by hand was right, and under two live hosts it was not. They read and write at the same time, in "
            "several tasks: every method may be called while another one waits.",
        ),
    ),
    examine=examine_memory,
    time_limit=60.0,
    seeds=(1,),
)
