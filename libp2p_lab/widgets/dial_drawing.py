"""A race as a picture without a front end: an SVG with a lane for each address."""

from __future__ import annotations

from html import escape

from libp2p_lab.widgets.dial_model import REACHING, Lane, Race

WIDTH, LEFT, RIGHT = 780, 290, 110
LANE, HEAD = 30, 22
SOON = 2.0  # seconds: turns that are drawn although they were not needed

COLOURS = {
    "won": "var(--lab-good)",
    "failed": "var(--lab-bad)",
}


def drawing(race: Race) -> str:
    """The lanes over time."""
    soon = [
        lane.planned for lane in race.lanes if lane.planned is not None and lane.planned <= SOON
    ]
    span = 1.02 * max(race.seconds, *soon, 0.01)
    bottom = HEAD + LANE * len(race.lanes)
    parts = [_lane(lane, HEAD + LANE * at, span) for at, lane in enumerate(race.lanes)]
    label = escape(race.summary(), quote=True)
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 6}" role="img" aria-label="{label}" '
        f'style="display:block;width:100%;max-width:{WIDTH}px;height:auto">'
        f"{_word(LEFT, 13, '0')}{_word(WIDTH - RIGHT - 40, 13, f'{1000 * span:.0f} ms')}"
        f"{''.join(parts)}</svg>"
    )


def _lane(lane: Lane, top: float, span: float) -> str:
    def x(seconds: float) -> float:
        return LEFT + min(seconds / span, 1.0) * (WIDTH - LEFT - RIGHT)

    colour = COLOURS.get(lane.outcome, "var(--lab-text2)")
    parts = [
        f'<line x1="{LEFT}" y1="{top + 15}" x2="{WIDTH - RIGHT}" y2="{top + 15}" style="stroke:var(--lab-line)"/>',
        _word(4, top + 19, lane.addr if len(lane.addr) < 44 else lane.addr[:42] + "…"),
        _word(WIDTH - RIGHT + 8, top + 19, lane.outcome),
    ]
    for stage, start, end in lane.stages:
        height = 8 if stage == REACHING else 14
        parts.append(
            f'<rect x="{x(start):.1f}" y="{top + 15 - height / 2}" width="{max(x(end) - x(start), 2):.1f}" '
            f'height="{height}" style="fill:{colour}"><title>{stage}</title></rect>'
        )
    if lane.start is None and lane.planned is not None and lane.planned <= span:
        parts.append(
            f'<line x1="{x(lane.planned):.1f}" y1="{top + 7}" x2="{x(lane.planned):.1f}" y2="{top + 23}" '
            f'style="stroke:var(--lab-text2);stroke-dasharray:3 2"><title>its turn</title></line>'
        )
    return "".join(parts)


def _word(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" style="fill:var(--lab-text)">{escape(text)}</text>'
