"""The first half of E4.4: a student's muxer stepped by hand against the library's own core.

By hand, because there every byte can be cut, counted and shown; `Pair` (`chapter_04_muxer_pair.py`) is the table on
which it happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libp2p_lab.coursework.chapter_04_muxer_pair import WINDOW, Pair, frames
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import hex_difference, shown
from libp2p_lab.errors import ConnectionLost, LimitExceeded, StreamClosed, StreamReset
from libp2p_lab.limits import DEFAULT_LIMITS
from libp2p_lab.multiplexing.muxer import (
    GoAwayReceived,
    MuxerSession,
    ResetReceived,
    SessionFailed,
    StreamOpened,
    WriteClosed,
)
from libp2p_lab.multiplexing.yamux_frames import (
    DataFrame,
    Flags,
    GoAway,
    Ping,
    WindowUpdate,
)

BACKLOG = DEFAULT_LIMITS.yamux_accept_backlog
STREAMS = 50
FLOW_CONTROL = "yamux/README.md#flow-control"


def _opening(pair: Pair) -> None:
    """A stream is opened by the student's side, and another by the library's."""
    exam = pair.exam
    mine = [pair.mine.open_stream() for _ in range(3)]
    wanted = [pair.first_id, pair.first_id + 2, pair.first_id + 4]
    exam.require(
        mine == wanted,
        "numbers",
        "the numbers of the first three streams",
        got=shown(mine),
        expected=shown(wanted),
    )
    pair.mine.send(mine[0], b"hello")
    pair.out()
    exam.require(
        pair.over(mine[0]) == b"hello",
        "waits",
        "the data waits, though the stream may be used at once",
        got=shown(pair.over(mine[0])),
        expected=shown(b"hello"),
    )
    pair.settle()
    theirs = pair.theirs.open_stream()
    pair.theirs.send(theirs, b"good day")
    pair.back(piece=1)
    pair.expect([StreamOpened(theirs)], "opened", "the other side opened a stream")
    pair.mine.accept(theirs)
    pair.out()
    answers = [f for f in pair.sent if getattr(f, "stream_id", 0) == theirs]
    exam.require(
        any(isinstance(f, DataFrame | WindowUpdate) and f.flags & Flags.ACK for f in answers),
        "ack",
        "a stream of the other side is never acknowledged",
        got=shown(answers),
        expected="ACK on the first frame back",
    )
    _same(exam, pair.came(theirs), b"good day", "data", "byte by byte")
    exam.count("streams opened", 4)


def _same(exam: Exam, got: bytes, expected: bytes, rule: str, how: str) -> None:
    exam.require(
        got == expected,
        rule,
        f"other bytes arrived ({how})",
        got=shown(got),
        expected=shown(expected),
        departure=hex_difference(got, expected),
    )


def _many(pair: Pair) -> None:
    """Fifty streams at once, each with its own bytes, and a short one that must not wait for a long one."""
    exam, rng = pair.exam, pair.exam.rng
    said = {}
    for number in range(STREAMS):
        by_me = number % 2 == 0
        session: MuxerSession = pair.mine if by_me else pair.theirs
        stream_id = session.open_stream()
        data = rng.randbytes(rng.randint(1, 20_000))
        for start in range(0, len(data), 7000):
            session.send(stream_id, data[start : start + 7000])
        said[stream_id, by_me] = data
    pair.settle(piece=rng.randint(1, 500))
    for (stream_id, by_me), data in said.items():
        got = pair.over(stream_id) if by_me else pair.came(stream_id)
        _same(exam, got, data, "data", f"stream {stream_id} of {STREAMS} at once")
        exam.count("bytes", len(data))
    long, short = pair.open(True), pair.open(True)
    pair.mine.send(long, bytes(200_000))
    pair.mine.send(short, b"just this")
    pair.settle()
    order = [f.stream_id for f in pair.sent if isinstance(f, DataFrame) and f.data]
    last_long = len(order) - order[::-1].index(long)
    exam.require(
        short in order[: last_long - 1],
        "turns",
        "a short message waits until a long one on another stream is through",
        expected="a frame of each stream in turn",
    )


def _ends(pair: Pair) -> None:
    """Half a close, the other half, a reset, and what comes too late."""
    exam = pair.exam
    asked = pair.open(True)
    pair.mine.send(asked, bytes(50_000))
    pair.mine.close_write(asked)
    _refuses_to_send(pair, asked, StreamClosed, "after close_write")
    pair.settle()
    exam.require(
        WriteClosed(asked) in pair.heard and len(pair.over(asked)) == 50_000,
        "fin",
        "the end of what was said did not come, or came before it",
        got=f"{len(pair.got.get(asked, b''))} of 50000 bytes, FIN: {WriteClosed(asked) in pair.heard}",
        expected="50000 bytes, then FIN",
    )
    pair.theirs.send(asked, b"answer")
    pair.theirs.close_write(asked)
    pair.settle()
    _same(exam, pair.came(asked), b"answer", "half-close", "after our own FIN")
    pair.expect([WriteClosed(asked)], "fin", "the other side has said everything")
    dropped, other = pair.open(True), pair.open(False)
    pair.theirs.send(dropped, bytes(10_000))
    late = pair.theirs.data_to_send()  # on its way when the stream is dropped
    pair.mine.reset(dropped)
    pair.out()
    exam.require(
        ResetReceived(dropped) in pair.heard, "rst", "reset() does not reach the other side"
    )
    _refuses_to_send(pair, dropped, StreamReset, "after reset")
    pair.feed(late)
    failures = pair.of_kind(SessionFailed)
    exam.require(
        not failures,
        "late",
        "data that was on its way when its stream was dropped ended the whole session",
        got=shown(failures),
    )
    exam.require(
        dropped not in pair.arrived, "late", "data of a stream that was dropped was delivered"
    )
    pair.theirs.reset(other)
    pair.back()
    pair.expect([ResetReceived(other)], "rst", "the other side dropped a stream")
    _refuses_to_send(pair, other, StreamReset, "after the other side's reset")
    last = pair.open(True)
    pair.mine.send(last, b"still here")
    pair.settle()
    exam.require(pair.over(last) == b"still here", "late", "the streams that are left do not work")
    exam.count("streams ended", 3)


def _refuses_to_send(pair: Pair, stream_id: int, error: type[Exception], when: str) -> None:
    try:
        pair.mine.send(stream_id, b"too late")
    except (StreamClosed, StreamReset):
        return
    pair.exam.reject(
        "send-after-end", f"send was accepted {when}", expected=f"{error.__name__} is raised"
    )


def _slow_reader(pair: Pair) -> None:
    """The library's side reads one stream and not the other: only the other stands still."""
    exam = pair.exam
    stalled, moving = pair.open(True), pair.open(True)
    size = 2 * WINDOW
    pair.mine.send(stalled, bytes(size))
    pair.mine.send(moving, bytes(size))
    for _ in range(30):
        before = len(pair.over(moving))
        pair.settle()
        new = len(pair.over(moving)) - before
        if not new:
            break
        pair.theirs.consumed(moving, new, pair.now)
    exam.require(
        len(pair.over(moving)) == size,
        "starves",
        f"a stream whose reader reads stands still, after {len(pair.got.get(moving, b''))} of {size} bytes",
        expected="its window updates start it again",
    )
    exam.require(
        len(pair.over(stalled)) == WINDOW and pair.mine.unsent(stalled) == size - WINDOW,
        "overruns",
        f"{len(pair.got.get(stalled, b''))} bytes were sent to a reader that takes none; unsent says "
        f"{pair.mine.unsent(stalled)}",
        expected=f"{WINDOW} sent, {size - WINDOW} unsent",
    )
    pair.theirs.consumed(stalled, WINDOW, pair.now)
    pair.settle()
    exam.require(
        len(pair.over(stalled)) > WINDOW, "starves", "its reader reads on, and it does not"
    )


