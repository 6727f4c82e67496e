"""What happened, as one stream of facts.

Every layer tells its story here, and every widget, check, metric and export reads it from here.
In protocol code there is one permitted form, which costs a few nanoseconds when nobody listens:

    if probe.trace.listeners:
        probe.emit("sent", frame, number)

`what` is the frame or message that exists anyway; nothing is built for the trace's sake. Items are numbered
by the protocol itself (a Noise nonce, a count of yamux frames, a byte offset), so item n sent at one end is
item n received at the other: the traces of two nodes can be joined without a byte changed on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Direction = Literal["sent", "received", "event"]

#: The layers, from the wire upwards. A protocol on a stream traces under its own short name ("ping", "identify", …).
LAYERS = ("transport", "negotiation", "security", "muxer", "stream", "host")


@runtime_checkable
class Encodable(Protocol):
    """A frame or message that knows its bytes on the wire."""

    def encode(self) -> bytes:
        """The exact bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact.

    Attributes:
        time: seconds on the node's own clock (`loop.time()` for live hosts, virtual time in simulations).
        node: the node's name: the text of its peer id.
        layer: one of `LAYERS`, or a protocol's short name.
        link: which connection or stream, as this node numbers them: "" for the host itself, "3" for connection 3,
            "3/5" for stream 5 on it.
        direction: "sent", "received", or "event" for what happens inside the node.
        number: the item's number within (link, layer, direction), given by the protocol.
        what: the frame, message, bytes or event itself.
    """

    time: float
    node: str
    layer: str
    link: str
    direction: Direction
    number: int
    what: object

    def payload(self) -> bytes:
        """The bytes of `what` on the wire; empty for an event that has none."""
        match self.what:
            case bytes() | bytearray() | memoryview():
                return bytes(self.what)
            case Encodable():
                return self.what.encode()
            case _:
                return b""


Listener = Callable[[Entry], None]


class Trace:
    """One node's stream of facts. Handed in, never global.

    Args:
        node: the name under which the node's entries appear.
        clock: gives the time of an entry, in seconds; None for the clock of the host that takes this trace.
    """

    __slots__ = ("clock", "confidants", "listeners", "node")

    def __init__(self, node: str = "", clock: Callable[[], float] | None = None) -> None:
        self.node = node
        self.clock = clock if clock is not None else _stopped
        self.listeners: tuple[Listener, ...] = ()
        self.confidants: tuple[Listener, ...] = ()  # of them those that asked for secrets

    def listen(self, listener: Listener, *, secrets: bool = False) -> Callable[[], None]:
        """Call `listener` with each entry from now on; the returned function ends it.

        Args:
            listener: it must return at once and not raise: protocols call it in the middle of their work.
            secrets: whether it is told keys too. Nobody is who did not ask.
        """
        self.listeners += (listener,)
        if secrets:
            self.confidants += (listener,)

        def stop() -> None:
            self.listeners = tuple(other for other in self.listeners if other is not listener)
            self.confidants = tuple(other for other in self.confidants if other is not listener)

        return stop

    def use_clock(self, clock: Callable[[], float]) -> None:
        """Tell the time by `clock`, unless one was given at the start."""
        if self.clock is _stopped:
            self.clock = clock


def _stopped() -> float:
    """The clock of a trace that no host has taken yet."""
    return 0.0


class Probe:
    """Where one layer on one link hands in its facts."""

    __slots__ = ("layer", "link", "trace")

    def __init__(self, trace: Trace | None = None, layer: str = "", link: str = "") -> None:
        self.trace = trace if trace is not None else Trace()
        self.layer = layer
        self.link = link

    def emit(self, direction: Direction, what: object, number: int = 0) -> None:
        """Tell every listener. Callers look at `trace.listeners` first, so that silence is free."""
        self._tell(self.trace.listeners, direction, what, number)

    def confide(self, what: object) -> None:
        """Tell a secret to those who asked for secrets. Callers look at `trace.confidants` first."""
        self._tell(self.trace.confidants, "event", what, 0)

    def _tell(
        self, listeners: tuple[Listener, ...], direction: Direction, what: object, number: int
    ) -> None:
        trace = self.trace
        entry = Entry(trace.clock(), trace.node, self.layer, self.link, direction, number, what)
        for listener in listeners:
            listener(entry)

    def on(self, layer: str, link: str | None = None) -> Probe:
        """The probe of another layer (and link) on the same trace."""
        return Probe(self.trace, layer, self.link if link is None else link)
