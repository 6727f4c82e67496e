"""E4.4: a whole yamux. First stepped by hand against the library's own core, both roles; then at work in live peers.

The two halves stand in `chapter_04_muxer_by_hand.py` and `chapter_04_muxer_live.py`.
"""

from __future__ import annotations

import inspect
from typing import Any

from libp2p_lab.coursework.chapter_04_muxer_by_hand import FLOW_CONTROL, step_by_hand
from libp2p_lab.coursework.chapter_04_muxer_live import meet_strangers
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.multiplexing.yamux import PROTOCOL_ID


async def examine_muxer(exam: Exam, answer: Any) -> None:
    """E4.4: one step after another by hand, in both roles; rule breakers; then live peers, and a stranger."""
    muxer = exam.callable_answer(answer, "a class")() if inspect.isclass(answer) else answer
    exam.require(
        callable(getattr(muxer, "session", None)),
        "wrong-type",
        "a muxer has a method session(*, is_dialer, limits, probe)",
    )
    protocol = getattr(muxer, "protocol", None)
    exam.require(
        protocol == PROTOCOL_ID,
        "wrong-type",
        "a muxer has an attribute protocol",
        got=shown(protocol),
        expected=shown(PROTOCOL_ID),
    )
    step_by_hand(exam, muxer)
    await meet_strangers(exam, muxer)


STARTER = '''\
from libp2p_lab import ConnectionLost, LimitExceeded, ProtocolViolation, StreamClosed, StreamReset
from libp2p_lab.multiplexing.muxer import *  # the events: StreamOpened, DataReceived, WriteClosed, …
from libp2p_lab.multiplexing.yamux_frames import DataFrame, GoAway, Ping, WindowUpdate, decode


class MySession:
    """One side of one connection. No input or output in here: bytes and calls come in, events and bytes go out."""

    def __init__(self, is_dialer, limits, probe):
        raise NotImplementedError

    def can_open_stream(self): ...  # fewer than limits.yamux_accept_backlog of ours wait for an ACK
    def open_stream(self): ...  # a new id; LimitExceeded beyond the backlog, ConnectionLost after a go-away
    def accept(self, stream_id): ...  # a handler has taken this stream of theirs
    def send(self, stream_id, data): ...  # queue; StreamClosed after close_write, StreamReset if it is gone
    def unsent(self, stream_id): ...  # bytes queued and not sent
    def close_write(self, stream_id): ...  # FIN, behind all that is queued
    def reset(self, stream_id): ...  # RST; what is queued is forgotten
    def stop_reading(self, stream_id): ...  # nobody wants what still comes: drop it
    def consumed(self, stream_id, n, now=0.0): ...  # the application took n bytes: a window update, some time
    def ping(self, now=0.0): ...  # queue a ping; return True
    def go_away(self, code=0): ...
    def has_data_to_send(self): ...
    def data_to_send(self, limit=131072): ...  # the next bytes for the wire, about `limit`; b"" if there are none
    def receive_data(self, data, now=0.0): ...  # a list of events; never raises: SessionFailed(ProtocolViolation(…))


class MyMuxer:
    protocol = "/yamux/1.0.0"

    def session(self, *, is_dialer, limits, probe):
        return MySession(is_dialer, limits, probe)


await lab.check("04.muxer", MyMuxer)
'''

