"""The panel shows a workbook, follows it, gives hints, saves, and stops."""

from __future__ import annotations

import csv

from libp2p_lab.coursework.workbook import Workbook
from libp2p_lab.widgets import CheckPanel
from tests.widgets.conftest import Open

NINE_NODES = [*((n, (n + 1) % 9) for n in range(9)), (0, 4), (1, 5), (2, 6), (3, 7), (8, 4)]


def row_of(record: dict, check_id: str) -> dict:
    return next(check for check in record["checks"] if check["id"] == check_id)


async def test_it_follows_the_workbook(open_page: Open) -> None:
    book = Workbook()
    page = open_page(CheckPanel(book))
    (first,) = page.of("progress")
    assert row_of(first, "00.nine_nodes")["tries"] == 0
    await book.check("00.nine_nodes", NINE_NODES[:-1])
    await page.wait_for("progress", 2)
    await book.check("00.nine_nodes", NINE_NODES)
    last = await page.wait_for("progress", 3)
    row = row_of(last, "00.nine_nodes")
    assert (row["tries"], row["passed"], row["points"]) == (2, True, row["of"])
    points = {name: (earned, of) for name, _, _, earned, of, *_ in last["objectives"]}
    assert points["1.01"][0] == 4
    book.answer("00.q1", "a")
    await page.wait_for("progress", 4)


def test_hints_come_one_by_one(open_page: Open) -> None:
    book = Workbook()
    page = open_page(CheckPanel(book))
    texts = []
    for _ in range(3):
        page.tell("hint", check="00.survivors")
        texts.append(page.of("progress")[-1]["hints"]["00.survivors"])
    assert len(set(texts)) == 3
    assert book.hints == {"00.survivors": 3}
    assert row_of(page.of("progress")[-1], "00.survivors")["hints"] == 3
    page.tell("hint", check="99.nothing")
    (problem,) = page.of("problem")
    assert "99.nothing" in problem["text"]


def test_saving_and_stopping(open_page: Open) -> None:
    book = Workbook()
    page = open_page(CheckPanel(book))
    page.tell("export")
    ((message, (content,)),) = [(m, b) for m, b in page.sent if m["type"] == "file"]
    assert message["name"] == "progress.csv"
    rows = list(csv.reader(content.decode().splitlines()))
    assert rows[0][0] == "objective"
    assert len(rows) == len(book.progress().rows) + 1
    assert book._listeners
    page.tell("close")
    assert not book._listeners
    page.tell("open")
    assert book._listeners  # shown again: it goes on


def test_the_static_form_says_the_same() -> None:
    book = Workbook()
    book.hint("00.echo")
    bundle = CheckPanel(book)._repr_mimebundle_()
    for form in ("text/plain", "text/html"):
        assert "E0.3" in bundle[form]
        assert "1.01" in bundle[form]
        assert "not tried" in bundle[form]
