"""Batches: none without a view, never more than the page can draw, from any thread, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

import ipywidgets
import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.widgets import view as view_module
from libp2p_lab.widgets.view import IN_FLIGHT, Batch, View
from tests.widgets.conftest import Open


class Spy:
    """Counts what a view asks of its widget."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.heard: list[dict[str, Any]] = []
        self.threads: set[int] = set()
        self.view = View(
            "key_lab",
            on_open=self.open,
            on_message=self.hear,
            on_flush=self.flush,
            on_idle=self.idle,
            interval=0.01,
        )

    def open(self) -> Batch:
        self.calls["open"] += 1
        return {"type": "hello"}, []

    def hear(self, content: dict[str, Any], view: str) -> None:
        self.threads.add(threading.get_ident())
        self.heard.append(content)

    def flush(self) -> Batch | None:
        self.calls["flush"] += 1
        return {"type": "batch"}, [b"data"]

    def idle(self) -> None:
        self.calls["idle"] += 1


async def turns(seconds: float = 0.05) -> None:
    await asyncio.sleep(seconds)


async def test_without_a_view_nothing_is_scheduled() -> None:
    spy = Spy()
    spy.view.wake()
    await turns()
    assert spy.calls["flush"] == 0
    spy.view.close()


async def test_many_facts_make_one_batch(open_page: Open) -> None:
    spy = Spy()
    page = open_page(spy.view)
    assert page.of("hello")
    for _ in range(1000):
        spy.view.wake()
    await page.wait_for("batch")
    assert spy.calls["flush"] == 1
    assert page.sent[-1][1] == [b"data"]


async def test_a_page_that_does_not_draw_gets_no_queue(open_page: Open) -> None:
    spy = Spy()
    page = open_page(spy.view)
    for _ in range(20):
        spy.view.wake()
        await turns(0.015)
    assert len(page.of("batch")) == IN_FLIGHT
    page.draw()
    await page.wait_for("batch", IN_FLIGHT + 1)  # what waited comes now


async def test_the_slower_of_two_views_sets_the_pace(open_page: Open) -> None:
    spy = Spy()
    fast, slow = open_page(spy.view, "fast"), open_page(spy.view, "slow")
    for _ in range(10):
        spy.view.wake()
        await turns(0.015)
        fast.draw()
    assert len(fast.of("batch")) == IN_FLIGHT
    slow.tell("close")
    await fast.wait_for("batch", IN_FLIGHT + 1)


async def test_the_last_view_that_closes_ends_it(open_page: Open) -> None:
    spy = Spy()
    page = open_page(spy.view)
    spy.view.wake()
    page.tell("close")
    assert spy.calls["idle"] == 1
    await turns()
    assert spy.calls["flush"] == 0  # the timer was taken back


async def test_a_view_that_vanished_is_given_up(
    open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "STALLED", 0.05)
    spy = Spy()
    page = open_page(spy.view)
    async with asyncio.timeout(30):
        while not spy.calls["idle"]:
            spy.view.wake()
            await turns(0.02)
    page.tell("ack", seq=1)  # it was only slow: it gets everything anew
    assert len(page.of("hello")) == 2
    assert spy.view.is_open


async def test_messages_from_another_thread_come_home(open_page: Open) -> None:
    spy = Spy()
    page = open_page(spy.view)
    thread = threading.Thread(target=lambda: (page.tell("click"), spy.view.wake()))
    thread.start()
    await page.wait_for("batch")
    thread.join()
    assert spy.threads == {threading.get_ident()}
    assert [content["type"] for content in spy.heard] == ["click"]


async def test_what_is_no_message_is_ignored(open_page: Open) -> None:
    spy = Spy()
    page = open_page(spy.view)
    spy.view._hear(None, "text", [])
    spy.view._hear(None, {"type": "click"}, [])  # of no view
    page.tell("ack", seq=0)
    assert spy.heard == []


async def test_work_reports_its_error(open_page: Open) -> None:
    spy = Spy()
    told: list[str] = []
    open_page(spy.view)

    async def fail() -> None:
        raise LocalError("no")

    spy.view.start(fail(), told.append)
    await turns(0.01)
    assert told == ["LocalError: no"]


async def test_work_ends_with_the_widget(open_page: Open) -> None:
    spy = Spy()
    open_page(spy.view)
    spy.view.start(asyncio.Event().wait(), print)  # type: ignore[arg-type]
    spy.view.close()
    await turns(0.01)
    assert not spy.view._tasks


def test_without_a_loop_work_is_refused() -> None:
    spy = Spy()
    told: list[str] = []

    async def work() -> None:
        raise AssertionError("never runs")

    spy.view.start(work(), told.append)
    assert "event loop" in told[0]
    spy.view.close()


def test_the_page_keeps_no_state_but_script_and_style() -> None:
    spy = Spy()
    own = set(spy.view.front.keys) - set(ipywidgets.DOMWidget.class_trait_names(sync=True))
    assert own == {"_esm", "_css", "_anywidget_id"}
    assert len(spy.view.front._esm) > 100
    spy.view.close()
