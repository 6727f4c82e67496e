"""E2.3: multistream-select in both roles: line by line, then as js-libp2p speaks it, then in a live peer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from libp2p_lab import foreign
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.slots import swap
from libp2p_lab.errors import LabError, LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.negotiation.multistream import PROTOCOL_ID, Line
from libp2p_lab.wire import varint

MULTISTREAM = "connections/README.md#multistream-select"
PATIENCE = 3.0  # seconds for what takes a right answer no time
JS_PATIENCE = 45.0  # for a program that is started first
MOST_ENDS = 50  # how often an answer may read on at the end

HEADER = Line(PROTOCOL_ID).encode()
NA = Line("na").encode()

#: What js-libp2p 3 sent, recorded at the wire: as the initiator all at once, as the responder line by line.
JS_INITIATOR = bytes.fromhex("132f6d756c746973747265616d2f312e302e300a072f6e6f6973650a")
JS_RESPONDER = (
    bytes.fromhex("132f6d756c746973747265616d2f312e302e300a"),
    bytes.fromhex("036e610a"),
    bytes.fromhex("072f6e6f6973650a"),
)


def lines(*texts: str) -> bytes:
    """Some lines as bytes."""
    return b"".join(Line(text).encode() for text in texts)


class Wire:
    """The answer's end of a connection whose other end is a script.

    Args:
        exam: told what is done here.
        pieces: how many bytes one read gives at most.
    """

    def __init__(self, exam: Exam, pieces: int = 65536) -> None:
        self._exam = exam
        self._pieces = pieces
        self._arrived = asyncio.Event()
        self._incoming = bytearray()
        self._is_ended = False
        self._ends = 0
        self._said = asyncio.Condition()
        self.written = bytearray()

    async def read(self, n: int = -1) -> bytes:
        """As `ByteStream.read`."""
        if n < 0:
            self._exam.reject(
                "reads-too-much",
                "read() without a number reads to the end of the connection, and it is only beginning",
            )
        while not self._incoming:
            if self._is_ended:
                self._ends += 1
                if self._ends > MOST_ENDS:
                    self._exam.reject(
                        "ignores-end", f"read gave b'' {MOST_ENDS} times, and is called again"
                    )
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        size = min(n, self._pieces)
        data = bytes(self._incoming[:size])
        del self._incoming[:size]
        return data

    async def write(self, data: bytes) -> None:
        """As `ByteStream.write`."""
        if not isinstance(data, bytes | bytearray | memoryview):
            self._exam.reject("wrong-type", "write takes bytes", got=shown(data))
        self.written += data
        async with self._said:
            self._said.notify_all()

    async def close_write(self) -> None:
        """As `ByteStream.close_write`."""

    async def close(self) -> None:
        """As `ByteStream.close`."""

    async def reset(self) -> None:
        """As `ByteStream.reset`."""

    # -- the script's side ------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Let bytes arrive."""
        self._incoming += data
        self._arrived.set()

    def hang_up(self) -> None:
        """Let the end arrive."""
        self._is_ended = True
        self._arrived.set()

    async def heard(self, count: int) -> None:
        """Wait until the answer has written so many bytes in all."""
        async with self._said:
            await self._said.wait_for(lambda: len(self.written) >= count)

    @property
    def unread(self) -> bytes:
        """What nobody has read."""
        return bytes(self._incoming)


Role = Callable[[Any, Sequence[str]], Awaitable[str]]


async def _agrees(
    exam: Exam, role: Role, wire: Wire, protocols: Sequence[str], expected: str, sent: bytes
) -> None:
    """The role returns the protocol, has written these bytes, and not read on."""
    left = wire.unread[-5:] if wire.unread.endswith(b"hello") else b""
    try:
        async with asyncio.timeout(PATIENCE):
            agreed = await role(wire, list(protocols))
    except TimeoutError:
        if left and not wire.unread:
            exam.reject(
                "reads-too-much", "bytes behind the negotiation were read, and more is waited for"
            )
        if not sent.startswith(wire.written):
            _compare(exam, bytes(wire.written), sent)
        exam.reject(
            "waits",
            "both sides wait",
            got=f"nothing for {PATIENCE:g} s, after {shown(bytes(wire.written))}",
            expected=shown(sent),
        )
    _compare(exam, bytes(wire.written), sent)
    exam.equal(agreed, expected, "agreed", "another protocol was agreed on")
    exam.equal(
        wire.unread,
        left,
        "reads-too-much",
        "bytes behind the negotiation were read: they belong to the protocol agreed on",
    )
    exam.count("negotiations")