def _slow_application(pair: Pair) -> None:
    """The student's side is told slowly what its application takes."""
    exam = pair.exam
    stream_id = pair.open(False)
    pair.theirs.send(stream_id, bytes(4 * WINDOW))
    pair.settle()
    exam.require(
        len(pair.came(stream_id)) == WINDOW,
        "gives-away",
        f"{len(pair.arrived.get(stream_id, b''))} bytes came in, and the application took none",
        expected=f"{WINDOW}: update the window for what consumed() tells, not for what arrives",
    )
    taken, start = 0, len(pair.sent)
    while taken < 4 * WINDOW:
        n = min(4096, len(pair.came(stream_id)) - taken)
        exam.require(
            n > 0,
            "no-update",
            f"all {taken} bytes that came were taken, and the other side is not told",
            expected="a window update",
        )
        pair.mine.consumed(stream_id, n, pair.now)
        taken += n
        pair.settle()
        more = len(pair.came(stream_id)) - taken
        exam.require(more <= WINDOW, "gives-away", f"{more} bytes are unread at once")
    updates = [f for f in pair.sent[start:] if isinstance(f, WindowUpdate) and f.delta]
    exam.require(
        len(updates) <= 32,
        "batched",
        f"{len(updates)} window updates for {taken} bytes",
        expected="one for each half of a window: 8",
    )
    exam.count("bytes through a slow reader", taken)


