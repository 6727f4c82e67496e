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

import time as _time
from collections import deque
from collections.abc import Callable, Iterator
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
        clock: gives the time of an entry, in seconds.
    """

    __slots__ = ("clock", "listeners", "node")

    def __init__(self, node: str = "", clock: Callable[[], float] = _time.monotonic) -> None:
        self.node = node
        self.clock = clock
        self.listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each entry from now on; the returned function ends it."""
        self.listeners += (listener,)

        def stop() -> None:
            self.listeners = tuple(other for other in self.listeners if other is not listener)

        return stop


class Probe:
    """Where one layer on one link hands in its facts."""

    __slots__ = ("layer", "link", "trace")

    def __init__(self, trace: Trace | None = None, layer: str = "", link: str = "") -> None:
        self.trace = trace if trace is not None else Trace()
        self.layer = layer
        self.link = link

    def emit(self, direction: Direction, what: object, number: int = 0) -> None:
        """Tell every listener. Callers look at `trace.listeners` first, so that silence is free."""
        trace = self.trace
        entry = Entry(
            trace.clock(), trace.node, self.layer, self.link, direction, number, what
        )
        for listener in trace.listeners:
            listener(entry)

    def on(self, layer: str, link: str | None = None) -> Probe:
        """The probe of another layer (and link) on the same trace."""
        return Probe(self.trace, layer, self.link if link is None else link)


class Recorder:
    """A bounded recording of one or more traces, in the order in which things were told.

    Args:
        max_entries: the oldest entries are dropped beyond this many.
        max_bytes: the oldest entries are dropped when their payloads add up to more than this.
    """

    def __init__(self, max_entries: int = 100_000, max_bytes: int = 64 << 20) -> None:
        self.entries: deque[Entry] = deque()
        self.dropped = 0
        self.epoch = _time.time() - _time.monotonic()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def __call__(self, entry: Entry) -> None:
        size = _size(entry.what)
        self.entries.append(entry)
        self._sizes.append(size)
        self._bytes += size
        while len(self.entries) > self._max_entries or self._bytes > self._max_bytes:
            self.entries.popleft()
            self._bytes -= self._sizes.popleft()
            self.dropped += 1

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self.entries))

    def clear(self) -> None:
        """Forget everything recorded so far."""
        self.entries.clear()
        self._sizes.clear()
        self._bytes = 0


def _size(what: object) -> int:
    data = getattr(what, "data", what)
    return 64 + (len(data) if isinstance(data, bytes | bytearray | memoryview) else 0)
