"""A chart says the same in its picture, its table and its text."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import libp2p_lab as lab
from libp2p_lab.errors import LocalError

SHARES = {"star": [1.0, 0.0, 1.0, 1.0], "mesh": [1.0, 1.0, 1.0, 1.0]}


def drawing(chart: object) -> ElementTree.Element:
    html = chart._repr_html_()  # type: ignore[attr-defined]
    return ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


def test_each_value_is_a_bar_and_zero_is_a_cross() -> None:
    svg = drawing(lab.widgets.Chart(SHARES, title="Who can talk", x_label="round", percent=True))
    assert len(svg.findall("rect")) == 7
    crosses = svg.findall("path/title")
    assert [cross.text for cross in crosses] == ["star, 2: 0%"]
    assert "star 75%, mesh 100%" in svg.get("aria-label", "")


def test_bars_are_as_high_as_their_values() -> None:
    svg = drawing(lab.widgets.Chart({"tries": [10, 40]}, reference=20))
    low, high = (float(bar.get("height", 0)) for bar in svg.findall("rect"))
    assert high == pytest.approx(4 * low)
    assert len([line for line in svg.findall("line") if line.get("stroke-dasharray")]) == 1


def test_the_text_holds_every_number() -> None:
    text = repr(lab.widgets.Chart(SHARES, title="Who can talk", x_label="round", percent=True))
    assert text.splitlines()[0] == "Who can talk"
    assert text.splitlines()[1].split() == ["round", "star", "mesh"]
    assert text.splitlines()[3].split() == ["2", "0%", "100%"]
    assert text.splitlines()[-1].split() == ["mean", "75%", "100%"]


def test_names_are_text_and_not_html() -> None:
    html = lab.widgets.Chart({"<b>": [1]}, title="<script>", x_label="<i>")._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<i>" not in html


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [1], "b": [1, 2]}, {"a": [-1]}])
def test_what_cannot_be_drawn_is_refused(series: dict[str, list[float]]) -> None:
    with pytest.raises(LocalError):
        lab.widgets.Chart(series)
