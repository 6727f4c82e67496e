"""What a muxer is: a core that turns one byte stream into many, without any input or output of its own.

`muxed_connection.py` drives it on a real stream; tests, the simulator and a cell in a notebook drive it by hand:

    alice, bob = YamuxSession(is_dialer=True), YamuxSession(is_dialer=False)
    alice.send(alice.open_stream(), b"hello")
    bob.receive_data(alice.data_to_send())
    # [StreamOpened(stream_id=1), DataReceived(stream_id=1, data=b"hello")]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from libp2p_lab.errors import LimitExceeded, RemoteError
from libp2p_lab.limits import Limits
from libp2p_lab.trace import Probe
from libp2p_lab.wire.byte_stream import Buffer


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The remote opened a stream."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamAccepted:
    """The remote acknowledged a stream that we opened."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes arrived. They count against the window until `consumed` is called for them."""

    stream_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class WriteClosed:
    """The remote will write no more on this stream (half close)."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class ResetReceived:
    """The remote dropped the stream."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """The remote can take more: a writer that waits may go on."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The answer to our ping came.

    Attributes:
        rtt: the round trip in seconds.
    """

    rtt: float


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The remote ends the session.

    Attributes:
        code: 0 normal, 1 protocol error, 2 internal error.
    """

    code: int


@dataclass(frozen=True, slots=True)
class SessionFailed:
    """The remote broke a rule: the session is over, and what is queued for it ends with the reason.

    This is an event and no exception so that what arrived before the broken rule is not lost.
    """

    error: RemoteError | LimitExceeded


MuxerEvent = (
    StreamOpened
    | StreamAccepted
    | DataReceived
    | WriteClosed
    | ResetReceived
    | WindowOpened
    | PongReceived
    | GoAwayReceived
    | SessionFailed
)


class MuxerSession(Protocol):
    """One connection's muxing, as a state machine: bytes in, events and bytes out."""

    def can_open_stream(self) -> bool:
        """False while too many of our streams wait for the remote's acknowledgement."""
        ...

    def open_stream(self) -> int:
        """Open a stream and return its id.

        Raises: `LimitExceeded` when too many wait for the remote's acknowledgement; `ConnectionLost` after a go-away.
        """
        ...

    def send(self, stream_id: int, data: Buffer) -> None:
        """Queue `data`. It leaves through `data_to_send`, as the remote's window allows.

        Raises: `StreamClosed` after `close_write`, `StreamReset` after a reset.
        """
        ...

    def unsent(self, stream_id: int) -> int:
        """Bytes of this stream that are queued and have not left: what back pressure looks at."""
        ...

    def close_write(self, stream_id: int) -> None:
        """Half-close, behind everything queued."""
        ...

    def reset(self, stream_id: int) -> None:
        """Drop the stream and what it has queued."""
        ...

    def accept(self, stream_id: int) -> None:
        """The application took charge of an inbound stream: it no longer counts against the backlog."""
        ...

    def stop_reading(self, stream_id: int) -> None:
        """The application will read no more: what still arrives is thrown away."""
        ...

    def consumed(self, stream_id: int, n: int, now: float = 0.0) -> None:
        """The application took `n` bytes: the remote may send as many again."""
        ...

    def receive_data(self, data: Buffer, now: float = 0.0) -> list[MuxerEvent]:
        """Take bytes from the wire, in pieces of any size. It never raises: see `SessionFailed`."""
        ...

    def data_to_send(self, limit: int = ...) -> bytes:
        """The next bytes for the wire, about `limit` at most; `b""` when there are none."""
        ...

    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` would give anything."""
        ...

    def ping(self, now: float = 0.0) -> bool:
        """Queue a ping; `PongReceived` will follow. False if the protocol has none."""
        ...

    def go_away(self, code: int = 0) -> None:
        """Queue the goodbye; no stream can be opened afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Flow:
    """Where a stream's flow control stands at one end, in bytes: for those who look on from some moment on.

    Attributes:
        may_send: what may still be sent; None where there are no windows.
        may_come: what the remote may still send; None where there are no windows.
        window: what may be on its way and unread together.
        unread: arrived, not yet taken by the application.
        unsent: queued, not yet sent.
    """

    may_send: int | None
    may_come: int | None
    window: int
    unread: int
    unsent: int


@runtime_checkable
class ShowsFlow(Protocol):
    """A session that lets others look at its books. None needs to."""

    def flow(self, stream_id: int) -> Flow | None:
        """A stream's flow control as it stands; None if there is no such stream."""
        ...


class Muxer(Protocol):
    """Makes sessions: yamux, mplex, or a student's own."""

    @property
    def protocol(self) -> str:
        """Its protocol id, `/yamux/1.0.0` for one."""
        ...

    def session(self, *, is_dialer: bool, limits: Limits, probe: Probe) -> MuxerSession:
        """A fresh session for one connection."""
        ...