def _compare(exam: Exam, written: bytes, expected: bytes) -> None:
    """What was written, against what had to be."""
    if written == expected:
        return
    rule = "lines"
    if not written.startswith(HEADER) and PROTOCOL_ID.encode() not in written:
        rule = "no-header"
    elif written.startswith(expected):
        rule = "talks-on"
    exam.equal(written, expected, rule, "something else was written")


async def _refuses(
    exam: Exam, role: Role, wire: Wire, protocols: Sequence[str], rule: str, problem: str
) -> None:
    """The role gives up, by `ValueError` or a `LabError`."""
    agreed = None
    try:
        async with exam.step(PATIENCE, rule, problem, expected="ValueError"):
            agreed = await role(wire, list(protocols))
    except REFUSALS:
        exam.count("refusals")
        return
    exam.reject(rule, problem, got=f"agreed on {agreed!r}", expected="ValueError")


def _names(exam: Exam, count: int) -> list[str]:
    """Fresh protocol ids."""
    words = ("chat", "sync", "game", "news", "file", "map", "vote", "mail")
    picked = exam.rng.sample(words, count)
    return [f"/{word}/{exam.rng.randint(1, 9)}.{exam.rng.randint(0, 9)}.0" for word in picked]


# -- the initiator ------------------------------------------------------------------------------------------------


async def _proposes(exam: Exam, propose: Role) -> None:
    a, b, c = _names(exam, 3)
    # A responder that has said its header already, and one that waits until it has heard ours.
    for is_eager in (True, False):
        wire = Wire(exam)
        exam.sent = f"propose {a}; the responder {'says its header at once' if is_eager else 'waits for yours'}"

        async def answer(wire: Wire = wire, is_eager: bool = is_eager) -> None:
            if is_eager:
                wire.say(HEADER)
            await wire.heard(len(HEADER))
            if not is_eager:
                wire.say(HEADER)
            await wire.heard(len(HEADER) + len(lines(a)))
            wire.say(lines(a))

        await _scripted(exam, answer, _agrees(exam, propose, wire, [a], a, lines(PROTOCOL_ID, a)))

    wire = Wire(exam)
    exam.sent = f"propose {a}, {b}, {c}; the responder speaks {c} only"

    async def na_twice(wire: Wire = wire) -> None:
        wire.say(HEADER)
        heard = len(HEADER)
        for protocol, reply in ((a, NA), (b, NA), (c, lines(c))):
            heard += len(lines(protocol))
            await wire.heard(heard)
            wire.say(reply)

    expected = lines(PROTOCOL_ID, a, b, c)
    await _scripted(exam, na_twice, _agrees(exam, propose, wire, [a, b, c], c, expected))

    for pieces in (65536, 1):
        wire = Wire(exam, pieces)
        wire.say(lines(PROTOCOL_ID, a) + b"hello")
        exam.sent = f"propose {a}; read gives {'one byte at a time' if pieces == 1 else 'all that is asked for'}"
        await _agrees(exam, propose, wire, [a], a, lines(PROTOCOL_ID, a))

    wire = Wire(exam)
    wire.say(HEADER + 2 * NA)
    exam.sent = f"propose {a}, {b}; the responder says na twice"
    await _refuses(exam, propose, wire, [a, b], "nothing-left", "there is nothing left to propose")
    _compare(exam, bytes(wire.written), lines(PROTOCOL_ID, a, b))

    for said, rule, problem in (
        (lines(a, a), "header-first", "its first line is no header"),
        (lines("/multistream/2.0.0", a), "header-first", "its header is of another version"),
        (lines(PROTOCOL_ID, a + "/x"), "odd-answer", "it repeats something that was not proposed"),
        (lines(PROTOCOL_ID, "sorry"), "odd-answer", "it says neither na nor the proposal"),
    ):
        wire = Wire(exam)
        wire.say(said)
        wire.hang_up()
        exam.sent = f"propose {a}; the responder says {shown(said)}"
        await _refuses(exam, propose, wire, [a], rule, problem)


# -- the responder ------------------------------------------------------------------------------------------------


