"""The echo handler of chapter 00: it must hold out against halves, floods and resets.

The handler runs on a live host; the clients that try it are live hosts too, over the memory transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import hex_difference, shown
from libp2p_lab.errors import LabError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.limits import Limits
from libp2p_lab.multiplexing.muxed_stream import MuxedStream

PROTOCOL = "/lab/echo/1.0.0"
PATIENCE = 5.0  # seconds for an answer that takes a right handler milliseconds
QUIET = 1.0  # seconds without progress after which a writer counts as held back
FLOOD = 6 << 20  # bytes; far more than windows and buffers of both sides hold together
_WINDOW = 256 * 1024
_LIMITS = Limits(yamux_max_window=_WINDOW, write_buffer=_WINDOW)


class Bench:
    """A host with the student's handler, a client connected to it, and who runs in the handler now."""

    def __init__(self, exam: Exam, client: Host, server: Host) -> None:
        self.exam = exam
        self.client = client
        self.server = server
        self.running = 0
        self.idle = asyncio.Event()

    async def stream(self) -> MuxedStream:
        """A fresh stream to the student's handler."""
        try:
            async with self.exam.step(PATIENCE, "silent", "no stream could be opened"):
                return await self.client.open_stream(self.server.peer_id, PROTOCOL)
        except LabError as problem:
            self.exam.reject("broke-off", f"no stream could be opened: {problem}")


@asynccontextmanager
async def _bench(exam: Exam, answer: Any) -> AsyncIterator[Bench]:
    handler = exam.watched(exam.callable_answer(answer, "an async function echo(stream)"))
    keys = [KeyPair.generate(rng=exam.rng) for _ in range(2)]
    async with (
        Host(key=keys[0], listen=["/memory/0"], limits=_LIMITS) as server,
        Host(key=keys[1], limits=_LIMITS) as client,
    ):
        bench = Bench(exam, client, server)

        async def counted(stream: MuxedStream) -> None:
            bench.running += 1
            bench.idle.clear()
            try:
                await handler(stream)
            finally:
                bench.running -= 1
                if not bench.running:
                    bench.idle.set()

        server.set_handler(PROTOCOL, counted)
        await client.connect(server.addrs[0])
        yield bench


async def examine_echo(exam: Exam, answer: Any) -> None:
    """Halves, any bytes, two at once, floods, resets; after each the handler must still serve."""
    exam.explain = {UnicodeError: "bytes", ValueError: "bytes"}
    async with _bench(exam, answer) as bench:
        await _halves(bench)
        await _any_bytes(bench)
        await _two_at_once(bench)
        await _nothing(bench)
        await _flood(bench)
        await _reset(bench)


async def _expect(bench: Bench, stream: MuxedStream, data: bytes, sent: str, rule: str) -> None:
    """The echo of `data`, byte for byte; `rule` is broken if nothing at all comes."""
    got = bytearray()
    exam = bench.exam
    exam.sent = sent
    how = "then the stream ended"
    try:
        while len(got) < len(data):
            async with asyncio.timeout(PATIENCE):
                chunk = await stream.read(len(data) - len(got))
            if not chunk:
                break
            got += chunk
    except TimeoutError:
        how = f"then nothing more for {PATIENCE:g} s"
        rule = await _why_silent(stream) if rule == "waits-for-end" else rule
    except LabError as problem:
        how, rule = f"then the stream broke: {problem}", "broke-off"
    if got == data:
        exam.count("bytes echoed", len(data))
        return
    is_beginning = data.startswith(got)
    is_rule = not got or rule == "broke-off"
    exam.reject(
        "changed" if not is_beginning else rule if is_rule else "cut-short",
        f"{len(got)} of {len(data)} bytes came back, {how}"
        if is_beginning
        else "what came back is not what was sent",
        got=shown(bytes(got)),
        expected=shown(data),
        departure=hex_difference(bytes(got), data),
    )


async def _why_silent(stream: MuxedStream) -> str:
    """Whether the end of what the client says makes the handler speak."""
    try:
        await stream.close_write()
        async with asyncio.timeout(PATIENCE):
            return "waits-for-end" if await stream.read(1) else "silent"
    except (TimeoutError, LabError):
        return "silent"


async def _expect_end(bench: Bench, stream: MuxedStream, sent: str) -> None:
    bench.exam.sent = sent
    problem = "the client has said everything, and the handler does not end the stream"
    async with bench.exam.step(PATIENCE, "no-end", problem, expected="the end of the stream"):
        extra = await stream.read(64)
    bench.exam.require(
        not extra, "changed", "more came back than was sent", got=shown(extra), expected=shown(b"")
    )
    await stream.close()


async def _halves(bench: Bench) -> None:
    """One message in two halves; the second only after the first came back."""
    stream = await bench.stream()
    await stream.write(b"hel")
    sent = "68 65 6c, then wait for the echo, then 6c 6f"
    await _expect(bench, stream, b"hel", sent, "waits-for-end")
    await stream.write(b"lo")
    await _expect(bench, stream, b"lo", sent, "cut-short")
    await stream.close_write()
    await _expect_end(bench, stream, "hello in two halves, then close_write")