def _session_frames(pair: Pair) -> None:
    """Ping and goodbye."""
    exam = pair.exam
    pair.feed(Ping(Flags.SYN, 0xABCD).encode())
    pair.out()
    pongs = [f for f in pair.sent if isinstance(f, Ping) and f.flags & Flags.ACK]
    exam.require(
        pongs == [Ping(Flags.ACK, 0xABCD)],
        "ping",
        "a ping is answered by a ping with ACK and the same value",
        got=shown(pongs),
        expected=shown(Ping(Flags.ACK, 0xABCD).encode()),
    )
    stream_id = pair.open(True)
    pair.theirs.go_away(0)
    pair.settle()
    pair.expect([GoAwayReceived(0)], "go-away", "the other side says goodbye")
    try:
        pair.mine.open_stream()
    except ConnectionLost:
        pass
    else:
        exam.reject("go-away", "a new stream was opened after the other side's goodbye")
    pair.mine.send(stream_id, b"to the end")
    pair.settle()
    exam.require(
        pair.over(stream_id) == b"to the end",
        "go-away",
        "a goodbye ends no stream that is open: it only says that no new one is welcome",
    )
    pair.mine.go_away(0)
    pair.out()
    exam.require(
        any(isinstance(f, GoAway) for f in pair.sent), "go-away", "go_away() sends nothing"
    )


def _backlog(exam: Exam, muxer: Any, is_dialer: bool) -> None:
    """So many streams may wait for an ACK, and so many for a handler."""
    pair = Pair(exam, muxer, is_dialer)
    exam.sent = "streams are opened, and the other side acknowledges none"
    opened = 0
    try:
        while opened <= BACKLOG and pair.mine.can_open_stream():
            pair.mine.open_stream()
            opened += 1
        if opened == BACKLOG:
            pair.mine.open_stream()
            opened += 1
    except LimitExceeded:
        pass
    exam.require(
        opened == BACKLOG,
        "backlog",
        f"{opened} streams could be opened without an acknowledgement",
        got=str(opened),
        expected=str(BACKLOG),
    )
    pair = Pair(exam, muxer, is_dialer)
    exam.sent = f"{BACKLOG + 44} streams are opened by the other side, and no handler takes one"
    first = 3 - pair.first_id
    syns = [WindowUpdate(first + 2 * n, Flags.SYN, 0).encode() for n in range(BACKLOG + 44)]
    pair.feed(b"".join(syns))
    refused = [
        frame
        for frame in frames(exam, _drain(pair))
        if isinstance(frame, WindowUpdate | DataFrame) and frame.flags & Flags.RST
    ]
    told = len(pair.of_kind(StreamOpened))
    exam.require(
        told == BACKLOG and len(refused) == 44,
        "backlog",
        f"{told} streams were taken in, {len(refused)} refused",
        expected=f"{BACKLOG} taken in, 44 refused by RST",
    )
    exam.count("streams beyond the backlog", 45)


def _drain(pair: Pair) -> bytes:
    out = b""
    while wire := pair.mine.data_to_send():
        out += bytes(wire)
    return out


def _rule_breakers(exam: Exam, muxer: Any, is_dialer: bool) -> None:
    """Whoever breaks a rule ends the session by an event, and hears a go-away."""
    theirs = 2 if is_dialer else 1
    mine = 3 - theirs
    syn = WindowUpdate(theirs, Flags.SYN, 0).encode()
    too_much = b"".join(DataFrame(theirs, 0, bytes(WINDOW // 2)).encode() for _ in range(3))
    for wire, rule, what in (
        (b"GET / HTTP/1.1\r\n\r\n", "garbage", "something that is no yamux"),
        (b"\x00\x07" + bytes(10), "garbage", "a frame of type 7"),
        (DataFrame(theirs + 8, 0, b"?").encode(), "unknown", "data on a stream that nobody opened"),
        (WindowUpdate(mine, Flags.SYN, 0).encode(), "unknown", "SYN with a number that is ours"),
        (syn + too_much, "overrun", "more data than the window allows"),
    ):
        pair = Pair(exam, muxer, is_dialer)
        exam.sent = f"{what}: {shown(wire[:24])}"
        pair.feed(wire)
        pair.feed(Ping(Flags.SYN, 1).encode())  # nobody listens any more
        failures = pair.of_kind(SessionFailed)
        exam.require(
            len(failures) == 1,
            rule,
            f"{what} was accepted" if not failures else "the session failed more than once",
            got=shown(pair.told[-3:]),
            expected="one SessionFailed",
        )
        goodbyes = [f for f in frames(exam, _drain(pair)) if isinstance(f, GoAway)]
        exam.require(goodbyes, "go-away", "the other side is not told why it is over")
        exam.count("rules broken by the other side")


STEPS: tuple[Callable[[Pair], None], ...] = (
    _opening,
    _many,
    _ends,
    _slow_reader,
    _slow_application,
    _session_frames,
)


def step_by_hand(exam: Exam, muxer: Any) -> None:
    """Every step in both roles, then those who break rules."""
    for is_dialer in (True, False):
        for step in STEPS:
            step(Pair(exam, muxer, is_dialer))
        _backlog(exam, muxer, is_dialer)
        _rule_breakers(exam, muxer, is_dialer)