MUXER = Check(
    id="04.muxer",
    exercise="E4.4",
    title="A whole yamux",
    level="L4",
    points=6,
    objectives=("1.13", "1.24", "X.7"),
    starter=STARTER,
    hints=(
        "Begin with open_stream, send, data_to_send, and let the check say what is next. multiplexing/muxer.py says "
        "in a sentence what each method does; what a session remembers of one stream fits into ten attributes.",
        "SYN rides on a stream's first frame and ACK on the first frame back; FIN and RST on any. Only bodies of data "
        "count against the window. Streams take turns, a frame each. Late frames of a stream that is gone are "
        "skipped, frames of one that never was end the session (yamux/README.md, message flow).",
        "data_to_send: first the control frames (updates, pongs, RST), then while there is room: take the next stream "
        "off a deque, n = min(len(queue), credit, 16384), one DataFrame, back to the end of the deque. receive_data: "
        "gather bytes until 12 + length are there, decode, match the frame's type; catch ProtocolViolation and "
        "MalformedMessage around it, go_away(1), SessionFailed.",
    ),
    rules=(
        Rule(
            "numbers",
            "The dialer's streams are 1, 3, 5, …, the listener's 2, 4, 6, …",
            "yamux/README.md#streamid-field",
        ),
        Rule(
            "syn",
            "SYN stands on the first frame of a stream, data or window update.",
            "yamux/README.md#opening-a-stream",
        ),
        Rule(
            "waits",
            "Nobody has to wait for the ACK: data may follow the SYN at once.",
            "yamux/README.md#opening-a-stream",
        ),
        Rule(
            "opened",
            "A frame with SYN opens a stream: tell it by StreamOpened, once.",
            "yamux/README.md#opening-a-stream",
        ),
        Rule(
            "ack",
            "The first frame that you send on their stream carries ACK; if you have nothing to say, a window update "
            "of 0 does.",
            "yamux/README.md#opening-a-stream",
        ),
        Rule(
            "data",
            "What is sent on a stream arrives on that stream, all of it and in order, however the bytes are cut.",
            "yamux/README.md#framing",
        ),
        Rule(
            "turns",
            "Cut what is long into frames, and let the streams take turns: one frame each.",
            FLOW_CONTROL,
        ),
        Rule(
            "fin",
            "close_write: FIN, once, behind everything that is queued. The other side's FIN is WriteClosed, once.",
            "yamux/README.md#closing-a-stream",
        ),
        Rule(
            "half-close",
            "A FIN closes one direction. The other one goes on until its own FIN.",
            "yamux/README.md#closing-a-stream",
        ),
        Rule(
            "rst",
            "reset() sends RST, and RST from the other side is ResetReceived.",
            "yamux/README.md#closing-a-stream",
        ),
        Rule(
            "send-after-end",
            "What cannot be sent must not be accepted: StreamClosed after close_write, StreamReset for a stream that "
            "is gone.",
        ),
        Rule(
            "late",
            "The other side did not know yet that the stream is gone. Skip such frames: their ids were in use once.",
            "yamux/README.md#closing-a-stream",
        ),
        Rule(
            "starves",
            "A window update says that a stream may go on: give it a turn again.",
            FLOW_CONTROL,
        ),
        Rule(
            "overruns",
            "Send at most what the other side's window for this stream allows; the rest waits in its queue, and "
            "unsent() counts it.",
            FLOW_CONTROL,
        ),
        Rule(
            "gives-away",
            "The window is for what is on its way or unread. Give room back when the application has taken bytes "
            "(consumed), not when they arrive.",
            FLOW_CONTROL,
        ),
        Rule(
            "no-update",
            "Once half of the window has been taken, send a window update with what was taken.",
            FLOW_CONTROL,
        ),
        Rule(
            "batched", "Gather what was taken: an update for each half of a window.", FLOW_CONTROL
        ),
        Rule(
            "ping",
            "A ping with SYN asks; answer with ACK and the same value. Stream id 0, both.",
            "yamux/README.md#type-field",
        ),
        Rule(
            "go-away",
            "A go-away ends nothing that runs: no new streams. Code 0 is normal; after a broken rule say 1.",
            "yamux/README.md#session-termination",
        ),
        Rule(
            "backlog",
            "At most 256 streams may wait: yours for an ACK (then LimitExceeded), theirs for a handler (then RST).",
            "yamux/README.md#ack-backlog--backpressure",
        ),
        Rule(
            "garbage",
            "What is no frame ends the session: one SessionFailed, a go-away, silence. And never send any.",
            "yamux/README.md#framing",
        ),
        Rule(
            "unknown",
            "A stream begins with a SYN by the side to whom its number belongs. Anything else for a stream that never "
            "was breaks the protocol.",
            "yamux/README.md#streamid-field",
        ),
        Rule(
            "overrun",
            "Look at the length in the header before you keep the body: more than the window allows breaks the "
            "protocol, and would fill your memory.",
            FLOW_CONTROL,
        ),
        Rule(
            "broke-rule",
            "The other side found a rule of yamux broken by what you sent; its words say which.",
            "yamux/README.md#framing",
        ),
        Rule(
            "never-quiet",
            "When nothing is left to say, data_to_send gives b'' and has_data_to_send is False.",
        ),
        Rule(
            "stranger",
            "By hand all was right, in live peers it is not. There things come in other orders: streams end while "
            "others begin, and the driver speaks of streams that are gone already (no error: do nothing).",
        ),
    ),
    examine=examine_muxer,
    time_limit=120.0,
    seeds=(1,),
)