async def _any_bytes(bench: Bench) -> None:
    """Bytes that are no text, in pieces of odd sizes."""
    stream = await bench.stream()
    data = bytes(range(256)) + bench.exam.rng.randbytes(1500)
    position = 0
    while position < len(data):
        piece = data[position : position + bench.exam.rng.randint(1, 400)]
        await stream.write(piece)
        position += len(piece)
    await stream.close_write()
    await _expect(bench, stream, data, "1756 bytes of every value in pieces of odd sizes", "silent")
    await _expect_end(bench, stream, "1756 bytes, then close_write")


async def _two_at_once(bench: Bench) -> None:
    """Two streams take turns; neither may hear the other."""
    one, other = await bench.stream(), await bench.stream()
    for turn in range(3):
        await one.write(b"one %d" % turn)
        await other.write(b"two %d" % turn)
        await _expect(bench, other, b"two %d" % turn, "two streams take turns", "mixed-up")
        await _expect(bench, one, b"one %d" % turn, "two streams take turns", "mixed-up")
    for stream in (one, other):
        await stream.close_write()
        await _expect_end(bench, stream, "close_write on one of two streams")


async def _nothing(bench: Bench) -> None:
    """A client that says nothing at all."""
    stream = await bench.stream()
    await stream.close_write()
    await _expect_end(bench, stream, "nothing, only close_write")


async def _flood(bench: Bench) -> None:
    """A client that writes without reading is held back; when it reads at last, all is there."""
    exam = bench.exam
    stream = await bench.stream()
    piece = exam.rng.randbytes(32 * 1024)
    written = 0

    async def write_all() -> None:
        nonlocal written
        while written < FLOOD:
            await stream.write(piece)
            written += len(piece)
        await stream.close_write()

    writing = asyncio.create_task(write_all())
    try:
        exam.sent = f"{FLOOD >> 20} MiB by a client that reads nothing meanwhile"
        before = -1
        while before != written and not writing.done():
            before = written
            await asyncio.wait([writing], timeout=QUIET)
        if writing.done() and not writing.exception():
            exam.reject(
                "hoards",
                f"the handler took {written >> 20} MiB while the client took nothing back",
                got=f"{written} bytes accepted",
                expected="the client's write waits after some hundred KiB",
            )
        await _expect(bench, stream, piece * (FLOOD // len(piece)), exam.sent, "silent")
        await writing
    finally:
        writing.cancel()
    await _expect_end(bench, stream, exam.sent)


async def _reset(bench: Bench) -> None:
    """Clients that vanish in the middle: the handler ends, and the next client is served."""
    exam = bench.exam
    for size in (5, 100_000):
        stream = await bench.stream()
        await stream.write(b"x" * size)
        await stream.read(1)
        exam.sent = f"{size} bytes, then a reset in the middle of the echo"
        await stream.reset()
        problem = "the stream is gone, and the handler still runs"
        async with exam.step(PATIENCE, "after-reset", problem, expected="the handler returns"):
            await bench.idle.wait()
        exam.count("resets")
    stream = await bench.stream()
    await stream.write(b"still there?")
    await _expect(bench, stream, b"still there?", "a new client after the resets", "silent")
    await stream.close_write()
    await _expect_end(bench, stream, "a new client after the resets, then close_write")


ECHO = Check(
    id="00.echo",
    exercise="E0.4",
    title="An echo that holds out",
    level="L3",
    points=3,
    objectives=("1.1", "1.24"),
    starter='''\
async def echo(stream):
    """Send back every byte, at once and unchanged, until the other side has said everything."""
    raise NotImplementedError


await lab.check("00.echo", echo)
''',
    hints=(
        "A stream is a stream of bytes: what was written in one piece may arrive in several, and the other way "
        "round. Which of the stream's methods gives you what has arrived so far?",
        "`read(n)` returns as soon as there is anything, and b'' at the end; `read()` without a number waits for "
        "the end. `write` waits while the other side cannot take more: let it (yamux/README.md, flow control).",
        "async for chunk in stream: then await stream.write(chunk). Nothing else is needed: the stream is closed "
        "when the handler returns, and reset when it raises.",
    ),
    rules=(
        Rule(
            "waits-for-end",
            "The other side waits for your answer before it goes on, and you wait for its end: both wait for "
            "ever. Answer what has arrived so far; `read()` without a number waits for the end.",
        ),
        Rule(
            "cut-short",
            "One read gives what has arrived so far, not all that will come. Go on until read gives b''.",
        ),
        Rule(
            "changed",
            "An echo changes nothing: no strip, no line ends, no decoding, nothing added.",
        ),
        Rule(
            "bytes", "Streams carry bytes of any value, which need not be text: do not decode them."
        ),
        Rule(
            "no-end",
            "At the end of what the other side says, read gives b''. Return then: the host closes the stream.",
            "yamux/README.md#closing-a-stream",
        ),
        Rule(
            "mixed-up",
            "The handler runs once for each stream, all at the same time. What belongs to one stream must not "
            "stand in a variable that all of them share.",
        ),
        Rule(
            "hoards",
            "A peer that writes and never reads can fill your memory. Write before you read on, and await the "
            "write: then your reading slows down with the other side (back pressure).",
            "yamux/README.md#flow-control",
        ),
        Rule(
            "after-reset",
            "After a reset every read and write raises StreamReset. Let it end the handler; do not catch it and "
            "go on.",
        ),
        Rule("broke-off", "The handler reset the stream, or raised in the middle of it."),
        Rule("silent", "Nothing came back. Does the handler reach its write, and await it?"),
    ),
    examine=examine_echo,
    time_limit=60.0,
    seeds=(1,),
)