async def _responds(exam: Exam, respond: Role) -> None:
    a, b, c = _names(exam, 3)
    wire = Wire(exam)
    exam.sent = f"offer {a}; the initiator says its header, waits for yours, and proposes {a}"

    async def step_by_step(wire: Wire = wire) -> None:
        wire.say(HEADER)
        await wire.heard(len(HEADER))
        wire.say(lines(a))

    await _scripted(exam, step_by_step, _agrees(exam, respond, wire, [a], a, lines(PROTOCOL_ID, a)))

    for pieces in (65536, 1):
        wire = Wire(exam, pieces)
        wire.say(lines(PROTOCOL_ID, b) + b"hello")
        exam.sent = (
            f"offer {a}, {b}; the initiator sends header, {b} and its first data all at once"
        )
        await _agrees(exam, respond, wire, [a, b], b, lines(PROTOCOL_ID, b))

    wire = Wire(exam)
    near = [a + "/x", a[:-1], a.upper(), c]
    exam.sent = f"offer {a}; the initiator proposes {', '.join(near)}, then {a}"

    async def near_misses(wire: Wire = wire) -> None:
        wire.say(HEADER)
        heard = len(HEADER)
        await wire.heard(heard)
        for protocol in near:
            wire.say(lines(protocol))
            heard += len(NA)
            await wire.heard(heard)
        wire.say(lines(a))

    expected = HEADER + len(near) * NA + lines(a)
    await _scripted(exam, near_misses, _agrees(exam, respond, wire, [a], a, expected))

    for said, rule, problem in (
        (lines(a, a), "header-first", "its first line is no header"),
        (lines("/multistream/2.0.0", a), "header-first", "its header is of another version"),
        (HEADER, "ignores-end", "it hangs up without a proposal"),
        (HEADER + lines(a)[:-3], "ignores-end", "it hangs up in the middle of a line"),
    ):
        wire = Wire(exam)
        wire.say(said)
        wire.hang_up()
        exam.sent = f"offer {a}; the initiator says {shown(said)} and hangs up"
        await _refuses(exam, respond, wire, [a], rule, problem)


# -- both ---------------------------------------------------------------------------------------------------------


async def _is_bounded(exam: Exam, role: Role, name: str) -> None:
    """Lengths that nobody should believe, and a line that is none."""
    for head, what in (
        (varint.encode(1 << 30), "a line of 1 GiB is announced, and does not come"),
        (b"\xff" * 12, "a length that does not end"),
    ):
        wire = Wire(exam)
        wire.say(HEADER + head)
        exam.sent = f"{name}: behind the header {what} ({head.hex(' ')})"
        problem = "it waits for what no protocol id needs"
        await _refuses(exam, role, wire, ["/chat/1.0.0"], "unbounded", problem)
    wire = Wire(exam)
    broken = b"\x0c/chat/1.0.0x"
    wire.say(HEADER + broken)
    wire.hang_up()
    exam.sent = f"{name}: behind the header stands {shown(broken)}"
    await _refuses(
        exam, role, wire, ["/chat/1.0.0"], "no-newline", "this line does not end in a newline"
    )


async def _two_at_once(exam: Exam, part: Any) -> None:
    """Two negotiations of one negotiator at the same time, byte by byte in turn."""
    a, b = _names(exam, 2)
    wires = Wire(exam), Wire(exam)
    exam.sent = f"two negotiations at the same time: one responds with {a}, one with {b}"

    async def in_turn() -> None:
        for one, other in zip(lines(PROTOCOL_ID, a), lines(PROTOCOL_ID, b), strict=False):
            wires[0].say(bytes([one]))
            wires[1].say(bytes([other]))
            await asyncio.sleep(0)
        for wire, protocol in zip(wires, (a, b), strict=True):
            said = min(len(lines(PROTOCOL_ID, a)), len(lines(PROTOCOL_ID, b)))
            wire.say(lines(PROTOCOL_ID, protocol)[said:])

    try:
        async with exam.step(PATIENCE, "mixed-up", "they wait for each other's bytes"):
            turns = asyncio.ensure_future(in_turn())
            agreed = await asyncio.gather(*(part.respond(wire, [a, b]) for wire in wires))
            await turns
    except REFUSALS as problem:
        exam.reject("mixed-up", "alone each of them agrees, together they do not", got=str(problem))
    exam.equal(agreed, [a, b], "mixed-up", "one negotiation has heard the other's bytes")


