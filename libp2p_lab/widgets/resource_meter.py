"""`ResourceMeter`: what others use of a host, scope by scope, beside what they may."""

from __future__ import annotations

import asyncio
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.trace import Entry
from libp2p_lab.widgets.resource_model import Books, Meter, books_of
from libp2p_lab.widgets.sources import Source, Sources
from libp2p_lab.widgets.static_form import page, table, text_table
from libp2p_lab.widgets.view import Batch, View

INTERVAL = 0.25  # seconds between two looks at the counters
MAIN = ("connections", "streams", "memory")


class ResourceMeter:
    """The counters of live hosts' resource managers: connections, streams and bytes, and whom the limits refused.

    It looks when something happens on a host, and only while it is shown.

    Args:
        source: a host, several, a mapping from names to hosts, or a simulated internet.

    Raises: `LocalError` for a recording: it holds no counters.
    """

    def __init__(self, source: Source) -> None:
        self._sources = Sources(source)
        if self._sources.entries or not self._sources.hosts:
            raise LocalError("this shows the counters of live hosts: give one host or more")
        self._told: dict[str, Books] = {}
        self._view = View(
            "resource_meter",
            on_open=self._snapshot,
            on_flush=self._flush,
            on_message=lambda _content, _view: None,
            on_idle=self._sources.stop,
            interval=INTERVAL,
        )

    def close(self) -> None:
        """Take the meter off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def books(self) -> dict[str, Books]:
        """The accounts of each host, by its name."""
        return {
            self._sources.name(peer): books_of(host.resources, self._sources.name)
            for peer, host in self._sources.hosts.items()
        }

    def summary(self) -> str:
        """One sentence: how many hosts, and how often somebody was refused."""
        refused = sum(one.times for books in self.books().values() for one in books.refusals)
        count = len(self._sources.hosts)
        hosts, times = "s" * (count != 1), "s" * (refused != 1)
        return f"{count} host{hosts}, refused {refused:,} time{times}"

    # -- to the page ------------------------------------------------------------------------------

    def _take(self, _entry: Entry) -> None:
        self._view.wake()

    def _snapshot(self) -> Batch:
        self._sources.listen(self._take)
        return self._message(), []

    def _flush(self) -> Batch | None:
        if self.books() == self._told:
            return None
        # What moved may still be moving, and not all of it is told to the trace: look once more.
        asyncio.get_running_loop().call_soon(self._view.wake)
        return self._message(), []

    def _message(self) -> dict[str, Any]:
        self._told = self.books()
        return {
            "type": "books",
            "summary": self.summary(),
            "hosts": [{"name": name, **books.as_json()} for name, books in self._told.items()],
        }

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        html, text = "", ""
        head = ("scope", *MAIN)
        for name, books in self.books().items():
            rows = []
            for account in books.accounts:
                meters = {meter.resource: meter for meter in account.meters}
                cells = (_cell(meters.get(resource)) for resource in MAIN)
                rows.append((f"{account.kind} {account.name}".strip(), *cells))
            html += table(name, head, rows)
            text += f"{name}\n{text_table(head, rows)}\n"
            if books.refusals:
                refused = [(one.kind, one.limit, str(one.times)) for one in books.refusals]
                html += table("Refused", ("scope", "limit", "times"), refused)
                text += f"{text_table(('refused by', 'limit', 'times'), refused)}\n"
            text += "\n"
        return self._view.mimebundle(page(f"Resources: {self.summary()}", html), text.strip())


def _cell(meter: Meter | None) -> str:
    if meter is None:
        return ""
    return f"{meter.used:,}" + (f" of {meter.allowed:,}" if meter.allowed is not None else "")
