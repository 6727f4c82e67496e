"""`Chart`: a few rows of numbers as bars, with nothing but SVG, and as a table for those who do not see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean

from libp2p_lab.errors import LocalError
from libp2p_lab.widgets.static_form import page, table, text_table

WIDTH, LEFT, RIGHT = 640, 112, 72  # of the drawing; the columns for names and for means
PANEL, GAP, HEAD, FOOT = 64, 22, 10, 40
MAX_BARS = 500


class Chart:
    """One panel of bars for each series, one above the other, on one scale.

    Panels are easier to compare than lines that lie on top of each other. A value of 0 is drawn as
    a cross, so that it is not taken for a value that is missing.

    Args:
        series: a name and its values, for each panel; all of one length.
        title: what is shown.
        x_label: what the positions are; they are counted from 1.
        percent: the values are shares from 0 to 1.
        reference: a value to draw as a dashed line in each panel, such as an expectation.

    Raises: `LocalError` if there is nothing to draw, or the series do not fit together.
    """

    def __init__(
        self,
        series: Mapping[str, Sequence[float]],
        *,
        title: str = "",
        x_label: str = "",
        percent: bool = False,
        reference: float | None = None,
    ) -> None:
        self._series = {name: tuple(values) for name, values in series.items()}
        lengths = {len(values) for values in self._series.values()}
        if len(lengths) != 1 or not 1 <= max(lengths) <= MAX_BARS:
            raise LocalError(
                f"a chart has one or more series, all of one length from 1 to {MAX_BARS}"
            )
        if any(value < 0 for values in self._series.values() for value in values):
            raise LocalError("a chart draws values from 0 upwards")
        self._count = lengths.pop()
        self._title = title
        self._x_label = x_label
        self._percent = percent
        self._reference = reference
        largest = max(max(values) for values in self._series.values())
        self._top = 1.0 if percent else max(largest, reference or 0.0) or 1.0

    def __repr__(self) -> str:
        return f"{self._title}\n{text_table(*self._rows())}".strip()

    def _repr_html_(self) -> str:
        head, rows = self._rows()
        numbers = f"<details><summary>The numbers</summary>{table('', head, rows)}</details>"
        return page(self._title, self._svg() + numbers)

    def _rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        head = (self._x_label or "position", *self._series)
        rows = [
            (str(position + 1), *(self._text(values[position]) for values in self._series.values()))
            for position in range(self._count)
        ]
        means = (self._text(fmean(values)) for values in self._series.values())
        return head, [*rows, ("mean", *means)]

    def _text(self, value: float) -> str:
        if self._percent:
            return f"{value:.0%}"
        return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"

    # -- the drawing ------------------------------------------------------------------------------

    def _svg(self) -> str:
        panels = [
            self._panel(name, values, HEAD + index * (PANEL + GAP), index)
            for index, (name, values) in enumerate(self._series.items())
        ]
        bottom = HEAD + len(panels) * (PANEL + GAP) - GAP
        means = ", ".join(f"{n} {self._text(fmean(v))}" for n, v in self._series.items())
        label = escape(f"{self._title} {self._count} values each; means: {means}", quote=True)
        return (
            f'<svg viewBox="0 0 {WIDTH} {bottom + FOOT}" role="img" aria-label="{label}" '
            f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto">'
            f"{''.join(panels)}{self._x_axis(bottom)}</svg>"
        )

    def _panel(self, name: str, values: Sequence[float], top: float, index: int) -> str:
        floor = top + PANEL
        step = (WIDTH - LEFT - RIGHT) / self._count
        colour = f"var(--lab-p{index % 8})"
        parts = [
            _word(LEFT - 12, floor - PANEL / 2 + 4, name, "end", weight=600),
            _word(WIDTH - RIGHT + 10, floor - PANEL / 2 - 4, "mean", "start", quiet=True),
            _word(WIDTH - RIGHT + 10, floor - PANEL / 2 + 12, self._text(fmean(values)), "start"),
            _line(LEFT, floor, WIDTH - RIGHT, floor),
        ]
        for position, value in enumerate(values):
            x, width = LEFT + position * step + step * 0.15, step * 0.7
            height = PANEL * value / self._top
            told = escape(f"{name}, {position + 1}: {self._text(value)}")
            if value == 0:
                parts.append(_cross(x + width / 2, floor - 8, min(width / 2, 5), told))
                continue
            parts.append(
                f'<rect x="{x:.1f}" y="{floor - height:.1f}" width="{width:.1f}" '
                f'height="{height:.1f}" fill="{colour}"><title>{told}</title></rect>'
            )
        if self._reference is not None:
            y = floor - PANEL * self._reference / self._top
            parts.append(_line(LEFT, y, WIDTH - RIGHT, y, dashed=True))
        return "".join(parts)

    def _x_axis(self, bottom: float) -> str:
        step = (WIDTH - LEFT - RIGHT) / self._count
        every = max(1, round(self._count / 6))
        shown = {1, *range(every, self._count + 1, every)}
        ticks = [
            _word(LEFT + (position - 0.5) * step, bottom + 15, str(position), "middle", quiet=True)
            for position in sorted(shown)
        ]
        middle = (LEFT + WIDTH - RIGHT) / 2
        return "".join([*ticks, _word(middle, bottom + 33, self._x_label, "middle", quiet=True)])


def _word(
    x: float, y: float, text: str, anchor: str, weight: int = 400, quiet: bool = False
) -> str:
    colour = "var(--lab-text2)" if quiet else "var(--lab-text)"
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="13" '
        f'font-weight="{weight}" style="fill:{colour}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    colour = "var(--lab-text)" if dashed else "var(--lab-line)"
    return (
        f'<line x1="{x1:.0f}" y1="{y1:.1f}" x2="{x2:.0f}" y2="{y2:.1f}" '
        f'style="stroke:{colour}"{dashes}/>'
    )


def _cross(x: float, y: float, reach: float, told: str) -> str:
    near, far = x - reach, x + reach
    low, high = y + reach, y - reach
    return (
        f'<path d="M{near:.1f} {low:.1f}L{far:.1f} {high:.1f}'
        f'M{near:.1f} {high:.1f}L{far:.1f} {low:.1f}" '
        f'fill="none" stroke-width="2" style="stroke:var(--lab-bad)"><title>{told}</title></path>'
    )