async def _scripted(
    exam: Exam, script: Callable[[], Awaitable[None]], work: Awaitable[None]
) -> None:
    """Run the script while the answer works; it is stopped when that is done."""
    running = asyncio.ensure_future(script())
    try:
        await work
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _meets_js(exam: Exam, part: Any) -> None:
    """js-libp2p's own words, in both roles."""
    wire = Wire(exam)
    wire.say(JS_INITIATOR + b"hello")
    exam.sent = "respond to js-libp2p: header and /noise in one piece"
    await _agrees(exam, part.respond, wire, ["/tls/1.0.0", "/noise"], "/noise", JS_INITIATOR)

    wire = Wire(exam)
    exam.sent = "propose /nothing/42, then /noise, to js-libp2p"

    async def js(wire: Wire = wire) -> None:
        header, na, noise = JS_RESPONDER
        await wire.heard(len(HEADER))
        wire.say(header)
        await wire.heard(len(lines(PROTOCOL_ID, "/nothing/42")))
        wire.say(na)
        await wire.heard(len(lines(PROTOCOL_ID, "/nothing/42", "/noise")))
        wire.say(noise)

    protocols = ["/nothing/42", "/noise"]
    expected = lines(PROTOCOL_ID, *protocols)
    await _scripted(exam, js, _agrees(exam, part.propose, wire, protocols, "/noise", expected))


async def _meets_a_stranger(exam: Exam, part: Any) -> None:
    """A live peer that agrees by the answer is dialled by an untouched one, and dials it."""
    mine_key, their_key = (KeyPair.generate(rng=exam.rng) for _ in range(2))
    long_name = f"/a-protocol-with-a-long-name/{'x' * 160}/1.0.0"
    exam.sent = f"two live peers; one agrees by your code on every protocol, also {long_name[:36]}…"
    try:
        with swap("negotiator", part) as stack:
            async with (
                stack.host(key=mine_key, listen=["/memory/0"]) as mine,
                Host(key=their_key, listen=["/memory/0"]) as theirs,
                exam.step(2 * PATIENCE, "stranger", "the two never finished"),
            ):
                for dialer, listener in ((mine, theirs), (theirs, mine)):
                    await dialer.connect(listener.addrs[0])
                    await dialer.ping(listener.peer_id)
                    greetings = (_hello(exam, dialer, listener, long_name) for _ in range(3))
                    await asyncio.gather(*greetings)
                    await dialer.disconnect(listener.peer_id)
    except (LabError, OSError) as problem:
        exam.reject("stranger", "the two peers did not understand each other", got=str(problem))
    exam.count("connections with an untouched peer", 2)


async def _hello(exam: Exam, dialer: Host, listener: Host, protocol: str) -> None:
    """A few bytes there and back on one more stream."""

    async def answer(stream: Any) -> None:
        await stream.write(await stream.read(100))

    listener.set_handler(protocol, answer)
    stream = await dialer.open_stream(listener.peer_id, ["/nobody/speaks/this", protocol])
    await stream.write(b"hello")
    exam.equal(
        await stream.read(100), b"hello", "stranger", "the first bytes behind it were changed"
    )
    await stream.close()


@contextmanager
def _room_for_node() -> Iterator[None]:
    """The worker's bound counts address space, of which Node reserves far more than it uses."""
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


async def _meets_js_alive(exam: Exam, part: Any) -> None:
    """js-libp2p itself, where it is installed, dials and is dialled."""
    try:
        with _room_for_node():
            js = await foreign.js_peer(security=["noise"], muxers=["yamux"])
    except LocalError:
        exam.note("js-libp2p is not installed here, so only its recorded words were answered.")
        return
    except (LabError, OSError, TimeoutError) as problem:
        exam.note(
            f"js-libp2p did not start here, so only its recorded words were answered: {problem}"
        )
        return
    exam.sent = "a live peer that agrees by your code, and js-libp2p"
    key = KeyPair.generate(rng=exam.rng)
    try:
        with swap("negotiator", part) as stack:
            async with (
                js,
                stack.host(key=key, listen=["/ip4/127.0.0.1/tcp/0"]) as mine,
                exam.step(
                    JS_PATIENCE, "stranger", "js-libp2p waits for something that does not come"
                ),
            ):
                await mine.connect(js.addrs[0])
                await mine.ping(js.peer_id)
                await mine.disconnect(js.peer_id)
                await js.dial(mine.addrs[0])
                await js.ping(mine.peer_id)
    except (LabError, OSError) as problem:
        exam.reject("stranger", "js-libp2p did not understand", got=str(problem))
    exam.count("connections with js-libp2p", 2)


