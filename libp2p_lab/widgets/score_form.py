"""`ScoreBoard` without a front end: a curve, and tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from libp2p_lab.pubsub import ScoreParts, ScoreThresholds
from libp2p_lab.widgets.mesh_card import PARTS, parts_of
from libp2p_lab.widgets.score_model import Sample
from libp2p_lab.widgets.static_form import page, table, text_table

WIDTH, HEIGHT, LEFT, RIGHT, PAD = 640, 220, 56, 130, 14
MAX_ROWS = 40


def static_form(
    summary: str,
    samples: Sequence[Sample],
    others: Sequence[tuple[str, ScoreParts]],
    thresholds: ScoreThresholds,
) -> tuple[str, str]:
    """HTML and text of one score over time, and of what the judge thinks of everybody now."""
    html, texts = curve(summary, samples, thresholds), [summary]
    if samples:
        part_head = ("part", "what it is for", "now")
        now = parts_of(samples[-1].score)
        part_rows = [
            (name, words, number(value)) for (name, words), value in zip(PARTS, now, strict=True)
        ]
        beat_head = ("heartbeat", "score", *(name for name, _ in PARTS))
        beat_rows = [
            (
                str(one.beat),
                number(one.score.total),
                *(number(value) for value in parts_of(one.score)),
            )
            for one in samples[-MAX_ROWS:]
        ]
        html += table("The parts", part_head, part_rows)
        html += table("Heartbeat by heartbeat", beat_head, beat_rows)
        texts += [text_table(part_head, part_rows), text_table(beat_head, beat_rows)]
    if others:
        head = ("peer", "score", *(name for name, _ in PARTS))
        rows = [
            (name, number(score.total), *(number(value) for value in parts_of(score)))
            for name, score in others[:MAX_ROWS]
        ]
        html += table("Everybody, the worst first", head, rows)
        texts.append(text_table(head, rows))
    return page(summary, html), "\n\n".join(texts)


def number(value: float) -> str:
    """Two digits behind the point; no 0 is negative."""
    return f"{round(value, 2) + 0.0:.2f}"


def curve(summary: str, samples: Sequence[Sample], thresholds: ScoreThresholds) -> str:
    """The score as a line, with the thresholds that are near it: an SVG."""
    if not samples:
        return ""
    totals = [one.score.total for one in samples]
    lines = {
        "gossip": thresholds.gossip,
        "publish": thresholds.publish,
        "graylist": thresholds.graylist,
    }
    low, high = min(0.0, *totals), max(1.0, *totals)
    shown = {name: value for name, value in lines.items() if value >= 1.3 * low - 1}
    low = min(low, *shown.values()) if shown else low
    span = (high - low) or 1.0

    def y(value: float) -> float:
        return PAD + (HEIGHT - 2 * PAD) * (high - value) / span

    def x(index: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * index / max(1, len(totals) - 1)

    points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in enumerate(totals))
    marks = "".join(
        f'<line x1="{LEFT}" y1="{y(value):.1f}" x2="{WIDTH - RIGHT}" y2="{y(value):.1f}" '
        f'style="stroke:var(--lab-{"bad" if name else "line"})" stroke-dasharray="5 4"/>'
        f'<text x="{WIDTH - RIGHT + 6}" y="{y(value) + 4:.1f}">{name} {value:g}</text>'
        for name, value in {"": 0.0, **shown}.items()
    )
    ends = "".join(
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        for value in {high, low}
    )
    feet = (
        f'<text x="{LEFT}" y="{HEIGHT + 14}">heartbeat {samples[0].beat}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT + 14}" text-anchor="end">{samples[-1].beat}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 20}" width="{WIDTH}" role="img" '
        f'aria-label="{escape(summary, quote=True)}">{marks}{ends}{feet}'
        f'<polyline points="{points}" fill="none" stroke-width="2" '
        f'style="stroke:var(--lab-p0)"/></svg>'
    )
