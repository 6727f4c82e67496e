"""The kernel's end of a widget: batches out, clicks in.

A widget may have no view (a notebook run headless), one, or several (its output shown twice). While
there is none, nothing is sent and nothing is scheduled. While there is one, at most one batch
leaves every `interval` seconds, and none before every view has drawn the last but one: a slow page
gets fewer batches, never a queue of them.

Nothing here polls. A batch is scheduled by the first fact that has to be shown; without facts there
is no timer.

A view that is closed says so (the cell was cleared, its output replaced). One that vanished without
a word, because the page was closed, is dropped when it has not drawn for `STALLED` seconds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import anywidget

from libp2p_lab.errors import LabError

STATIC = Path(__file__).parent / "static"
IN_FLIGHT = 2  # batches that a view may have before it
STALLED = 15.0  # seconds

Batch = tuple[dict[str, Any], list[bytes]]


class Front(anywidget.AnyWidget):
    """What ipywidgets keeps in step with the page: the script, the style, and no state at all."""

    _esm = ""
    _css = ""


class View:
    """One widget's link to its views.

    Args:
        script: the bundled file's name in `static`, without its ending.
        interval: seconds between two batches at least.
        on_open: gives what a new view needs first.
        on_flush: gives the next batch, or None if there is nothing to show.
        on_message: what a person did: the message, and the view that it came from.
        on_idle: the last view is gone.
    """

    def __init__(
        self,
        script: str,
        *,
        on_open: Callable[[], Batch],
        on_message: Callable[[dict[str, Any], str], None],
        on_flush: Callable[[], Batch | None] | None = None,
        on_idle: Callable[[], None] | None = None,
        interval: float = 0.05,
    ) -> None:
        self._on_open = on_open
        self._on_message = on_message
        self._on_flush = on_flush
        self._on_idle = on_idle
        self._interval = interval
        self._views: dict[str, int] = {}  # id → the last batch that it has drawn
        self._seq = 0
        self._is_due = False
        self._is_blocked = False
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = _running_loop()
        self._thread = threading.get_ident()
        self._closed = False
        self.front = Front(
            _esm=(STATIC / f"{script}.js").read_text("utf-8"),
            _css=(STATIC / "lab.css").read_text("utf-8"),
        )
        self.front.on_msg(self._hear)

    @property
    def is_open(self) -> bool:
        """Whether anybody looks."""
        return bool(self._views)

    @property
    def model_id(self) -> str:
        """The widget's number in this kernel."""
        return str(self.front.model_id)

    # -- from the page ----------------------------------------------------------------------------

    def _hear(self, _front: object, content: object, _buffers: object) -> None:
        """Called by ipywidgets, in whichever thread the page's message arrived."""
        if not isinstance(content, dict):
            return
        if self._loop is None or threading.get_ident() == self._thread:
            self._take(content)
        else:
            self._loop.call_soon_threadsafe(self._take, content)

    def _take(self, content: dict[str, Any]) -> None:
        view = str(content.get("view", ""))
        if self._closed or not view:
            return
        match content.get("type"):
            case "close":
                self._drop([view])
            case "ack" if view in self._views:
                self._views[view] = int(content.get("seq", 0))
                self._unblock()
            case "open" | "ack":  # an ack of a view that was given up: it is back
                self._open(view)
            case _:
                if view not in self._views:
                    self._open(view)
                self._on_message(content, view)

    def _open(self, view: str) -> None:
        self._views[view] = self._seq
        message, buffers = self._on_open()
        self.send({**message, "to": view}, buffers)

    def _drop(self, views: Iterable[str]) -> None:
        was_open = self.is_open
        for view in views:
            self._views.pop(view, None)
        if self._views:
            self._unblock()
        elif was_open:
            self._cancel_timers()
            if self._on_idle is not None:
                self._on_idle()

    # -- to the page ------------------------------------------------------------------------------

    def send(self, message: dict[str, Any], buffers: Iterable[bytes] = ()) -> None:
        """Send at once, outside the batches: an answer to a click."""
        if self.is_open:
            self.front.send(message, buffers=list(buffers))

    def wake(self) -> None:
        """There is something to show. Cheap, and callable from any thread."""
        if self._is_due or not self._views or self._loop is None:
            return
        self._is_due = True
        if threading.get_ident() == self._thread:
            self._schedule()
        else:
            self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        if self._closed or not self._views or self._loop is None:
            self._is_due = False
            return
        if self._seq - min(self._views.values()) >= IN_FLIGHT:
            self._is_blocked = True
            if self._stall is None:
                self._stall = self._loop.call_later(STALLED, self._drop_stalled)
            return
        delay = max(0.0, self._last + self._interval - self._loop.time())
        self._timer = self._loop.call_later(delay, self._flush)

    def _flush(self) -> None:
        self._timer = None
        self._is_due = False
        if self._on_flush is None or self._loop is None:
            return
        batch = self._on_flush()
        self._last = self._loop.time()
        if batch is not None:
            self._seq += 1
            message, buffers = batch
            self.send({**message, "seq": self._seq}, buffers)

    def _unblock(self) -> None:
        if self._is_blocked and self._seq - min(self._views.values()) < IN_FLIGHT:
            self._is_blocked = False
            if self._stall is not None:
                self._stall.cancel()
                self._stall = None
            self._schedule()

    def _drop_stalled(self) -> None:
        self._stall = None
        limit = self._seq - IN_FLIGHT
        self._drop([view for view, drawn in self._views.items() if drawn <= limit])

    # -- work that takes time ---------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, None], failed: Callable[[str], None]) -> None:
        """Run `work` on the peers' loop; what it raises on purpose goes to `failed` as text."""
        if self._loop is None:
            work.close()
            failed("this needs a running event loop, as a notebook has one")
            return

        async def guarded() -> None:
            try:
                await work
            except (LabError, OSError, TimeoutError) as problem:
                failed(f"{type(problem).__name__}: {problem}")

        task = self._loop.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # it may have ended before it began

    def close(self) -> None:
        """Take the widget off the page; nothing of it runs afterwards."""
        self._closed = True
        self._views.clear()
        self._cancel_timers()
        for task in tuple(self._tasks):
            task.cancel()
        if self._on_idle is not None:
            self._on_idle()
        self.front.close()

    def _cancel_timers(self) -> None:
        self._is_due = self._is_blocked = False
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        self._timer = self._stall = None

    # -- without a page ---------------------------------------------------------------------------

    def mimebundle(self, html: str, text: str) -> dict[str, Any]:
        """What the notebook stores and shows: the live widget, and its static form beside it."""
        bundle = self.front._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {**(data or {}), "text/html": html, "text/plain": text}


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