async def examine_negotiator(exam: Exam, answer: Any) -> None:
    """E2.3: both roles line by line, hostile lines, js-libp2p's words, then live peers."""
    part = exam.methods(answer, ("propose", "respond"))
    for name in ("propose", "respond"):
        if not asyncio.iscoroutinefunction(getattr(part, name)):
            exam.reject("not-async", f"{name} is a plain function")
    await _proposes(exam, part.propose)
    await _responds(exam, part.respond)
    for role, name in ((part.propose, "propose"), (part.respond, "respond")):
        await _is_bounded(exam, role, name)
    await _two_at_once(exam, part)
    await _meets_js(exam, part)
    await _meets_a_stranger(exam, part)
    if exam.seed == exam.check.seeds[0]:
        await _meets_js_alive(exam, part)


NEGOTIATOR = Check(
    id="02.negotiator",
    exercise="E2.3",
    title="Agree on a protocol, in both roles",
    level="L4",
    points=4,
    objectives=("1.23", "X.3"),
    starter='''\
class Negotiator:
    """multistream-select. Whoever breaks its rules gets ValueError.

    stream: await stream.read(n) gives up to n bytes (b"" at the end), await stream.write(data) sends.
    """

    async def propose(self, stream, protocols):
        """The initiator: propose one after the other, the best first. Returns the one agreed on."""
        raise NotImplementedError("your turn")

    async def respond(self, stream, protocols):
        """The responder: agree to the first proposal that is one of `protocols`, say na to the others."""
        raise NotImplementedError("your turn")


await lab.check("02.negotiator", Negotiator)
''',
    hints=(
        "Write two helpers first: one sends a line, one reads exactly one line. Your frame of E2.2 does the first; for "
        "the second read the length byte by byte, and then as many bytes as it says and not one more.",
        "Both say /multistream/1.0.0 first, neither waits for the other's. The initiator proposes; the responder "
        "repeats the proposal or says na (connections/README.md, multistream-select). Refuse any other first line, "
        "and lengths above 1024.",
        "propose: send the header; if the line read is not the header: ValueError; for each protocol: send it, read a "
        "line; return if it is the protocol, go on if it is na, else ValueError; ValueError behind the loop. respond: "
        "send the header, read the header; while True: read a line; if it is in protocols, send it back and return "
        "it; else send na.",
    ),
    rules=(
        Rule("no-header", "Both sides begin with the line /multistream/1.0.0.", MULTISTREAM),
        Rule(
            "lines",
            "Length as a varint, text, newline; the length counts the newline. The responder repeats the proposal, or "
            "says na.",
            MULTISTREAM,
        ),
        Rule(
            "talks-on",
            "Once both agree the negotiation is over: what follows belongs to the protocol.",
            MULTISTREAM,
        ),
        Rule(
            "waits",
            "Both sides may speak first, so neither may wait for the other: send your header before you read, and "
            "every proposal before you read its answer.",
            MULTISTREAM,
        ),
        Rule(
            "agreed",
            "Return the protocol that both agreed on: the responder's choice is the first proposal that it speaks.",
            MULTISTREAM,
        ),
        Rule(
            "reads-too-much",
            "The next protocol's bytes may stand right behind the last line. Read the length byte by byte, then "
            "exactly as many bytes as it says.",
        ),
        Rule(
            "nothing-left",
            "When the last proposal is answered by na, give up: ValueError.",
            MULTISTREAM,
        ),
        Rule(
            "header-first",
            "If the first line is anything but /multistream/1.0.0, somebody speaks another protocol: ValueError.",
            MULTISTREAM,
        ),
        Rule(
            "odd-answer",
            "The responder may repeat the proposal, to the letter, or say na. Nothing else is an answer.",
            MULTISTREAM,
        ),
        Rule(
            "ignores-end",
            "read gives b'' when the other side has hung up. It will not say anything more: ValueError.",
        ),
        Rule(
            "unbounded",
            "A length is a claim by a stranger. Refuse what no protocol id needs (above 1024 bytes, or a varint that "
            "goes on and on) before you wait for it.",
        ),
        Rule(
            "no-newline", "Every line ends in a newline; one that does not is broken.", MULTISTREAM
        ),
        Rule(
            "mixed-up",
            "One negotiator serves all streams of a peer, many at once. What belongs to one stream must not stand in "
            "an attribute that all share.",
        ),
        Rule(
            "stranger",
            "Line by line all was right; in a live peer it was not. There the names are longer, with lengths of two "
            "bytes, and the stream lives on afterwards: leave it open.",
            MULTISTREAM,
        ),
    ),
    examine=examine_negotiator,
    time_limit=120.0,
)
