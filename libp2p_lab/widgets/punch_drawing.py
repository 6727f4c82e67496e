"""A hole punched, as a picture without a front end: three lanes over time, in SVG."""

from __future__ import annotations

import itertools
from html import escape
from typing import assert_never

from libp2p_lab.widgets.punch_model import LONG, A, B, Mark, Story, shown

WIDTH, LEFT, RIGHT = 780, 76, 24
LANES = (44, 124, 204)  # y of A, the relay, B
BOTTOM = 244
TICK = 58  # pixels between two times that are written down

COLOURS = {
    "CONNECT": "var(--lab-negotiation)",
    "SYNC": "var(--lab-security)",
    "packet": "var(--lab-transport)",
    "round trip": "var(--lab-negotiation)",
    "half": "var(--lab-security)",
    "dial": "var(--lab-transport)",
}


def drawing(story: Story) -> str:
    """The three lanes; "" if nothing happened."""
    scale = story.scale()
    if not scale:
        return ""
    picture = _Picture(scale)
    parts = [
        f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" style="stroke:var(--lab-line);stroke-width:2"/>'
        + _word(4, y + 4, name)
        for y, name in zip(LANES, story.names, strict=True)
    ]
    parts += [picture.mark(mark) for mark in story.marks]
    parts += picture.breaks()
    parts += picture.ticks()
    label = escape(story.summary(), quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {BOTTOM + 8}" role="img" aria-label="{label}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto">{"".join(parts)}</svg>'
    )


class _Picture:
    """Draws marks where their times are."""

    def __init__(self, scale: list[tuple[float, float]]) -> None:
        self._scale = scale

    def x(self, time: float) -> float:
        before = self._scale[0]
        for after in self._scale:
            if after[0] >= time:
                span = after[0] - before[0] or 1.0
                place = before[1] + (after[1] - before[1]) * (time - before[0]) / span
                return LEFT + place * (WIDTH - LEFT - RIGHT)
            before = after
        return WIDTH - RIGHT

    def mark(self, mark: Mark) -> str:
        match mark.shape:
            case "arrow":
                drawn = self._arrow(mark)
            case "span":
                drawn = self._span(mark)
            case "moment":
                drawn = self._moment(mark)
            case _:
                assert_never(mark.shape)
        return f"<g><title>{escape(mark.text)}</title>{drawn}</g>"

    def _arrow(self, mark: Mark) -> str:
        start, end = LANES[mark.lanes[0]], LANES[mark.lanes[1]]
        ys = (start, LANES[1], end) if len(mark.times) == 3 else (start, end)
        points = " ".join(f"{self.x(t):.1f},{y}" for t, y in zip(mark.times, ys, strict=True))
        colour = "var(--lab-bad)" if mark.is_bad else COLOURS[mark.kind]
        way = 1 if end > start else -1
        tip = self.x(mark.times[-1])
        head = f"{tip - 4:.1f},{end - 7 * way} {tip:.1f},{end} {tip + 4:.1f},{end - 7 * way}"
        dashes = "4 3" if mark.is_guess or mark.is_bad else "none"
        line = (
            f'<polyline points="{points}" style="fill:none;stroke:{colour};stroke-width:1.8;'
            f'stroke-dasharray:{dashes}"/><polyline points="{head}" style="fill:none;stroke:{colour}"/>'
        )
        if mark.kind == "packet":
            return line
        return line + _word((self.x(mark.times[0]) + tip) / 2 + 4, LANES[1] - 8, mark.kind)

    def _span(self, mark: Mark) -> str:
        x, y = self.x(mark.times[0]), LANES[mark.lanes[0]]
        y = y + 5 if mark.lanes[0] == B else y - 13
        colour = "var(--lab-bad)" if mark.is_bad else COLOURS[mark.kind]
        width = max(self.x(mark.times[1]) - x, 2)
        return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="8" style="fill:{colour};fill-opacity:.45"/>'

    def _moment(self, mark: Mark) -> str:
        x = self.x(mark.times[0])
        if mark.kind == "crossing" and not mark.is_bad:
            y = LANES[A] + mark.times[1] * (LANES[B] - LANES[A])
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" style="fill:none;stroke:var(--lab-text);stroke-width:2"/>'
        colour = "var(--lab-bad)" if mark.is_bad else "var(--lab-good)"
        colour = "var(--lab-text2)" if mark.kind == "closed" else colour
        y = LANES[mark.lanes[0]]
        return f'<circle cx="{x:.1f}" cy="{y}" r="5" style="fill:{colour}"/>'

    def breaks(self) -> list[str]:
        """Where time was cut short."""
        return [
            _word((self.x(before[0]) + self.x(after[0])) / 2, BOTTOM, "//")
            for before, after in itertools.pairwise(self._scale)
            if after[0] - before[0] > LONG
        ]

    def ticks(self) -> list[str]:
        """Some of the times."""
        found, last = [], -TICK
        for time, _ in self._scale:
            if self.x(time) - last >= TICK and self.x(time) < WIDTH - RIGHT - 20:
                found.append(_word(self.x(time), BOTTOM, shown(time)))
                last = int(self.x(time))
        return found


def _word(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" style="fill:var(--lab-text);font-size:11.5px">{escape(text)}</text>'
