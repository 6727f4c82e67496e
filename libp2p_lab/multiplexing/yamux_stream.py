"""What a yamux session knows of one stream: what it may send, what it may still receive, what has ended.

Flow control in four numbers. `send_window`: bytes that we may still send. `allowance`: bytes that the remote may
still send. `unread`: bytes that came and that the application has not taken. And `window`, which allowance and unread
never exceed together.

Spec: yamux/README.md#flow-control
"""

from __future__ import annotations

from collections import deque
from enum import Enum


class Half(Enum):
    """One direction of a stream."""

    OPEN = "bytes may flow"
    CLOSING = "writing: the end is queued behind the data; reading: nobody reads any more"
    CLOSED = "the end has passed"


class StreamBooks:
    """One stream's books, kept by the session."""

    __slots__ = (
        "accepted",
        "acked",
        "allowance",
        "credit",
        "flags",
        "id",
        "offset",
        "pending",
        "queued",
        "reading",
        "send_window",
        "unread",
        "unsent",
        "updated_at",
        "window",
        "writing",
    )

    def __init__(self, stream_id: int, window: int, flags: int) -> None:
        self.id = stream_id
        self.flags = flags  # SYN or ACK, until it has left on some frame
        self.acked = False  # the remote acknowledged our SYN
        self.accepted = False  # the application took charge of the remote's SYN
        # what we send
        self.writing = Half.OPEN
        self.send_window = window  # bytes that we may still send
        self.pending: deque[bytes] = deque()  # queued data
        self.offset = 0  # of the first piece, already sent
        self.unsent = 0  # bytes in `pending` from `offset` on
        self.queued = False  # whether the stream waits for its turn
        # what we receive
        self.reading = Half.OPEN
        self.window = window  # what may be on its way and unread together
        self.allowance = window  # bytes that the remote may still send
        self.unread = 0  # arrived, not yet taken by the application
        self.credit = 0  # granted, the update has not left yet
        self.updated_at = 0.0  # when the last update was granted

    @property
    def has_turn(self) -> bool:
        """Whether a frame of this stream could leave now."""
        return bool(
            self.flags
            or self.credit
            or (self.unsent and self.send_window)
            or (self.writing is Half.CLOSING and not self.unsent)
        )

    def take(self, n: int) -> list[bytes | memoryview]:
        """Take `n` bytes off the queue, without copying."""
        self.unsent -= n
        self.send_window -= n
        parts: list[bytes | memoryview] = []
        while n:
            piece = self.pending[0]
            left = len(piece) - self.offset
            if left <= n:
                parts.append(memoryview(piece)[self.offset :] if self.offset else piece)
                self.pending.popleft()
                self.offset = 0
                n -= left
            else:
                parts.append(memoryview(piece)[self.offset : self.offset + n])
                self.offset += n
                n = 0
        return parts
