"""A page that is not there: what a widget sends is kept, and what a page would answer can be told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from libp2p_lab.widgets.view import View


class Page:
    """One view of a widget, without a browser."""

    def __init__(self, view: View, name: str = "view") -> None:
        self.view = view
        self.name = name
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []

    def tell(self, kind: str, /, **content: Any) -> None:
        """What JavaScript would send."""
        self.view._hear(None, {"type": kind, "view": self.name, **content}, [])

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type that arrived here."""
        mine = [m for m, _ in self.sent if m.get("to", self.name) == self.name]
        return [message for message in mine if message["type"] == kind]

    def draw(self) -> None:
        """Acknowledge everything that arrived."""
        seqs = [message["seq"] for message, _ in self.sent if "seq" in message]
        if seqs:
            self.tell("ack", seq=max(seqs))

    async def wait_for(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The `count`th message of a type, drawing what arrives meanwhile."""
        async with asyncio.timeout(30):
            while len(self.of(kind)) < count:
                await asyncio.sleep(0.01)
                self.draw()
        return self.of(kind)[count - 1]


Open = Callable[..., Page]


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens views of a widget; afterwards every widget is closed."""
    opened: list[View] = []
    pages: dict[int, list[Page]] = {}

    def open_view(widget: Any, name: str = "view") -> Page:
        view: View = widget if isinstance(widget, View) else widget._view
        page = Page(view, name)
        seen = pages.setdefault(id(view), [])
        seen.append(page)
        opened.append(view)

        def send(content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
            for one in seen:
                one.sent.append((content, list(buffers or [])))

        monkeypatch.setattr(view.front, "send", send)
        page.tell("open")
        return page

    yield open_view
    for view in opened:
        if not view._closed:
            view.close()
