"""A bounded recording of one or more nodes, in the order in which things were told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libp2p_lab.errors import LocalError
from libp2p_lab.host.host import Host
from libp2p_lab.recording import json_lines, pcapng
from libp2p_lab.recording.pairs import Pair, join
from libp2p_lab.recording.summary import summary
from libp2p_lab.trace import Direction, Entry, Trace

if TYPE_CHECKING:
    import pandas as pd

#: What can be recorded.
Source = Host | Trace

_OVERHEAD = 400  # bytes of memory of an entry, about, without what it holds


def record(
    *sources: Source | Iterable[Source],
    secrets: bool = False,
    wanted: Callable[[Entry], bool] | None = None,
    max_entries: int = 100_000,
    max_bytes: int = 64 << 20,
) -> Recording:
    """Record hosts from now on, until the end of the `with` block or `stop`.

        with lab.record(alice, bob) as log:
            await bob.ping(alice.peer_id)
        print(len(log))

    Args:
        sources: hosts, or several in a list.
        secrets: whether session keys are recorded too: whoever has the file can read the connections.
        wanted: which entries are taken at all; None for every one.
        max_entries: the oldest are dropped beyond this many.
        max_bytes: the oldest are dropped when the recording takes more memory than this.

    Raises: `LocalError` if there is nothing to record.
    """
    recording = Recording(wanted=wanted, max_entries=max_entries, max_bytes=max_bytes)
    for source in sources:
        for one in (source,) if isinstance(source, Host | Trace) else source:
            recording.attach(one.trace if isinstance(one, Host) else one, secrets=secrets)
    if not recording.is_running:
        raise LocalError("nothing to record: give one host or more, lab.record(alice, bob)")
    return recording


class Recording:
    """Entries, the oldest first. It has a length and can be iterated over, also while it runs.

    Attributes:
        epoch: seconds between 1970 and the zero of the entries' clock.
        dropped: how many entries were dropped to keep the bounds.
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        epoch: float | None = None,
        wanted: Callable[[Entry], bool] | None = None,
        max_entries: int = 100_000,
        max_bytes: int = 64 << 20,
    ) -> None:
        self.epoch = time.time() - time.monotonic() if epoch is None else epoch
        self.dropped = 0
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._wanted = wanted
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._stops: list[Callable[[], None]] = []
        for entry in entries:
            self.take(entry)

    def __repr__(self) -> str:
        state = "running" if self.is_running else "stopped"
        return f"<Recording of {len(self)} entries, {self.dropped} dropped, {state}>"

    # -- recording --------------------------------------------------------------------------------------------

    def attach(self, trace: Trace, *, secrets: bool = False) -> None:
        """Record one more trace."""
        self._stops.append(trace.listen(self.take, secrets=secrets))

    def take(self, entry: Entry) -> None:
        """Add one entry: what traces call."""
        if self._wanted is not None and not self._wanted(entry):
            return
        self._entries.append(entry)
        self._bytes += _size(entry)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._bytes -= _size(self._entries.popleft())
            self.dropped += 1

    def stop(self) -> None:
        """Record no more. What was recorded stays."""
        for stop in self._stops:
            stop()
        self._stops.clear()

    def clear(self) -> None:
        """Forget everything recorded so far; the recording goes on."""
        self._entries.clear()
        self._bytes = self.dropped = 0

    @property
    def is_running(self) -> bool:
        """Whether entries are still taken from a trace."""
        return bool(self._stops)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # -- looking ----------------------------------------------------------------------------------------------

    @property
    def entries(self) -> list[Entry]:
        """All entries as they are now."""
        return list(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def filter(
        self,
        where: Callable[[Entry], bool] | None = None,
        *,
        layer: str | Collection[str] | None = None,
        node: object = None,
        link: str | None = None,
        direction: Direction | None = None,
        kind: type | tuple[type, ...] | None = None,
    ) -> Recording:
        """The entries for which all of this holds, as a recording of their own.

        Args:
            where: any function of an entry.
            layer: one or several, as in `trace.LAYERS`, or a protocol's short name.
            node: a host, a peer id, or its text.
            link: "3" for connection 3 and all streams on it, "3/5" for one stream, "" for the host itself.
            direction: "sent", "received" or "event".
            kind: the class of what the entry holds, or several.
        """
        layers = (layer,) if isinstance(layer, str) else layer
        name = str(node.peer_id if isinstance(node, Host) else node)

        def fits(entry: Entry) -> bool:
            return (
                (where is None or where(entry))
                and (layers is None or entry.layer in layers)
                and (node is None or entry.node == name)
                and (link is None or entry.link == link or entry.link.startswith(f"{link or '.'}/"))
                and (direction is None or entry.direction == direction)
                and (kind is None or isinstance(entry.what, kind))
            )

        found = filter(fits, self._entries)
        return Recording(
            found, epoch=self.epoch, max_entries=self._max_entries, max_bytes=self._max_bytes
        )

    def pairs(self) -> list[Pair]:
        """Each item that one recorded node sent, joined with its arrival at the other."""
        return join(self._entries)

    def to_frame(self) -> pd.DataFrame:
        """A pandas table, a row for each entry; `time` in seconds since the first, `size` in bytes.

        Raises: `LocalError` where pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise LocalError("a table needs pandas: pip install 'libp2p-lab[lab]'") from None
        start = self._entries[0].time if self._entries else 0.0
        rows = [_row(entry, start) for entry in self._entries]
        return pd.DataFrame(rows, columns=_COLUMNS)

    # -- keeping ----------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write it as lines of JSON, one for each entry, after one about the recording."""
        json_lines.save(path, self._entries, epoch=self.epoch, dropped=self.dropped)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read what `save` wrote.

        Raises: `LocalError`, with the line, for anything else; `OSError`.
        """
        entries, epoch, dropped = json_lines.load(path)
        size = sum(map(_size, entries))
        recording = cls(
            entries,
            epoch=epoch,
            max_entries=max(len(entries), 100_000),
            max_bytes=max(size, 64 << 20),
        )
        recording.dropped = dropped
        return recording

    def save_pcapng(self, path: str | Path) -> None:
        """Write it for Wireshark: one interface for each layer, what was encrypted in the clear."""
        pcapng.save(path, self._entries, epoch=self.epoch)


_COLUMNS = [
    "time",
    "node",
    "layer",
    "link",
    "direction",
    "number",
    "kind",
    "size",
    "summary",
    "what",
]


def _row(entry: Entry, start: float) -> tuple[Any, ...]:
    return (
        entry.time - start,
        entry.node,
        entry.layer,
        entry.link,
        entry.direction,
        entry.number,
        type(entry.what).__name__,
        len(entry.payload()),
        summary(entry.what),
        entry.what,
    )


def _size(entry: Entry) -> int:
    """About how much memory an entry takes."""
    what = entry.what
    if isinstance(what, bytes | bytearray | str):
        return _OVERHEAD + len(what)
    held = (getattr(what, name, None) for name in getattr(what, "__slots__", ()))
    return _OVERHEAD + sum(len(value) for value in held if isinstance(value, bytes | str | tuple))
